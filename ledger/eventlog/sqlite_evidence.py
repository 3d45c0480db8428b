"""A SQLite ledger as an auditor reads it: one moment of it, without trust in anything it holds.

1. The file is opened for reading only. Whatever is recorded meanwhile is not seen: all answers are
   of the moment at which the evidence was opened.
2. Values come as they are stored: text as `Text`, which is bytes, so that damage cannot hide behind
   a conversion, nor a value of one kind pass for another.
3. Tables are read by themselves, not through an index where a table will do.
4. What SQLite refuses to read is an error of ours; what comes after it is still asked for.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ledger.errors import CorruptLogError, LedgerError, StorageError
from ledger.eventlog.evidence import Evidence, RawRow, Text
from ledger.eventlog.sqlite import Recorder
from ledger.eventlog.sqlite_connections import APPLICATION_ID, Datastore

_BATCH = 2_000
_BUSY = 30_000  # milliseconds; readers hardly ever wait
_HEADER = b"SQLite format 3\x00"

# Messages of SQLite quote what is damaged, and may be no text for it.
_REFUSALS = (sqlite3.Error, UnicodeDecodeError, OverflowError, MemoryError)

_ROWS = (
    "SELECT e.position, e.recorded_at, e.stream, e.version, e.command_id, e.number, e.salt,"
    " e.leaf, s.topic, s.state FROM entries e NOT INDEXED LEFT JOIN stored_events s"
    " ON s.originator_id = e.stream AND s.originator_version = e.version"
    " WHERE e.position > ? AND e.position <= ? ORDER BY e.position LIMIT ?"
)
_STRAYS = (
    "SELECT s.originator_id, s.originator_version, s.topic FROM stored_events s NOT INDEXED"
    " WHERE NOT EXISTS (SELECT 1 FROM entries e"
    " WHERE e.stream = s.originator_id AND e.version = s.originator_version)"
)


class SqliteEvidence(Evidence):
    """A SQLite file at one moment."""

    def __init__(self, path: Path) -> None:
        """Open the file and hold on to the moment.

        Raises:
            StorageError: It is not there or cannot be read.
            CorruptLogError: It is not a database.
        """
        self.path = path
        try:
            with path.open("rb") as file:
                header = file.read(len(_HEADER))
        except OSError as error:
            raise StorageError(f"ledger database {path}: cannot be read: {error}") from error
        if header != _HEADER:
            raise CorruptLogError(f"ledger database {path}: expected a SQLite file, found none")
        self._connection = sqlite3.connect(
            f"file:{quote(str(path))}?mode=ro", uri=True, isolation_level=None
        )
        self._connection.text_factory = Text
        try:
            for pragma in (f"busy_timeout={_BUSY}", "trusted_schema=OFF", "cache_size=-65536"):
                self._ask(f"PRAGMA {pragma}")
            self._ask("BEGIN")
            self._ask("SELECT count(*) FROM sqlite_master")
        except BaseException:
            self._connection.close()
            raise

    def close(self) -> None:
        """Let go of the moment."""
        self._connection.close()

    def head(self) -> int:
        """Return the largest position; 0 where there is none.

        Raises:
            CorruptLogError: The table cannot be read.
        """
        (row,) = self._ask("SELECT max(position) FROM entries NOT INDEXED")
        return row[0] if isinstance(row[0], int) else 0

    def rows(self, *, after: int = 0, until: int) -> Iterator[RawRow | LedgerError]:
        """Yield the rows of the log in order; an error in the place of what cannot be read."""
        while after < until:
            try:
                batch = self._ask(_ROWS, (after, until, _BATCH))
            except LedgerError:
                # Row by row, so that what can be read is.
                end = min(until, after + _BATCH)
                for position in range(after, end):
                    try:
                        one = self._ask(_ROWS, (position, position + 1, 1))
                    except LedgerError as error:
                        error.details["position"] = position + 1
                        yield error
                    else:
                        yield from (RawRow(*row) for row in one)
                after = end
                continue
            yield from map(RawRow._make, batch)
            if len(batch) < _BATCH:
                return
            after = batch[-1][0]

    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return stream, version and type of the events that have no entry."""
        return [tuple(row) for row in self._ask(_STRAYS)]

    def meta(self) -> dict[str, str]:
        """Return what the file says of itself."""
        rows = self._ask("SELECT name, value FROM meta")
        return {_shown(name): _shown(value) for name, value in rows}

    def check(self, read_models: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Yield what is wrong with the file as a whole: subject, expected, found.

        Args:
            read_models: Statements that make the read models of a new file.
        """
        (row,) = self._ask("PRAGMA application_id")
        if row[0] != APPLICATION_ID:
            yield "application id", f"{APPLICATION_ID:#x}", f"{row[0]:#x}"
        yield from self._schema(read_models)
        for (line,) in self._ask("PRAGMA integrity_check(1000)"):
            if line != b"ok":
                yield "integrity", "ok", _shown(line)

    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table of the read models."""
        del name
        cursor = self._ask(statement, fetch=False)
        while True:
            batch = self._fetch(cursor)
            if not batch:
                return
            yield from batch

    def _schema(self, read_models: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Compare tables, indexes and triggers with those of a new ledger."""
        wanted = _objects(_new_file(read_models))
        found = _objects(self._ask("SELECT type, name, tbl_name, sql FROM sqlite_master"))
        for name, text in wanted.items():
            if found.get(name) != text:
                yield name, text, found.get(name, "nothing")
        for name, text in found.items():
            if name not in wanted and name.startswith(("trigger", "view")):
                yield name, "nothing", text

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


def _refused(path: Path, error: BaseException) -> LedgerError:
    text = f"ledger database {path.name}: cannot be read: {error}"
    if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
        return StorageError(text)
    return CorruptLogError(text)


def _new_file(read_models: Sequence[str]) -> list[tuple[Any, ...]]:
    """Return the objects that a new file has."""
    log = Recorder(Datastore(":memory:")).construct_create_table_statements()
    with closing(sqlite3.connect(":memory:")) as connection:
        for statement in (*log, *read_models):
            connection.execute(statement)
        return connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master").fetchall()


def _objects(rows: Iterable[tuple[Any, ...]]) -> dict[str, str]:
    """Return each object's text by its kind and name; spaces and quotation marks do not count."""
    found = {}
    for kind, name, table, sql in rows:
        text = " ".join(_shown(sql).split()).replace('"', "")
        found[f"{_shown(kind)} {_shown(name)}"] = f"on {_shown(table)}: {text}"
    return found


def _shown(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
