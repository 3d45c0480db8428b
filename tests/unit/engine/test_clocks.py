"""What is said of wrong clocks, and from which difference on."""

from __future__ import annotations

import pytest

from ledger.engine.clocks import DAY, TOLERANCE, ahead, duration, jumped, lead

NOON = 1_795_780_800_000_000  # 2026-11-27 12:00:00 UTC


@pytest.mark.parametrize("by", [-4 * DAY, 0, 1, TOLERANCE])
def test_a_log_that_is_ahead_by_a_minute_at_most_is_not_told(by):
    assert (lead(NOON, NOON + by), ahead(NOON, NOON + by)) == (0, None)


@pytest.mark.parametrize("by", [TOLERANCE + 1, DAY, 1_461 * DAY])
def test_a_log_that_is_ahead_of_the_clock_is_told_with_both_times(by):
    assert lead(NOON, NOON + by) == by
    said = ahead(NOON, NOON + by)
    assert said is not None
    assert f"ahead of the clock by {duration(by)}" in said
    assert "2026-11-27 12:00:00Z" in said


def test_a_step_of_more_than_a_day_is_told():
    assert jumped(NOON + DAY, NOON) is None
    assert jumped(NOON - 400 * DAY, NOON) is None
    assert jumped(NOON, 0) is None
    said = jumped(NOON + 1_461 * DAY, NOON)
    assert said is not None
    assert "1,461 days" in said


@pytest.mark.parametrize(
    ("micros", "words"),
    [
        (61_000_000, "61 seconds"),
        (120_000_000, "2 minutes"),
        (2 * 3_600_000_000, "2 hours"),
        (47 * 3_600_000_000, "47 hours"),
        (2 * DAY, "2 days"),
    ],
)
def test_a_duration_is_in_its_largest_unit_of_two_or_more(micros, words):
    assert duration(micros) == words
