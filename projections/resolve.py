"""The rules for a question, checked once for every store.

1. Every step of a path is a relation, except the last one, which may be a field. A relation at the
   end stands for the uid of its record.
2. A value has the kind of the field it is compared with, or is None.
3. Only text is searched for parts.
4. Names may follow a field that questions look into; then any value may be compared.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from ledger.errors import InvalidValueError, UnknownFieldError
from ledger.model.comparable import comparable, place
from ledger.model.schema import (
    NAME_OF_REGISTRY,
    REGISTRIES,
    Catalogue,
    FieldKind,
    RegistrySpec,
    RelationSpec,
)
from ledger.model.ways import way
from projections.select import OPERATORS, And, Not, Or, Select, Test, Where
from projections.tables import TABLES

_OF_ORDER = frozenset({"gt", "gte", "lt", "lte", "range"})
_OF_TEXT = frozenset(OPERATORS) - {"exact", "in", "gt", "gte", "lt", "lte", "range", "isnull"}
_TYPES: dict[FieldKind, type] = {
    "text": str,
    "json": str,
    "integer": int,
    "time": int,
    "boolean": bool,
    "real": float,
    "date": str,
}
_LEAST, _MOST = -(2**63), 2**63 - 1


class Readable(msgspec.Struct, frozen=True):
    """A name that a record can show: a column of its table, or a virtual field."""

    name: str
    kind: FieldKind
    is_virtual: bool = False


def spec_of(name: str, catalogue: Catalogue | None = None) -> RegistrySpec:
    """Return the registry of that name, of the built-in ones unless others are given.

    Raises:
        UnknownFieldError: There is none.
    """
    among = REGISTRIES if catalogue is None else catalogue
    spec = among.get(name)
    if spec is None:
        raise UnknownFieldError(
            f"there is no registry '{name}'; there are {', '.join(among)}", registry=name
        )
    return spec


def readable(spec: RegistrySpec, name: str) -> Readable:
    """Return the column or virtual field of a name; a relation to one record shows its uid.

    Raises:
        UnknownFieldError: The registry has no such field.
        InvalidValueError: It is a relation to many records.
    """
    match spec.require(name):
        case RelationSpec(is_many=False, column=str(column)):
            return Readable(column, "text")
        case RelationSpec():
            raise InvalidValueError(
                f"{spec.title}.{name} leads to several records: expected a field of the record "
                "itself; to order by it, or to list its values, start from the other registry",
                field=name,
            )
        case field:
            return Readable(field.column, field.kind, field.is_virtual)


def check(select: Select) -> RegistrySpec:
    """Return the registry of a question, after checking its paths, operators and values.

    Raises:
        UnknownFieldError: A path contains a name that its registry does not have.
        InvalidValueError: A path stops short or goes too far, or a value is of another kind.
    """
    spec = spec_of(select.registry, select.catalogue)
    _check_where(spec, select.where)
    for order in select.order:
        readable(spec, order.field)
    for name, number in (("offset", select.offset), ("limit", select.limit)):
        if number is not None and not 0 <= number <= _MOST:
            raise InvalidValueError(f"{name}: expected 0 or more, got {number}", field=name)
    return spec


def _check_where(spec: RegistrySpec, where: Where) -> None:
    match where:
        case Test():
            _check_test(spec, where)
        case And() | Or():
            for item in where.items:
                _check_where(spec, item)
        case Not():
            _check_where(spec, where.item)


def _check_test(spec: RegistrySpec, test: Test) -> None:
    _, end, field, rest = way(spec, test.path)
    if rest and field is not None and field.is_looked_into:
        _check_inside(test)
        return
    if rest and field is not None:
        raise InvalidValueError(
            f"{_label(test)}: {end.title}.{field.name} is a field and leads nowhere; "
            "end the path there",
            path=test.path,
        )
    kind = "text" if field is None else field.kind
    if not test.path or test.operator not in OPERATORS:
        raise InvalidValueError(
            f"{_label(test)}: expected a path and one of {', '.join(OPERATORS)}", path=test.path
        )
    if test.operator in _OF_TEXT and kind not in {"text", "json"}:
        raise InvalidValueError(
            f"{_label(test)}: {test.operator} compares text, and {test.path[-1]} is {kind}; "
            "use exact, in, range, gt, gte, lt, lte or isnull",
            path=test.path,
        )
    _check_value(test, kind)


def _check_inside(test: Test) -> None:
    """Require that the value of a test fits its operator, whatever is recorded there."""
    if test.operator == "isnull":
        if not isinstance(test.value, bool):
            raise _wrong(test, "true or false", test.value)
        return
    values = test.value if test.operator in {"in", "range"} else (test.value,)
    if not isinstance(values, tuple) or (test.operator == "range" and len(values) != 2):  # noqa: PLR2004 (two ends)
        raise _wrong(test, "a tuple of values, of two for a range", values)
    try:
        place(test.path).encode()
        found = [comparable(value) for value in values if value is not None]
        for it in found:
            it.text.encode()
    except UnicodeEncodeError as error:
        raise _wrong(test, "valid Unicode", test.value) from error
    kinds = {it.kind for it in found}
    if test.operator in _OF_TEXT and not kinds <= {"text"}:
        raise _wrong(test, "text", test.value)
    if test.operator in _OF_ORDER and not kinds <= {"number", "text", "boolean"}:
        raise _wrong(test, "a number or a text", test.value)
    if test.operator == "range" and len(kinds) > 1:
        raise _wrong(test, "two values of one kind", test.value)


def _check_value(test: Test, kind: FieldKind) -> None:
    match test.operator:
        case "isnull":
            if not isinstance(test.value, bool):
                raise _wrong(test, "true or false", test.value)
        case "in":
            if not isinstance(test.value, tuple):
                raise _wrong(test, "a tuple of values", test.value)
            for value in test.value:
                _check_one(test, kind, value)
        case "range":
            if not isinstance(test.value, tuple) or len(test.value) != len(("low", "high")):
                raise _wrong(test, "a tuple of two values", test.value)
            for value in test.value:
                _check_one(test, kind, value)
        case _:
            _check_one(test, kind, test.value)


def _check_one(test: Test, kind: FieldKind, value: Any) -> None:
    if value is None:
        return
    if kind == "real" and isinstance(value, int) and not isinstance(value, bool):
        return
    if not isinstance(value, _TYPES[kind]) or (kind != "boolean" and isinstance(value, bool)):
        raise _wrong(test, kind, value)
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise _wrong(test, "valid Unicode", value) from error
    elif isinstance(value, int) and not _LEAST <= value <= _MOST:
        raise _wrong(test, "an integer of 64 bits", value)


def _wrong(test: Test, expected: str, value: object) -> InvalidValueError:
    # A value may be as long as a document: its beginning says enough.
    shown = repr(value)[:60]
    return InvalidValueError(
        f"{_label(test)}: expected {expected}, got {type(value).__name__} {shown}", path=test.path
    )


def _label(test: Test) -> str:
    return f"filter {'__'.join((*test.path, test.operator))}"


def of_registry(table: str, equals: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return table and values of a question for rows; the records of a ledger's own registry."""
    if table in TABLES or not NAME_OF_REGISTRY.fullmatch(table):
        return table, equals
    return "record", {"registry": table, **equals}


def require_columns(table: str, names: Iterable[str]) -> None:
    """Require that a table has all these columns.

    Raises:
        UnknownFieldError: A column is missing; the message names the first.
    """
    for name in names:
        if name not in TABLES[table].column_names:
            raise UnknownFieldError(
                f"table {table} has no column '{name}'; it has "
                f"{', '.join(TABLES[table].column_names)}",
                field=name,
                table=table,
            )
