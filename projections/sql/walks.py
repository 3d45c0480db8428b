"""Walks over links: one level, or everything that can be reached, in one statement.

A link leads onward from its holder (`source`) to its `target`. Each record is reached once, so
cycles end, and the cost is linear in the reached links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from projections.sql.dialect import Dialect, Fragment, every, valid
from projections.store import Row

LINK_COLUMNS = ("field", "source", "target", "ordinal", "from_position")


def links_statement(
    dialect: Dialect, fields: Sequence[str], uids: Sequence[str], *, onward: bool, at: int | None
) -> Fragment:
    """Return the question for the valid links of some fields at some records."""
    near = "source" if onward else "target"
    where = every([
        dialect.is_in("l.field", list(fields)),
        dialect.is_in(f"l.{near}", list(uids)),
        valid(dialect, "l", at),
    ])  # fmt: skip
    return Fragment(f"SELECT {_columns()} FROM link AS l WHERE {where.text}", where.params)


def reach_statement(  # noqa: PLR0913 (each bounds the walk)
    dialect: Dialect,
    fields: Sequence[str],
    starts: Sequence[str],
    *,
    onward: bool,
    at: int | None,
    limit: int,
) -> Fragment:
    """Return the question for every valid link that can be reached from some records."""
    near, far = ("source", "target") if onward else ("target", "source")
    wanted = dialect.is_in("l.field", list(fields))
    now = valid(dialect, "l", at)
    begin = every([wanted, dialect.is_in(f"l.{near}", list(starts)), now])
    step = every([Fragment(f"l.{near} = r.uid"), wanted, now])
    join = dialect.join_in_order
    text = (
        f"WITH RECURSIVE reach(uid) AS (SELECT l.{near} FROM link AS l WHERE {begin.text} "
        f"UNION SELECT l.{far} FROM reach AS r{join}link AS l WHERE {step.text}) "
        f"SELECT {_columns()} FROM reach AS r{join}link AS l WHERE {step.text} "
        f"LIMIT {dialect.placeholder}"
    )
    return Fragment(text, (*begin.params, *step.params, *step.params, limit))


def as_links(rows: Sequence[Sequence[object]]) -> list[Row]:
    """Return the rows of either statement as links."""
    return [dict(zip(LINK_COLUMNS, row, strict=True)) for row in rows]


def walk(
    starts: Sequence[str],
    links_at: Callable[[Sequence[str]], list[Row]],
    *,
    onward: bool,
    limit: int,
) -> list[Row]:
    """Return the same links as `reach_statement`, asking for them level by level."""
    far = "target" if onward else "source"
    seen = set(starts)
    level = list(seen)
    found: list[Row] = []
    while level and len(found) < limit:
        links = links_at(level)
        found += links
        level = list({link[far] for link in links} - seen)
        seen.update(level)
    return found[:limit]


def _columns() -> str:
    return ", ".join(f"l.{name}" for name in LINK_COLUMNS)
