"""The log in a SQLite file: eventsourcing's application recorder, and our entries beside it.

What is said here and nowhere else: the pragmas that make a commit durable, the write lock taken
at BEGIN, the triggers that refuse UPDATE, DELETE and REPLACE, what is due before a fork, and the
translation of SQLite's errors. The bytes are stated in docs/format.md, section "The SQLite file".
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    IntegrityError,
    Notification,
    PersistenceError,
    StoredEvent,
)
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteConnection,
    SQLiteConnectionPool,
    SQLiteCursor,
    SQLiteDatastore,
)

from ledger.errors import CorruptLogError, LedgerError, StorageError, WrongExpectedVersionError
from ledger.ids import CommandId, Position, StreamId, as_uuid_hex
from ledger.log.base import Appender, LogReader
from ledger.log.entry import Entry, Envelope, seal

APPLICATION_ID = 0x6D6C6467  # "mldg": lets `file` and a person tell what this database is
LOCK_TIMEOUT = 60.0  # seconds a writer waits for the others
STATEMENTS = 256  # prepared statements a connection keeps: more than appending and asking need

_PRAGMAS = (
    # NORMAL loses acknowledged commits when the power fails in WAL mode; FULL does not.
    "PRAGMA synchronous=FULL",
    # Where fsync leaves data in the drive's own cache (macOS), ask for more; elsewhere no effect.
    "PRAGMA fullfsync=ON",
    # An upper bound, taken only as needed: indexes of a million records fit.
    "PRAGMA cache_size=-262144",
    "PRAGMA temp_store=MEMORY",
    "PRAGMA trusted_schema=OFF",
)

_TABLES = (
    """CREATE TABLE IF NOT EXISTS entries (
        position INTEGER PRIMARY KEY,
        recorded_at INTEGER NOT NULL,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        command_id BLOB NOT NULL,
        number INTEGER NOT NULL,
        salt BLOB NOT NULL,
        leaf BLOB NOT NULL,
        UNIQUE (command_id, number),
        UNIQUE (stream, version)
    )""",
    """CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
)

_REFUSALS = (
    ("stored_events", "UPDATE", ""),
    ("stored_events", "DELETE", ""),
    ("entries", "UPDATE", ""),
    ("entries", "DELETE", ""),
    # INSERT OR REPLACE removes a row without firing the DELETE trigger; these close that door, for
    # each key that a new row could share with an old one. NEW.rowid is -1 where none is given.
    (
        "stored_events",
        "INSERT",
        """WHEN EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
            AND originator_version = NEW.originator_version)
        OR EXISTS (SELECT 1 FROM stored_events WHERE rowid = NEW.rowid)""",
    ),
    (
        "entries",
        "INSERT",
        """WHEN NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM entries)
        OR EXISTS (SELECT 1 FROM entries WHERE command_id = NEW.command_id AND number = NEW.number)
        OR EXISTS (SELECT 1 FROM entries WHERE stream = NEW.stream AND version = NEW.version)""",
    ),
)

_SELECT = (
    "SELECT e.position, e.recorded_at, e.stream, e.version, s.topic, e.command_id, e.number,"
    " s.state, e.salt, e.leaf FROM entries e LEFT JOIN stored_events s"
    " ON s.originator_id = e.stream AND s.originator_version = e.version "
)
_INSERT_ENTRY = "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)"


class _Pool(SQLiteConnectionPool):
    """Connections that keep what they acknowledged."""

    prepare: Callable[[sqlite3.Connection], None] | None = None
    _is_ending = False

    def _create_connection(self) -> SQLiteConnection:
        # Not the framework's: it keeps one prepared statement, which made an append cost threefold.
        raw = sqlite3.connect(
            self.db_name,
            uri=True,
            timeout=LOCK_TIMEOUT,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=STATEMENTS,
        )
        try:
            raw.row_factory = sqlite3.Row
            if not self.is_sqlite_memory_mode:
                raw.execute("PRAGMA journal_mode=WAL").fetchone()
            for pragma in _PRAGMAS:
                raw.execute(pragma).fetchall()
            if self.prepare is not None:
                self.prepare(raw)
        except BaseException:
            raw.close()
            raise
        return SQLiteConnection(sqlite_conn=raw, max_age=None)

    def put_connection(self, conn: SQLiteConnection) -> None:
        super().put_connection(conn)
        if self._is_ending:
            self.close()

    def close(self) -> None:
        """Close what is idle, and what is borrowed as it comes back.

        The framework closes borrowed connections at once: with a statement of another thread on
        the way, that ends the process with a segmentation fault.
        """
        self._is_ending = True
        self.close_idle()
        if not self._in_use:
            super().close()

    def close_idle(self) -> None:
        """Close the connections that nobody has borrowed."""
        with self._put_condition:
            while self._pool:
                self._pool.popleft().close()


class Datastore(SQLiteDatastore):
    """eventsourcing's datastore over our connections."""

    def __init__(
        self, path: str, *, prepare: Callable[[sqlite3.Connection], None] | None = None
    ) -> None:
        """Open nothing yet; `prepare` is called with each new connection."""
        super().__init__(path, originator_id_type="uuid")
        self.pool.close()
        self._writing = threading.Lock()
        self.pool = _Pool(
            db_name=path,
            lock_timeout=int(LOCK_TIMEOUT),
            pool_timeout=LOCK_TIMEOUT,
            pool_size=5,
            max_overflow=60,
        )
        self.pool.prepare = prepare
        _stores.add(self)

    def is_ledger(self) -> bool:
        """Return whether the file is a database that says it is a ledger."""
        try:
            with self._lent() as raw:
                found: int = raw.execute("PRAGMA application_id").fetchone()[0]
        except sqlite3.DatabaseError:
            return False
        return found == APPLICATION_ID

    @contextmanager
    def connection(self, *, write: bool) -> Iterator[sqlite3.Connection]:
        """Lend a connection; for writing, inside a transaction that holds the write lock.

        A write transaction is committed, and durable, when the block ends, and rolled back when
        the block raises.

        Raises:
            StorageError: The database refused: locked for too long, disk full, file damaged.
        """
        with translated():
            if not write:
                with self._lent() as raw:
                    yield raw
                return
            with self._turn(), self._lent() as raw:
                try:
                    raw.execute("BEGIN IMMEDIATE")
                    yield raw
                    raw.execute("COMMIT")
                except BaseException:
                    if raw.in_transaction:
                        raw.execute("ROLLBACK")
                    raise

    @contextmanager
    def _lent(self) -> Iterator[sqlite3.Connection]:
        # Not as reader or writer in the pool's sense: its lock would make a reader wait behind a
        # writer that waits for another writer. SQLite and `_writing` keep writers apart.
        connection = self.pool.get_connection(is_writer=None)
        try:
            yield connection._sqlite_conn  # noqa: SLF001 (the library has no public name for it)
        finally:
            self.pool.put_connection(connection)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread of this process write at a time."""
        if not self._writing.acquire(timeout=LOCK_TIMEOUT):
            raise StorageError(_explain("locked by another thread of this process"))
        try:
            yield
        finally:
            self._writing.release()


_stores: weakref.WeakSet[Datastore] = weakref.WeakSet()


def _close_idle_connections() -> None:
    for store in list(_stores):
        # A database in memory ends with its last connection.
        if isinstance(store.pool, _Pool) and not store.pool.is_sqlite_memory_mode:
            store.pool.close_idle()


# SQLite keeps one set of file locks a process and file. A child that is forked while a connection
# is open believes to hold the parent's locks, and its own connections then take none: once the
# parent has ended, the next process to open the file may reset the log's index under the child.
# Connections that are borrowed at that moment, as inside a batch, cannot be helped.
os.register_at_fork(before=_close_idle_connections)


def set_meta(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Have a file say this of itself."""
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        list(values.items()),
    )


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and the framework raise into errors of our own tree."""
    try:
        yield
    except LedgerError:
        raise
    except (sqlite3.IntegrityError, IntegrityError) as error:
        raise WrongExpectedVersionError(
            f"append refused by the database: {error}; reload and decide again"
        ) from error
    except ConnectionPoolClosedError as error:
        raise StorageError("ledger database: closed by another thread; open it again") from error
    except (sqlite3.Error, PersistenceError) as error:
        raise StorageError(_explain(str(error))) from error


def _explain(said: str) -> str:
    if "locked" in said or "timed out" in said.lower():
        return (
            f"ledger database: another writer held it for {LOCK_TIMEOUT:.0f} s ({said}); "
            "end the other process, or try again"
        )
    if "full" in said:
        return f"ledger database: the disk is full ({said}); nothing was recorded, free some space"
    if "readonly" in said or "unable to open" in said:
        return (
            f"ledger database: cannot be written to ({said}); nothing was recorded, see to the "
            "permissions of the file and its folder"
        )
    if "not a database" in said or "malformed" in said:
        return f"ledger database: damaged ({said}); restore it from a backup"
    return f"ledger database: {said}; nothing was recorded"


class Recorder(SQLiteApplicationRecorder):
    """eventsourcing's recorder, with an entry beside every stored event.

    Its notification ids are our positions: dense, in commit order, never reused.
    """

    def construct_create_table_statements(self) -> list[str]:
        """Return the framework's table, our tables and the triggers that guard both."""
        return [*super().construct_create_table_statements(), *_TABLES, *map(_trigger, _REFUSALS)]

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        entries: Sequence[Entry] | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        super()._insert_events(c, stored_events)
        sealed = self._sealed(c, stored_events) if entries is None else entries
        c.executemany(_INSERT_ENTRY, [_entry_row(entry) for entry in sealed])
        return [entry.envelope.position for entry in sealed]

    def _sealed(self, c: SQLiteCursor, stored_events: Sequence[StoredEvent]) -> list[Entry]:
        """Return entries for events that came through the framework's own door."""
        c.execute("SELECT position, recorded_at FROM entries ORDER BY position DESC LIMIT 1")
        row = c.fetchone()
        position, recorded_at = (row[0], row[1]) if row else (0, 0)
        sealed = []
        for number, stored in enumerate(stored_events, start=1):
            stream = _stream_of(stored.originator_id)
            command = f"{stream}/{stored.originator_version}".encode()
            envelope = Envelope(
                position=Position(position + number),
                recorded_at=recorded_at + number,
                stream=StreamId(stream),
                version=stored.originator_version,
                tag=stored.topic,
                command_id=CommandId(as_uuid_hex(hashlib.sha256(command).digest())),
                number=1,
            )
            sealed.append(seal(envelope, stored.state))
        return sealed

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return notifications whose ids are positions."""
        low = 0 if start is None else start - 1 if inclusive_of_start else start
        wanted = f" AND s.topic IN ({','.join('?' * len(topics))})" if topics else ""
        high = "" if stop is None else " AND e.position <= ?"
        params = [low, *topics, *([] if stop is None else [stop]), limit]
        with self.datastore.transaction(commit=False) as c:
            c.execute(
                f"{_SELECT} WHERE e.position > ?{wanted}{high} ORDER BY e.position LIMIT ?", params
            )
            return [
                Notification(
                    id=row[0],
                    originator_id=self.convert_originator_id(row[2]),
                    originator_version=row[3],
                    topic=row[4],
                    state=row[7],
                )
                for row in c.fetchall()
            ]

    def _max_notification_id(self, c: SQLiteCursor) -> int:
        c.execute("SELECT MAX(position) FROM entries")
        found: int = c.fetchone()[0]
        return found


class SqliteReader(LogReader):
    """Reads the log over a lent connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry; (0, 0) if empty."""
        row = self.connection.execute(
            "SELECT position, recorded_at FROM entries ORDER BY position DESC LIMIT 1"
        ).fetchone()
        return (Position(row[0]), row[1]) if row else (Position(0), 0)

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""
        return self._entries(
            "WHERE e.position > ? AND e.position <= ? ORDER BY e.position LIMIT ?",
            (after, _end(until), limit),
        )

    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order."""
        return self._entries(
            "WHERE e.stream = ? AND e.position <= ? ORDER BY e.version", (stream, _end(until))
        )

    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order."""
        return self._entries(
            "WHERE e.command_id = ? ORDER BY e.number", (bytes.fromhex(command_id),)
        )

    def leaves(self, *, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the first `until` entries, in order."""
        rows = self.connection.execute(
            "SELECT leaf FROM entries WHERE position <= ? ORDER BY position", (until,)
        )
        for row in rows:
            yield row[0]

    def _entries(self, rest: str, params: tuple[object, ...]) -> list[Entry]:
        rows = self.connection.execute(_SELECT + rest, params).fetchall()
        return [_entry_from(row) for row in rows]


class SqliteAppender(SqliteReader, Appender):
    """Appends over a connection that holds the write lock."""

    def __init__(
        self, connection: sqlite3.Connection, recorder: Recorder, clock: Callable[[], int]
    ) -> None:
        SqliteReader.__init__(self, connection)
        Appender.__init__(self, clock)
        self._recorder = recorder

    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""
        row = self.connection.execute(
            "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (stream,)
        ).fetchone()
        return row[0] or 0

    def _insert(self, entries: Sequence[Entry]) -> None:
        stored = [
            StoredEvent(
                originator_id=UUID(entry.envelope.stream),
                originator_version=entry.envelope.version,
                topic=entry.envelope.tag,
                state=entry.payload,
            )
            for entry in entries
        ]
        cursor = SQLiteCursor(self.connection.cursor())
        with translated():
            self._recorder._insert_events(cursor, stored, entries=entries)  # noqa: SLF001


def _trigger(refusal: tuple[str, str, str]) -> str:
    table, verb, condition = refusal
    return (
        f"CREATE TRIGGER IF NOT EXISTS {table}_refuse_{verb.lower()} BEFORE {verb} ON {table} "
        f"{condition} BEGIN SELECT RAISE(ABORT, 'the log is append-only: {verb} on {table}'); END"
    )


def _entry_row(entry: Entry) -> tuple[object, ...]:
    envelope = entry.envelope
    return (
        envelope.position,
        envelope.recorded_at,
        envelope.stream,
        envelope.version,
        bytes.fromhex(envelope.command_id),
        envelope.number,
        entry.salt,
        entry.leaf,
    )


def _entry_from(row: Sequence[Any]) -> Entry:
    position, recorded_at, stream, version, tag, command, number, payload, salt, leaf = row
    if payload is None:
        raise CorruptLogError(
            f"event at position {position}: expected version {version} of stream {stream}, found "
            "none; stop writing and audit the ledger",
            position=position,
        )
    envelope = Envelope(
        position=Position(position),
        recorded_at=recorded_at,
        stream=StreamId(stream),
        version=version,
        tag=tag,
        command_id=CommandId(command.hex()),
        number=number,
    )
    return Entry(envelope=envelope, payload=payload, salt=salt, leaf=leaf)


def _end(until: int | None) -> int:
    return 2**63 - 1 if until is None else until


def _stream_of(originator: UUID | str) -> str:
    return originator.hex if isinstance(originator, UUID) else originator
