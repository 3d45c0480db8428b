"""What an import did, as people and programs read it."""

from __future__ import annotations

import msgspec

from ledger.bridges.steps import Unmapped


class Count(msgspec.Struct, kw_only=True):
    """The rows of one table: `read` is the sum of the other three.

    Attributes:
        read: Rows that the source has.
        imported: Rows of which something was recorded by this import, or would be.
        known: Rows of which all was known before.
        left_out: Rows that do not come in.
    """

    read: int = 0
    imported: int = 0
    known: int = 0
    left_out: int = 0


class Imported(msgspec.Struct, frozen=True, kw_only=True):
    """What an import did, or with `is_dry_run` what it would do.

    Attributes:
        source: Tool and place, such as `lamindb /data/instance`.
        events: How many events were recorded.
        counts: Rows by table.
        unmapped: Tables that have no place here.
        left_out: Rows that did not come in, by `table: why`.
        declared: Aliases of artifacts that came in without their content.
        damaged: Aliases of artifacts whose content is another one than the source says.
        unchecked: Aliases of artifacts whose hash in the source cannot be compared.
        notes: Sentences about what is not in the source at all.
    """

    source: str
    events: int
    is_dry_run: bool = False
    counts: dict[str, Count] = {}
    unmapped: list[Unmapped] = []
    left_out: dict[str, int] = {}
    declared: list[str] = []
    damaged: list[str] = []
    unchecked: list[str] = []
    notes: list[str] = []

    @property
    def adds_up(self) -> bool:
        """Whether each row that was read is imported, known or left out."""
        return all(it.read == it.imported + it.known + it.left_out for it in self.counts.values())
