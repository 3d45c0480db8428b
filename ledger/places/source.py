"""A ledger at a position, which answers every query."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.model.schema import Catalogue, RegistrySpec
from projections.select import shown_row


class Source:
    """The source of a query's rows: a ledger, at a position or now."""

    def __init__(self, ledger: Any, at: int | None = None) -> None:
        self.ledger = ledger
        self.at = at

    @property
    def catalogue(self) -> Catalogue:
        """The registries of the ledger at this position."""
        found: Catalogue = self.ledger.catalogue(self.at)
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all registries of the ledger at this position."""
        self.ledger.catalogues.look()
        return tuple(self.catalogue)

    def catalogue_with(self, registry: str) -> Catalogue:
        """Return the registries of the ledger, after another look if this one is not there."""
        found = self.catalogue
        if registry not in found and self.ledger.catalogues.look():
            return self.catalogue
        return found

    def spec(self, registry: str) -> RegistrySpec:
        """Return the description of one of its registries."""
        return self.catalogue_with(registry)[registry]

    def ask(self, question: Callable[[Any], Any]) -> Any:
        """Return the answer of the read models to a question."""
        with self.ledger.reading() as session:
            return question(session.models)


def row_of(source: Source, registry: str, uid: str) -> dict[str, Any] | None:
    """Return the row of a record, in the trash or not; None if there is none."""
    select = shown_row(registry, uid, at=source.at, catalogue=source.catalogue_with(registry))
    rows: list[dict[str, Any]] = source.ask(lambda models: models.select(select))
    return rows[0] if rows else None
