"""A question to the read models, as data: its registry, rows, order and position.

Every store gives the same rows in the same order for a question. A path leads over relations of
`ledger.model.schema` to a field, such as `("run", "transform", "key")`.

Rules of meaning, the same everywhere:

1. A test over a relation holds if at least one record at its end passes it. A path that ends in a
   relation compares the uids there; `isnull` asks whether there is no record.
2. A comparison with a missing value holds for no row; `isnull` finds missing values.
   `Not` reverses a test: `Not(a test)` holds for rows whose value is missing.
3. Case-insensitive comparison compares `str.casefold` of both sides.
4. Missing values sort before all others, and so after them in descending order; text sorts by
   code point.
5. The last sort key is always `created_position`, ascending; reversed queries reverse it too.
6. `key` of an artifact matches every key that ever pointed at it (up to `at`); ordering by it and
   reading it use its latest key.
   `name` of a collection matches every name that it bears: each it was given, until one of another
   family was given it. Of the versions of a family, one without such a name is not the latest.
7. Records at the end of a relation count only if they are live or trashed.
8. Names after a field that questions look into, such as `("params", "model", "rate")`, are the
   place of values inside it, and the value of the test is a plain one. Values of two kinds, as
   `ledger.model.comparable` tells them apart, are never equal and never ordered. `("params", "")`
   is the whole field; an empty one counts as missing.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from ledger.model.schema import Catalogue

Operator = Literal[
    "exact",
    "iexact",
    "contains",
    "icontains",
    "startswith",
    "istartswith",
    "endswith",
    "iendswith",
    "in",
    "gt",
    "gte",
    "lt",
    "lte",
    "range",
    "isnull",
]

OPERATORS: tuple[str, ...] = (
    "exact", "iexact", "contains", "icontains", "startswith", "istartswith", "endswith",
    "iendswith", "in", "gt", "gte", "lt", "lte", "range", "isnull",
)  # fmt: skip


class Test(msgspec.Struct, frozen=True):
    """A comparison of the field at the end of `path` with `value`.

    `value` is of the field's kind (times as microseconds), or of any kind for a value inside a
    field; a tuple for `in` and `range` (closed on both sides), a boolean for `isnull`.
    """

    path: tuple[str, ...]
    operator: Operator
    value: Any


class And(msgspec.Struct, frozen=True):
    """Holds if all items hold, and without items."""

    items: tuple[Where, ...]


class Or(msgspec.Struct, frozen=True):
    """Holds if any item holds; fails without items."""

    items: tuple[Where, ...]


class Not(msgspec.Struct, frozen=True):
    """Holds if its item does not."""

    item: Where


Where: TypeAlias = Test | And | Or | Not

EVERYTHING = And(())


class Order(msgspec.Struct, frozen=True):
    """A sort key: a field of the registry itself."""

    field: str
    descending: bool = False


class Select(msgspec.Struct, frozen=True, kw_only=True):
    """A question.

    Attributes:
        registry: Registry of the records.
        where: Condition that they meet.
        order: Sort keys, the first one first; creation is always the last.
        reverse: Whether the whole order is reversed, creation included.
        offset: Number of rows to skip.
        limit: Largest number of rows; None for all.
        at: As of which position; None for now.
        catalogue: The registries that its names mean; None for the built-in ones.
        trash: `"without"` (the default), `"with"`, or `"only"`. Withdrawn records never answer.
    """

    registry: str
    where: Where = EVERYTHING
    order: tuple[Order, ...] = ()
    reverse: bool = False
    offset: int = 0
    limit: int | None = None
    at: int | None = None
    catalogue: Catalogue | None = None
    trash: Literal["without", "with", "only"] = "without"


def shown_row(
    registry: str, uid: str, *, at: int | None = None, catalogue: Catalogue | None = None
) -> Select:
    """Return the question for one record by its uid, in the trash or not."""
    return Select(
        registry=registry,
        where=Test(("uid",), "exact", uid),
        at=at,
        catalogue=catalogue,
        trash="with",
        limit=1,
    )
