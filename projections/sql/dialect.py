"""The differences between databases, named in one place; everything else is written once.

1. A `Fragment` is a piece of SQL with its parameters, in the order in which its text names them.
2. Names of columns are quoted (`natural` is a word of SQL). A statement contains only our own text:
   values from outside are always parameters.
3. Text is compared by code point: a dialect gives its text columns that collation.
4. Rows that are valid now have `to_position = FOREVER`. The number stands in the text, so that the
   planner can prove that a partial index serves.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from projections.tables import FOREVER, Index, Table


class Fragment(NamedTuple):
    """A piece of SQL and its parameters."""

    text: str
    params: tuple[Any, ...] = ()


_CHAIN = 100

ALWAYS = Fragment("1 = 1")
NEVER = Fragment("1 = 0")


class Dialect(ABC):
    """The SQL of one database.

    Attributes:
        placeholder: Mark of a parameter.
        types: Type of a column of each kind; text types carry the collation by code point.
        table_suffix: Text after the columns in CREATE TABLE.
        ascending, descending: Sort orders in which missing values come first, and last.
        no_limit: Parameter of LIMIT that means all rows.
        join_in_order: Text between tables that are best read in the written order.
        conflicts: Errors that report the violation of a unique index.
    """

    placeholder: ClassVar[str]
    types: ClassVar[Mapping[str, str]]
    table_suffix: ClassVar[str] = ""
    ascending: ClassVar[str]
    descending: ClassVar[str]
    no_limit: ClassVar[int | None]
    join_in_order: ClassVar[str] = ", "
    conflicts: ClassVar[tuple[type[Exception], ...]]

    @abstractmethod
    def casefold(self, expression: str) -> str:
        """Return the SQL for `str.casefold` of a text."""

    @abstractmethod
    def contains(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text contains `part`, taken literally."""

    @abstractmethod
    def endswith(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text ends in `part`, taken literally."""

    @abstractmethod
    def is_in(self, expression: str, values: Sequence[Any]) -> Fragment:
        """Return the test whether a value is one of `values`, of which there is at least one."""

    def unindexed(self, expression: str) -> str:
        """Return an expression that keeps a planner from an index that would not help."""
        return expression

    def primary_key(self, table: Table) -> str | None:
        """Return the columns of a table's primary key; None for a table without one."""
        return ", ".join(map(quoted, (*table.key, "from_position")))

    def index_columns(self, index: Index) -> str:
        """Return the columns of an index, as CREATE INDEX needs them."""
        return f"({', '.join(map(quoted, index.columns))})"

    @abstractmethod
    def is_name_conflict(self, error: Exception, table: str) -> bool:
        """Return whether one of `conflicts` comes from the index over the live names of a table."""


def quoted(name: str) -> str:
    """Return an identifier as SQL; our names contain no quotation mark."""
    return f'"{name}"'


def column(alias: str, name: str) -> str:
    """Return a column of an aliased table as SQL."""
    return f'{alias}."{name}"'


def valid(dialect: Dialect, alias: str, at: int | None) -> Fragment:
    """Return the test whether a row of an aliased table is valid: now, or at a position."""
    if at is None:
        return Fragment(f"{alias}.to_position = {FOREVER}")
    mark = dialect.placeholder
    return Fragment(f"{alias}.from_position <= {mark} AND {alias}.to_position > {mark}", (at, at))


def ever(dialect: Dialect, alias: str, at: int | None) -> Fragment:
    """Return the test whether a row was valid at any position: up to now, or up to a position."""
    if at is None:
        return ALWAYS
    return Fragment(f"{alias}.from_position <= {dialect.placeholder}", (at,))


def every(items: Iterable[Fragment]) -> Fragment:
    """Return the test that all items hold; without items, it holds."""
    return _joined(" AND ", [item for item in items if item is not ALWAYS]) or ALWAYS


def either(items: Iterable[Fragment]) -> Fragment:
    """Return the test that any item holds; without items, it fails."""
    return _joined(" OR ", [item for item in items if item is not NEVER]) or NEVER


def untrue(item: Fragment) -> Fragment:
    """Return the test that `item` is false, or that a value in it is missing."""
    return Fragment(f"({item.text}) IS NOT TRUE", item.params)


def _joined(word: str, items: Sequence[Fragment]) -> Fragment | None:
    """Return `items` joined by a word: a flat chain, or a chain of chains where it is long.

    A flat chain of a thousand items is a tree of a thousand levels, and databases bound the depth.
    """
    if not items:
        return None
    if len(items) == 1:
        return items[0]
    if len(items) > _CHAIN:
        size = -(-len(items) // _CHAIN)
        parts = [_joined(word, items[at : at + size]) for at in range(0, len(items), size)]
        items = [part for part in parts if part is not None]
    return Fragment(
        f"({word.join(item.text for item in items)})",
        tuple(value for item in items for value in item.params),
    )
