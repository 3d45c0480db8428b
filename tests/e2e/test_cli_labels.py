"""`label add`: similar names, with somebody to ask and without."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import pytest

from tests.e2e.command import OnATerminal, made, metaledger


@pytest.fixture
def study(made):
    """The folder, and the uid of a label "Immune study" in it."""
    uid = metaledger(made, "label", "add", "Immune study", "--json").json["uid"]
    return made, uid


def names(folder):
    return {each["name"] for each in metaledger(folder, "list", "label", "--json").json_lines}


def test_a_new_label_is_added_and_its_uid_printed(made):
    said = metaledger(made, "label", "add", "Immune study", "--description", "cohort")
    (label,) = metaledger(made, "label", "list", "--json").json_lines
    assert said.out == f"{label['uid']}  Immune study\n"
    assert label["description"] == "cohort"


def test_a_name_is_never_added_twice(study):
    folder, uid = study
    again = metaledger(folder, "label", "add", "Immune study", "--json")
    assert again.json["uid"] == uid
    assert "exists" in again.err
    assert names(folder) == {"Immune study"}


def test_a_similar_name_is_refused_where_nobody_can_be_asked(study):
    folder, uid = study
    said = metaledger(folder, "label", "add", "Imune study", status=1)
    assert said.out == ""
    assert "--yes" in said.err
    assert f"--load {uid}" in said.err
    assert names(folder) == {"Immune study"}


def test_quiet_does_not_let_a_similar_name_pass(study):
    folder, _ = study
    metaledger(folder, "-q", "label", "add", "Imune study", status=1)
    assert names(folder) == {"Immune study"}


def test_yes_adds_a_similar_name(study):
    folder, _ = study
    metaledger(folder, "label", "add", "Imune study", "--yes")
    assert names(folder) == {"Immune study", "Imune study"}


def test_load_takes_the_label_that_exists(study):
    folder, uid = study
    said = metaledger(
        folder, "label", "add", "Imune study", "--load", uid[:6], "--description", "d", "--json"
    )
    assert (said.json["uid"], said.json["description"]) == (uid, "d")
    assert names(folder) == {"Immune study"}


def test_yes_and_load_together_are_refused(study):
    folder, uid = study
    metaledger(folder, "label", "add", "x", "--yes", "--load", uid, status=2)


def test_a_label_to_load_must_exist(study):
    folder, _ = study
    assert "error: " in metaledger(folder, "label", "add", "x", "--load", "nope", status=1).err


@pytest.mark.parametrize("name", ["", "   ", "a\x1b[31mb", "x" * 256])
def test_what_is_no_name_is_refused(made, name):
    said = metaledger(made, "label", "add", name, status=1)
    assert said.err.startswith("error: ULabel.name: ")
    assert "\x1b" not in said.err


@pytest.mark.parametrize(
    "name",
    [
        "<b onclick='x'>bold</b>",
        "'; DROP TABLE ulabel; --",
        "[bold red]markup[/]",
        "100% {} %s \\n",
        "\u202egnitirw",
        "日本語 ラベル",
    ],
)
def test_a_name_is_text_whatever_it_looks_like(made, name):
    metaledger(made, "label", "add", name)
    said = metaledger(made, "list", "label")
    assert (name if name.isprintable() else "\\u202egnitirw") in said.out
    assert metaledger(made, "list", "label", "--json").json_lines[0]["name"] == name
    terminal = OnATerminal(made, "list", "label", columns=160)
    assert terminal.end() == 0
    assert (name if name.isprintable() else "\\u202egnitirw") in terminal.text


@pytest.mark.parametrize(
    ("answer", "status", "expected"),
    [
        ("s", 0, {"Immune study", "Imune study"}),
        ("load", 0, {"Immune study"}),
        ("cancel", 1, {"Immune study"}),
    ],
)
def test_on_a_terminal_the_user_decides(study, answer, status, expected):
    folder, uid = study
    terminal = OnATerminal(folder, "label", "add", "Imune study")
    shown = terminal.read_until("[s/l/c]")
    assert uid in shown
    terminal.type(f"{answer}\n")
    assert terminal.end() == status
    assert names(folder) == expected


def test_an_answer_that_is_none_is_asked_again(study):
    folder, _ = study
    terminal = OnATerminal(folder, "label", "add", "Imune study")
    terminal.read_until("[s/l/c]")
    terminal.type("perhaps\n")
    terminal.read_until("perhaps\r\n")
    terminal.type("c\n")
    assert terminal.end() == 1
    assert names(folder) == {"Immune study"}


def test_of_several_similar_labels_one_can_be_loaded(study):
    folder, uid = study
    metaledger(folder, "label", "add", "Immune studi", "--yes")
    terminal = OnATerminal(folder, "label", "add", "Imune study", "--json")
    terminal.read_until("[s/l/c]")
    terminal.type("l\n")
    terminal.read_until("which uid")
    terminal.type(f"{uid[:8]}\n")
    assert terminal.end() == 0
    assert f'"uid": "{uid}"' in terminal.text


def test_ctrl_c_at_the_question_adds_nothing_and_is_quiet(study):
    folder, _ = study
    terminal = OnATerminal(folder, "label", "add", "Imune study")
    terminal.read_until("[s/l/c]")
    terminal.interrupt()
    assert terminal.end() == 130
    assert names(folder) == {"Immune study"}
