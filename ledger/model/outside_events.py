"""Events about what other tools know: names of records there, and content that only they saw."""

from __future__ import annotations

from typing import Any

from ledger.model.event import Event


class AliasAdded(Event, frozen=True, kw_only=True, tag="alias-added.v1"):
    """A record is known in another tool, and found here too, under a name of that tool.

    Attributes:
        alias: Name of the tool, a colon, and the name there: `lamindb:5tAyiACTQJb8pShM0001`.
    """

    registry: str
    uid: str
    alias: str


class ArtifactDeclared(Event, frozen=True, kw_only=True, tag="artifact-declared.v1"):
    """An artifact is known by what another tool says of it; its content was never seen here.

    `natural` is `["artifact", "declared", namespace, name, version]`: what it is called there.

    Attributes:
        size: Bytes of all content, as it is said.
        has_size: Whether a size is said: what is known of it when the event is erased.
        n_files: Files of a folder, as it is said; None for a file.
        claimed: Algorithm and value of each hash that its content is said to have.
        where: Path or URL where it is said to lie.
        displaced: As of `ArtifactRegistered`.
    """

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    key: str | None = None
    description: str | None = None
    version: str | None = None
    revises: str | None = None
    suffix: str = ""
    size: int | None = None
    has_size: bool = False
    n_files: int | None = None
    claimed: tuple[tuple[str, str], ...] = ()
    where: str | None = None
    displaced: int | None = None
