"""Said time and said actor: `happened()`, and the past as it was said to be, on both databases."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from pathlib import Path

import pytest

import ledger as ln
from tests.support.door import artifact, label

THEN = dt.datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=dt.UTC)
LATER = THEN + dt.timedelta(days=400)


@pytest.fixture
def ledger(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def test_what_is_saved_in_the_block_bears_the_said_time_and_actor(ledger):  # noqa: ARG001
    with ln.happened(at=THEN, by="ada"):
        tag, made = label("x"), artifact("a.txt", key="a.txt")
        made.labels.add(tag)
    with ln.happened(at=LATER):
        tag.description = "changed"
        tag.save()
    assert (tag.created_at, tag.created_by) == (THEN, "ada")
    assert tag.updated_at == LATER
    assert (made.created_at, made.created_by) == (THEN, "ada")
    first = made.history()[0]
    assert first.occurred_at == THEN
    assert first.recorded_at > THEN
    assert ln.audit().ok
    assert label("y").created_by != "ada"


def test_a_batch_and_a_group_of_records_bear_it_too(ledger):  # noqa: ARG001
    with ln.happened(at=THEN, by="ada"), ln.batch():
        one = label("one")
        two = label("two")
    with ln.happened(by="bob"):
        (three,) = ln.save([ln.ULabel(name="three")])
    assert [it.created_by for it in (one, two, three)] == ["ada", "ada", "bob"]
    assert one.created_at == THEN < three.created_at


def test_a_block_within_a_block_says_more(ledger):  # noqa: ARG001
    with ln.happened(at=THEN, by="ada"), ln.happened(by="bob"):
        tag = label("x")
    assert (tag.created_at, tag.created_by) == (THEN, "bob")


def test_other_threads_say_nothing_of_it_and_tasks_of_the_block_do(ledger):  # noqa: ARG001
    async def save(name: str) -> ln.ULabel:
        return label(name)

    with ln.happened(at=THEN, by="ada"):
        thread = threading.Thread(target=label, args=("thread",))
        thread.start()
        thread.join()
        task = asyncio.run(save("task"))
    assert ln.ULabel.get(name="thread").created_by != "ada"
    assert task.created_by == "ada"


def test_a_time_that_cannot_have_been_is_refused(ledger, refuses):  # noqa: ARG001
    def enter(**said: object) -> None:
        with ln.happened(**said):  # type: ignore[arg-type]  # on purpose
            label("never")

    refuses(lambda: enter(at=dt.datetime(2024, 1, 1)), "InvalidValueError", "time zone")  # noqa: DTZ001
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    refuses(lambda: enter(at=future), "InvalidValueError", "future")
    refuses(lambda: enter(at="2024-01-01"), "InvalidValueError", "datetime")
    refuses(lambda: enter(by=""), "InvalidValueError", "by")
    refuses(lambda: enter(by="a\nb"), "InvalidValueError", "control")
    refuses(lambda: enter(by=7), "InvalidValueError", "name")


def test_a_run_and_a_block_do_not_meet(ledger):  # noqa: ARG001
    ln.track(key="a.py", name="a")
    with pytest.raises(ln.errors.CommandRejectedError, match="tracked run"), ln.happened(at=THEN):
        pass
    ln.finish()
    head = ln.head()
    with ln.happened(at=THEN), pytest.raises(ln.errors.CommandRejectedError, match="happened"):
        ln.track(key="a.py", name="a")
    assert ln.head() == head
    assert not ln.context.is_tracking


def test_a_save_of_a_block_in_a_run_that_another_thread_began_is_refused(ledger):  # noqa: ARG001
    with ln.happened(at=THEN):
        thread = threading.Thread(target=ln.track, args=("a", "a.py"))
        thread.start()
        thread.join()
        with pytest.raises(ln.errors.CommandRejectedError, match="run"):
            label("x")
    ln.finish()
    assert ln.ULabel.filter().count() == 0


def test_the_past_can_be_asked_as_it_was_said_to_be(ledger):  # noqa: ARG001
    with ln.happened(at=THEN):
        label("x")
        artifact("a.txt", key="a.txt")
    with ln.happened(at=LATER):
        label("y")
    label("now")

    def names(moment: object) -> list[str]:
        view = ln.as_of(moment, clock="said")
        return sorted(it.name for it in view.ULabel.filter())

    assert names(THEN - dt.timedelta(microseconds=1)) == []
    assert names(THEN) == names(LATER - dt.timedelta(microseconds=1)) == ["x"]
    assert names(LATER) == names("2026-01-01T00:00:00+00:00") == ["x", "y"]
    assert names(dt.datetime.now(dt.UTC)) == ["now", "x", "y"]
    assert ln.as_of(dt.datetime.now(dt.UTC)).ULabel.filter().count() == 3


def test_where_said_time_goes_back_no_position_answers(ledger, refuses):  # noqa: ARG001
    label("now")
    with ln.happened(at=THEN):
        label("x")
    position = ln.head()
    refuses(
        lambda: ln.as_of(LATER, clock="said"),
        "InvalidValueError",
        "goes back at position",
        str(position),
    )
    before = THEN - dt.timedelta(days=1)
    assert ln.as_of(before, clock="said").ULabel.filter().count() == 0
    assert ln.as_of(dt.datetime.now(dt.UTC), clock="said").position == position


def test_only_times_are_asked_by_said_time(ledger, refuses):  # noqa: ARG001
    refuses(lambda: ln.as_of(1, clock="said"), "InvalidValueError", "expected a time")
    refuses(lambda: ln.as_of("now", clock="said"), "InvalidValueError", "expected a time")
    refuses(
        lambda: ln.as_of(dt.datetime(2024, 1, 1), clock="said"),  # noqa: DTZ001
        "InvalidValueError",
        "time zone",
    )
    refuses(lambda: ln.as_of(1, clock="wall"), "InvalidValueError", "'recorded' or 'said'")
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    refuses(lambda: ln.as_of(future, clock="said"), "InvalidValueError", "future")
