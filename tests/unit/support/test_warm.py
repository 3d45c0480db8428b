from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.support.warm import Program, run

ASKED = """
import atexit, os, sys, threading
sys.path.append("later")
print(sys.argv, os.environ["WORD"], __name__, os.path.basename(sys.path[0]), flush=True)
atexit.register(print, "at exit")
threading.Thread(target=lambda: print(input())).start()
"""
ENDINGS = {
    "pass": 0,
    "raise SystemExit": 0,
    "raise SystemExit(7)": 7,
    "raise SystemExit('a reason')": 1,
    "1 / 0": 1,
    "raise KeyboardInterrupt": -signal.SIGINT,
    "import os; os._exit(9)": 9,
    "import os; os.kill(os.getpid(), 9)": -9,
    "syntax error": 1,
}


@pytest.fixture
def script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "script.py").write_text(ASKED)
    return [sys.executable, "script.py", "a", "b c"]


def test_a_warm_program_is_told_what_a_fresh_one_is_told(script):
    options = {"env": {**os.environ, "WORD": "ä"}, "input": "read\n", "capture_output": True}
    warm, fresh = (of(script, text=True, check=True, **options) for of in (run, subprocess.run))
    assert (warm.stdout, warm.stderr) == (fresh.stdout, fresh.stderr)
    assert warm.stdout.splitlines()[-2:] == ["read", "at exit"]


@pytest.mark.parametrize(("text", "code"), ENDINGS.items())
def test_a_warm_program_ends_as_a_fresh_one_does(text, code, tmp_path):
    (tmp_path / "ends.py").write_text(text)
    args = [sys.executable, "ends.py"]
    warm, fresh = (
        of(args, cwd=tmp_path, capture_output=True, text=True, check=False)
        for of in (run, subprocess.run)
    )
    assert warm.returncode == fresh.returncode == code
    assert warm.stderr == fresh.stderr


def test_a_warm_program_has_loaded_the_modules_and_knows_nothing_else():
    text = "import sys; print('ledger.api' in sys.modules, 'tests' in sys.modules, *vars())"
    said = run([sys.executable, "-c", text], capture_output=True, text=True).stdout
    assert said.split()[:2] == ["True", "False"]
    assert all(name == "sys" or name.startswith("__") for name in said.split()[2:])


def test_a_warm_program_can_be_killed_and_asked_whether_it_lives():
    text = "print('here', flush=True); input()"
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with Program([sys.executable, "-c", text], **options) as program:
        assert program.stdout.readline() == "here\n"
        assert program.poll() is None
        program.kill()
        assert program.wait() == program.poll() == -9


@pytest.mark.parametrize("more", [["-I", "-c", "pass"], ["-m", "this"]])
def test_a_program_that_python_begins_otherwise_is_fresh(more):
    with Program([sys.executable, *more], stdout=subprocess.DEVNULL) as program:
        assert program._line is None
