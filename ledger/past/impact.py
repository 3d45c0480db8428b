"""Impact: everything that depends on a record, and the people concerned.

The descendants of a record depend on it. The people are those who ran a run that read
the record or a descendant, and those who registered a descendant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.display.tabular import Listing, attributes
from ledger.past.lineage import lineage

if TYPE_CHECKING:
    from ledger.past.lineage import Lineage
    from ledger.places.kinds import AnyRecord as Record


class Impact(Listing[Any]):
    """The records that depend on one, without that one, in order of their creation.

    Attributes:
        lineage: The records with the edges between them.
    """

    _title = "Impact"

    def __init__(self, found: Lineage) -> None:
        self.lineage = found
        labels = {node.uid: node.label for node in found.nodes}
        self._columns = {
            **attributes("registry", "uid"),
            "name": lambda record: labels[record.uid],
            **attributes("created_at", "created_by"),
            "run": lambda it: it.uid if it.registry == "run" else it._row["run"],
        }
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
        """The people who ran or registered them, sorted."""
        return sorted({record.created_by for record in self})


def impact(record: Record) -> Impact:
    """Return everything that depends on an artifact, a collection, a run or a transform.

    Raises:
        InvalidValueError: The registry has no lineage.
    """
    return Impact(lineage(record, direction="descendants"))
