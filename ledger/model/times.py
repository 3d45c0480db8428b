"""Moments: microseconds since 1970 UTC inside, aware datetimes outside."""

from __future__ import annotations

import datetime as dt
import time

from ledger.errors import InvalidValueError

EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


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
    """Return microseconds since 1970 UTC as an aware datetime in UTC."""
    return EPOCH + dt.timedelta(microseconds=micros)
