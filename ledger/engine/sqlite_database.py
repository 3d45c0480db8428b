"""Log and read models in one SQLite file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
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
    from ledger.eventlog.sqlite_reading import State
    from projections.sql.sqlite import SqliteModels


class Aside:
    """A temporary copy of a ledger that may be read alone.

    In it, read models of another version of this program can be made anew.
    """

    def __init__(self, original: Path) -> None:
        """Make room for the copy, which nobody else can read.

        Raises:
            StorageError: There is no room for temporary files.
        """
        try:
            self._folder = TemporaryDirectory(prefix="metaledger-", ignore_cleanup_errors=True)
        except OSError as error:
            raise StorageError(
                f"ledger database {original}: its read models are of another version of "
                "metaledger, and it may not be written here; a temporary copy, in which they "
                f"would be made anew, finds no room ({error}): set TMPDIR to a folder with room"
            ) from error
        self.path = Path(self._folder.name, original.name)
        self._files = (str(original), f"{original}-wal")
        self._seen = self._state()

    def is_outdated(self) -> bool:
        """Return whether the original was changed since."""
        return self._state() != self._seen

    def remove(self) -> None:
        """Remove it."""
        self._folder.cleanup()

    def _state(self) -> State:
        from ledger.eventlog.sqlite_reading import state_of  # noqa: PLC0415

        return state_of(self._files)


class _Reading(AbstractContextManager[Session]):
    """What `read` lends; each question passes through it."""

    __slots__ = ("_database", "_loan")

    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    def __enter__(self) -> Session:
        from ledger.eventlog.sqlite_log import SqliteReader  # noqa: PLC0415

        database = self._database
        self._loan, connection, _ = database._lend(database._open, write=False)  # noqa: SLF001 (a part of it)
        return Session(SqliteReader(connection), database._models(connection))  # noqa: SLF001

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
        self._connections = PerProcess(self._connect, self._disconnect)
        self._aside: Aside | None = None

    @classmethod
    def create(cls, path: Path, clock: Callable[[], int]) -> SqliteDatabase:
        """Make the tables of a new ledger, at a path where no file is, and return it."""
        from ledger.eventlog.sqlite_connections import (  # noqa: PLC0415
            APPLICATION_ID,
            Datastore,
            set_meta,
        )
        from ledger.eventlog.sqlite_errors import translated  # noqa: PLC0415
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

        loan, connection, recorder = self._lend(self._open_for_writing, write=True)
        with ExitStack() as lent:
            lent.push(loan)
            yield WriteSession(
                SqliteAppender(connection, recorder, self._clock), self._models(connection)
            )

    def _lend(
        self, connect: Callable[[], tuple[Datastore, Recorder]], *, write: bool
    ) -> tuple[AbstractContextManager[Any], Any, Recorder]:
        """Return a loan that was entered, its connection, and the recorder.

        Another thread may close the database meanwhile: it is then opened again.
        """
        while True:
            opened = store, recorder = connect()
            loan = store.connection(write=write)
            try:
                return loan, loan.__enter__(), recorder
            except StorageError:
                if not store.pool.closed or self._connections.holds(opened):
                    raise

    def identity(self) -> str | None:
        """Return the number of the file: a copy of it has another one."""
        try:
            return f"file {self.path.stat().st_ino}"
        except OSError:
            return None

    def require_writable(self) -> None:
        """See `Database.require_writable`."""
        store, _ = self._open_for_writing()
        store.require_writable()

    @contextmanager
    def savepoint(self, session: WriteSession) -> Iterator[None]:
        """Undo what the block did to an open write session if it raises."""
        from ledger.eventlog.sqlite_errors import translated  # noqa: PLC0415

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
        store, _ = self._open_for_writing()
        return store.scrub()

    def close(self) -> None:
        """Give connections back."""
        self._connections.close()

    def _open(self) -> tuple[Datastore, Recorder]:
        if self._aside is not None and self._aside.is_outdated():
            self._connections.close()
        return self._connections.get()

    def _open_for_writing(self) -> tuple[Datastore, Recorder]:
        from ledger.eventlog.sqlite_errors import cannot_be_written  # noqa: PLC0415
        from ledger.eventlog.sqlite_reading import may_write  # noqa: PLC0415

        store, recorder = self._open()
        if (store.is_read_only or self._aside is not None) and may_write(self.path):
            # The right to write was given since it was opened.
            self._connections.close()
            store, recorder = self._open()
        if self._aside is not None:
            raise cannot_be_written(self.path)
        return store, recorder

    def _disconnect(self, opened: tuple[Datastore, Recorder]) -> None:
        opened[0].close()
        aside, self._aside = self._aside, None
        if aside is not None:
            aside.remove()

    def _connect(self) -> tuple[Datastore, Recorder]:
        from ledger.eventlog.sqlite_connections import Datastore  # noqa: PLC0415
        from ledger.eventlog.sqlite_log import Recorder  # noqa: PLC0415
        from ledger.eventlog.sqlite_own_log import require_own_log  # noqa: PLC0415
        from projections.sql.sqlite import register_functions  # noqa: PLC0415

        _require_file(self.path)
        require_own_log(self.path)
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
        is_older = 0 < int(found.get("format", 0)) < FORMAT
        if is_older or found.get("read_models") != str(schema_number()):
            if store.is_read_only:
                store = self._copied_aside(store)
            self._renew(store, Recorder(store))
        return store, Recorder(store)

    def _copied_aside(self, store: Datastore) -> Datastore:
        """Return a temporary copy of a file that may not be written, in place of it."""
        from ledger.eventlog.sqlite_connections import Datastore, copy_file  # noqa: PLC0415
        from projections.sql.sqlite import register_functions  # noqa: PLC0415

        aside = Aside(self.path)
        try:
            with store.connection(write=False) as connection:
                copy_file(connection, aside.path)
        except BaseException:
            aside.remove()
            raise
        finally:
            store.close()
        self._aside = aside
        return Datastore(str(aside.path), prepare=register_functions)

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


def _require_file(path: Path) -> None:
    """Require that a database is there.

    Raises:
        StorageError: There is none, or this user may not look.
    """
    try:
        is_there = path.is_file()
    except OSError as error:
        raise StorageError(
            f"ledger database {path}: this user may not look at it ({error.strerror}); ask its "
            "owner for the right to read it"
        ) from error
    if not is_there:
        raise StorageError(
            f"ledger database {path}: expected a file, found none; restore it from a "
            "backup, or run 'metaledger init' for a new ledger"
        )
