"""Questions compiled to conditions of SQL, the same for every database.

1. Each path is one `IN (SELECT …)` over a flat join. A database can read it from either end, so a
   rare label finds its artifacts by index. A long path nests as deep as a short one, because
   parsers bound the depth. `EXISTS` asks each record separately whether a relation leads anywhere.
2. Only valid rows of every table on the way count, and only records that are not withdrawn.
3. `Not` asks whether its item is not true; so a missing value counts as "does not hold".
4. A value inside a field is a row of a table of its own: its place and its kind are compared with
   its text, in one comparison.
5. The compiled text is the shape of a question. Each value is in it as its place among the values
   (`shaped`), so one text serves all questions of a shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from itertools import count
from typing import Any, NamedTuple, TypeAlias

from ledger.model.comparable import Comparable, Kind, comparable, place
from ledger.model.schema import (
    LIVE,
    REGISTRIES,
    TRASHED,
    WITHDRAWN,
    FieldSpec,
    RegistrySpec,
    RelationSpec,
)
from ledger.model.ways import way
from projections.resolve import spec_of
from projections.select import EVERYTHING, And, Not, Operator, Or, Select, Test, Where
from projections.sql.comparisons import COMPARED, MISSING, comparison
from projections.sql.dialect import (
    ALWAYS,
    NEVER,
    Dialect,
    Fragment,
    column,
    either,
    ever,
    every,
    quoted,
    untrue,
    valid,
)

# Places among the values of a question; the values of its comparisons follow.
AT, LIMIT, OFFSET = range(3)


class _Keys(Enum):
    """The step from a record to the keys that ever pointed at it."""

    ALL = 1


class _Names(Enum):
    """The step from a record to the names that it bears."""

    ALL = 1


_KEYS = _Keys.ALL
_NAMES = _Names.ALL


class _Inside(NamedTuple):
    """The step from a record to the values inside one of its fields, `<registry>.<field>`."""

    field: str


class _Valued(NamedTuple):
    """The step from a record to the rows of its values in a field."""

    field: FieldSpec


_Step: TypeAlias = RelationSpec | _Keys | _Names | _Inside | _Valued

# Columns of the rows of typed values, by the kind of the field.
_COLUMNS: dict[str, tuple[str, ...]] = {
    "integer": ("i",),
    "boolean": ("i",),
    "time": ("i",),
    "real": ("r", "i"),
    "date": ("t",),
    "text": ("t", "x"),
    "json": ("x",),
}


class _Found(NamedTuple):
    """The comparison with a row of a value inside a field; whether no row may pass it."""

    comparison: Fragment
    is_missing: bool = False


class _Path(NamedTuple):
    """Tables in the order of the path; the columns in which the record and the first one meet."""

    tables: list[str]
    left: str
    selected: str
    where: Fragment


class Conditions:
    """Compiles the conditions of one statement: one dialect, one position, each alias used once.

    Questions and positions are in the form that `shaped` gives them.
    """

    def __init__(self, dialect: Dialect, at: int | None) -> None:
        self._dialect = dialect
        self._at = at
        self._aliases: Iterator[int] = count(1)

    def answers(self, spec: RegistrySpec, alias: str, select: Select) -> Fragment:
        """Return the test whether the row under `alias`, of the registry's table, answers."""
        states = {
            "without": f"= {LIVE}",
            "with": f"< {WITHDRAWN}",
            "only": f"= {TRASHED}",
        }
        return every(
            [
                *self._of_registry(spec, alias, is_narrowed=select.where != EVERYTHING),
                valid(self._dialect, alias, self._at),
                Fragment(f"{alias}.state {states[select.trash]}"),
                self._where(spec, alias, select.where),
            ]
        )

    def _of_registry(
        self, spec: RegistrySpec, alias: str, *, is_narrowed: bool = True
    ) -> list[Fragment]:
        """Return the test whether a row is of a registry that the ledger defines."""
        if not spec.is_defined:
            return []
        left = column(alias, "registry")
        # A planner without statistics would read all records of the registry, one by one.
        left = self._dialect.unindexed(left) if is_narrowed else left
        return [Fragment(f"{left} = '{spec.name}'")]

    def value(self, spec: RegistrySpec, alias: str, name: str) -> Fragment:
        """Return a field of the record under `alias`: its column, or a computed virtual field."""
        if name == "is_trashed":
            return Fragment(f"({alias}.state = {TRASHED})")
        if name == "is_latest":
            return self._is_latest(spec, alias)
        field = next((it for it in spec.fields if it.values and it.column == name), None)
        if field is not None:
            return self._least(field, alias)
        return Fragment(column(alias, name))

    def _least(self, field: FieldSpec, alias: str) -> Fragment:
        """Return the value of a field with rows of its own, to order by; the first of a list."""
        other = self._alias()
        of_it = every(
            [
                Fragment(f"{other}.subject = {alias}.uid"),
                Fragment(f"{other}.field = '{field.values}'"),
                Fragment(f"{other}.place = '0000'"),
                valid(self._dialect, other, self._at),
            ]
        )
        columns = [column(other, name) for name in _COLUMNS[field.kind]]
        shown = columns[0] if len(columns) == 1 else f"coalesce({', '.join(columns)})"
        return Fragment(
            f"(SELECT {shown} FROM {quoted('value')} AS {other} WHERE {of_it.text})", of_it.params
        )

    def _where(self, spec: RegistrySpec, alias: str, where: Where) -> Fragment:
        match where:
            case Test():
                return self._test(spec, alias, where)
            case And():
                return every(self._where(spec, alias, item) for item in where.items)
            case Or():
                return either(self._where(spec, alias, item) for item in where.items)
            case Not():
                return untrue(self._where(spec, alias, where.item))

    def _test(self, spec: RegistrySpec, alias: str, test: Test) -> Fragment:
        steps, end, field = _taken_apart(spec, test.path)
        if field is not None:
            return self._along(
                steps, alias, lambda other: _compared(self.value(end, other, field), test)
            )
        # The path ends in a set of records or of keys; an empty set counts as missing.
        *before, last = steps
        if isinstance(last, _Valued) and test.operator != "isnull":
            columns = _COLUMNS[last.field.kind]
            return self._along(
                steps,
                alias,
                lambda other: either(
                    _compared(Fragment(column(other, name)), test) for name in columns
                ),
            )
        if isinstance(last, _Inside) and test.operator != "isnull":
            return self._along(steps, alias, lambda other: _put(other, test.value.comparison))
        if test.operator == "isnull":
            return self._along(before, alias, lambda other: self._leads_on(last, other, test))
        name = "key" if last is _KEYS else "name" if last is _NAMES else "uid"
        return self._along(
            steps, alias, lambda other: _compared(Fragment(column(other, name)), test)
        )

    def _leads_on(self, step: _Step, alias: str, test: Test) -> Fragment:
        # Asked of each record separately: a list of those that lead on would hold nearly all.
        found = test.value if isinstance(step, _Inside) else None
        passes = ALWAYS if found is None else found.comparison
        path = self._path([step], alias, lambda other: _put(other, passes))
        where = every([Fragment(f"{path.left} = {path.selected}"), path.where])
        tables = self._dialect.join_in_order.join(path.tables)
        leads_on = Fragment(f"EXISTS (SELECT 1 FROM {tables} WHERE {where.text})", where.params)
        is_missing = test.value == MISSING if found is None else found.is_missing
        return untrue(leads_on) if is_missing else leads_on

    def _along(self, steps: list[_Step], alias: str, passes: Callable[[str], Fragment]) -> Fragment:
        """Return the test whether any row at the end of `steps` from a record passes."""
        if not steps:
            return passes(alias)
        path = self._path(steps, alias, passes)
        # From the end of the path backwards: the comparison there leaves the fewest rows.
        tables = self._dialect.join_in_order.join(reversed(path.tables))
        return Fragment(
            f"{path.left} IN (SELECT {path.selected} FROM {tables} WHERE {path.where.text})",
            path.where.params,
        )

    def _path(self, steps: list[_Step], alias: str, passes: Callable[[str], Fragment]) -> _Path:
        """Return the tables along `steps` from a record, joined and bounded."""
        tables: list[str] = []
        conditions: list[Fragment] = []
        left, selected, here = "", "", alias
        for step in steps:
            for table, there, from_here in _joins(step):
                other = self._alias()
                tables.append(f"{quoted(table)} AS {other}")
                if left:
                    join = f"{column(other, there)} = {column(here, from_here)}"
                    conditions.append(Fragment(join))
                else:
                    left, selected = column(here, from_here), column(other, there)
                conditions += self._bounds(step, table, other)
                if table == "record" and isinstance(step, RelationSpec):
                    of_it = f"{column(other, 'registry')} = '{step.target}'"
                    conditions.append(Fragment(of_it))
                here = other
        return _Path(tables, left, selected, every([*conditions, passes(here)]))

    def _bounds(self, step: _Step, table: str, alias: str) -> list[Fragment]:
        """Return the conditions for the rows of a table on the path that count."""
        if isinstance(step, _Keys):
            return [ever(self._dialect, alias, self._at)]
        if isinstance(step, _Names):
            return self._borne(alias)
        if isinstance(step, _Inside):
            field = Fragment(f"{column(alias, 'field')} = '{step.field}'")
            return [field, valid(self._dialect, alias, self._at)]
        if isinstance(step, _Valued):
            field = Fragment(f"{column(alias, 'field')} = '{step.field.values}'")
            return [field, valid(self._dialect, alias, self._at)]
        if table == "link":
            names = ", ".join(f"'{name}'" for name in step.all_links)
            field = Fragment(f"{column(alias, 'field')} IN ({names})")
            if len(step.all_links) == 1:
                field = Fragment(f"{column(alias, 'field')} = {names}")
            return [field, valid(self._dialect, alias, self._at)]
        return [
            valid(self._dialect, alias, self._at),
            Fragment(f"{alias}.state < {WITHDRAWN}"),
        ]

    def _borne(self, alias: str) -> list[Fragment]:
        """Return the conditions that a record still bears the name in the row under `alias`."""
        later = self._alias()
        taken = _exists(
            "borne_name",
            later,
            [
                Fragment(f"{column(later, 'name')} = {column(alias, 'name')}"),
                Fragment(f"{later}.stem <> {alias}.stem"),
                Fragment(f"{later}.from_position > {alias}.from_position"),
                valid(self._dialect, later, self._at),
            ],
        )
        return [valid(self._dialect, alias, self._at), Fragment(f"NOT {taken.text}", taken.params)]

    def _is_latest(self, spec: RegistrySpec, alias: str) -> Fragment:
        later = self._alias()
        superseded = _exists(
            spec.name,
            later,
            [
                Fragment(f"{column(later, 'revises')} = {alias}.uid"),
                valid(self._dialect, later, self._at),
                Fragment(f"{later}.state < {WITHDRAWN}"),
            ],
        )
        if spec.has_names:
            named = self._alias()
            of_it = Fragment(f"{named}.uid = {alias}.uid")
            bears = _exists("borne_name", named, [of_it, *self._borne(named)])
            return Fragment(
                f"({bears.text} AND NOT {superseded.text})", bears.params + superseded.params
            )
        if not spec.has_keys:
            return Fragment(f"(NOT {superseded.text})", superseded.params)
        now, past = self._alias(), self._alias()
        bears = _exists(
            "artifact_key",
            now,
            [Fragment(f"{now}.uid = {alias}.uid"), valid(self._dialect, now, self._at)],
        )
        bore = _exists(
            "artifact_key",
            past,
            [Fragment(f"{past}.uid = {alias}.uid"), ever(self._dialect, past, self._at)],
        )
        return Fragment(
            f"({bears.text} OR NOT ({bore.text} OR {superseded.text}))",
            bears.params + bore.params + superseded.params,
        )

    def _alias(self) -> str:
        return f"t{next(self._aliases)}"


def shaped(dialect: Dialect, select: Select) -> tuple[Select, list[Any]]:
    """Return a question that holds places instead of values, and the values.

    The value of a test becomes its comparison, as the comparison may depend on the value too.
    """
    is_paged = select.limit is not None or select.offset > 0
    most = dialect.no_limit if select.limit is None else select.limit
    values = [select.at, most, select.offset]
    spec = spec_of(select.registry, select.catalogue)
    shape = Select(
        registry=select.registry,
        where=_shaped(dialect, spec, select.where, values),
        order=select.order,
        reverse=select.reverse,
        limit=LIMIT if is_paged else None,
        at=None if select.at is None else AT,
        trash=select.trash,
    )
    return shape, values


def _shaped(dialect: Dialect, spec: RegistrySpec, where: Where, values: list[Any]) -> Where:
    match where:
        case Test():
            *_, field, rest = way(spec, where.path)
            if not rest:
                compared = comparison(dialect, where.operator, _in_row(field, where.value))
                return Test(where.path, where.operator, _placed(compared, values))
            # The place is a value from outside; the shape says only that there is one.
            path = (*where.path[: -len(rest)], "")
            found = _Found(
                _placed(_inside(dialect, place(rest), where), values),
                is_missing=where.operator == "isnull" and where.value,
            )
            return Test(path, where.operator, found)
        case And():
            return And(tuple([_shaped(dialect, spec, item, values) for item in where.items]))
        case Or():
            return Or(tuple([_shaped(dialect, spec, item, values) for item in where.items]))
        case Not():
            return Not(_shaped(dialect, spec, where.item, values))


def _in_row(field: FieldSpec | None, value: Any) -> Any:
    """Return a value as the rows of typed values hold it: a truth as a number."""
    if field is None or field.values is None or field.kind != "boolean":
        return value
    if isinstance(value, tuple):
        return tuple([None if it is None else int(it) for it in value])
    return None if value is None else int(value)


def _placed(comparison: Fragment, values: list[Any]) -> Fragment:
    """Return a comparison with places instead of its values, which go to the end of `values`."""
    if not comparison.params:
        return comparison
    first = len(values)
    values += comparison.params
    return Fragment(comparison.text, tuple(range(first, len(values))))


def _inside(dialect: Dialect, at: str, test: Test) -> Fragment:
    """Return the comparison of a row of a value inside a field: its place, its kind, its text."""
    here = Fragment(f"{column(COMPARED, 'place')} = {dialect.placeholder}", (at,))
    if test.operator == "isnull":
        return here
    values = test.value if test.operator in {"in", "range"} else (test.value,)
    given = [comparable(value) for value in values if value is not None]
    if test.operator == "in":
        return every([here, either(_of_kind(dialect, kind, "in", given) for kind in _kinds(given))])
    if len(given) < len(values):
        return every([here, NEVER])
    value = given[0].text if test.operator != "range" else tuple(it.text for it in given)
    return every([here, _of_kind(dialect, given[0].kind, test.operator, value)])


def _kinds(values: Sequence[Comparable]) -> list[Kind]:
    return sorted({value.kind for value in values})


def _of_kind(dialect: Dialect, kind: Kind, operator: Operator, value: Any) -> Fragment:
    if operator == "in":
        value = tuple(it.text for it in value if it.kind == kind)
    # Kinds are our own few words: each may stand in the text of a statement.
    compared = _put(column(COMPARED, "value"), comparison(dialect, operator, value))
    return every([Fragment(f"{column(COMPARED, 'kind')} = '{kind}'"), compared])


def _compared(left: Fragment, test: Test) -> Fragment:
    comparison: Fragment = test.value
    if comparison is NEVER:
        return NEVER
    # Only virtual fields have parameters, and their comparisons name the left side once.
    compared = _put(left.text, comparison)
    return Fragment(compared.text, left.params + compared.params)


def _put(left: str, comparison: Fragment) -> Fragment:
    """Return a comparison with its left side in place."""
    if COMPARED not in comparison.text:
        return comparison
    return Fragment(comparison.text.replace(COMPARED, left), comparison.params)


def _taken_apart(
    spec: RegistrySpec, path: tuple[str, ...]
) -> tuple[list[_Step], RegistrySpec, str | None]:
    """Return the steps of a path, the registry they lead to, and the field compared there.

    The field is None where the path ends with its last step.
    """
    relations, end, field, rest = way(spec, path)
    if field is not None and field.values is not None:
        return [*relations, _Valued(field)], end, None
    if field is not None and rest:
        return [*relations, _Inside(f"{end.name}.{field.name}")], end, None
    if field is not None and end.has_keys and field.name == "key":
        return [*relations, _KEYS], end, None
    if field is not None and end.has_names and field.name == "name":
        return [*relations, _NAMES], end, None
    return list(relations), end, None if field is None else field.column


def _joins(step: _Step) -> list[tuple[str, str, str]]:
    """Return the tables of a step: each with its own column and the one of the table before."""
    if isinstance(step, _Keys):
        return [("artifact_key", "uid", "uid")]
    if isinstance(step, _Names):
        return [("borne_name", "uid", "uid")]
    if isinstance(step, _Inside):
        return [("inside", "uid", "uid")]
    if isinstance(step, _Valued):
        return [("value", "subject", "uid")]
    table = REGISTRIES[step.target].table
    if step.all_links:
        here, there = ("target", "source") if step.is_reverse else ("source", "target")
        return [("link", here, "uid"), (table, "uid", there)]
    assert step.column is not None  # noqa: S101 (a relation has a link or a column)
    here, there = (step.column, "uid") if step.is_reverse else ("uid", step.column)
    return [(table, here, there)]


def _exists(table: str, alias: str, conditions: list[Fragment]) -> Fragment:
    test = every(conditions)
    return Fragment(
        f"EXISTS (SELECT 1 FROM {quoted(table)} AS {alias} WHERE {test.text})", test.params
    )
