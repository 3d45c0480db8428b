"""Points in time on the command line: `--as-of`, and the source of records that it means."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ledger.places.source import Source

F = TypeVar("F", bound=Callable[..., Any])

KINDS = "a position, a time or date, '2 days ago', a tag, a run, or now"


class PointText(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.5 on
    """A point as a person types it: a time or date without a zone is that of this computer."""

    name = "point"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the point with its zone, and say which zone was taken."""
        del param, ctx
        return zoned(value, ends=True)


def zoned(text: str, *, ends: bool) -> str:
    """Return a time or date without a zone as a time with the local zone; other text as it is.

    Args:
        text: What was typed.
        ends: Whether a date means its end, as a point does; else its beginning.
    """
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return text
    # Digits alone are a position, and never a date.
    if moment.tzinfo is not None or text.isdecimal():
        return text
    from ledger.display.messages import say

    try:
        dt.date.fromisoformat(text)
    except ValueError:
        # The digits of a time tell how long it is, so they stay as they are.
        made = text + moment.astimezone().isoformat()[len(moment.isoformat()) :]
    else:
        last = dt.datetime.combine(moment, dt.time(23, 59, 59)).astimezone()
        made = (last if ends else moment.astimezone()).isoformat()
        if ends and moment.astimezone() <= dt.datetime.now(dt.UTC) < last:
            made = "now"  # the end of today is still to come
    say("info", f"'{text}' is taken as {made}, the local time of this computer")
    return made


def as_of_option(function: F) -> F:
    """Give a verb `--as-of`."""
    return click.option(
        "--as-of", "as_of", metavar="POINT", type=PointText(), help=f"As it was at POINT: {KINDS}."
    )(function)


def source_at(point: str | None) -> Source:
    """Return where records are read from: now, or as of a point.

    Raises:
        InvalidValueError: The point is in the future, or a time without its zone.
        NotFoundError: No tag and no run has this name.
    """
    from ledger.past.points import resolve
    from ledger.places import instance
    from ledger.places.source import Source

    ledger = instance.current()
    return Source(ledger, None if point is None else resolve(ledger, point).position)
