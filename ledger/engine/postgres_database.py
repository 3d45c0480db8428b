"""A ledger in a schema of a PostgreSQL database: log and read models as one thing.

1. Reads commit each statement by itself; an append is one transaction under the append lock.
2. Every append checks, under the lock, that the read models are still of this program's version: a
   newer program may have rebuilt them meanwhile.
3. Only the schema's owner may replace the read models' tables; every writer may refold them.
4. A forked child opens connections of its own, and never touches its parent's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ledger.engine.database import FORMAT, Database, Session, WriteSession, refold
from ledger.engine.interruption import entered_whole
from ledger.engine.per_process import PerProcess
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    CorruptLogError,
    MissingDependencyError,
    StorageError,
    UnknownEventError,
)
from ledger.eventlog.database_url import DatabaseUrl
from ledger.model.times import now_micros
from projections.tables import schema_number

if TYPE_CHECKING:
    from psycopg import Connection

    from ledger.eventlog.postgres_connections import Datastore, Transaction
    from ledger.eventlog.postgres_log import PostgresAppender, Recorder
    from projections.sql.postgres import PostgresModels
    from projections.sql.trips import Trips

T = TypeVar("T")


class PostgresDatabase(Database):
    """A ledger in one schema of a PostgreSQL database."""

    def __init__(self, url: DatabaseUrl, clock: Callable[[], int] | None = None) -> None:
        """Open nothing yet; recorded times are the server's unless another clock is given.

        Raises:
            MissingDependencyError: The driver is not installed.
        """
        _require_driver()
        self.url = url
        self._clock = clock
        self._connections = PerProcess(self._connect, lambda opened: opened[0].close())

    def __repr__(self) -> str:
        return f"<PostgresDatabase {self.url}>"

    @classmethod
    def create(cls, url: DatabaseUrl, clock: Callable[[], int] | None = None) -> PostgresDatabase:
        """Make schema, roles, tables and grants of a new ledger, all or nothing, and return it.

        Raises:
            LedgerExistsError: There is such a schema, or its roles, already.
            ConfigurationError: The URL names no schema, or the database is not in UTF-8.
            StorageError: The server cannot be reached, or lets this user not make a schema.
            MissingDependencyError: The driver is not installed.
        """
        _require_driver()
        from ledger.eventlog import postgres_schema as schema  # noqa: PLC0415
        from ledger.eventlog.postgres_connections import Datastore, set_meta  # noqa: PLC0415
        from ledger.eventlog.postgres_errors import translated  # noqa: PLC0415
        from ledger.eventlog.postgres_log import Recorder  # noqa: PLC0415
        from projections.sql.postgres import PostgresModels  # noqa: PLC0415

        store = Datastore(url)
        with translated(url), store.probe() as connection, connection.transaction():
            schema.create_schema(connection, store.schema)
            Recorder(store).create_log(connection)
            PostgresModels(connection).create()
            set_meta(connection, {"format": str(FORMAT), "read_models": str(schema_number())})
            schema.grant(connection, store.schema)
        return cls(url, clock)

    def drop(self) -> None:
        """Remove the schema with all it holds, and its roles.

        Raises:
            StorageError: The user is not a member of its owner.
        """
        from ledger.eventlog.postgres_errors import translated  # noqa: PLC0415
        from ledger.eventlog.postgres_schema import drop_schema  # noqa: PLC0415

        store, _ = self._open()
        self.close()
        with translated(self.url), store.probe() as connection, connection.transaction():
            drop_schema(connection, store.schema)

    @entered_whole
    def read(self) -> Iterator[Session]:
        """Lend log and read models for reading."""
        from ledger.eventlog.postgres_log import PostgresReader  # noqa: PLC0415

        with ExitStack() as stack:
            connection, _ = self._enter(stack, lambda store: store.reading())
            yield Session(PostgresReader(connection), _models(connection))

    @entered_whole
    def write(self) -> Iterator[WriteSession]:
        """Lend log and read models for appending; durable at the end, undone if it raises."""
        with ExitStack() as stack:
            transaction, recorder = self._enter(stack, lambda store: store.appending())
            self._require_ours(transaction)
            yield WriteSession(self._appender(transaction, recorder), _models(transaction.trips))

    def _enter(
        self, stack: ExitStack, begin: Callable[[Datastore], AbstractContextManager[T]]
    ) -> tuple[T, Recorder]:
        """Begin something on the open connections, again where they were closed meanwhile."""
        while True:
            opened = self._connections.get()
            store, recorder = opened
            try:
                return stack.enter_context(begin(store)), recorder
            except StorageError:
                # Another thread has given the connections back; the next look opens new ones.
                if not store.is_closed or self._connections.holds(opened):
                    raise

    @contextmanager
    def savepoint(self, session: WriteSession) -> Iterator[None]:
        """Undo what the block did to an open write session if it raises; the session goes on."""
        from ledger.eventlog.postgres_errors import translated  # noqa: PLC0415

        transaction: Transaction = session.log.transaction  # type: ignore[attr-defined]
        with translated(self.url), transaction.savepoint():
            yield

    def rebuild(self) -> int:
        """Fold the whole log anew into empty read models; readers see the old ones meanwhile."""
        with self.write() as session:
            return refold(session.log, session.models)

    def copy_to(self, path: Path) -> SqliteDatabase:
        """Return a copy as it is now, in a SQLite file: the same entries, folded anew."""
        copy = SqliteDatabase.create(path, self._clock or now_micros)
        with self.read() as source, copy.write() as target:
            after, until = 0, source.log.head()
            while entries := source.log.entries(after=after, until=until, limit=1_000):
                target.log.adopt(entries)
                after = entries[-1].envelope.position
            refold(target.log, target.models)
        return copy

    def scrub(self) -> bool:
        """Write the tables anew, without overwritten bytes, as far as the user may."""
        from ledger.eventlog.postgres_errors import translated  # noqa: PLC0415
        from ledger.eventlog.postgres_schema import scrub  # noqa: PLC0415

        store, _ = self._open()
        with translated(self.url), store.probe() as connection:
            return scrub(connection, store.schema)

    def identity(self) -> str | None:
        """Return the numbers of database and schema: those of a restored dump are others."""
        store, _ = self._open()
        with store.reading() as connection:
            rows = connection.execute(
                "SELECT d.oid::text || ' ' || n.oid::text AS told FROM pg_database d, pg_namespace"
                " n WHERE d.datname = current_database() AND n.nspname = %s",
                (store.schema,),
            ).fetchall()
            number = connection.execute(
                "SELECT CASE WHEN has_function_privilege('pg_control_system()', 'execute')"
                " THEN (SELECT system_identifier::text FROM pg_control_system()) END AS told"
            ).fetchall()
        return f"schema {number[0]['told']} {rows[0]['told']}"

    def size(self) -> int:
        """Return the size of the schema in bytes, indexes included."""
        store, _ = self._open()
        with store.reading() as connection:
            rows = connection.execute(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint AS size FROM pg_class"
                " WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
                (store.schema,),
            ).fetchall()
        return int(rows[0]["size"])

    def close(self) -> None:
        """Give connections back; the ledger can be opened again."""
        self._connections.close()

    def _open(self) -> tuple[Datastore, Recorder]:
        return self._connections.get()

    def _connect(self) -> tuple[Datastore, Recorder]:
        _require_driver()
        from ledger.eventlog.postgres_connections import Datastore  # noqa: PLC0415
        from ledger.eventlog.postgres_errors import translated  # noqa: PLC0415
        from ledger.eventlog.postgres_log import Recorder  # noqa: PLC0415

        store = Datastore(self.url)
        recorder = Recorder(store)
        # By a connection of its own: the pool would try for a minute before it says why it cannot.
        with translated(self.url), store.probe() as connection:
            found = {
                row["name"]: row["value"]
                for row in connection.execute("SELECT name, value FROM meta").fetchall()
            }
        if "format" not in found:
            raise CorruptLogError(
                f"ledger database {self.url}: expected a ledger, found a schema that is none; "
                "restore it from a backup"
            )
        if int(found["format"]) > FORMAT:
            raise UnknownEventError(
                f"ledger {self.url}: format {found['format']}, this program knows up to {FORMAT}; "
                "upgrade metaledger"
            )
        is_older = 0 < int(found["format"]) < FORMAT
        if is_older or found.get("read_models") != str(schema_number()):
            self._renew(store, recorder)
        return store, recorder

    def _renew(self, store: Datastore, recorder: Recorder) -> None:
        """Replace read models of another version of this program, and its guards, by today's.

        What is appended from now on is of today's format, so that older programs have to refuse.
        """
        from ledger.eventlog.postgres_connections import set_meta  # noqa: PLC0415
        from ledger.eventlog.postgres_schema import (  # noqa: PLC0415
            become_owner,
            create_guards,
            grant,
        )

        with store.appending() as transaction:
            if (transaction.log_format, transaction.read_models) == (
                str(FORMAT),
                str(schema_number()),
            ):
                return  # Another process came first.
            connection = transaction.connection
            become_owner(connection, store.schema)
            models = _models(connection)
            models.drop()
            models.create()
            refold(self._appender(transaction, recorder), models)
            create_guards(connection, store.schema)
            set_meta(connection, {"format": str(FORMAT), "read_models": str(schema_number())})
            grant(connection, store.schema)

    def _require_ours(self, transaction: Transaction) -> None:
        if transaction.read_models != str(schema_number()) or transaction.log_format != str(FORMAT):
            raise StorageError(
                f"ledger database {self.url}: another version of metaledger has rebuilt it "
                f"(read models {transaction.read_models}, here {schema_number()}); nothing was "
                "recorded, use the same version everywhere and start again"
            )

    def _appender(self, transaction: Transaction, recorder: Recorder) -> PostgresAppender:
        from ledger.eventlog.postgres_log import PostgresAppender  # noqa: PLC0415

        return PostgresAppender(transaction, recorder, self._clock)


def _models(connection: Connection[Any] | Trips) -> PostgresModels:
    from projections.sql.postgres import PostgresModels  # noqa: PLC0415

    return PostgresModels(connection)


def _require_driver() -> None:
    try:
        import psycopg  # noqa: F401, PLC0415
        import psycopg_pool  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "a database on a PostgreSQL server needs psycopg: pip install 'metaledger[postgres]'"
        ) from error
