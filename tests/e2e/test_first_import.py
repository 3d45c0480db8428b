"""Any module of the packages can be the first one: no import works only after another one."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support.processes import PROJECT, environment

# Forks of one process import a module of ours each. What others wrote is there before, so that it
# is loaded once and not two hundred times; nothing of ours is.
FIRST = """
import os, sys, traceback

names = sys.argv[1:]
ours = {name.split(".")[0] for name in names}

def forked(work):
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(into, 1)
        status = 1
        try:
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        sys.stdout.flush()
        os._exit(status)
    os.close(into)
    with os.fdopen(out) as said:
        text = said.read()
    return os.waitpid(child, 0)[1] == 0, text

def everything():
    for name in names:
        __import__(name)
    print(*(it for it in sys.modules if it.split(".")[0] not in ours))

for name in forked(everything)[1].split():
    try:
        __import__(name)
    except ImportError:
        pass  # a name that a package gives to what it did not import
assert not any(it.split(".")[0] in ours for it in sys.modules)
failed = [name for name in names if not forked(lambda: __import__(name))[0]]
sys.exit(f"cannot be the first one imported: {', '.join(failed)}" if failed else 0)
"""


def first(*names: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", FIRST, *names],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


# The contracts of imports refuse circles, so that a sample shows what the contracts cannot see.
@pytest.mark.parametrize("every", [20, pytest.param(1, marks=pytest.mark.slow)])
def test_modules_can_be_the_first_one_imported(every):
    # `__main__` is left out: importing it is running the program.
    names = [
        ".".join(path.relative_to(PROJECT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("ledger", "projections")
        for path in sorted((PROJECT / package).rglob("*.py"))
        if path.name != "__main__.py"
    ]
    done = first(*names[::every])
    assert done.returncode == 0, done.stderr


def test_a_module_that_cannot_be_the_first_one_is_found(tmp_path, monkeypatch):
    (tmp_path / "early.py").write_text("import late\nname = 1\n")
    (tmp_path / "late.py").write_text("from early import name\n")
    monkeypatch.chdir(tmp_path)
    done = first("late", "early")
    assert done.returncode == 1
    assert "cannot be the first one imported: early" in done.stderr
