"""Stored read models compared with those that the log gives, row by row.

Both sides come in the order of their key, so tables of any size are compared in one pass with
little memory. Values are compared as they are stored, types included: many rows at once while they
are the same, and one by one from the first difference.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, islice
from typing import Any

import msgspec

from projections.tables import TABLES

Rows = Iterator[tuple[Any, ...]]

_AT_ONCE = 1_000
# Each type has its own encoding: numbers with and without a fraction, truth values, text, bytes.
_encode = msgspec.msgpack.Encoder().encode


class RowDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A row that differs from the log.

    Attributes:
        table: Its table.
        key: Values of its key, and the position from which it holds.
        expected: Columns that differ, as the log gives them; None for a surplus row.
        found: The same columns as they are stored; None where the row is missing.
    """

    table: str
    key: dict[str, Any]
    expected: dict[str, Any] | None
    found: dict[str, Any] | None


def compare(table: str, expected: Rows, found: Rows) -> Iterator[RowDifference]:
    """Yield the differences between two sides of a table, both in the order of the key."""
    while True:
        left, right = list(islice(expected, _AT_ONCE)), list(islice(found, _AT_ONCE))
        if not left and not right:
            return
        if not _are_same(left, right):
            yield from _row_by_row(table, chain(left, expected), chain(right, found))
            return


def _are_same(left: list[tuple[Any, ...]], right: list[tuple[Any, ...]]) -> bool:
    """Return whether all rows are the same, types included; False where that is unknown."""
    try:
        return _encode(left) == _encode(right)
    except (TypeError, OverflowError, UnicodeEncodeError):
        return False


def _row_by_row(table: str, expected: Rows, found: Rows) -> Iterator[RowDifference]:
    names = TABLES[table].column_names
    places = [names.index(name) for name in (*TABLES[table].key, "from_position")]

    def key(row: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(_sortable(row[place]) for place in places)

    left, right = next(expected, None), next(found, None)
    while left is not None or right is not None:
        if right is None or (left is not None and key(left) < key(right)):
            yield _difference(table, left, None)
            left = next(expected, None)
        elif left is None or key(right) < key(left):
            yield _difference(table, None, right)
            right = next(found, None)
        else:
            if not _is_same(left, right):
                yield _difference(table, left, right)
            left, right = next(expected, None), next(found, None)


def _is_same(left: tuple[Any, ...], right: tuple[Any, ...]) -> bool:
    return left == right and list(map(type, left)) == list(map(type, right))


def _sortable(value: Any) -> tuple[int, Any]:
    """Return a sort key for a value of any type: missing, numbers, text, bytes.

    Damaged text comes as a subclass of bytes, and sorts as text.
    """
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    if isinstance(value, str):
        return 2, value.encode("utf-8", "surrogatepass")
    return (3 if type(value) is bytes else 2), value


def _difference(
    table: str, expected: tuple[Any, ...] | None, found: tuple[Any, ...] | None
) -> RowDifference:
    described = TABLES[table]
    names = described.column_names
    row = expected if expected is not None else found
    assert row is not None  # noqa: S101 (one side has it)
    values = dict(zip(names, map(_plain, row), strict=True))
    if expected is None or found is None:
        differing: list[str] = list(names)
    else:
        differing = [
            name
            for name, one, other in zip(names, expected, found, strict=True)
            if one != other or type(one) is not type(other)
        ]
    pick: Callable[[tuple[Any, ...] | None], dict[str, Any] | None] = lambda side: (  # noqa: E731
        None if side is None else {name: _plain(side[names.index(name)]) for name in differing}
    )
    return RowDifference(
        table=table,
        key={name: values[name] for name in (*described.key, "from_position")},
        expected=pick(expected),
        found=pick(found),
    )


def _plain(value: Any) -> Any:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value
