"""The read models in a database: questions to SQL, rows back to plain data.

1. A store is bound to a connection that its caller opens, commits and rolls back.
2. Every statement is built from data in this room, once for all databases; a `Dialect` holds the
   differences. The text of a question is built once for each shape (`built`), and the values are
   put in each time.
3. Rows come back as dictionaries in the order of the table's columns, with booleans as `bool`.
4. After an error inside `apply`, the caller rolls back: half an event may be written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Protocol

from ledger.errors import InvalidValueError, NameTakenError
from ledger.model.schema import LIVE, NAME_OF_REGISTRY, REGISTRIES, RegistrySpec
from projections.fold import Amended, Change, Closed, Opened
from projections.redaction import redactions
from projections.resolve import check, of_registry, readable, require_columns, spec_of
from projections.select import EVERYTHING, Select
from projections.sql import tables as sql_tables
from projections.sql.conditions import AT, LIMIT, OFFSET, Conditions, shaped
from projections.sql.dialect import Dialect, Fragment, column, ever, every, quoted, valid
from projections.sql.tables import rows_statement
from projections.sql.valued import as_values, values_statement
from projections.sql.walks import as_links, links_statement, reach_statement
from projections.store import Row, WritableModels, name_taken, not_there, oldest_first
from projections.tables import TABLES, Table
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

    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed."""
        statement = select_statement(self.dialect, select)
        spec = spec_of(select.registry, select.catalogue)
        rows = _as_rows(self._ask(statement), *_shown_by(spec))
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

    def reach(
        self,
        fields: Sequence[str],
        starts: Sequence[str],
        *,
        onward: bool,
        at: int | None = None,
        limit: int,
    ) -> list[Row]:
        """Return up to `limit` links that can be reached from some records, each once."""
        if not starts or not fields:
            return []
        statement = reach_statement(self.dialect, fields, starts, onward=onward, at=at, limit=limit)
        return as_links(self._ask(statement))

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

    def begin_anew(self) -> None:
        """Create an empty table beside each old one; readers use the old ones meanwhile."""
        for table in TABLES.values():
            self._executor.execute(sql_tables.create_table(self.dialect, table, is_new=True), ())

    def end_anew(self) -> None:
        """Replace the old tables by the new ones."""
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


_MOST_VALUES = 1_000  # of a cached statement: longer ones are rare, and take much memory


@lru_cache(maxsize=1024)
def built(build: Callable[..., Fragment], dialect: Dialect, *shape: object) -> Fragment:
    """Return the statement that `build` makes of a shape, built once.

    Its parameters are places among the values of a question.
    """
    return build(dialect, *shape)


def _given(
    values: Sequence[Any], build: Callable[..., Fragment], dialect: Dialect, *shape: object
) -> Fragment:
    known = (built if len(values) <= _MOST_VALUES else built.__wrapped__)(build, dialect, *shape)
    return Fragment(known.text, tuple([values[place] for place in known.params]))


def find_statement(
    dialect: Dialect, table: str, *, at: int | None = None, ever: bool = False, **equals: object
) -> Fragment:
    """Return the question for the rows of a table whose columns equal given values."""
    table, equals = of_registry(table, equals)
    tests = tuple([(name, _in_text(name, value)) for name, value in equals.items()])
    values = (at, *equals.values())
    return _given(values, _found, dialect, TABLES[table], tests, None if at is None else AT, ever)


def _in_text(name: str, value: object) -> str | None:
    """Return the test for the text of a statement; None where the value is a parameter.

    A state stands in the text, so that the planner can prove that a partial index serves. As a
    parameter, it would make SQLite plan the statement again each time.
    """
    if value is None:
        return "IS NULL"
    return f"= {value:d}" if name == "state" and isinstance(value, int) else None


def _found(
    dialect: Dialect,
    table: Table,
    equals: tuple[tuple[str, str | None], ...],
    at: int | None,
    is_ever: bool,  # noqa: FBT001 (a cache takes its arguments by place)
) -> Fragment:
    require_columns(table.name, [name for name, _ in equals])
    tests = [
        Fragment(f"{column('t', name)} = {dialect.placeholder}", (place,))
        if test is None
        else Fragment(f"{column('t', name)} {test}")
        for place, (name, test) in enumerate(equals, AT + 1)
    ]
    tests.append(ever(dialect, "t", at) if is_ever else valid(dialect, "t", at))
    where = every(tests)
    order = ("from_position", *oldest_first(table.name))
    return Fragment(
        f"SELECT {', '.join(column('t', name) for name in table.column_names)} "
        f"FROM {quoted(table.name)} AS t WHERE {where.text} "
        f"ORDER BY {', '.join(column('t', name) + dialect.ascending for name in order)}",
        where.params,
    )


def select_statement(dialect: Dialect, select: Select) -> Fragment:
    """Return the question for the rows of a registry that answer."""
    return _asked(_selected, dialect, select)


def count_statement(dialect: Dialect, select: Select) -> Fragment:
    """Return the question for the number of rows that answer."""
    return _asked(_counted, dialect, select)


def distinct_statement(dialect: Dialect, select: Select, field: str) -> Fragment:
    """Return the question for the distinct values of a field."""
    return _asked(_distinct, dialect, select, field)


def _asked(
    build: Callable[..., Fragment], dialect: Dialect, select: Select, *more: object
) -> Fragment:
    spec = check(select)
    shape, values = shaped(dialect, select)
    return _given(values, build, dialect, spec, shape, *more)


def _selected(dialect: Dialect, spec: RegistrySpec, select: Select) -> Fragment:
    conditions = Conditions(dialect, select.at)
    names, _ = _shown_by(spec)
    shown = [conditions.value(spec, "t", name) for name in names]
    where = conditions.answers(spec, "t", select)
    keys = [
        (conditions.value(spec, "t", readable(spec, order.field).name), order.descending)
        for order in select.order
    ]
    creation = column("t", "created_position")
    if spec.is_defined and select.where != EVERYTHING:
        # An index over creations would be read from end to end, where a test leaves few records.
        creation = dialect.unindexed(creation)
    keys.append((Fragment(creation), False))
    order_by = ", ".join(
        key.text + (dialect.descending if descending != select.reverse else dialect.ascending)
        for key, descending in keys
    )
    text = (
        f"SELECT {', '.join(it.text for it in shown)} FROM {quoted(spec.table)} AS t "
        f"WHERE {where.text} ORDER BY {order_by}"
    )
    params = [*_params(shown), *where.params, *_params(key for key, _ in keys)]
    if select.limit is not None:
        text += f" LIMIT {dialect.placeholder} OFFSET {dialect.placeholder}"
        params += [LIMIT, OFFSET]
    return Fragment(text, tuple(params))


def _counted(dialect: Dialect, spec: RegistrySpec, select: Select) -> Fragment:
    where = Conditions(dialect, select.at).answers(spec, "t", select)
    return Fragment(
        f"SELECT count(*) FROM {quoted(spec.table)} AS t WHERE {where.text}", where.params
    )


def _distinct(dialect: Dialect, spec: RegistrySpec, select: Select, field: str) -> Fragment:
    conditions = Conditions(dialect, select.at)
    value = conditions.value(spec, "t", readable(spec, field).name)
    where = conditions.answers(spec, "t", select)
    return Fragment(
        f"SELECT DISTINCT {value.text} FROM {quoted(spec.table)} AS t WHERE {where.text} "
        f"ORDER BY 1{dialect.ascending}",
        value.params + where.params,
    )


def changed_names_statement(
    dialect: Dialect, registry: str, fields: Sequence[str] = ("name",), *, after: int
) -> Fragment:
    """Return the question for the records that changed after a position, and their texts.

    Raises:
        UnknownFieldError: Records of this registry have no such field.
    """
    spec = REGISTRIES[registry] if NAME_OF_REGISTRY.fullmatch(registry) else spec_of(registry)
    for name in fields:
        spec.require(name)
    now = valid(dialect, "t", None)
    texts = ", ".join(column("t", name) for name in fields)
    of_it = f"t.registry = '{registry}' AND " if spec.is_defined else ""
    return Fragment(
        f"SELECT t.uid, {texts}, t.state, t.from_position "
        f"FROM {quoted(spec.table)} AS t "
        f"WHERE {of_it}t.from_position > {dialect.placeholder} AND {now.text} "
        "ORDER BY t.from_position",
        (after,),
    )


def _params(fragments: Iterable[Fragment]) -> tuple[Any, ...]:
    return tuple(value for fragment in fragments for value in fragment.params)


@lru_cache(maxsize=64)
def _columns_of(table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns of a table, bounds included, and the booleans among them."""
    return table.column_names, tuple(it.name for it in table.columns if it.kind == "boolean")


@lru_cache(maxsize=64)
def _shown_by(spec: RegistrySpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the columns of a selected row, and the booleans among them."""
    virtual = tuple(
        name
        for name in ("is_trashed", "is_latest")
        if (field := spec.field(name)) is not None and field.is_virtual
    )
    columns = tuple(it.name for it in TABLES[spec.table].columns)
    booleans = tuple(it.name for it in TABLES[spec.table].columns if it.kind == "boolean")
    return (*columns, "from_position", *virtual), (*booleans, *virtual)


def as_rows(found: Iterable[Iterable[Any]], table: str) -> list[Row]:
    """Return the rows that answer a `find_statement` as dictionaries."""
    return _as_rows(found, *_columns_of(TABLES[of_registry(table, {})[0]]))


def _as_rows(
    found: Iterable[Iterable[Any]], names: tuple[str, ...], booleans: tuple[str, ...]
) -> list[Row]:
    rows = [dict(zip(names, values, strict=True)) for values in found]
    for name in booleans:
        for row in rows:
            if row[name] is not None:
                row[name] = bool(row[name])
    return rows
