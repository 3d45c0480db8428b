"""Rules for declared artifacts: known by what another tool says, with content never seen here.

1. Namespace, name and edition there identify one; it is declared once.
2. A run that makes it again reproduces it, once.
3. It is a version like any other: its key leads to it from then on, whatever it led to before.
"""

from __future__ import annotations

from ledger.decisions.artifacts import displaced_by, family_of, pointers_of, reproduced
from ledger.decisions.facts import (
    Decision,
    Facts,
    Row,
    Stamp,
    birth,
    differing,
    namesakes,
    refuse_erased,
)
from ledger.model.events import RecordChanged
from ledger.model.ids import StreamId
from ledger.model.outside_commands import DeclareArtifact
from ledger.model.outside_events import ArtifactDeclared
from ledger.model.schema import ARTIFACT, WITHDRAWN


def declare_artifact(command: DeclareArtifact, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a declared artifact.

    Raises:
        NotFoundError: There is no artifact that it would be a new version of.
        RecordErasedError: It was erased.
    """
    for row in namesakes(facts, "artifact", command.natural):
        if row["state"] < WITHDRAWN:
            return _met_again(command, row, facts, stamp)
    refuse_erased(facts, "artifact", command.natural)
    revised = family_of(command, facts)
    stem = None if revised is None else revised["uid"][: ARTIFACT.uid_length]
    born = birth(facts, "artifact", command.natural, stem=stem)
    event = ArtifactDeclared(
        uid=born.uid,
        natural=command.natural,
        natural_id=born.natural_id,
        n=born.n,
        key=command.key,
        version=command.version,
        revises=None if revised is None else revised["uid"],
        displaced=displaced_by(pointers_of(facts, command.key)),
        has_size=command.said.get("size") is not None,
        **command.said,
        **command.fields,
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
    )


def _met_again(command: DeclareArtifact, row: Row, facts: Facts, stamp: Stamp) -> Decision:
    uid = row["uid"]
    events = reproduced(uid, facts, stamp)
    if changes := differing(row, command.fields):
        events.append(RecordChanged(registry="artifact", uid=uid, fields=changes, **stamp.fields()))
    return Decision(events=tuple(events), outcome=uid, stream=StreamId(row["stream"]))
