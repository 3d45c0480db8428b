"""Events that come through the framework's own door, as entries of the log.

They are no commands of ours: each gets a command id made of its place in its stream, and follows
the last entry by a microsecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from eventsourcing.persistence import StoredEvent

from ledger.eventlog.entry import Entry, entry_without_command


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
