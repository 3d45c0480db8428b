"""A SQLite ledger as an auditor reads it: one moment of it, without trust in anything it holds.

1. The file is opened for reading only. Entries that are recorded meanwhile are not seen: all
   answers are of the moment at which the evidence was opened.
2. Values come as they are stored: text as `Text`, which is bytes, so that a conversion cannot hide
   damage, and a value of one kind cannot pass for another.
3. Tables are read by themselves, not through an index where a table will do.
4. The two tables of the log are read side by side, as they were appended; only where they do not
   agree, the event of each entry is looked for.
5. SQLite's check of the file's structure goes on meanwhile, of the moment after.
6. A row that SQLite refuses to read is an error of ours; the rows after it are still asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from threading import Thread
from typing import Any

from ledger.errors import CorruptLogError, LedgerError, StorageError
from ledger.eventlog import sqlite_hold
from ledger.eventlog.evidence import Evidence, RawRow, Text, differences
from ledger.eventlog.sqlite_connections import APPLICATION_ID, Datastore
from ledger.eventlog.sqlite_hold import identity_of
from ledger.eventlog.sqlite_log import Recorder
from ledger.eventlog.sqlite_reading import Way, is_refusal, may_write, require_state, way_to_read
from projections.sql.sqlite import SQLITE
from projections.sql.tables import create_indexes, create_tables

_BATCH = 2_000
_PATIENCE = 0.05  # seconds
_BUSY = 30_000  # milliseconds; readers hardly ever wait
_UNDECODABLE = "Could not decode to UTF-8"  # Python's words for text that is none
_FIRST, _LAST = -(2**63), 2**63 - 1  # a row that was slipped in may have any number

# Messages of SQLite quote the damaged bytes, and then may be no text.
_REFUSALS = (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError)

# Both tables hold their rows in the order of the log, as only appending is allowed. Read side by
# side, they need no index. `_JOINED` looks for the event of each entry instead.
_ENTRIES = (
    "SELECT position, recorded_at, stream, version, command_id, number, salt, leaf"
    " FROM entries NOT INDEXED WHERE position > ? AND position <= ? ORDER BY position LIMIT ?"
)
_EVENTS = (
    "SELECT topic, state, originator_id, originator_version, rowid"
    " FROM stored_events NOT INDEXED WHERE rowid >= ? ORDER BY rowid LIMIT ?"
)
_JOINED = (
    "SELECT e.position, e.recorded_at, e.stream, e.version, e.command_id, e.number, e.salt,"
    " e.leaf, s.topic, s.state, s.rowid FROM entries e NOT INDEXED LEFT JOIN stored_events s"
    " ON s.originator_id = e.stream AND s.originator_version = e.version"
    " WHERE e.position > ? AND e.position <= ? ORDER BY e.position LIMIT ?"
)
_STRAYS = (
    "SELECT s.originator_id, s.originator_version, s.topic FROM stored_events s NOT INDEXED"
    " WHERE NOT EXISTS (SELECT 1 FROM entries e"
    " WHERE e.stream = s.originator_id AND e.version = s.originator_version)"
)
_BELOW = "SELECT position FROM entries NOT INDEXED WHERE position < 1 ORDER BY position"
OBJECTS = "SELECT type, name, tbl_name, sql FROM sqlite_master"
# SHA-256 of the texts, as `_texts` gives them, of the two triggers that were others in format 1.
_OF_FORMAT_1 = {
    "trigger stored_events_refuse_update": (
        "3383cc2258b55eadb80d4e760125041350448937c2e939608803df18dcb46a9f"
    ),
    "trigger entries_refuse_update": (
        "70568c3bdcf8a138ca8b422d9995b7a722474c564cf592eeb0b737600d866d7f"
    ),
}


class SqliteEvidence(Evidence):
    """A SQLite file at one moment."""

    def __init__(self, path: Path) -> None:
        """Open the file and hold on to the moment.

        Raises:
            StorageError: It is not there or cannot be read.
            CorruptLogError: It is not a database.
        """
        self.path = path
        self._way = _way(path)
        self._before = self._way.state()
        self._connection = _connect(path, self._way)
        # Where to read on in `stored_events`, and whether each row so far had its entry beside it.
        self._next_event, self._is_paired = _FIRST, True
        self._file = identity_of(path)
        self._held: sqlite_hold.Identity | None = None
        try:
            for pragma in (f"busy_timeout={_BUSY}", "trusted_schema=OFF", "cache_size=-65536"):
                self._ask(f"PRAGMA {pragma}")
            self._ask("BEGIN")
            self._require_pages()
            # What is read without locks is compared at the end instead, see `require_unchanged`.
            self._held = None if self._way.files else sqlite_hold.hold(path)
            self._integrity = _Integrity(path, self._way)
        except BaseException:
            sqlite_hold.let_go(self._held)
            self._connection.close()
            raise

    def _require_pages(self) -> None:
        # SQLite alone reads the header: the system would drop SQLite's locks when this process
        # closed a file that it had opened by itself. An empty file is a database without pages.
        (row,) = self._ask("PRAGMA page_count")
        if not row[0]:
            raise _no_database(self.path)

    @contextmanager
    def refusals(self) -> Iterator[None]:
        """Say so if the file is not the one that was opened any more, whatever was found in it.

        Raises:
            StorageError: It was replaced or removed meanwhile.
        """
        try:
            yield
        finally:
            if identity_of(self.path) != self._file:
                raise StorageError(
                    f"ledger database {self.path}: the file was replaced or removed while it was "
                    "read; see to the file, and try again"
                )

    def close(self) -> None:
        """Let go of the moment."""
        self._integrity.close()
        sqlite_hold.let_go(self._held)
        self._connection.close()

    def require_unchanged(self) -> None:
        """See `Evidence.require_unchanged`."""
        require_state(self.path, self._way, self._before)

    def head(self) -> int:
        """Return the largest position; 0 where there is none.

        Raises:
            CorruptLogError: The table cannot be read.
        """
        (row,) = self._ask("SELECT max(position) FROM entries NOT INDEXED")
        return row[0] if isinstance(row[0], int) else 0

    def batches(self, *, until: int) -> Iterator[list[RawRow] | LedgerError]:
        """Yield the rows of the log in order; an error in the place of a row that is unreadable."""
        after = 0
        while after < until:
            try:
                batch = self._side_by_side(after, until) or self._joined(after, until, _BATCH)
            except LedgerError:
                # Row by row, so that every readable row is read.
                end = min(until, after + _BATCH)
                for position in range(after, end):
                    try:
                        yield self._joined(position, position + 1, 1)
                    except LedgerError as error:
                        error.details["position"] = position + 1
                        yield error
                after = end
                continue
            if batch:
                yield batch
            if len(batch) < _BATCH:
                return
            after = batch[-1].position

    def _side_by_side(self, after: int, until: int) -> list[RawRow]:
        """Return the next rows of both tables; none where they do not lie side by side."""
        entries = self._ask(_ENTRIES, (after, until, _BATCH))
        events = self._ask(_EVENTS, (self._next_event, len(entries)))
        if len(events) != len(entries):
            return []
        for entry, event in zip(entries, events, strict=True):
            stream, version = event[2:4]
            if entry[2] != stream or entry[3] != version:
                return []
            if type(stream) is not Text or type(version) is not int:
                return []
        self._read_on_after(events)
        return [
            RawRow._make(entry + event[:2]) for entry, event in zip(entries, events, strict=True)
        ]

    def _joined(self, after: int, until: int, limit: int) -> list[RawRow]:
        rows = self._ask(_JOINED, (after, until, limit))
        self._is_paired = False
        self._read_on_after([row for row in rows if row[-1] is not None])
        return [RawRow._make(row[:-1]) for row in rows]

    def _read_on_after(self, rows: Sequence[tuple[Any, ...]]) -> None:
        last = max((row[-1] for row in rows), default=_FIRST)
        self._next_event = max(self._next_event, min(last + 1, _LAST))

    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return stream, version and type of the events that have no entry."""
        if self._is_paired and not self._ask(_EVENTS, (self._next_event, 1)):
            return []  # every event was met beside its entry
        return [tuple(row) for row in self._ask(_STRAYS)]

    def meta(self) -> dict[str, str]:
        """Return the settings that the file keeps of itself."""
        rows = self._ask("SELECT name, value FROM meta")
        return {_shown(name): _shown(value) for name, value in rows}

    def below(self) -> list[int]:
        """Return the positions below 1 that have an entry."""
        return [position for (position,) in self._ask(_BELOW)]

    def counts(self) -> dict[str, int]:
        """Return how many rows each table of the log has."""
        return {
            table: self._ask(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 (own names)
            for table in ("entries", "stored_events")
        }

    def check(self) -> Iterator[tuple[str, str, str]]:
        """Yield the faults of the whole file: subject, expected, found."""
        yield from header_faults(self._ask)
        of_format_1 = False
        with suppress(LedgerError):  # that there is no such table is told below
            of_format_1 = self.meta().get("format") == "1"
        yield from schema_faults(self._ask(OBJECTS), of_format_1=of_format_1)
        for line in self._integrity.lines():
            if line != b"ok":
                yield "integrity", "ok", _shown(line)

    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table of the read models; damaged text comes as `Text`."""
        del name
        done = 0
        try:
            for batch in self._portions(statement, str):
                yield from batch
                done += len(batch)
        except CorruptLogError as error:
            if _UNDECODABLE not in str(error):
                raise
            for batch in self._portions(statement, _leniently):
                yield from batch[done:]
                done = max(0, done - len(batch))

    def _portions(self, statement: str, text: Any) -> Iterator[list[tuple[Any, ...]]]:
        before, self._connection.text_factory = self._connection.text_factory, text
        try:
            cursor = self._ask(statement, fetch=False)
            while batch := self._fetch(cursor):
                yield batch
        finally:
            self._connection.text_factory = before

    def _ask(self, statement: str, params: Sequence[object] = (), *, fetch: bool = True) -> Any:
        try:
            cursor = self._connection.execute(statement, params)
            return cursor.fetchall() if fetch else cursor
        except _REFUSALS as error:
            raise _refused(self.path, error) from error

    def _fetch(self, cursor: sqlite3.Cursor) -> list[tuple[Any, ...]]:
        try:
            return cursor.fetchmany(_BATCH)
        except _REFUSALS as error:
            raise _refused(self.path, error) from error


class _Integrity:
    """SQLite's own check of a file, beside everything else that is read: it needs no Python."""

    def __init__(self, path: Path, way: Way) -> None:
        """Begin it."""
        self._path = path
        self._connection = _connect(path, way)
        self._lines: list[object] = []
        self._error: BaseException | None = None
        self._thread = Thread(target=self._run, name="integrity check", daemon=True)
        self._thread.start()

    def lines(self) -> list[object]:
        """Wait for what it says.

        Raises:
            CorruptLogError: It says nothing for all the damage.
        """
        self._thread.join()
        if self._error is not None:
            raise _refused(self._path, self._error) from self._error
        return self._lines

    def close(self) -> None:
        """End it, be it done or not."""
        while self._thread.is_alive():
            self._connection.interrupt()
            self._thread.join(_PATIENCE)
        self._connection.close()

    def _run(self) -> None:
        try:
            self._connection.execute(f"PRAGMA busy_timeout={_BUSY}")
            rows = self._connection.execute("PRAGMA integrity_check(1000)").fetchall()
            self._lines = [line for (line,) in rows]
        except _REFUSALS as error:
            self._error = error


def _way(path: Path) -> Way:
    if not path.exists() or may_write(path):
        return Way(f"{path.absolute().as_uri()}?mode=ro")
    return way_to_read(path)


def _connect(path: Path, way: Way) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(
            way.uri,
            uri=True,
            isolation_level=None,
            check_same_thread=False,
        )
    except sqlite3.OperationalError as error:
        raise StorageError(f"ledger database {path}: cannot be read: {error}") from error
    connection.text_factory = Text
    for pragma in way.pragmas:
        connection.execute(pragma).fetchall()
    return connection


def _leniently(raw: bytes) -> str | Text:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return Text(raw)


def _no_database(path: Path) -> CorruptLogError:
    return CorruptLogError(f"ledger database {path}: expected a SQLite file, found none")


def _refused(path: Path, error: BaseException) -> LedgerError:
    if "not a database" in str(error):
        return _no_database(path)
    text = f"ledger database {path.name}: cannot be read: {error}"
    # Neither says anything of what the file holds: it is busy, or it was taken away meanwhile.
    if isinstance(error, sqlite3.OperationalError) and (
        "locked" in str(error) or is_refusal(error)
    ):
        return StorageError(text)
    return CorruptLogError(text)


def header_faults(ask: Callable[[str], Iterable[Any]]) -> Iterator[tuple[str, str, str]]:
    """Compare the header of a file with that of a new one: subject, expected, found.

    Args:
        ask: Returns the rows that answer a statement.
    """
    # Nothing here reads the user version: whoever set it is no version of this program.
    for pragma, subject, expected in (
        ("application_id", "application id", APPLICATION_ID),
        ("user_version", "user version", 0),
    ):
        ((found,),) = ask(f"PRAGMA {pragma}")
        if found != expected:
            yield subject, f"{expected:#x}", f"{found:#x}"


def schema_faults(
    rows: Sequence[tuple[Any, ...]], *, of_format_1: bool = False
) -> Iterator[tuple[str, str, str]]:
    """Compare all objects of a file with those of a new one: subject, expected, found.

    Texts are compared as a whole, quotation marks included: in double quotes, a condition or the
    refusal of a trigger is a mere name. What SQLite notes for its planner does not count.

    Args:
        rows: The answer to `OBJECTS`.
        of_format_1: Whether no program of format 2 has opened the file yet: it may have the
            triggers of then.
    """
    wanted, there = _texts(_new_file()), _texts(rows)
    for name, digest in _OF_FORMAT_1.items() if of_format_1 else ():
        if [sha256(text.encode()).hexdigest() for text in there.get(name, [])] == [digest]:
            wanted[name] = there[name]
    for name, expected, found in differences(wanted, there):
        if not name.startswith("table sqlite_stat"):
            yield name, expected, found


def _new_file() -> list[tuple[Any, ...]]:
    """Return the objects that a new file has."""
    log = Recorder(Datastore(":memory:")).construct_create_table_statements()
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*log, *create_tables(SQLITE), *create_indexes(SQLITE)):
            connection.execute(statement)
        return connection.execute(OBJECTS).fetchall()


def _texts(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[str]]:
    """Return the texts of objects by kind and name."""
    found: dict[str, list[str]] = {}
    for kind, name, table, sql in rows:
        text = f"on {_shown(table)}: {_shown(sql)}"
        found.setdefault(f"{_shown(kind)} {_shown(name)}", []).append(text)
    return found


def _shown(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
