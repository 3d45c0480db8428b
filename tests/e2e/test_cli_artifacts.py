"""`artifact add` and `get`: content in, and out again."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import pytest

from tests.e2e.command import made, metaledger


@pytest.fixture
def plates(made):
    """The folder, with some files to register."""
    (made / "a.csv").write_text("x\n1\n")
    (made / "plates" / "deep").mkdir(parents=True)
    (made / "plates" / "one.txt").write_text("one")
    (made / "plates" / "deep" / "two.txt").write_text("two")
    return made


def added(folder, *args):
    return metaledger(folder, "artifact", "add", *args, "--json").json_lines


def count(folder):
    return metaledger(folder, "info", "--json").json["counts"]["artifact"]


def test_a_file_is_registered_with_all_that_was_said_of_it(plates):
    metaledger(plates, "label", "add", "Raw")
    (artifact,) = added(
        plates, "a.csv", "--key", "raw/a.csv", "--description", "first", "--label", "Raw"
    )
    assert (artifact["key"], artifact["description"]) == ("raw/a.csv", "first")
    shown = metaledger(plates, "show", artifact["uid"], "--json").json
    assert [label["name"] for label in shown["relations"]["labels"]] == ["Raw"]


@pytest.mark.parametrize("spelling", ["{}", "file://{}", "~/plates"])
def test_each_file_of_a_folder_is_registered_however_the_folder_is_spelled(
    plates, monkeypatch, spelling
):
    monkeypatch.setenv("HOME", str(plates))
    place = spelling.format(plates / "plates")
    keys = [it["key"] for it in added(plates, place, "--each")]
    assert keys == ["plates/deep/two.txt", "plates/one.txt"]


def test_people_get_a_table(plates):
    said = metaledger(plates, "artifact", "add", "a.csv", "--key", "a.csv")
    assert said.out.splitlines()[0].startswith("uid ")
    assert "a.csv" in said.out


def test_the_same_content_again_is_the_same_artifact(plates):
    first = added(plates, "a.csv")
    head = metaledger(plates, "info", "--json").json["head"]
    assert added(plates, "a.csv")[0]["uid"] == first[0]["uid"]
    assert metaledger(plates, "info", "--json").json["head"] == head


def test_in_mode_error_the_same_content_is_refused(plates):
    uid = added(plates, "a.csv")[0]["uid"]
    said = metaledger(plates, "artifact", "add", "a.csv", "--if-hash-exists", "error", status=1)
    assert uid in said.err


def test_an_unknown_mode_is_a_usage_error(plates):
    said = metaledger(plates, "artifact", "add", "a.csv", "--if-hash-exists", "no", status=2)
    assert "warn_create_new" in said.err


def test_several_paths_are_registered_at_once(plates):
    assert len(added(plates, "a.csv", "plates")) == 2
    assert count(plates) == 2


def test_each_registers_the_files_below_a_folder(plates):
    keys = {artifact["key"] for artifact in added(plates, "plates", "--each", "--key", "raw")}
    assert keys == {"raw/one.txt", "raw/deep/two.txt"}


def test_one_key_does_not_name_several_paths(plates):
    metaledger(plates, "artifact", "add", "a.csv", "plates", "--key", "k", status=2)
    assert count(plates) == 0


def test_a_missing_file_is_named_and_nothing_registered(plates):
    said = metaledger(plates, "artifact", "add", "a.csv", "nowhere.csv", status=1)
    assert "nowhere.csv" in said.err
    assert count(plates) == 0


def test_an_unknown_label_is_named_with_the_nearest_and_nothing_registered(plates):
    metaledger(plates, "label", "add", "Immune study")
    said = metaledger(plates, "artifact", "add", "a.csv", "--label", "Imune study", status=1)
    assert "did you mean 'Immune study'" in said.err
    assert count(plates) == 0


@pytest.mark.parametrize("key", ["/absolute", "../up", ""])
def test_a_key_that_is_none_is_refused(plates, key):
    said = metaledger(plates, "artifact", "add", "a.csv", "--key", key, status=1)
    assert "Artifact.key" in said.err


def test_get_copies_content_under_its_own_name(plates):
    (artifact,) = added(plates, "a.csv", "--key", "raw/a.csv")
    out = plates / "out"
    out.mkdir()
    said = metaledger(plates, "get", artifact["uid"][:8], "out")
    assert said.out == f"{out / 'a.csv'}\n"
    assert (out / "a.csv").read_text() == "x\n1\n"


def test_get_copies_to_the_working_folder_by_default(plates):
    (artifact,) = added(plates, "a.csv")
    said = metaledger(plates, "get", artifact["uid"], "--json")
    assert said.json == {
        "uid": artifact["uid"],
        "path": str(plates / f"{artifact['uid']}.csv"),
    }


def test_get_copies_a_folder(plates):
    (artifact,) = added(plates, "plates")
    metaledger(plates, "get", artifact["uid"], "copy")
    assert (plates / "copy" / "deep" / "two.txt").read_text() == "two"


def test_get_copies_what_was_registered_in_place(plates):
    (plates / "storage" / "kept").mkdir(parents=True)
    (plates / "storage" / "kept" / "b.txt").write_text("in place")
    (artifact, folder) = added(plates, "storage/kept/b.txt", "storage/kept")
    assert artifact["in_place"]
    metaledger(plates, "get", artifact["uid"], "b.txt")
    assert (plates / "b.txt").read_text() == "in place"
    metaledger(plates, "get", folder["uid"], "copied")
    assert (plates / "copied" / "b.txt").read_text() == "in place"
    (plates / "storage" / "kept" / "b.txt").write_text("changed!")
    assert artifact["uid"] in metaledger(plates, "get", artifact["uid"], "c.txt", status=1).err
    assert not (plates / "c.txt").exists()


def test_get_overwrites_nothing(plates):
    (artifact,) = added(plates, "a.csv")
    (plates / "taken.csv").write_text("mine")
    said = metaledger(plates, "get", artifact["uid"], "taken.csv", status=1)
    assert "taken.csv" in said.err
    assert (plates / "taken.csv").read_text() == "mine"


def test_get_hands_out_no_damaged_content(plates):
    (artifact,) = added(plates, "a.csv")
    stored = plates / "storage" / ".metaledger" / f"{artifact['uid']}.csv"
    stored.chmod(0o644)
    stored.write_text("x\n2\n")
    said = metaledger(plates, "get", artifact["uid"], "copy.csv", status=1)
    assert artifact["uid"] in said.err
    assert not (plates / "copy.csv").exists()


def test_get_wants_a_folder_that_exists(plates):
    (artifact,) = added(plates, "a.csv")
    assert "no/such" in metaledger(plates, "get", artifact["uid"], "no/such/x", status=1).err
