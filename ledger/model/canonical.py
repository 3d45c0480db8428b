"""Canonical JSON: the only encoder of anything that is hashed, and of every stored event.

Rules, in the order they are applied:

1. Objects have their keys sorted by code point; there is no white space; text is UTF-8.
2. Numbers are integers. An identity with a float is refused; `tag_float` first writes the float as
   `{"float": "<shortest decimal>"}`, the same on every machine.
3. Text in an identity is NFC (`identity_bytes` makes it so). Text in an event was made NFC when it
   was validated, except paths, which are kept as the file system has them.
"""

from __future__ import annotations

import unicodedata
from typing import Any, TypeAlias

import msgspec

from ledger.errors import InvalidValueError

Json: TypeAlias = "bool | int | str | list[Json] | tuple[Json, ...] | dict[str, Json] | None"


def _plain_text(value: object) -> str:
    """Return a subclass of `str` as the text that it is; other values are refused."""
    if isinstance(value, str):
        return str.__str__(value)
    raise InvalidValueError(
        f"expected plain data to store, got {type(value).__module__}.{type(value).__qualname__}"
    )


_encoder = msgspec.json.Encoder(order="sorted", enc_hook=_plain_text)


def encode(value: object) -> bytes:
    """Return `value`, a Struct or plain data without floats, as canonical JSON.

    Raises:
        InvalidValueError: The value holds text that is not valid Unicode (a lone surrogate).
    """
    try:
        return _encoder.encode(value)
    except UnicodeEncodeError as error:
        raise InvalidValueError(
            f"text is not valid Unicode: {error.object[error.start : error.end]!r} at character "
            f"{error.start} cannot be stored"
        ) from error


def identity_bytes(identity: Json) -> bytes:
    """Return the bytes whose hash names a command or a record: NFC, canonical, no floats.

    Raises:
        InvalidValueError: The identity holds a float or another type that is inexact in JSON, or
            an object with a key that is not text or is there twice.
    """
    return encode(identity if _is_plain(identity) else _exact(identity, "$"))


def nfc(text: str) -> str:
    """Return `text` in Unicode normalization form C, as plain `str` whatever its class.

    Arrays, data frames and enumerations give subclasses of `str`, whose own `str()` may differ.
    """
    if type(text) is not str:
        text = str.__str__(text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def asked(subject: str, text: str) -> str:
    """Return a text by which something is asked for, as it would be recorded: in NFC.

    Raises:
        InvalidValueError: It holds NUL, which no recorded text does and databases refuse.
    """
    if "\0" in text:
        raise InvalidValueError(
            f"{subject}: control character '\\x00' at place {text.index(chr(0))} is not allowed"
        )
    return nfc(text)


def tag_float(value: float) -> dict[str, Json]:
    """Return a float for canonical JSON: as its shortest decimal that reads back equal."""
    return {"float": repr(value)}


def _is_plain(value: Any) -> bool:  # noqa: C901 (one branch for each kind)
    """Return whether a value is exact as it stands: nearly every one is, and this check is fast.

    ASCII is NFC, and ASCII keys that differ stay different. Everything else, such as subclasses of
    text and numbers, is left to `_exact`.
    """
    kind = type(value)
    if kind is dict:
        for key in value:
            if type(key) is not str or not key.isascii():
                return False
        value = value.values()
    elif kind is not list and kind is not tuple:
        value = (value,)
    # A loop, as most values are a list of a few texts and a short list.
    for item in value:
        kind = type(item)
        if kind is str:
            if not item.isascii():
                return False
        elif kind is list or kind is tuple or kind is dict:
            if not _is_plain(item):
                return False
        elif kind is not int and kind is not bool and item is not None:
            return False
    return True


def _exact(value: object, path: str) -> Json:
    match value:
        case None | bool() | int():
            return value
        case str():
            return nfc(value)
        case list() | tuple():
            return [_exact(item, f"{path}[{number}]") for number, item in enumerate(value)]
        case dict():
            return _exact_object(value, path)
        case _:
            raise InvalidValueError(
                f"identity at {path}: expected text, integer, boolean, list or object, "
                f"got {type(value).__name__}",
                path=path,
            )


def _exact_object(value: dict[object, object], path: str) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for key, item in value.items():
        if not isinstance(key, str) or nfc(key) in found:
            raise InvalidValueError(
                f"identity at {path}: expected text as keys, each once, got {key!r}", path=path
            )
        found[nfc(key)] = _exact(item, f"{path}.{key}")
    return found
