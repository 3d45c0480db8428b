"""Connections to a PostgreSQL server: for reading, and for appending under the lock.

1. An append transaction takes the recorder's table lock first of all, and keeps it to its end, so
   that positions become visible in their order. The framework's database-functions mode is not
   used: it takes no lock, and a reader would miss positions that are committed late.
2. Where the connection breaks at COMMIT, the log is asked, under the lock, whether the last entry
   is there. If it is, the transaction counts as committed, so that nothing is recorded twice.
3. A read connection commits each statement by itself; it never keeps a writer waiting.
4. A connection is checked before it is lent: one that the server has closed is replaced.
5. A forked child loses its parent's connections at once: nothing that it does reaches the server
   over them, not even their end.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from eventsourcing.postgres import ConnectionPool, PostgresDatastore
from psycopg import Connection
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, TransactionStatus
from psycopg.rows import DictRow, dict_row, tuple_row
from psycopg.sql import SQL, Identifier
from psycopg_pool import PoolTimeout

from ledger import forks
from ledger.errors import ConfigurationError, StorageError
from ledger.eventlog.database_url import DatabaseUrl
from ledger.eventlog.entry import Entry
from ledger.eventlog.postgres_errors import is_broken, said, translated
from ledger.model.ids import Position, StreamId
from projections.sql.trips import Statement, Trips

PATIENCE = 60.0  # seconds a writer waits for the others, and everybody for a server that restarts
CONNECT_TIMEOUT = 10  # seconds until an address counts as dead, unless the URL says otherwise
MOST_CONNECTIONS = 16  # of one process; writers are one at a time
_SLICE = 0.5  # seconds for which the pool is asked at a time
_PAUSE = 0.1  # seconds between attempts to reach a server that restarts


class _Pool(ConnectionPool[Connection[DictRow]]):
    """A pool that keeps the reason why it has no connection."""

    last_error: Exception | None = None

    def _connect(self, timeout: float | None = None) -> Connection[DictRow]:
        try:
            connection = super()._connect(timeout=timeout)
        except Exception as error:
            self.last_error = error
            raise
        self.last_error = None
        _open.add(connection)
        return connection


_open: weakref.WeakSet[Connection[Any]] = weakref.WeakSet()


def _lose_connections() -> None:
    """Close the connections of the parent in a child, without a word to the server."""
    ours, theirs = socket.socketpair()
    theirs.close()
    for connection in list(_open):
        if connection.pgconn.status != ConnStatus.BAD:
            # Whatever is written from here on, by whomever, goes nowhere.
            os.dup2(ours.fileno(), connection.pgconn.socket)
            connection.pgconn.finish()
    ours.close()


forks.in_child(_lose_connections)


def _is_alive(connection: Connection[Any]) -> bool:
    """Return whether a connection is still open at the server's end; costs no round trip."""
    watch = select.poll()
    watch.register(connection.pgconn.socket, select.POLLIN)
    try:
        # Messages of the server come first, then the end: read until nothing is left.
        while connection.pgconn.status == ConnStatus.OK and watch.poll(0):
            connection.pgconn.consume_input()
    except psycopg.Error:
        return False
    return connection.pgconn.status == ConnStatus.OK


class Transaction:
    """An open append transaction: its connection, and the answers of the server when it began.

    Under the append lock the answers stay true, until this transaction changes something.

    Attributes:
        trips: Statements over its connection.
        log_format: Format of the log; None where the schema does not say.
        read_models: Number of the read models that the schema holds.
        last: Position and recorded time of the last entry.
        versions: Versions of streams, as far as they are known.
        tip: The last entry appended so far. If the log holds it, the transaction was committed.
    """

    def __init__(self, connection: Connection[Any], said: tuple[Any, ...]) -> None:
        self.trips = Trips(connection)
        self.log_format: str | None = said[0]
        self.read_models: str | None = said[1]
        now, position, recorded_at = said[2:]
        self.last = (Position(position or 0), int(recorded_at or 0))
        self.versions: dict[StreamId, int] = {}
        self.tip: Entry | None = None
        self._now, self._asked = int(now), time.monotonic_ns()
        self._depth = 0

    @property
    def connection(self) -> Connection[Any]:
        """The connection, lent to the end, with all that waited carried out."""
        return self.trips.settled()

    def now(self) -> int:
        """Return the server's time in microseconds: its answer, and the time passed since."""
        return self._now + (time.monotonic_ns() - self._asked) // 1_000

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Undo what the block did if it raises; without any effect the server hears nothing."""
        self._depth += 1
        name, before = b"part_%d" % self._depth, (self.tip, self.last)
        begin = Statement(b"SAVEPOINT " + name, is_idle=True)
        self.trips.post(begin)
        try:
            yield
            self.trips.send()
        except BaseException:
            self.tip, self.last = before
            self.versions.clear()
            self._go_back(begin, name)
            raise
        else:
            if self.trips.is_waiting(begin):
                self.trips.forget(begin)
            else:
                self.trips.post(Statement(b"RELEASE " + name, is_idle=True))
        finally:
            self._depth -= 1

    def _go_back(self, begin: Statement, name: bytes) -> None:
        if self.trips.is_waiting(begin):
            self.trips.forget(begin)
            return
        self.trips.forget()
        # Where the connection broke all is undone already, and the end will say so.
        if not self.trips.connection.closed:
            self.trips.connection.execute(b"ROLLBACK TO %b; RELEASE %b" % (name, name))


class Datastore(PostgresDatastore):
    """eventsourcing's datastore over connections made from a URL."""

    def __init__(self, url: DatabaseUrl, *, lock_timeout: float | None = None) -> None:
        """Open nothing yet.

        Raises:
            ConfigurationError: The URL names no schema, or libpq does not know an option.
        """
        if url.schema is None:
            raise ConfigurationError(
                f"database {url}: expected a schema, found none; add ?schema=…"
            )
        # The framework's own pool is never opened; ours takes its place.
        super().__init__("", "", "", "", "", schema=url.schema, enable_db_functions=False)
        self.url = url
        self.patience = PATIENCE if lock_timeout is None else lock_timeout
        self._writing = threading.Lock()
        self._commit_and_tell = (
            SQL("NOTIFY {}; COMMIT").format(Identifier(f"{url.schema}.stored_events")).as_bytes()
        )
        self.is_closed = False
        self.options = _options(url)
        self._own_pool = self.pool = _Pool(
            url.text,
            connection_class=Connection[DictRow],
            kwargs=self.options,
            min_size=0,
            max_size=MOST_CONNECTIONS,
            open=False,
            configure=self._configured(),
            name=f"ledger {url.schema}",
            num_workers=1,
        )

    def register_type_adapters(self) -> None:
        """Do nothing: rows travel as arrays of plain types."""

    def probe(self) -> Connection[DictRow]:
        """Return a connection of its own; where there is none, the error says why at once."""
        with translated(self.url):
            connection = Connection[DictRow].connect(self.url.text, **self.options)
            try:
                self._configured()(connection)
            except BaseException:
                connection.close()
                raise
            _open.add(connection)
            return connection

    def close(self) -> None:
        """Close idle connections now, and lent ones as they come back; lend no more."""
        self.is_closed = True
        super().close()

    @contextmanager
    def reading(self) -> Iterator[Connection[DictRow]]:
        """Lend a connection for reading: each statement sees what is committed when it begins.

        Raises:
            StorageError: The server cannot be reached, or refused.
        """
        with translated(self.url), self._lent() as connection:
            yield connection

    @contextmanager
    def appending(self) -> Iterator[Transaction]:
        """Lend a transaction that holds the append lock.

        It is committed, and durable, when the block ends, and undone when the block raises.

        Raises:
            StorageError: The server cannot be reached, or refused; nothing was recorded.
        """
        with translated(self.url), self.appending_raw() as transaction:
            yield transaction

    @contextmanager
    def appending_raw(self) -> Iterator[Transaction]:
        """As `appending`, with the driver's errors as they are."""
        with self._turn(), self._begun() as transaction:
            connection = transaction.trips.connection
            try:
                yield transaction
                transaction.trips.send()
            except BaseException:
                if not connection.closed and _is_open(connection):
                    with suppress(psycopg.Error):
                        connection.execute("ROLLBACK")
                raise
            self._commit(transaction)

    def _commit(self, transaction: Transaction) -> None:
        connection = transaction.trips.connection
        try:
            cursor = connection.execute(self._commit_and_tell if transaction.tip else b"COMMIT")
            while cursor.nextset():
                pass
            said_so = cursor.statusmessage
        except psycopg.Error as error:
            if transaction.tip is None or not is_broken(error):
                raise
            connection.close()
            if not self._is_recorded(transaction.tip, error):
                raise
            return
        if said_so != "COMMIT":
            # The block went on after an error of the database that undid everything.
            raise StorageError(
                f"ledger database {self.url}: a statement of this transaction had failed; nothing "
                "was recorded, try again"
            )

    def _is_recorded(self, tip: Entry, reason: Exception) -> bool:
        """Return whether a transaction that ended in this entry was committed.

        Under the lock: the server may still be at that COMMIT, and waiting for the lock waits for
        its end.
        """
        deadline = time.monotonic() + self.patience
        while True:
            try:
                with self._begun() as transaction:
                    connection = transaction.trips.connection
                    found = connection.execute(
                        "SELECT FROM entries WHERE position = %s AND leaf = %s",
                        (tip.envelope.position, tip.leaf),
                    ).rowcount
                    connection.execute("ROLLBACK")
                    return found == 1
            except psycopg.Error as error:
                if time.monotonic() > deadline:
                    raise StorageError(
                        f"ledger database {self.url}: the connection broke at the commit of "
                        f"position {tip.envelope.position} ({said(reason)}), and the server cannot "
                        "be asked whether it was recorded; run the same again, which records only "
                        "what is missing"
                    ) from error
                threading.Event().wait(_PAUSE)

    @contextmanager
    def _begun(self) -> Iterator[Transaction]:
        """Lend a connection whose transaction holds the append lock; undone if still open."""
        begin = SQL(
            "BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = {patience};"
            # A pooler in between may have left the path of another ledger behind.
            " SET LOCAL search_path = {schema};"
            " SELECT format, read_models FROM {schema}.append_lock();"
            # A statement of its own: the one before waited for the lock, and sees no later commit.
            " SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint, e.position,"
            " e.recorded_at FROM (VALUES (1)) AS one LEFT JOIN"
            " (SELECT position, recorded_at FROM entries ORDER BY position DESC LIMIT 1) AS e"
            " ON true"
        ).format(patience=f"{self.patience * 1000:.0f}ms", schema=Identifier(self.schema))
        for is_last in (False, False, True):
            with self._lent() as connection:
                try:
                    cursor = connection.cursor(row_factory=tuple_row).execute(begin)
                    said_of_log: tuple[Any, ...] = ()
                    while cursor.nextset():
                        if cursor.description is not None:
                            said_of_log += cursor.fetchall()[0]
                except psycopg.Error as error:
                    # A server that restarted leaves connections behind that look well.
                    if not is_last and is_broken(error):
                        connection.close()
                        continue
                    raise
                yield Transaction(connection, said_of_log)
                return

    @contextmanager
    def _lent(self) -> Iterator[Connection[DictRow]]:
        pool = self._own_pool
        connection = self._borrowed(pool)
        try:
            yield connection
        finally:
            pool.putconn(connection)

    def _borrowed(self, pool: _Pool) -> Connection[DictRow]:
        deadline = time.monotonic() + self.patience
        while True:
            try:
                pool.open()
                connection = pool.getconn(timeout=_SLICE)
            except PoolTimeout as error:
                # A pool that is being closed at this moment never answers.
                if self.is_closed or time.monotonic() > deadline:
                    reason = "it is closed" if self.is_closed else said(pool.last_error or error)
                    raise psycopg.OperationalError(reason) from error
                continue
            if _is_alive(connection):
                return connection
            connection.close()
            pool.putconn(connection)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread of this process append at a time: others keep no connection waiting."""
        if not self._writing.acquire(timeout=self.patience):
            raise StorageError(
                f"ledger database {self.url}: another thread of this process held it for "
                f"{self.patience:.0f} s; end its batch, or try again"
            )
        try:
            yield
        finally:
            self._writing.release()

    def _configured(self) -> Callable[[Connection[Any]], None]:
        settings = SQL(
            "SET search_path = {}; SET idle_in_transaction_session_timeout = '10min';"
            # Found dead within two minutes, and the append lock of a lost computer with it.
            " SET tcp_keepalives_idle = 60; SET tcp_keepalives_interval = 10;"
            " SET tcp_keepalives_count = 6;"
            # An acknowledged commit is on the disk; stronger settings of the server stay.
            " SELECT set_config('synchronous_commit', 'on', false)"
            " WHERE current_setting('synchronous_commit') = 'off'"
        ).format(Identifier(self.schema))

        def configure(connection: Connection[Any]) -> None:
            connection.autocommit = True
            connection.execute(settings)

        return configure


def _is_open(connection: Connection[Any]) -> bool:
    return connection.info.transaction_status != TransactionStatus.IDLE


def _options(url: DatabaseUrl) -> dict[str, Any]:
    """Return options beside the URL: defaults that it and the environment leave open, secrets."""
    try:
        given = conninfo_to_dict(url.text)
    except psycopg.ProgrammingError as error:
        raise ConfigurationError(f"database {url}: {said(error)}") from error
    options: dict[str, Any] = {"row_factory": dict_row, "client_encoding": "utf8"}
    defaults = {"application_name": "metaledger", "keepalives_idle": 60}
    if "PGCONNECT_TIMEOUT" not in os.environ:
        defaults["connect_timeout"] = CONNECT_TIMEOUT
    options |= {name: value for name, value in defaults.items() if name not in given}
    return options | url.secrets()


def set_meta(connection: Connection[Any], values: dict[str, str]) -> None:
    """Have a schema say this of itself."""
    for item in values.items():
        connection.execute(
            "INSERT INTO meta VALUES (%s, %s)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            item,
        )
