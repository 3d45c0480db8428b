"""Writers that are killed with SIGKILL, and what each had acknowledged before.

A writer saves one thing after another and says what `save()` returned from. It is killed before a
step of a given number (a statement of SQL, a durable step of content) or a while after its start.
Writers are forked from a warm process, so that hundreds of kills cost seconds.
"""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.processes import environment
from tests.support.saving import KINDS

SAVING = r"""
import json, os, psycopg, signal, sqlite3, sys, time
import ledger as ln
from ledger import files
from ledger.transfer import archive_export as exporting
from ledger.upkeep import rebuild as rebuilding
from ledger.content import hashing, store, local
from ledger.registries import artifact, collection, ulabel, transform, run
import ledger.eventlog.sqlite_log, projections.sql.sqlite, ledger.registries.text_search
import ledger.eventlog.postgres_log, projections.sql.postgres
from tests.support.saving import save

ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
TRACKED, KINDS = sys.argv[1] == "tracked", sys.argv[2:]

def say(*words):
    os.write(1, json.dumps(words).encode() + b"\n")

def work(begin, first, steps):
    left = steps
    def step(*_):
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    if steps:
        files.step = step
        connect = sqlite3.connect
        def traced(*args, **kwargs):
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(step)
            return connection
        sqlite3.connect = traced
        execute = psycopg.Cursor.execute
        def counted(*args, **kwargs):
            step()
            return execute(*args, **kwargs)
        psycopg.Cursor.execute = counted
    if TRACKED:
        ln.track(key="killed.py", params={"begin": begin})
    n = begin
    while True:
        n += 1
        kind = KINDS[(first + n - begin - 1) % len(KINDS)]
        say("saved", kind, n, save(kind, n))

for line in sys.stdin:
    begin, first, steps, micros = map(int, line.split())
    child = os.fork()
    if not child:
        try:
            work(begin, first, steps)
        except BaseException as error:
            say("error", repr(error))
        os._exit(1)
    if not steps:
        time.sleep(micros / 1e6)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    say("ended", os.waitstatus_to_exitcode(status))
"""


class Saver:
    """The warm process whose children save until they are killed."""

    def __init__(self, *, is_tracked: bool, kinds: Sequence[str] = KINDS) -> None:
        tracked = "tracked" if is_tracked else "untracked"
        # A script of a file: what is typed in has a run of its own each time.
        Path("killed.py").write_text(SAVING)
        self.claims: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "killed.py", tracked, *kinds],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def go(self, begin: int, *, first: int = 0, steps: int = 0, micros: int = 0) -> None:
        """Let a child save from number `begin` and its `first` kind on, until it is killed."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{begin} {first} {steps} {micros}\n")
        self._process.stdin.flush()

    def acknowledged(self) -> list[tuple[str, int]]:
        """Wait for the kill and return what the child acknowledged; `claims` has what it gave."""
        assert self._process.stdout is not None
        found = []
        while True:
            word, *said = json.loads(self._process.stdout.readline())
            if word == "ended":
                assert said == [-signal.SIGKILL]
                return found
            assert word == "saved", said
            kind, n, claim = said
            found.append((kind, n))
            if claim:
                self.claims.append(claim)

    def until_killed(self, begin: int, *, steps: int = 0, micros: int = 0) -> list[tuple[str, int]]:
        """Do both."""
        self.go(begin, steps=steps, micros=micros)
        return self.acknowledged()

    def end(self) -> None:
        self._process.communicate()


@contextlib.contextmanager
def saver(*, is_tracked: bool, kinds: Sequence[str] = KINDS) -> Iterator[Saver]:
    running = Saver(is_tracked=is_tracked, kinds=kinds)
    try:
        yield running
    finally:
        running.end()
