"""Rules for transforms: one version a source, or the version that the user pinned.

1. A transform is identified by stem and pinned version, or by stem and source hash.
2. A pinned version whose source has changed is refused, and the next version named.
3. A version without source takes the first source it is tracked with.
"""

from __future__ import annotations

import re

from ledger.decisions.facts import (
    Decision,
    Facts,
    Row,
    Stamp,
    birth,
    differing,
    latest,
    namesakes,
    refuse_erased,
    require,
)
from ledger.errors import VersionPinnedError
from ledger.model.commands import SaveTransform
from ledger.model.events import LedgerEvent, RecordChanged, TransformRegistered
from ledger.model.ids import StreamId
from ledger.model.schema import LIVE, WITHDRAWN


def find_transform(facts: Facts, command: SaveTransform) -> Row | None:
    """Return the version that is asked for; None where it does not exist yet.

    Raises:
        VersionPinnedError: It exists with another source.
    """
    for row in namesakes(facts, "transform", command.natural):
        if row["state"] >= WITHDRAWN:
            continue
        known = row["source_hash"]
        if command.source_hash is not None and known not in (None, command.source_hash):
            raise VersionPinnedError(
                f"transform {row['uid']} version '{command.version}': its source has changed since "
                f"that version was recorded (expected {known[:19]}…, found "
                f"{command.source_hash[:19]}…); set the version to "
                f"'{next_version(str(command.version))}', or undo the edit",
                uid=row["uid"],
                version=command.version,
                next_version=next_version(str(command.version)),
            )
        return row
    return None


def next_version(version: str) -> str:
    """Return the version after this one: its last number raised by one, or `.1` appended."""
    found = re.search(r"(\d+)(\D*)$", version)
    if found is None:
        return f"{version}.1"
    return f"{version[: found.start()]}{int(found[1]) + 1}{found[2]}"


def save_transform(command: SaveTransform, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a version of a transform."""
    if command.target is not None:
        row: Row | None = require(facts, "transform", command.target)
    else:
        row = find_transform(facts, command)
    if row is not None:
        fields = dict(command.fields)
        if row["source_hash"] is None and command.source_hash is not None:
            fields |= {"source_hash": command.source_hash, "source": command.source}
        changes = differing(row, fields)
        events: tuple[LedgerEvent, ...] = ()
        if changes:
            events = (
                RecordChanged(
                    registry="transform", uid=row["uid"], fields=changes, **stamp.fields()
                ),
            )
        return Decision(events=events, outcome=row["uid"], stream=StreamId(row["stream"]))
    refuse_erased(facts, "transform", command.natural)
    born = birth(facts, "transform", command.natural, stem=command.stem)
    earlier = latest(facts.find("transform", stem=command.stem, state=LIVE))
    values = {**command.defaults, **command.fields}
    event = TransformRegistered(
        uid=born.uid,
        natural=command.natural,
        natural_id=born.natural_id,
        n=born.n,
        name=values.get("name") or values.get("key") or command.stem,
        key=values.get("key"),
        version=command.version,
        kind=values.get("kind", "script"),
        description=values.get("description"),
        source_hash=command.source_hash,
        source=command.source,
        revises=None if earlier is None else earlier["uid"],
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
    )
