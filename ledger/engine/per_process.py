"""Something that is opened when it is first needed, once in each process: connections.

1. Threads that need it at the same moment open it once.
2. A forked child opens its own. The child leaves its parent's alone, and leaves it open too: SQLite
   forbids to use or close it, and a server would take the end of one for the end of the other.
3. It can be closed, and is opened again when it is next needed.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from ledger import forks

T = TypeVar("T")


class PerProcess(Generic[T]):
    """Holds a thing that `begin` opens and `end` closes."""

    def __init__(self, begin: Callable[[], T], end: Callable[[T], None]) -> None:
        self._begin = begin
        self._end = end
        self._opened: tuple[T] | None = None
        forks.made_anew(self._renew_lock)
        forks.in_child(self._leave_alone)

    def _renew_lock(self) -> None:
        self._lock = threading.Lock()

    def _leave_alone(self) -> None:
        if self._opened is not None:
            forks.keep(self._opened)
            self._opened = None

    def get(self) -> T:
        """Return it; open it where this process has not."""
        opened = self._opened
        if opened is not None:
            return opened[0]
        with self._lock:
            if self._opened is None:
                self._opened = (self._begin(),)
            return self._opened[0]

    def holds(self, thing: T) -> bool:
        """Return whether this very thing is open, rather than a later one."""
        return self._opened is not None and self._opened[0] is thing

    def close(self) -> None:
        """Close it where this process has opened it."""
        with self._lock:
            opened, self._opened = self._opened, None
            if opened is not None:
                self._end(opened[0])
