"""Points in time on the command line: `--as-of`, and the source of records that it means."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from ledger.places.source import Source

F = TypeVar("F", bound=Callable[..., Any])

KINDS = "a position, a time with its zone, a tag, a run, or now"


def as_of_option(function: F) -> F:
    """Give a verb `--as-of`."""
    return click.option("--as-of", "as_of", metavar="POINT", help=f"As it was at POINT: {KINDS}.")(
        function
    )


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
