"""Values inside JSON fields, in a form that every database compares alike.

1. Each value has a kind: number, nan, text, boolean, or json for a list or a mapping. Values of two
   kinds are never equal, and none of them comes before the other. Null counts as missing.
2. The text of a number sorts by code point as numbers do. It is exact: `1` and `1.0` are equal,
   and no two other numbers are, whatever their size.
3. A list or mapping has a hash as its text: it can only be equal or not.
4. The place of a value is the names that lead to it, joined by two underscores; the place of the
   whole field is "". Lists are compared as a whole: no place leads into one.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal, NamedTuple

import msgspec

Kind = Literal["number", "nan", "text", "boolean", "json"]

_EXACT = 2**53  # from here on every float is a whole number, and its shortest decimal is rounded
_LONGEST_PLACE = 1_000  # bytes: indexes bound what they hold
_NINES = str.maketrans("0123456789", "9876543210")


class Comparable(NamedTuple):
    """A value as databases compare it: its kind, and a text."""

    kind: Kind
    text: str


class Inside(NamedTuple):
    """A value inside a JSON field, and the place where it is."""

    place: str
    value: Comparable


def comparable(value: Any) -> Comparable:
    """Return a plain value, which is not None, as databases compare it."""
    match value:
        case bool():
            return Comparable("boolean", "true" if value else "false")
        case float() if math.isnan(value):
            return Comparable("nan", "")
        case int() | float():
            return Comparable("number", _sortable(value))
        case str():
            return Comparable("text", value)
        case _:
            described = msgspec.json.encode(_nested(value), order="sorted")
            return Comparable("json", hashlib.sha256(described).hexdigest())


def inside(value: Any, names: tuple[str, ...] = ()) -> Iterator[Inside]:
    """Yield every value that is not None of a plain value, itself first, with its place."""
    if value is None:
        return
    yield Inside(place(names), comparable(value))
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from inside(item, (*names, name))


def place(names: Sequence[str]) -> str:
    """Return the place that names lead to."""
    text = "__".join(names)
    raw = text.encode()
    if len(raw) > _LONGEST_PLACE:
        return f"sha256:{hashlib.sha256(raw).hexdigest()}"
    return text


def _nested(value: Any) -> Any:
    match value:
        case None:
            return None
        case list() | tuple():
            return [_nested(item) for item in value]
        case Mapping():
            return {name: _nested(item) for name, item in value.items()}
        case _:
            return {"": comparable(value)}


def _sortable(value: int | float) -> str:  # noqa: PYI041 (the two are told apart)
    """Return a number, which is not nan, as a text that sorts by code point as numbers do."""
    if isinstance(value, float):
        if math.isinf(value):
            return "r" if value > 0 else "a"
        exact = Decimal(int(value)) if abs(value) >= _EXACT else Decimal(repr(value))
    else:
        exact = Decimal(value)
    sign, digits, exponent = exact.as_tuple()
    shortest = "".join(map(str, digits)).rstrip("0").lstrip("0")
    if not shortest:
        return "n"
    # The value is 0.<shortest> times ten to this power.
    power = len(digits) + int(exponent)
    size = f"{power + 10**9:010d}{shortest}"
    # A negative number is the less, the greater its size: a longer text then comes before.
    return f"p{size}" if not sign else f"b{size.translate(_NINES)}~"
