"""Rules for tags: a tag names one position, and never moves."""

from __future__ import annotations

from ledger.decisions.facts import Decision, Facts, Stamp
from ledger.errors import NameTakenError
from ledger.model.commands import TagPosition
from ledger.model.events import PositionTagged
from ledger.model.ids import stream_id


def tag_position(command: TagPosition, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on naming a position.

    Raises:
        NameTakenError: The name is at another position.
    """
    stream = stream_id(["tag", command.name])
    for row in facts.find("tag", name=command.name):
        if row["position"] != command.position:
            raise NameTakenError(
                f"tag '{command.name}': it is at position {row['position']} and never moves; "
                f"choose another name for position {command.position}",
                name=command.name,
                position=row["position"],
            )
        return Decision(outcome=command.name, stream=stream)
    event = PositionTagged(name=command.name, position=command.position, **stamp.fields())
    return Decision(events=(event,), outcome=command.name, stream=stream)
