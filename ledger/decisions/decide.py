"""The one door to the rules: command and state in, decision out."""

from __future__ import annotations

from ledger.decisions.aliases import add_alias
from ledger.decisions.artifacts import save_artifact, save_collection
from ledger.decisions.declared import declare_artifact
from ledger.decisions.definitions import change_field, define_registry, retype_field
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
from ledger.decisions.typed import save_typed, set_features
from ledger.model.commands import (
    ChangeField,
    ChangeRecord,
    Command,
    DefineRegistry,
    LinkRecords,
    MergeRecords,
    MoveRecord,
    ReadArtifact,
    RetractRecord,
    RetypeField,
    SaveArtifact,
    SaveCollection,
    SaveRecord,
    SaveTransform,
    SaveTyped,
    SetFeatures,
    TagPosition,
    UndoMerge,
)
from ledger.model.outside_commands import AddAlias, DeclareArtifact


def decide(command: Command, facts: Facts, stamp: Stamp) -> Decision:  # noqa: C901, PLR0911, PLR0912 (one a command)
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
        case SaveTyped():
            return save_typed(command, facts, stamp)
        case DefineRegistry():
            return define_registry(command, facts, stamp)
        case ChangeField():
            return change_field(command, facts, stamp)
        case RetypeField():
            return retype_field(command, facts, stamp)
        case SetFeatures():
            return set_features(command, facts, stamp)
        case ReadArtifact():
            return read_artifact(command, facts, stamp)
        case AddAlias():
            return add_alias(command, facts, stamp)
        case DeclareArtifact():
            return declare_artifact(command, facts, stamp)
        case TagPosition():
            return tag_position(command, facts, stamp)
