"""`init`, `info`, `config`, `delete`: the ledger as a whole."""

# ruff: noqa: F401, F811, S607 (the fixture `made` is imported; git is the one on the path)

from __future__ import annotations

import datetime as dt
import subprocess

import pytest

from tests.e2e.command import made, metaledger


def test_init_makes_a_ledger_and_prints_its_id(tmp_path):
    said = metaledger(tmp_path, "init", "--storage", "./my storage", "--name", "study")
    assert (tmp_path / ".metaledger" / "config.toml").is_file()
    assert said.out.strip() == metaledger(tmp_path, "info", "--json").json["id"]
    assert "study" in said.err


def test_init_is_refused_where_a_ledger_is(made):
    said = metaledger(made, "init", "--storage", "./storage", status=1)
    assert said.err.startswith("error: ")
    assert "already" in said.err
    assert said.out == ""


def test_init_refuses_a_name_that_is_no_name(tmp_path):
    said = metaledger(tmp_path, "init", "--storage", "s", "--name", "../x", status=1)
    assert "'../x'" in said.err
    assert not (tmp_path / ".metaledger").exists()


def test_info_tells_what_the_ledger_is_and_holds(made):
    metaledger(made, "label", "add", "Immune study")
    said = metaledger(made, "info")
    assert "storage" in said.out
    assert str(made / ".metaledger" / "ledger.db") in said.out
    assert "position 2" in said.out
    assert "1 ulabel, 0 artifacts" in said.out
    assert "found from" in said.out


def test_info_as_json_is_one_document_with_iso_times(made):
    about = metaledger(made, "info", "--json").json
    assert about["root"] == str(made)
    assert about["head"] == 1
    assert about["counts"] == {
        "ulabel": 0, "feature": 0, "artifact": 0, "collection": 0, "transform": 0, "run": 0,
    }  # fmt: skip
    assert dt.datetime.fromisoformat(about["recorded_at"]).tzinfo is not None
    assert about["database_size"] > 0


def test_the_ledger_is_found_from_a_folder_below(made):
    below = made / "a" / "b"
    below.mkdir(parents=True)
    assert metaledger(below, "info", "--json").json["root"] == str(made)


def test_the_environment_names_another_ledger(made, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    about = metaledger(elsewhere, "info", "--json", METALEDGER_URL=str(made)).json
    assert about["root"] == str(made)
    assert "METALEDGER_URL" in about["origin"]


def test_outside_a_ledger_every_verb_names_the_way_in(tmp_path):
    for verb in (["info"], ["list", "label"], ["doctor"], ["search", "x"], ["label", "add", "x"]):
        said = metaledger(tmp_path, *verb, status=1)
        assert said.err.startswith("error: ")
        assert "metaledger init" in said.err
        assert said.out == ""


def test_a_broken_configuration_is_named(made):
    (made / ".metaledger" / "config.toml").write_text("[ledger]\nname = ")
    assert "config.toml" in metaledger(made, "info", status=1).err


def test_config_tells_where_each_value_comes_from(made):
    rows = metaledger(made, "config", "--json", METALEDGER_USER="ada").json
    sources = {row["setting"]: (row["value"], row["source"]) for row in rows}
    assert sources["user"] == ("ada", "environment variable METALEDGER_USER")
    assert sources["name"][0] == "storage"
    assert "config.toml" in sources["name"][1]
    assert sources["settings.verbosity"] == ("hint", "default")
    assert "ada" in metaledger(made, "config", METALEDGER_USER="ada").out


def test_delete_is_refused_while_the_storage_holds_content(made):
    (made / "a.txt").write_text("content")
    added = metaledger(made, "artifact", "add", "a.txt", "--json").json_lines[0]
    said = metaledger(made, "delete", "--force", "storage", status=1)
    assert added["uid"] in said.err
    assert metaledger(made, "get", added["uid"], "copy.txt").status == 0
    assert (made / "copy.txt").read_text() == "content"


def test_delete_takes_an_empty_ledger_away(made):
    assert "--force" in metaledger(made, "delete", "storage", status=1).err
    metaledger(made, "delete", "storage", "--force")
    assert not (made / ".metaledger").exists()
    metaledger(made, "info", status=1)


def test_delete_wants_the_right_name(made):
    assert "'storage'" in metaledger(made, "delete", "other", "--force", status=1).err
    assert (made / ".metaledger" / "ledger.db").exists()


def test_a_ledger_beside_its_own_content_can_be_deleted(tmp_path):
    metaledger(tmp_path, "init", "--storage", ".", "--name", "both")
    metaledger(tmp_path, "delete", "both", "--force")
    assert not (tmp_path / ".metaledger").exists()


@pytest.mark.parametrize("storage", ["./storage", ".", "./.metaledger/storage", "./odd [name]*"])
def test_git_sees_neither_database_nor_content(tmp_path, storage):
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / ".gitignore").write_text("*.pyc")
    (tmp_path / "a.txt").write_text("1")
    (tmp_path / "a.pyc").write_text("1")
    metaledger(tmp_path, "init", "--storage", storage)
    metaledger(tmp_path, "artifact", "add", str(tmp_path / "a.txt"))
    (tmp_path / "a.txt").write_text("2")
    seen = subprocess.run(
        ["git", "status", "--porcelain", "-uall"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split("\n")
    assert sorted(filter(None, seen)) == sorted(
        f"?? {name}"
        for name in [
            ".gitignore",
            ".metaledger/.gitignore",
            ".metaledger/config.toml",
            "a.txt",
        ]
    )
    assert (tmp_path / ".gitignore").read_text() == "*.pyc"


def test_the_storage_keeps_the_gitignore_that_a_person_wrote(tmp_path):
    (tmp_path / "storage/.metaledger").mkdir(parents=True)
    for name in (".gitignore", ".metaledger/.gitignore"):
        (tmp_path / "storage" / name).write_text("*.tmp")
    metaledger(tmp_path, "init", "--storage", "./storage", "--name", "mine")
    metaledger(tmp_path, "delete", "mine", "--force")
    for name in (".gitignore", ".metaledger/.gitignore"):
        assert (tmp_path / "storage" / name).read_text() == "*.tmp"


@pytest.mark.parametrize("storage", ["./storage", "."])
def test_what_init_wrote_for_git_goes_with_the_ledger(tmp_path, storage):
    metaledger(tmp_path, "init", "--storage", storage, "--name", "mine")
    assert metaledger(tmp_path, "doctor").status == 0
    metaledger(tmp_path, "delete", "mine", "--force")
    assert not list(tmp_path.rglob(".gitignore"))


def test_init_needs_no_storage(tmp_path):
    folder = tmp_path / "my study"
    folder.mkdir()
    metaledger(folder, "init")
    told = metaledger(folder, "info", "--json").json
    assert told["name"] == "my-study"
    (folder / "a.txt").write_text("1")
    added = metaledger(folder, "artifact", "add", "a.txt", "--json").json
    assert len(list((folder / ".metaledger/storage/.metaledger").glob("*.txt"))) == 1
    assert added["suffix"] == ".txt"


def test_a_ledger_that_kept_nothing_goes_without_a_trace(tmp_path):
    metaledger(tmp_path, "init", "--name", "empty")
    metaledger(tmp_path, "delete", "empty", "--force")
    assert not list(tmp_path.iterdir())


def test_init_says_that_it_nests(tmp_path):
    metaledger(tmp_path, "init", "--name", "outer")
    inner = tmp_path / "a/b"
    inner.mkdir(parents=True)
    said = metaledger(inner, "init", "--name", "inner")
    assert "inside ledger 'outer'" in said.err
    assert str(tmp_path) in said.err


def test_init_says_that_the_variable_names_another(tmp_path):
    (tmp_path / "here").mkdir()
    metaledger(tmp_path, "init", "--name", "other")
    said = metaledger(tmp_path / "here", "init", METALEDGER_URL=str(tmp_path))
    assert "METALEDGER_URL" in said.err
    said = metaledger(tmp_path, "init", METALEDGER_URL=str(tmp_path / "new"), status=1)
    assert "METALEDGER_URL" not in said.err


def test_what_a_person_puts_into_the_default_storage_is_registered_in_place(tmp_path):
    metaledger(tmp_path, "init", "--name", "mine")
    (tmp_path / ".metaledger" / "storage" / "b.txt").write_text("2")
    metaledger(tmp_path, "artifact", "add", ".metaledger/storage/b.txt", "--key", "b.txt")
    assert metaledger(tmp_path, "show", "b.txt", "--json").json["in_place"] is True
    metaledger(tmp_path, "artifact", "add", ".metaledger/ledger.db", status=1)
