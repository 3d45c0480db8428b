"""Sequences that are also tables: in a terminal, in a notebook, in pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

from ledger.display.rows import cell, html_table

T = TypeVar("T")

_SHOWN = 20


class Tabular(Generic[T]):
    """A sequence's table.

    A class states the columns of its table once: the name of each, and how an item gives its value.
    """

    _title = ""
    _columns: Mapping[str, Callable[[Any], Any]]

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows of a table."""
        items: Any = self
        return [{name: value(item) for name, value in self._columns.items()} for item in items]

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        return list(self._columns)

    def to_arrow(self) -> Any:
        """Return it as a `pyarrow.Table`; values before and after are text."""
        from projections.arrow import rows_to_arrow  # noqa: PLC0415 (loads pyarrow)

        return rows_to_arrow(self.columns(), self.rows())

    def df(self) -> Any:
        """Return it as a pandas `DataFrame`."""
        from projections.arrow import to_pandas  # noqa: PLC0415

        return to_pandas(self.to_arrow())

    def _repr_html_(self) -> str:
        rows = self.rows()
        shown = [[as_text(value) for value in row.values()] for row in rows[:_SHOWN]]
        return html_table(self._title, self.columns(), shown, max(0, len(rows) - _SHOWN))


class Listing(Tabular[T], Sequence[T]):
    """A sequence that is also a table."""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = list(items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        rows = self.rows()
        lines = ["  ".join(as_text(value) for value in row.values()) for row in rows[:_SHOWN]]
        more = f"\n… and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else ""
        return "\n".join([f"<{self._title}: {len(self):,}>", *lines]) + more


class TableList(list[T], Tabular[T]):
    """A list that is also a table."""


def attributes(*names: str) -> dict[str, Callable[[Any], Any]]:
    """Return columns that are called as the attributes of an item that they show."""
    return {name: attrgetter(name) for name in names}


def as_text(value: object) -> str:
    """Return a value of a row as one line of text; links as the uids they lead to."""
    if isinstance(value, tuple | list) and all(isinstance(item, str) for item in value):
        return cell("text", ", ".join(value))
    return cell("text", value)
