"""Rules for merging records of a named registry: two names that turned out to mean one thing.

1. The survivor is live; the record that is merged into it is another live record.
2. Links that led to the merged record lead to the survivor; one event names them all.
3. Undone, they lead back, unless the survivor has lost them meanwhile; links that the survivor got
   otherwise stay with it.
4. Where the survivor was merged further, that merger is undone first.
"""

from __future__ import annotations

from ledger.decisions.facts import Decision, Facts, Row, Stamp, require, survivor
from ledger.decisions.records import refuse_taken
from ledger.errors import CommandRejectedError, InvalidValueError, NotFoundError
from ledger.model.commands import MergeRecords, UndoMerge
from ledger.model.events import HeldLink, MergeUndone, RecordsMerged
from ledger.model.ids import StreamId
from ledger.model.schema import LIVE, REGISTRIES


def merge_records(command: MergeRecords, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on merging one record into another.

    Raises:
        CommandRejectedError: One of them is not live, or the registry has no names.
        InvalidValueError: Both are the same record.
    """
    registry = command.registry
    title = REGISTRIES[registry].title
    if not REGISTRIES[registry].is_named:
        raise CommandRejectedError(
            f"{title} {command.uid}: what it is made of is what it is; only records that a name "
            "identifies can be merged"
        )
    if facts.find("merger", uid=command.uid) and survivor(facts, command.uid) == command.into:
        (merged,) = facts.find(registry, uid=command.uid)
        return Decision(outcome=command.into, stream=StreamId(merged["stream"]))
    row, into = require(facts, registry, command.uid), require(facts, registry, command.into)
    if row["uid"] == into["uid"]:
        raise InvalidValueError(f"{title} {command.uid}: cannot be merged into itself")
    for one in (row, into):
        if one["state"] != LIVE:
            raise CommandRejectedError(
                f"{title} '{one['name']}' ({one['uid']}): in the trash; restore() it first"
            )
    there = set(_links_to(facts, into["uid"]))
    links = _links_to(facts, row["uid"])
    event = RecordsMerged(
        registry=registry,
        uid=row["uid"],
        into=into["uid"],
        reason=command.reason,
        moved=tuple(link for link in links if link not in there),
        doubled=tuple(link for link in links if link in there),
        **stamp.fields(),
    )
    return Decision(events=(event,), outcome=into["uid"], stream=StreamId(row["stream"]))


def undo_merge(command: UndoMerge, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a merged record back.

    Raises:
        NotFoundError: There is no such record.
        CommandRejectedError: The record it was merged into was merged further.
        NameTakenError: Another record took its name meanwhile.
    """
    registry = command.registry
    rows = facts.find(registry, uid=command.uid)
    if not rows:
        raise NotFoundError(f"{registry} {command.uid}: not in this ledger", uid=command.uid)
    row = rows[0]
    stream = StreamId(row["stream"])
    mergers = facts.find("merger", uid=command.uid)
    if not mergers:
        return Decision(outcome=command.uid, stream=stream)
    into = mergers[0]["into"]
    further = facts.find("merger", uid=into)
    if further:
        raise CommandRejectedError(
            f"{REGISTRIES[registry].title} {command.uid}: {into}, which it was merged into, was "
            f"merged into {further[0]['into']}; undo that first"
        )
    refuse_taken(facts, registry, row["name"], command.uid)
    merged_at = mergers[0]["from_position"]
    now = facts.find("link", target=into)
    held = {_held(link) for link in now}
    before = facts.find("link", target=command.uid, at=merged_at - 1)
    event = MergeUndone(
        registry=registry,
        uid=command.uid,
        into=into,
        back=tuple(sorted(_held(link) for link in before if _held(link) in held)),
        ended=tuple(sorted(_held(link) for link in now if link["from_position"] == merged_at)),
        **stamp.fields(),
    )
    return Decision(events=(event,), outcome=command.uid, stream=stream)


def _links_to(facts: Facts, uid: str) -> list[HeldLink]:
    return sorted(_held(link) for link in facts.find("link", target=uid))


def _held(link: Row) -> HeldLink:
    return link["field"], link["source"]
