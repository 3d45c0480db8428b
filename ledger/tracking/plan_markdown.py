"""A plan as Markdown, for a comment on a change or the summary of a job.

Whatever people named stands in spans of code, which no name can leave: it makes no link, mentions
nobody, and is no markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ledger.display.tables import shown
from ledger.past.readable_events import Happening
from ledger.tracking.planned import PlannedContent, SimilarName


def markdown(  # noqa: PLR0913 (the parts of a plan, each by its name)
    events: Sequence[Happening],
    contents: Sequence[PlannedContent],
    similar_names: Sequence[SimilarName],
    *,
    error: str | None,
    title: str,
    limit: int,
) -> str:
    """Return a plan as Markdown; tables show up to `limit` rows."""
    size = sum(content.size for content in contents)
    copied = f" and copy {size:,} bytes" if contents else ""
    number = f"{len(events):,} event{'s' if len(events) > 1 else ''}" if events else "no event"
    parts = [f"### {code(title)} would record {number}{copied}"]
    if error is not None:
        parts.append(f"**It failed**, and what it would record ends there: {code(error)}")
    events_told = [
        [
            event.type.removesuffix(".v1"),
            f"{event.registry} {code(event.uid)}",
            _cell(event.summary),
        ]
        for event in events[:limit]
    ]
    parts += _table(["event", "record", "what"], events_told, left=len(events) - limit)
    copies = [[_cell(it.name), f"{it.size:,}"] for it in contents[:limit]]
    parts += _table(["content", "bytes"], copies, left=len(contents) - limit)
    if similar_names:
        named = [
            f"- {it.registry} {code(it.name)} is new and resembles "
            + ", ".join(code(name) for name in it.similar)
            for it in similar_names
        ]
        parts.append("**Perhaps a typo**\n\n" + "\n".join(named))
    return "\n\n".join(parts) + "\n"


def code(text: str) -> str:
    """Return a text as a span of code that it cannot leave; "" for none."""
    plain = shown(text)
    if not plain:
        return ""
    longest = max((len(found) for found in re.findall("`+", plain)), default=0)
    fence = "`" * (longest + 1)
    # The spaces are not shown; without them a text could lengthen the fence.
    is_padded = longest or (plain != plain.strip(" ") and plain.strip(" "))
    inner = f" {plain} " if is_padded else plain
    return f"{fence}{inner}{fence}"


def _cell(text: str) -> str:
    # A table is cut into cells before its spans are read.
    return code(text).replace("|", "\\|")


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, left: int) -> list[str]:
    if not rows:
        return [f"{left:,} of: {', '.join(columns)}"] if left > 0 else []
    lines = [f"| {' | '.join(row)} |" for row in (columns, ["---"] * len(columns), *rows)]
    return ["\n".join(lines), *([f"… and {left:,} more"] if left > 0 else [])]
