"""Impact: everything that depends on a record, and who has to hear of it.

What depends on a record are its descendants. The people are those whose runs read it or what was
made of it, and those who registered what was made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.display.tabular import Listing
from ledger.past.lineage import lineage

if TYPE_CHECKING:
    from ledger.past.lineage import Lineage
    from ledger.places.kinds import AnyRecord as Record


class Impact(Listing[Any]):
    """The records that depend on one, in order of their creation; the record itself not among them.

    Attributes:
        lineage: How they depend on it.
    """

    _title = "Impact"

    def __init__(self, found: Lineage) -> None:
        self.lineage = found
        records = [*found.artifacts, *found.collections, *found.runs]
        records.sort(key=lambda record: record._row["created_position"])
        super().__init__([record for record in records if record.uid != found.start])

    @property
    def artifacts(self) -> list[Any]:
        """The artifacts among them."""
        return [record for record in self if record.registry == "artifact"]

    @property
    def collections(self) -> list[Any]:
        """The collections among them."""
        return [record for record in self if record.registry == "collection"]

    @property
    def runs(self) -> list[Any]:
        """The runs among them: each read the record, or something made of it."""
        return [record for record in self if record.registry == "run"]

    @property
    def people(self) -> list[str]:
        """Who ran them or registered them, sorted."""
        return sorted({record.created_by for record in self})

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        return ["registry", "uid", "name", "created_at", "created_by", "run"]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a record."""
        names = {node.uid: node.label for node in self.lineage.nodes}
        return [
            {
                "registry": record.registry,
                "uid": record.uid,
                "name": names[record.uid],
                "created_at": record.created_at,
                "created_by": record.created_by,
                "run": record.uid if record.registry == "run" else record._row["run"],
            }
            for record in self
        ]


def impact(record: Record) -> Impact:
    """Return everything that depends on an artifact, a collection, a run or a transform.

    Raises:
        InvalidValueError: The registry has no lineage.
    """
    return Impact(lineage(record, direction="descendants"))
