"""The seam of the read models: the methods of every store of the interval tables.

A store is bound to a connection or transaction that its caller opens, commits and rolls back.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from ledger.errors import CorruptLogError, NameTakenError
from projections.fold import Amended, Change, Closed
from projections.select import Select
from projections.tables import TABLES

Row: TypeAlias = dict[str, Any]


class ReadModels(ABC):
    """Answers questions, now or as of a position.

    Attributes:
        is_far: Whether a question costs a round trip, so that several at once are cheaper.
    """

    is_far: bool = False

    @abstractmethod
    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the rows of a table whose columns equal the given values, oldest first.

        A row holds every column, both bounds included. Rows of one position come in the order of
        their `ordinal` where the table has one, then of their key. Withdrawn records are found too.

        Args:
            table: One of `projections.tables.TABLES`.
            at: As of which position; None for now.
            ever: Whether to return all rows that were valid at any position up to `at`.
            equals: Column values; None matches missing values.
        """

    def find_all(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the answers to several `find` questions: each a table and values of columns."""
        return [self.find(table, **equals) for table, equals in questions]

    @abstractmethod
    def select(self, select: Select) -> list[Row]:
        """Return the rows of the registry that answer, in order, with virtual fields computed.

        A row holds every column of the registry's table, `from_position` (of its last change),
        `is_trashed`, and `is_latest` where the registry has it; JSON columns as text, times as
        microseconds, booleans as bool.

        Raises:
            UnknownFieldError: The question contains a name that a registry does not have.
            InvalidValueError: A path, an operator or a value does not fit its field.
        """

    @abstractmethod
    def count(self, select: Select) -> int:
        """Return the number of rows that answer; `order`, `offset` and `limit` have no effect."""

    @abstractmethod
    def distinct(self, select: Select, field: str) -> list[Any]:
        """Return the distinct values of one field over all rows that answer, sorted.

        A missing value counts too, and comes first; `offset` and `limit` have no effect.
        """

    @abstractmethod
    def changed_names(
        self, registry: str, *, after: int, fields: Sequence[str] = ("name",)
    ) -> list[Row]:
        """Return `uid`, text fields, `is_live`, `position` of each record that changed since.

        One row for each record, in its present state: an index of texts catches up with them.

        Args:
            registry: Registry of the records.
            after: Only records that changed after this position.
            fields: The fields to tell; by default the name.
        """

    @abstractmethod
    def links(
        self, fields: Sequence[str], uids: Sequence[str], *, onward: bool, at: int | None = None
    ) -> list[Row]:
        """Return the valid links of some fields at some records, in no order.

        Args:
            fields: Link fields such as `run.inputs`.
            uids: Holders of the links where `onward`, else their targets.
            onward: Whether to go from holder to target.
            at: As of which position; None for now.
        """

    @abstractmethod
    def values(
        self, uids: Sequence[str], *, at: int | None = None, prefix: str | None = None
    ) -> list[Row]:
        """Return the valid rows of typed values of some records, in the order of their places.

        Args:
            uids: The records.
            at: As of which position; None for now.
            prefix: Only of fields whose name begins so.
        """

    @abstractmethod
    def defined_at(self) -> int:
        """Return the position of the last change of a definition or feature; 0 for none."""

    @abstractmethod
    def reach(  # noqa: PLR0913 (each bounds the walk)
        self,
        fields: Sequence[str],
        starts: Sequence[str],
        *,
        onward: bool,
        at: int | None = None,
        limit: int,
        ever: bool = False,
    ) -> list[Row]:
        """Return up to `limit` links that can be reached from some records, each once.

        With `ever`, over the links of all times up to `at`: each comes with both of its bounds, and
        once for each time that it was there.
        """


class WritableModels(ReadModels):
    """Read models inside an append transaction."""

    @abstractmethod
    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event at its position, in order.

        After an error the caller undoes the event: some of its changes may have been made.

        Raises:
            NameTakenError: A change would give two live records of a registry one name.
            CorruptLogError: A change concerns a record that does not exist.
        """

    def apply_all(
        self, events: Iterable[tuple[int, Iterable[Change]]], *, shown: Select | None = None
    ) -> list[Row]:
        """Carry out the changes of several events in order, then return the answer to `shown`.

        Raises:
            NameTakenError: As for `apply`.
            CorruptLogError: As for `apply`.
        """
        for position, changes in events:
            self.apply(position, changes)
        return [] if shown is None else self.select(shown)

    @abstractmethod
    def redact(self, registry: str, uid: str) -> None:
        """Empty the rows of a record, of all times, as `projections.redaction` says."""

    @abstractmethod
    def load(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add finished rows to a table: values of all its columns, both bounds included."""

    def write_rows(
        self,
        ended: Mapping[str, Sequence[Sequence[Any]]],
        begun: Mapping[str, Sequence[Sequence[Any]]],
    ) -> None:
        """End valid rows, then add finished rows, each by table: what is left of many changes.

        Args:
            ended: For each row its end, then the values of its key.
            begun: Values of all columns, both bounds included.

        Raises:
            NameTakenError: Two live records of a registry would bear one name.
        """
        for table, ends in ended.items():
            for end, *key in ends:
                matching = dict(zip(TABLES[table].key, key, strict=True))
                self.apply(end, [Closed(table, matching)])
        for table, rows in begun.items():
            self.load(table, rows)

    @abstractmethod
    def clear(self) -> None:
        """Empty every table, for a rebuild."""


def oldest_first(table: str) -> tuple[str, ...]:
    """Return the columns that sort rows of one position: their ordinal, then their key."""
    described = TABLES[table]
    has_place = table in {"link", "intent"}
    return (*(("ordinal",) if has_place else ()), *described.key)


def name_taken(table: str, name: object) -> NameTakenError:
    """Return the error for a name that another live record bears."""
    return NameTakenError(
        f"{table} '{name}': the name is taken by another live record; "
        "load that one, or choose another name",
        registry=table,
        name=name,
    )


def doubled_name(table: str) -> NameTakenError:
    """Return the error for a name that two live records would bear, among many changes."""
    return NameTakenError(
        f"{table}: two live records would bear one name, so another program wrote without the "
        "append lock; nothing of this group is recorded, audit the ledger",
        registry=table,
    )


def not_there(position: int, change: Amended, found: int) -> CorruptLogError:
    """Return the error for a change of a record that has no valid row, or several."""
    key = ", ".join(f"{name} {value}" for name, value in change.key.items())
    return CorruptLogError(
        f"event at position {position} changes {change.table} {key}: expected 1 valid row, "
        f"found {found}; rebuild the read models, and audit the log if that does not help",
        position=position,
        table=change.table,
    )
