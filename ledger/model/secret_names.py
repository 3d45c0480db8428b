"""Parameters and arguments whose name says that their value is a secret: the value is left out.

1. A name is taken apart into words: `dbPassword`, `--db-password` and `DB_PASSWORD` are
   `db password`.
2. It says secret if words of a secret name follow each other in it: `api_key` in `openai_api_key`.
   "token" must be its last word, and its value a text: `max_tokens`, `pad_token=0` and `token_dim`
   are common names of numbers.
3. The value becomes `REDACTED`, whatever it holds; a missing value, True and False stay.
4. Of arguments, `--name=value` and `--name value` are seen.

What is left out counts for nothing: runs that differ by it alone are the same run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

REDACTED = "[redacted]"

SECRET_NAMES = (
    "password", "passwords", "passwd", "passphrase", "pwd", "secret", "secrets", "token",
    "api_key", "apikey", "access_key", "private_key", "credential", "credentials",
)  # fmt: skip

_ONLY_LAST = {("token",)}
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_]+|\d+")
_OPTION = re.compile(r"--?([A-Za-z][\w.-]*)(=?)")


def without_secrets(
    given: Mapping[str, Any], names: Iterable[str]
) -> tuple[dict[str, Any], list[str]]:
    """Return canonical `{"argv": […], "params": {…}}` without secrets, and where they were."""
    secret = {_words(name) for name in names}
    places: list[str] = []
    params = _params(given["params"], "params", secret, places)
    return {**given, "argv": _arguments(given["argv"], secret, places), "params": params}, places


def _params(value: Any, place: str, secret: set[tuple[str, ...]], places: list[str]) -> Any:
    if isinstance(value, list):
        return [
            _params(item, f"{place}[{number}]", secret, places) for number, item in enumerate(value)
        ]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, item in value.items():
        here = f"{place}.{name}"
        if _says_secret(name, item, secret):
            places.append(here)
            found[name] = REDACTED
        else:
            found[name] = _params(item, here, secret, places)
    return found


def _arguments(
    arguments: Sequence[Any], secret: set[tuple[str, ...]], places: list[str]
) -> list[Any]:
    found: list[Any] = []
    is_secret_next = False
    for argument in arguments:
        option = _OPTION.match(argument) if isinstance(argument, str) else None
        if is_secret_next and option is None:
            found.append(REDACTED)
            is_secret_next = False
            continue
        is_secret_next = False
        if option is not None and _says_secret(option[1], "", secret):
            places.append(f"--{option[1]}")
            if option[2]:
                found.append(f"{option[0]}{REDACTED}")
                continue
            is_secret_next = option.end() == len(argument)
        found.append(argument)
    return found


def _says_secret(name: str, value: Any, secret: set[tuple[str, ...]]) -> bool:
    if value is None or isinstance(value, bool):
        return False
    words = _words(name)
    for wanted in secret:
        ends = range(len(wanted), len(words) + 1)
        if wanted in _ONLY_LAST:
            ends = range(len(words), len(words) + 1) if isinstance(value, str) else range(0)
        if wanted and any(words[end - len(wanted) : end] == wanted for end in ends):
            return True
    return False


def _words(name: str) -> tuple[str, ...]:
    return tuple(word.casefold() for word in _WORD.findall(name))
