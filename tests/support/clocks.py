"""A clock that shows what a test says, for the whole program and for a server's recorded times."""

from __future__ import annotations

import time

import pytest

from ledger.eventlog.postgres_connections import Transaction

DAY = 86_400_000_000  # microseconds
# Seconds and microseconds of this moment are not zero, so that a cut time differs from it.
START = 1_795_826_166_123_457  # 2026-11-28 01:56:06.123457 UTC


class Clock:
    """Shows a moment that a test sets, and goes on by a little with each look.

    Attributes:
        micros: The moment, in microseconds since 1970 UTC.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        """Take the place of this computer's clock, and of a server's clock, until the test ends."""
        self.micros = START
        patch.setattr(time, "time_ns", lambda: self.look() * 1_000)
        patch.setattr(Transaction, "now", lambda _: self.look())

    def look(self) -> int:
        """Return the moment."""
        self.micros += 7
        return self.micros
