"""What is said of the events of a block: when they happened, and by whom.

1. It holds for the code inside the block, for the tasks of asyncio that it begins, and for no other
   thread.
2. A block within a block says more, or something else.
3. Nothing of a run is said to have happened at another time: the run says that itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

from ledger.errors import CommandRejectedError


class Said(NamedTuple):
    """When something happened, in microseconds since 1970 UTC, and by whom; None is unsaid."""

    at: int | None = None
    by: str | None = None


_said: ContextVar[Said | None] = ContextVar("said", default=None)


def said() -> Said | None:
    """Return what is said of events here; None where nothing is."""
    return _said.get()


@contextmanager
def saying(at: int | None, by: str | None) -> Iterator[None]:
    """Say of every event of the block when it happened, and by whom; None says nothing of that."""
    around = _said.get() or Said()
    token = _said.set(Said(around.at if at is None else at, around.by if by is None else by))
    try:
        yield
    finally:
        _said.reset(token)


def refuse_said(what: str) -> None:
    """Refuse what a block of said time cannot hold.

    Raises:
        CommandRejectedError: The code is inside of one.
    """
    if _said.get() is not None:
        raise CommandRejectedError(
            f"{what}: expected no happened() around it, as a run says itself when it is; end the "
            "block first, or use bridges.record_run() for a run that happened elsewhere"
        )
