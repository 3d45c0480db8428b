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


class DeclareArtifact(msgspec.Struct, frozen=True, kw_only=True):
    """Ask for an artifact that another tool knows, and whose content was never seen here.

    Attributes:
        namespace: The other tool, or a part of it.
        name: What it is called there.
        edition: What tells its content from other content of that name there.
        key: Name that will point at it.
        revises: Uid of the artifact that it is a new version of.
        said: Further fields of `ArtifactDeclared`: what is said of its content.
        fields: Other fields that were assigned.
    """

    namespace: str
    name: str
    edition: str | None = None
    key: str | None = None
    version: str | None = None
    revises: str | None = None
    said: dict[str, Any] = {}
    fields: dict[str, Any] = {}

    kind = "declare"

    @property
    def natural(self) -> list[Json]:
        """Natural key, a part of the creation identity."""
        return ["artifact", "declared", self.namespace, self.name, self.edition]

    @property
    def subject(self) -> Json:
        """Subject of the intent."""
        return [*self.natural, self.key]
