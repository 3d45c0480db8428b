"""Rules for records of named registries, and for changes, moves and links of any record.

1. A live record of exactly this name is the record.
2. Else the record that was created under this name, though it was renamed or trashed since, is.
3. Else a new one is created; where all of that name were withdrawn, it is the next `n`.
4. A record that exists is changed only in fields that were assigned and differ.
"""

from __future__ import annotations

from ledger.decisions.facts import (
    Decision,
    Facts,
    Notice,
    Row,
    Stamp,
    birth,
    differing,
    namesakes,
    refuse_erased,
    require,
    survivor,
)
from ledger.errors import CommandRejectedError, NameTakenError
from ledger.model.commands import ChangeRecord, LinkRecords, MoveRecord, ReadArtifact, SaveRecord
from ledger.model.events import (
    InputRecorded,
    LedgerEvent,
    LinkAdded,
    LinkRemoved,
    RecordChanged,
    RecordCreated,
    RecordRestored,
    RecordTrashed,
    RecordWithdrawn,
)
from ledger.model.ids import StreamId, natural_id
from ledger.model.schema import ERASED, LIVE, REGISTRIES, TRASHED, WITHDRAWN
from ledger.model.times import to_datetime


def find_named(facts: Facts, registry: str, name: str) -> Row | None:
    """Return the record that a name means.

    The live one; else the one that bore the name last and was merged into another; else the one
    created under it.
    """
    bearers = facts.find(registry, name=name)
    for row in bearers:
        if row["state"] == LIVE:
            return row
    merged = find_merged(facts, registry, [row for row in bearers if row["state"] == WITHDRAWN])
    if merged is not None:
        return merged
    created = namesakes(facts, registry, [registry, name])
    present = [row for row in created if row["state"] < WITHDRAWN]
    return present[-1] if present else find_merged(facts, registry, created)


def find_merged(facts: Facts, registry: str, rows: list[Row]) -> Row | None:
    """Return the survivor of the last of these records that was merged; None if none was."""
    for row in reversed(rows):
        if row["state"] < WITHDRAWN:
            continue
        other = survivor(facts, row["uid"])
        if other != row["uid"]:
            (found,) = facts.find(registry, uid=other)
            if found["state"] < WITHDRAWN:
                # The user is told of it.
                return {**found, "merged": facts.find("merger", uid=row["uid"])[0]}
    return None


def with_merger(facts: Facts, registry: str, name: str, row: Row) -> Row:
    """Return the row of a record to which a name led, with the merger that brought the name there.

    Unchanged where the name is its own, or where it bore the name itself.
    """
    if row["name"] == name or row["natural"] == natural_id([registry, name]):
        return row
    bearers = facts.find(registry, name=name, state=WITHDRAWN)
    for other in reversed([*namesakes(facts, registry, [registry, name]), *bearers]):
        mergers = facts.find("merger", uid=other["uid"])
        if mergers and survivor(facts, other["uid"]) == row["uid"]:
            return {**row, "merged": mergers[0]}
    return row


def whereabouts(registry: str, name: str, row: Row) -> Notice | None:
    """Return the hint that a record found by its first name has moved on; None if it has not.

    The hint names the actor and time of its last change.
    """
    merger = row.get("merged")
    if merger is not None:
        when = f"{to_datetime(merger['merged_at']):%Y-%m-%d %H:%M:%S} UTC"
        why = "" if merger["reason"] is None else f": {merger['reason']}"
        text = (
            f"{REGISTRIES[registry].title} '{name}' was merged into '{row['name']}' "
            f"({row['uid']}) by {merger['actor']} at {when}{why}"
        )
        return Notice("hint", text)
    subject = f"{REGISTRIES[registry].title} '{name}' ({row['uid']})"
    since = f"by {row['changed_by']} at {to_datetime(row['updated_at']):%Y-%m-%d %H:%M:%S} UTC"
    if row["state"] == ERASED:
        text = (
            f"{subject} was erased {since}; this run recorded it once and does not again: what it "
            "said is gone"
        )
        return Notice("warning", text)
    if row["state"] == WITHDRAWN:
        text = (
            f"{subject} was withdrawn for good {since}; this run recorded it once and does not "
            "again; track(new_run=True) does"
        )
        return Notice("warning", text)
    if row["state"] == TRASHED:
        text = f"{subject} was moved to the trash {since}; restore() brings it back"
        return Notice("warning", text)
    if row.get("name", name) != name:
        return Notice("hint", f"{subject} was renamed to '{row['name']}' {since}")
    return None


def save_record(command: SaveRecord, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a record of this name."""
    registry = command.registry
    row = (
        require(facts, registry, survivor(facts, command.target))
        if command.target is not None
        else find_named(facts, registry, command.name)
    )
    if row is not None:
        return change(registry, row, command.fields, facts, stamp)
    refuse_erased(facts, registry, command.natural)
    born = birth(facts, registry, command.natural)
    event = RecordCreated(
        registry=registry,
        uid=born.uid,
        natural=command.natural,
        natural_id=born.natural_id,
        n=born.n,
        fields={"name": command.name, **command.fields},
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
    )


def change(
    registry: str, row: Row, fields: dict[str, object], facts: Facts, stamp: Stamp
) -> Decision:
    """Decide on giving a record's fields these values.

    Raises:
        NameTakenError: Another live record of the registry bears the new name.
    """
    changes = differing(row, fields)
    if "name" in changes and REGISTRIES[registry].is_named and row["state"] == LIVE:
        refuse_taken(facts, registry, str(changes["name"]), row["uid"])
    events: tuple[LedgerEvent, ...] = ()
    if changes:
        events = (
            RecordChanged(registry=registry, uid=row["uid"], fields=changes, **stamp.fields()),
        )
    return Decision(events=events, outcome=row["uid"], stream=StreamId(row["stream"]))


def change_record(command: ChangeRecord, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on changing a record that must exist."""
    row = require(facts, command.registry, command.uid)
    return change(command.registry, row, command.fields, facts, stamp)


def move_record(command: MoveRecord, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on trash, restoration or withdrawal; what is there already stays as it is."""
    registry = command.registry
    row = require(facts, registry, command.uid)
    about = {"registry": registry, "uid": command.uid, **stamp.fields()}
    event: LedgerEvent | None = None
    if command.move == "trash" and row["state"] == LIVE:
        event = RecordTrashed(**about)
    elif command.move == "restore" and row["state"] == TRASHED:
        if REGISTRIES[registry].is_named:
            refuse_taken(facts, registry, row["name"], row["uid"])
        event = RecordRestored(**about)
    elif command.move == "withdraw":
        event = RecordWithdrawn(content_removed=command.content_removed, **about)
    return Decision(
        events=() if event is None else (event,),
        outcome=command.uid,
        stream=StreamId(row["stream"]),
    )


def link_records(command: LinkRecords, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on a link; the side that holds it is the subject."""
    row = require(facts, command.registry, command.uid)
    relation = REGISTRIES[command.registry].relation(command.field)
    if relation is None or relation.link is None or relation.is_reverse:
        raise CommandRejectedError(
            f"{command.registry} {command.uid}: '{command.field}' is not a link it holds"
        )
    if command.is_present:
        target = require(facts, relation.target, command.target)
        if relation.target == command.registry:
            _refuse_circle(facts, relation.link, row, target)
    is_there = bool(
        facts.find("link", field=relation.link, source=command.uid, target=command.target)
    )
    events: tuple[LedgerEvent, ...] = ()
    if is_there != command.is_present:
        kind = LinkAdded if command.is_present else LinkRemoved
        events = (
            kind(
                registry=command.registry,
                uid=command.uid,
                field=command.field,
                target=command.target,
                **stamp.fields(),
            ),
        )
    return Decision(events=events, outcome=command.uid, stream=StreamId(row["stream"]))


def _refuse_circle(facts: Facts, link: str, row: Row, target: Row) -> None:
    """See to it that a link to a record of the same registry closes no circle.

    Raises:
        CommandRejectedError: It would.
    """
    seen: set[str] = set()
    above = [target["uid"]]
    while above:
        uid = above.pop()
        if uid == row["uid"]:
            raise CommandRejectedError(
                f"{row.get('name') or row['uid']}: cannot be below "
                f"'{target.get('name') or target['uid']}', which is itself below it, or the same; "
                "parents form no circle"
            )
        if uid not in seen:
            seen.add(uid)
            above += [it["target"] for it in facts.find("link", field=link, source=uid)]


def read_artifact(command: ReadArtifact, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on an input: the first read in a run, of what that run did not make."""
    artifact = require(facts, "artifact", command.uid)
    if stamp.run is None:
        return Decision(outcome=command.uid, stream=StreamId(artifact["stream"]))
    # A run that was withdrawn refuses every effect alike, before it is recorded.
    (run,) = facts.find("run", uid=stamp.run)
    made = facts.find("link", field="artifact.runs", source=command.uid, target=stamp.run)
    known = facts.find("link", field="run.inputs", source=stamp.run, target=command.uid)
    events: tuple[LedgerEvent, ...] = ()
    if not made and not known:
        events = (InputRecorded(artifact=command.uid, **{**stamp.fields(), "uid": stamp.run}),)
    return Decision(events=events, outcome=command.uid, stream=StreamId(run["stream"]))


def refuse_taken(facts: Facts, registry: str, name: str, own: str) -> None:
    """See to it that no other live record bears a name.

    Raises:
        NameTakenError: One does.
    """
    for row in facts.find(registry, name=name, state=LIVE):
        if row["uid"] != own:
            raise NameTakenError(
                f"{REGISTRIES[registry].title} '{name}': the name belongs to {row['uid']}; "
                "rename or delete that one first",
                name=name,
                uid=row["uid"],
            )
