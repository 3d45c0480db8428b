"""Verbs that name, attach, put together and show: `rename`, `label`, `collection`, `transform`."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ledger.cli import app
from tests.e2e.command import environment, made, metaledger


@pytest.fixture
def shelf(made):
    """A folder with a label "Immune study" and the artifacts `a.csv` and `b.csv`."""
    for name in ("a.csv", "b.csv"):
        (made / name).write_text(name)
        metaledger(made, "artifact", "add", name, "--key", name)
    metaledger(made, "label", "add", "Immune study")
    return made


def labels_of(folder, record):
    shown = metaledger(folder, "show", record, "--json").json
    return [each["name"] for each in shown["relations"]["labels"]]


# --- names --------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [["rename"], ["label", "rename"]])
def test_a_label_gets_another_name_and_its_old_one_leads_to_it(shelf, verb):
    said = metaledger(shelf, *verb, "Immune study", "Immune response")
    assert "now 'Immune response', was 'Immune study'" in said.err
    assert metaledger(shelf, "list", "label", "--json").json_lines[0]["name"] == "Immune response"
    again = metaledger(shelf, *verb, "Immune response", "Immune response")
    assert "called so already" in again.err


def test_a_name_that_another_record_bears_is_refused(shelf):
    metaledger(shelf, "label", "add", "B cell")
    assert "B cell" in metaledger(shelf, "rename", "Immune study", "B cell", status=1).err


def test_an_artifact_has_keys_and_no_name(shelf):
    assert "--key" in metaledger(shelf, "rename", "a.csv", "c.csv", status=1).err


# --- labels of records --------------------------------------------------------------------------


def test_a_label_is_attached_to_records_and_taken_off(shelf):
    metaledger(shelf, "label", "attach", "Immune study", "a.csv", "./b.csv")
    assert labels_of(shelf, "a.csv") == labels_of(shelf, "b.csv") == ["Immune study"]
    again = metaledger(shelf, "label", "attach", "Immune study", "a.csv")
    assert "is attached already" in again.err
    metaledger(shelf, "label", "detach", "Immune study", "a.csv")
    assert labels_of(shelf, "a.csv") == []
    assert labels_of(shelf, "b.csv") == ["Immune study"]


def test_where_one_record_is_unknown_no_label_is_attached(shelf):
    said = metaledger(shelf, "label", "attach", "Immune study", "a.csv", "nope", status=1)
    assert "Artifact or Collection" in said.err
    assert labels_of(shelf, "a.csv") == []


def test_a_key_that_a_script_bears_too_means_what_can_be_labelled(shelf):
    (shelf / "s.py").write_text(
        "import ledger as ln\nln.track()\nln.Artifact('s.py', key='s.py').save()\n"
    )
    subprocess.run([sys.executable, "s.py"], cwd=shelf, env=environment(), check=True)
    metaledger(shelf, "show", "s.py", status=1)  # it may be either
    metaledger(shelf, "label", "attach", "Immune study", "s.py")


@pytest.mark.parametrize("text", ["nope", "a://b", "./nope", "/nope", "~/nope"])
def test_a_label_that_is_not_there_is_one_error(shelf, text):
    said = metaledger(shelf, "label", "attach", text, "a.csv", status=1)
    assert len(said.err.splitlines()) == 1
    assert "label add" in said.err
    metaledger(shelf, "merge", text, "Immune study", status=1)


def test_a_label_is_found_whatever_its_name_looks_like(shelf):
    for name in ("a://b", "./c"):
        metaledger(shelf, "label", "add", name, "--yes")
        metaledger(shelf, "label", "attach", name, "a.csv")
    assert "a://b" in labels_of(shelf, "a.csv")


# --- collections --------------------------------------------------------------------------------


def test_a_collection_is_made_of_artifacts(shelf):
    args = ["collection", "add", "both", "a.csv", "./b.csv", "--label", "Immune study"]
    made = metaledger(shelf, *args, "--json").json
    assert made["name"] == "both"
    assert metaledger(shelf, *args).out == f"{made['uid']}  both\n"
    shown = metaledger(shelf, "show", "both", "--json").json
    assert [each["key"] for each in shown["relations"]["artifacts"]] == ["a.csv", "b.csv"]
    assert labels_of(shelf, "both") == ["Immune study"]
    (listed,) = metaledger(shelf, "collection", "list", "--json").json_lines
    assert listed["uid"] == made["uid"]


def test_a_collection_of_what_is_not_registered_is_refused(shelf):
    (shelf / "new.csv").write_text("new")
    metaledger(shelf, "collection", "add", "both", "a.csv", "new.csv", status=1)
    assert metaledger(shelf, "collection", "list", "--json").json_lines == []


def test_artifacts_are_listed(shelf):
    listed = metaledger(shelf, "artifact", "list", "--json").json_lines
    assert [each["key"] for each in listed] == ["b.csv", "a.csv"]


# --- transforms ---------------------------------------------------------------------------------


def test_the_source_of_a_script_is_printed_as_it_ran(shelf):
    script = shelf / "s.py"
    then = "import ledger as ln\nln.track()\nln.finish()\n"
    script.write_text(then)
    subprocess.run([sys.executable, "s.py"], cwd=shelf, env=environment(), check=True)
    script.write_text("something else")
    assert metaledger(shelf, "transform", "s.py", "--source").out == then
    shown = metaledger(shelf, "transform", "s.py", "--json").json
    assert shown["key"] == "s.py"
    assert len(shown["relations"]["runs"]) == 1
    assert "s.py" in metaledger(shelf, "transform", "s.py").out


def test_a_transform_without_a_source_says_so(shelf):
    code = "import ledger as ln\nln.Transform('nothing').save()\n"
    subprocess.run([sys.executable, "-c", code], cwd=shelf, env=environment(), check=True)
    assert "no source" in metaledger(shelf, "transform", "nothing", "--source", status=1).err
    assert "Transform" in metaledger(shelf, "transform", "a.csv", status=1).err


# --- help and documentation ---------------------------------------------------------------------


def test_the_verbs_of_the_help_stand_in_groups(tmp_path):
    said = metaledger(tmp_path, "--help").out
    headings = [line for line in said.splitlines() if line and line[0] != " "]
    assert [f"{heading}:" for heading in app.sections] == headings[2:-1]
    assert len(app.sections) > 1
    assert "metaledger docs" in said


def test_the_pages_of_the_documentation_are_listed_and_printed(tmp_path):
    pages = {
        each["page"]: each["path"] for each in metaledger(tmp_path, "docs", "--json").json_lines
    }
    assert {"tutorial", "api", "coming-from"} <= set(pages)
    said = metaledger(tmp_path, "docs", "coming-from")
    assert said.out == Path(pages["coming-from"]).read_text(encoding="utf-8")
    assert "tutorial" in metaledger(tmp_path, "docs", "tutoral", status=1).err


# --- exit statuses ------------------------------------------------------------------------------


def test_a_plan_that_cannot_be_understood_is_none_that_has_something_to_do(made):
    (made / "s.py").write_text("import ledger as ln\nln.ULabel(name='x').save()\n")
    metaledger(made, "plan", "s.py", status=2)
    metaledger(made, "plan", status=64)
    metaledger(made, "plan", "--nope", "s.py", status=64)
    metaledger(made, "plan", "nope.py", status=1)
    assert "64" in metaledger(made, "plan", "--help").out
    metaledger(made, "show", status=2)


# --- tables of runs -----------------------------------------------------------------------------


def test_tables_of_runs_begin_with_the_script_and_the_newest_run(made):
    for name in ("first.py", "second.py"):
        (made / name).write_text("import ledger as ln\nln.track()\nln.finish()\n")
        subprocess.run([sys.executable, name], cwd=made, env=environment(), check=True)
    header, *rows = metaledger(made, "list", "run").out.splitlines()
    assert header.split()[:2] == ["transform", "uid"]
    assert [row.split()[0] for row in rows] == ["second.py", "first.py"]
    code = (
        "import re, ledger as ln\n"
        "def cells(found): return re.findall(r'[a-z]+\\.py', found._repr_html_())\n"
        "runs = ln.Run.filter()\n"
        "assert cells(runs) == ['second.py', 'first.py'], cells(runs)\n"
        "assert cells(runs.order_by('id')) == ['first.py', 'second.py']\n"
        "assert cells(runs[:1]) == ['first.py']\n"
        "assert runs.first().transform.key == 'first.py'\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=made, env=environment(), check=True)
