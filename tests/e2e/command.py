"""The real command in a process of its own, for tests: piped, or on a terminal."""

from __future__ import annotations

import fcntl
import functools
import json
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.e2e.warm import Warm
from tests.support.patience import PATIENCE

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "ledger"]
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def environment(**changes: str) -> dict[str, str]:
    """Return the environment of a command; the package is that of this checkout."""
    dropped = {"NO_COLOR", "FORCE_COLOR", "TERM", "COLUMNS", "LINES"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    paths = [str(ROOT), *filter(None, [kept.get("PYTHONPATH")])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), "TERM": "xterm", **changes}


class Said:
    """What a command said, and how it ended."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status, self.out, self.err = status, out, err

    def __repr__(self) -> str:
        return f"status {self.status}\n--- out\n{self.out}--- err\n{self.err}"

    @property
    def json(self):
        """Standard output as one JSON document."""
        return json.loads(self.out)

    @property
    def json_lines(self):
        """Standard output as one JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]


@functools.cache
def _warm() -> Warm:
    return Warm(environment())


def metaledger(folder: Path, *args: str, status: int = 0, **env: str) -> Said:
    """Run the command in a folder, with nobody to answer it, and return what it said.

    It begins warm, unless it looks at how Python was started or runs scripts itself.
    """
    is_fresh = {"plan", "demo"}.intersection(args) or any(
        not name.startswith("METALEDGER_") for name in env
    )
    run = _freshly if is_fresh else _warm().run
    code, out, err = run(folder, args, environment(**env))
    said = Said(code, out.decode(), err.decode())
    assert said.status == status, said
    assert "Traceback" not in said.err, said
    return said


def _freshly(
    folder: Path, args: Sequence[str], variables: dict[str, str]
) -> tuple[int, bytes, bytes]:
    done = subprocess.run(
        [*PROGRAM, *args],
        cwd=folder,
        env=variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


class OnATerminal:
    """The command on a terminal that a test reads and types on."""

    def __init__(self, folder: Path, *args: str, columns: int = 100, **env: str) -> None:
        changed = environment(**env)
        size = struct.pack("HHHH", 40, columns, 0, 0)
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            # From here on only calls that a forked child may make.
            fcntl.ioctl(0, termios.TIOCSWINSZ, size)
            # Programs that run in the background hand down that Ctrl-C is ignored.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(PROGRAM[0], [*PROGRAM, *args], changed)  # noqa: S606
        self.text = ""

    def read_until(self, expected: str) -> str:
        """Read until a text has appeared, and return everything so far."""
        while expected not in self.text:
            if not self._read():
                raise AssertionError(f"expected {expected!r}, the command ended with {self.text!r}")
        return self.text

    def type(self, text: str) -> None:
        """Type on the terminal."""
        os.write(self._terminal, text.encode())

    def interrupt(self) -> None:
        """Press Ctrl-C until the command ends.

        A signal that comes in the instant before a program begins to read is told to it with the
        next key only: people press again, and so does this.
        """
        for _ in range(int(PATIENCE)):
            self.type("\x03")
            while self._has_something_to_say(1.0):
                if not self._read():
                    return
        raise AssertionError(f"Ctrl-C does not end the command: {self.text!r}")

    def end(self) -> int:
        """Read to the end and return the exit status; `text` is then everything, uncoloured."""
        while self._read():
            pass
        os.close(self._terminal)
        _, status = os.waitpid(self.pid, 0)
        self.coloured = self.text
        self.text = _COLOURS.sub("", self.text).replace("\r\n", "\n")
        assert "Traceback" not in self.text, self.text
        return os.waitstatus_to_exitcode(status)

    def _has_something_to_say(self, patience: float) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], patience)
        return bool(ready)

    def _read(self) -> bool:
        if not self._has_something_to_say(PATIENCE):
            os.kill(self.pid, signal.SIGKILL)
            raise AssertionError(f"the command hangs after {self.text!r}")
        try:
            data = os.read(self._terminal, 65_536)
        except OSError:  # the other end is closed
            return False
        self.text += data.decode("utf-8", "replace")
        return bool(data)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """A folder with an empty ledger called `storage`, made by the command."""
    metaledger(tmp_path, "init", "--storage", "./storage")
    return tmp_path
