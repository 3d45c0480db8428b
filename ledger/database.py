"""Log and read models as one thing: what is appended is folded in the same transaction.

The only place that knows both. A read session sees the present; a write session holds the append
lock from its first statement to its commit, so that what a decision reads stays true until what
it decided is recorded.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from ledger.errors import CorruptLogError, StorageError, UnknownEventError
from ledger.eventlog.base import Appender, LogReader
from ledger.events import Draft, RecordedEvent
from ledger.ids import CommandId
from ledger.opened import OnceAProcess
from projections.fold import fold
from projections.select import Select
from projections.store import ReadModels, Row, WritableModels
from projections.tables import SCHEMA_NUMBER

if TYPE_CHECKING:
    from ledger.eventlog.memory import MemoryLog
    from ledger.eventlog.sqlite import Recorder
    from ledger.eventlog.sqlite_connections import Datastore
    from projections.sqlite import SqliteModels

FORMAT = 1  # of the log; raised only when today's program could not read tomorrow's log


class Session:
    """Log and read models for reading."""

    def __init__(self, log: LogReader, models: ReadModels) -> None:
        self.log = log
        self.models = models


class WriteSession:
    """Log and read models inside one append transaction.

    Attributes:
        last: The last event that was appended through it; None before the first.
        shown: What the last append was asked to show.
    """

    def __init__(self, log: Appender, models: WritableModels) -> None:
        self.log = log
        self.models = models
        self.last: RecordedEvent | None = None
        self.shown: list[Row] = []

    def append(
        self, command_id: CommandId, drafts: Sequence[Draft], *, shown: Select | None = None
    ) -> list[RecordedEvent]:
        """Record the events of one command and fold them into the read models.

        Args:
            command_id: Of the command.
            drafts: Its events, in order.
            shown: What to ask then; the answer is left in the attribute of this name.

        Raises:
            NameTakenError: Two live records would bear one name; nothing was recorded.
            WrongExpectedVersionError: Somebody wrote past the append lock.
        """
        events = self.log.append(command_id, drafts, is_held=True)
        self.shown = self.models.apply_all(
            ((recorded.position, fold(recorded)) for recorded in events), shown=shown
        )
        self.last = events[-1]
        return events


class Database(ABC):
    """Where a ledger's log and read models are.

    Attributes:
        can_share: Whether a write session may pass from thread to thread before it ends.
    """

    can_share: ClassVar[bool] = True

    @abstractmethod
    def read(self) -> AbstractContextManager[Session]:
        """Lend log and read models for reading."""

    @abstractmethod
    def write(self) -> AbstractContextManager[WriteSession]:
        """Lend log and read models for appending; durable at the end, undone if it raises."""

    @abstractmethod
    def savepoint(self, session: WriteSession) -> AbstractContextManager[None]:
        """Undo what the block did to an open write session if it raises; the session goes on."""

    @abstractmethod
    def rebuild(self) -> int:
        """Fold the whole log anew into empty read models and return how many events it holds."""

    @abstractmethod
    def copy_to(self, path: Path) -> Database:
        """Return a copy as it is now, at a path where nothing is; the original is left alone."""

    @abstractmethod
    def scrub(self) -> bool:
        """Write the database anew without what was overwritten or removed in it.

        Returns:
            Whether nothing of that is left; the user is told what else to do.
        """

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the ledger can be opened again."""


class MemoryDatabase(Database):
    """A ledger that ends with the process."""

    # Its lock belongs to the thread that took it, and its commit costs nothing.
    can_share = False

    def __init__(self, clock: Callable[[], int]) -> None:
        from ledger.eventlog.memory import MemoryLog  # noqa: PLC0415 (loads the framework)
        from projections.memory import MemoryModels  # noqa: PLC0415

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
        """Do nothing: nothing is left of what was overwritten."""
        return True

    def close(self) -> None:
        """Do nothing: there is nothing to give back."""


class SqliteDatabase(Database):
    """A ledger in one SQLite file."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self.path = path
        self._clock = clock
        self._connections = OnceAProcess(self._connect, lambda opened: opened[0].close())

    @classmethod
    def create(cls, path: Path, clock: Callable[[], int]) -> SqliteDatabase:
        """Make the tables of a new ledger, at a path where no file is, and return it."""
        from ledger.eventlog.sqlite import Recorder  # noqa: PLC0415
        from ledger.eventlog.sqlite_connections import (  # noqa: PLC0415
            APPLICATION_ID,
            Datastore,
            set_meta,
            translated,
        )
        from projections.sqlite import register_functions  # noqa: PLC0415

        database = cls(path, clock)
        store = Datastore(str(path), prepare=register_functions)
        try:
            with store.connection(write=False) as connection:
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            with translated():
                Recorder(store).create_table()
            with store.connection(write=True) as connection:
                database._models(connection).create()
                set_meta(connection, {"format": str(FORMAT), "read_models": str(SCHEMA_NUMBER)})
        finally:
            store.close()
        return database

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Lend log and read models for reading."""
        from ledger.eventlog.sqlite import SqliteReader  # noqa: PLC0415

        store, _ = self._open()
        with store.connection(write=False) as connection:
            yield Session(SqliteReader(connection), self._models(connection))

    @contextmanager
    def write(self) -> Iterator[WriteSession]:
        """Lend log and read models for appending."""
        from ledger.eventlog.sqlite import SqliteAppender  # noqa: PLC0415

        store, recorder = self._open()
        with store.connection(write=True) as connection:
            yield WriteSession(
                SqliteAppender(connection, recorder, self._clock), self._models(connection)
            )

    @contextmanager
    def savepoint(self, session: WriteSession) -> Iterator[None]:
        """Undo what the block did to an open write session if it raises."""
        from ledger.eventlog.sqlite_connections import translated  # noqa: PLC0415

        connection = session.log.connection  # type: ignore[attr-defined]
        if not connection.in_transaction:
            # Without this, what follows in the batch would be recorded piece by piece.
            raise StorageError(
                "ledger database: it took the batch back by itself (a full disk does that); "
                "nothing of the batch is recorded, leave it and begin another one"
            )
        with translated():
            connection.execute("SAVEPOINT one_save")
            try:
                yield
            except BaseException:
                # A full disk, among others, makes SQLite roll back all of it by itself.
                if connection.in_transaction:
                    connection.execute("ROLLBACK TO one_save")
                    connection.execute("RELEASE one_save")
                raise
            connection.execute("RELEASE one_save")

    def rebuild(self) -> int:
        """Fold the whole log anew into empty read models."""
        with self.write() as session:
            return refold(session.log, session.models)

    def copy_to(self, path: Path) -> SqliteDatabase:
        """Return a copy as it is now, in another file."""
        from ledger.eventlog.sqlite_connections import copy_file  # noqa: PLC0415

        store, _ = self._open()
        with store.connection(write=False) as connection:
            copy_file(connection, path)
        return SqliteDatabase(path, self._clock)

    def scrub(self) -> bool:
        """Write the file anew without what was overwritten, and empty the write-ahead log."""
        store, _ = self._open()
        return store.scrub()

    def close(self) -> None:
        """Give connections back."""
        self._connections.close()

    def _open(self) -> tuple[Datastore, Recorder]:
        return self._connections.get()

    def _connect(self) -> tuple[Datastore, Recorder]:
        from ledger.eventlog.sqlite import Recorder  # noqa: PLC0415
        from ledger.eventlog.sqlite_connections import Datastore  # noqa: PLC0415
        from projections.sqlite import register_functions  # noqa: PLC0415

        if not self.path.is_file():
            raise StorageError(
                f"ledger database {self.path}: expected a file, found none; restore it from a "
                "backup, or run 'metaledger init' for a new ledger"
            )
        store = Datastore(str(self.path), prepare=register_functions)
        try:
            is_ledger = store.is_ledger()
        except BaseException:
            store.close()
            raise
        if not is_ledger:
            store.close()
            raise CorruptLogError(
                f"ledger database {self.path}: expected a ledger, found a file that is none; "
                "restore it from a backup"
            )
        with store.connection(write=False) as connection:
            found = dict(connection.execute("SELECT name, value FROM meta").fetchall())
        if int(found.get("format", 0)) > FORMAT:
            store.close()
            raise UnknownEventError(
                f"ledger {self.path}: format {found['format']}, this program knows up to {FORMAT}; "
                "upgrade metaledger"
            )
        recorder = Recorder(store)
        if found.get("read_models") != str(SCHEMA_NUMBER):
            self._renew(store, recorder)
        return store, recorder

    def _renew(self, store: Datastore, recorder: Recorder) -> None:
        """Replace read models of another version of this program by today's."""
        from ledger.eventlog.sqlite import SqliteAppender  # noqa: PLC0415
        from ledger.eventlog.sqlite_connections import set_meta  # noqa: PLC0415

        with store.connection(write=True) as connection:
            models = self._models(connection)
            models.drop()
            models.create()
            refold(SqliteAppender(connection, recorder, self._clock), models)
            set_meta(connection, {"read_models": str(SCHEMA_NUMBER)})

    @staticmethod
    def _models(connection: Any) -> SqliteModels:
        from projections.sqlite import SqliteModels  # noqa: PLC0415

        return SqliteModels(connection)


def refold(log: LogReader, models: WritableModels) -> int:
    """Empty the read models, fold the whole log into them, and return how many events it holds."""
    models.clear()
    count = 0
    for recorded in log.read():
        models.apply(recorded.position, fold(recorded))
        count += 1
    return count
