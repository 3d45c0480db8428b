"""Events about what other tools know: the names that records have there."""

from __future__ import annotations

from ledger.model.event import Event


class AliasAdded(Event, frozen=True, kw_only=True, tag="alias-added.v1"):
    """A record is known in another tool, and found here too, under a name of that tool.

    Attributes:
        alias: Name of the tool, a colon, and the name there: `lamindb:5tAyiACTQJb8pShM0001`.
    """

    registry: str
    uid: str
    alias: str
