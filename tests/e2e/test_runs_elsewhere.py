"""Runs that happened elsewhere, recorded with their times and people, on both databases."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from tests.e2e.command import metaledger
from tests.support.door import artifact

BEGAN = dt.datetime(2024, 5, 6, 7, tzinfo=dt.UTC)
ENDED = BEGAN + dt.timedelta(hours=2)
JOB: dict[str, Any] = {"identity": ["slurm", "cluster", 4711], "key": "align.sh"}


@pytest.fixture
def ledger(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def test_a_run_that_happened_elsewhere_is_a_run_with_its_times(ledger):  # noqa: ARG001
    raw, made = artifact("raw", key="raw"), artifact("made", key="made")
    parent = ln.bridges.record_run(identity=["parent"], key="flow", started_at=BEGAN)
    run = ln.bridges.record_run(
        **JOB,
        started_at=BEGAN,
        finished_at=ENDED,
        actor="ada",
        params={"threshold": 0.5, "password": "x"},
        arguments=["--fast"],
        source="#!/bin/sh\n",
        environment="samtools 1.2",
        inputs=[raw],
        outputs=[made],
        initiated_by=parent,
        name="align",
        aliases=["slurm:4711"],
    )
    assert (run.started_at, run.finished_at, run.status) == (BEGAN, ENDED, "finished")
    assert (run.created_by, run.params["threshold"], run.arguments) == ("ada", 0.5, ["--fast"])
    assert run.params["password"] != "x"  # noqa: S105 (made up)
    assert run.transform.key == "align.sh"
    assert run.transform.source_code == "#!/bin/sh\n"
    assert run.environment == "samtools 1.2"
    assert (run.initiated_by, parent.status) == (parent, "started")
    assert list(run.inputs) == [raw]
    assert list(run.outputs) == [made]
    assert ln.Artifact.get(made.uid).run == ln.Run.get("slurm:4711") == run
    assert raw in made.lineage().artifacts
    assert ln.audit().ok


def test_the_same_run_again_adds_only_what_is_new(ledger):  # noqa: ARG001
    raw = artifact("raw", key="raw")
    began = ln.bridges.record_run(**JOB, started_at=BEGAN)
    head = ln.head()
    assert ln.bridges.record_run(**JOB, started_at=BEGAN) == began
    assert ln.head() == head
    ended = ln.bridges.record_run(
        **JOB, started_at=BEGAN, finished_at=ENDED, inputs=[raw], aliases=["slurm:1"]
    )
    assert ended == began
    assert (ended.status, list(ended.inputs), ended.aliases) == ("finished", [raw], ["slurm:1"])
    head = ln.head()
    ln.bridges.record_run(**JOB, started_at=BEGAN, finished_at=ENDED, inputs=[raw])
    ln.bridges.record_run(**JOB, started_at=BEGAN)
    assert ln.head() == head
    assert ln.Run.get(began.uid).status == "finished"
    assert ln.audit().ok


def test_a_tracked_script_never_goes_through_it(ledger):  # noqa: ARG001
    other = ln.bridges.record_run(**JOB, started_at=BEGAN, finished_at=ENDED)
    ln.track(key="align.sh", name="align.sh")
    run = ln.context.run
    ln.finish()
    assert run != other


def test_a_run_that_reads_what_it_made_is_no_circle(ledger):  # noqa: ARG001
    made = artifact("made", key="made")
    run = ln.bridges.record_run(
        **JOB, started_at=BEGAN, finished_at=ENDED, inputs=[made], outputs=[made]
    )
    assert list(run.inputs) == list(run.outputs) == [made]
    assert len(made.lineage(direction="both").runs) == 1
    assert ln.audit().ok


def test_what_cannot_be_recorded_leaves_nothing(ledger, refuses):  # noqa: ARG001
    record = ln.bridges.record_run
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    kind = "InvalidValueError"
    naive = dt.datetime(2024, 1, 1)  # noqa: DTZ001 (on purpose)
    refuses(lambda: record(**JOB, started_at=naive), kind, "time zone")
    refuses(lambda: record(**JOB, started_at=future), kind, "future")
    refuses(lambda: record(**JOB, started_at=ENDED, finished_at=BEGAN), kind, "ended before")
    refuses(lambda: record(**JOB, started_at=BEGAN, status="done"), kind, "status")
    refuses(lambda: record(**JOB, started_at=BEGAN, status="failed"), kind, "no end")
    refuses(lambda: record(**JOB | {"identity": "job"}, started_at=BEGAN), kind, "identity")
    refuses(lambda: record(**JOB | {"identity": [0.5]}, started_at=BEGAN), kind, "identity")
    refuses(lambda: record(**JOB | {"key": ""}, started_at=BEGAN), kind, "key")
    refuses(lambda: record(**JOB, started_at=BEGAN, inputs=["raw"]), kind, "saved artifacts")
    refuses(lambda: record(**JOB, started_at=BEGAN, actor=""), kind, "actor")
    refuses(lambda: record(**JOB, started_at=BEGAN, aliases=["x"]), kind, "alias")
    refuses(lambda: record(**JOB, started_at=BEGAN, params={"x": object()}), kind, "params")
    refuses(lambda: record(**JOB, started_at=BEGAN, initiated_by=7), kind, "initiated_by")
    ln.bridges.record_run(identity=["other"], key="a", started_at=BEGAN, aliases=["slurm:1"])
    refuses(
        lambda: record(**JOB, started_at=BEGAN, aliases=["slurm:1"]), "NameTakenError", "slurm:1"
    )


def test_within_a_tracked_run_it_is_refused(ledger):  # noqa: ARG001
    ln.track(key="a.py", name="a")
    with pytest.raises(ln.errors.CommandRejectedError, match="finish"):
        ln.bridges.record_run(**JOB, started_at=BEGAN)
    ln.finish()


def test_the_command_shows_it(ledger):
    run = ln.bridges.record_run(**JOB, started_at=BEGAN, finished_at=ENDED, aliases=["slurm:4711"])
    assert metaledger(ledger, "show", "slurm:4711", "--json").json["uid"] == run.uid
    assert metaledger(ledger, "list", "run", "--json").json_lines[0]["status"] == "finished"
