"""One script, twice: whatever it does, the second pass adds nothing."""

# What is expected to fail is a batch, and what stands in it is what it takes back.
# ruff: noqa: PT012

from __future__ import annotations

import pytest

import ledger as ln
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    ContentExistsError,
    NameTakenError,
    StorageError,
)
from ledger.tracking.context import context
from tests.support.histories import artifact, label, rename, repeats

pytestmark = pytest.mark.usefixtures("bench")


# --- one script, twice ----------------------------------------------------------------------------


def test_one_intent_many_times_is_recorded_once(bench):
    repeats(bench, lambda: [label("x").uid for _ in range(50)], tags=["record-created"])
    assert "50 intents (50 already recorded, 0 without effect), 0 new events" in bench.receipt


def test_saving_the_same_object_twice_is_one_intent(bench):
    def script():
        once = ln.ULabel("x", description="a")
        once.save()
        once.save()

    repeats(bench, script, tags=["record-created"])
    assert "1 intent (1 already recorded" in bench.receipt


def test_a_rename_and_its_way_back_add_nothing_again(bench, lab):
    def script():
        it = label("x")
        rename(it, "y")
        rename(it, "x")
        return rename(it, "y").name

    repeats(bench, script, tags=["record-created", *["record-changed"] * 3])
    assert lab.names() == ["y"]


def test_names_that_change_places_add_nothing_again(bench, lab):
    def script():
        one, two = label("one"), label("two")
        rename(one, "three")
        rename(two, "one")
        rename(one, "two")
        return [label("one").uid, label("two").uid]

    repeats(bench, script)
    assert lab.names() == ["one", "two"]


def test_deleting_and_restoring_add_nothing_again(bench, lab):
    def script():
        it = label("x")
        it.delete()
        it.restore()
        it.delete()
        return it.uid

    repeats(
        bench,
        script,
        tags=["record-created", "record-trashed", "record-restored", "record-trashed"],
    )
    assert lab.names() == []


def test_withdrawing_for_good_and_making_anew_add_nothing_again(bench, lab):
    def script():
        first = label("x")
        first.delete(permanent=True)
        second = label("x")
        second.description = "second"
        second.save()
        return [first.uid, second.uid]

    repeats(bench, script)
    assert lab.names() == ["x"]
    assert sorted(row["n"] for row in lab.find("ulabel")) == [1, 2]


def test_labels_put_on_and_taken_off_add_nothing_again(bench, lab):
    def script():
        made, one = artifact(lab, "content"), label("one")
        made.labels.add(one, label("two"))
        made.labels.remove(one)
        made.labels.add(one)
        made.labels.remove(one)
        return [it.name for it in made.labels.all()]

    repeats(bench, script)
    assert [it.name for it in ln.Artifact.filter().one().labels.all()] == ["two"]


def test_reading_before_and_after_making_adds_nothing_again(bench, lab):
    source = artifact(lab, "source", "source.txt")

    def script():
        ln.Artifact.get(key="source.txt").load()
        made = artifact(lab, "made", "made.txt")
        made.load()
        return ln.Artifact.get(key="source.txt").load()

    repeats(bench, script, tags=["input-recorded", "artifact-registered"])
    assert [it.uid for it in ln.Run.filter().one().inputs] == [source.uid]


def test_what_was_read_and_then_made_again_is_input_and_output(bench, lab):
    artifact(lab, "content", "data.txt")

    def script():
        ln.Artifact.get(key="data.txt").load()
        artifact(lab, "content", "data.txt")

    repeats(bench, script, tags=["input-recorded", "artifact-reproduced"])


def test_a_collection_adds_nothing_again(bench, lab):
    def script():
        members = [artifact(lab, text) for text in "ab"]
        one = ln.Collection(members, name="both", description="old").save()
        one.description = "new"
        one.save()
        twin = ln.Collection(members, name="both", if_hash_exists="warn_create_new").save()
        return [one.uid, twin.uid, ln.Collection(members, name="both").save().uid]

    repeats(bench, script)
    assert len(lab.find("collection")) == 2


def test_mode_error_of_a_collection_is_quiet_again(bench, lab):
    def script():
        ln.Collection([artifact(lab, "a")], name="one", if_hash_exists="error").save()

    repeats(bench, script)


def test_many_records_saved_at_once_add_nothing_again(bench, lab):
    folder = lab.folder / "many"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.txt").write_text(f"content {number}")

    def script():
        ln.save([ln.ULabel(f"label {number}") for number in range(5)])
        return [it.uid for it in ln.save(ln.Artifact.from_dir(folder, key="many"))]

    repeats(bench, script, tags=["record-created"] * 5 + ["artifact-registered"] * 5)


def test_a_transform_made_by_hand_adds_nothing_again(bench):
    def script():
        made = ln.Transform(name="pipeline", version="1").save()
        made.description = "by hand"
        made.save()
        return made.uid

    repeats(bench, script)


def test_a_new_version_by_replacing_adds_nothing_again(bench, lab):
    def script():
        made = artifact(lab, "old", "data.txt")
        made.replace(lab.write("data.txt", "new"))
        made.save()
        return made.uid

    repeats(bench, script, tags=["artifact-registered", "artifact-registered"])


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_adds_nothing_again(bench, lab):
    def script():
        with ln.batch():
            made = artifact(lab, "content")
            made.labels.add(label("x"))
        return made.uid

    repeats(bench, script)


def test_a_batch_that_fails_leaves_nothing_and_the_next_pass_agrees(bench, lab):
    def script():
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("x", description="lost")
            label("y")
            raise ZeroDivisionError
        label("x")

    repeats(bench, script, tags=["record-created"])
    assert lab.names() == ["x"]
    assert ln.ULabel.get(name="x").description is None


def test_a_batch_that_fails_leaves_the_counts_of_the_receipt_true(bench):
    with bench.passing():
        label("x")
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("x")
            label("y")
            raise ZeroDivisionError
    assert "1 intent (0 already recorded, 0 without effect), 6 new events" in bench.receipt


def test_a_fork_within_a_batch_that_fails_did_not_happen(bench, lab):
    with bench.passing():
        label("x")
    with bench.passing() as tags:
        label("x")
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("new")
            raise ZeroDivisionError
        assert context.run.ordinal == 1
    assert tags == []
    assert lab.statuses() == ["finished"]


def test_a_resumption_within_a_batch_that_fails_did_not_happen(bench):
    with bench.passing(ends="vanish"):
        label("x")
    with bench.passing() as tags:
        label("x")
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("y")
            raise ZeroDivisionError
        label("z")
    assert tags == ["run-resumed", "record-created", "run-finished"]


def test_intents_without_effect_before_a_failing_batch_are_not_lost(bench):
    label("x", description="old")
    with bench.passing():
        label("x", description="old")
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("y")
            raise ZeroDivisionError
    curated = ln.ULabel.get(name="x")
    curated.description = "curated"
    curated.save()
    with bench.passing() as tags:
        label("x", description="old")
    assert tags == []
    assert ln.ULabel.get(name="x").description == "curated"


def test_a_refused_save_within_a_batch_takes_nothing_else_along(bench, lab):
    label("taken")

    def script():
        with ln.batch():
            it = label("x")
            with pytest.raises(NameTakenError):
                rename(it, "taken")
            label("y")

    with bench.passing():
        script()
    assert lab.names() == ["taken", "x", "y"]
    with bench.passing() as again:
        script()
    assert again == []


def test_a_pass_that_begins_within_a_batch_that_fails_never_began(lab):
    with pytest.raises(ZeroDivisionError), ln.batch():
        ln.track()
        label("x")
        raise ZeroDivisionError
    assert not context.is_tracking
    assert lab.find("run") == []
    assert lab.tags() == ["ledger-initialized"]


def test_a_pass_that_finishes_within_a_batch_that_fails_is_still_in_hand(bench, lab):
    with bench.passing():
        with pytest.raises(ZeroDivisionError), ln.batch():
            label("x")
            ln.finish()
            raise ZeroDivisionError
        assert context.is_tracking
        label("y")
    assert lab.statuses() == ["finished"]
    assert lab.names() == ["y"]


@pytest.mark.parametrize("lab", ["sqlite"], indirect=True)  # whose lock is taken from outside
def test_a_batch_of_what_is_known_takes_no_lock(bench, lab):
    def script():
        with ln.batch():
            made = artifact(lab, "content")
            made.labels.add(label("x"), label("y"))
        ln.save([ln.ULabel("x"), ln.ULabel("y")])

    with bench.passing():
        script()
    other = SqliteDatabase(lab.ledger.place.database_path, lambda: 0)
    try:
        # Another process that writes all the while keeps no replay waiting.
        with other.write(), bench.passing():
            script()
    finally:
        other.close()
    assert "0 new events" in bench.receipt


# --- exceptions -----------------------------------------------------------------------------------


def test_a_refusal_that_the_script_expects_comes_again(bench, lab):
    label("taken")

    def script():
        try:
            rename(label("x"), "taken")
        except NameTakenError:
            label("refused")

    repeats(bench, script, tags=["record-created", "record-created"])
    assert lab.names() == ["refused", "taken", "x"]


def test_a_retry_after_a_refusal_adds_nothing_again(bench, lab):
    def script():
        taken, it = label("taken"), label("x")
        try:
            rename(it, "taken")
        except NameTakenError:
            rename(taken, "free")
            it.save()

    repeats(bench, script)
    assert lab.names() == ["free", "taken"]


def test_content_that_exists_is_refused_again_where_the_script_expects_it(bench, lab):
    artifact(lab, "content")

    def script():
        try:
            artifact(lab, "content", if_hash_exists="error")
        except ContentExistsError:
            return label("refused").name
        return "made"

    repeats(bench, script, tags=["record-created"])
    assert lab.contents() == ["content"]


def test_a_save_whose_content_cannot_be_stored_forks_nothing(bench, lab, monkeypatch):
    with bench.passing():
        artifact(lab, "monday")

    def full(*_):
        raise StorageError("disk full")

    with bench.passing() as tags:
        with monkeypatch.context() as patch:
            patch.setattr("ledger.registries.local_content.LocalContent.prepare", full)
            with pytest.raises(StorageError):
                artifact(lab, "tuesday")
        artifact(lab, "monday")
    assert tags == []
    assert lab.statuses() == ["finished"]
