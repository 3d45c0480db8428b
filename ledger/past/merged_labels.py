"""From a merged record to the one it was merged into, now or as of a position."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.decisions.facts import Row
from ledger.decisions.records import find_merged
from ledger.model.canonical import nfc
from ledger.model.schema import WITHDRAWN

if TYPE_CHECKING:
    from ledger.places.source import Source


class _AsOf:
    """Facts for the rules, all as of one position."""

    def __init__(self, models: Any, at: int | None) -> None:
        self._models = models
        self._at = at

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the valid rows of a table whose columns equal the given values."""
        rows: list[Row] = self._models.find(
            table, at=self._at if at is None else at, ever=ever, **equals
        )
        return rows


def survivor_uid(source: Source, registry: str, *, field: str, value: str) -> str | None:
    """Return the uid of the record that a uid or name was merged into; None if it was not."""
    given = {field: nfc(value)}

    def question(models: Any) -> Row | None:
        facts = _AsOf(models, source.at)
        merged = facts.find(registry, at=None, ever=False, state=WITHDRAWN, **given)
        return find_merged(facts, registry, merged)

    found = source.ask(question)
    return None if found is None else str(found["uid"])
