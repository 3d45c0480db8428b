"""The check that the read models show exactly the events of the log.

The transaction that appends writes them too, so they differ only if somebody wrote without the
program or damaged the database. The check takes no lock: it sees each commit as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from ledger.engine.database import Session, WriteSession
from ledger.model.events import RecordedEvent
from ledger.model.schema import REGISTRIES
from projections.fold import Amended, Closed, fold
from projections.tables import TABLES

MOST = 2_000  # events to look back at

_FIRST_LOOK = 16


class Lag(msgspec.Struct, frozen=True, kw_only=True):
    """The read models compared with the log.

    Attributes:
        head: Position at which the log ended.
        events: Number of the last events that the read models lack, counted up to `MOST`.
        behind: Position of the last of these; None if there are none.
        ahead: A position past the log's end that the read models know of; None if there is none.
    """

    head: int
    events: int
    behind: int | None
    ahead: int | None


def lag(session: Session | WriteSession) -> Lag:
    """Return the comparison of the read models with the last events of the log.

    Raises:
        StorageError: The database cannot be read.
    """
    head = session.log.head()
    events, behind = 0, None
    for recorded, is_shown in _newest_first(session, head):
        if is_shown:
            break
        events += 1
        behind = behind or recorded.position
    known = [
        row["position"]
        for registry, spec in REGISTRIES.items()
        if spec.field("name") is not None
        for row in session.models.changed_names(registry, after=head)
    ]
    # An event recorded since the first question is in the log by now.
    now = session.log.head() if known else head
    ahead = next((position for position in known if position > now), None)
    return Lag(head=head, events=events, behind=behind, ahead=ahead)


def _newest_first(
    session: Session | WriteSession, head: int
) -> Iterator[tuple[RecordedEvent, bool]]:
    """Yield the last events that change rows, each with whether its rows are there."""
    until, size = head, _FIRST_LOOK
    while until > max(0, head - MOST):
        after = max(0, head - MOST, until - size)
        for recorded in reversed(list(session.log.read(after=after, until=until))):
            is_shown = _is_shown(session, recorded)
            if is_shown is not None:
                yield recorded, is_shown
        until, size = after, size * 4


def _is_shown(session: Session | WriteSession, recorded: RecordedEvent) -> bool | None:
    """Return whether the last row of an event is there; None for an event without rows."""
    for change in reversed(fold(recorded)):
        if isinstance(change, Closed):
            continue
        known = change.key if isinstance(change, Amended) else change.values
        key = {name: known[name] for name in TABLES[change.table].key}
        rows = session.models.find(change.table, ever=True, **key)
        return any(row["from_position"] == recorded.position for row in rows)
    return None
