"""Aliases: names that records have in other tools, on both databases."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger as ln
from tests.e2e.command import metaledger
from tests.support.door import artifact, begin_as_script, label


@pytest.fixture
def ledger(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def test_a_record_is_found_under_the_name_that_it_has_elsewhere(ledger):  # noqa: ARG001
    made = artifact("a.txt", key="a.txt").add_alias("lamindb:5tAyiACTQJb8pShM0001")
    tag = label("x").add_alias("mlflow:x 1").add_alias("other:s3://bucket/a")
    assert made.aliases == ["lamindb:5tAyiACTQJb8pShM0001"]
    assert tag.aliases == ["mlflow:x 1", "other:s3://bucket/a"]
    for text in ("lamindb:5tAyiACTQJb8pShM0001", "5tAyiACTQJb8pShM0001"):
        assert ln.Artifact.get(text) == ln.find(text) == made
    assert ln.ULabel.get("mlflow:x 1") == ln.find("other:s3://bucket/a") == tag
    with pytest.raises(ln.errors.NotFoundError):
        ln.ULabel.get("lamindb:5tAyiACTQJb8pShM0001")
    with pytest.raises(ln.errors.NotFoundError):
        ln.find("lamindb:5tAyiACTQJb8pShM0001", registry="ulabel")
    assert ln.audit().ok


def test_the_same_alias_again_adds_nothing_and_another_record_is_refused(ledger, refuses):  # noqa: ARG001
    tag, other = label("x").add_alias("lamindb:1"), label("y")
    head = ln.head()
    tag.add_alias("lamindb:1")
    assert ln.head() == head
    refuses(lambda: other.add_alias("lamindb:1"), "NameTakenError", "lamindb:1", tag.uid)


@pytest.mark.parametrize(
    "alias",
    ["", "x", "x:", ":x", "X:y", "https://a/b", "a b:c", "a:b\nc", "a:" + "x" * 1_024, "a: b"],
    ids=["none", "no-colon", "no-name", "no-tool", "upper", "url", "blank", "line", "long", "gap"],
)
def test_what_is_no_alias_is_refused(ledger, refuses, alias):  # noqa: ARG001
    tag = label("x")
    refuses(lambda: tag.add_alias(alias), "InvalidValueError", "alias")
    refuses(lambda: tag.add_alias(7), "InvalidValueError", "alias")


def test_a_name_of_two_tools_is_asked_for_whole(ledger):  # noqa: ARG001
    one, two = label("one").add_alias("lamindb:7"), label("two").add_alias("mlflow:7")
    with pytest.raises(ln.errors.MultipleResultsError, match="whole alias"):
        ln.ULabel.get("7")
    assert ln.ULabel.get("lamindb:7") == one
    assert ln.ULabel.get("mlflow:7") == two


def test_aliases_of_the_past_are_those_of_then(ledger):  # noqa: ARG001
    tag = label("x")
    before = ln.head()
    tag.add_alias("lamindb:1")
    assert ln.as_of(before).ULabel.get(tag.uid).aliases == []
    with pytest.raises(ln.errors.NotFoundError):
        ln.as_of(before).ULabel.get("lamindb:1")
    assert ln.as_of(ln.head()).ULabel.get("lamindb:1") == tag
    assert tag.history()[-1].changes == {"aliases": (None, ("lamindb:1",))}
    with pytest.raises(ln.errors.ReadOnlyViewError):
        ln.as_of(before).ULabel.get(tag.uid).add_alias("lamindb:2")


def test_a_withdrawn_record_frees_its_alias_and_a_merged_one_hands_it_on(ledger):  # noqa: ARG001
    one, two, three = label("one"), label("two"), label("three")
    one.add_alias("lamindb:1")
    two.add_alias("lamindb:2")
    two.merge_into(three)
    assert ln.ULabel.get("lamindb:2") == ln.find("lamindb:2") == three
    one.delete(permanent=True)
    with pytest.raises(ln.errors.NotFoundError):
        ln.ULabel.get("lamindb:1")
    assert label("four").add_alias("lamindb:1").aliases == ["lamindb:1"]
    assert ln.audit().ok


def test_an_erasure_takes_the_alias(ledger):
    made = artifact("a.txt", key="a.txt").add_alias("lamindb:person-4711")
    ln.erase(made, reason="request")
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get("lamindb:person-4711")
    files = [it for it in ledger.rglob("*") if it.is_file() and it.suffix != ".py"]
    assert not any(b"person-4711" in it.read_bytes() for it in files)
    assert ln.audit().ok
    metaledger(ledger, "rebuild")
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get("lamindb:person-4711")


def test_a_run_that_adds_an_alias_replays_to_nothing(ledger, monkeypatch):  # noqa: ARG001
    begin_as_script(monkeypatch, __file__)
    for _ in range(2):
        ln.track(key="a.py", name="a")
        label("x").add_alias("lamindb:1")
        ln.finish()
        head = ln.head()
    ln.track(key="a.py", name="a")
    label("x").add_alias("lamindb:1")
    ln.finish()
    assert ln.head() == head
    assert ln.Run.filter().count() == 1


def test_the_command_shows_and_takes_aliases(ledger):
    label("x").add_alias("lamindb:1")
    assert "lamindb:1" in metaledger(ledger, "show", "x").out
    assert metaledger(ledger, "show", "lamindb:1", "--json").json["aliases"] == ["lamindb:1"]
    assert "alias-added.v1" in metaledger(ledger, "history", "x", "--json").out
    assert "lamindb:1" in metaledger(ledger, "log").out
    assert "lamindb:1" in str(ln.ULabel.get(name="x").describe())
    assert "tlog-proof" in ln.prove("lamindb:1")
