"""A script that is killed at any moment of saving: what then is so.

1. What `save()` returned from is there: the record, its links, its content byte for byte.
2. What it did not return from is there whole or not at all; a batch counts as one.
3. What else is in the storage, the doctor names as an orphan.
4. Positions are dense, and the read models are those that the log alone gives.
5. The next script goes on as if nothing had been.

Children are forked from one warm process, so that hundreds of kills cost seconds.
"""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger import doctor, instance
from tests.judge import assert_log_and_read_models_agree, judge
from tests.processes import environment
from tests.saving import KINDS

# Saves one thing after another, and says what `save()` returned from. It is killed by its own hand
# before a step of the given number (a statement of SQL, a durable step of content), or by a timer.
SAVING = r"""
import os, signal, sqlite3, sys
import ledger as ln
from ledger import files
from ledger.content import hashing, store, local
from ledger.registries import artifact, collection, ulabel, transform, run
import ledger.eventlog.sqlite, projections.sqlite, ledger.searching
from tests.saving import KINDS, save

ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
TRACKED = sys.argv[1] == "tracked"

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())

def work(begin, steps, micros):
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
    else:
        # The default of this signal ends the process at once: no handler of Python's runs.
        signal.setitimer(signal.ITIMER_REAL, micros / 1e6)
    if TRACKED:
        ln.track(key="killed.py", params={"begin": begin})
    n = begin
    while True:
        for kind in KINDS:
            n += 1
            save(kind, n)
            say("saved", kind, n)

for line in sys.stdin:
    child = os.fork()
    if not child:
        try:
            work(*map(int, line.split()))
        except BaseException as error:
            say("error", repr(error))
        os._exit(1)
    _, status = os.waitpid(child, 0)
    say("ended", os.waitstatus_to_exitcode(status))
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A fresh ledger, which this process opens anew for each judgement."""
    monkeypatch.setattr(instance, "_current", None)
    monkeypatch.setattr(instance, "_found_from", None)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("METALEDGER_KEY_DIR", str(tmp_path / "keys"))
    ln.init("storage")
    verbosity = ln.settings.verbosity
    ln.settings.verbosity = "error"
    yield tmp_path
    ln.close()
    ln.settings.verbosity = verbosity


class Saver:
    """The warm process whose children save until they are killed."""

    def __init__(self, *, is_tracked: bool) -> None:
        tracked = "tracked" if is_tracked else "untracked"
        # A script of a file: what is typed in has a run of its own each time.
        Path("killed.py").write_text(SAVING)
        self._process = subprocess.Popen(
            [sys.executable, "killed.py", tracked],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until_killed(self, begin: int, *, steps: int = 0, micros: int = 0) -> list[tuple[str, int]]:
        """Let a child save from number `begin` on, and return what it acknowledged."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{begin} {steps} {micros}\n")
        self._process.stdin.flush()
        acknowledged = []
        while True:
            said = self._process.stdout.readline().split(maxsplit=2)
            if said[0] == "ended":
                assert -int(said[1]) in {signal.SIGKILL, signal.SIGALRM}
                return acknowledged
            assert said[0] == "saved", said
            acknowledged.append((said[1], int(said[2])))

    def end(self) -> None:
        self._process.communicate()


@contextlib.contextmanager
def saver(*, is_tracked: bool) -> Iterator[Saver]:
    running = Saver(is_tracked=is_tracked)
    try:
        yield running
    finally:
        running.end()


# --- killed ---------------------------------------------------------------------------------------


def sweep(kills: int, seed: int, *, is_tracked: bool) -> None:
    chance = random.Random(seed)  # noqa: S311 (not a secret)
    everything = []
    with saver(is_tracked=is_tracked) as saving:
        for kill in range(kills):
            moment = (
                {"steps": chance.randrange(1, 900)}
                if chance.random() < 0.6
                else {"micros": chance.randrange(3_000, 150_000)}
            )
            acknowledged = saving.until_killed(1_000 * kill, **moment)
            judge(acknowledged)
            everything += acknowledged
            if kill % 10 == 9:
                assert_log_and_read_models_agree()
            ln.close()
    assert {kind for kind, _ in everything} == set(KINDS)
    judge(everything)
    assert_log_and_read_models_agree()
    doctor.remove_orphans(instance.current(), now=2**40)
    assert doctor.orphans(instance.current(), now=2**40) == []
    judge(everything)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("is_tracked", [False, True])
def test_killed_at_any_moment_keeps_what_was_acknowledged_and_nothing_half(is_tracked):
    sweep(24, 7, is_tracked=is_tracked)


@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("is_tracked", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_killed_hundreds_of_times(seed, is_tracked):
    sweep(120, 100 + seed, is_tracked=is_tracked)


@pytest.mark.usefixtures("place")
def test_killed_at_each_step_of_one_artifact_leaves_it_whole_or_absent():
    """A sweep, not a sample: every statement and every durable step until one is not met."""
    with saver(is_tracked=False) as saving:
        reached = []
        for number in range(1, 400):
            begin = 1_000 * number
            acknowledged = saving.until_killed(begin, steps=number)
            judge(acknowledged)
            reached.append(len(acknowledged))
            ln.close()
            if len(acknowledged) == 2:  # a label and a file: both were swept
                break
    assert reached[0] == 0
    assert sorted(reached) == reached
    assert len(reached) > 20
    assert_log_and_read_models_agree()


@pytest.mark.usefixtures("place")
def test_a_killed_run_is_continued_and_ends_with_everything_once():
    script = Path("resumed.py")
    script.write_text(
        "import os, sys\n"
        "import ledger as ln\n"
        "ln.settings.verbosity = 'error'\n"
        "ln.settings.creation.search_names = False\n"
        "ln.track(key='resumed.py')\n"
        "for i in range(10):\n"
        "    with open(f'r{i}.txt', 'w') as stream:\n"
        "        stream.write(f'result {i}')\n"
        "    made = ln.Artifact(f'r{i}.txt', key=f'r/{i}').save()\n"
        "    made.labels.add(ln.ULabel(name=f'l {i}').save())\n"
        "    if i == int(os.environ['KILL_AT']):\n"
        "        os.kill(os.getpid(), 9)\n"
        "ln.finish()\n"
    )
    heads = []
    for kill_at in (2, 5, 7, 99, 99):
        done = subprocess.run(
            [sys.executable, script], env=environment() | {"KILL_AT": str(kill_at)}, check=False
        )
        assert done.returncode == (0 if kill_at == 99 else -signal.SIGKILL)
        heads.append(ln.head())
    assert heads[-1] == heads[-2]
    assert ln.Run.filter().one().status == "finished"
    assert ln.Artifact.filter().count() == ln.ULabel.filter().count() == 10
    assert all(made.labels.count() == 1 for made in ln.Artifact.filter())
    assert_log_and_read_models_agree()
