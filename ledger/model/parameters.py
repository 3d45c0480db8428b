"""Parameters of a run in the form that is hashed and stored, and back.

1. `canonical_params` gives `{"argv": [...], "params": {...}}` of text, integers, booleans, null,
   lists and mappings with text keys in sorted order. Equal parameters give equal values on every
   computer, for every order and every type of container.
2. Mappings, dataclasses, msgspec Structs, `argparse.Namespace` and objects with `model_dump()`
   become mappings; lists and tuples become lists.
3. Text and keys are in NFC. Paths become text with `/`, dates and times their ISO 8601 text
   (of NumPy the same in all units), members of an enumeration their value, scalars of array
   libraries the result of their `item()`.
4. A float is `{"float": "<shortest decimal>"}`, with "nan", "inf", "-inf" and "-0.0" as they are.
   An integer beyond ±(2^53 - 1) is `{"int": "<decimal>"}`, or hexadecimal if it has more than 2,048
   bits, as readers of JSON differ beyond these bounds. `1`, `1.0` and `True` are different.
5. A command-line argument that is no text is `{"bytes": "<hex>"}`: every argument is accepted.
6. Secrets that a URL carries are left out of texts and arguments (`ledger.errors.washed`), and so
   is the argument after an option such as `--password` (`ledger.errors.washed_arguments`).
7. A mapping whose only key looks like such a tag is wrapped as `{"map": {...}}`: every value has a
   form of its own, and `plain_params` finds the way back.
8. Everything else is refused, with the place (`params.model.layers[2]`) and the way out: a guess,
   such as the `repr` of an object, would differ from one pass to the next.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import os
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import PurePath
from typing import Any, TypeAlias

import msgspec

from ledger.errors import InvalidValueError, washed, washed_arguments
from ledger.model.canonical import nfc

Canonical: TypeAlias = "bool | int | str | list[Canonical] | dict[str, Canonical] | None"

MAX_DEPTH = 64

_TAGS = frozenset({"float", "int", "bytes", "map"})
_SAFE_INTEGER = 2**53 - 1
# Python refuses decimals of more than 640 digits under its strictest setting; these have 617.
_DECIMAL_BITS = 2048


def canonical_params(params: object, argv: Sequence[str] = ()) -> dict[str, Canonical]:
    """Return parameters and command-line arguments in canonical form; None counts as `{}`.

    The result shares nothing with the given objects, which may change afterwards.

    Args:
        params: A mapping, or an object that rule 2 turns into one.
        argv: Arguments after the program's name.

    Raises:
        InvalidValueError: A value or key cannot be recorded; the message names its place.
    """
    given: object = {} if params is None else params
    fields = _fields(given)
    if fields is None:
        message = (
            f"params: expected a mapping, found {_kind(given)}; pass a dict such as "
            '{"learning_rate": 0.1}'
        )
        raise InvalidValueError(message, path="params", found=_kind(given))
    return {
        "argv": [canonical_argument(argument) for argument in washed_arguments(argv)],
        # The outermost mapping is known to be one, so it is never wrapped.
        "params": _mapping(fields, "params", 0),
    }


def plain_params(canonical: Mapping[str, Canonical]) -> dict[str, object]:
    """Return `{"argv": [...], "params": {...}}` with floats, integers and bytes as plain values."""
    return {name: plain_fields(value) for name, value in canonical.items()}


def plain_fields(canonical: Canonical) -> Any:
    """Return one side of canonical parameters as plain values: the mapping, or the arguments.

    The outermost mapping is never an encoded value, whatever its keys.
    """
    if isinstance(canonical, dict):
        return {key: _plain(value) for key, value in canonical.items()}
    return _plain(canonical)


def plain_value(value: object, place: str) -> Any:
    """Return a value that someone looks for as `plain_fields` gives it back where it is recorded.

    Raises:
        InvalidValueError: No parameter can hold such a value; the message begins with `place`.
    """
    return _plain(_canonical(value, place, 0))


def json_ready(value: Any) -> Any:
    """Return plain values as data that every reader of JSON takes.

    JSON has no infinity, no nan and no bytes: these become text, and numbers with thousands of
    digits become hexadecimal text.
    """
    match value:
        case list() | tuple():
            return [json_ready(item) for item in value]
        case dict():
            return {key: json_ready(item) for key, item in value.items()}
        case float() if not math.isfinite(value):
            return str(value)
        case int() if value.bit_length() > _DECIMAL_BITS:
            return hex(value)
        case bytes():
            return value.hex()
        case _:
            return value


# --- there ----------------------------------------------------------------------------------------


def _canonical(value: object, path: str, depth: int) -> Canonical:
    if depth > MAX_DEPTH:
        message = (
            f"{path}: expected at most {MAX_DEPTH} levels, found more, or a value that contains "
            "itself; pass flatter parameters"
        )
        raise InvalidValueError(message, path=path)
    if isinstance(value, list | tuple):
        return [_canonical(item, f"{path}[{i}]", depth + 1) for i, item in enumerate(value)]
    fields = _fields(value)
    if fields is None:
        return _single(value, path, depth)
    mapping = _mapping(fields, path, depth)
    return {"map": mapping} if len(mapping) == 1 and not _TAGS.isdisjoint(mapping) else mapping


def _single(value: object, path: str, depth: int) -> Canonical:
    found: Canonical
    # The order matters: an enumeration's member may also be text or a number, and a bool is an int.
    match value:
        case enum.Enum():
            found = _canonical(value.value, path, depth + 1)
        case None | bool():
            found = value
        case int():
            found = _integer(int.__int__(value))
        case float():
            found = {"float": float.__repr__(value)}
        case str():
            found = _text(value, path)
        case PurePath():
            found = _text(value.as_posix(), path)
        case date():  # Also datetime; what is no time differs from itself.
            found = value.isoformat() if value == value else None  # noqa: PLR0124
        case _:
            found = _scalar(value, path, depth)
    return found


def _mapping(fields: Mapping[Any, object], path: str, depth: int) -> dict[str, Canonical]:
    found: dict[str, Canonical] = {}
    for key, value in fields.items():
        if not isinstance(key, str):
            message = (
                f"{path}: expected text as keys, found a key of type {_kind(key)}; use str(key)"
            )
            raise InvalidValueError(message, path=path, found=_kind(key))
        name = _text(key, f"a key of {path}")
        place = f"{path}.{name}" if name.isidentifier() else f'{path}["{_shown(name)}"]'
        if name in found:
            message = f"{place}: expected one key, found two spellings of it; keep one of them"
            raise InvalidValueError(message, path=place)
        found[name] = _canonical(value, place, depth + 1)
    return dict(sorted(found.items()))


def _fields(value: object) -> Mapping[Any, object] | None:
    """Return the fields of a value that becomes a mapping, else None."""
    if isinstance(value, Mapping):
        return value
    if isinstance(value, type):
        return None
    if isinstance(value, msgspec.Struct):
        return {name: getattr(value, name) for name in value.__struct_fields__}
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    if isinstance(value, Namespace):
        return dict(vars(value))
    dump = getattr(value, "model_dump", None)
    dumped = dump() if callable(dump) else None
    return dumped if isinstance(dumped, Mapping) else None


def _scalar(value: object, path: str, depth: int) -> Canonical:
    kind = getattr(getattr(value, "dtype", None), "kind", "")
    if kind == "m":
        raise _refusal(value, path)
    if kind == "M" and tuple(getattr(value, "shape", (0,))) == ():
        return _moment(value, path)
    item = getattr(value, "item", None)
    if callable(item) and tuple(getattr(value, "shape", (0,))) == ():
        plain = item()
        # The `item()` of a scalar without a plain counterpart returns the scalar itself.
        if type(plain) is not type(value):
            return _canonical(plain, path, depth + 1)
    raise _refusal(value, path)


def _moment(value: Any, path: str) -> str | None:
    """Return a time of NumPy as `datetime.isoformat` gives it, the same in all units."""
    scalar = value[()]
    try:
        text = str(scalar.astype("datetime64[s]"))
    except OverflowError:
        raise _refusal(value, path) from None
    if text == "NaT":
        return None
    fraction = str(scalar).partition(".")[2].rstrip("0")
    return f"{text}.{fraction:0<6}" if fraction else text


def _refusal(value: object, path: str) -> InvalidValueError:
    if isinstance(value, (set, frozenset)):
        way_out = "pass sorted(value), as a set has no order"
    elif isinstance(value, (bytes, bytearray, memoryview)):
        way_out = "pass value.hex()"
    elif getattr(getattr(value, "dtype", None), "kind", "") == "m" or isinstance(value, timedelta):
        way_out = "pass its seconds as a number"
    elif hasattr(value, "tolist"):
        way_out = "pass value.tolist(), or save it and pass its key"
    elif callable(value):
        way_out = "pass its name"
    elif hasattr(value, "__iter__"):
        way_out = "pass list(value)"
    else:
        way_out = "pass the values that define it, or a text"
    return InvalidValueError(
        f"{path}: expected text, a number, a bool, None, a path, a date, or lists and mappings "
        f"of these, found {_kind(value)}; {way_out}",
        path=path,
        found=_kind(value),
    )


def _integer(value: int) -> Canonical:
    if -_SAFE_INTEGER <= value <= _SAFE_INTEGER:
        return value
    return {"int": str(value) if value.bit_length() <= _DECIMAL_BITS else hex(value)}


def _text(value: str, path: str) -> str:
    if "\0" in value:
        message = f"{path}: expected text without NUL, found NUL at {value.index(chr(0))}"
        raise InvalidValueError(message, path=path, place=value.index("\0"))
    try:
        value.encode()
    except UnicodeEncodeError as error:
        message = (
            f"{path}: expected text that can be written as UTF-8, found half a surrogate pair "
            f"at {error.start}; decode it from its bytes with the right encoding"
        )
        raise InvalidValueError(message, path=path, place=error.start) from None
    return washed(nfc(str.__str__(value)))


def canonical_argument(argument: str) -> Canonical:
    """Return a text that the system gave in canonical form; any is accepted, as rule 5 says."""
    try:
        argument.encode()
    except UnicodeEncodeError:
        return {"bytes": os.fsencode(argument).hex()}
    return nfc(argument)


def _kind(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else _qualified(kind)


def _qualified(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


def _shown(name: str) -> str:
    return name if len(name) <= 40 else name[:39] + "…"  # noqa: PLR2004


# --- and back -------------------------------------------------------------------------------------


def _plain(value: Canonical) -> object:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        [(tag, content)] = value.items()
        try:
            match tag, content:
                case "float", str(text):
                    return float(text)
                case "int", str(text):
                    return int(text, 16 if "x" in text else 10)
                case "bytes", str(text):
                    return bytes.fromhex(text)
                case "map", dict(inner):
                    value = inner
                case _:
                    pass
        except ValueError:
            pass  # Such as the text "y" of a float: this program never writes it.
    return {key: _plain(item) for key, item in value.items()}
