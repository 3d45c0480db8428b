"""A ledger in memory: what tests of the layers above run on, and compare the databases with."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ledger.engine.database import Database, Session, WriteSession, refold
from tests.support.memory_log import MemoryLog
from tests.support.memory_models import MemoryModels


class MemoryDatabase(Database):
    """A ledger that ends with the process."""

    # Its lock belongs to the thread that took it, and its commit costs nothing.
    can_share = False

    def __init__(self, clock: Callable[[], int]) -> None:
        self._lock = threading.RLock()
        self._log = MemoryLog(clock)
        self._models = MemoryModels()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Lend log and read models for reading."""
        with self._lock:
            yield Session(self._log, self._models)

    @contextmanager
    def write(self) -> Iterator[WriteSession]:
        """Lend log and read models for appending."""
        with self._lock:
            session = WriteSession(self._log, self._models)
            with self.savepoint(session):
                yield session
            self._models.release(0)
            self._log.settle()

    @contextmanager
    def savepoint(self, session: WriteSession) -> Iterator[None]:
        """Undo what the block did if it raises."""
        length, token = session.log.head(), self._models.savepoint()
        try:
            yield
        except BaseException:
            self._log.rollback(length)
            self._models.rollback(token)
            raise

    def rebuild(self) -> int:
        """Fold the whole log anew into empty read models."""
        with self._lock:
            return refold(self._log, self._models)

    def copy_to(self, path: Path) -> MemoryDatabase:
        """Return a copy as it is now; nothing is written to `path`."""
        del path
        with self._lock:
            return MemoryDatabase._of(self._log.copy())

    @classmethod
    def _of(cls, log: MemoryLog) -> MemoryDatabase:
        database = cls(log.clock)
        database._log = log
        refold(log, database._models)
        return database

    def scrub(self) -> bool:
        """Do nothing: memory keeps no overwritten bytes."""
        return True

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""
