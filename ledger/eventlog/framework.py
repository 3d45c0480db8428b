"""Entries of the log beside the framework's stored events.

An event that comes through the framework's own door has no command of ours: its command id is made
of its place in its stream, and it follows the last entry by a microsecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ledger.eventlog.entry import Entry, entry_without_command

# The columns of entries and of the events beside them.
SELECT_ENTRIES = (
    "SELECT e.position, e.recorded_at, e.stream, e.version, s.topic, e.command_id, e.number,"
    " s.state, e.salt, e.leaf FROM entries e LEFT JOIN stored_events s"
    " ON s.originator_id = e.stream AND s.originator_version = e.version "
)


def end_of(until: int | None) -> int:
    """Return the last position of a range, as SQL compares it."""
    return 2**63 - 1 if until is None else until


def stored_events_of(entries: Sequence[Entry]) -> list[StoredEvent]:
    """Return the framework's side of entries."""
    return [
        StoredEvent(
            originator_id=UUID(entry.envelope.stream),
            originator_version=entry.envelope.version,
            topic=entry.envelope.tag,
            state=entry.payload,
        )
        for entry in entries
    ]


def entries_of(stored_events: Sequence[StoredEvent], last: tuple[int, int]) -> list[Entry]:
    """Return the entries of stored events after the last one: its position and recorded time."""
    position, recorded_at = last
    return [
        entry_without_command(
            stream=UUID(str(stored.originator_id)).hex,
            version=stored.originator_version,
            tag=stored.topic,
            payload=stored.state,
            position=position + number,
            recorded_at=recorded_at + number,
        )
        for number, stored in enumerate(stored_events, start=1)
    ]
