"""Log and read models in one SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ledger.engine.database import FORMAT, Database, Session, WriteSession, refold
from ledger.engine.interruption import entered_whole, whole
from ledger.engine.per_process import PerProcess
from ledger.errors import CorruptLogError, StorageError, UnknownEventError
from projections.tables import schema_number

if TYPE_CHECKING:
    from ledger.eventlog.sqlite_connections import Datastore
    from ledger.eventlog.sqlite_log import Recorder
    from projections.sql.sqlite import SqliteModels


class _Reading(AbstractContextManager[Session]):
    """What `read` lends; each question passes through it."""

    __slots__ = ("_database", "_loan")

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def __enter__(self) -> Session:
        from ledger.eventlog.sqlite_log import SqliteReader  # noqa: PLC0415

        store, _ = self._database._open()  # noqa: SLF001 (a part of it)
        self._loan = store.connection(write=False)
        connection = self._loan.__enter__()
        return Session(SqliteReader(connection), self._database._models(connection))  # noqa: SLF001

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loan.__exit__(kind, error, trace)


class SqliteDatabase(Database):
    """A ledger in one SQLite file."""

    def __init__(self, path: Path, clock: Callable[[], int]) -> None:
        self.path = path
        self._clock = clock
        self._connections = PerProcess(self._connect, lambda opened: opened[0].close())

    @classmethod
    def create(cls, path: Path, clock: Callable[[], int]) -> SqliteDatabase:
        """Make the tables of a new ledger, at a path where no file is, and return it."""
        from ledger.eventlog.sqlite_connections import (  # noqa: PLC0415
            APPLICATION_ID,
            Datastore,
            set_meta,
            translated,
        )
        from ledger.eventlog.sqlite_log import Recorder  # noqa: PLC0415
        from projections.sql.sqlite import register_functions  # noqa: PLC0415

        database = cls(path, clock)
        store = Datastore(str(path), prepare=register_functions, is_new=True)
        try:
            with store.connection(write=False) as connection:
                connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
            with translated():
                Recorder(store).create_table()
            with store.connection(write=True) as connection:
                database._models(connection).create()
                set_meta(connection, {"format": str(FORMAT), "read_models": str(schema_number())})
        finally:
            store.close()
        return database

    def read(self) -> AbstractContextManager[Session]:
        """Lend log and read models for reading."""
        return whole(_Reading(self))

    @entered_whole
    def write(self) -> Iterator[WriteSession]:
        """Lend log and read models for appending."""
        from ledger.eventlog.sqlite_log import SqliteAppender  # noqa: PLC0415

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
            # Without this check, later saves of the batch would be recorded one by one.
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
        """Write the file anew, without overwritten bytes, and empty the write-ahead log."""
        store, _ = self._open()
        return store.scrub()

    def close(self) -> None:
        """Give connections back."""
        self._connections.close()

    def _open(self) -> tuple[Datastore, Recorder]:
        return self._connections.get()

    def _connect(self) -> tuple[Datastore, Recorder]:
        from ledger.eventlog.sqlite_connections import Datastore  # noqa: PLC0415
        from ledger.eventlog.sqlite_log import Recorder  # noqa: PLC0415
        from projections.sql.sqlite import register_functions  # noqa: PLC0415

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
        is_older = 0 < int(found.get("format", 0)) < FORMAT
        if is_older or found.get("read_models") != str(schema_number()):
            self._renew(store, recorder)
        return store, recorder

    def _renew(self, store: Datastore, recorder: Recorder) -> None:
        """Replace read models of another version of this program, and its triggers, by today's.

        What is appended from now on is of today's format, so that older programs have to refuse.
        """
        from ledger.eventlog.sqlite_connections import set_meta  # noqa: PLC0415
        from ledger.eventlog.sqlite_log import SqliteAppender, renew_triggers  # noqa: PLC0415

        with store.connection(write=True) as connection:
            renew_triggers(connection)
            models = self._models(connection)
            models.drop()
            models.create()
            refold(SqliteAppender(connection, recorder, self._clock), models)
            set_meta(connection, {"format": str(FORMAT), "read_models": str(schema_number())})

    @staticmethod
    def _models(connection: Any) -> SqliteModels:
        from projections.sql.sqlite import SqliteModels  # noqa: PLC0415

        return SqliteModels(connection)
