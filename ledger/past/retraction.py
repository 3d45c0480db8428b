"""Warnings to readers of a record that was retracted, or was made of a retracted one.

1. A process tells each retraction once for each record read.
2. Retractions known now count, also where a view of the past is read.
3. Where nothing is retracted, a read costs one look at an empty table.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ledger.display.messages import say
from ledger.display.rows import short_time
from ledger.model.schema import REGISTRIES

if TYPE_CHECKING:
    from ledger.places.instance import Ledger
    from ledger.places.kinds import AnyRecord as Record

Row = dict[str, Any]

# The warnings told, and the retractions known at the last look at a record: none is made twice.
_told: WeakKeyDictionary[Ledger, set[tuple[str, str, int]]] = WeakKeyDictionary()
_looked_at: WeakKeyDictionary[Ledger, dict[str, frozenset[tuple[str, int]]]] = WeakKeyDictionary()


def warn_of_retraction(record: Record) -> None:
    """Tell the user if the record, or anything it was made of, was retracted."""
    ledger = record._source.ledger
    with ledger.reading() as session:
        rows = session.models.find("retraction")
    if not rows or record.spec.field("retraction") is None:
        return
    state = frozenset((row["uid"], row["from_position"]) for row in rows)
    seen = _looked_at.setdefault(ledger, {})
    if seen.get(record.uid) == state:
        return
    told = _told.setdefault(ledger, set())
    for row in retractions_behind(record, rows):
        if (record.uid, row["uid"], row["from_position"]) not in told:
            told.add((record.uid, row["uid"], row["from_position"]))
            say("warning", _text(record, row))
    seen[record.uid] = state


def retractions_behind(record: Record, rows: list[Row]) -> list[Row]:
    """Return the retractions that touch a record: its own, and those of its ancestors."""
    own = [row for row in rows if row["uid"] == record.uid]
    others = [row for row in rows if row["uid"] != record.uid]
    if not others:
        return own
    from ledger.past.lineage import ancestor_uids  # noqa: PLC0415 (only where something was retracted)

    behind = ancestor_uids(record)
    return own + [row for row in others if row["uid"] in behind]


def _text(record: Record, row: Row) -> str:
    subject = f"{record.spec.title} {_called(record._row)}"
    by = f"by {row['actor']} at {short_time(row['retracted_at'])}: {row['reason']}"
    if row["uid"] == record.uid:
        return f"{subject} was retracted {by}"
    what = f"{REGISTRIES[row['registry']].title} {_called(_row_of(record, row))}"
    return f"{subject} was made of {what}, which was retracted {by}"


def _row_of(record: Record, row: Row) -> Row:
    with record._source.ledger.reading() as session:
        found: Row = session.models.find(row["registry"], uid=row["uid"])[0]
    return found


def _called(row: Row) -> str:
    name = row.get("key") or row.get("name")
    return f"'{name}' ({row['uid']})" if name else str(row["uid"])
