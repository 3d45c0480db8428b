"""Read models folded again from the log, to compare with the stored ones or to replace them.

1. Each change is noted under the key of its row. To make the rows, the notes are sorted by key and
   carried out one by one: rows come out in the order of their key, without a search for any row, in
   bounded memory.
2. The notes are in a temporary database, which vanishes when it is closed. All of it happens in one
   transaction that never commits: a commit looks at every changed page in memory.
3. A change that cannot be carried out is reported with its position, and has no effect. An event is
   noted with all its changes or with none.
4. Inside its block, Python looks for cycles of objects less often, as none are made.
"""

# ruff: noqa: S608 (statements contain only names of our own)

from __future__ import annotations

import gc
import sqlite3
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import groupby
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeAlias

import msgspec

from ledger.errors import CorruptLogError, InvalidValueError, LedgerError
from ledger.model.schema import LIVE
from projections.resolve import require_columns
from projections.row_changes import Amended, Change, Closed, Opened, Values
from projections.sql.dialect import quoted
from projections.sql.tables import is_guarded
from projections.store import name_taken, not_there
from projections.tables import FOREVER, TABLES, Table

Row: TypeAlias = list[Any]

_NOTED = 20_000  # changes in memory
_FETCHED = 2_000
_OBJECTS = 100_000  # new ones before Python looks for cycles
_OPEN, _AMEND, _CLOSE, _WHOLE = range(4)
_NOTHING: Values = {}

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], list[Any]] = msgspec.msgpack.Decoder(list[Any]).decode


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Make Python look for cycles less often inside the block, in every thread of the process.

    By default, Python looks after every 700 new objects that stay. Work that makes many small
    objects without cycles spends an eighth of its time on that.
    """
    before = gc.get_threshold()
    if 0 < before[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


class Problem(NamedTuple):
    """A change that could not be carried out."""

    position: int
    error: LedgerError


class _Shape(NamedTuple):
    """The common form of changes that give values to the same columns.

    Attributes:
        verb: Their kind, such as `_OPEN`.
        columns: Places of the columns.
        row: Makes a row from the values of a note, followed by None and two bounds.
    """

    verb: int
    columns: tuple[int, ...]
    row: Callable[[list[Any]], tuple[Any, ...]]


class Shadow:
    """Fresh read models."""

    def __init__(self) -> None:
        # A database without a name is in memory; a large one, in a file that is removed already.
        self._connection = sqlite3.connect("", isolation_level=None)
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-65536"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        self._connection.execute("BEGIN")
        self._notes = {name: _Notes(self._connection, table) for name, table in TABLES.items()}
        self._waiting = 0
        self._ending = ExitStack()

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Note the changes of one event: all of them, or none after an error.

        Raises:
            UnknownFieldError: A change names a column that its table does not have.
            InvalidValueError: The key of a change is not text.
        """
        noted = [(notes := self._notes[it.table], notes.noted(position, it)) for it in changes]
        for notes, note in noted:
            notes.add(note)
        self._waiting += len(noted)
        if self._waiting > _NOTED:
            self._write()

    def believe(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Take finished rows, both bounds included."""
        notes = self._notes[table]
        for row in rows:
            notes.add(notes.whole(row))

    def forget(self) -> None:
        """Drop all notes."""
        for name, notes in self._notes.items():
            notes.drop()
            self._notes[name] = _Notes(self._connection, TABLES[name])
        self._waiting = 0

    def rows(
        self, table: str, problems: list[Problem] | None = None, *, as_stored: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table in the order of its key.

        Args:
            table: One of `projections.tables.TABLES`.
            problems: Takes the failed changes, in any order; complete after the last row.
            as_stored: Whether a boolean is a number, as it is in SQLite.

        Raises:
            CorruptLogError, NameTakenError: After the last row, if a change failed and there is
                no list to take it.
        """
        self._write()
        told: list[Problem] = [] if problems is None else problems
        rows = self._notes[table].rows(told, as_stored=as_stored)
        if is_guarded(table):
            rows = self._guarded(table, rows, told)
        yield from rows
        if told and problems is None:
            raise min(told, key=itemgetter(0)).error

    def _guarded(
        self, table: str, rows: Iterator[tuple[Any, ...]], problems: list[Problem]
    ) -> Iterator[tuple[Any, ...]]:
        """Yield rows, and report where two live ones have the same name."""
        columns = TABLES[table].column_names
        name, state = columns.index("name"), columns.index("state")
        execute = self._connection.execute
        execute("DROP TABLE IF EXISTS live_names")
        execute("CREATE TABLE live_names (name, begins, ends)")
        waiting: list[tuple[Any, ...]] = []
        insert = "INSERT INTO live_names VALUES (?, ?, ?)"
        for row in rows:
            if row[state] == LIVE and row[name] is not None:
                waiting.append((row[name], row[-2], row[-1]))
                if len(waiting) > _FETCHED:
                    self._connection.executemany(insert, waiting)
                    waiting.clear()
            yield row
        self._connection.executemany(insert, waiting)
        found = execute("SELECT name, begins, ends FROM live_names ORDER BY name, begins, ends")
        for text, spans in groupby(found, itemgetter(0)):
            taken_until = 0
            for _, begins, ends in spans:
                if begins < taken_until:
                    problems.append(Problem(begins, name_taken(table, text)))
                taken_until = max(taken_until, ends)

    def _write(self) -> None:
        for notes in self._notes.values():
            notes.write()
        self._waiting = 0

    def close(self) -> None:
        """Remove the notes."""
        self._connection.close()

    def __enter__(self) -> Self:
        self._ending.enter_context(seldom_collected())
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()
        self.close()


class _Notes:
    """The changes of one table."""

    def __init__(self, connection: sqlite3.Connection, table: Table) -> None:
        self._connection = connection
        self._table = table
        self._columns = {name: place for place, name in enumerate(table.column_names)}
        self._own_key = frozenset(table.key)
        self._booleans = [
            place for place, column in enumerate(table.columns) if column.kind == "boolean"
        ]
        self._shapes: list[_Shape] = []
        self._known: dict[tuple[Any, ...], int] = {}
        self._waiting: list[tuple[Any, ...]] = []
        # Changes that name rows by other columns than the key: columns to values to positions.
        self._aside: dict[tuple[int, ...], dict[tuple[Any, ...], list[int]]] = {}
        self._is_there = False
        keys = [f"key_{number}" for number in range(len(table.key))]
        name = quoted(f"notes_{table.name}")
        self._create = f"CREATE TABLE {name} ({', '.join(keys)}, position, what)"
        self._insert = f"INSERT INTO {name} VALUES ({', '.join('?' * (len(keys) + 2))})"
        self._drop = f"DROP TABLE {name}"
        order = ", ".join((*keys, "rowid"))
        self._select = f"SELECT {', '.join(keys)}, position, what FROM {name} ORDER BY {order}"

    # --- noting -----------------------------------------------------------------------------------

    def noted(self, position: int, change: Change) -> tuple[Any, ...] | None:
        """Return the note of a change; None if it names rows by other columns than the key."""
        if isinstance(change, Closed):
            if change.matching.keys() != self._own_key:
                self._put_aside(position, change.matching)
                return None
            verb, key, values = _CLOSE, change.matching, _NOTHING
        elif isinstance(change, Opened):
            verb, key, values = _OPEN, change.values, change.values
        else:
            verb, key, values = _AMEND, change.key, change.values
        keys = tuple([key[name] for name in self._table.key])
        for each in keys:
            if type(each) is not str:
                raise InvalidValueError(f"key of {self._table.name}: expected text, got {each!r}")
        shape = self._known.get((verb, *values))
        if shape is None:
            shape = self._shape(verb, tuple(values))
        return (*keys, position, _encode([shape, *values.values()]))

    def whole(self, row: Sequence[Any]) -> tuple[Any, ...]:
        keys = [row[self._columns[name]] for name in self._table.key]
        shape = self._shape(_WHOLE, tuple(self._columns))
        return (*keys, row[-2], _encode((shape, *row)))

    def add(self, note: tuple[Any, ...] | None) -> None:
        if note is not None:
            self._waiting.append(note)

    def write(self) -> None:
        if not self._waiting:
            return
        if not self._is_there:
            self._connection.execute(self._create)
            self._is_there = True
        self._connection.executemany(self._insert, self._waiting)
        self._waiting.clear()

    def drop(self) -> None:
        if self._is_there:
            self._connection.execute(self._drop)

    def _shape(self, verb: int, names: tuple[str, ...]) -> int:
        known = self._known.get((verb, *names))
        if known is None:
            require_columns(self._table.name, names)
            known = self._known[verb, *names] = len(self._shapes)
            given = {name: place for place, name in enumerate(names, start=1)}
            given |= {"from_position": len(names) + 2, "to_position": len(names) + 3}
            places = [given.get(name, len(names) + 1) for name in self._columns]
            columns = tuple(self._columns[name] for name in names)
            self._shapes.append(_Shape(verb, columns, itemgetter(*places)))
        return known

    def _put_aside(self, position: int, matching: dict[str, Any]) -> None:
        require_columns(self._table.name, matching)
        columns = tuple(self._columns[name] for name in matching)
        ends = self._aside.setdefault(columns, {})
        ends.setdefault(tuple(matching.values()), []).append(position)

    # --- making rows ------------------------------------------------------------------------------

    def rows(self, problems: list[Problem], *, as_stored: bool) -> Iterator[tuple[Any, ...]]:
        if not self._is_there:
            return
        finished = self._stored if as_stored and self._booleans else tuple
        width = len(self._table.key)
        current: tuple[Any, ...] | None = None
        rows: list[Row] = []  # of the current key, from the first one without an end
        began = 0
        cursor = self._connection.execute(self._select)
        while batch := cursor.fetchmany(_FETCHED):
            for note in batch:
                key = note[:width]
                if key != current:
                    if self._aside:
                        self._end_aside(rows, FOREVER)
                    for row in rows:
                        yield finished(row)
                    current, rows, began = key, [], 0
                began = self._carry_out(rows, note, began, problems)
                while rows and rows[0][-1] != FOREVER:
                    yield finished(rows.pop(0))
        if self._aside:
            self._end_aside(rows, FOREVER)
        for row in rows:
            yield finished(row)

    def _carry_out(
        self, rows: list[Row], note: tuple[Any, ...], began: int, problems: list[Problem]
    ) -> int:
        """Apply a note to the rows of its key, and return where the last one began."""
        position: int = note[-2]
        values = _decode(note[-1])
        verb, columns, row_of = self._shapes[values[0]]
        if self._aside:
            self._end_aside(rows, position)
        if verb == _WHOLE:
            rows.append(values[1:])
        elif verb == _CLOSE:
            for row in rows:
                if row[-1] == FOREVER:
                    row[-1] = position
        elif began == position:
            problems.append(Problem(position, self._twice(position, note)))
        elif verb == _OPEN:
            values += (None, position, FOREVER)
            rows.append([*row_of(values)])
            began = position
        else:
            valid = [row for row in rows if row[-1] == FOREVER]
            if len(valid) != 1:
                key = dict(zip(self._table.key, note, strict=False))
                error = not_there(position, Amended(self._table.name, key, {}), len(valid))
                problems.append(Problem(position, error))
                return began
            row = valid[0].copy()
            for column, value in zip(columns, values[1:], strict=True):
                row[column] = value
            valid[0][-1] = position
            row[-2:] = position, FOREVER
            rows.append(row)
            began = position
        return began

    def _twice(self, position: int, note: tuple[Any, ...]) -> CorruptLogError:
        key = ", ".join(
            f"{name} {value}" for name, value in zip(self._table.key, note, strict=False)
        )
        return CorruptLogError(
            f"event at position {position}: begins {self._table.name} {key} twice",
            position=position,
        )

    def _end_aside(self, rows: list[Row], until: int) -> None:
        """End the valid rows that a change up to `until` named by other columns than the key."""
        for columns, ends in self._aside.items():
            for row in rows:
                positions = ends.get(tuple(row[column] for column in columns), ())
                place = bisect_right(positions, row[-2])
                if row[-1] == FOREVER and place < len(positions) and positions[place] <= until:
                    row[-1] = positions[place]

    def _stored(self, row: Row) -> tuple[Any, ...]:
        for place in self._booleans:
            if row[place] is not None:
                row[place] = int(row[place])
        return tuple(row)
