"""The command itself: help, versions, loudness, pipes, completion."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ledger.cli import app
from tests.e2e.command import PROGRAM, OnATerminal, environment, made, metaledger

VERBS = list(app.list_commands(None))


def test_without_a_verb_the_command_explains_itself(tmp_path):
    said = metaledger(tmp_path, status=2)
    assert "Examples:" in said.err


@pytest.mark.parametrize(
    "verb", [[], *([verb] for verb in VERBS), ["label", "add"], ["artifact", "add"]]
)
def test_every_help_has_an_example(tmp_path, verb):
    said = metaledger(tmp_path, *verb, "--help")
    assert "Example" in said.out
    assert f"metaledger {verb[0]}" in said.out if verb else "metaledger" in said.out


def test_help_of_the_command_loads_nothing_heavy(tmp_path):
    code = (
        "import sys\nfrom ledger.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "heavy = {'eventsourcing','msgspec','rich','sqlite3','pyarrow','fsspec','rapidfuzz'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("verb", ["info", "config", "list"])
def test_a_plain_verb_loads_nothing_heavy(made, verb):
    args = [verb, "label"] if verb == "list" else [verb]
    code = (
        f"import sys\nfrom ledger.cli import main\n"
        f"try: main({args!r})\nexcept SystemExit: pass\n"
        "heavy = {'rich','numpy','pyarrow','fsspec','rapidfuzz','pandas','email'}\n"
        "sys.exit(repr(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=made, env=environment(), capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_version_is_printed(tmp_path):
    name, version = metaledger(tmp_path, "--version").out.split()
    assert name == "metaledger"
    assert version[0].isdigit()


def test_an_unknown_verb_is_a_usage_error_with_the_nearest(tmp_path):
    said = metaledger(tmp_path, "lst", status=2)
    assert "did you mean 'list'" in said.err
    assert "\nerror: " in said.err


def test_an_unknown_option_is_a_usage_error(made):
    assert "--nope" in metaledger(made, "info", "--nope", status=2).err


def test_quiet_says_nothing_but_data_before_or_after_the_verb(made):
    for args in (["-q", "label", "add", "A one"], ["label", "add", "A one", "--quiet"]):
        said = metaledger(made, *args)
        assert said.err == ""
        assert said.out


def test_verbose_tells_the_code_of_an_error(made):
    said = metaledger(made, "-v", "show", "nope", status=1)
    assert "code: not-found" in said.err


def test_json_is_never_mixed_with_messages(made):
    metaledger(made, "label", "add", "Twice")
    said = metaledger(made, "label", "add", "Twice", "--json")
    assert said.json["name"] == "Twice"
    assert said.err


def test_a_reader_that_goes_away_is_no_error(made):
    for number in range(3):
        metaledger(made, "label", "add", f"label {number} " + "x" * 200, "--yes")
    listing = subprocess.Popen(
        [*PROGRAM, "list", "label", "--json"],
        cwd=made,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    listing.stdout.close()
    err = listing.stderr.read()
    listing.stderr.close()
    assert listing.wait() == 128 + signal.SIGPIPE
    assert err == b""


def test_colours_are_for_terminals_that_want_them(tmp_path):
    coloured = OnATerminal(tmp_path, "info")
    assert coloured.end() == 1
    assert "\x1b[" in coloured.coloured
    for switch in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = OnATerminal(tmp_path, "info", **switch)
        assert plain.end() == 1
        assert "\x1b[" not in plain.coloured
    assert "\x1b" not in metaledger(tmp_path, "info", status=1).err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_printed_for_each_shell(tmp_path, shell):
    assert "_METALEDGER_COMPLETE" in metaledger(tmp_path, "completion", shell).out


def test_an_unknown_shell_is_a_usage_error(tmp_path):
    assert "bash" in metaledger(tmp_path, "completion", "csh", status=2).err


def completed(folder, words, place):
    said = metaledger(
        folder,
        _METALEDGER_COMPLETE="bash_complete",
        COMP_WORDS=words,
        COMP_CWORD=str(place),
    )
    return {line.partition(",")[2] for line in said.out.splitlines() if line}


def test_verbs_registries_and_uids_are_completed(made):
    uid = metaledger(made, "label", "add", "A label", "--json").json["uid"]
    assert completed(made, "metaledger doct", 1) == {"doctor"}
    assert completed(made, "metaledger list co", 2) == {"collection"}
    assert completed(made, f"metaledger show {uid[:3]}", 2) == {uid}
    assert completed(made, f"metaledger get {uid[:3]}", 2) == set()


def test_completion_outside_a_ledger_offers_nothing(tmp_path):
    assert completed(tmp_path, "metaledger show A", 2) == set()


def test_a_path_that_is_not_utf8_is_shown_as_text(made):
    said = metaledger(made, "artifact", "add", os.fsdecode(b"no\xff.txt"), status=1)
    assert "\\xff" in said.err or "\\udcff" in said.err
