"""The one door to the rules: command and state in, decision out."""

from __future__ import annotations

from ledger.decisions.artifacts import save_artifact, save_collection
from ledger.decisions.facts import Decision, Facts, Stamp
from ledger.decisions.mergers import merge_records, undo_merge
from ledger.decisions.records import (
    change_record,
    link_records,
    move_record,
    read_artifact,
    save_record,
)
from ledger.decisions.retractions import retract_record
from ledger.decisions.tags import tag_position
from ledger.decisions.transforms import save_transform
from ledger.model.commands import (
    ChangeRecord,
    Command,
    LinkRecords,
    MergeRecords,
    MoveRecord,
    ReadArtifact,
    RetractRecord,
    SaveArtifact,
    SaveCollection,
    SaveRecord,
    SaveTransform,
    TagPosition,
    UndoMerge,
)


def decide(command: Command, facts: Facts, stamp: Stamp) -> Decision:  # noqa: C901, PLR0911 (one a command)
    """Return what follows from a command in this state.

    Raises:
        CommandRejectedError: It cannot be carried out as it stands.
        NotFoundError: It names a record that is not there.
    """
    match command:
        case SaveRecord():
            return save_record(command, facts, stamp)
        case SaveTransform():
            return save_transform(command, facts, stamp)
        case SaveArtifact():
            return save_artifact(command, facts, stamp)
        case SaveCollection():
            return save_collection(command, facts, stamp)
        case ChangeRecord():
            return change_record(command, facts, stamp)
        case MoveRecord():
            return move_record(command, facts, stamp)
        case LinkRecords():
            return link_records(command, facts, stamp)
        case RetractRecord():
            return retract_record(command, facts, stamp)
        case MergeRecords():
            return merge_records(command, facts, stamp)
        case UndoMerge():
            return undo_merge(command, facts, stamp)
        case ReadArtifact():
            return read_artifact(command, facts, stamp)
        case TagPosition():
            return tag_position(command, facts, stamp)
