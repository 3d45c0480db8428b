"""Points by said time: the ledger as it was said to be, which may be long before it was recorded.

1. A moment means the last position before which every event is said to have happened by then.
2. Events of the ledger itself are passed over: its beginning, its texts, its keys and its tags.
3. Where said time goes back, so that an event after that position is said to have happened by then
   as well, no position holds exactly what was said: the moment is refused.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

from ledger.errors import InvalidValueError
from ledger.model.events import BlobRecorded, LedgerInitialized, PositionTagged
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.times import moment_text, to_datetime
from ledger.past.points import Point, moment_of

if TYPE_CHECKING:
    from ledger.places.instance import Ledger

_OF_THE_LEDGER = (LedgerInitialized, BlobRecorded, EraserKeysSet, KeyAdopted, PositionTagged)


def resolve_said(ledger: Ledger, point: Any) -> Point:
    """Return the position that a moment means by said time. It reads the log: a second for 100,000.

    Raises:
        InvalidValueError: It is no time, has no zone, or is in the future; or said time goes back
            past it, and the message names the position where it does.
    """
    start, span = moment_of(ledger, point)
    until = start + span - 1
    if start > ledger.now():
        raise InvalidValueError(
            f"point {to_datetime(start).isoformat()}: in the future, nothing was said of it"
        )
    last: tuple[int, dt.datetime | None] = 0, None
    later: tuple[int, int] | None = None
    with ledger.reading() as session:
        for recorded in session.log.read():
            said = recorded.event.at
            is_own = isinstance(recorded.event, _OF_THE_LEDGER)
            if later is None and (is_own or said <= until):
                last = recorded.position, to_datetime(recorded.recorded_at)
            elif later is None:
                later = recorded.position, said
            elif not is_own and said <= until:
                raise InvalidValueError(
                    f"as_of({moment_text(start)}, clock='said'): said time goes back at position "
                    f"{recorded.position}, to {moment_text(said)}: position {later[0]} is said to "
                    f"have happened at {moment_text(later[1])}, so no position holds what was said "
                    "to be then; name a position, or a time after both"
                )
    return Point(position=last[0], recorded_at=last[1])
