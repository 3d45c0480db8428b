"""Who may read and write when: sessions, batches, and one thread of a process at a time.

1. A batch is one transaction, and begins it with its first effect: without any, nothing is locked.
2. Within a batch each write can fail alone, and so can a batch within it.
3. What a batch changed in memory is taken back, last first, where the batch fails.
4. One thread at a time writes: the others wait, also for the end of an open batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from ledger.database import Database, Session, WriteSession
from ledger.errors import StorageError
from ledger.ids import Position

PATIENCE = 60.0  # seconds a thread waits for another one of the process


class Batch(threading.local):
    """The open batch of a thread; it has a session once it has had an effect."""

    transaction: ExitStack | None = None
    session: WriteSession | None = None
    undo: list[Callable[[], None]] | None = None


class Sessions:
    """Sessions on one database, for reading and for writing."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._batch = Batch()
        self._lock = threading.RLock()

    @contextmanager
    def reading(self) -> Iterator[Session | WriteSession]:
        """Lend log and read models; inside a batch, those that see what the batch appended."""
        if self._batch.session is not None:
            yield self._batch.session
            return
        with self.database.read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[WriteSession]:
        """Lend an append transaction; inside a batch, a part of it that can fail alone."""
        batch = self._batch
        if batch.transaction is None:
            with self.database.write() as session:
                yield session
            return
        if batch.session is None:
            batch.session = batch.transaction.enter_context(self.database.write())
        session = batch.session
        with self.database.savepoint(session):
            yield session

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Group everything in the block into one transaction: all of it is recorded, or nothing.

        From the first effect on the append lock is held to the end of the block: other writers
        wait. Without any effect nothing is locked. A batch inside a batch is a part of it, and is
        undone alone where it fails and the outer one goes on.
        """
        batch = self._batch
        if batch.transaction is not None and batch.undo is not None:
            with self._inner(batch.transaction, batch.undo):
                yield
            return
        with self.turn():
            undo: list[Callable[[], None]] = [self._way_back()]
            try:
                with ExitStack() as transaction:
                    batch.transaction, batch.undo = transaction, undo
                    try:
                        yield
                    finally:
                        batch.transaction = batch.session = batch.undo = None
            except BaseException:
                for step in reversed(undo):
                    step()
                raise

    @contextmanager
    def _inner(self, outer: ExitStack, undo: list[Callable[[], None]]) -> Iterator[None]:
        batch = self._batch
        before = len(undo)
        undo.append(self._way_back())
        try:
            if batch.session is not None:
                with self.database.savepoint(batch.session):
                    yield
            else:
                # The transaction, if the inner batch begins it, is its own until it ends well.
                with ExitStack() as inner:
                    batch.transaction = inner
                    try:
                        yield
                    except BaseException:
                        batch.session = None
                        raise
                    finally:
                        batch.transaction = outer
                    outer.enter_context(inner.pop_all())
        except BaseException:
            for step in reversed(undo[before:]):
                step()
            del undo[before:]
            raise

    def on_undo(self, step: Callable[[], None]) -> None:
        """Have `step` called if the open batch of this thread fails; nothing without a batch."""
        if self._batch.undo is not None:
            self._batch.undo.append(step)

    @property
    def is_batching(self) -> bool:
        """Whether this thread has an open batch."""
        return self._batch.transaction is not None

    @property
    def is_locking(self) -> bool:
        """Whether this thread has an open batch that holds the append lock."""
        return self._batch.session is not None

    def head(self) -> Position:
        """Return the position of the last recorded event; 0 for an empty log."""
        with self.reading() as session:
            return session.log.head()

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Keep the other threads of the process out.

        Raises:
            StorageError: Another thread has been in for too long: it may wait for this one.
        """
        if not self._lock.acquire(timeout=PATIENCE):
            raise StorageError(
                f"save: another thread of this process has kept the ledger for {PATIENCE:.0f} s; "
                "save within the thread that opened the batch, or end the batch first"
            )
        try:
            yield
        finally:
            self._lock.release()

    def _way_back(self) -> Callable[[], None]:
        """Return what takes this object back to where it stands now."""
        return lambda: None
