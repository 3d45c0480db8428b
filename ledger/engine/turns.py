"""Whose turn it is among the threads of a process: one at a time, in the order in which they asked.

1. A thread that lets go hands over to the one that has waited longest. While a thread waits, the
   turn is never free, so that a faster thread cannot pass.
2. A thread may give up waiting, out of patience or interrupted. Where the turn came at that very
   moment the thread has it, and lets go of it.
"""

from __future__ import annotations

import threading
from collections import deque

from ledger import forks


class Turns:
    """Lends the turn to one thread at a time."""

    def __init__(self) -> None:
        forks.made_anew(self._begin)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._owner: int | None = None
        # Each waits for a lock of its own; the thread that hands the turn over opens it.
        self._waiting: deque[tuple[int, threading.Lock]] = deque()

    def is_mine(self) -> bool:
        """Return whether it is this thread's turn."""
        return self._owner == threading.get_ident()

    @property
    def n_waiting(self) -> int:
        """How many threads wait."""
        return len(self._waiting)

    def take(self, patience: float) -> bool:
        """Wait for the turn, at most so many seconds, and return whether it has come.

        Where waiting is interrupted `is_mine` tells whether it has come all the same.
        """
        mine = (threading.get_ident(), threading.Lock())
        mine[1].acquire()
        try:
            with self._guard:
                if self._owner is None:
                    self._owner = mine[0]
                    return True
                self._waiting.append(mine)
            return mine[1].acquire(timeout=patience) or not self._leave(mine)
        except BaseException:
            self._leave(mine)
            raise

    def hand_over(self) -> bool:
        """Give the turn to the next that waits; where none does, keep it and return False."""
        with self._guard:
            if not self._waiting:
                return False
            self._owner, ready = self._waiting.popleft()
            ready.release()
            return True

    def let_go(self) -> None:
        """End the turn: it goes to the next that waits, or is free."""
        with self._guard:
            self._owner = None
            if self._waiting:
                self._owner, ready = self._waiting.popleft()
                ready.release()

    def _leave(self, mine: tuple[int, threading.Lock]) -> bool:
        """Wait no more, and return whether that was in time: before the turn came."""
        with self._guard:
            if mine not in self._waiting:
                return False
            self._waiting.remove(mine)
            return True
