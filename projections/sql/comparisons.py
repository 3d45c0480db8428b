"""Comparisons of a question, as SQL: each with a gap where its left side goes."""

from __future__ import annotations

import sys
from typing import Any

from projections.select import Operator
from projections.sql.dialect import NEVER, Dialect, Fragment

COMPARED = "{}"  # the left side, in the text of a comparison
MISSING = Fragment(f"{COMPARED} IS NULL")

_FIRST_SURROGATE, _AFTER_SURROGATES = 0xD800, 0xE000


def comparison(  # noqa: C901, PLR0911, PLR0912 (a case and a return for each operator)
    dialect: Dialect, operator: Operator, value: Any
) -> Fragment:
    """Return a comparison with a value; it never holds for a missing one."""
    if value is None or (operator == "range" and None in value):
        return NEVER
    left, mark = COMPARED, dialect.placeholder
    match operator:
        case "exact":
            return Fragment(f"{left} = {mark}", (value,))
        case "gt":
            return Fragment(f"{left} > {mark}", (value,))
        case "gte":
            return Fragment(f"{left} >= {mark}", (value,))
        case "lt":
            return Fragment(f"{left} < {mark}", (value,))
        case "lte":
            return Fragment(f"{left} <= {mark}", (value,))
        case "range":
            return Fragment(f"{left} BETWEEN {mark} AND {mark}", tuple(value))
        case "in":
            values = [item for item in value if item is not None]
            return dialect.is_in(left, values) if values else NEVER
        case "isnull":
            return MISSING if value else Fragment(f"{left} IS NOT NULL")
        case "contains":
            return dialect.contains(left, value)
        case "startswith":
            return _startswith(dialect, left, value)
        case "endswith":
            return dialect.endswith(left, value)
        case "iexact":
            return Fragment(f"{dialect.casefold(left)} = {mark}", (value.casefold(),))
        case "icontains":
            return dialect.contains(dialect.casefold(left), value.casefold())
        case "istartswith":
            return _startswith(dialect, dialect.casefold(left), value.casefold())
        case "iendswith":
            return dialect.endswith(dialect.casefold(left), value.casefold())


def _startswith(dialect: Dialect, left: str, prefix: str) -> Fragment:
    """Return the test for a prefix as a range of texts, which an index can serve."""
    mark = dialect.placeholder
    end = after_prefix(prefix)
    if end is None:
        return Fragment(f"{left} >= {mark}", (prefix,))
    return Fragment(f"({left} >= {mark} AND {left} < {mark})", (prefix, end))


def after_prefix(prefix: str) -> str | None:
    """Return the least text, by code point, after all texts that begin with `prefix`.

    None where there is no such text: the prefix is empty, or repeats the last code point.
    """
    head = prefix.rstrip(chr(sys.maxunicode))
    if not head:
        return None
    last = ord(head[-1]) + 1
    return head[:-1] + chr(_AFTER_SURROGATES if last == _FIRST_SURROGATE else last)
