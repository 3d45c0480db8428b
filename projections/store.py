"""The seam of the read models: what every store of the interval tables can do.

A store is bound to a connection or transaction by whoever composes it with the log; it never
opens, commits or rolls back anything itself.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

from projections.fold import Change
from projections.select import Select

Row: TypeAlias = dict[str, Any]


class ReadModels(ABC):
    """Answers questions, now or as of a position."""

    @abstractmethod
    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the rows of a table whose columns equal the given values, oldest first.

        Args:
            table: One of `projections.tables.TABLES`.
            at: As of which position; None for now.
            ever: All rows that were valid at any position up to `at`, not only the valid ones.
            equals: Column values; None matches missing values.
        """

    @abstractmethod
    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed.

        A row holds every column of the registry's table, `is_trashed`, and `is_latest` where the
        registry has it; JSON columns as text, times as microseconds, booleans as bool.
        """

    @abstractmethod
    def count(self, select: Select) -> int:
        """Return how many rows answer; `order`, `offset` and `limit` play no part."""

    @abstractmethod
    def distinct(self, select: Select, field: str) -> list[Any]:
        """Return the distinct values of one field over all rows that answer, sorted."""

    @abstractmethod
    def changed_names(self, registry: str, *, after: int) -> list[Row]:
        """Return `uid`, `name`, `is_live`, `position` of each record that changed after a position.

        One row a record, its present state: what a name index needs to catch up.
        """


class WritableModels(ReadModels):
    """Read models inside an append transaction."""

    @abstractmethod
    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in order.

        Raises:
            NameTakenError: A change would give two live records of a registry one name.
        """

    @abstractmethod
    def load(self, table: str, rows: Sequence[Row]) -> None:
        """Add finished rows, both bounds included, to a table: for rebuilds."""

    @abstractmethod
    def clear(self) -> None:
        """Empty every table: for rebuilds."""
