"""Which record a name means, and what may be changed, moved and linked."""

from __future__ import annotations

import pytest

from ledger.decisions.records import find_named, whereabouts
from ledger.errors import CommandRejectedError, NameTakenError, NotFoundError
from ledger.model.commands import ChangeRecord, LinkRecords, MoveRecord, ReadArtifact, SaveRecord
from ledger.model.events import RecordCreated
from ledger.model.ids import derive, uid
from tests.support import builders as b
from tests.unit.decisions.telling import given

X, Y = b.label_uid("x"), b.label_uid("y")
A = b.artifact_uid("a")
RUN, OTHER = b.run_uid(1), b.run_uid(2)


def born(name, n=1, **fields):
    """The event that creates a label as the rules do."""
    return RecordCreated(
        registry="ulabel",
        uid=uid(["create", "ulabel", name, n], 12),
        natural=["ulabel", name],
        n=n,
        fields={"name": name, **fields},
        at=b.EPOCH,
        actor=b.ACTOR,
        command=[],
    )


def save(name, target=None, **fields):
    return SaveRecord(registry="ulabel", name=name, fields=fields, target=target)


def change(record, **fields):
    return ChangeRecord(registry="ulabel", uid=record, fields=fields)


def move(record, where, registry="ulabel"):
    return MoveRecord(registry=registry, uid=record, move=where)


def link(record, target, *, field="labels", is_present=True, registry="artifact"):
    return LinkRecords(
        registry=registry, uid=record, field=field, target=target, is_present=is_present
    )


# --- saving ---------------------------------------------------------------------------------------


def test_a_new_name_is_a_new_record():
    given().when(save("x", description="d")).then(born("x", description="d"))


def test_a_creation_tells_the_id_of_its_natural_key():
    (event,) = given().when(save("x")).decision.events
    assert event.natural_id == derive(["ulabel", "x"])


def test_a_creation_knows_its_identity():
    decision = given().when(save("x")).decision
    assert decision.is_new
    assert decision.natural == ["create", "ulabel", "x", 1]


def test_a_live_name_is_the_record_and_adds_nothing():
    given(b.label_created("x")).when(save("x")).then().and_ends_at(X)


def test_only_fields_that_differ_are_changed():
    given(b.label_created("x", fields={"description": "same"})).when(
        save("x", description="same")
    ).then().and_ends_at(X)
    given(b.label_created("x")).when(save("x", description="new")).then(
        b.changed("ulabel", X, description="new")
    )


def test_a_field_can_be_emptied():
    given(b.label_created("x", fields={"description": "old"})).when(
        save("x", description=None)
    ).then(b.changed("ulabel", X, description=None))


def test_a_renamed_record_answers_to_its_first_name():
    given(b.label_created("x"), b.changed("ulabel", X, name="z")).when(
        save("x")
    ).then().and_ends_at(X)


def test_a_live_name_comes_before_a_first_name():
    given(
        b.label_created("x"),
        b.changed("ulabel", X, name="z"),
        b.label_created("y"),
        b.changed("ulabel", Y, name="x"),
    ).when(save("x")).then().and_ends_at(Y)


def test_a_trashed_record_answers_to_its_name():
    given(b.label_created("x"), b.trashed("ulabel", X)).when(save("x")).then().and_ends_at(X)


def test_a_withdrawn_record_frees_its_name_for_the_next_n():
    given(b.label_created("x"), b.withdrawn("ulabel", X)).when(save("x")).then(born("x", 2))


def test_of_several_that_were_created_under_a_name_the_last_is_meant():
    second = b.label_uid("x", 2)
    given(
        b.label_created("x"),
        b.withdrawn("ulabel", X),
        b.label_created("x", n=2),
        b.trashed("ulabel", second),
    ).when(save("x")).then().and_ends_at(second)


def test_a_uid_that_another_record_bears_is_passed_over():
    taken = uid(["create", "ulabel", "x", 1], 12)
    stranger = b.label_created("stranger")
    given(type(stranger)(**{**_fields(stranger), "uid": taken})).when(save("x")).then(born("x", 2))


def test_the_record_that_the_caller_saw_is_the_one_that_is_saved():
    given(b.label_created("x"), b.changed("ulabel", X, name="z"), b.label_created("y")).when(
        save("x", target=X, description="d")
    ).then(b.changed("ulabel", X, description="d"))


def test_a_record_withdrawn_meanwhile_is_not_saved_to():
    given(b.label_created("x"), b.withdrawn("ulabel", X)).when(save("x", target=X)).rejects(
        NotFoundError, "withdrawn for good"
    )


# --- hints ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("since", "level", "words"),
    [
        ([], None, None),
        ([b.changed("ulabel", X, name="z")], "hint", f"ULabel 'x' ({X}) was renamed to 'z' by ada"),
        (
            [b.trashed("ulabel", X)],
            "warning",
            "was moved to the trash by ada at 2023-11-14 22:13:20",
        ),
        ([b.withdrawn("ulabel", X)], "warning", "was withdrawn for good by ada"),
    ],
)
def test_who_moved_a_record_on_and_when_is_told(since, level, words):
    (row,) = given(b.label_created("x"), *since).models.find("ulabel", uid=X)
    notice = whereabouts("ulabel", "x", row)
    if words is None:
        assert notice is None
    else:
        assert notice.level == level
        assert words in notice.text


def test_a_name_that_was_never_used_means_nothing():
    assert find_named(given(b.label_created("x")).models, "ulabel", "y") is None


# --- changing -------------------------------------------------------------------------------------


def test_a_change_to_what_is_there_adds_nothing():
    given(b.label_created("x")).when(change(X, name="x")).then().and_ends_at(X)


def test_a_rename_to_the_name_of_a_live_record_is_refused():
    given(b.label_created("x"), b.label_created("y")).when(change(X, name="y")).rejects(
        NameTakenError, f"the name belongs to {Y}"
    )


def test_a_rename_to_the_name_of_a_trashed_record_is_free():
    given(b.label_created("x"), b.label_created("y"), b.trashed("ulabel", Y)).when(
        change(X, name="y")
    ).then(b.changed("ulabel", X, name="y"))


def test_a_change_of_an_unknown_record_is_refused():
    given().when(change(X, name="y")).rejects(NotFoundError, "not in this ledger")


# --- moving ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "where", "events"),
    [
        ([], "trash", [b.trashed("ulabel", X)]),
        ([b.trashed("ulabel", X)], "trash", []),
        ([], "restore", []),
        ([b.trashed("ulabel", X)], "restore", [b.restored("ulabel", X)]),
        ([], "withdraw", [b.withdrawn("ulabel", X)]),
        ([b.trashed("ulabel", X)], "withdraw", [b.withdrawn("ulabel", X)]),
    ],
)
def test_a_record_is_moved_to_where_it_is_not_yet(before, where, events):
    given(b.label_created("x"), *before).when(move(X, where)).then(*events).and_ends_at(X)


@pytest.mark.parametrize("where", ["trash", "restore", "withdraw"])
def test_what_was_withdrawn_is_moved_no_more(where):
    given(b.label_created("x"), b.withdrawn("ulabel", X)).when(move(X, where)).rejects(
        NotFoundError, "withdrawn for good"
    )


def test_a_restoration_under_a_name_that_was_taken_meanwhile_is_refused():
    given(
        b.label_created("x"),
        b.trashed("ulabel", X),
        b.label_created("y"),
        b.changed("ulabel", Y, name="x"),
    ).when(move(X, "restore")).rejects(NameTakenError, f"the name belongs to {Y}")


# --- linking --------------------------------------------------------------------------------------

LINKABLE = (b.label_created("x"), b.artifact_registered("a"))


def test_a_link_that_is_not_there_is_added():
    given(*LINKABLE).when(link(A, X)).then(b.link_added("artifact", A, "labels", X))


def test_a_link_that_is_there_adds_nothing():
    given(*LINKABLE, b.link_added("artifact", A, "labels", X)).when(link(A, X)).then()


def test_a_link_that_is_there_is_removed():
    given(*LINKABLE, b.link_added("artifact", A, "labels", X)).when(
        link(A, X, is_present=False)
    ).then(b.link_removed("artifact", A, "labels", X))


def test_removing_a_link_that_is_not_there_adds_nothing():
    given(*LINKABLE).when(link(A, X, is_present=False)).then()


def test_a_link_to_a_record_that_is_not_there_is_refused():
    given(b.artifact_registered("a")).when(link(A, X)).rejects(NotFoundError, "not in this ledger")


def test_a_link_to_a_withdrawn_record_can_still_be_removed():
    given(*LINKABLE, b.link_added("artifact", A, "labels", X), b.withdrawn("ulabel", X)).when(
        link(A, X, is_present=False)
    ).then(b.link_removed("artifact", A, "labels", X))


@pytest.mark.parametrize(
    ("field", "registry", "holder"), [("key", "artifact", A), ("artifacts", "ulabel", X)]
)
def test_a_link_that_the_record_does_not_hold_is_refused(field, registry, holder):
    given(*LINKABLE).when(link(holder, X, field=field, registry=registry)).rejects(
        CommandRejectedError, f"'{field}' is not a link it holds"
    )


# --- reading --------------------------------------------------------------------------------------

READABLE = (b.run_started(1), b.run_started(2), b.artifact_registered("a", run=OTHER))


def test_a_first_read_in_a_run_is_an_input_of_it():
    given(*READABLE).when(ReadArtifact(uid=A), run=RUN).then(
        b.input_recorded(RUN, A, run=RUN)
    ).and_ends_at(A)


def test_a_second_read_in_a_run_adds_nothing():
    given(*READABLE, b.input_recorded(RUN, A, run=RUN)).when(ReadArtifact(uid=A), run=RUN).then()


def test_what_a_run_made_is_not_its_input():
    given(*READABLE).when(ReadArtifact(uid=A), run=OTHER).then()


def test_what_a_run_made_again_is_not_its_input():
    given(*READABLE, b.artifact_reproduced(A, run=RUN)).when(ReadArtifact(uid=A), run=RUN).then()


def test_a_read_outside_a_run_adds_nothing():
    given(*READABLE).when(ReadArtifact(uid=A)).then().and_ends_at(A)


def _fields(event):
    return {name: getattr(event, name) for name in event.__struct_fields__}
