"""A clock that is four years ahead, and one save under it: nothing of that happens in silence.

The clocks of this computer and of the server show what the tests say.
"""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.cli.place import info_verb
from ledger.model.times import to_datetime
from ledger.places import instance
from ledger.upkeep.doctor import examine
from ledger.upkeep.overview import about
from tests.support.clocks import DAY, START, Clock
from tests.support.door import label, names

YEARS = 1_461 * DAY
AHEAD = "ahead of the clock by 1,460 days"


@pytest.fixture
def clock(monkeypatch, ledger_folder):  # noqa: ARG001 (before the ledger)
    return Clock(monkeypatch)


@pytest.fixture
def once_wrong(clock, here) -> Clock:  # noqa: ARG001 (the ledger it works in)
    """A ledger with one save before, one under a clock four years ahead, and a clock put right."""
    label("before")
    clock.micros = START + YEARS
    label("with a wrong clock")
    clock.micros = START + DAY // 2
    # As a process that begins now: nothing was told in it yet.
    instance.current().sessions._is_told_ahead = False
    return clock


def of_clocks(capsys) -> list[str]:
    return [line for line in capsys.readouterr().err.splitlines() if "clock" in line]


def test_a_jump_of_more_than_a_day_is_said_when_it_happens(clock, here, capsys):  # noqa: ARG001
    label("before")
    clock.micros += DAY // 2
    label("the next day")
    assert of_clocks(capsys) == []
    clock.micros += YEARS
    label("with a wrong clock")
    (said,) = of_clocks(capsys)
    assert "1,461 days after the event before" in said
    assert "put the clock right at once" in said
    label("still with it")
    assert of_clocks(capsys) == []


def test_the_next_append_says_that_the_log_is_ahead_once(once_wrong, capsys):  # noqa: ARG001
    capsys.readouterr()
    with ln.batch():
        label("after")
    label("and more")
    (said,) = of_clocks(capsys)
    assert AHEAD in said


def test_doctor_and_info_say_that_the_log_is_ahead(once_wrong):  # noqa: ARG001
    label("after")
    ledger = instance.current()
    (found,) = [it for it in examine(ledger) if it.kind == "log-ahead"]
    assert (found.severity, found.subject) == ("warning", "position 3")
    assert AHEAD in found.message
    told = about(ledger.place)
    assert told.ahead * 1e6 > YEARS - DAY


def test_a_time_that_leaves_events_out_says_so(once_wrong, capsys):
    label("after")
    capsys.readouterr()
    view = ln.as_of(to_datetime(once_wrong.look()))
    assert names(view.ULabel.filter()) == ["before"]
    (said,) = of_clocks(capsys)
    assert "events from position 3 on are left out" in said
    # A moment before which more was recorded leaves nothing out that it should not.
    ln.as_of(to_datetime(START - DAY))
    assert of_clocks(capsys) == []
    assert names(ln.as_of("now").ULabel.filter())[-1] == "after"
    assert ln.as_of(4).ULabel.get(name="after").name == "after"


def test_after_a_wrong_clock_events_say_when_they_happened(once_wrong):
    after = label("after")
    event = ln.log()[-1]
    assert event.recorded_at > to_datetime(START + YEARS)
    assert event.occurred_at == after.created_at
    assert abs(after.created_at - to_datetime(once_wrong.micros)).total_seconds() < 1
    assert ln.audit().ok


def test_once_the_clock_comes_there_all_is_as_before(once_wrong, capsys):
    label("after")
    once_wrong.micros = START + 2 * YEARS
    capsys.readouterr()
    late = label("late")
    (said,) = of_clocks(capsys)
    assert "after the event before" in said
    assert ln.as_of(late.created_at).ULabel.get(late.uid) == late
    assert not [it for it in examine(instance.current()) if it.kind == "log-ahead"]
    assert about(instance.current().place).ahead == 0.0


def test_info_tells_it_beside_the_time_of_the_last_event(once_wrong, capsys):  # noqa: ARG001
    info_verb.main([], standalone_mode=False)
    assert "1,460 days ahead of this computer's clock" in " ".join(capsys.readouterr().out.split())
