"""When one label becomes another one, and when it becomes itself again."""

from __future__ import annotations

import pytest

from ledger.errors import CommandRejectedError, InvalidValueError, NameTakenError, NotFoundError
from ledger.model.commands import LinkRecords, MergeRecords, SaveRecord, UndoMerge
from tests.support import builders as b
from tests.unit.decisions.telling import given

OLD, NEW, THIRD = b.label_uid("old"), b.label_uid("new"), b.label_uid("third")
A, B, C = b.artifact_uid("a"), b.artifact_uid("b"), b.artifact_uid("c")
BORN = (
    b.label_created("old"),
    b.label_created("new"),
    b.artifact_registered("a"),
    b.artifact_registered("b"),
    b.artifact_registered("c"),
    b.link_added("artifact", A, "labels", OLD),
    b.link_added("artifact", B, "labels", OLD),
    b.link_added("artifact", B, "labels", NEW),
)


def held(uid):
    return ("artifact.labels", uid)


MERGED = b.merged(OLD, NEW, moved=(held(A),), doubled=(held(B),))


def merge(uid=OLD, into=NEW, reason=None):
    return MergeRecords(registry="ulabel", uid=uid, into=into, reason=reason)


def undo(uid=OLD):
    return UndoMerge(registry="ulabel", uid=uid)


def save(name):
    return SaveRecord(registry="ulabel", name=name)


def events(telling):
    return telling.decision.events


def test_links_move_and_doubled_ones_end():
    (event,) = events(given(*BORN).when(merge(reason="a typo")))
    assert (event.uid, event.into, event.reason) == (OLD, NEW, "a typo")
    assert event.moved == (held(A),)
    assert event.doubled == (held(B),)


def test_the_outcome_is_the_survivor():
    assert given(*BORN).when(merge()).decision.outcome == NEW


def test_the_same_merger_again_is_nothing_new():
    again = given(*BORN, MERGED).when(merge()).decision
    assert not again.events
    assert again.outcome == NEW


def test_a_merged_name_means_the_survivor():
    decision = given(*BORN, MERGED).when(save("old")).decision
    assert decision.outcome == NEW
    assert not decision.events


def test_a_name_that_was_merged_twice_means_the_last_survivor():
    history = (*BORN, b.label_created("third"), MERGED, b.merged(NEW, THIRD))
    assert given(*history).when(save("old")).decision.outcome == THIRD


def test_a_renamed_record_that_was_merged_is_found_by_both_names():
    history = (
        b.label_created("old"),
        b.changed("ulabel", OLD, name="older"),
        b.label_created("new"),
        b.merged(OLD, NEW),
    )
    assert given(*history).when(save("old")).decision.outcome == NEW
    assert given(*history).when(save("older")).decision.outcome == NEW


def test_a_new_live_record_of_the_old_name_comes_before_the_merger():
    history = (*BORN, MERGED, b.label_created("third"), b.changed("ulabel", THIRD, name="old"))
    assert given(*history).when(save("old")).decision.outcome == THIRD


def test_a_record_cannot_be_merged_into_itself():
    given(*BORN).when(merge(OLD, OLD)).rejects(InvalidValueError, "itself")


@pytest.mark.parametrize("uid", [OLD, NEW])
def test_what_lies_in_the_trash_is_not_merged(uid):
    given(*BORN, b.trashed("ulabel", uid)).when(merge()).rejects(CommandRejectedError, "trash")


def test_an_unknown_label_is_not_merged():
    given(*BORN).when(merge("nowhere", NEW)).rejects(NotFoundError, "not in this ledger")


def test_a_merged_label_is_not_merged_elsewhere():
    history = (*BORN, b.label_created("third"), MERGED)
    given(*history).when(merge(OLD, THIRD)).rejects(NotFoundError, "merged into")


def test_a_link_to_a_merged_label_says_where_it_went():
    link = LinkRecords(registry="artifact", uid=C, field="labels", target=OLD, is_present=True)
    given(*BORN, MERGED).when(link).rejects(NotFoundError, NEW)


def test_artifacts_are_not_merged():
    given(*BORN).when(MergeRecords(registry="artifact", uid=A, into=B)).rejects(
        CommandRejectedError, "can be merged"
    )


def test_undone_links_lead_back():
    (event,) = events(given(*BORN, MERGED).when(undo()))
    assert set(event.back) == {held(A), held(B)}
    assert event.ended == (held(A),)


def test_undone_a_link_that_the_survivor_lost_stays_away():
    gone = b.link_removed("artifact", A, "labels", NEW)
    (event,) = events(given(*BORN, MERGED, gone).when(undo()))
    assert event.back == (held(B),)
    assert event.ended == ()


def test_undone_a_link_that_the_survivor_got_itself_stays_with_it():
    got = b.link_added("artifact", C, "labels", NEW)
    (event,) = events(given(*BORN, MERGED, got).when(undo()))
    assert held(C) not in event.back + event.ended


def test_what_was_not_merged_has_nothing_to_undo():
    assert not events(given(*BORN).when(undo()))


def test_a_chain_is_undone_from_its_end():
    history = (*BORN, b.label_created("third"), MERGED, b.merged(NEW, THIRD))
    given(*history).when(undo(OLD)).rejects(CommandRejectedError, "undo that first")


def test_undoing_needs_the_name_to_be_free():
    history = (*BORN, MERGED, b.label_created("third"), b.changed("ulabel", THIRD, name="old"))
    given(*history).when(undo()).rejects(NameTakenError, "belongs to")
