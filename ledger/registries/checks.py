"""Checks of a value before it is assigned to a field.

An error names the expected and the given value. Text becomes NFC; no other value is altered.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from ledger.errors import InvalidValueError
from ledger.model.canonical import nfc
from ledger.model.schema import FieldSpec

_REASON = FieldSpec(name="description", max_length=4096)


def check_flag(subject: str, value: object) -> bool:
    """Return a value that is True or False.

    Raises:
        InvalidValueError: It is something else.
    """
    if not isinstance(value, bool):
        raise InvalidValueError(
            f"{subject}: expected True or False, got {type(value).__name__} {value!r}"
        )
    return value


def check_text(subject: str, value: object, field: FieldSpec, *, required: bool = False) -> Any:
    """Return a text as it is recorded: NFC, within its length, without control characters.

    Raises:
        InvalidValueError: It is something else; the message names the expected kind.
    """
    if value is None and not required:
        return None
    if not isinstance(value, str):
        raise InvalidValueError(f"{subject}: expected text, got {type(value).__name__} {value!r}")
    text = nfc(value)
    if required and not text.strip():
        raise InvalidValueError(f"{subject}: expected a text that is not blank, got {value!r}")
    if len(text) > field.max_length:
        raise InvalidValueError(
            f"{subject}: expected at most {field.max_length:,} characters, got {len(text):,}"
        )
    allowed = "\n\t" if field.name == "description" else ""
    for place, character in enumerate(text):
        if character not in allowed and unicodedata.category(character) in {"Cc", "Cs"}:
            raise InvalidValueError(
                f"{subject}: control character {character!r} at place {place} is not allowed"
            )
    return text


def check_version(title: str, version: object) -> str | None:
    """Return a version as it is recorded: None, or a text that is not blank.

    Raises:
        InvalidValueError: It is something else.
    """
    if version is None:
        return None
    field = FieldSpec(name="version", max_length=64)
    text: str = check_text(f"{title}.version", version, field, required=True)
    return text


def check_reason(reason: object, verb: str) -> str:
    """Return a reason as it is recorded: a text of several lines, without spaces around.

    Raises:
        InvalidValueError: It is something else, blank, or longer than a description may be.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason) > _REASON.max_length:
        raise InvalidValueError(
            f"{verb}: expected a reason of 1 to {_REASON.max_length:,} characters, got "
            f"{reason!r:.60}"
        )
    text: str = check_text(f"{verb}: reason", reason.strip(), _REASON)
    return text
