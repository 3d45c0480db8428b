"""Moments: microseconds since 1970 UTC inside, aware datetimes outside."""

from __future__ import annotations

import datetime as dt
import time

from ledger.errors import CorruptLogError, InvalidValueError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
# The first and the last moment that a datetime can hold.
FIRST, LAST = (
    (moment.replace(tzinfo=dt.UTC) - EPOCH) // _MICROSECOND
    for moment in (dt.datetime.min, dt.datetime.max)  # noqa: DTZ901 (their time zone follows)
)

# Stands for the time of an event for which nobody says one. It is no date, and is never stored: the
# log puts the recorded time in its place.
UNSAID = FIRST - 1


def now_micros() -> int:
    """Return the time of this computer's clock, in microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


def to_micros(moment: dt.datetime) -> int:
    """Return an aware datetime as microseconds since 1970 UTC.

    Raises:
        InvalidValueError: It has no time zone.
    """
    if moment.tzinfo is None:
        raise InvalidValueError(
            f"datetime {moment}: expected one with a time zone, got a naive one; "
            "use datetime.now(UTC) or .astimezone()"
        )
    return (moment - EPOCH) // _MICROSECOND


def to_datetime(micros: int) -> dt.datetime:
    """Return microseconds since 1970 UTC as an aware datetime in UTC.

    Raises:
        CorruptLogError: There is no such date: an honest ledger holds no such time.
    """
    try:
        return EPOCH + dt.timedelta(microseconds=micros)
    except (OverflowError, TypeError) as error:
        raise CorruptLogError(
            f"time {micros!r}: expected microseconds since 1970 up to the year 9999; audit the "
            "ledger"
        ) from error


def moment_text(micros: int) -> str:
    """Return a moment to the second; the number itself where there is no such date."""
    if not FIRST <= micros <= LAST:
        return f"{micros} microseconds since 1970"
    return f"{to_datetime(micros):%Y-%m-%d %H:%M:%S}Z"
