"""A ledger at a position, which answers every query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from projections.select import shown_row


class Source:
    """The source of a query's rows: a ledger, at a position or now."""

    def __init__(self, ledger: Any, at: int | None = None) -> None:
        self.ledger = ledger
        self.at = at

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer of the read models to a question."""
        with self.ledger.reading() as session:
            return question(session.models)


def row_of(source: Source, registry: str, uid: str) -> dict[str, Any] | None:
    """Return the row of a record, in the trash or not; None if there is none."""
    select = shown_row(registry, uid, at=source.at)
    rows: list[dict[str, Any]] = source.ask(lambda models: models.select(select))
    return rows[0] if rows else None
