"""A question to the read models, as data: which registry, which rows, in what order, as of when.

The same question is compiled to SQL by the database stores and evaluated in Python by the
in-memory one; both must give the same rows in the same order. A path leads over relations of
`ledger.model.schema` to a field, such as `("run", "transform", "key")`.

Rules of meaning, the same everywhere:

1. A test over a relation holds where any record at its end passes it, so nowhere where there is
   none. A path that ends in a relation compares the uids there; `isnull` asks if there is none.
2. A comparison with a missing value holds for no row; `isnull` asks for missing values.
   `Not` turns round what held: `Not(a test)` holds for rows whose value is missing.
3. Case-insensitive comparison compares `str.casefold` of both sides.
4. Missing values sort before all others, and so after them in descending order; text sorts by
   code point.
5. The last sort key is always `created_position`, ascending; reversed queries reverse it too.
6. `key` of an artifact matches every key that ever pointed at it (up to `at`); ordering by it and
   reading it use its latest key.
7. Records at the end of a relation count only where they are live or trashed, not withdrawn.
"""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

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

    `value` is of the field's kind (times as microseconds); a tuple for `in` and `range` (closed
    on both sides), a boolean for `isnull`.
    """

    path: tuple[str, ...]
    operator: Operator
    value: Any


class And(msgspec.Struct, frozen=True):
    """All of these; holds where there are none."""

    items: tuple[Where, ...]


class Or(msgspec.Struct, frozen=True):
    """Any of these; holds nowhere where there are none."""

    items: tuple[Where, ...]


class Not(msgspec.Struct, frozen=True):
    """Not this."""

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
        registry: Whose records are asked for.
        where: Which of them.
        order: By what, first key first; then by creation.
        reverse: Whether the whole order is turned round, the order of creation included.
        offset: How many rows to pass over.
        limit: How many rows at most; None for all.
        at: As of which position; None for now.
        trash: `"without"` (the default), `"with"`, or `"only"`. Withdrawn records never answer.
    """

    registry: str
    where: Where = EVERYTHING
    order: tuple[Order, ...] = ()
    reverse: bool = False
    offset: int = 0
    limit: int | None = None
    at: int | None = None
    trash: Literal["without", "with", "only"] = "without"


def shown_row(registry: str, uid: str, *, at: int | None = None) -> Select:
    """Return the question for one record by its uid, in the trash or not."""
    return Select(
        registry=registry, where=Test(("uid",), "exact", uid), at=at, trash="with", limit=1
    )
