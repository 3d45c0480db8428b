"""What a fold says of the tables: rows that begin, are amended, and end.

Each change is carried out at the position of its event.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

Values: TypeAlias = dict[str, Any]


class Opened(msgspec.Struct, frozen=True, gc=False):
    """A row begins."""

    table: str
    values: Values


class Amended(msgspec.Struct, frozen=True, gc=False):
    """The valid row of `key` ends and one like it with `values` begins."""

    table: str
    key: Values
    values: Values


class Closed(msgspec.Struct, frozen=True, gc=False):
    """Every valid row that matches ends."""

    table: str
    matching: Values


Change: TypeAlias = Opened | Amended | Closed


def link(field: str, source: str, target: str, run: str | None, ordinal: int = 0) -> Opened:
    """Return the beginning of a link."""
    return Opened(
        "link",
        {"field": field, "source": source, "target": target, "ordinal": ordinal, "run": run},
    )


def unlink(field: str, source: str, target: str) -> Closed:
    """Return the end of a link."""
    return Closed("link", {"field": field, "source": source, "target": target})
