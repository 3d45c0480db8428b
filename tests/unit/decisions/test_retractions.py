"""What may be retracted, why, and how it is taken back."""

from __future__ import annotations

from ledger.errors import CommandRejectedError, InvalidValueError, NotFoundError
from ledger.model.commands import RetractRecord
from tests.support import builders as b
from tests.unit.decisions.telling import given

A = b.artifact_uid("a")
BORN = b.artifact_registered("a")


def retract(reason="wrong gate", uid=A, registry="artifact"):
    return RetractRecord(registry=registry, uid=uid, reason=reason)


LIFT = RetractRecord(registry="artifact", uid=A, reason=None, is_lifted=True)


def test_a_retraction_keeps_its_reason():
    (event,) = given(BORN).when(retract()).decision.events
    assert (event.uid, event.reason) == (A, "wrong gate")


def test_the_same_reason_again_is_nothing_new():
    assert not given(BORN, b.retracted("artifact", A)).when(retract()).decision.events


def test_another_reason_takes_the_place_of_the_first():
    (event,) = given(BORN, b.retracted("artifact", A)).when(retract("worse")).decision.events
    assert event.reason == "worse"


def test_a_retraction_needs_a_reason():
    given(BORN).when(retract("")).rejects(InvalidValueError, "expected a reason")


def test_labels_are_not_retracted():
    label = b.label_uid("x")
    given(b.label_created("x")).when(retract(uid=label, registry="ulabel")).rejects(
        CommandRejectedError, "cannot be retracted"
    )


def test_an_unknown_record_is_not_retracted():
    given().when(retract()).rejects(NotFoundError, "not in this ledger")


def test_a_retraction_is_lifted_once():
    history = (BORN, b.retracted("artifact", A))
    assert len(given(*history).when(LIFT).decision.events) == 1
    assert not given(*history, b.retraction_lifted("artifact", A)).when(LIFT).decision.events
