"""What the public door promises: its names, where it finds the ledger, what its records do.

Every claim goes through `import ledger as ln`, on real files.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from tests.support.door import artifact, file, label, names, nothing_recorded

PROJECT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("here")


# --- the door -------------------------------------------------------------------------------------


def test_public_names_are_exactly_these():
    assert ln.__all__ == [
        "Artifact",
        "Collection",
        "Feature",
        "Q",
        "Record",
        "Run",
        "Transform",
        "ULabel",
        "__version__",
        "as_of",
        "audit",
        "backup",
        "batch",
        "bridges",
        "checkpoint",
        "close",
        "connect",
        "context",
        "core",
        "diff",
        "erase",
        "errors",
        "field",
        "find",
        "finish",
        "happened",
        "head",
        "init",
        "join",
        "loaders",
        "log",
        "plan",
        "prove",
        "registries",
        "registry",
        "save",
        "settings",
        "since",
        "status",
        "tag",
        "tags",
        "track",
        "verify",
    ]


def test_dir_of_the_package_is_its_public_names():
    assert dir(ln) == sorted(ln.__all__)


@pytest.mark.parametrize("name", [name for name in ln.__all__ if name != "__version__"])
def test_every_public_name_loads_and_is_documented(name):
    assert getattr(ln, name).__doc__


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Artefact'"):
        ln.Artefact  # noqa: B018 (the access is the test)


def test_import_alone_loads_no_heavy_module():
    heavy = [
        "pyarrow",
        "pandas",
        "numpy",
        "rich",
        "fsspec",
        "rapidfuzz",
        "eventsourcing",
        "sqlite3",
    ]
    code = f"import sys, ledger; print([n for n in {heavy} if n in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


# --- where the ledger is --------------------------------------------------------------------------


def test_a_ledger_is_found_from_a_folder_below(here, monkeypatch):
    label("above")
    below = here / "a" / "b"
    below.mkdir(parents=True)
    monkeypatch.chdir(below)
    assert names(ln.ULabel.filter()) == ["above"]


def test_the_nearest_of_nested_ledgers_counts(here, monkeypatch):
    label("outer")
    inner = here / "inner"
    inner.mkdir()
    ln.init("storage", root=inner)
    monkeypatch.chdir(inner)
    label("inner")
    assert names(ln.ULabel.filter()) == ["inner"]
    monkeypatch.chdir(here)
    assert names(ln.ULabel.filter()) == ["outer"]


def test_changing_the_folder_changes_the_ledger_and_records_stay_with_theirs(
    here, tmp_path, monkeypatch
):
    mine = label("mine")
    other = tmp_path / "other"
    ln.init("storage", root=other)
    monkeypatch.chdir(other)
    label("theirs")
    mine.description = "said from elsewhere"
    mine.save()
    assert names(ln.ULabel.filter()) == ["theirs"]
    monkeypatch.chdir(here)
    assert ln.ULabel.get(name="mine").description == "said from elsewhere"


def test_connect_names_the_ledger_whatever_the_working_folder(here, tmp_path, monkeypatch):
    label("here")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    ln.connect(here)
    assert names(ln.ULabel.filter()) == ["here"]
    ln.connect(here.as_uri())
    assert names(ln.ULabel.filter()) == ["here"]


def test_the_variable_names_the_ledger(tmp_path, monkeypatch):
    other = tmp_path / "other"
    ln.init("storage", root=other)
    monkeypatch.setenv("METALEDGER_URL", str(other))
    label("through the variable")
    monkeypatch.delenv("METALEDGER_URL")
    assert ln.ULabel.filter().count() == 0
    monkeypatch.setenv("METALEDGER_URL", other.as_uri())
    assert names(ln.ULabel.filter()) == ["through the variable"]


def test_connect_comes_before_the_variable(here, tmp_path, monkeypatch):
    other = tmp_path / "other"
    ln.init("storage", root=other)
    monkeypatch.setenv("METALEDGER_URL", str(other))
    ln.connect(here)
    label("connected")
    assert names(ln.ULabel.filter()) == ["connected"]
    ln.connect(other)
    assert ln.ULabel.filter().count() == 0


def test_a_run_in_hand_stays_with_its_ledger_when_the_folder_changes(tmp_path, monkeypatch):
    other = tmp_path / "other"
    ln.init("storage", root=other)
    run = ln.track(key="t.py", new_run=True)
    monkeypatch.chdir(other)
    assert label("still there").run == run
    ln.finish()
    assert ln.ULabel.filter().count() == 0


def test_a_ledger_made_anew_in_the_same_folder_is_another_ledger(here):
    label("old")
    ln.close()
    for path in (here / ".metaledger").iterdir():
        if path.is_file():
            path.unlink()
    ln.init("storage")
    ln.connect(here)
    assert ln.ULabel.filter().count() == 0


def test_a_closed_ledger_opens_again_when_it_is_used():
    label("a")
    ln.close()
    assert names(ln.ULabel.filter()) == ["a"]
    ln.close()
    assert label("b").is_saved


# --- records --------------------------------------------------------------------------------------


def test_constructing_writes_nothing_and_saving_writes_once():
    with nothing_recorded():
        new = ln.ULabel(name="x", description="y")
    before = ln.head()
    assert new.save() is new
    assert ln.head() == before + 1
    with nothing_recorded():
        new.save()
        ln.ULabel(name="x", description="y").save()


def test_an_unsaved_record_has_no_uid():
    with pytest.raises(ln.errors.NotSavedError, match="save"):
        ln.ULabel(name="x").uid  # noqa: B018 (the access is the test)


def test_fields_given_for_an_existing_record_are_applied_when_it_is_saved():
    label("x", description="first")
    again = ln.ULabel(name="x", description="second")
    assert ln.ULabel.get(name="x").description == "first"
    again.save()
    assert ln.ULabel.get(name="x").description == "second"


def test_a_description_can_be_taken_back():
    record = label("x", description="first")
    record.description = None
    record.save()
    assert ln.ULabel.get(name="x").description is None


def test_a_name_is_one_record_in_any_unicode_form():
    label("Zo\u00eb")
    with nothing_recorded():
        label("Zoe\u0308")
    assert ln.ULabel.filter(name="Zoe\u0308").count() == 1


def test_a_rename_keeps_the_record_and_its_links():
    record = label("old")
    marked = artifact("a.txt")
    marked.labels.add(record)
    record.name = "new"
    record.save()
    assert names(marked.labels.all()) == ["new"]
    assert ln.Artifact.filter(labels__name="old").count() == 0
    with nothing_recorded():
        assert label("old") == record


def test_trash_hides_and_restore_brings_back():
    record = label("x")
    record.delete()
    assert ln.ULabel.filter().count() == 0
    assert ln.ULabel.filter(is_trashed=True).one() == record
    assert ln.ULabel.filter().with_trash().count() == 1
    assert ln.ULabel.get(record.uid).is_trashed is True
    with nothing_recorded():
        record.delete()
        assert label("x") == record
    assert ln.ULabel.filter().count() == 0
    record.restore()
    assert record.is_trashed is False
    assert ln.ULabel.filter().one() == record


def test_a_withdrawn_record_frees_its_name_and_is_not_found():
    first = label("x")
    first.delete(permanent=True)
    assert ln.ULabel.filter().with_trash().count() == 0
    with pytest.raises(ln.errors.NotFoundError):
        ln.ULabel.get(first.uid)
    second = label("x")
    assert second.uid != first.uid
    with pytest.raises(ln.errors.NotFoundError, match="withdrawn"):
        first.restore()


@pytest.mark.parametrize("how", ["withdrawn", "renamed", "merged"])
def test_a_record_of_a_name_given_up_is_changed_like_the_first(how):
    first, other = label("x"), label("y")
    label("x", description="newer")
    label("x", description="new")
    if how == "withdrawn":
        first.delete(permanent=True)
        other = label("x")
        label("x", description="newest")
    elif how == "renamed":
        first.name, other.name = "z", "x"
        first.save()
        other.save()
    else:
        label("y", description="newest")
        first.merge_into(other)
    changed = ln.ULabel(name="x", description="new").save()
    assert changed.uid == other.uid
    assert ln.ULabel.get(other.uid).description == "new"
    assert ln.audit().ok


def test_restore_is_refused_while_another_bears_the_name():
    first = label("x")
    first.delete()
    second = label("y")
    second.name = "x"
    second.save()
    with nothing_recorded(), pytest.raises(ln.errors.NameTakenError, match=second.uid):
        first.restore()


def test_records_are_equal_where_registry_and_uid_are():
    one = label("x")
    assert one == ln.ULabel.get(one.uid)
    assert len({one, ln.ULabel.get(one.uid)}) == 1
    assert one != label("y")
    assert one != one.uid


def test_what_was_assigned_outlives_a_link():
    record = artifact("a.txt")
    record.description = "not saved yet"
    record.labels.add(label("x"))
    assert record.description == "not saved yet"
    record.save()
    assert ln.Artifact.get(record.uid).description == "not saved yet"


def test_a_found_artifact_that_was_linked_before_it_was_saved_still_gets_its_key():
    artifact("a.txt", "same")
    again = ln.Artifact(file("b.txt", "same"), key="second/key", description="d")
    again.labels.add(label("x"))
    again.save()
    assert again.keys == ["second/key"]
    assert ln.Artifact.get(key="second/key").description == "d"


# --- labels and other relations -------------------------------------------------------------------


def test_labels_are_added_once_and_removed():
    record, one, two = artifact("a.txt"), label("one"), label("two")
    record.labels.add(one, two)
    assert names(record.labels.all()) == ["one", "two"]
    with nothing_recorded():
        record.labels.add(two, one)
    record.labels.remove(one)
    assert names(record.labels) == ["two"]
    with nothing_recorded():
        record.labels.remove(one)
    assert record.labels.filter(name__startswith="t").one() == two
    assert record.labels.count() == 1
    assert two.artifacts.all() == [record]


def test_links_come_in_the_order_in_which_they_were_made():
    record = artifact("a.txt")
    one, two, three = label("one"), label("two"), label("three")
    for each in (three, one, two):
        record.labels.add(each)
    assert names(record.labels) == ["three", "one", "two"]
    assert record.labels.first() == three
    assert record.labels.last() == two


def test_one_bad_record_among_labels_links_none():
    record, good = artifact("a.txt"), label("good")
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="ULabel"):
        record.labels.add(good, record)
    with nothing_recorded(), pytest.raises(ln.errors.NotSavedError):
        record.labels.add(good, ln.ULabel(name="not saved"))
    assert record.labels.all() == []


def test_members_of_a_collection_cannot_be_changed_by_hand():
    one, two = artifact("a.txt"), artifact("b.txt")
    collection = ln.Collection([one], name="c").save()
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="by hand"):
        collection.artifacts.add(two)
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="by hand"):
        collection.artifacts.remove(one)


def test_a_relation_held_by_the_other_side_says_where_to_change_it():
    with pytest.raises(ln.errors.InvalidValueError, match="on an Artifact"):
        label("x").artifacts.add(artifact("a.txt"))


def test_collections_take_labels():
    collection = ln.Collection([artifact("a.txt")], name="c").save()
    tag = label("x")
    collection.labels.add(tag)
    assert tag.collections.all() == [collection]
    assert ln.Collection.filter(labels=tag).one() == collection


# --- many at once ---------------------------------------------------------------------------------


def test_from_dir_makes_an_artifact_a_file_and_save_groups_them():
    for name in ("d/a.txt", "d/sub/b.txt", "d/sub/deep/c.txt"):
        file(name)
    with nothing_recorded():
        found = ln.Artifact.from_dir("d")
    assert ln.save(found) == found
    assert [record.key for record in found] == ["d/a.txt", "d/sub/b.txt", "d/sub/deep/c.txt"]
    with nothing_recorded():
        ln.save(ln.Artifact.from_dir("d"))
    ln.save(ln.Artifact.from_dir("d", key="raw/2024/"))
    assert ln.Artifact.get(key="raw/2024/sub/b.txt") == found[1]


def test_save_takes_records_of_any_kind_and_duplicates():
    one = artifact("a.txt")
    records = [
        ln.ULabel(name="x"),
        ln.ULabel(name="x"),
        ln.Artifact(file("b.txt", "same"), key="b"),
        ln.Artifact(file("c.txt", "same"), key="c"),
        ln.Transform(name="t", key="t.py", version="1"),
        ln.Collection([one], name="c"),
    ]
    saved = ln.save(records)
    assert saved[0] == saved[1]
    assert saved[2] == saved[3]
    assert ln.ULabel.filter().count() == 1
    assert ln.Artifact.filter().count() == 2


def test_save_of_nothing_is_nothing():
    with nothing_recorded():
        assert ln.save([]) == []


# --- views of the past ----------------------------------------------------------------------------


def test_a_query_as_of_a_position_answers_as_it_was_then():
    record = label("first name")
    then = ln.head()
    record.name = "second name"
    record.save()
    label("later")
    assert names(ln.ULabel.filter().as_of(then)) == ["first name"]
    past = ln.ULabel.filter().as_of(then).one()
    with pytest.raises(ln.errors.ReadOnlyViewError, match=str(then)):
        past.save()
    with pytest.raises(ln.errors.ReadOnlyViewError):
        past.delete()


# --- what a stranger's script does ----------------------------------------------------------------


def test_a_script_run_twice_adds_nothing():
    Path("script.py").write_text(
        "import ledger as ln\n"
        "ln.track(params={'n': 1})\n"
        "a = ln.Artifact('in.txt', key='in.txt').save()\n"
        "a.labels.add(ln.ULabel(name='x', description='d').save())\n"
        "ln.finish()\n"
        "import json; print(json.dumps([ln.head(), ln.context.last_run.uid]))\n"
    )
    file("in.txt")
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    said = [
        subprocess.run(
            [sys.executable, "script.py"], env=env, capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    ]
    assert json.loads(said[0]) == json.loads(said[1])
