"""Declared artifacts: known by what another tool says, never seen here, on both databases."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.upkeep.doctor import examine
from tests.e2e.command import metaledger
from tests.support.door import artifact, file

BIG: dict[str, Any] = {
    "namespace": "s3://lab",
    "name": "big.bin",
    "key": "raw/big.bin",
    "size": 62_914_560,
    "claimed": [("sha1-fl", "I-EOc37Fd5SZVtseNYT2KN")],
    "where": "s3://lab/raw/big.bin",
}


@pytest.fixture
def ledger(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def test_a_declared_artifact_is_known_and_never_made_up(ledger):  # noqa: ARG001
    big = ln.bridges.declare(**BIG, description="from the core", aliases=["lamindb:IBAibMEXVC"])
    assert big.is_declared
    assert (big.key, big.size, big.suffix) == ("raw/big.bin", 62_914_560, ".bin")
    assert (big.hash, big.digest, big.storage) == (None, None, None)
    assert big.claimed == [["sha1-fl", "I-EOc37Fd5SZVtseNYT2KN"]]
    assert big.whereabouts == "s3://lab/raw/big.bin"
    assert ln.Artifact.get("lamindb:IBAibMEXVC") == ln.Artifact.get(key="raw/big.bin") == big
    assert ln.Artifact.filter(is_declared=True).one() == big
    seen = artifact("a.txt", key="a.txt")
    assert not seen.is_declared
    assert ln.Artifact.filter(is_declared=False).one() == seen
    assert ln.audit(content=True).ok


def test_declared_again_it_is_the_same(ledger):  # noqa: ARG001
    big = ln.bridges.declare(**BIG)
    head = ln.head()
    assert ln.bridges.declare(**BIG) == big
    assert ln.head() == head
    assert ln.bridges.declare(**BIG | {"edition": "2"}) != big


def test_reading_its_content_says_how_to_bring_it(ledger, refuses):
    big = ln.bridges.declare(**BIG)
    for read in (big.cache, big.open, big.load, lambda: big.path):
        refuses(read, "ContentUnknownError", "raw/big.bin", "never seen", "artifact add FILE --key")
    said = metaledger(ledger, "get", "raw/big.bin", "copy", status=1)
    assert "never seen" in said.err
    named = ln.bridges.declare(namespace="x", name="y")
    refuses(named.cache, "ContentUnknownError", named.uid, "never seen")


def test_its_content_comes_as_the_next_version(ledger):  # noqa: ARG001
    big = ln.bridges.declare(**BIG)
    here = ln.Artifact(file("big", "bytes"), key="raw/big.bin").save()
    assert here.revises == big
    assert list(here.versions) == [big, here]
    assert ln.Artifact.get(key="raw/big.bin") == here
    assert here.cache().read_text() == "bytes"


def test_it_takes_part_in_lineage_differences_and_impact(ledger):  # noqa: ARG001
    before = ln.head()
    big = ln.bridges.declare(**BIG)
    made = artifact("made", key="made")
    began = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    run = ln.bridges.record_run(
        identity=["x"],
        key="x.py",
        started_at=began,
        finished_at=began,
        inputs=[big],
        outputs=[made],
    )
    assert big in made.lineage().artifacts
    assert made in big.impact().artifacts
    assert run in big.input_of
    assert {it.uid for it in ln.diff(before, "now").added} >= {big.uid}
    assert ln.as_of(before).Artifact.filter().count() == 0
    assert ln.as_of("now").Artifact.get(big.uid).is_declared
    assert "big.bin" in made.lineage().to_mermaid()
    big.retract("wrong bucket")
    assert ln.Artifact.get(big.uid).is_retracted


def test_a_collection_may_hold_it(ledger):  # noqa: ARG001
    big, seen = ln.bridges.declare(**BIG), artifact("a.txt", key="a.txt")
    both = ln.Collection([big, seen], name="both").save()
    head = ln.head()
    assert ln.Collection([big, seen], name="both").save() == both
    assert ln.head() == head
    other = ln.bridges.declare(namespace="s3://lab", name="other")
    assert ln.Collection([other, seen], name="others").save().hash != both.hash
    assert ln.audit().ok


def test_it_goes_to_the_trash_is_withdrawn_and_erased(ledger):
    big = ln.bridges.declare(**BIG)
    big.delete()
    big.restore()
    big.delete(permanent=True, storage=True)
    assert ln.Artifact.filter().with_trash().count() == 0
    again = ln.bridges.declare(**BIG)
    assert again.uid != big.uid
    ln.erase(again, reason="request")
    ln.erase(big, reason="request")
    files = [it for it in ledger.rglob("*") if it.is_file()]
    assert not any(b"I-EOc37Fd5SZVtseNYT2KN" in it.read_bytes() for it in files)
    assert not any(b"s3://lab" in it.read_bytes() for it in files)
    with pytest.raises(ln.errors.RecordErasedError):
        ln.bridges.declare(**BIG)
    assert ln.audit().ok
    metaledger(ledger, "rebuild")
    assert ln.audit().ok


def test_what_cannot_be_said_is_refused(ledger, refuses):  # noqa: ARG001
    declare, kind = ln.bridges.declare, "InvalidValueError"
    refuses(lambda: declare(**BIG | {"size": -1}), kind, "size")
    refuses(lambda: declare(**BIG | {"n_files": "2"}), kind, "n_files")
    refuses(lambda: declare(**BIG | {"name": ""}), kind, "name")
    refuses(lambda: declare(**BIG | {"key": "a\nb"}), kind, "key")
    refuses(lambda: declare(**BIG | {"where": 7}), kind, "where")
    refuses(lambda: declare(**BIG | {"revises": "x"}), kind, "revises")
    ln.track(key="a.py", name="a")
    refuses(lambda: declare(**BIG), "CommandRejectedError", "finish")
    ln.finish()


def test_the_command_shows_it_and_finds_nothing_wrong(ledger):
    big = ln.bridges.declare(**BIG)
    artifact("a.txt", key="a.txt")
    shown = metaledger(ledger, "show", "raw/big.bin").out
    assert "sha1-fl" in shown
    assert "s3://lab/raw/big.bin" in shown
    assert metaledger(ledger, "show", big.uid, "--json").json["is_declared"] is True
    assert "raw/big.bin" in metaledger(ledger, "list", "artifact").out
    assert "is_declared=True" in repr(big)
    assert "is_declared" not in repr(ln.Artifact.get(key="a.txt"))
    assert "s3://lab" in str(big.describe())
    assert big._repr_html_()
    assert ln.Artifact.filter().df().shape[0] == 2
    assert not [it for it in examine(ln.connect(), content=True) if "content" in it.kind]
    metaledger(ledger, "audit", "--content")
    metaledger(ledger, "history", big.uid)
    metaledger(ledger, "prove", big.uid)
    assert "claimed" not in metaledger(ledger, "list", "artifact").out
    bare = ln.bridges.declare(namespace="x", name="bare")
    assert bare.claimed is None
    assert "claimed" not in metaledger(ledger, "show", bare.uid).out


def test_its_url_keeps_no_password(ledger):  # noqa: ARG001
    big = ln.bridges.declare(namespace="x", name="y", where="https://ada:secret@host/a")
    assert "secret" not in big.whereabouts


def test_an_archive_holds_what_other_tools_told(ledger):
    ln.bridges.declare(**BIG, aliases=["lamindb:IBAibMEXVC"])
    metaledger(ledger, "export", "archive")
    other = ledger / "other"
    other.mkdir()
    metaledger(other, "import", "../archive", "--storage", "./storage")
    assert metaledger(other, "show", "lamindb:IBAibMEXVC", "--json").json["is_declared"] is True
    metaledger(other, "audit")
