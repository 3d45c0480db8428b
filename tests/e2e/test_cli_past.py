"""The verbs that look back and ahead, as people and programs use them."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from types import SimpleNamespace

import pytest

import ledger as ln
from tests.e2e.command import PROGRAM, OnATerminal, environment, metaledger
from tests.support.door import artifact, label
from tests.support.patience import PATIENCE


@pytest.fixture
def past(ledger_folder):
    """Raw → clean → report; the report once more after the tag `paper`."""
    ln.init("./storage")
    ln.settings.verbosity = "error"
    made = SimpleNamespace(folder=ledger_folder)
    made.raw = artifact("raw.txt", key="raw.txt")
    made.clean = _step("clean", [made.raw], "clean.txt", "clean")
    made.report = _step("report", [made.clean], "report.txt", "1")
    made.label = label("draft")
    ln.tag("paper")
    made.label.name = "final"
    made.label.save()
    made.report2 = _step("report", [made.clean, made.raw], "report.txt", "2")
    made.head = ln.head()
    ln.settings.verbosity = "info"
    yield made
    ln.close()


def _step(name, inputs, key, text):
    ln.track(key=name, name=name, new_run=True)
    for it in inputs:
        it.cache()
    made = artifact(key, text, key=key)
    ln.finish()
    return made


def run(past, *args, status=0, **env):
    return metaledger(past.folder, *args, status=status, **env)


# --- log, history, diff, tag ----------------------------------------------------------------------


def test_the_log_is_newest_first_and_oldest_first_since_a_point(past):
    newest = run(past, "log", "--json").json_lines
    assert [it["position"] for it in newest] == list(range(past.head, 0, -1))
    since = run(past, "log", "--json", "--since", "paper", "--until", str(past.head)).json_lines
    first = ln.tags()[0].position + 1
    assert [it["position"] for it in since] == list(range(first, past.head + 1))
    assert {"recorded_at", "occurred_at", "actor", "type", "event"} <= since[0].keys()


def test_the_log_is_narrowed_and_limited(past):
    said = run(past, "log", "--registry", "label", "--limit", "1")
    assert len(said.out.splitlines()) == 1
    assert "record-changed" in said.out
    assert "--limit 0" in said.err
    uid = past.report2._row["run"]
    assert {
        it["run"] or it["uid"] for it in run(past, "log", "--run", uid, "--json").json_lines
    } == {uid}
    assert run(past, "log", "--actor", "nobody").out == ""


def test_a_followed_log_goes_on_as_others_write(past):
    with subprocess.Popen(
        [*PROGRAM, "log", "--follow", "--json", "--since", str(past.head)],
        cwd=past.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as followed:
        label("while you watch")
        event = json.loads(followed.stdout.readline())
        followed.send_signal(signal.SIGINT)
        _, said = followed.communicate(timeout=PATIENCE)
    assert (event["position"], event["type"]) == (past.head + 1, "record-created.v1")
    assert followed.returncode == 130
    assert "Traceback" not in said


def test_history_tells_field_by_field(past):
    said = run(past, "history", past.label.uid)
    assert said.out.splitlines()[-1].split()[-3:] == ["name", "draft", "final"]
    told = run(past, "history", past.label.uid, "--json").json_lines
    assert [it["changes"].get("name") for it in told] == [[None, "draft"], ["draft", "final"]]
    then = run(past, "history", past.label.uid, "--as-of", "paper", "--json").json_lines
    assert len(then) == 1


def test_diff_says_what_was_added_and_changed(past):
    said = run(past, "diff", "paper")
    assert f"~ ulabel {past.label.uid} 'final'\n    name: draft → final\n" in said.out
    assert f"+ artifact {past.report2.uid}" in said.out
    assert "1 changed" in said.err
    told = run(past, "diff", "paper", "now", "--json").json_lines
    assert {it["change"] for it in told} == {"added", "changed"}
    assert "nothing differs" in run(past, "diff", str(past.head)).err


def test_a_diff_upstream_of_a_result_tells_its_run(past):
    told = run(past, "diff", "paper", "--upstream-of", past.report.uid[:16], "--json").json_lines
    runs = [it for it in told if it["registry"] == "run"]
    assert [it["change"] for it in runs] == ["changed"]
    assert past.raw.uid in runs[0]["changes"]["inputs"][1]


def test_a_tag_is_made_and_listed(past):
    run(past, "tag", "early", "3")
    said = run(past, "tag", "--json").json_lines
    assert [(it["name"], it["position"]) for it in said][-1] == ("early", 3)
    assert "paper" in run(past, "tag").out
    assert "never moves" in run(past, "tag", "early", "4", status=1).err


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("history", "zzzz"), "no uid, key or name"),
        (("log", "--since", "nowhere"), "no tag and no run"),
        (("log", "--since", "5", "--until", "2"), "earlier point first"),
        (("diff", "9", "3"), "earlier point first"),
        (("diff", "1", "99999"), "in the future"),
        (("tag", "2026-01-01"), "reads as a time"),
        (("show", "zzzz", "--as-of", "paper"), "no uid, key or name"),
        (("plan", "missing.py"), "no such script"),
        (("merge", "draft", "nowhere"), "no uid, key or name"),
    ],
)
def test_bad_points_and_uids_are_told_in_one_line(past, args, words):
    said = run(past, *args, status=1)
    assert said.err.startswith("error: ")
    assert words in said.err
    assert len(said.err.splitlines()) == 1


@pytest.mark.parametrize(
    "args",
    [
        ("lineage", "x", "--depth", "-1"),
        ("lineage", "x", "--mermaid", "--json"),
        ("log", "--follow", "--until", "3"),
        ("retract", "x"),
        ("merge", "x"),
        ("merge", "x", "y", "--undo"),
    ],
)
def test_a_command_line_that_makes_no_sense_is_refused(past, args):
    assert "error: " in run(past, *args, status=2).err


# --- as of ----------------------------------------------------------------------------------------


def test_every_reading_verb_looks_at_the_past(past):
    at = ("--as-of", "paper")
    assert "draft" in run(past, "list", "label", *at).out
    assert "draft" in run(past, "show", past.label.uid, *at).out
    assert run(past, "show", past.report.uid[:16], *at, "--json").json["uid"] == past.report.uid
    assert run(past, "search", "draft", *at, "--json").json_lines[0]["name"] == "draft"
    said = run(past, "get", past.report.uid[:16], "out.txt", *at)
    assert Path(past.folder, said.out.strip()).read_text() == "1"
    assert run(past, "get", past.report2.uid, "no.txt", *at, status=1).out == ""


# --- lineage --------------------------------------------------------------------------------------


def test_lineage_is_a_tree_a_picture_and_a_document(past):
    said = run(past, "lineage", past.report2.uid)
    lines = said.out.splitlines()
    assert lines[0].startswith("●  report.txt")
    assert lines[1].startswith("◆  report")
    assert "├─╮" in said.out
    assert "3 artifacts, 2 runs" in said.err
    assert past.report.uid not in said.out
    then = run(past, "lineage", past.raw.uid, "--direction", "descendants", "--as-of", "paper")
    assert past.report.uid in then.out
    assert past.report2.uid not in then.out
    document = run(past, "lineage", past.report2.uid, "--json").json
    assert {it["uid"] for it in document["nodes"]} >= {past.raw.uid, past.report2.uid}
    assert run(past, "lineage", past.report2.uid, "--mermaid").out.startswith("flowchart LR\n")
    assert run(past, "lineage", past.report2.uid, "--svg", "it.svg").out == "it.svg\n"
    ET.parse(past.folder / "it.svg")  # noqa: S314 (made a line above)
    again = run(past, "lineage", past.report2.uid, "--svg", "it.svg")  # its own kind: replaced
    assert again.err == ""
    near = run(past, "lineage", past.report2.uid, "--depth", "0").out
    assert near.splitlines() == [lines[0]]


def test_where_the_terminal_shows_ascii_only_so_does_the_tree(past):
    said = run(past, "lineage", past.report2.uid, PYTHONIOENCODING="ascii")
    assert said.out.isascii()
    assert said.out.startswith("*  report.txt")


# --- retract, merge -------------------------------------------------------------------------------


def test_a_retraction_is_told_wherever_it_matters_until_it_is_lifted(past):
    said = run(past, "retract", past.clean.uid, "--reason", "wrong gate")
    assert past.report2.uid in said.out
    assert "retracted" in run(past, "lineage", past.report2.uid).out
    assert "wrong gate" in run(past, "show", past.report2.uid).err
    assert "wrong gate" in run(past, "get", past.report2.uid, "copy.txt").err
    assert "wrong gate" in run(past, "show", past.clean.uid).out
    run(past, "retract", past.clean.uid, "--undo")
    assert "wrong gate" not in run(past, "show", past.report2.uid).err


def test_labels_are_merged_by_name_and_taken_apart_again(past):
    label("Final")
    run(past, "merge", "Final", "final", "--reason", "one thing")
    assert run(past, "list", "label", "--json").json_lines[0]["uid"] == past.label.uid
    assert len(run(past, "list", "label", "--json").json_lines) == 1
    run(past, "merge", "Final", "--undo")
    assert len(run(past, "list", "label", "--json").json_lines) == 2


# --- plan -----------------------------------------------------------------------------------------

SCRIPT = """
import os, sys
import ledger as ln
ln.track()
print("from the script", *sys.argv[1:])
os.system("echo from a program")
ln.ULabel(name="planned").save()
ln.finish()
"""


def test_a_plan_is_data_alone_and_its_status_says_if_there_is_anything_to_do(past):
    Path("script.py").write_text(SCRIPT)
    said = run(past, "plan", "--json", "script.py", "--fast", "1", status=2)
    assert said.json["new_events"] == len(said.json["events"]) > 1
    assert "from the script --fast 1" in said.err
    assert "from a program" in said.err
    assert ln.head() == past.head
    told = run(past, "plan", "script.py", status=2)
    assert "from" not in told.out
    assert "name='planned'" in told.out
    subprocess.run(
        [sys.executable, "script.py"], env=environment(), check=True, capture_output=True
    )
    assert run(past, "plan", "script.py").out == "0 new events\n"


def test_a_plan_is_markdown_for_a_comment(past):
    (past.folder / "script.py").write_text(SCRIPT)
    told = run(past, "plan", "--format", "markdown", "script.py", status=2).out
    assert told.startswith("### `script.py` would record ")
    assert "| record-created | ulabel `" in told
    assert "`name='planned'` |" in told
    as_json = run(past, "plan", "--format", "json", "script.py", status=2)
    assert as_json.json["new_events"] > 0


def test_a_plan_of_a_script_that_fails_ends_there(past):
    Path("script.py").write_text(SCRIPT + "raise ValueError('mine')\n")
    said = run_with_traceback(past, "plan", "script.py")
    assert said.returncode == 1
    assert "planned" in said.stdout
    assert "the script raised ValueError: mine" in said.stderr.splitlines()[-1]
    assert "runpy" not in said.stderr
    Path("script.py").write_text("raise SystemExit(3)")
    assert "exit status 3" in run(past, "plan", "script.py", status=1).err
    assert ln.head() == past.head


def run_with_traceback(past, *args):
    return subprocess.run(
        [*PROGRAM, *args],
        cwd=past.folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_notebook_is_not_planned(past):
    Path("it.ipynb").write_text("{}")
    assert "with ln.plan()" in run(past, "plan", "it.ipynb", status=1).err


# --- on a terminal --------------------------------------------------------------------------------


def test_on_a_terminal_no_line_of_the_log_wraps(past):
    shell = OnATerminal(past.folder, "log", columns=60)
    assert shell.end() == 0
    assert all(len(line) <= 60 for line in shell.text.splitlines())
