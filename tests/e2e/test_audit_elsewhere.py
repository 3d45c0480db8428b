"""What the audit tells of events about other tools that no rule would have recorded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.model.canonical import Json
from ledger.model.events import ArtifactRelocated, Draft, LedgerEvent
from ledger.model.ids import StreamId, command_id, natural_id, stream_id, versioned_uid
from ledger.model.outside_events import AliasAdded, ArtifactDeclared
from ledger.places import instance
from tests.support.door import artifact, label


@pytest.fixture
def ledger(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def found_after(stream: str, identity: list[Json], event: LedgerEvent) -> set[str]:
    """Append an event past the rules, and return the kinds of findings that follow."""
    assert ln.audit().ok
    with instance.current().writing() as session:
        session.log.append(command_id(identity), [Draft(stream=StreamId(stream), event=event)])
    instance.current().database.rebuild()
    return {it.kind for it in ln.audit().findings}


def common(identity: list[Json]) -> dict[str, Any]:
    return {"at": 1, "actor": "eve", "command": identity}


def test_an_alias_that_leads_to_another_record_is_told(ledger):  # noqa: ARG001
    label("x").add_alias("lamindb:1")
    other = label("y")
    event = AliasAdded(registry="ulabel", uid=other.uid, alias="lamindb:2", **common(["a"]))
    assert found_after(other._row["stream"], ["a"], event) == set()
    event = AliasAdded(registry="ulabel", uid=other.uid, alias="lamindb:2", **common(["b"]))
    with pytest.raises(AssertionError):
        assert found_after(other._row["stream"], ["b"], event) == set()


def test_an_alias_of_what_was_withdrawn_is_told(ledger):  # noqa: ARG001
    gone = label("x")
    gone.delete(permanent=True)
    event = AliasAdded(registry="ulabel", uid=gone.uid, alias="lamindb:1", **common(["a"]))
    assert found_after(gone._row["stream"], ["a"], event) == {"history"}


def declared(**given: Any) -> tuple[str, list[Json], ArtifactDeclared]:
    natural: list[Any] = given.pop("natural", ["artifact", "declared", "s3", "a", None])
    identity = ["create", *natural, 1]
    event = ArtifactDeclared(
        uid=versioned_uid(identity, stem_length=16),
        natural=natural,
        natural_id=natural_id(natural),
        **given,
        **common(identity),
    )
    return stream_id(identity), identity, event


def test_an_honest_declaration_passes(ledger):  # noqa: ARG001
    assert found_after(*declared(size=7, has_size=True)) == set()


def test_a_size_that_is_said_and_not_counted_is_told(ledger):  # noqa: ARG001
    assert found_after(*declared(size=7)) == {"has-size"}


def test_a_declaration_under_the_name_of_content_is_told(ledger):  # noqa: ARG001
    assert found_after(*declared(natural=["artifact", "md5", "x"])) == {"history"}


def test_a_key_that_a_declaration_moves_is_followed(ledger):  # noqa: ARG001
    artifact("a.txt", key="a.txt")
    assert found_after(*declared(key="a.txt")) == {"displaced"}


def test_content_that_a_declared_artifact_gets_later_is_told(ledger):  # noqa: ARG001
    big = ln.bridges.declare(namespace="s3", name="a")
    event = ArtifactRelocated(uid=big.uid, storage="x", storage_key="y", **common(["a"]))
    assert "history" in found_after(big._row["stream"], ["a"], event)
