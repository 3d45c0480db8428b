"""Programs that tests start: several at once, waiting for each other at a barrier.

A program is Python text. It calls `barrier()` when it is ready; `together` lets all of them go
only when each has come there. What it prints is its answer; a traceback fails the test.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.warm import Program

PROJECT = Path(__file__).resolve().parents[2]

_PREAMBLE = """\
import os, sys
def barrier():
    print("ready", flush=True)
    sys.stdin.readline()
import ledger as ln
ln.settings.verbosity = "warning"
ln.settings.creation.search_names = False
ME = int(os.environ["TEST_ME"])
"""


def environment() -> dict[str, str]:
    """Return the environment of a program that imports this project, whatever its folder."""
    return {**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONWARNINGS": "error::ResourceWarning"}


def start(
    text: str, *, me: int = 0, variables: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start one program, warm, as a script of the working folder; `ME` tells it which it is.

    The same text is the same script, whichever it is: not told by arguments, which tell runs apart.
    """
    script = Path(f"program_{hashlib.sha256(text.encode()).hexdigest()[:8]}.py")
    if not script.exists():  # one that runs already must not find it empty
        script.write_text(_PREAMBLE + text)
    return Program(
        [sys.executable, str(script)],
        env=environment() | {"TEST_ME": str(me)} | dict(variables or {}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def release(programs: Sequence[subprocess.Popen[str]]) -> None:
    """Let programs go on together, once each of them is ready or has ended."""
    for program in programs:
        assert program.stdout is not None
        program.stdout.readline()
    for program in programs:
        assert program.stdin is not None
        # One that ended early says why when it is asked for its answer.
        with contextlib.suppress(BrokenPipeError):
            program.stdin.write("go\n")
            program.stdin.flush()


def ended(programs: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Return what each program printed, once all of them ended well."""
    answers = [program.communicate() for program in programs]
    said = [
        said for program, (_, said) in zip(programs, answers, strict=True) if program.returncode
    ]
    assert not said, "\n".join(said)
    return [answer for answer, _ in answers]


def together(*texts: str) -> list[str]:
    """Run programs at once from a common barrier and return what each printed."""
    programs = [start(text, me=me) for me, text in enumerate(texts)]
    release(programs)
    return ended(programs)
