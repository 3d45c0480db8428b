"""Rules for aliases: the names that a record has in other tools.

1. An alias leads to one record, whatever its registry. It is never taken away, but for its record's
   withdrawal, which frees it.
2. What is given an alias that it has changes nothing.
3. A record that was merged into another one keeps its aliases, and they lead to that other one.
"""

from __future__ import annotations

from ledger.decisions.facts import Decision, Facts, Stamp, require
from ledger.errors import NameTakenError
from ledger.model.events import AliasAdded
from ledger.model.ids import StreamId
from ledger.model.outside_commands import AddAlias


def add_alias(command: AddAlias, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on one more alias of a record.

    Raises:
        NameTakenError: The alias leads to another record.
    """
    row = require(facts, command.registry, command.uid)
    events: tuple[AliasAdded, ...] = ()
    if is_new_alias(facts, command.uid, command.alias):
        events = (
            AliasAdded(
                registry=command.registry,
                uid=command.uid,
                alias=command.alias,
                **stamp.fields(),
            ),
        )
    return Decision(events=events, outcome=command.uid, stream=StreamId(row["stream"]))


def is_new_alias(facts: Facts, uid: str, alias: str) -> bool:
    """Return whether a record has yet to be given an alias.

    Raises:
        NameTakenError: It leads to another record.
    """
    for row in facts.find("alias", alias=alias):
        if row["uid"] != uid:
            raise NameTakenError(
                f"alias '{alias}': it leads to {row['registry']} {row['uid']}, and to one record "
                "only; that one is the record that other tool means",
                name=alias,
                uid=row["uid"],
            )
        return False
    return True
