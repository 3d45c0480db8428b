"""Connections to a SQLite file that keep what they acknowledged.

Only here stand the pragmas that make a commit durable, the write lock taken at BEGIN, and
the steps before a fork.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from eventsourcing.persistence import ConnectionPoolClosedError
from eventsourcing.sqlite import SQLiteConnection, SQLiteConnectionPool, SQLiteDatastore

from ledger import files, forks
from ledger.errors import StorageError
from ledger.eventlog import sqlite_hold
from ledger.eventlog.sqlite_errors import (
    LOCK_TIMEOUT,
    cannot_be_written,
    explain,
    translate,
    translated,
)
from ledger.eventlog.sqlite_hold import identity_of
from ledger.eventlog.sqlite_reading import (
    State,
    Way,
    is_refusal,
    may_write,
    require_state,
    way_to_read,
)
from ledger.input_files import open_databases

APPLICATION_ID = 0x6D6C6467  # "mldg": tells `file`, and people, that this is a ledger
_SLICE = 0.1  # seconds for which a fork waits before it looks again
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


_JOURNAL = ("PRAGMA journal_mode=WAL",)
_IN_DOUBT = "it is not known whether the last transaction is in the file that others see"


# SQLite keeps one set of file locks a process and file. A child that is forked while a connection
# is open believes to hold the parent's locks, and its own connections then take none: once the
# parent has ended, the next process to open the file may reset the log's index under the child. So
# idle connections are closed before a fork, and borrowed ones waited for. In the child of a process
# with an open transaction nothing can be done with these files.
_of_parent: set[tuple[int, int]] = set()


class _Pool(SQLiteConnectionPool):
    """Connections that keep what they acknowledged."""

    prepare: Callable[[sqlite3.Connection], None] | None = None
    path: str
    _is_ending = False
    # Device and inode of the file, and of its write-ahead log.
    _file: tuple[int, int] | None = None
    _wal: tuple[int, int] | None = None
    _held: tuple[int, int] | None = None
    # Whether it may be read alone; None before the first connection.
    is_read_only: bool | None = None

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Ways of connections that are good for one use, and the state of their files before it.
        self.ways: dict[int, tuple[Way, State]] = {}
        # Threads that have borrowed connections.
        self.borrowers: dict[int, int] = {}
        self._is_still = False
        forks.put_away(self._stand_still, self._go_on)
        forks.in_child(self._leave_alone)

    # --- forks ----------------------------------------------------------------------------------

    def _stand_still(self) -> None:
        """Wait until other threads have given back what they borrowed, and lend nothing more."""
        # A database in memory ends with its last connection.
        if self.is_sqlite_memory_mode or not self._put_condition.acquire(timeout=forks.PATIENCE):
            return
        self._is_still = True
        deadline = time.monotonic() + forks.PATIENCE
        while self._is_lent_to_others() and time.monotonic() < deadline:
            self._put_condition.wait(_SLICE)
        self.close_idle()

    def _is_lent_to_others(self) -> bool:
        me = threading.get_ident()
        return any(self.borrowers.get(it) != me for it in self._in_use)

    def _go_on(self) -> None:
        if self._is_still:
            self._is_still = False
            self._put_condition.release()

    def _leave_alone(self) -> None:
        lent = [it._sqlite_conn for it in self._in_use.values()]  # noqa: SLF001 (has no public name)
        is_busy = self._is_lent_to_others() or any(it.in_transaction for it in lent)
        if self._file is not None and is_busy:
            _of_parent.add(self._file)
        for it in (*lent, self):
            forks.keep(it)

    def require_same_file(self, *, outcome: str = "nothing was recorded") -> None:
        """Make sure that the connections write into the file that others see.

        Args:
            outcome: What a difference means for the transaction.

        Raises:
            StorageError: The file or its write-ahead log was replaced or removed.
        """
        if self.is_sqlite_memory_mode or (
            self._file == identity_of(self.path) and self._wal == identity_of(f"{self.path}-wal")
        ):
            return
        raise StorageError(
            f"ledger database {self.path}: the file, or its write-ahead log, was replaced or "
            f"removed while this process had it open; {outcome}; see to the file, then "
            "close the ledger (ln.close()) or begin a new process, and try again"
        )

    def _recognise(self, raw: sqlite3.Connection, before: tuple[int, int] | None) -> None:
        """Take note of the file with the first connection; see that the others are to the same."""
        # The first read makes the write-ahead log, which stays while any connection is open.
        raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if self._held is None:
            self._held = sqlite_hold.hold(self.path)
        if not self._in_use and not self._pool:
            self._wal = identity_of(f"{self.path}-wal")
        self._note(before)
        self.require_same_file()

    def _note(self, file: tuple[int, int] | None) -> None:
        """Take note of the file, of which the caller may know the identity already."""
        if self._file is None:
            self._file = file or identity_of(self.path)
            if self._file is not None:
                open_databases.add(self._file)

    def _create_connection(self) -> SQLiteConnection:
        if self.is_read_only is None:
            is_there = not self.is_sqlite_memory_mode and os.path.lexists(self.path)
            self.is_read_only = is_there and not may_write(self.path)
        before = identity_of(self.path)
        if before in _of_parent:
            raise StorageError(
                f"ledger database {self.path}: this process was forked in the middle of a batch of "
                "its parent, and SQLite would take the parent's locks for its own; nothing was "
                "recorded, fork before or after the batch, or begin a new process"
            )
        if self.is_read_only:
            return self._for_reading()
        try:
            raw = _opened(self.db_name, () if self.is_sqlite_memory_mode else _JOURNAL)
        except sqlite3.OperationalError as error:
            # Some systems tell only now that the file may be read alone.
            if before is None or self._file is not None or not is_refusal(error):
                raise
            found = self._for_reading()
            self.is_read_only = True
            return found
        try:
            if not self.is_sqlite_memory_mode:
                self._recognise(raw, before)
            if self.prepare is not None:
                self.prepare(raw)
        except BaseException:
            raw.close()
            raise
        return SQLiteConnection(sqlite_conn=raw, max_age=None)

    def _get_connection(self, timeout: float = 0.0) -> SQLiteConnection:
        # The framework looks once, before it waits for its turn: a pool that is closed meanwhile
        # would then give out a connection that it does not take back.
        with self._put_condition:
            if self.closed:
                raise ConnectionPoolClosedError
            return super()._get_connection(timeout)

    def _for_reading(self) -> SQLiteConnection:
        """Open the file without writing to it, or to anything beside it."""
        way = way_to_read(self.path)
        before = way.state()
        raw = _opened(way.uri, way.pragmas)
        try:
            raw.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if self.prepare is not None:
                self.prepare(raw)
        except BaseException:
            raw.close()
            raise
        connection = SQLiteConnection(sqlite_conn=raw, max_age=None)
        if way.files:
            self.ways[id(connection)] = way, before
        else:
            self._note(None)
        return connection

    def put_connection(self, conn: SQLiteConnection) -> None:
        super().put_connection(conn)
        if self._is_ending:
            self.close()

    def close(self) -> None:
        """Close idle connections, and borrowed ones as they come back.

        The framework closes borrowed connections at once: with a statement of another thread on
        the way, that ends the process with a segmentation fault.
        """
        self._is_ending = True
        # Nobody borrows one between the look and the end: that would close it under its borrower.
        with self._put_condition:
            if self._in_use:
                self.close_idle()
                return
            # Before the last connection goes: SQLite then tidies up.
            sqlite_hold.let_go(self._held)
            self._held = None
            super().close()
            if self._file is not None:
                open_databases.discard(self._file)

    def close_idle(self) -> None:
        """Close the connections that nobody has borrowed."""
        with self._put_condition:
            while self._pool:
                self._pool.popleft().close()


def _opened(uri: str, first: Sequence[str]) -> sqlite3.Connection:
    """Return a connection with our pragmas."""
    # Not the framework's: it keeps one prepared statement, which made an append cost threefold.
    raw = sqlite3.connect(
        uri,
        uri=True,
        timeout=LOCK_TIMEOUT,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS,
    )
    try:
        raw.row_factory = sqlite3.Row
        for pragma in (*first, *_PRAGMAS):
            raw.execute(pragma).fetchall()
    except BaseException:
        raw.close()
        raise
    return raw


class _Loan(AbstractContextManager[sqlite3.Connection]):
    """A connection of the pool inside a block, with SQLite's errors made ours."""

    # Not a generator: each question passes through it.
    __slots__ = ("_is_for_reading", "_lent", "_once", "_pool")

    def __init__(self, pool: _Pool, *, is_for_reading: bool = False) -> None:
        self._pool = pool
        self._is_for_reading = is_for_reading

    def __enter__(self) -> sqlite3.Connection:
        # Not as reader or writer in the pool's sense: its lock would make a reader wait behind a
        # writer that waits for another writer. SQLite and `_writing` keep writers apart.
        try:
            self._lent = self._pool.get_connection(is_writer=None)
        except Exception as error:
            translate(error, self._pool.path)
            raise
        self._pool.borrowers[id(self._lent)] = threading.get_ident()
        self._once = self._pool.ways.pop(id(self._lent), None) if self._pool.ways else None
        if self._is_for_reading and not self._pool.is_read_only:
            # A save without an effect is acknowledged by what was read, so that must be the file
            # which others see. Within a transaction it is compared under the write lock.
            try:
                self._pool.require_same_file(outcome="nothing is answered from it")
            except BaseException:
                self._give_back()
                raise
        return self._lent._sqlite_conn  # noqa: SLF001 (the library has no public name for it)

    def __exit__(
        self, kind: object, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            # A question that was interrupted or failed half-way, and that its traceback keeps,
            # holds on to its moment: from there, this connection could write no more. One to a file
            # that was replaced stays open, so that another one cannot be mistaken for the first.
            is_over = error is not None and not isinstance(error, StorageError)
            if is_over and not self._pool.is_sqlite_memory_mode:
                self._lent.close()
            if self._once is not None:
                self._lent.close()
                if error is None:
                    require_state(self._pool.path, *self._once)
        finally:
            self._give_back()
        if error is not None:
            translate(error, self._pool.path)

    def _give_back(self) -> None:
        self._pool.borrowers.pop(id(self._lent), None)
        self._pool.put_connection(self._lent)


class Datastore(SQLiteDatastore):
    """eventsourcing's datastore over our connections."""

    pool: _Pool

    def __init__(
        self,
        path: str,
        *,
        prepare: Callable[[sqlite3.Connection], None] | None = None,
        is_new: bool = False,
    ) -> None:
        """Open nothing yet; `prepare` is called with each new connection.

        A file that is not there is an error, unless `is_new` says that it is to be made.
        """
        super().__init__(":memory:", originator_id_type="uuid")
        self.pool.close()
        self._writing = threading.Lock()
        is_named_for_sqlite = path.startswith(("file:", ":memory:"))
        if is_new and not is_named_for_sqlite:
            # Where it cannot be made, SQLite says so when it opens it.
            with suppress(OSError):
                files.make_file(path)
        uri = f"{Path(path).absolute().as_uri()}?mode={'rwc' if is_new else 'rw'}"
        self.pool = _Pool(
            db_name=path if is_named_for_sqlite else uri,
            lock_timeout=int(LOCK_TIMEOUT),
            pool_timeout=LOCK_TIMEOUT,
            pool_size=5,
            max_overflow=60,
        )
        # The framework's is written in Python and asks for two locks more at each loan.
        self.pool._get_semaphore = threading.Lock()  # type: ignore[assignment] # noqa: SLF001 (has no public name)
        self.pool.prepare = prepare
        self.pool.path = path

    def is_ledger(self) -> bool:
        """Return whether the file is a database that says it is a ledger.

        Raises:
            StorageError: The disk refused, which says nothing of the file.
        """
        try:
            with self._lent() as raw:
                found: int = raw.execute("PRAGMA application_id").fetchone()[0]
        except sqlite3.OperationalError as error:
            raise StorageError(explain(str(error))) from error
        except sqlite3.DatabaseError:
            return False
        return found == APPLICATION_ID

    @property
    def is_read_only(self) -> bool:
        """Whether this process may read the file and not write it, as far as it was opened."""
        return bool(self.pool.is_read_only)

    def require_writable(self) -> None:
        """Refuse what would write to a file that may be read alone.

        Raises:
            ReadOnlyLedgerError: It may be read alone.
        """
        if self.pool.is_read_only:
            raise cannot_be_written(self.pool.path)

    def connection(self, *, write: bool) -> AbstractContextManager[sqlite3.Connection]:
        """Lend a connection; for writing, inside a transaction that holds the write lock.

        A write transaction is committed, and durable, when the block ends, and rolled back when
        the block raises.

        Raises:
            StorageError: The database refused: locked for too long, disk full, file damaged.
        """
        return self._transaction() if write else _Loan(self.pool, is_for_reading=True)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with translated(), self._turn(), self._lent() as raw:
            self.require_writable()
            try:
                raw.execute("BEGIN IMMEDIATE")
                self.pool.require_same_file()
                yield raw
                self.pool.require_same_file()
                raw.execute("COMMIT")
                # What is done with the file during a commit is noticed here.
                self.pool.require_same_file(outcome=_IN_DOUBT)
            except BaseException:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raise

    def scrub(self) -> bool:
        """Write the file anew, without overwritten bytes, and empty the write-ahead log.

        Returns:
            Whether the write-ahead log is empty: a reader of an older moment keeps it.

        Raises:
            StorageError: The database refused: the disk is full, or it was locked for too long.
        """
        with translated(), self._turn(), self._lent() as raw:
            self.require_writable()
            raw.execute("VACUUM")
            (busy, _, _) = raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    def _lent(self) -> _Loan:
        return _Loan(self.pool)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Let one thread of this process write at a time."""
        if not self._writing.acquire(timeout=LOCK_TIMEOUT):
            raise StorageError(explain("locked by another thread of this process"))
        try:
            yield
        finally:
            self._writing.release()


def set_meta(connection: sqlite3.Connection, values: dict[str, str]) -> None:
    """Have a file say this of itself."""
    connection.executemany(
        "INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        list(values.items()),
    )


def copy_file(connection: sqlite3.Connection, path: os.PathLike[str]) -> None:
    """Copy the database of a connection, as it is at one moment, to a new file."""
    files.make_file(path)
    target = sqlite3.connect(path)
    try:
        connection.backup(target)
    finally:
        target.close()


def copy_over(path: os.PathLike[str], connection: sqlite3.Connection) -> None:
    """Write a database over that of a connection, in one transaction.

    Connections of others see all of it from then on.
    """
    source = sqlite3.connect(path)
    try:
        source.backup(connection)
    finally:
        source.close()
