"""The read models in a database: questions to SQL, rows back to plain data.

1. A store is bound to a connection that its caller opens, commits and rolls back.
2. Every statement is built from data in this room, once for all databases; a `Dialect` holds the
   differences. The text of a question is built once for each shape (`built`), and the values are
   put in each time.
3. Rows come back as dictionaries in the order of the table's columns, with booleans as `bool`.
4. After an error inside `apply`, the caller rolls back: half an event may be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

from ledger.errors import InvalidValueError, NameTakenError
from ledger.model.schema import LIVE
from projections.fold import Amended, Change, Closed, Opened
from projections.redaction import redactions
from projections.resolve import readable, spec_of
from projections.select import Select
from projections.sql import tables as sql_tables
from projections.sql.dialect import Dialect, Fragment, quoted
from projections.sql.questions import (
    as_rows,
    changed_names_statement,
    count_statement,
    distinct_statement,
    find_statement,
    in_places,
    kinds_of,
    rows_of,
    select_statement,
    shown_by,
)
from projections.sql.tables import rows_statement
from projections.sql.valued import as_values, values_statement
from projections.sql.walks import (
    LINK_COLUMNS,
    LINK_OF_A_TIME,
    as_links,
    links_statement,
    reach_statement,
)
from projections.store import (
    Row,
    WritableModels,
    doubled_name,
    name_taken,
    not_there,
)
from projections.tables import TABLES
from projections.with_values import with_values


class Cursor(Protocol):
    """The outcome of a statement."""

    @property
    def rowcount(self) -> int:
        """Number of rows that the statement changed."""

    def fetchall(self) -> list[Any]:
        """Return all rows, each iterable over its values."""


class Executor(Protocol):
    """A connection or cursor of a database."""

    def execute(self, sql: str, parameters: Sequence[Any], /) -> Cursor:
        """Carry out a statement."""

    def executemany(self, sql: str, parameters: Iterable[Sequence[Any]], /) -> Cursor:
        """Carry out a statement once for each set of parameters."""


class SqlModels(WritableModels):
    """The store of the interval tables in any database that has a dialect."""

    dialect: ClassVar[Dialect]

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def create(self, *, indexes: bool = True) -> None:
        """Create every table, and every index unless `create_indexes` comes later."""
        for statement in sql_tables.create_tables(self.dialect):
            self._executor.execute(statement, ())
        if indexes:
            self.create_indexes()

    def create_indexes(self) -> None:
        """Create every index; this is faster after bulk loading than before."""
        for statement in sql_tables.create_indexes(self.dialect):
            self._executor.execute(statement, ())

    def drop(self) -> None:
        """Remove every table that exists, with its indexes."""
        for statement in sql_tables.drop_tables():
            self._executor.execute(statement, ())

    def rows(self, table: str) -> Iterator[tuple[Any, ...]]:
        """Return all rows of a table, of all times, in the order of their key.

        Values are as the database gives them; a boolean column holds `bool` where it can.
        """
        columns = TABLES[table].columns
        booleans = [place for place, it in enumerate(columns) if it.kind == "boolean"]
        rows = self._all_rows(rows_statement(table))
        return (_with_booleans(row, booleans) for row in rows) if booleans else iter(rows)

    def _all_rows(self, statement: str) -> Iterable[Any]:
        return self._ask(Fragment(statement))

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the rows of a table whose columns equal the given values, oldest first."""
        statement = find_statement(self.dialect, table, at=at, ever=ever, **equals)
        return as_rows(self._ask(statement), table)

    def find_all(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the answers to several questions of `find`, with one statement for a kind."""
        kinds = kinds_of(self.dialect, questions)
        return in_places(kinds, [self._ask(kind.statement) for kind in kinds])

    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed."""
        statement = select_statement(self.dialect, select)
        spec = spec_of(select.registry, select.catalogue)
        rows = rows_of(self._ask(statement), *shown_by(spec))
        return with_values(self, spec, rows, at=select.at) if spec.is_defined else rows

    def count(self, select: Select) -> int:
        """Return the number of rows that answer; `order`, `offset` and `limit` have no effect."""
        ((number,),) = self._ask(count_statement(self.dialect, select))
        return int(number)

    def distinct(self, select: Select, field: str) -> list[Any]:
        """Return the distinct values of one field over all rows that answer, sorted."""
        found = [value for (value,) in self._ask(distinct_statement(self.dialect, select, field))]
        if readable(spec_of(select.registry, select.catalogue), field).kind == "boolean":
            return [None if value is None else bool(value) for value in found]
        return found

    def changed_names(
        self, registry: str, *, after: int, fields: Sequence[str] = ("name",)
    ) -> list[Row]:
        """Return `uid`, text fields, `is_live`, `position` of each record changed since."""
        found = self._ask(changed_names_statement(self.dialect, registry, fields, after=after))
        return [
            {
                "uid": uid,
                **dict(zip(fields, texts, strict=True)),
                "is_live": state == LIVE,
                "position": position,
            }
            for uid, *texts, state, position in found
        ]

    def links(
        self, fields: Sequence[str], uids: Sequence[str], *, onward: bool, at: int | None = None
    ) -> list[Row]:
        """Return the valid links of some fields at some records, in no order."""
        if not uids or not fields:
            return []
        return as_links(
            self._ask(links_statement(self.dialect, fields, uids, onward=onward, at=at))
        )

    def reach(  # noqa: PLR0913 (each bounds the walk)
        self,
        fields: Sequence[str],
        starts: Sequence[str],
        *,
        onward: bool,
        at: int | None = None,
        limit: int,
        ever: bool = False,
    ) -> list[Row]:
        """Return up to `limit` links that can be reached from some records, each once."""
        if not starts or not fields:
            return []
        statement = reach_statement(
            self.dialect, fields, starts, onward=onward, at=at, limit=limit, is_ever=ever
        )
        return as_links(self._ask(statement), LINK_OF_A_TIME if ever else LINK_COLUMNS)

    def values(
        self, uids: Sequence[str], *, at: int | None = None, prefix: str | None = None
    ) -> list[Row]:
        """Return the valid rows of typed values of some records, in the order of their places."""
        if not uids:
            return []
        return as_values(self._ask(values_statement(self.dialect, uids, at=at)), prefix)

    def defined_at(self) -> int:
        """Return the position of the last change of a definition or feature; 0 for none."""
        last = " UNION ALL ".join(
            f"SELECT max(from_position) FROM {quoted(table)}" for table in ("registry", "feature")
        )
        return max((int(position or 0) for (position,) in self._ask(Fragment(last))), default=0)

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in order."""
        for change in changes:
            try:
                self._carry_out(position, change)
            except self.dialect.conflicts as error:
                table = change.table
                if sql_tables.is_guarded(table) and self.dialect.is_name_conflict(error, table):
                    raise self._name_taken(change) from error
                raise

    def redact(self, registry: str, uid: str) -> None:
        """Empty the rows of a record, of all times, as `projections.redaction` says."""
        for redaction in redactions(registry, uid):
            values = [value for value in redaction.values.values() if value is not None]
            self._executor.execute(sql_tables.redact(self.dialect, redaction), (*values, uid))

    def load(self, table: str, rows: Iterable[Sequence[Any]], *, is_new: bool = False) -> None:
        """Add finished rows to a table: values of all its columns, both bounds included.

        Args:
            table: One of `projections.tables.TABLES`.
            rows: Fastest in the order of the key.
            is_new: Whether they go into the table that `begin_anew` created.
        """
        self._executor.executemany(sql_tables.load(self.dialect, table, is_new=is_new), rows)

    def write_rows(
        self,
        ended: Mapping[str, Sequence[Sequence[Any]]],
        begun: Mapping[str, Sequence[Sequence[Any]]],
    ) -> None:
        """End valid rows, then add finished rows, with one statement a table for each."""
        for table, ends in ended.items():
            text = sql_tables.close(self.dialect, table, TABLES[table].key)
            self._executor.executemany(text, ends)
        for table, rows in begun.items():
            try:
                self._executor.executemany(sql_tables.load(self.dialect, table), rows)
            except self.dialect.conflicts as error:
                if sql_tables.is_guarded(table) and self.dialect.is_name_conflict(error, table):
                    raise doubled_name(table) from error
                raise

    def begin_anew(self) -> None:
        """Create an empty table beside each old one; readers use the old ones meanwhile."""
        for table in TABLES.values():
            self._executor.execute(sql_tables.create_table(self.dialect, table, is_new=True), ())

    def end_anew(self, before: Callable[[], None]) -> None:
        """Replace the old tables by the new ones; `before` is called when all else is ready."""
        before()
        self.drop()
        for table in TABLES:
            self._executor.execute(sql_tables.take_place(table), ())
        self.create_indexes()

    def clear(self) -> None:
        """Empty every table, for a rebuild."""
        for statement in sql_tables.clear_tables():
            self._executor.execute(statement, ())

    def _carry_out(self, position: int, change: Change) -> None:
        for it in carried_out(self.dialect, position, change):
            done = self._executor.execute(it.text, it.params)
            if it.sole is not None and done.rowcount != 1:
                raise not_there(position, it.sole, done.rowcount)

    def _name_taken(self, change: Change) -> NameTakenError:
        # A record restored from the trash keeps a name that its change does not repeat.
        # A database that refuses statements after an error overrides `apply`, the only caller.
        name = None if isinstance(change, Closed) else change.values.get("name")
        if name is None and isinstance(change, Amended):
            name = self.find(change.table, ever=True, **change.key)[-1]["name"]
        return name_taken(change.table, name)

    def _ask(self, statement: Fragment) -> list[Any]:
        try:
            return self._executor.execute(statement.text, statement.params).fetchall()
        except UnicodeEncodeError as error:
            # Such as the name of a file outside of UTF-8: no ledger holds such a text.
            raise InvalidValueError(
                f"question: expected valid Unicode, got str {error.object!r}"
            ) from error


class ChangeStep(NamedTuple):
    """A statement of a change; `sole` is the change if it must match exactly one row."""

    text: str
    params: tuple[Any, ...]
    sole: Amended | None = None


def carried_out(dialect: Dialect, position: int, change: Change) -> tuple[ChangeStep, ...]:
    """Return the statements that carry out a change at its position, in order."""
    table = change.table
    match change:
        case Opened(values=values):
            text = sql_tables.insert(dialect, table, tuple(values))
            return (ChangeStep(text, (*values.values(), position)),)
        case Amended(key=key, values=values):
            where, of_key = tuple(key), tuple(key.values())
            return (
                ChangeStep(
                    sql_tables.close(dialect, table, where), (position, *of_key), sole=change
                ),
                ChangeStep(
                    sql_tables.reopen(dialect, table, where, tuple(values)),
                    (*values.values(), position, *of_key, position),
                ),
            )
        case Closed(matching=matching):
            text = sql_tables.close(dialect, table, tuple(matching))
            return (ChangeStep(text, (position, *matching.values())),)


def _with_booleans(row: Iterable[Any], places: Sequence[int]) -> tuple[Any, ...]:
    values = list(row)
    for place in places:
        if values[place] in {0, 1}:
            values[place] = bool(values[place])
    return tuple(values)
