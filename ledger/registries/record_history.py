"""The past of every record, and its retraction.

The past is its changes, its lineage and everything that depends on it. A retracted record stays,
and each reader is told the reason not to rely on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Self

from ledger.display.messages import in_notebook
from ledger.model.commands import Command, RetractRecord
from ledger.past.changes import History, history
from ledger.places.kinds import AnyRecord
from ledger.registries.checks import check_reason

if TYPE_CHECKING:
    from ledger.past.impact import Impact
    from ledger.past.lineage import Lineage
    from ledger.past.lineage_diff import LineageDiff
    from ledger.places.source import Source


class RecordHistory(AnyRecord):
    """The part of a record that looks back; `Record` is the rest."""

    _source: Source
    _row: dict[str, Any]
    registry: ClassVar[str]
    uid: Any

    def history(self) -> History:
        """Return every change of the record, oldest first: time, actor, value before and after.

        Changes of the links that it holds, such as an artifact's labels, are told as uids.
        """
        return history(self._source.ledger, self._saved_row(), at=self._source.at)

    def lineage(self, **options: Any) -> Lineage:
        """Return the ancestors or descendants of the record (`ledger.past.lineage`).

        Args:
            options: `direction` ("ancestors", "descendants", "both"), `depth` (greatest distance in
                artifacts), `as_of` (a point), `follow_revisions`, `limit` (most edges).
        """
        from ledger.past.lineage import lineage  # noqa: PLC0415 (few sessions ask)

        self._saved_row()
        return lineage(self, **options)

    def view_lineage(self, **options: Any) -> Any:
        """Show the lineage as a picture in a notebook; elsewhere return it."""
        found = self.lineage(**{"direction": "both", **options})
        if in_notebook():
            from IPython.display import display  # noqa: PLC0415

            display(found)  # type: ignore[no-untyped-call]
            return None
        return found

    def lineage_diff(self, a: Any, b: Any = None) -> LineageDiff:
        """Return the changes among the ancestors of this result between two points.

        At each point, the ancestors are those of the latest version of its family. Their runs,
        parameters, source, environments and inputs are compared.

        Args:
            a: The earlier point.
            b: The later point; by default now, or the position of the record's view.

        Raises:
            InvalidValueError: The first point is after the second, or the registry has no lineage.
            NotFoundError: There was no version of it yet at the later point.
        """
        from ledger.past.lineage_diff import lineage_diff  # noqa: PLC0415 (few sessions ask)

        self._saved_row()
        return lineage_diff(self, a, b)

    def impact(self) -> Impact:
        """Return everything that depends on the record, and the runs and people that read it."""
        from ledger.past.impact import impact  # noqa: PLC0415 (few sessions ask)

        self._saved_row()
        return impact(self)

    @property
    def is_retracted(self) -> bool:
        """Whether it is retracted; `retraction` holds the reason."""
        return self._row.get("retraction") is not None

    def retract(self, reason: str) -> Self:
        """Record that nobody should rely on this record, and return it.

        The record stays. From now on, reading it or anything made from it warns with the reason,
        until `lift_retraction()`.

        Raises:
            CommandRejectedError: Records of this registry cannot be retracted.
            InvalidValueError: The reason is empty.
        """
        return self._retract(check_reason(reason, "retract"), is_lifted=False)

    def lift_retraction(self, reason: str | None = None) -> Self:
        """End the retraction, and return the record."""
        checked = None if reason is None else check_reason(reason, "lift_retraction")
        return self._retract(checked, is_lifted=True)

    def _retract(self, reason: str | None, *, is_lifted: bool) -> Self:
        self._refuse_view("lift_retraction()" if is_lifted else "retract()")
        self._perform(
            RetractRecord(registry=self.registry, uid=self.uid, reason=reason, is_lifted=is_lifted)
        )
        return self

    def _saved_row(self) -> dict[str, Any]:
        self.uid  # noqa: B018 (raises if the record is not saved)
        return self._row

    if TYPE_CHECKING:  # `Record` defines these

        def _refuse_view(self, verb: str) -> None: ...

        def _perform(self, command: Command) -> Any: ...
