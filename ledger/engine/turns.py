"""Whose turn it is among the users of a ledger in a process: one at a time, in their order.

1. A turn belongs to a thread, or to a batch, which may be left by its thread and entered again.
2. A user that lets go hands over to the one that has waited longest. While anybody waits, the
   turn is never free, so that a faster one cannot pass.
3. A user may give up waiting: out of patience, interrupted, or refused. Where the turn came at that
   very moment the user has it, and lets go of it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable

from ledger import forks

LOOK = 0.05  # seconds between two looks of a thread that waits


class Turns:
    """Lends the turn to one user at a time; by default that is the thread which asks."""

    def __init__(self) -> None:
        forks.made_anew(self._begin)

    def _begin(self) -> None:
        self._guard = threading.Lock()
        self._owner: object = None
        # Each user, and what tells it that its turn has come.
        self._waiting: deque[tuple[object, Callable[[], object]]] = deque()

    def is_mine(self, owner: object = None) -> bool:
        """Return whether it is the turn of this thread, or of another owner."""
        return self._owner == (threading.get_ident() if owner is None else owner)

    @property
    def n_waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def take(
        self,
        patience: float,
        owner: object = None,
        *,
        look: Callable[[], None] | None = None,
    ) -> bool:
        """Wait for the turn, at most so many seconds, and return whether it has come.

        Where waiting is interrupted `is_mine` tells whether it has come all the same.

        Args:
            patience: How many seconds to wait at most.
            owner: Who asks; the thread by default.
            look: Called again and again while waiting; what it raises ends the waiting.
        """
        mine = threading.get_ident() if owner is None else owner
        ready = threading.Lock()
        ready.acquire()
        try:
            if self.ask(mine, ready.release):
                return True
            if look is None:
                return ready.acquire(timeout=patience) or not self.leave(mine)
            end = time.monotonic() + patience
            while True:
                look()
                left = end - time.monotonic()
                if ready.acquire(timeout=max(0.0, min(left, LOOK))):
                    return True
                if left <= LOOK:
                    return not self.leave(mine)
        except BaseException:
            self.leave(mine)
            raise

    def ask(self, owner: object, ready: Callable[[], object]) -> bool:
        """Take the turn if it is free; else have `ready` called when it has come."""
        with self._guard:
            if self._owner is None:
                self._owner = owner
                return True
            self._waiting.append((owner, ready))
            return False

    def hand_over(self) -> bool:
        """Give the turn to the next that waits; where none does, keep it and return False."""
        with self._guard:
            return self._next()

    def let_go(self) -> None:
        """End the turn: it goes to the next that waits, or is free."""
        with self._guard:
            self._owner = None
            self._next()

    def leave(self, owner: object) -> bool:
        """Have an owner wait no more; return whether that was in time: before the turn came."""
        with self._guard:
            for waiting in self._waiting:
                if waiting[0] == owner:
                    self._waiting.remove(waiting)
                    return True
            return False

    def _next(self) -> bool:
        if not self._waiting:
            return False
        self._owner, ready = self._waiting.popleft()
        ready()
        return True
