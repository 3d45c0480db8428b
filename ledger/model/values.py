"""Typed values: their types as text, the form in which events hold them, and back.

1. A type is written `int`, `float`, `str`, `bool`, `date`, `datetime`, `dict`, or `record[donor]`
   for a reference to a record of that registry; `list[…]` around one of them is a list.
2. Integers, texts and booleans stand in an event as they are. Each other value is an object with
   one key, which tells its kind: `{"float": "37.2"}`, `{"date": "2026-01-05"}`, `{"time": µs}`,
   `{"ref": ["donor", uid]}`, `{"map": {…}}`. Whoever folds an event needs no schema.
3. A missing value is no value: its key is absent, and null where a change takes it away.
"""

from __future__ import annotations

import datetime as dt
import math
import operator
import unicodedata
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from ledger.errors import InvalidValueError
from ledger.model.canonical import Json, encode, nfc, tag_float
from ledger.model.parameters import canonical_params, plain_fields
from ledger.model.schema import FieldKind
from ledger.model.times import to_datetime, to_micros

MAX_TEXT, MAX_ITEMS, MAX_MAP = 4_096, 1_000, 64 * 1024
_LEAST, _MOST, _EXACT = -(2**63), 2**63 - 1, 2**53

Kind = Literal["int", "float", "str", "bool", "date", "datetime", "dict", "record"]
KINDS: tuple[str, ...] = ("int", "float", "str", "bool", "date", "datetime", "dict")
# Kind of the field that holds such values, for questions.
FIELD_KINDS: dict[str, FieldKind] = {
    "int": "integer",
    "float": "real",
    "str": "text",
    "bool": "boolean",
    "date": "date",
    "datetime": "time",
    "dict": "json",
}


class ValueType(msgspec.Struct, frozen=True):
    """The type of a field.

    Attributes:
        kind: Kind of its values, or of the items of a list.
        target: For a reference: registry of the records.
        is_list: Whether a value is a list.
    """

    kind: Kind
    target: str | None = None
    is_list: bool = False

    @property
    def text(self) -> str:
        """The type as events hold it."""
        one = self.kind if self.target is None else f"record[{self.target}]"
        return f"list[{one}]" if self.is_list else one


def read_type(text: str) -> ValueType:
    """Return the type that a text of an event means.

    Raises:
        InvalidValueError: It means none.
    """
    inner = text
    if is_list := text.startswith("list[") and text.endswith("]"):
        inner = text[5:-1]
    if inner in KINDS:
        return ValueType(inner, None, is_list)  # type: ignore[arg-type]
    if inner.startswith("record[") and inner.endswith("]"):
        return ValueType("record", inner[7:-1], is_list)
    raise InvalidValueError(f"type '{text}': there are {', '.join(KINDS)}, record[…], list[…]")


class Bounds(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the values of a field are held to; numbers as events hold them."""

    ge: Any = None
    gt: Any = None
    le: Any = None
    lt: Any = None
    choices: tuple[str, ...] | None = None
    max_length: int | None = None


def shown(value: object) -> str:
    """Return the beginning of a value, as an error repeats it."""
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"  # noqa: PLR2004


def kind_of(value: object) -> str:
    """Return the name of a value's type, for an error."""
    return type(value).__name__


# --- from a value to the form of events ---------------------------------------------------------


def tagged(wanted: Kind, value: object, label: str) -> Json:  # noqa: PLR0911 (one a kind)
    """Return one value in the form of events, after checking its type; references are not here.

    Raises:
        InvalidValueError: It is of another type; the message begins with the label.
    """
    plain = _plain(value)
    match wanted:
        case "bool" if isinstance(plain, bool):
            return plain
        case "int" if isinstance(plain, int) and not isinstance(plain, bool):
            if not _LEAST <= plain <= _MOST:
                raise InvalidValueError(f"{label}: expected an int of 64 bits, got {shown(value)}")
            return int(plain)
        case "float" if isinstance(plain, int | float) and not isinstance(plain, bool):
            return tag_float(_exact_float(plain, label))
        case "str" if isinstance(plain, str):
            return _text(plain, label)
        case "date" if isinstance(plain, str) or (
            isinstance(plain, dt.date) and not isinstance(plain, dt.datetime)
        ):
            return {"date": _date(plain, label)}
        case "datetime" if isinstance(plain, str | dt.datetime):
            return {"time": _moment(plain, label)}
        case "dict" if isinstance(plain, dict):
            return {"map": _map(plain, label)}
        case _:
            raise InvalidValueError(
                f"{label}: expected {wanted}, got {kind_of(value)} {shown(value)}"
            )


def _plain(value: Any) -> Any:
    """Return the scalar of an array library as Python's own; other values as they are."""
    if isinstance(value, str | int | float | dt.date | dict | list | tuple | type(None)):
        return value
    convert: Any = getattr(value, "to_pydatetime", None) or getattr(value, "item", None)
    if callable(convert) and tuple(getattr(value, "shape", ())) == ():
        return convert()
    return value


def is_missing(value: object) -> bool:
    """Return whether a value stands for none: None, pandas' NA and NaT."""
    return value is None or type(value).__name__ in {"NAType", "NaTType"}


def _exact_float(value: float, label: str) -> float:
    if isinstance(value, int) and not -_EXACT <= value <= _EXACT:
        raise InvalidValueError(
            f"{label}: expected float, got an int beyond 2^53, which no float holds exactly: "
            f"{shown(value)}"
        )
    number = float(value)
    if math.isnan(number):
        raise InvalidValueError(f"{label}: nan is no value; leave it out, or give None")
    if math.isinf(number):
        raise InvalidValueError(f"{label}: expected a finite float, got {number}")
    # SQLite keeps no sign of zero: with one, a value would differ from itself when set again.
    return number + 0.0


def _text(value: str, label: str) -> str:
    text = nfc(value)
    if len(text) > MAX_TEXT:
        raise InvalidValueError(
            f"{label}: expected at most {MAX_TEXT:,} characters, got {len(text):,}"
        )
    for place, character in enumerate(text):
        if unicodedata.category(character) in {"Cc", "Cs"} and character not in "\n\t":
            raise InvalidValueError(
                f"{label}: control character {character!r} at place {place} is not allowed"
            )
    return text


def _date(value: str | dt.date, label: str) -> str:
    if isinstance(value, dt.date):
        return value.isoformat()
    try:
        if len(value) == len("2026-01-05"):
            return dt.date.fromisoformat(value).isoformat()
    except ValueError:
        pass
    raise InvalidValueError(f"{label}: expected date, such as '2026-01-05', got {shown(value)}")


def _moment(value: str | dt.datetime, label: str) -> int:
    moment = value
    if isinstance(moment, str):
        try:
            moment = dt.datetime.fromisoformat(moment)
        except ValueError:
            raise InvalidValueError(
                f"{label}: expected datetime with a time zone, such as "
                f"'2026-01-05T12:00:00+00:00', got {shown(value)}"
            ) from None
    if moment.tzinfo is None or moment.utcoffset() is None:
        raise InvalidValueError(
            f"{label}: expected datetime with a time zone, got {shown(value)}; "
            "add .replace(tzinfo=datetime.timezone.utc) if it is UTC"
        )
    return to_micros(moment)


def _map(value: dict[Any, Any], label: str) -> Json:
    try:
        found = canonical_params(value)["params"]
    except InvalidValueError as error:
        raise InvalidValueError(f"{label}: {str(error).removeprefix('params')}") from None
    size = len(encode(found))
    if size > MAX_MAP:
        raise InvalidValueError(
            f"{label}: expected at most {MAX_MAP:,} bytes of JSON, got {size:,}"
        )
    return found  # type: ignore[return-value]  # the same kinds


_COMPARED: dict[str, tuple[str, Callable[[Any, Any], bool]]] = {
    "ge": (">=", operator.ge),
    "gt": (">", operator.gt),
    "le": ("<=", operator.le),
    "lt": ("<", operator.lt),
}


def within(bounds: Bounds, value: Json, label: str) -> None:
    """Require that a value in the form of events keeps the bounds of its field.

    Raises:
        InvalidValueError: It does not.
    """
    if bounds.choices is not None and value not in bounds.choices:
        choices = ", ".join(map(repr, bounds.choices))
        raise InvalidValueError(f"{label}: expected one of {choices}, got {shown(value)}")
    if bounds.max_length is not None and isinstance(value, str) and len(value) > bounds.max_length:
        raise InvalidValueError(
            f"{label}: expected at most {bounds.max_length:,} characters, got {len(value):,}"
        )
    number = untagged(value)
    for name, (sign, holds) in _COMPARED.items():
        bound = getattr(bounds, name)
        if bound is not None and not holds(number, untagged(bound)):
            raise InvalidValueError(
                f"{label}: expected a value {sign} {untagged(bound)}, got {number!r}"
            )


# --- and back -----------------------------------------------------------------------------------


def untagged(value: Any) -> Any:  # noqa: PLR0911 (one a kind)
    """Return a value of an event as Python has it; a reference is its uid."""
    if isinstance(value, list | tuple):
        return [untagged(item) for item in value]
    if not isinstance(value, dict) or len(value) != 1:
        return value
    ((tag, inner),) = value.items()
    match tag:
        case "float":
            return float(inner)
        case "date":
            return dt.date.fromisoformat(inner)
        case "time":
            return to_datetime(inner)
        case "ref":
            return inner[1]
        case "map":
            return plain_fields(inner)
        case _:
            return value


def as_items(value: Any) -> list[Any]:
    """Return the items of a value of an event: those of a list, else the value alone."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def reference(item: Any) -> tuple[str, str] | None:
    """Return registry and uid of a reference; None for any other value."""
    if isinstance(item, dict) and len(item) == 1 and "ref" in item:
        registry, uid = item["ref"]
        return str(registry), str(uid)
    return None


INDEXED = 255  # characters of a text that an index holds


def columns_of(item: Any) -> dict[str, Any]:  # noqa: PLR0911 (one a kind)
    """Return the columns of the row that holds one value: `i`, `r`, `t`, or `x` for long texts."""
    if isinstance(item, bool | int):
        return {"i": int(item)}
    if isinstance(item, str):
        return {"t": item} if len(item) <= INDEXED else {"x": item}
    if isinstance(item, dict) and len(item) == 1:
        ((tag, inner),) = item.items()
        match tag:
            case "float":
                return {"r": float(inner)}
            case "date":
                return {"t": inner}
            case "time":
                return {"i": int(inner)}
            case "map":
                return {"x": encode(inner).decode()}
            case _:
                pass
    return {"x": encode(item).decode()}


def of_columns(kind: str, row: dict[str, Any]) -> Json:  # noqa: PLR0911 (one a kind)
    """Return the value in a row, in the form of events; `kind` is that of the field's type."""
    match kind:
        case "bool":
            return bool(row["i"])
        case "int":
            return int(row["i"])
        case "float":
            return tag_float(float(row["i"] if row["r"] is None else row["r"]))
        case "date":
            return {"date": row["t"]}
        case "datetime":
            return {"time": row["i"]}
        case "dict":
            found: Json = {"map": msgspec.json.decode(row["x"])}
            return found
        case _:
            return str(row["x"] if row["t"] is None else row["t"])
