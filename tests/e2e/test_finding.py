"""What people know finds its record: uids, keys, names, paths; `ln.find()` and the command."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

import ledger as ln
from tests.e2e.command import metaledger
from tests.support.door import artifact, file, label

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def made(here: Path) -> ln.Artifact:  # noqa: ARG001 (in this folder)
    """An artifact `report.txt` that a tracked run made of `raw/in.txt`."""
    artifact("in.txt", "numbers", key="raw/in.txt")
    ln.track(key="make.py", new_run=True)
    ln.Artifact.get(key="raw/in.txt").cache()
    report = artifact("report.txt", "the report", key="report.txt")
    ln.finish()
    return report


def test_a_record_is_found_by_uid_key_name_and_path(made: ln.Artifact):
    study = label("Immune study")
    collection = ln.Collection([made], name="all reports").save()
    for what in ("report.txt", made.uid, made.uid[:16], "./report.txt", Path("report.txt")):
        assert ln.find(what) == made
    assert ln.find(os.path.abspath("report.txt")) == made  # noqa: PTH100 (a text)
    assert ln.find("Immune study") == study
    assert ln.find("all reports") == collection
    assert ln.find("make.py") == made.transform
    assert ln.find("make.py", registry="run") == made.run


def test_a_file_is_found_by_its_content_whatever_it_is_called(made: ln.Artifact):
    Path("else").mkdir()
    shutil.copy("report.txt", "else/copied.dat")
    for what in ("else/copied.dat", "./else/copied.dat", Path("else/copied.dat")):
        assert ln.find(what) == made
    file("folder/a.txt")
    folder = ln.Artifact("folder").save()
    assert ln.find("folder") == ln.find("./folder") == folder


def test_a_key_comes_before_a_file_and_a_path_is_always_a_file(made: ln.Artifact):
    file("report.txt", "another text")
    assert ln.find("report.txt") == made
    with pytest.raises(ln.errors.NotFoundError, match=f"{made.uid}.*with other content"):
        ln.find("./report.txt")
    later = ln.Artifact("report.txt", key="report.txt").save()
    assert ln.find("report.txt") == ln.find("./report.txt") == later


def test_a_script_is_found_by_its_path():
    file("src/job.py", "pass")
    ln.track(key="src/job.py", new_run=True)
    run = ln.context.run
    ln.finish()
    assert ln.find("./src/job.py") == run.transform
    assert ln.find("./src/job.py", registry="run") == run


def test_several_records_of_one_name_are_told_and_none_is_chosen(made: ln.Artifact):
    other = label("report.txt")
    with pytest.raises(ln.errors.MultipleResultsError) as caught:
        ln.find("report.txt")
    assert other.uid in str(caught.value)
    assert made.uid in str(caught.value)
    assert ln.find("report.txt", registry="artifact") == made


def test_runs_of_one_script_are_told(made: ln.Artifact):
    ln.track(key="make.py", new_run=True)
    later = ln.context.run
    ln.finish()
    with pytest.raises(ln.errors.MultipleResultsError, match=f"{later.uid}.*{made.run.uid}"):
        ln.log(run="make.py")


def test_the_trash_is_meant_only_if_nothing_else_is(made: ln.Artifact):
    study = label("Immune study")
    study.delete()
    assert ln.find("Immune study") == study
    made.delete()
    assert ln.find("./report.txt") == made


def test_the_present_name_of_a_merged_label_is_found():
    one, other = label("B cell"), label("T cell")
    one.merge_into(other)
    assert ln.find("B cell") == other


def test_the_past_is_asked_for_what_was_called_so_then():
    study = label("draft")
    before = ln.head()
    study.name = "final"
    study.save()
    assert ln.find("draft", as_of=before).name == "draft"
    with pytest.raises(ln.errors.NotFoundError):
        ln.find("final", as_of=before)


@pytest.mark.usefixtures("made")
def test_what_is_not_found_names_the_nearest():
    label("Immune study")
    for what, near in (("reprot.txt", "report.txt"), ("Imune study", "Immune study")):
        with pytest.raises(ln.errors.NotFoundError, match=f"nearest: .*{near}"):
            ln.find(what)
    with pytest.raises(ln.errors.NotFoundError, match="metaledger search"):
        ln.find("zzzz")
    with pytest.raises(ln.errors.MissingFileError, match="nothing-there"):
        ln.find("./nothing-there")
    for bad in ("", "  ", 3, None):
        with pytest.raises(ln.errors.InvalidValueError, match="expected a uid"):
            ln.find(bad)
    with pytest.raises(ln.errors.NotFoundError, match="registry 'labels'"):
        ln.find("x", registry="labels")


def test_get_says_how_to_ask_for_a_key_or_a_name(made: ln.Artifact):
    label("Immune study")
    with pytest.raises(ln.errors.NotFoundError, match=r"get\(key='report.txt'\)"):
        ln.Artifact.get("report.txt")
    with pytest.raises(ln.errors.NotFoundError, match=r"get\(name='Immune study'\)"):
        ln.ULabel.get("Immune study")
    with pytest.raises(ln.errors.NotFoundError, match=r"get\(key="):
        ln.Artifact.get("else.txt")
    with pytest.raises(ln.errors.NotFoundError, match=r"nearest: 'report\.txt'"):
        ln.Artifact.get(key="reprot.txt")
    with pytest.raises(ln.errors.NotFoundError, match="nearest: 'Immune study'"):
        ln.ULabel.get(name="Immune stuby")
    assert made.uid


# --- the command ----------------------------------------------------------------------------------


def said(folder: Path, *args: str, status: int = 0):
    return metaledger(folder, *args, status=status)


def test_every_verb_that_takes_a_uid_takes_what_people_know(here: Path, made: ln.Artifact):
    label("Immune study")
    shutil.copy("report.txt", "copied.dat")
    ln.close()
    for name in ("report.txt", made.uid, "./report.txt", "copied.dat"):
        assert made.uid in said(here, "show", name).out
        assert "make.py" in said(here, "lineage", name).out
        assert "artifact-registered" in said(here, "history", name).out
    assert said(here, "log", "--run", "make.py", "--json").json_lines
    assert said(here, "log", "--record", "report.txt").out
    assert "Immune study" in said(here, "show", "Immune study").out
    said(here, "get", "report.txt", "taken.txt")
    assert Path("taken.txt").read_text() == "the report"
    assert said(here, "get", "report.txt", "-").out == "the report"
    said(here, "get", "report.txt", "-", "--json", status=2)
    said(here, "retract", "report.txt", "--reason", "wrong")
    said(here, "retract", "./report.txt", "--undo")
    said(here, "trash", "Immune study")
    said(here, "restore", "Immune study")
    assert made.uid in said(here, "diff", "1", "--upstream-of", "report.txt").out
    dry = said(here, "erase", "report.txt", "--reason", "r", "--dry-run").err
    assert made.uid in dry


def test_what_is_restored_is_looked_for_in_the_trash(here: Path):
    artifact("plate.txt", key="plate")
    old = label("plate")
    old.delete()
    ln.close()
    assert old.uid in said(here, "restore", "plate").err


def test_the_command_tells_candidates_and_the_nearest_with_status_1(here: Path, made: ln.Artifact):
    other = label("report.txt")
    ln.close()
    ambiguous = said(here, "show", "report.txt", status=1)
    assert made.uid in ambiguous.err
    assert other.uid in ambiguous.err
    assert "report.txt" in said(here, "show", "reprot.txt", status=1).err
    assert len(said(here, "show", "reprot.txt", status=1).err.splitlines()) == 1
