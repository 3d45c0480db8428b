"""A script that is killed at any moment of saving: what then is so.

1. What `save()` returned from is there: the record, its links, its content byte for byte.
2. What it did not return from is there whole or not at all; a batch counts as one.
3. What else is in the storage, the doctor names as an orphan.
4. Positions are dense, and the read models are those that the log alone gives.
5. The next script goes on as if nothing had been.
6. So it is with three writers at once, some of which rebuild, export or sign meanwhile.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.upkeep import doctor
from tests.crash.killed import saver
from tests.support.judge import assert_audit_passes, assert_log_and_read_models_agree, judge
from tests.support.processes import environment
from tests.support.saving import KINDS


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


# --- killed ---------------------------------------------------------------------------------------


def sweep(kills: int, seed: int, *, is_tracked: bool, by_steps: float) -> None:
    """Kill before steps that are drawn, or after times, which are others on each computer."""
    chance = random.Random(seed)  # noqa: S311 (not a secret)
    everything = []
    with saver(is_tracked=is_tracked) as saving:
        for kill in range(kills):
            moment = (
                {"steps": chance.randrange(1, 900)}
                if chance.random() < by_steps
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
    # Content younger than the last event might be of another copy.
    ln.ULabel(name="after the last kill").save()
    doctor.remove_orphans(instance.current(), now=2**40)
    assert doctor.orphans(instance.current(), now=2**40) == []
    judge(everything)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("is_tracked", [False, True])
def test_killed_at_any_moment_keeps_what_was_acknowledged_and_nothing_half(is_tracked):
    sweep(24, 7, is_tracked=is_tracked, by_steps=1.0)


@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("is_tracked", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_killed_hundreds_of_times(seed, is_tracked):
    sweep(120, 100 + seed, is_tracked=is_tracked, by_steps=0.6)


WRITERS = (
    KINDS,
    ("rebuild", *reversed(KINDS), "export"),
    ("checkpoint", "batch", "many", "export", "label", "rebuild", "file", "folder"),
)


def sweep_together(rounds: int, seed: int) -> str:
    """Kill three writers each round, and return how it went."""
    chance = random.Random(seed)  # noqa: S311 (not a secret)
    everything: list[tuple[str, int]] = []
    with ExitStack() as stack:
        writers = [stack.enter_context(saver(is_tracked=False, kinds=it)) for it in WRITERS]
        for turn in range(rounds):
            for me, writer in enumerate(writers):
                # Each begins with another kind, so that none is always too late to be met.
                begin, micros = 1_000 * (3 * turn + me), chance.randrange(3_000, 900_000)
                writer.go(begin, first=turn, micros=micros)
            acknowledged = [it for writer in writers for it in writer.acknowledged()]
            judge(acknowledged)
            everything += acknowledged
            assert_audit_passes([it for writer in writers for it in writer.claims[-1:]])
            ln.close()
        judge(everything)
        assert_audit_passes([it for writer in writers for it in writer.claims], content=True)
    assert_log_and_read_models_agree()
    kinds = Counter(kind for kind, _ in everything)
    return f"{3 * rounds} kills, {len(everything)} deeds acknowledged: {dict(kinds)}"


@pytest.mark.usefixtures("place")
def test_three_writers_killed_at_some_moments_lose_nothing_they_acknowledged():
    sweep_together(4, 1)


@pytest.mark.slow
@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("seed", range(7))
def test_three_writers_killed_a_thousand_times_lose_nothing_they_acknowledged(seed, figure):
    figure(sweep_together(48, seed))


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
