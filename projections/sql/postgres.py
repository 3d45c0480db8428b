"""The read models on a PostgreSQL server: everything special to PostgreSQL.

1. Text is compared byte by byte in UTF-8 (`COLLATE "C"`): by code point, in every locale.
2. Servers fold case in other ways than Python: some only ASCII, some without `ß`, each by its own
   version of Unicode. Therefore `folded()` is made from Python's own table (`casefold`).
3. PostgreSQL's text cannot contain NUL. Two characters stand for it, and two others for the
   character that begins them. Both spellings keep the order, and readers never see them.
4. Long texts do not fit into its usual indexes, so columns that may hold them have another kind.
5. After an error, a transaction refuses statements: the values of a message are asked before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row

from ledger.errors import CorruptLogError
from ledger.model.schema import REGISTRIES
from projections.fold import Amended, Change, Closed
from projections.select import Select
from projections.sql import tables as sql_tables
from projections.sql.casefold import folded_statement
from projections.sql.dialect import Dialect, Fragment, quoted
from projections.sql.models import SqlModels, carried_out
from projections.sql.questions import in_places, kinds_of
from projections.sql.trips import Answer, Statement, Trips
from projections.store import Row, doubled_name, name_taken, not_there
from projections.tables import TABLES, Index, Table

# An entry of a usual index has room for 2,704 bytes; a character takes up to four.
_MOST_CHARACTERS = 600
_PORTION = 2_000  # rows

_LEAD, _NUL, _SELF = "\x01", "\x01\x01", "\x01\x02"
_MAY_BE_SECOND = ("\0", "\x01", "\x02")


class PostgresDialect(Dialect):
    """The SQL of PostgreSQL, as psycopg takes it."""

    placeholder = "%s"
    types = {  # noqa: RUF012 (declared as ClassVar by the base class)
        "text": 'text COLLATE "C"',
        "json": 'text COLLATE "C"',
        "integer": "bigint",
        "time": "bigint",
        "boolean": "boolean",
        "real": "double precision",
    }
    ascending = " ASC NULLS FIRST"
    descending = " DESC NULLS LAST"
    no_limit = None
    conflicts = (psycopg.errors.UniqueViolation,)

    def casefold(self, expression: str) -> str:
        """Return the SQL for `str.casefold` of a text."""
        return f"folded({expression})"

    def contains(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text holds `part`."""
        if part.startswith(_MAY_BE_SECOND):
            return Fragment(f"{expression} ~ %s", (_at_a_character(part),))
        return Fragment(f"strpos({expression}, %s) > 0", (part,))

    def endswith(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text ends in `part`."""
        if part.startswith(_MAY_BE_SECOND):
            return Fragment(f"{expression} ~ %s", (_at_a_character(part) + "$",))
        if not part:
            return Fragment(f"{expression} IS NOT NULL")
        return Fragment(f"right({expression}, %s) = %s", (len(spelled(part)), part))

    def is_in(self, expression: str, values: Sequence[Any]) -> Fragment:
        """Return the test whether a value is one of `values`."""
        return Fragment(f"{expression} = ANY(%s)", (list(values),))

    def is_name_conflict(self, error: Exception, table: str) -> bool:
        """Return whether an error comes from the index over the live names of a table."""
        return (
            isinstance(error, psycopg.Error) and error.diag.constraint_name == f"{table}_live_name"
        )

    def primary_key(self, table: Table) -> str | None:
        """Return the primary key of a table; None where its columns may be too long for one."""
        return None if long_columns().intersection(table.key) else super().primary_key(table)

    def index_columns(self, index: Index) -> str:
        """Return the columns of an index, and its kind."""
        if index.columns[0] in long_columns():
            # A tree of common prefixes: texts of any length, equality and order, one column.
            return f"USING spgist ({quoted(index.columns[0])})"
        return super().index_columns(index)


POSTGRES = PostgresDialect()


def long_columns() -> frozenset[str]:
    """Return the columns whose texts may be too long for a usual index."""
    return frozenset(
        field.name
        for spec in REGISTRIES.values()
        for field in spec.fields
        if field.is_indexed and field.kind == "text" and field.max_length > _MOST_CHARACTERS
    )


class _Statements:
    """A connection as the store needs it: plain rows, and text that may contain NUL."""

    def __init__(self, trips: Trips) -> None:
        self.trips = trips

    def execute(self, sql: str, parameters: Sequence[Any], /) -> _Answer:
        return _Answer(self.trips.ask(sql.encode(), [_spelled(it) for it in parameters]))

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> _Answer:
        cursor = self.trips.settled().cursor(row_factory=tuple_row)
        for each in parameters:
            cursor.execute(sql.encode(), [_spelled(it) for it in each])
        return _Answer(cursor)

    def execute_all(self, statements: Iterable[Fragment]) -> list[_Answer]:
        asked = [statement(it.text, it.params) for it in statements]
        return [_Answer(answer) for answer in self.trips.ask_all(asked)]


class _Answer:
    """The outcome of a statement."""

    def __init__(self, cursor: psycopg.Cursor[tuple[Any, ...]]) -> None:
        self._cursor = cursor

    @property
    def rowcount(self) -> int:
        return self._cursor.rowcount

    def fetchall(self) -> list[Any]:
        """Return all rows, their text as it was given."""
        rows = self._cursor.fetchall()
        if any(isinstance(it, str) and _LEAD in it for row in rows for it in row):
            return [tuple(_plain(it) for it in row) for row in rows]
        return rows


class PostgresModels(SqlModels):
    """The store of the interval tables on a connection whose search path is the ledger's schema."""

    dialect = POSTGRES
    is_far = True

    def __init__(self, connection: Connection[Any] | Trips) -> None:
        """Use a connection, or share the trips of its other users."""
        self._trips = connection if isinstance(connection, Trips) else Trips(connection)
        self._statements = _Statements(self._trips)
        super().__init__(self._statements)

    @property
    def _connection(self) -> Connection[Any]:
        return self._trips.settled()

    def find_all(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the answers to several questions of `find`, in one round trip."""
        kinds = kinds_of(self.dialect, questions)
        answers = self._statements.execute_all(kind.statement for kind in kinds)
        return in_places(kinds, [answer.fetchall() for answer in answers])

    def write_rows(
        self,
        ended: Mapping[str, Sequence[Sequence[Any]]],
        begun: Mapping[str, Sequence[Sequence[Any]]],
    ) -> None:
        """End valid rows, then add finished rows: statements of many rows that travel together."""
        try:
            for table, ends in ended.items():
                self._post_columns(sql_tables.close_all(self.dialect, table), ends)
            for table, rows in begun.items():
                self._post_columns(sql_tables.load_all(self.dialect, table), rows)
            self._trips.send()
        except psycopg.errors.UniqueViolation as error:
            for table in begun:
                if sql_tables.is_guarded(table) and self.dialect.is_name_conflict(error, table):
                    raise doubled_name(table) from error
            raise

    def _post_columns(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        for first in range(0, len(rows), _PORTION):
            columns = zip(*rows[first : first + _PORTION], strict=True)
            self._trips.post(statement(text, [list(column) for column in columns]))

    def create(self, *, indexes: bool = True) -> None:
        """Create the function that folds case, every table, and every index unless later."""
        self._connection.execute(folded_statement().encode())
        super().create(indexes=indexes)

    def create_indexes(self) -> None:
        """Create every index, and a unique one for each table without a primary key."""
        self._make_indexes(is_new=False)

    def _make_indexes(self, *, is_new: bool) -> None:
        for table in TABLES.values():
            for index in table.indexes:
                self._execute(sql_tables.create_index(self.dialect, table, index, is_new=is_new))
            if self.dialect.primary_key(table) is None:
                key = ", ".join(f"hashtextextended({quoted(name)}, 0)" for name in table.key)
                name = quoted(sql_tables.named(f"{table.name}_key", is_new=is_new))
                on = quoted(sql_tables.named(table.name, is_new=is_new))
                self._execute(f"CREATE UNIQUE INDEX {name} ON {on} ({key}, from_position)")
                for column in long_columns().intersection(table.key):
                    index = Index(columns=(column,))
                    self._execute(
                        sql_tables.create_index(self.dialect, table, index, is_new=is_new)
                    )

    def end_anew(self, before: Callable[[], None]) -> None:
        """Replace the old tables, which readers use until `before`, by the new ones.

        The function that folds case is made anew, too. Dropping a table makes its readers wait for
        the end of the transaction: it comes late.
        """
        self._make_indexes(is_new=True)
        self._connection.execute(folded_statement().encode())
        before()
        self.drop()
        for table in TABLES:
            new = sql_tables.named(table, is_new=True)
            indexes = self._connection.cursor(row_factory=tuple_row).execute(
                "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
                " AND tablename = %s",
                (new,),
            )
            for (index,) in indexes.fetchall():
                own = index.removeprefix(sql_tables.NEW)
                self._execute(f"ALTER INDEX {quoted(index)} RENAME TO {quoted(own)}")
            self._execute(sql_tables.take_place(table))

    def _execute(self, statement: str) -> None:
        self._connection.execute(statement.encode())

    def load(self, table: str, rows: Iterable[Sequence[Any]], *, is_new: bool = False) -> None:
        """Add finished rows to a table: values of all its columns, both bounds included."""
        into = quoted(sql_tables.named(table, is_new=is_new))
        columns = ", ".join(map(quoted, TABLES[table].column_names))
        statement = f"COPY {into} ({columns}) FROM STDIN"
        with self._connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
            for row in rows:
                copy.write_row([_spelled(it) for it in row])

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Return all rows of a table, of all times, in the order of their key.

        Raises:
            CorruptLogError: There is no such table; the transaction stays usable.
        """
        asked = self._connection.cursor(row_factory=tuple_row)
        if asked.execute("SELECT to_regclass(%s)", (quoted(table),)).fetchone() == (None,):
            raise CorruptLogError(
                f"read models: expected a table {table}, found none; rebuild them"
            )
        return super().rows(table)

    def _all_rows(self, statement: str) -> Iterator[Any]:
        # In portions: all rows together may need too much memory.
        cursor = self._connection.cursor("all_rows", row_factory=tuple_row)
        cursor.itersize = _PORTION
        with cursor:
            for row in cursor.execute(statement.encode()):
                has_spelling = any(isinstance(it, str) and _LEAD in it for it in row)
                yield tuple(map(_plain, row)) if has_spelling else row

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in order."""
        self.apply_all([(position, changes)])

    def apply_all(
        self, events: Iterable[tuple[int, Iterable[Change]]], *, shown: Select | None = None
    ) -> list[Row]:
        """Carry out the changes of several events and waiting statements in one round trip."""
        at_stake: list[tuple[Change, object]] = []
        try:
            for position, changes in events:
                for change in changes:
                    at_stake.append((change, self._name_at_stake(change)))
                    self._trips.post(*self._statements_of(position, change))
            if shown is not None:
                return self.select(shown)
            self._trips.send()
        except psycopg.errors.UniqueViolation as error:
            for change, name in at_stake:
                if self.dialect.is_name_conflict(error, change.table):
                    raise name_taken(change.table, name) from error
            raise
        return []

    def _statements_of(self, position: int, change: Change) -> Iterator[Statement]:
        for it in carried_out(self.dialect, position, change):
            then = None if it.sole is None else partial(_require_one, position, it.sole)
            yield statement(it.text, it.params, then)

    def _name_at_stake(self, change: Change) -> object:
        """Return the name that a change gives to a record, or gives back to it."""
        if isinstance(change, Closed) or not sql_tables.is_guarded(change.table):
            return None
        if isinstance(change, Amended) and "state" in change.values:
            # A record restored from the trash keeps a name that its change does not repeat.
            # After an error, it is too late to ask for it.
            rows = self.find(change.table, **change.key)
            return rows[-1]["name"] if rows else None
        return change.values.get("name")


def _require_one(position: int, change: Amended, answer: Answer) -> None:
    if answer.rowcount != 1:
        raise not_there(position, change, answer.rowcount)


def statement(
    text: str, params: Sequence[Any], then: Callable[[Answer], None] | None = None
) -> Statement:
    """Return a statement ready to travel, with text as it is spelled in the database."""
    return Statement(text.encode(), [_spelled(it) for it in params], then)


def spelled(text: str) -> str:
    """Return a text as the database holds it: without NUL, in the same order."""
    if "\0" not in text and _LEAD not in text:
        return text
    return text.replace(_LEAD, _SELF).replace("\0", _NUL)


def plain(text: str) -> str:
    """Return a text from the database as it was given."""
    if _LEAD not in text:
        return text
    return text.replace(_NUL, "\0").replace(_SELF, _LEAD)


def _spelled(value: Any) -> Any:
    if isinstance(value, str):
        return spelled(value)
    if isinstance(value, list):
        return [_spelled(it) for it in value]
    return value


def _plain(value: Any) -> Any:
    return plain(value) if isinstance(value, str) else value


def _at_a_character(part: str) -> str:
    """Return the pattern for a part that begins at a character, never within its spelling.

    A part needs it only where it begins with a possible second half of a spelling.
    """
    literal = "".join(f"\\U{ord(it):08x}" for it in spelled(part))
    # As a parameter, the pattern is spelled again: so it names the character by its number.
    return rf"^(?:[^\u0001]|\u0001.)*{literal}"
