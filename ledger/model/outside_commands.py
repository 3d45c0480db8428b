"""Requests about what other tools know; see `ledger.model.commands`."""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec

from ledger.model.canonical import Json


class AddAlias(msgspec.Struct, frozen=True, kw_only=True):
    """Have a record found under a name that it has in another tool."""

    registry: str
    uid: str
    alias: str

    kind = "alias"
    fields: ClassVar[dict[str, Any]] = {}

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return [self.uid, self.alias]
