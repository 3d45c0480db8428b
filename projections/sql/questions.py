"""The questions of the read models as statements, and their answers as rows.

1. The text of a question is built once for each shape (`built`); the values are put in each time.
2. Questions of one kind, which differ in the value of one column, share a statement.
3. Rows come back as dictionaries in the order of the table's columns, with booleans as `bool`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ledger.model.schema import NAME_OF_REGISTRY, REGISTRIES, RegistrySpec
from projections.resolve import check, of_registry, readable, require_columns, spec_of
from projections.select import EVERYTHING, Select
from projections.sql.conditions import AT, LIMIT, OFFSET, Conditions, shaped
from projections.sql.dialect import Dialect, Fragment, column, ever, every, quoted, valid
from projections.store import Row, oldest_first
from projections.tables import TABLES, Table

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
    return _of_rows(dialect, table, where)


def _of_rows(dialect: Dialect, table: Table, where: Fragment) -> Fragment:
    order = ("from_position", *oldest_first(table.name))
    return Fragment(
        f"SELECT {', '.join(column('t', name) for name in table.column_names)} "
        f"FROM {quoted(table.name)} AS t WHERE {where.text} "
        f"ORDER BY {', '.join(column('t', name) + dialect.ascending for name in order)}",
        where.params,
    )


class Kind(NamedTuple):
    """Questions that one statement answers.

    Attributes:
        statement: It.
        table: Whose rows answer.
        column: The column by whose value the questions differ.
        places: The places of the questions among all, by that value.
    """

    statement: Fragment
    table: str
    column: str
    places: dict[object, list[int]]


def kinds_of(dialect: Dialect, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[Kind]:
    """Return the statements that answer some questions of `find`: one for all of a kind.

    Questions are of a kind if they differ in the value of their last column alone.
    """
    alike: dict[tuple[Any, ...], dict[object, list[int]]] = {}
    for place, (asked, given) in enumerate(questions):
        when = given.get("at"), given.get("ever", False)
        columns = {name: value for name, value in given.items() if name not in {"at", "ever"}}
        table, equals = of_registry(asked, columns)
        *same, (name, value) = equals.items()
        # A missing value is no value to compare with: such a question stays alone.
        alone = place if None in equals.values() else None
        by_value = alike.setdefault((alone, when, table, name, *same), {})
        by_value.setdefault(value, []).append(place)
    return [
        Kind(_of_kind(dialect, table, dict(same), name, list(places), when), table, name, places)
        for (_, when, table, name, *same), places in alike.items()
    ]


def _of_kind(  # noqa: PLR0913, PLR0917 (all of a kind)
    dialect: Dialect,
    table: str,
    same: dict[str, Any],
    name: str,
    values: Sequence[Any],
    when: tuple[int | None, bool],
) -> Fragment:
    at, is_ever = when
    if len(values) == 1:
        return find_statement(dialect, table, at=at, ever=is_ever, **same, **{name: values[0]})
    require_columns(table, (*same, name))
    tests = [Fragment(f"{column('t', it)} = {dialect.placeholder}", (same[it],)) for it in same]
    tests += [
        dialect.is_in(column("t", name), values),
        ever(dialect, "t", at) if is_ever else valid(dialect, "t", at),
    ]
    return _of_rows(dialect, TABLES[table], every(tests))


def in_places(kinds: Sequence[Kind], found: Iterable[Iterable[Any]]) -> list[list[Row]]:
    """Return the answer to each question, of what its statement found."""
    answers: dict[int, list[Row]] = {}
    for kind, rows in zip(kinds, found, strict=True):
        by_value: dict[object, list[Row]] = {}
        for row in as_rows(rows, kind.table):
            by_value.setdefault(row[kind.column], []).append(row)
        for value, places in kind.places.items():
            answers.update((place, by_value.get(value, [])) for place in places)
    return [answers[place] for place in range(len(answers))]


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
    names, _ = shown_by(spec)
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
def shown_by(spec: RegistrySpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
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
    return rows_of(found, *_columns_of(TABLES[of_registry(table, {})[0]]))


def rows_of(
    found: Iterable[Iterable[Any]], names: tuple[str, ...], booleans: tuple[str, ...]
) -> list[Row]:
    """Return rows of these columns as dictionaries; some of them hold booleans."""
    rows = [dict(zip(names, values, strict=True)) for values in found]
    for name in booleans:
        for row in rows:
            if row[name] is not None:
                row[name] = bool(row[name])
    return rows
