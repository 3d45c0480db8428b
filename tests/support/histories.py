"""A laboratory for histories: real scripts in processes of their own, and what they left behind.

A pass is one execution of a script. Its tags are those of the events that the log holds after it
and did not before. Scripts wait for the test by reading a line, never by looking at a clock.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import ledger as ln
from ledger.model.events import RecordedEvent, tag_of
from ledger.places import instance
from ledger.tracking.context import context
from ledger.tracking.source_code import SourceCode, text_hash
from tests.support.patience import PATIENCE
from tests.support.warm import Program, run

ROOT = Path(__file__).resolve().parents[1]
# A run's first pass records these before anything else; forks and later runs only the last.
FIRST = ["blob-recorded", "blob-recorded", "transform-registered", "run-started"]
HEAD = "import os, signal, sys\nimport ledger as ln\nln.track()\n"
TAIL = "ln.finish()\n"
KILL = "os.kill(os.getpid(), signal.SIGKILL)\n"
# The script says where it is and goes on when it is told to.
PAUSE = "print('here', flush=True); input()\n"


class Pass(NamedTuple):
    """What a pass left: its exit code, the tags of its events without `.v1`, what it said."""

    code: int
    tags: list[str]
    said: str

    @property
    def receipt(self) -> str:
        """The line that tells how it went."""
        return next(line for line in self.said.splitlines() if " intent" in line)


class Lab:
    """A ledger in a folder, with scripts; warm ones begin as forks, see `tests/support/warm.py`."""

    def __init__(self, folder: Path, database: str | None = None, *, is_warm: bool = False) -> None:
        self.folder = folder
        self._run, self._begin = (run, Program) if is_warm else (subprocess.run, subprocess.Popen)
        ln.init(folder / "storage", database=database, root=folder)
        self.ledger = ln.connect(folder)

    # --- scripts ------------------------------------------------------------------------------

    def write(self, name: str, text: str) -> Path:
        """Write a file into the folder."""
        path = self.folder / name
        path.write_text(text)
        return path

    def script(self, body: str, *, name: str = "pass.py", head: str = HEAD, tail: str = TAIL):
        """Write a script that tracks itself around `body`."""
        return self.write(name, f"{head}{body.strip()}\n{tail}")

    def run(
        self,
        *arguments: str,
        name: str = "pass.py",
        code: int = 0,
        environment: dict[str, str] | None = None,
    ) -> Pass:
        """Run a script to its end, which must be with this exit code, and return its pass."""
        before = self.head()
        done = self._run(
            [sys.executable, name, *arguments],
            cwd=self.folder,
            env=self._environment(environment),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stderr
        return Pass(done.returncode, self.tags(after=before), done.stderr)

    def killed(self, *arguments: str, name: str = "pass.py") -> Pass:
        """Run a script that is killed on its way."""
        return self.run(*arguments, name=name, code=-signal.SIGKILL)

    @contextmanager
    def paused(self, *arguments: str, name: str = "pass.py") -> Iterator[Paused]:
        """Start a script that stands still at each `PAUSE`."""
        process = self._begin(
            [sys.executable, name, *arguments],
            cwd=self.folder,
            env=self._environment(None),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            try:
                yield Paused(process)
            finally:
                process.kill()

    def _environment(self, more: dict[str, str] | None) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"} | (
            more or {}
        )

    # --- what is there ------------------------------------------------------------------------

    def head(self) -> int:
        """Position of the last event."""
        return self.ledger.head()

    def events(self, *, after: int = 0) -> list[RecordedEvent]:
        """Events of the log."""
        with self.ledger.reading() as session:
            return list(session.log.read(after=after))

    def tags(self, *, after: int = 0) -> list[str]:
        """Tags of the events of the log, without `.v1`."""
        return [tag_of(it.event).removesuffix(".v1") for it in self.events(after=after)]

    def find(self, table: str, **equals: Any) -> list[dict[str, Any]]:
        """Rows of a read model."""
        with self.ledger.reading() as session:
            return session.models.find(table, **equals)

    def statuses(self) -> list[str]:
        """Statuses of all runs, in the order in which they started."""
        rows = sorted(self.find("run"), key=lambda row: row["created_position"])
        return [row["status"] for row in rows]

    def names(self) -> list[str]:
        """Names of the live labels."""
        return sorted(row["name"] for row in self.find("ulabel", state=0))

    def latest(self, key: str) -> str:
        """Content that a key points at."""
        return Path(ln.Artifact.get(key=key).path).read_text()

    def contents(self) -> list[str]:
        """Contents of the live artifacts, in the order in which they were registered."""
        rows = sorted(self.find("artifact", state=0), key=lambda row: row["created_position"])
        return [Path(ln.Artifact.get(row["uid"]).path).read_text() for row in rows]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        """Every row of every read model, of all time."""
        from projections.tables import TABLES  # noqa: PLC0415

        return {name: self.find(name, ever=True) for name in TABLES}


class Paused:
    """A script that stands still until it is told to go on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def arrive(self) -> None:
        """Wait until it stands at its next pause."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "here\n", self.process.stderr.read()

    def go(self) -> None:
        """Let it go on."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self) -> str:
        """Wait for its good end and return what it said."""
        _, said = self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0, said
        return said


class Bench:
    """Passes within this process: `with bench.passing(): …` is a script that tracks itself."""

    def __init__(self, lab: Lab, monkeypatch: Any) -> None:
        self.lab = lab
        self.source = "the script"
        self.said: list[str] = []
        monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: self._source())
        monkeypatch.setattr("ledger.tracking.context.command_line", lambda _: ())
        monkeypatch.setattr(context, "_request", {})
        monkeypatch.setattr("ledger.tracking.context.say", lambda _, text: self.said.append(text))

    def _source(self) -> SourceCode:
        return SourceCode(
            kind="script",
            path=None,
            text=self.source,
            source_hash=text_hash(self.source),
            name="bench",
            key="bench.py",
        )

    @contextmanager
    def passing(self, *, ends: str = "finish", **track: Any) -> Iterator[list[str]]:
        """Track the block, and put the tags of its events into the list that is lent.

        Args:
            ends: "finish"; "leave" without it; "vanish", as a process that is killed.
            track: Arguments of `track()`.
        """
        before = self.lab.head()
        tags: list[str] = []
        ln.track(**track)
        try:
            yield tags
        except BaseException:
            if context.is_tracking:
                context._end("failed")
            raise
        match ends:
            case "finish":
                ln.finish()
            case "leave":
                context._end("ended")
            case _:
                instance.current().handler.tracked = None
        tags += self.lab.tags(after=before)

    @property
    def receipt(self) -> str:
        """The last receipt."""
        return next(text for text in reversed(self.said) if " intent" in text)


def label(name, **fields):
    return ln.ULabel(name, **fields).save()


def rename(record, name):
    record.name = name
    return record.save()


def artifact(lab, content, key=None, **given):
    return ln.Artifact(lab.write("data.txt", content), key=key, **given).save()


def repeats(bench, script, *, tags=None):
    """Run a script twice and require that the second pass adds nothing and sees the same."""
    with bench.passing() as first:
        seen = script()
    if tags is not None:
        assert first == [*FIRST, *tags, "run-finished"]
    with bench.passing() as again:
        assert script() == seen
    assert again == []
    assert "replay of run" in bench.receipt
