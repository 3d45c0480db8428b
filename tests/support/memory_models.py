"""The read models as Python objects: the oracle that the databases are held to.

1. Every question is answered by looking at each row in turn, as `projections.select` words it.
2. Rows are found by the columns that tables index, and otherwise one by one.
3. Every step can be undone: `savepoint` marks a point, `rollback` returns to it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from ledger.model.parameters import plain_fields
from ledger.model.schema import LIVE, TRASHED, WITHDRAWN, RegistrySpec, RelationSpec
from projections.fold import Amended, Change, Closed, Opened
from projections.redaction import redacted, redactions
from projections.resolve import check, of_registry, readable, require_columns, spec_of
from projections.select import And, Not, Or, Select, Test, Where
from projections.sql.valued import VALUE_COLUMNS
from projections.sql.walks import LINK_COLUMNS, LINK_OF_A_TIME, walk
from projections.store import Row, WritableModels, name_taken, not_there, oldest_first
from projections.tables import FOREVER, TABLES, Table
from projections.with_values import with_values

_STATES = {"without": {LIVE}, "with": {LIVE, TRASHED}, "only": {TRASHED}}


class MemoryModels(WritableModels):
    """The store of the interval tables in memory."""

    def __init__(self) -> None:
        self._tables = {table.name: _Rows(table) for table in TABLES.values()}
        self._undo: list[Callable[[], None]] = []

    # --- going back ---------------------------------------------------------------------------

    def savepoint(self) -> int:
        """Return a mark of the present contents, to be given to `rollback` or `release`."""
        return len(self._undo)

    def rollback(self, token: int) -> None:
        """Undo everything since a mark; the mark stays good."""
        while len(self._undo) > token:
            self._undo.pop()()

    def release(self, token: int) -> None:
        """Keep everything since a mark; frees memory where that mark was the outermost one."""
        if token == 0:
            self._undo.clear()

    # --- asking -------------------------------------------------------------------------------

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the rows of a table whose columns equal the given values, oldest first."""
        table, equals = of_registry(table, equals)
        require_columns(table, equals)
        found = [
            dict(row)
            for row in self._tables[table].that_equal(equals)
            if (_was_valid(row, at) if ever else _is_valid(row, at))
        ]
        return sorted(
            found,
            key=lambda row: [row["from_position"], *(row[name] for name in oldest_first(table))],
        )

    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed."""
        spec = check(select)
        moment = _Moment(self._tables, select.at)
        rows = moment.answers(spec, select)
        rows.sort(key=lambda row: row["created_position"])
        # Sorting is stable: the last key first, so that the first key decides in the end.
        for order in reversed(select.order):
            name = readable(spec, order.field).name
            rows.sort(key=lambda row: _sort_key(row[name]), reverse=order.descending)
        if select.reverse:
            rows.reverse()
        end = None if select.limit is None else select.offset + select.limit
        shown = rows[select.offset : end]
        return with_values(self, spec, shown, at=select.at) if spec.is_defined else shown

    def count(self, select: Select) -> int:
        """Return how many rows answer; `order`, `offset` and `limit` play no part."""
        return len(_Moment(self._tables, select.at).answers(check(select), select))

    def distinct(self, select: Select, field: str) -> list[Any]:
        """Return the distinct values of one field over all rows that answer, sorted."""
        spec = check(select)
        name = readable(spec, field).name
        rows = _Moment(self._tables, select.at).answers(spec, select)
        return sorted({row[name] for row in rows}, key=_sort_key)

    def changed_names(
        self, registry: str, *, after: int, fields: Sequence[str] = ("name",)
    ) -> list[Row]:
        """Return `uid`, text fields, `is_live`, `position` of each record that changed since."""
        for name in fields:
            spec_of(registry).require(name)
        return [
            {
                "uid": row["uid"],
                **{name: row[name] for name in fields},
                "is_live": row["state"] == LIVE,
                "position": row["from_position"],
            }
            for row in self.find(registry)
            if row["from_position"] > after
        ]

    def links(
        self, fields: Sequence[str], uids: Sequence[str], *, onward: bool, at: int | None = None
    ) -> list[Row]:
        """Return the valid links of some fields at some records, in no order."""
        near, wanted = "source" if onward else "target", set(uids)
        return [
            {name: row[name] for name in LINK_COLUMNS}
            for row in self._tables["link"]
            if row["field"] in fields and row[near] in wanted and _is_valid(row, at)
        ]

    def values(
        self, uids: Sequence[str], *, at: int | None = None, prefix: str | None = None
    ) -> list[Row]:
        """Return the valid rows of typed values of some records, in the order of their places."""
        wanted = set(uids)
        found = [
            {name: row[name] for name in VALUE_COLUMNS}
            for row in self._tables["value"]
            if row["subject"] in wanted
            and _is_valid(row, at)
            and (prefix is None or row["field"].startswith(prefix))
        ]
        return sorted(found, key=lambda row: (row["subject"], row["field"], row["place"]))

    def defined_at(self) -> int:
        """Return the position of the last change of a definition or feature; 0 for none."""
        rows = [*self._tables["registry"], *self._tables["feature"]]
        return max((row["from_position"] for row in rows), default=0)

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

        def links(uids: Sequence[str]) -> list[Row]:
            if not ever:
                return self.links(fields, uids, onward=onward, at=at)
            near, wanted = "source" if onward else "target", set(uids)
            return [
                {name: row[name] for name in LINK_OF_A_TIME}
                for row in self._tables["link"]
                if row["field"] in fields
                and row[near] in wanted
                and (at is None or row["from_position"] <= at)
            ]

        return walk(
            starts,
            links,
            onward=onward,
            limit=limit,
        )

    # --- changing -----------------------------------------------------------------------------

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in order."""
        for change in changes:
            rows = self._tables[change.table]
            match change:
                case Opened(values=values):
                    require_columns(change.table, values)
                    self._begin(rows, position, values)
                case Amended(key=key, values=values):
                    require_columns(change.table, (*key, *values))
                    valid = rows.valid_that_equal(key)
                    if len(valid) != 1:
                        raise not_there(position, change, len(valid))
                    self._end(rows, position, valid[0])
                    self._begin(rows, position, valid[0] | values)
                case Closed(matching=matching):
                    require_columns(change.table, matching)
                    for row in rows.valid_that_equal(matching):
                        self._end(rows, position, row)

    def redact(self, registry: str, uid: str) -> None:
        """Empty the rows of a record, of all times, as `projections.redaction` says."""
        mergers = {
            row[bound]
            for row in self._tables["merger"]
            for bound in ("from_position", "to_position")
        }
        for redaction in redactions(registry, uid):
            before = self._tables[redaction.table]
            after = self._tables[redaction.table] = _Rows(before.table)
            for row in before:
                if not redaction.concerns(row, uid, mergers):
                    after.add(row)
                elif not redaction.removes:
                    after.add(redacted(row, redaction.values))
            self._undo.append(partial(self._tables.__setitem__, redaction.table, before))

    def load(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add finished rows to a table: values of all its columns, both bounds included."""
        names = TABLES[table].column_names
        for row in rows:
            self._add(self._tables[table], dict(zip(names, row, strict=True)))

    def clear(self) -> None:
        """Empty every table: for rebuilds."""
        before = self._tables
        self._tables = {table.name: _Rows(table) for table in TABLES.values()}

        def undo() -> None:
            self._tables = before

        self._undo.append(undo)

    def _begin(self, rows: _Rows, position: int, values: Row) -> None:
        row = dict.fromkeys(rows.table.column_names) | values
        self._add(rows, row | {"from_position": position, "to_position": FOREVER})

    def _add(self, rows: _Rows, row: Row) -> None:
        rows.add(row)
        self._undo.append(lambda: rows.remove_last(row))

    def _end(self, rows: _Rows, position: int, row: Row) -> None:
        rows.end(row, position)
        self._undo.append(lambda: rows.unend(row))


class _Rows:
    """The rows of one table, in the order in which they came, and ways to find them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._all: list[Row] = []
        indexed = {index.columns[0] for index in table.indexes} | set(table.key)
        self._by: dict[str, defaultdict[object, list[Row]]] = {
            name: defaultdict(list) for name in indexed
        }
        self._guards = [index.columns for index in table.indexes if index.is_unique]
        self._taken: set[tuple[object, ...]] = set()

    def __iter__(self) -> Iterator[Row]:
        return iter(self._all)

    def that_equal(self, values: Row) -> list[Row]:
        """Return the rows, of any time, that hold these values."""
        # A row's values never change, so that what is found by one stays found by it.
        near = [self._by[name].get(values[name], []) for name in values if name in self._by]
        rows = min(near, key=len, default=self._all)
        return [row for row in rows if all(row[name] == values[name] for name in values)]

    def valid_that_equal(self, values: Row) -> list[Row]:
        """Return the rows that hold these values and are valid now."""
        return [row for row in self.that_equal(values) if _is_valid(row, None)]

    def add(self, row: Row) -> None:
        """Add a row; a live one takes its name.

        Raises:
            NameTakenError: Another live row bears it.
        """
        for names in self._names_of(row):
            if names in self._taken:
                raise name_taken(self.table.name, row["name"])
            self._taken.add(names)
        self._all.append(row)
        for name, rows in self._by.items():
            rows[row[name]].append(row)

    def remove_last(self, row: Row) -> None:
        """Take back the row that was added last."""
        self._taken.difference_update(self._names_of(row))
        self._all.pop()
        for name, rows in self._by.items():
            rows[row[name]].pop()

    def end(self, row: Row, position: int) -> None:
        """End a valid row; its name is free again."""
        self._taken.difference_update(self._names_of(row))
        row["to_position"] = position

    def unend(self, row: Row) -> None:
        """Make the row valid again that was ended last."""
        row["to_position"] = FOREVER
        self._taken.update(self._names_of(row))

    def _names_of(self, row: Row) -> list[tuple[object, ...]]:
        if not self._guards or not _is_valid(row, None) or row["state"] != LIVE:
            return []
        names = [(columns, *(row[it] for it in columns)) for columns in self._guards]
        return [it for it in names if None not in it]


class _Moment:
    """All tables as of one position: what `projections.select` says, word for word."""

    def __init__(self, tables: dict[str, _Rows], at: int | None) -> None:
        self._tables = tables
        self._at = at

    def answers(self, spec: RegistrySpec, select: Select) -> list[Row]:
        """Return the rows that answer, with virtual fields, in no order."""
        return [
            self._shown(spec, row)
            for row in self._tables[spec.table]
            if (not spec.is_defined or row["registry"] == spec.name)
            and _is_valid(row, self._at)
            and row["state"] in _STATES[select.trash]
            and self._holds(spec, row, select.where)
        ]

    def _shown(self, spec: RegistrySpec, row: Row) -> Row:
        names = [*(it.name for it in TABLES[spec.table].columns), "from_position", "is_trashed"]
        if spec.field("is_latest"):
            names.append("is_latest")
        return {name: self._value(spec, row, name) for name in names}

    def _value(self, spec: RegistrySpec, row: Row, name: str) -> Any:
        if name == "is_trashed":
            return row["state"] == TRASHED
        if name == "is_latest":
            return self._is_latest(spec, row)
        return row[name]

    def _is_latest(self, spec: RegistrySpec, row: Row) -> bool:
        if spec.has_keys:
            keys = self._tables["artifact_key"].that_equal({"uid": row["uid"]})
            if any(_was_valid(key, self._at) for key in keys):
                return any(_is_valid(key, self._at) for key in keys)
        if spec.has_names and not self._borne(row):
            return False
        return not self._records(spec.name, {"revises": row["uid"]})

    def _borne(self, row: Row) -> list[str]:
        """Return the names that a record bears."""
        names = self._tables["borne_name"]
        return [
            it["name"]
            for it in names.that_equal({"uid": row["uid"]})
            if _is_valid(it, self._at)
            and not any(
                later["stem"] != it["stem"]
                and later["from_position"] > it["from_position"]
                and _is_valid(later, self._at)
                for later in names.that_equal({"name": it["name"]})
            )
        ]

    def _holds(self, spec: RegistrySpec, row: Row, where: Where) -> bool:
        match where:
            case And(items=items):
                return all(self._holds(spec, row, item) for item in items)
            case Or(items=items):
                return any(self._holds(spec, row, item) for item in items)
            case Not(item=item):
                return not self._holds(spec, row, item)
            case Test(path=path):
                return self._passes(spec, row, path, where)

    def _passes(self, spec: RegistrySpec, row: Row, path: tuple[str, ...], test: Test) -> bool:
        name, *rest = path
        relation = spec.relation(name)
        if relation is not None and rest:
            target = spec.end_of(relation)
            return any(
                self._passes(target, other, tuple(rest), test)
                for other in self._related(relation, row)
            )
        if relation is None and rest:
            found = _inside(row[name], rest)
            if test.operator == "isnull":
                return (not found) is test.value
            return any(_compare_inside(value, test.operator, test.value) for value in found)
        values = self._values(spec, row, name)
        if test.operator == "isnull":
            return (not values) is test.value
        return any(_compare(value, test.operator, test.value) for value in values)

    def _values(self, spec: RegistrySpec, row: Row, name: str) -> list[Any]:
        """Return the values at the end of a path; none where they are missing."""
        relation = spec.relation(name)
        if relation is not None:
            return [other["uid"] for other in self._related(relation, row)]
        if spec.has_keys and name == "key":
            keys = self._tables["artifact_key"].that_equal({"uid": row["uid"]})
            return [key["key"] for key in keys if _was_valid(key, self._at)]
        if spec.has_names and name == "name":
            return self._borne(row)
        field = spec.field(name)
        if field is not None and field.values is not None:
            rows = self._tables["value"].that_equal({"subject": row["uid"], "field": field.values})
            return [
                next(it[c] for c in "irtx" if it[c] is not None)
                for it in rows
                if _is_valid(it, self._at)
            ]
        value = self._value(spec, row, readable(spec, name).name)
        return [] if value is None else [value]

    def _related(self, relation: RelationSpec, row: Row) -> list[Row]:
        """Return the records at the end of a relation that are not withdrawn."""
        uid = row["uid"]
        if relation.link is not None:
            here, there = ("target", "source") if relation.is_reverse else ("source", "target")
            ends = [
                link[there]
                for field in relation.all_links
                for link in self._tables["link"].that_equal({"field": field, here: uid})
                if _is_valid(link, self._at)
            ]
            return [it for end in ends for it in self._records(relation.target, {"uid": end})]
        assert relation.column is not None
        if relation.is_reverse:
            return self._records(relation.target, {relation.column: uid})
        end = row[relation.column]
        return [] if end is None else self._records(relation.target, {"uid": end})

    def _records(self, registry: str, equals: Row) -> list[Row]:
        table, equals = of_registry(registry, equals)
        return [
            row
            for row in self._tables[table].that_equal(equals)
            if _is_valid(row, self._at) and row["state"] < WITHDRAWN
        ]


def _is_valid(row: Row, at: int | None) -> bool:
    if at is None:
        return bool(row["to_position"] == FOREVER)
    return bool(row["from_position"] <= at < row["to_position"])


def _was_valid(row: Row, at: int | None) -> bool:
    return at is None or bool(row["from_position"] <= at)


def _inside(text: str, names: Sequence[str]) -> list[Any]:
    """Return the values to which names lead inside a JSON field; "" is the whole field."""
    held, joined = plain_fields(json.loads(text)), "__".join(names)
    found = [held] if joined == "" and held else []
    return [value for value in (*found, *_led_to(held, joined)) if value is not None]


def _led_to(held: Any, joined: str) -> list[Any]:
    found = []
    for name, value in held.items() if isinstance(held, dict) else ():
        if name == joined:
            found.append(value)
        if joined.startswith(f"{name}__"):
            found += _led_to(value, joined[len(name) + 2 :])
    return found


def _compare_inside(value: Any, operator: str, other: Any) -> bool:
    """Return whether a value inside a field compares so; values of two kinds never do."""
    if operator == "in":
        return any(_alike(value, it) for it in other if it is not None)
    if other is None or (operator == "range" and None in other):
        return False
    if operator == "exact":
        return _alike(value, other)
    ends = other if operator == "range" else (other,)
    return all(_kind_of(it) == _kind_of(value) for it in ends) and _COMPARISONS[operator](
        value, other
    )


def _kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "nan" if value != value else "number"  # noqa: PLR0124 (only nan differs from itself)
    return "text" if isinstance(value, str) else "json"


def _alike(value: Any, other: Any) -> bool:
    if isinstance(value, dict) and isinstance(other, dict):
        return value.keys() == other.keys() and all(_alike(value[it], other[it]) for it in value)
    if isinstance(value, list) and isinstance(other, list):
        return len(value) == len(other) and all(map(_alike, value, other))
    kind = _kind_of(value)
    return kind == _kind_of(other) and (kind == "nan" or value == other)


def _sort_key(value: Any) -> tuple[Any, ...]:
    return (0,) if value is None else (1, value)


def _compare(value: Any, operator: str, other: Any) -> bool:
    """Return whether a value that is there compares so with another, which may be missing."""
    if operator == "in":
        return value in [it for it in other if it is not None]
    if other is None or (operator == "range" and None in other):
        return False
    return _COMPARISONS[operator](value, other)


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "exact": lambda value, other: value == other,
    "iexact": lambda value, other: value.casefold() == other.casefold(),
    "contains": lambda value, other: other in value,
    "icontains": lambda value, other: other.casefold() in value.casefold(),
    "startswith": lambda value, other: value.startswith(other),
    "istartswith": lambda value, other: value.casefold().startswith(other.casefold()),
    "endswith": lambda value, other: value.endswith(other),
    "iendswith": lambda value, other: value.casefold().endswith(other.casefold()),
    "gt": lambda value, other: value > other,
    "gte": lambda value, other: value >= other,
    "lt": lambda value, other: value < other,
    "lte": lambda value, other: value <= other,
    "range": lambda value, other: other[0] <= value <= other[1],
}
