"""How a script ended: which exits are errors, and what they said, at the end of its process."""

from __future__ import annotations

import subprocess
import sys

import pytest

SCRIPT = """
import atexit, sys
from ledger.tracking.exits import ExitWatch

watch = ExitWatch()
atexit.register(lambda: print(repr(watch.error())))
status = 7

def returned(value):
    return value

def inner(value):
    raise SystemExit(value)

def stop(value):
    sys.exit(value)

"""


def ended(tmp_path, ending: str) -> str:
    path = tmp_path / "script.py"
    path.write_text(SCRIPT + ending + "\n")
    done = subprocess.run([sys.executable, str(path)], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("ending", "told"),
    [
        ("sys.exit(3)", "SystemExit(3)"),
        ("sys.exit('text')", "SystemExit('text')"),
        ("sys.exit(returned(4))", "SystemExit(4)"),
        ("exit(2)", "SystemExit(2)"),
        ("quit('why')", "SystemExit('why')"),
        ("stop(3)", "SystemExit(3)"),
        ("with open(__file__):\n    stop(3)", "SystemExit(3)"),
        ("try:\n    stop(3)\nfinally:\n    status = 0", "SystemExit(3)"),
        ("try:\n    stop(3)\nexcept SystemExit:\n    raise", "SystemExit(3)"),
        ("raise SystemExit(3)", "SystemExit(3)"),
        ("raise SystemExit('text')", "SystemExit('text')"),
        ("raise SystemExit(status)", "SystemExit(7)"),
        ("end = SystemExit(5)\nraise end", "SystemExit(5)"),
        (
            "try:\n    1/0\nexcept Exception as why:\n    raise SystemExit(9) from why",
            "SystemExit(9)",
        ),
        ("import argparse\nargparse.ArgumentParser().parse_args(['--no'])", "SystemExit(2)"),
    ],
)
def test_an_exit_with_an_error_is_told_with_what_it_said(tmp_path, ending, told):
    assert ended(tmp_path, ending) == told


@pytest.mark.parametrize("ending", ["inner(2)", "inner('text')", "raise SystemExit(returned(2))"])
def test_an_exit_is_told_where_its_value_cannot_be_read(tmp_path, ending):
    assert ended(tmp_path, ending).startswith("SystemExit(")


@pytest.mark.parametrize(
    "ending",
    [
        "",
        "sys.exit()",
        "sys.exit(0)",
        "sys.exit(False)",
        "exit()",
        "stop(None)",
        "raise SystemExit",
        "raise SystemExit()",
        "raise SystemExit(0)",
        "try:\n    stop(3)\nexcept SystemExit:\n    pass",
        "try:\n    inner(3)\nexcept SystemExit:\n    pass",
        "from threading import Thread\nit = Thread(target=stop, args=(3,))\nit.start()\nit.join()",
    ],
)
def test_an_exit_without_error_or_that_was_caught_is_none(tmp_path, ending):
    assert ended(tmp_path, ending) == "None"
