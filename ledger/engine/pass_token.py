"""The variable by which processes find the pass that they belong to: `METALEDGER_RUN`.

Its value is `<ledger id>:<run uid>:<pass token>`. The process that begins a pass sets it, and puts
back what was there at the end. A process that finds it, and did not set it, belongs to that pass.
"""

from __future__ import annotations

import os
import secrets
from typing import NamedTuple

from ledger.errors import NotTrackingError

VARIABLE = "METALEDGER_RUN"
# The pass of which the process that began this one was started, so that workers can tell it too.
INITIATOR = "METALEDGER_INITIATED_BY"

_set: dict[str, tuple[int, str]] = {}


class PassToken(NamedTuple):
    """A pass, as other processes are told of it."""

    ledger: str
    run: str
    token: str

    def __str__(self) -> str:
        """Return it as the variable holds it."""
        return ":".join(self)


def new_token() -> str:
    """Return a token that no other pass has."""
    return secrets.token_hex(16)


def parse(offer: str) -> PassToken:
    """Return the parts of a value of the variable.

    Raises:
        NotTrackingError: It is none.
    """
    parts = offer.split(":")
    if len(parts) != 3 or not all(it.isascii() and it.isalnum() for it in parts):  # noqa: PLR2004
        raise NotTrackingError(
            "expected <ledger id>:<run uid>:<pass token>, as ln.context.token gives it, "
            f"got {offer[:80]!r}"
        )
    return PassToken(*parts)


def offered(variable: str = VARIABLE) -> str | None:
    """Return the pass that this process was started in; None where it began its own, or in none."""
    offer = os.environ.get(variable)
    return None if not offer or _set.get(variable) == (os.getpid(), offer) else offer


class Announced:
    """Variables that tell the processes which this one starts; put back by `withdraw`."""

    def __init__(self, values: dict[str, str | None]) -> None:
        """Set the variables; a value of None removes one."""
        self._before = {name: os.environ.get(name) for name in values}
        self._values = values
        self._process = os.getpid()
        for name, value in values.items():
            _put(name, value)
            if value is not None:
                _set[name] = (os.getpid(), value)

    def withdraw(self) -> None:
        """Put back what was there, unless somebody else has set it since."""
        if self._process != os.getpid():
            return
        for name, value in self._before.items():
            if os.environ.get(name) == self._values[name]:
                _put(name, value)


def _put(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
