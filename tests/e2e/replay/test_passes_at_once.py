"""Several passes, threads and processes, and what makes a pass another run."""

from __future__ import annotations

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

import ledger as ln
from ledger.errors import (
    CommandRejectedError,
    NotFoundError,
    NotTrackingError,
)
from ledger.tracking.environment import capture_environment
from tests.support.histories import FIRST, artifact, label

pytestmark = pytest.mark.usefixtures("bench")


# --- several passes in one process, or several processes ------------------------------------------


def test_tracking_again_ends_the_pass_before_without_a_claim(bench):
    with bench.passing(key="two.py"):
        ln.track(key="one.py")
        label("x")
        ln.track(key="two.py")
        label("y")
    assert {run.transform.key: run.status for run in ln.Run.filter()} == {
        "one.py": "ended",
        "two.py": "finished",
    }
    with pytest.raises(NotTrackingError):
        ln.finish()


def test_two_passes_of_one_script_in_one_process_are_one_run(lab):
    for _ in range(2):
        ln.track()
        label("x")
    ln.finish()
    assert len(lab.find("run")) == 1


def test_a_new_run_on_demand_is_new_each_time(bench, lab):
    for _ in range(3):
        with bench.passing(new_run=True) as tags:
            label("x")
        assert tags[-1] == "run-finished"
    assert [row["ordinal"] for row in lab.find("run")] == [1, 2, 3]


def test_threads_of_one_pass_take_turns_and_add_nothing_again(bench, lab):

    def script():
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda number: label(f"label {number % 20}"), range(60)))

    with bench.passing():
        script()
    with bench.passing() as again:
        script()
    assert again == []
    assert len(lab.names()) == 20
    assert "60 intents (60 already recorded" in bench.receipt


def test_another_thread_waits_for_the_end_of_a_batch(bench, lab):
    opened, saved = threading.Event(), []

    def other():
        opened.wait()
        saved.append(label("from the other thread"))

    thread = threading.Thread(target=other)
    thread.start()
    with bench.passing():
        with ln.batch():
            label("x")
            opened.set()
            label("y")
        thread.join()
        label("z")
    created = [
        it.event.fields["name"]
        for it in lab.events()
        if it.event.command[:3:2] == ["intent", "save"]
    ]
    assert created.index("y") == created.index("x") + 1
    assert len(created) == 4


def test_a_thread_that_waits_for_a_batch_that_waits_for_it_is_told(lab):
    with ThreadPoolExecutor(1) as pool, ln.batch():
        label("x")
        with pytest.raises(CommandRejectedError, match="waits for this thread"):
            pool.submit(label, "y").result()
    assert lab.names() == ["x"]


def test_a_forked_child_that_saves_is_a_part_of_its_parents_run(bench, lab):
    def script():
        label("parent")
        child = os.fork()
        if child == 0:
            try:
                label("child")
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        label("after")

    with bench.passing() as tags:
        script()
    assert tags == [*FIRST, *["record-created"] * 3, "run-finished"]
    with bench.passing() as again:
        script()
    assert again == []
    assert {row["run"] for row in lab.find("ulabel")} == {ln.Run.filter().one().uid}


def test_the_environment_is_a_part_of_the_identity(bench, monkeypatch):
    with bench.passing():
        label("x")
    real = capture_environment()
    other = msgspec.structs.replace(real, distributions=(("other", "1"),))
    monkeypatch.setattr("ledger.tracking.starting.capture_environment", lambda: other)
    with bench.passing() as tags:
        label("x")
    assert tags == ["blob-recorded", "run-started", "run-finished"]


def test_a_change_outside_a_run_that_changes_nothing_has_no_event(lab):
    it = label("x", description="a")
    made = artifact(lab, "content", "data.txt")
    made.labels.add(it)
    it.delete()
    head = lab.head()
    it.delete()
    it.description = "a"
    it.save()
    made.labels.add(it)
    artifact(lab, "content", "data.txt")
    label("x")
    assert lab.head() == head
    it.delete(permanent=True)
    with pytest.raises(NotFoundError):
        it.delete()


def test_rebuilt_read_models_are_the_live_ones(bench, lab):
    for day in ("monday", "tuesday", "monday"):
        with bench.passing(ends="leave"):
            made = artifact(lab, day, "data.txt")
            made.load()
            made.labels.add(label("x", description=day))
    live = lab.tables()
    lab.ledger.database.rebuild()
    assert lab.tables() == live
