"""To which record an alias leads, and when it is free."""

from __future__ import annotations

from ledger.errors import NameTakenError, NotFoundError
from ledger.model.outside_commands import AddAlias
from tests.support import builders as b
from tests.unit.decisions.telling import given

A, B = b.artifact_uid("a"), b.artifact_uid("b")
BORN = (b.artifact_registered("a"), b.artifact_registered("b"))
GIVEN = (*BORN, b.alias_added("artifact", A, "lamindb:x"))


def add(uid=A, alias="lamindb:x"):
    return AddAlias(registry="artifact", uid=uid, alias=alias)


def test_an_alias_is_recorded_once():
    (event,) = given(*BORN).when(add()).decision.events
    assert (event.registry, event.uid, event.alias) == ("artifact", A, "lamindb:x")
    assert not given(*GIVEN).when(add()).decision.events
    assert len(given(*GIVEN).when(add(alias="mlflow:x")).decision.events) == 1


def test_an_alias_leads_to_one_record():
    given(*GIVEN).when(add(uid=B)).rejects(NameTakenError, f"leads to artifact {A}")


def test_a_withdrawal_frees_the_alias():
    history = (*GIVEN, b.withdrawn("artifact", A))
    assert len(given(*history).when(add(uid=B)).decision.events) == 1


def test_an_unknown_record_gets_no_alias():
    given().when(add()).rejects(NotFoundError, "not in this ledger")
