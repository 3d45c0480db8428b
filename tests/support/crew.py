"""Processes that use one ledger at once, forked from a warm one, and what they say.

1. A member lives a life: it does the deeds of its task and says a line before and after each. All
   lines come through one pipe. A line that was written is read, also if its writer was killed then.
2. Whoever lives is another function each time, `live(task, say)` in a module of tests; the task
   holds whatever that wants to know.
3. The test reads the lines one after another and may do something to a member in between. Nothing
   depends on how long that takes. A crew that says nothing for long shows where each of its members
   stands, and fails the test.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support.patience import PATIENCE
from tests.support.processes import environment

Line = dict[str, Any]

MOST = 4_000  # bytes of a line: the system never mixes shorter ones of several writers
_MOMENT = 5.0  # seconds in which a stack is written

WARM = r"""
import contextlib, faulthandler, importlib, json, os, signal, sys, traceback
import psycopg, sqlite3
import ledger as ln
from ledger.auditing import audit, contents
from ledger.content import hash_cache, hashing, local, store
from ledger.proving import checkpoints
from ledger.registries import artifact, collection, run, text_search, transform, ulabel, views
from ledger.tracking import context, plan
from ledger.transfer import archive_export
from ledger.upkeep import doctor, erasure, rebuild
import ledger.eventlog.sqlite_log, projections.sql.sqlite
import ledger.eventlog.postgres_log, projections.sql.postgres
from tests.support.crew import say

live = importlib.import_module(sys.argv[1]).live
ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
faulthandler.register(signal.SIGUSR1)
signal.signal(signal.SIGCHLD, signal.SIG_IGN)

def lead(task):
    def tell(**words):
        say(who=task["who"], **words)
    try:
        os.chdir(task["folder"])
        live(task, tell)
    except BaseException:
        tell(trouble="a life ended in the middle", text=traceback.format_exc()[-2500:])
    os._exit(0)

for line in sys.stdin:
    task = json.loads(line)
    if os.fork():
        continue
    # The keeper of one life: it says how that ended.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # Who wants to hear the stop button says so in their life.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    others, own = os.pipe()
    child = os.fork()
    if not child:
        os.close(others)
        lead(task)
    os.close(own)
    os.setpgid(child, child)
    say(who=task["who"], born=child)
    _, status = os.waitpid(child, 0)
    # Children of their own end with them, and nothing is said after the last line.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    while os.read(others, 1):
        pass
    say(who=task["who"], ended=os.waitstatus_to_exitcode(status))
    os._exit(0)
"""


def say(**words: Any) -> None:
    """Write a line for the test, with the moment at which it was written."""
    line = json.dumps(words | {"at": time.monotonic_ns()}).encode() + b"\n"
    assert len(line) < MOST, line
    os.write(1, line)


def _wait_for_standstill(leader: int) -> None:
    """Wait until a process and its children have stopped, where the system tells."""
    told = Path(f"/proc/{leader}/task/{leader}/children")
    with contextlib.suppress(OSError):
        for pid in (leader, *map(int, told.read_text().split())):
            while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "TZX":
                time.sleep(0.001)


class Crew:
    """The warm process, and the lives that were forked from it."""

    def __init__(self, module: str) -> None:
        """Warm up; `module` has the function `live`, each life has a folder in its task."""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `end`)
        self._process = subprocess.Popen(
            [sys.executable, "-c", WARM, module],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
        )
        self._rest = b""
        # The process of each who lives.
        self.alive: dict[str, int] = {}
        self.n_begun = 0

    def begin(self, who: str, **task: Any) -> None:
        """Let somebody begin a life."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"who": who, **task}).encode() + b"\n")
        self._process.stdin.flush()
        self.n_begun += 1

    def listen(self) -> Iterator[Line]:
        """Yield the lines of everybody, until all lives that were begun have ended."""
        while self.n_begun:
            line = self._next()
            if "born" in line:
                self.alive[line["who"]] = line["born"]
            if "ended" in line:
                self.alive.pop(line["who"], None)
                self.n_begun -= 1
            yield line

    def send(self, who: str, number: signal.Signals) -> bool:
        """Send a signal to somebody, and return whether they lived.

        The stop button is pressed for one process alone; what kills or stops it, or asks where it
        is, reaches its children too.
        """
        if who not in self.alive:
            return False
        send = os.kill if number == signal.SIGINT else os.killpg
        with contextlib.suppress(ProcessLookupError):
            send(self.alive[who], number)
        return True

    @contextlib.contextmanager
    def standstill(self) -> Iterator[None]:
        """Let everybody stand still, wherever they are, as long as the block takes."""
        stopped = [it for it in list(self.alive) if self.send(it, signal.SIGSTOP)]
        try:
            for who in stopped:
                _wait_for_standstill(self.alive[who])
            yield
        finally:
            for who in stopped:
                self.send(who, signal.SIGCONT)

    def _next(self) -> Line:
        assert self._process.stdout is not None
        while b"\n" not in self._rest:
            ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
            if not ready:
                for who in self.alive:
                    self.send(who, signal.SIGUSR1)
                time.sleep(_MOMENT)
                raise AssertionError(f"nobody says anything:\n{self.errors()}")
            found = os.read(self._process.stdout.fileno(), 65_536)
            assert found, self.errors()
            self._rest += found
        line, _, self._rest = self._rest.partition(b"\n")
        told: Line = json.loads(line)
        return told

    def errors(self) -> str:
        """Return what was written besides lines: tracebacks, and warnings."""
        self._said.seek(0)
        return self._said.read().decode(errors="replace")[-20_000:]

    def end(self) -> None:
        """Kill whoever lives still, and end the warm process."""
        for who in list(self.alive):
            self.send(who, signal.SIGCONT)
            self.send(who, signal.SIGKILL)
        self._process.communicate()
        self._said.close()


@contextlib.contextmanager
def crew(module: str) -> Iterator[Crew]:
    """Lend a crew that works in the working folder."""
    running = Crew(module)
    try:
        yield running
    finally:
        running.end()
