"""Rules for retractions: a record stays; readers of it, and of its descendants, are told why.

1. A record that has a lineage can be retracted; a label is renamed, merged or trashed instead.
2. To retract for the same reason again is nothing new; another reason takes the place of the first.
3. To lift a retraction that is not there is nothing new.
"""

from __future__ import annotations

from ledger.decisions.facts import Decision, Facts, Stamp, require
from ledger.errors import CommandRejectedError, InvalidValueError
from ledger.model.commands import RetractRecord
from ledger.model.events import LedgerEvent, RecordRetracted, RetractionLifted
from ledger.model.ids import StreamId
from ledger.model.schema import REGISTRIES


def retract_record(command: RetractRecord, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on a retraction, or on its end.

    Raises:
        CommandRejectedError: Records of this registry are not retracted.
        InvalidValueError: A retraction without a reason.
    """
    spec = REGISTRIES[command.registry]
    if spec.field("retraction") is None:
        raise CommandRejectedError(
            f"{spec.title} {command.uid}: nothing is made of it, so it cannot be retracted; "
            "rename it, merge it into another one, or delete() it"
        )
    if not command.reason and not command.is_lifted:
        raise InvalidValueError(f"{spec.title} {command.uid}: expected a reason to retract it")
    row = require(facts, command.registry, command.uid)
    about = {"registry": command.registry, "uid": command.uid, **stamp.fields()}
    event: LedgerEvent | None = None
    if command.is_lifted:
        if row["retraction"] is not None:
            event = RetractionLifted(reason=command.reason, **about)
    elif row["retraction"] != command.reason:
        event = RecordRetracted(reason=str(command.reason), **about)
    return Decision(
        events=() if event is None else (event,),
        outcome=command.uid,
        stream=StreamId(row["stream"]),
    )
