"""Moments: microseconds since 1970 UTC inside, aware datetimes outside."""

from __future__ import annotations

import datetime as dt
import re
import time

from ledger.errors import CorruptLogError, InvalidValueError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)
# The first and the last moment that a datetime can hold.
FIRST, LAST = (
    (moment.replace(tzinfo=dt.UTC) - EPOCH) // _MICROSECOND
    for moment in (dt.datetime.min, dt.datetime.max)  # noqa: DTZ901 (their time zone follows)
)

_SECOND = 1_000_000
_UNITS = {
    "second": _SECOND,
    "minute": 60 * _SECOND,
    "hour": 3_600 * _SECOND,
    "day": 86_400 * _SECOND,
    "week": 7 * 86_400 * _SECOND,
}
_AGO = re.compile(rf"(?P<number>an?|\d{{1,9}})\s+(?P<unit>{'|'.join(_UNITS)})s?\s+ago", re.ASCII)

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


def ago(text: str, now: int) -> int | None:
    """Return the moment that `2 days ago` means, in microseconds; None for any other text.

    The unit is second, minute, hour, day (24 hours) or week, in the singular or the plural, after
    a whole number, `a` or `an`.

    Args:
        text: What a person gave, in any case.
        now: The present, in microseconds since 1970 UTC.

    Raises:
        InvalidValueError: It is before the year 1970.
    """
    found = _AGO.fullmatch(text.strip().casefold())
    if found is None:
        return None
    number = 1 if found["number"] in ("a", "an") else int(found["number"])
    moment = now - number * _UNITS[found["unit"]]
    if moment < 0:
        raise InvalidValueError(f"point '{text}': before 1970, when no ledger was there")
    return moment


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
