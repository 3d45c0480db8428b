"""The actor: the name of the user that causes the events of this process.

1. The name is `METALEDGER_USER` if that is set and not empty, else the login name, else
   `uid-<number>` if the system knows no name, as in many containers. Git's settings are not asked:
   they name the author of code, and another person may run it.
2. A name is text in NFC of 1 to 150 characters, without control characters or blanks around it. A
   login name that breaks this rule is refused too: `METALEDGER_USER` is the way out.
"""

from __future__ import annotations

import getpass
import os
import unicodedata

from ledger.errors import InvalidValueError
from ledger.model.canonical import nfc

VARIABLE = "METALEDGER_USER"
MAX_LENGTH = 150

# Control characters, halves of surrogate pairs, line and paragraph separators.
_REFUSED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def current_actor() -> str:
    """Return the name under which the events of this process are recorded.

    Raises:
        InvalidValueError: The name is empty, too long, or holds a control character.
    """
    given = os.environ.get(VARIABLE, "")
    return _valid(given, VARIABLE) if given else _valid(_login_name(), "login name")


def checked_actor(raw: object, subject: str) -> str:
    """Return the name of an actor as it is recorded.

    Raises:
        InvalidValueError: It is no text, empty, too long, or holds a control character.
    """
    if not isinstance(raw, str):
        raise InvalidValueError(f"{subject}: expected a name, got {type(raw).__name__} {raw!r:.60}")
    return _valid(raw, subject, way_out="give the name of who did it")


def _login_name() -> str:
    try:
        name = getpass.getuser()
    # A missing name raises any of these, depending on system and Python version.
    except (KeyError, OSError, ImportError):
        name = ""
    if name:
        return name
    return f"uid-{os.getuid()}" if hasattr(os, "getuid") else "uid-unknown"


def _valid(
    raw: str, subject: str, *, way_out: str = f"set {VARIABLE} to the name to record"
) -> str:
    name = nfc(raw).strip()
    if not name:
        message = f"{subject}: expected a name, found only blanks; {way_out}"
        raise InvalidValueError(message, subject=subject)
    if len(name) > MAX_LENGTH:
        message = (
            f"{subject}: expected at most {MAX_LENGTH} characters, found {len(name)}; {way_out}"
        )
        raise InvalidValueError(message, subject=subject, length=len(name))
    for place, character in enumerate(name):
        if unicodedata.category(character) in _REFUSED_CATEGORIES:
            code = f"U+{ord(character):04X}"
            message = (
                f"{subject}: expected no control characters, found {code} at {place}; {way_out}"
            )
            raise InvalidValueError(message, subject=subject, place=place)
    return name
