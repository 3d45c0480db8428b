"""Content decides which artifact is meant; keys move; versions follow; runs reproduce once."""

from __future__ import annotations

import pytest

from ledger.decisions.artifacts import find_content
from ledger.errors import CommandRejectedError, ContentExistsError, NotFoundError
from ledger.model.commands import Content, SaveArtifact, SaveCollection
from ledger.model.events import ArtifactRegistered, CollectionCreated
from ledger.model.ids import versioned_uid
from tests.support import builders as b
from tests.unit.decisions.telling import given

A, A2, B = b.artifact_uid("a"), b.artifact_uid("a", 2), b.artifact_uid("b")
RUN, OTHER = b.run_uid(1), b.run_uid(2)
STUDY = b.collection_uid("study")


def content(text, **more):
    values = {
        "hash": text,
        "hash_type": "md5",
        "digest": f"sha256:{text}",
        "size": len(text),
        "n_files": None,
        "suffix": ".txt",
        "storage": "data",
    }
    return Content(**values | more)


def save(text, digest=None, in_place=None, **more):
    held = content(text, in_place=in_place, **({} if digest is None else {"digest": digest}))
    return SaveArtifact(content=held, **more)


def stem_of(uid):
    return uid[:16]


def registered(text, n=1, *, stem=None, **more):
    """The event that registers content as the rules do."""
    uid = versioned_uid(["create", "artifact", "md5", text, n], stem_length=16, stem=stem)
    values = {
        "uid": uid,
        "natural": ["artifact", "md5", text],
        "n": n,
        "suffix": ".txt",
        "hash": text,
        "hash_type": "md5",
        "digest": f"sha256:{text}",
        "size": len(text),
        "storage": "data",
        "storage_key": f".metaledger/{uid}.txt",
        "at": b.EPOCH,
        "actor": b.ACTOR,
        "command": [],
    }
    return ArtifactRegistered(**values | more)


# --- which artifact -------------------------------------------------------------------------------


def test_new_content_is_a_new_artifact():
    given().when(save("a", key="k", fields={"description": "d"})).then(
        registered("a", key="k", description="d")
    )


def test_the_same_content_is_the_same_artifact():
    given(b.artifact_registered("a")).when(save("a")).then().and_ends_at(A)


def test_trashed_content_is_the_same_artifact():
    given(b.artifact_registered("a"), b.trashed("artifact", A)).when(save("a")).then().and_ends_at(
        A
    )


def test_withdrawn_content_is_registered_anew():
    given(b.artifact_registered("a"), b.withdrawn("artifact", A)).when(save("a")).then(
        registered("a", 2)
    )


def test_another_digest_under_the_same_hash_is_other_content_and_said_loudly():
    given(b.artifact_registered("a")).when(save("a", digest="sha256:forged")).then(
        registered("a", 2, digest="sha256:forged")
    ).and_says("DIFFERENT bytes")


TWINS = (b.artifact_registered("a", key="one"), b.artifact_registered("a", n=2, key="two"))


@pytest.mark.parametrize(("key", "meant"), [("one", A), ("two", A2), (None, A), ("three", A)])
def test_of_several_with_one_content_the_one_under_the_key_then_the_oldest_is_meant(key, meant):
    row = find_content(given(*TWINS).models, save("a", key=key))
    assert row["uid"] == meant


def test_of_several_with_one_content_the_one_that_had_the_key_is_meant():
    models = given(*TWINS, b.artifact_registered("b", key="two")).models
    assert find_content(models, save("a", key="two"))["uid"] == A2


def test_of_several_with_one_content_a_live_one_comes_before_a_trashed_one():
    models = given(*TWINS, b.trashed("artifact", A)).models
    assert find_content(models, save("a", key="one"))["uid"] == A2


# --- modes ----------------------------------------------------------------------------------------


def test_mode_error_refuses_content_that_is_there():
    given(b.artifact_registered("a")).when(save("a", mode="error")).rejects(
        ContentExistsError, f"artifact {A}"
    )


def test_mode_error_lets_new_content_in():
    given().when(save("a", mode="error")).then(registered("a"))


def test_mode_error_lets_the_record_be_saved_that_the_caller_was_shown():
    given(b.artifact_registered("a")).when(save("a", mode="error", target=A)).then()


def test_a_twin_on_demand_shares_the_stored_content():
    given(b.artifact_registered("a")).when(save("a", mode="warn_create_new")).then(
        registered("a", 2, storage_key=".metaledger/a")
    )


def test_a_twin_on_demand_in_another_storage_is_stored_there():
    given(b.artifact_registered("a", storage="elsewhere")).when(
        save("a", mode="warn_create_new")
    ).then(registered("a", 2))


def test_content_left_in_place_is_named_where_it_lies():
    given().when(save("a", in_place="raw/a.txt")).then(
        registered("a", storage_key="raw/a.txt", in_place=True)
    )


# --- keys and versions ----------------------------------------------------------------------------


def test_new_content_under_a_key_is_a_new_version():
    given(b.artifact_registered("a", key="k")).when(save("b", key="k")).then(
        registered("b", stem=stem_of(A), key="k", revises=A, displaced=1)
    ).and_says(f"revises artifact {A}")


def test_known_content_under_another_key_bears_both():
    given(b.artifact_registered("a", key="k")).when(save("a", key="l")).then(
        b.artifact_keyed(A, "l")
    )


def test_content_that_comes_back_under_its_key_takes_it_again():
    given(b.artifact_registered("a", key="k"), b.artifact_registered("b", key="k", revises=A)).when(
        save("a", key="k")
    ).then(b.artifact_keyed(A, "k", displaced=2))


def test_content_that_is_gone_is_stored_again_or_found_in_place():
    stored = b.artifact_registered("a")
    place = (stored.storage, stored.storage_key)
    given(stored).when(save("a", gone=place)).then(b.artifact_relocated(A, place[1])).and_says(
        "stored again"
    )
    moved = b.artifact_relocated(A, "raw/a.txt", in_place=True)
    given(stored).when(save("a", in_place="raw/a.txt", gone=place)).then(moved).and_says("lies at")
    given(stored, moved).when(save("a", gone=("data", "raw/a.txt"))).then(
        b.artifact_relocated(A, f".metaledger/{A}")
    )


def test_content_that_another_process_healed_meanwhile_is_left_alone():
    stored = b.artifact_registered("a")
    healed = b.artifact_relocated(A, "raw/a.txt", in_place=True)
    given(stored, healed).when(save("a", gone=("data", stored.storage_key))).then()


def test_a_revision_that_is_named_is_the_one():
    given(b.artifact_registered("a")).when(save("b", revises=A)).then(
        registered("b", stem=stem_of(A), revises=A)
    ).and_says_nothing()


def test_a_revision_of_what_is_not_there_is_refused():
    given().when(save("b", revises=A)).rejects(NotFoundError, "not in this ledger")


def test_a_key_whose_artifact_was_withdrawn_founds_a_new_family():
    given(b.artifact_registered("a", key="k"), b.withdrawn("artifact", A)).when(
        save("b", key="k")
    ).then(registered("b", key="k"))


def test_a_description_that_differs_is_changed():
    given(b.artifact_registered("a", description="old")).when(
        save("a", fields={"description": "new"})
    ).then(b.changed("artifact", A, description="new"))


# --- runs -----------------------------------------------------------------------------------------

MADE = (b.run_started(1), b.run_started(2), b.artifact_registered("a", key="k", run=RUN))


def test_a_run_does_not_reproduce_what_it_made():
    given(*MADE).when(save("a", key="k"), run=RUN).then()


def test_another_run_reproduces_what_exists():
    given(*MADE).when(save("a", key="k"), run=OTHER).then(b.artifact_reproduced(A, run=OTHER))


def test_a_run_reproduces_what_exists_once():
    given(*MADE, b.artifact_reproduced(A, run=OTHER)).when(save("a", key="k"), run=OTHER).then()


def test_a_run_does_not_reproduce_what_it_made_after_another_did():
    given(*MADE, b.artifact_reproduced(A, run=OTHER)).when(save("a", key="k"), run=RUN).then()


def test_saving_outside_a_run_reproduces_nothing():
    given(*MADE).when(save("a", key="k")).then()


def test_all_that_a_save_asks_for_is_one_command():
    given(*MADE).when(save("a", key="l", fields={"description": "d"}), run=OTHER).then(
        b.artifact_reproduced(A, run=OTHER),
        b.artifact_keyed(A, "l", run=OTHER),
        b.changed("artifact", A, description="d", common={"run": OTHER}),
    )


# --- collections ----------------------------------------------------------------------------------

MEMBERS = (b.artifact_registered("a"), b.artifact_registered("b"))


def collect(name="study", members=(A, B), hashed=None, **more):
    hashed = f"hash of {name}" if hashed is None else hashed
    return SaveCollection(
        name=name, hash=hashed, digest=f"digest of {hashed}", artifacts=list(members), **more
    )


def created(name, hashed, n=1, *, stem=None, **more):
    uid = versioned_uid(["create", "collection", hashed, n], stem_length=16, stem=stem)
    values = {
        "uid": uid,
        "natural": ["collection", hashed],
        "n": n,
        "name": name,
        "hash": hashed,
        "digest": f"digest of {hashed}",
        "artifacts": [A, B],
        "at": b.EPOCH,
        "actor": b.ACTOR,
        "command": [],
    }
    return CollectionCreated(**values | more)


# As the rules create it: the natural key of a collection is the hash over its members.
EXISTING = b.collection_created(
    "study", [A, B], natural=["collection", "hash of study"], digest="digest of hash of study"
)


def test_new_members_are_a_new_collection():
    given(*MEMBERS).when(collect()).then(created("study", "hash of study"))


def test_the_same_members_are_the_same_collection():
    given(*MEMBERS, EXISTING).when(collect()).then().and_ends_at(STUDY)


def test_the_same_members_under_another_name_rename_the_collection():
    given(*MEMBERS, EXISTING).when(collect("other", hashed="hash of study")).then(
        b.changed("collection", STUDY, name="other")
    )


def test_other_members_under_a_name_are_a_new_version():
    given(*MEMBERS, EXISTING).when(collect(hashed="other")).then(
        created("study", "other", stem=stem_of(STUDY), revises=STUDY)
    ).and_says(f"revises collection {STUDY}")


def test_a_withdrawn_collection_is_made_anew():
    given(*MEMBERS, EXISTING, b.withdrawn("collection", STUDY)).when(collect()).then(
        created("study", "hash of study", 2)
    )


def test_members_of_other_digests_under_the_same_hash_are_another_collection():
    forged = collect()
    decision = (
        given(*MEMBERS, EXISTING)
        .when(SaveCollection(name=forged.name, hash=forged.hash, digest="forged", artifacts=[A, B]))
        .decision
    )
    assert decision.is_new
    assert decision.events[0].n == 2


def test_a_collection_of_nothing_is_refused():
    given().when(collect(members=())).rejects(CommandRejectedError, "at least one artifact")


def test_a_collection_of_what_is_not_there_is_refused():
    given(b.artifact_registered("a")).when(collect()).rejects(NotFoundError, "not in this ledger")


def test_mode_error_refuses_a_collection_that_is_there():
    given(*MEMBERS, EXISTING).when(collect(mode="error")).rejects(
        ContentExistsError, f"collection {STUDY}"
    )


def test_a_twin_of_a_collection_on_demand_is_another_one():
    decision = given(*MEMBERS, EXISTING).when(collect(mode="warn_create_new")).decision
    assert decision.is_new
    assert decision.events[0].n == 2
