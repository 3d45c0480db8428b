"""Walks over links: one level, or everything that can be reached, in one statement.

A link leads onward from its holder (`source`) to its `target`. Each record is reached once, so
cycles end, and the cost is linear in the reached links.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from projections.sql.dialect import Dialect, Fragment, ever, every, valid
from projections.store import Row

LINK_COLUMNS = ("field", "source", "target", "ordinal", "from_position")
LINK_OF_A_TIME = (*LINK_COLUMNS, "to_position")


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
    is_ever: bool = False,
) -> Fragment:
    """Return the question for every link, valid or of any time, reached from some records."""
    near, far = ("source", "target") if onward else ("target", "source")
    wanted = dialect.is_in("l.field", list(fields))
    now = ever(dialect, "l", at) if is_ever else valid(dialect, "l", at)
    begin = every([wanted, dialect.is_in(f"l.{near}", list(starts)), now])
    step = every([Fragment(f"l.{near} = r.uid"), wanted, now])
    join = dialect.join_in_order
    columns = _columns(LINK_OF_A_TIME if is_ever else LINK_COLUMNS)
    text = (
        f"WITH RECURSIVE reach(uid) AS (SELECT l.{near} FROM link AS l WHERE {begin.text} "
        f"UNION SELECT l.{far} FROM reach AS r{join}link AS l WHERE {step.text}) "
        f"SELECT {columns} FROM reach AS r{join}link AS l WHERE {step.text} "
        f"LIMIT {dialect.placeholder}"
    )
    return Fragment(text, (*begin.params, *step.params, *step.params, limit))


def as_links(rows: Sequence[Sequence[object]], columns: Sequence[str] = LINK_COLUMNS) -> list[Row]:
    """Return the rows of either statement as links."""
    return [dict(zip(columns, row, strict=True)) for row in rows]


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


def _columns(names: Sequence[str] = LINK_COLUMNS) -> str:
    return ", ".join(f"l.{name}" for name in names)
