"""Times as points: what bears a time is there as of that time, on both databases.

The clocks of this computer and of the server show what the tests say.
"""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import ledger as ln
from ledger.display.rows import short_time
from ledger.model.times import moment_text, to_micros
from tests.e2e.command import metaledger
from tests.support.clocks import START, Clock
from tests.support.door import artifact, label


@pytest.fixture
def clock(monkeypatch, ledger_folder: Path) -> Clock:  # noqa: ARG001 (before the ledger)
    return Clock(monkeypatch)


@pytest.fixture
def ledger(clock: Clock, here: Path) -> Clock:  # noqa: ARG001 (the ledger it works in)
    ln.settings.verbosity = "error"
    return clock


def happened() -> list[tuple[dt.datetime, int]]:
    """Let things happen in a run; return times that records bear, and what they name."""
    run = ln.track(key="a.py", name="a")
    found = []

    def note(moment: dt.datetime) -> None:
        found.append((moment, ln.head()))

    tag = label("x")
    note(tag.created_at)
    made = artifact("a.txt", key="a.txt")
    note(made.created_at)
    tag.description = "changed"
    note(tag.save().updated_at)
    made.labels.add(tag)
    note(ln.log()[-1].occurred_at)
    note(made.retract("wrong").updated_at)
    tag.delete()
    note(ln.ULabel.get(tag.uid).updated_at)
    ln.finish()
    note(ln.Run.get(run.uid).finished_at)
    return found


def test_as_of_the_time_that_a_record_bears_it_is_there(ledger):  # noqa: ARG001
    for moment, position in happened():
        assert ln.as_of(moment).position == position
        assert ln.as_of(moment.isoformat()).position == position
        assert ln.as_of(moment - dt.timedelta(microseconds=1)).position == position - 1


def test_where_nobody_says_otherwise_an_event_happens_when_it_is_recorded(ledger):  # noqa: ARG001
    happened()
    ln.tag("here")
    ln.erase(artifact("b.txt").uid, reason="request")
    assert [event.occurred_at for event in ln.log()] == [event.recorded_at for event in ln.log()]


def test_a_signed_erasure_happens_when_it_is_recorded(ledger):  # noqa: ARG001
    ln.checkpoint()
    made = artifact("b.txt", key="b.txt")
    done = ln.erase(made.uid, reason="request")
    (event,) = ln.log(since=done.position - 1, until=done.position)
    assert event.event["signature"] is not None
    assert event.occurred_at == event.recorded_at
    assert ln.audit().ok


def pasted(moment: dt.datetime) -> list[object]:
    """Return a time as tables, notebooks and people write it, cut to the second or the minute."""
    micros = to_micros(moment)
    second = moment.replace(microsecond=0)
    india = dt.timezone(dt.timedelta(hours=5, minutes=30))
    return [
        short_time(micros),
        moment_text(micros),
        second,
        pd.Timestamp(second),
        second.isoformat(),
        second.astimezone(india).isoformat(),
        f"{moment:%Y-%m-%d %H:%M:%SZ}",
        f"{moment:%Y-%m-%d %H:%MZ}",
        f"{moment:%Y%m%dT%H%MZ}",
        moment.isoformat(timespec="milliseconds"),
    ]


def test_a_time_without_a_fraction_means_the_end_of_what_it_names(ledger):
    for moment, position in happened():
        # What happens in the next minute is not meant.
        ledger.micros += 61_000_000
        label(f"after {position}")
        for point in pasted(moment):
            assert position <= ln.as_of(point).position < ln.head(), point


def test_the_second_and_the_minute_that_have_begun_mean_now(ledger):
    made = label("x")
    assert ledger.micros - START < 500_000
    for point in pasted(made.created_at):
        assert ln.as_of(point).position == ln.head()


def test_a_time_after_the_one_that_has_begun_is_in_the_future(ledger):
    label("x")
    moment = dt.datetime.fromtimestamp(ledger.micros // 1_000_000 + 1, dt.UTC)
    for point in (moment, moment.isoformat(), short_time(to_micros(moment))):
        with pytest.raises(ln.errors.InvalidValueError, match="future"):
            ln.as_of(point)


@pytest.mark.parametrize("kind", [np.int64, np.int32, np.uint8, int])
def test_whole_numbers_of_numpy_are_positions(ledger, kind):  # noqa: ARG001
    label("x")
    assert ln.as_of(kind(1)).position == 1
    assert ln.tag("first", at=kind(1)).position == 1


@pytest.mark.parametrize(
    "point", [np.float64(1), np.True_, np.array([1]), np.datetime64("2026-01-01")]
)
def test_other_values_of_numpy_are_no_points(ledger, point):  # noqa: ARG001
    with pytest.raises(ln.errors.InvalidValueError, match="expected a position"):
        ln.as_of(point)


def test_now_is_a_point(ledger):  # noqa: ARG001
    label("x")
    assert ln.as_of("now").position == ln.as_of("NOW").position == ln.head()
    assert ln.diff(1, "now").added


@pytest.mark.parametrize(
    "name", ["now", "Now", "head", "today", "yesterday", "2 days ago", "2026-11-28 01:56:06 UTC"]
)
def test_a_word_that_is_a_point_names_no_tag(ledger, name):  # noqa: ARG001
    with pytest.raises(ln.errors.InvalidValueError, match=r"reads as (a time|the present)"):
        ln.tag(name)
    assert ln.tag("v-now").name == "v-now"


@pytest.mark.parametrize("text", ["1 second ago", "2 days ago", "an hour ago", "3 Weeks  ago"])
def test_so_long_ago_is_a_point_and_a_time(here, text):  # noqa: ARG001 (the ledger)
    label("made just now")
    assert ln.as_of(text).position in (0, 1, 2)
    assert ln.ULabel.filter(created_at__lt=text).count() in (0, 1)
    assert ln.ULabel.filter(created_at__gt="2 days ago").count() == 1
    assert ln.as_of("2 days ago").position == 0
    with pytest.raises(ln.errors.InvalidValueError, match="before 1970"):
        ln.as_of("999999 weeks ago")


def test_a_time_without_a_zone_is_local_on_the_command_line_alone(here):
    label("made just now")
    date = "2026-01-01"
    said = metaledger(here, "list", "ulabel", "--as-of", date, TZ="Asia/Tokyo")
    assert f"'{date}' is taken as {date}T23:59:59+09:00, the local time" in said.err
    today = metaledger(
        here, "list", "ulabel", "--as-of", dt.datetime.now().astimezone().date().isoformat()
    )
    assert "made just now" in today.out
    since = metaledger(here, "list", "ulabel", "--filter", "created_at__gt=1999-12-31", TZ="UTC")
    assert "'1999-12-31' is taken as 1999-12-31T00:00:00+00:00" in since.err
    assert "made just now" in since.out
    asked = ("list", "ulabel", "--as-of", "1999-12-31 12:30")
    assert "1999-12-31 12:30+01:00" in metaledger(here, *asked, TZ="Europe/Berlin").err
    with pytest.raises(ln.errors.InvalidValueError, match="time zone"):
        ln.as_of(date)
