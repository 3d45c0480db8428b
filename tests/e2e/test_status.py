"""`status`: where a person stands, told without running or recording anything."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.errors import MissingFileError
from tests.e2e.command import environment, made, metaledger

CLEAN = """
import ledger as ln
ln.track()
raw = ln.Artifact("raw.csv", key="raw.csv").save()
open("clean.csv", "w").write(open("raw.csv").read().upper())
ln.Artifact("clean.csv", key="clean.csv").save()
ln.finish()
"""
REPORT = """
import ledger as ln
ln.track()
clean = ln.Artifact.get(key="clean.csv").cache().read_text()
open("report.txt", "w").write(clean * 2)
ln.Artifact("report.txt", key="report.txt").save()
ln.finish()
"""


@pytest.fixture
def project(made):
    """Two scripts that ran once: raw.csv, clean.csv, report.txt."""
    (made / "raw.csv").write_text("a\n")
    os.utime(made / "raw.csv", (1, 1))  # data of long ago
    (made / "clean.py").write_text(CLEAN)
    (made / "report.py").write_text(REPORT)
    for name in ("clean.py", "report.py"):
        run(made, name)
    return made


def run(folder, name):
    subprocess.run([sys.executable, name], cwd=folder, env=environment(), check=True)


def files(folder, *below):
    told = metaledger(folder.joinpath(*below), "status", "--json").json
    return {file["key"]: file["state"] for file in told["files"]}


def test_an_empty_ledger_says_where_one_is(made):
    said = metaledger(made, "status").out
    assert "storage" in said
    assert "none yet" in said


def test_after_a_run_everything_is_as_the_ledger_knows_it(project):
    head = metaledger(project, "info", "--json").json["head"]
    said = metaledger(project, "status").out
    assert "report.py, run " in said
    assert "finished" in said
    assert "since then  nothing" in said
    assert "5 compared, as the ledger knows them" in said
    assert metaledger(project, "info", "--json").json["head"] == head


def test_what_came_after_the_last_run_is_counted(project):
    metaledger(project, "label", "add", "x")
    assert metaledger(project, "status", "--json").json["since"] == {"record-created": 1}
    assert "1 record-created" in metaledger(project, "status").out


def test_a_file_with_other_content_is_changed(project):
    (project / "raw.csv").write_text("b\n")
    assert files(project) == {"raw.csv": "changed"}
    (project / "raw.csv").write_text("a\n")
    assert files(project) == {}
    (project / "raw.csv").unlink()  # its content is in the storage
    assert files(project) == {}


def test_what_was_made_of_something_older_is_outdated(project):
    (project / "raw.csv").write_text("b\n")
    run(project, "clean.py")
    assert files(project) == {"report.txt": "outdated"}
    assert "'clean.csv' has newer content" in metaledger(project, "status").out
    run(project, "report.py")
    assert files(project) == {}


def test_results_of_an_edited_script_and_of_theirs_are_outdated_and_its_data_is_not(project):
    script = project / "clean.py"
    script.write_text(CLEAN + "# edited\n")
    assert files(project) == {
        "clean.py": "changed",
        "clean.csv": "outdated",
        "report.txt": "outdated",
    }
    script.write_text(CLEAN)
    assert files(project) == {}


def test_only_what_lies_in_this_folder_is_told(project):
    (project / "raw.csv").write_text("b\n")
    (project / "sub").mkdir()
    (project / "sub" / "own.csv").write_text("own")
    metaledger(project / "sub", "artifact", "add", "own.csv", "--key", "sub/own.csv")
    (project / "sub" / "own.csv").write_text("other")
    assert files(project, "sub") == {"sub/own.csv": "changed"}
    assert files(project) == {"raw.csv": "changed", "sub/own.csv": "changed"}


def test_a_file_that_cannot_be_compared_is_told_as_such(project):
    (project / "raw.csv").unlink()
    (project / "raw.csv").symlink_to("raw.csv")
    assert files(project) in ({"raw.csv": "unreadable"}, {"raw.csv": "missing"})


def test_a_run_that_is_open_is_told(made):
    script = "import os, ledger as ln\nln.track()\nln.ULabel('x').save()\nos._exit(0)\n"
    (made / "killed.py").write_text(script)
    run(made, "killed.py")
    said = metaledger(made, "status").out
    assert "open        killed.py, run " in said
    assert "started since" in said


@pytest.mark.usefixtures("here")
def test_content_in_place_is_compared_where_it_lies():
    path = Path("storage", "data.txt")
    path.parent.mkdir(exist_ok=True)
    path.write_text("one")
    kept = ln.Artifact(path, key="elsewhere/data.txt").save()
    assert kept.in_place
    assert ln.status().files == ()
    path.write_text("another")
    assert [(it.state, it.key) for it in ln.status().files] == [("changed", "elsewhere/data.txt")]
    path.unlink()
    assert [it.state for it in ln.status().files] == ["missing"]
    assert "<table>" in ln.status()._repr_html_()


def test_a_working_folder_that_is_gone_is_one_error(here, monkeypatch):
    ln.head()
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(MissingFileError, match="working folder is gone"):
        ln.status()
