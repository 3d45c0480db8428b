"""How runs start, fork, go on and end."""

from __future__ import annotations

import msgspec
import pytest

from ledger.decisions import runs
from ledger.decisions.facts import Stamp
from ledger.model.events import (
    ArtifactReproduced,
    InputRecorded,
    RunAbandoned,
    RunFinished,
    RunResumed,
    RunStarted,
)
from ledger.model.ids import command_id, uid
from tests.support import builders as b
from tests.unit.decisions.telling import given

STAMP = Stamp(at=b.EPOCH, actor=b.ACTOR, run=None)
PLAN = runs.RunPlan(identity="identity", fields={"transform": "T"})
RUN = b.run_uid(1)
A, B = b.artifact_uid("a"), b.artifact_uid("b")
NOTED = (("intent", "subject", "outcome"),)


def new_uid(n):
    return uid(["create", "run", "identity", n], 16)


def kinds(steps):
    return [type(step.event) for step in steps]


# --- starting -------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1, 2])
def test_a_run_takes_the_next_free_ordinal(before):
    models = given(*(b.run_started(n) for n in range(1, before + 1))).models
    born, step = runs.start(models, PLAN, STAMP)
    assert born.n == step.event.n == before + 1
    assert step.event.uid == step.event.run == born.uid
    assert step.identity == step.event.command == ["create", "run", "identity", before + 1]


def test_the_latest_run_is_the_one_with_the_highest_ordinal():
    assert runs.latest_run(given().models, PLAN) is None
    models = given(b.run_started(1), b.run_started(2)).models
    assert runs.latest_run(models, PLAN)["n"] == 2


def test_a_run_of_another_identity_is_not_its_latest():
    other = runs.RunPlan(identity="other", fields={})
    assert runs.latest_run(given(b.run_started(1)).models, other) is None


def test_a_run_knows_intents_in_the_order_in_which_it_came_to_know_them():
    first = b.label_created(
        "x",
        run=RUN,
        command=["intent", RUN, "save", ["ulabel", "x"], {}, 1],
        noted=(("i1", "s1", "o1"), ("i2", "s2", "o2")),
    )
    models = given(
        b.run_started(1), first, b.run_finished(RUN, run=RUN, noted=(("i3", "s3", "o3"),))
    ).models
    known = runs.known_intents(models, RUN)
    assert [outcome for _, _, outcome in known] == ["o1", "o2", b.label_uid("x"), "o3"]


# --- forking --------------------------------------------------------------------------------------


def fork(*events, inputs=(), remade=()):
    return runs.fork(
        given(*events).models,
        PLAN,
        STAMP,
        origin=RUN,
        noted=NOTED,
        inputs=list(inputs),
        remade=list(remade),
    )


def test_a_fork_names_where_it_comes_from_and_what_was_passed():
    born, (started,) = fork(b.run_started(1), b.run_finished(RUN))
    assert isinstance(started.event, RunStarted)
    assert (started.event.forked_from, started.event.noted, born.n) == (RUN, NOTED, 2)


def test_a_fork_of_an_open_run_abandons_it():
    born, (_, abandoned) = fork(b.run_started(1))
    assert isinstance(abandoned.event, RunAbandoned)
    assert (abandoned.event.uid, abandoned.event.by, abandoned.event.run) == (
        RUN,
        born.uid,
        born.uid,
    )


@pytest.mark.parametrize("status", ["finished", "ended", "failed"])
def test_a_fork_leaves_a_run_that_ended_as_it_is(status):
    _, steps = fork(b.run_started(1), b.run_finished(RUN, status))
    assert kinds(steps) == [RunStarted]


def test_a_fork_takes_over_inputs_and_what_was_made_again():
    events = (
        b.run_started(1),
        b.run_finished(RUN),
        b.artifact_registered("a"),
        b.artifact_registered("b"),
    )
    born, (_, read, made) = fork(*events, inputs=[A], remade=[B])
    assert read.event == msgspec.structs.replace(
        b.input_recorded(born.uid, A, run=born.uid),
        command=["fork-input", born.uid, A],
        causation=command_id(["create", "run", "identity", 2]),
    )
    assert (made.event.uid, made.event.run) == (B, born.uid)
    assert kinds([read, made]) == [InputRecorded, ArtifactReproduced]


def test_a_fork_does_not_make_again_what_was_withdrawn():
    events = (
        b.run_started(1),
        b.run_finished(RUN),
        b.artifact_registered("a"),
        b.withdrawn("artifact", A),
    )
    assert kinds(fork(*events, remade=[A])[1]) == [RunStarted]


def test_what_a_fork_takes_over_is_caused_by_its_start():
    _, steps = fork(b.run_started(1), b.artifact_registered("a"), inputs=[A], remade=[A])
    started, *others = [step.event for step in steps]
    assert started.causation is None
    assert {it.causation for it in others} == {command_id(started.command)}


# --- going on and ending --------------------------------------------------------------------------


def finish(*events, status="finished", noted=()):
    return runs.finish(
        given(b.run_started(1), *events).models,
        RUN,
        STAMP,
        status=status,
        noted=noted,
        error="boom" if status == "failed" else None,
    )


def test_each_resumption_counts():
    models = given(b.run_started(1), b.run_resumed(RUN, 1)).models
    step = runs.resume(models, RUN, STAMP, NOTED)
    assert isinstance(step.event, RunResumed)
    assert (step.event.resumption, step.event.noted) == (2, NOTED)
    assert step.identity == ["resume", RUN, 2]


def test_an_open_run_ends_with_what_was_not_told_yet():
    (step,) = finish(noted=NOTED)
    assert isinstance(step.event, RunFinished)
    assert (step.event.status, step.event.noted) == ("finished", NOTED)
    assert step.identity == ["finish", RUN, 0]


def test_the_end_of_a_resumption_is_another_command():
    (step,) = finish(b.run_finished(RUN, "failed"), b.run_resumed(RUN, 1))
    assert step.identity == ["finish", RUN, 1]


def test_an_abandoned_run_that_lives_on_can_end():
    assert kinds(finish(b.run_abandoned(RUN, "by"))) == [RunFinished]


@pytest.mark.parametrize(
    ("before", "status"),
    [("finished", "finished"), ("finished", "failed"), ("ended", "failed"), ("failed", "ended")],
)
def test_a_pass_that_ends_second_adds_nothing_to_what_is_said(before, status):
    assert finish(b.run_finished(RUN, before), status=status) == []


@pytest.mark.parametrize("before", ["ended", "failed"])
def test_a_pass_that_finishes_after_another_broke_off_finishes_the_run(before):
    steps = finish(b.run_finished(RUN, before))
    assert kinds(steps) == [RunResumed, RunFinished]
    assert [step.identity for step in steps] == [["resume", RUN, 1], ["finish", RUN, 1]]
    assert steps[1].event.status == "finished"


@pytest.mark.parametrize("status", ["finished", "failed"])
def test_what_finished_stays_finished_when_a_second_pass_has_more_to_tell(status):
    steps = finish(b.run_finished(RUN), status=status, noted=NOTED)
    assert kinds(steps) == [RunResumed, RunFinished]
    assert (steps[1].event.status, steps[1].event.error) == ("finished", None)
    assert steps[1].event.noted == NOTED
