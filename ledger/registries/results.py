"""Results of any question: counted, indexed, shown, and turned into lists and tables."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

from ledger.display.rows import one_line, rows_html
from ledger.errors import MultipleResultsError, NotFoundError
from ledger.model.schema import REGISTRIES, RegistrySpec
from ledger.other_words import meant
from ledger.registries.named_references import shown_rows, with_caller

if TYPE_CHECKING:
    from ledger.places.kinds import AnyRecord

R = TypeVar("R", bound="AnyRecord")
_REPR_ROWS = 10


class Results(ABC, Generic[R]):
    """The common base of a query set and a list of records: ways to look at the records."""

    registry: str

    @property
    def _spec(self) -> RegistrySpec:
        """The description of its registry."""
        return REGISTRIES[self.registry]

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'{meant(name)}")

    @abstractmethod
    def _fetch(self, limit: int | None = None) -> list[R]:
        """Return the records, or the first `limit` of them, in order."""

    def count(self) -> int:
        """Return the number of records."""
        return len(self._fetch())

    def __len__(self) -> int:
        return self.count()

    def __iter__(self) -> Iterator[R]:
        return iter(self._fetch())

    def __bool__(self) -> bool:
        return self.exists()

    def all(self) -> list[R]:
        """Return every record, in order."""
        return self._fetch()

    def first(self) -> R | None:
        """Return the first record; None if there is none."""
        return next(iter(self._fetch(1)), None)

    def last(self) -> R | None:
        """Return the last record; None if there is none."""
        records = self._fetch()
        return records[-1] if records else None

    def exists(self) -> bool:
        """Return whether there is any record."""
        return self.count() > 0

    def one(self) -> R:
        """Return the only record.

        Raises:
            NotFoundError: There is none.
            MultipleResultsError: There are several.
        """
        found = self.one_or_none()
        if found is None:
            raise NotFoundError(f"{self._spec.title}: expected one record, found none")
        return found

    def one_or_none(self) -> R | None:
        """Return the only record; None if there is none.

        Raises:
            MultipleResultsError: There are several.
        """
        records = self._fetch(2)
        if len(records) > 1:
            raise MultipleResultsError(
                f"{self._spec.title}: expected one record, found {self.count()}; "
                "narrow the query, or use first()"
            )
        return records[0] if records else None

    def to_list(self, field: str | None = None) -> list[Any]:
        """Return every record, or the value of one field of every record, in order."""
        if field is None:
            return list(self._fetch())
        # An unknown field is refused here even if there are no records.
        self._spec.require(field)
        return [getattr(record, field) for record in self._fetch()]

    def to_arrow(self, *, features: bool = False) -> Any:
        """Return the records as a `pyarrow.Table`, one row a record; times are UTC.

        Args:
            features: Whether each feature that any of them has is a column, too.
        """
        from projections.arrow import to_arrow  # noqa: PLC0415 (loads pyarrow)

        records = self._fetch()
        table = to_arrow(self.registry, shown_rows(records), self._spec)
        if features and records:
            from ledger.registries.feature_columns import with_features  # noqa: PLC0415

            return with_features(table, records)
        return table

    def df(self, *, features: bool = False) -> Any:
        """Return the records as a pandas `DataFrame`, indexed by their `id`.

        Args:
            features: Whether each feature that any of them has is a column, too.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from projections.arrow import to_pandas  # noqa: PLC0415

        return to_pandas(self.to_arrow(features=features)).set_index("id")

    def to_polars(self) -> Any:
        """Return the records as a polars `DataFrame`.

        Raises:
            MissingDependencyError: polars is not installed.
        """
        from projections.arrow import to_polars  # noqa: PLC0415

        return to_polars(self.to_arrow())

    def __repr__(self) -> str:
        records = self._fetch(_REPR_ROWS + 1)
        lines = [one_line(self._spec, row) for row in shown_rows(records[:_REPR_ROWS])]
        if len(records) > _REPR_ROWS:
            lines.append(f"… and {self.count() - _REPR_ROWS:,} more")
        return (
            f"<{type(self).__name__} [\n  " + "\n  ".join(lines) + "\n]>"
            if lines
            else (f"<{type(self).__name__} []>")
        )

    def _repr_html_(self) -> str:
        records: Any = self._newest(_REPR_ROWS)
        return rows_html(self._spec, with_caller(records), self.count())

    def _newest(self, limit: int) -> list[R]:
        """Return the records that a table begins with."""
        return self._fetch(limit)


class RecordList(Results[R]):
    """Records in an order of their own: members of a collection, earlier runs, search results."""

    def __init__(self, registry: str, records: Sequence[R]) -> None:
        self.registry = registry
        self._records = list(records)

    def _fetch(self, limit: int | None = None) -> list[R]:
        return self._records[:limit]

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> list[R]: ...
    def __getitem__(self, index: int | slice) -> R | list[R]:
        return self._records[index]

    def __contains__(self, record: object) -> bool:
        return record in self._records
