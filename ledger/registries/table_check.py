"""A table held against a registry: every fault with its column, row and value.

1. A column is a field, or the name, of the registry; a missing one counts as missing values.
2. Values are checked as when they are given one by one, except that nan is missing and a whole
   float is an integer: tables of pandas have no other way to say so.
3. A text in the place of a record is its name; each name is looked for once.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec

from ledger.decisions.values import given, resolved
from ledger.errors import InvalidTableError, InvalidValueError, NotFoundError
from ledger.model.definitions import Definition, Field, is_categorical
from ledger.model.values import MAX_ITEMS, Bounds, ValueType, as_items, is_missing, shown
from ledger.places.source import Source
from ledger.registries.frames import columns_of

_NAMED = 10  # faults in an error


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of a table.

    Attributes:
        column: Name of the column.
        row: Number of the row, from 0; None for the column itself.
        kind: `column` (no such field), `missing`, `type`, `bound`, `unknown` (no record bears the
            name) or `key` (two rows of one key with different values).
        value: The value.
        message: What was expected.
    """

    column: str
    row: int | None
    kind: str
    value: Any = None
    message: str = ""


class TableReport(msgspec.Struct, frozen=True, kw_only=True):
    """What the check of a table found."""

    registry: str
    n_rows: int
    faults: tuple[Fault, ...] = ()

    @property
    def is_valid(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    def __repr__(self) -> str:
        told = f"table of {self.registry}: {self.n_rows:,} rows, {_counted(len(self.faults))}"
        return "\n  ".join([told, *(it.message for it in self.faults)])

    def require(self) -> None:
        """Let pass a table without faults.

        Raises:
            InvalidTableError: There are faults; the first ten are named.
        """
        if self.faults:
            told = "; ".join(it.message for it in self.faults[:_NAMED])
            more = len(self.faults) - _NAMED
            raise InvalidTableError(
                f"table of {self.registry}: {_counted(len(self.faults))}: {told}"
                f"{f'; and {more:,} more' if more > 0 else ''}; nothing was recorded",
                registry=self.registry,
            )


def _counted(faults: int) -> str:
    return "no fault" if not faults else f"{faults:,} fault{'s' if faults > 1 else ''}"


def check_table(definition: Definition, source: Source, frame: object) -> TableReport:
    """Return what is wrong in a table of records of a registry.

    Raises:
        InvalidValueError: It is no table, or has a column twice.
    """
    columns = columns_of(frame)
    n_rows = max((len(values) for values in columns.values()), default=0)
    faults: list[Fault] = []
    for name, values in columns.items():
        if name == "name" and definition.is_named:
            faults += _names(definition, values)
            continue
        field = definition.field(name)
        if field is None:
            known = ", ".join(it.name for it in definition.fields)
            message = f"column '{name}': {definition.title} has no such field; it has {known}"
            faults.append(Fault(column=name, row=None, kind="column", message=message))
        else:
            faults += _column(field, name, values, source)
    there = {it.held for name in columns if (it := definition.field(name)) is not None}
    lacking = [it.name for it in definition.fields if it.is_required and it.held not in there]
    lacking += ["name"] if definition.is_named and "name" not in columns else []
    for name in lacking:
        message = f"column '{name}': required, and not in the table"
        faults.append(Fault(column=name, row=None, kind="missing", message=message))
    faults += _keys(definition, columns, n_rows)
    return TableReport(registry=definition.name, n_rows=n_rows, faults=tuple(faults))


def columns_named(definition: Definition, frame: object) -> dict[str, list[Any]]:
    """Return what the columns of a valid table name, each value once, as an intent holds it.

    A column with more than a thousand different values is left out.
    """
    found: dict[str, list[Any]] = {}
    for name, values in columns_of(frame).items():
        field = definition.field(name) or Field(name=name, held=name, type=ValueType("str"))
        if not is_categorical(field):
            continue
        given_values = [given(field, it, name) for it in values if not _is_missing(it)]
        items = [it for value in given_values for it in as_items(value)]
        once = list({repr(it): it for it in items}.values())
        if len(once) <= MAX_ITEMS:
            found[name] = once
    return found


def rows_of(definition: Definition, frame: object) -> list[dict[str, Any]]:
    """Return the rows of a table as the constructor takes them, without missing values."""
    columns = columns_of(frame)
    names = list(columns)
    fields = {name: definition.field(name) for name in names}
    return [
        {
            name: _of_table(fields[name], value)
            for name, value in zip(names, values, strict=True)
            if not _is_missing(value)
        }
        for values in zip(*columns.values(), strict=True)
    ]


def _is_missing(value: Any) -> bool:
    return is_missing(value) or (isinstance(value, float) and math.isnan(value))


def _of_table(field: Field | None, value: Any) -> Any:
    if field is not None and field.type.kind == "int" and isinstance(value, float):
        return int(value) if value.is_integer() else value
    if field is not None and field.type.kind == "date" and hasattr(value, "to_pydatetime"):
        moment = value.to_pydatetime()
        # A column of days has no other kind in pandas.
        return moment.date() if moment == moment.replace(hour=0, minute=0, second=0) else moment
    return value


def _names(definition: Definition, values: list[Any]) -> list[Fault]:
    return [
        Fault(
            column="name",
            row=row,
            kind="missing" if _is_missing(value) else "type",
            value=value,
            message=f"name in row {row}: expected a text for a {definition.title}, got "
            f"{shown(value)}",
        )
        for row, value in enumerate(values)
        if not isinstance(value, str) or not value.strip()
    ]


def _column(field: Field, name: str, values: list[Any], source: Source) -> list[Fault]:
    free = msgspec.structs.replace(field, bounds=Bounds())
    looked: dict[str, str | None] = {}
    faults = []
    for row, raw in enumerate(values):
        if _is_missing(raw):
            if field.is_required:
                message = f"{name} in row {row}: required, and missing"
                faults.append(Fault(column=name, row=row, kind="missing", message=message))
            continue
        label, value, kind = f"{name} in row {row}", _of_table(field, raw), "type"
        try:
            plain = given(free, value, label)
            kind = "bound"
            given(field, value, label)
            kind = "unknown"
            if field.type.target is not None:
                key = repr(plain)
                if key not in looked:
                    looked[key] = source.ask(partial(_unknown, plain))
                if (why := looked[key]) is not None:
                    message = f"{label}: {why}"
                    faults.append(
                        Fault(column=name, row=row, kind=kind, value=raw, message=message)
                    )
        except InvalidValueError as error:
            message = str(error.args[0]) if error.args else str(error)
            faults.append(Fault(column=name, row=row, kind=kind, value=raw, message=message))
    return faults


def _unknown(plain: Any, models: Any) -> str | None:
    """Return why a reference leads nowhere; None where it leads to a record."""
    try:
        resolved(models, plain, "")
    except NotFoundError as error:
        return str(error.args[0]).removeprefix(": ") if error.args else str(error)
    return None


def _keys(definition: Definition, columns: Mapping[str, list[Any]], n_rows: int) -> list[Fault]:
    """Return the rows whose key an earlier row has with other values."""
    if not all(part in columns for part in definition.key):
        return []
    seen: dict[str, int] = {}
    faults = []
    for row in range(n_rows):
        key = repr([columns[part][row] for part in definition.key])
        first = seen.setdefault(key, row)
        if first != row and any(repr(it[first]) != repr(it[row]) for it in columns.values()):
            part = definition.key[0]
            value = columns[part][row]
            message = f"{part} in row {row}: row {first} has this key with other values"
            faults.append(Fault(column=part, row=row, kind="key", value=value, message=message))
    return faults
