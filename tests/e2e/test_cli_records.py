"""`list`, `show`, `search`, `trash`, `restore`."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest

from tests.e2e.command import OnATerminal, environment, made, metaledger


@pytest.fixture
def filled(made):
    """A ledger with labels and labelled artifacts."""
    for name in ("Immune study", "Plate, long"):
        metaledger(made, "label", "add", name)
    for name, text in (("a", "1"), ("b", "22"), ("c", "333")):
        (made / f"{name}.txt").write_text(text)
        label = "Immune study" if name != "c" else "Plate, long"
        metaledger(
            made, "artifact", "add", f"{name}.txt", "--key", f"raw/{name}.txt", "--label", label
        )
    return made


def listed(folder, *args):
    return metaledger(folder, "list", *args, "--json").json_lines


def keys(folder, *filters):
    options = [part for each in filters for part in ("--filter", each)]
    return [
        artifact["key"].removeprefix("raw/") for artifact in listed(folder, "artifact", *options)
    ]


def test_a_list_shows_the_newest_first(filled):
    assert keys(filled) == ["c.txt", "b.txt", "a.txt"]
    lines = metaledger(filled, "list", "artifacts").out.splitlines()
    assert len(lines) == 4
    assert lines[0].split()[:2] == ["uid", "key"]


def test_every_object_of_a_list_has_iso_times(filled):
    for artifact in listed(filled, "artifact"):
        assert dt.datetime.fromisoformat(artifact["created_at"]).tzinfo is not None


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (["key__startswith=raw/", "size__gt=1"], ["c.txt", "b.txt"]),
        (["size__in=1,3"], ["c.txt", "a.txt"]),
        (["size=2"], ["b.txt"]),
        (["labels__name=Plate, long"], ["c.txt"]),
        (["labels__name__in=Immune study,Plate"], ["b.txt", "a.txt"]),
        (["in_place=false", "is_latest=yes", "key__endswith=b.txt"], ["b.txt"]),
        (["created_at__gt=2000-01-01T00:00+00:00", "size__lt=2"], ["a.txt"]),
        (["run__isnull=true", "size__range=2,3"], ["c.txt", "b.txt"]),
        (["key=' OR 1=1 --"], []),
    ],
)
def test_filters_are_those_of_the_library(filled, filters, expected):
    assert keys(filled, *filters) == expected


@pytest.mark.parametrize(
    ("filter_", "words"),
    [
        ("nonsense", ["field=value"]),
        ("=x", ["field=value"]),
        ("kee=x", ["kee", "did you mean 'key'"]),
        ("size=big", ["size", "whole number", "'big'"]),
        ("is_latest=maybe", ["true or false", "'maybe'"]),
        ("created_at__gt=yesterday", ["time", "'yesterday'"]),
        ("key__sounds_like=x", ["sounds_like"]),
        ("size__icontains=1", ["text only"]),
    ],
)
def test_a_bad_filter_is_named(filled, filter_, words):
    said = metaledger(filled, "list", "artifact", "--filter", filter_, status=1)
    assert said.err.startswith("error: ")
    for word in words:
        assert word in said.err


def test_an_unknown_registry_is_a_usage_error_with_the_nearest(filled):
    assert "did you mean 'artifact'" in metaledger(filled, "list", "artefact", status=2).err


def test_a_limit_tells_how_many_more_there_are(filled):
    said = metaledger(filled, "list", "artifact", "--limit", "2", "--json")
    assert len(said.json_lines) == 2
    assert "1 more" in said.err


def test_an_empty_list_has_no_data(made):
    said = metaledger(made, "list", "run")
    assert said.out == ""
    assert metaledger(made, "list", "run", "--json").out == ""


def test_in_a_pipe_nothing_is_cut(made):
    name = "long name " * 20
    metaledger(made, "label", "add", name, "--description", "d" * 400)
    said = metaledger(made, "list", "label", COLUMNS="40")
    assert name.strip() in said.out
    assert "d" * 400 in said.out
    assert "\x1b" not in said.out


def test_on_a_terminal_nothing_wraps_and_the_uid_is_whole(made):
    uid = metaledger(
        made, "label", "add", "long name " * 20, "--description", "d" * 400, "--json"
    ).json["uid"]
    terminal = OnATerminal(made, "list", "label", columns=60)
    assert terminal.end() == 0
    lines = terminal.text.splitlines()
    assert len(lines) == 2
    assert max(map(len, lines)) <= 60
    assert "…" in lines[1]
    assert lines[1].startswith(uid)


def test_show_finds_a_record_of_any_registry_by_its_beginning(filled):
    label = listed(filled, "label")[0]
    artifact = listed(filled, "artifact")[0]
    assert metaledger(filled, "show", label["uid"][:8], "--json").json["registry"] == "ulabel"
    said = metaledger(filled, "show", artifact["uid"][:8])
    assert "raw/c.txt" in said.out
    assert "labels" in said.out
    assert "Plate, long" in said.out


def test_show_as_json_has_fields_keys_path_and_relations(filled):
    uid = listed(filled, "artifact")[0]["uid"]
    document = metaledger(filled, "show", uid, "--json").json
    assert document["keys"] == ["raw/c.txt"]
    assert document["path"].endswith(f"{uid}.txt")
    assert set(document["relations"]) >= {"labels", "collections", "previous_runs", "versions"}


def test_an_unknown_uid_is_answered_with_the_nearest(filled):
    uid = listed(filled, "label")[0]["uid"]
    mistyped = uid[:6] + ("x" if uid[6] != "x" else "y") + uid[7:]
    said = metaledger(filled, "show", mistyped, status=1)
    assert uid in said.err
    assert mistyped in said.err


def test_an_ambiguous_beginning_is_refused_with_what_it_could_mean(filled):
    first = {label["uid"][0] for label in listed(filled, "label")}
    for number in range(63):  # of 62 digits one is then shared
        metaledger(filled, "label", "add", f"{number} {chr(97 + number % 26) * 9}", "--yes", "-q")
        uids = [label["uid"][0] for label in listed(filled, "label")]
        first = {digit for digit in uids if uids.count(digit) > 1}
        if first:
            break
    said = metaledger(filled, "show", first.pop(), status=1)
    assert "give more digits" in said.err
    assert "ULabel" in said.err
    assert "expected" in metaledger(filled, "show", "", status=1).err


@pytest.mark.parametrize("uid", ["%", "_", "'; --", "\x1b[2J", "<b>"])
def test_a_uid_that_is_none_is_text(filled, uid):
    said = metaledger(filled, "show", uid, status=1)
    assert said.err.startswith("error: ")
    assert "\x1b" not in said.err


def test_search_finds_what_a_typo_meant_in_every_registry(filled):
    said = metaledger(filled, "search", "imune study")
    assert "Immune study" in said.out
    found = metaledger(filled, "search", "raw/b", "--json").json_lines
    assert [each["key"] for each in found][:1] == ["raw/b.txt"]


def test_search_in_one_registry_leaves_the_others_out(filled):
    said = metaledger(filled, "search", "raw/b", "--registry", "label", "--json")
    assert said.out == ""


def test_a_search_without_a_find_says_so(filled):
    said = metaledger(filled, "search", "zzzzqqq")
    assert said.out == ""
    assert "nothing found" in said.err


def test_a_record_goes_to_the_trash_and_comes_back(filled):
    uid = listed(filled, "label")[0]["uid"]
    metaledger(filled, "trash", uid)
    assert uid not in [label["uid"] for label in listed(filled, "label")]
    (trashed,) = listed(filled, "label", "--trash")
    assert (trashed["uid"], trashed["is_trashed"]) == (uid, True)
    assert "trash" in metaledger(filled, "show", uid).out
    metaledger(filled, "restore", uid)
    assert listed(filled, "label", "--trash") == []


def test_a_run_is_shown_with_what_it_made(filled):
    (filled / "script.py").write_text(
        "import ledger as ln\nln.track(params={'n': 3})\nln.Artifact('a.txt').save()\nln.finish()\n"
    )
    subprocess.run([sys.executable, "script.py"], cwd=filled, env=environment(), check=True)
    (run,) = listed(filled, "run")
    assert run["params"] == {"n": 3}
    said = metaledger(filled, "show", run["uid"])
    assert "raw/a.txt" in said.out
    assert "script" in said.out
    assert metaledger(filled, "list", "artifact", "--filter", f"run={run['uid']}").out
