"""Runs that OpenLineage tells of come in, in any order and once; on both databases."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

import ledger as ln
from ledger.places import instance
from tests.e2e.command import metaledger
from tests.support.door import file

DAY = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
LOAD, CLEAN, AGAIN = (str(UUID(int=n)) for n in (1, 2, 3))


def at(hour: float) -> dt.datetime:
    return DAY + dt.timedelta(hours=hour)


def data(name: str, version: str | None = None, **facets: Any) -> dict[str, Any]:
    if version is not None:
        facets["version"] = {"datasetVersion": version}
    return {"namespace": "s3://lake", "name": name, "facets": facets}


def event(run: str, kind: str, hour: float, job: str = "daily", **more: Any) -> dict[str, Any]:
    return {
        "eventType": kind,
        "eventTime": at(hour).isoformat(),
        "producer": "https://example.com/etl",
        "run": {"runId": run, "facets": more.pop("facets", {})},
        "job": {"namespace": "etl", "name": job},
        **more,
    }


def bring(events: list[Any], **options: Any) -> Any:
    lines = [it if isinstance(it, str) else json.dumps(it) for it in events]
    Path("events.jsonl").write_text("\n".join(lines) + "\n")
    return ln.bridges.import_openlineage("events.jsonl", **options)


def run(name: str) -> Any:
    return ln.Run.get(f"openlineage:{name}")


STORY = [
    event(LOAD, "START", 8, "load", inputs=[data("orders", "7")]),
    event(LOAD, "RUNNING", 8.1, "load", inputs=[data("orders", "7")]),
    event(LOAD, "COMPLETE", 9, "load", inputs=[data("orders", "7")], outputs=[data("daily")]),
    event(CLEAN, "START", 10, "clean", inputs=[data("daily")],
          facets={"parent": {"run": {"runId": LOAD}, "job": {"namespace": "etl", "name": "load"}},
                  "executionParameters": {"parameters": [{"key": "rate", "value": "0.1"}]}}),
    event(CLEAN, "FAIL", 11, "clean", facets={"errorMessage": {"message": "no rows"}}),
    event(AGAIN, "START", 12, "load", inputs=[data("daily")]),
    event(AGAIN, "OTHER", 12.5, "load"),
    event(AGAIN, "COMPLETE", 13, "load", outputs=[data("daily")]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def quiet(here: Path) -> Path:
    ln.settings.verbosity = "error"
    return here


def test_events_of_a_run_are_one_run_with_its_times_inputs_and_outputs():
    done = bring(STORY)
    assert done.adds_up
    load, clean, again = run(LOAD), run(CLEAN), run(AGAIN)
    assert (load.status, load.started_at, load.finished_at) == ("finished", at(8), at(9))
    assert (load.transform.key, load.transform.kind) == ("load", "pipeline")
    assert (clean.status, clean.error, clean.finished_at) == ("failed", "no rows", at(11))
    assert (clean.params, clean.initiated_by) == ({"rate": "0.1"}, load)
    assert again.transform == load.transform
    (orders,), (daily,), (later,) = load.inputs, load.outputs, again.outputs
    assert (orders.key, orders.version) == ("s3://lake/orders", "7")
    assert daily.is_declared
    assert list(clean.inputs) == list(again.inputs) == [daily]
    assert (later.key, later.revises, later.is_latest) == ("s3://lake/daily", daily, True)
    assert later.created_at == at(13)
    assert orders in later.lineage().artifacts
    assert ln.audit().ok


def test_order_and_repetition_change_nothing():
    shuffled = [*STORY, *STORY]
    random.Random(3).shuffle(shuffled)  # noqa: S311 (an order, no secret)
    planned = bring(shuffled, dry_run=True)
    head = ln.head()
    done = bring(shuffled)
    assert done.events == planned.events == ln.head() - head
    test_events_of_a_run_are_one_run_with_its_times_inputs_and_outputs()
    assert ln.head() == head + done.events
    for one in STORY:
        assert bring([one]).events == 0


def test_a_later_event_adds_to_a_run_that_is_known():
    bring([event(LOAD, "START", 8, inputs=[data("orders")])])
    assert run(LOAD).status == "started"
    bring([event(LOAD, "FAIL", 9, outputs=[data("daily")])])
    assert (run(LOAD).status, [it.key for it in run(LOAD).outputs]) == (
        "failed",
        ["s3://lake/daily"],
    )
    bring([event(LOAD, "COMPLETE", 10, outputs=[data("daily"), data("log")])])
    assert (run(LOAD).status, run(LOAD).finished_at) == ("finished", at(10))
    assert sorted(it.key for it in run(LOAD).outputs) == ["s3://lake/daily", "s3://lake/log"]
    head = ln.head()
    bring([event(LOAD, "START", 11), event(LOAD, "FAIL", 12), event(LOAD, "ABORT", 13)])
    assert (ln.head(), run(LOAD).status) == (head, "finished")


def test_an_input_stays_what_it_was_when_further_versions_come():
    bring([event(CLEAN, "START", 10, inputs=[data("daily")])])
    bring([event(LOAD, "COMPLETE", 9, outputs=[data("daily")])])
    head = ln.head()
    bring([event(CLEAN, "START", 10, inputs=[data("daily")])])
    assert ln.head() == head
    bring([event(AGAIN, "START", 11, inputs=[data("daily")])])
    assert list(run(AGAIN).inputs) == list(run(LOAD).outputs)


def test_a_run_that_reads_what_it_writes_is_no_circle():
    bring([event(LOAD, "COMPLETE", 8, inputs=[data("t")], outputs=[data("t")])])
    (read,), (made,) = run(LOAD).inputs, run(LOAD).outputs
    assert read != made
    assert read.key == made.key
    assert [it.uid for it in made.lineage().runs] == [run(LOAD).uid]


def test_what_tells_of_no_run_is_counted_and_left_out():
    job = {"eventTime": at(1).isoformat(), "job": {"namespace": "etl", "name": "load"}}
    dataset = {"eventTime": at(1).isoformat(), "dataset": data("orders")}
    done = bring([job, "", dataset])
    assert (done.events, done.counts["event"].left_out, done.adds_up) == (0, 2, True)


def test_an_artifact_of_this_ledger_is_that_artifact():
    mine = ln.Artifact(file("daily.csv", "x\n1\n"), key="daily.csv").save()
    own = f"metaledger:{instance.current().place.configuration.id}"
    links = {"identifiers": [{"namespace": own, "name": "daily.csv", "type": "FILE"}]}
    bring([event(LOAD, "COMPLETE", 8, inputs=[data("x", mine.digest, symlinks=links)])])
    assert list(run(LOAD).inputs) == [mine]
    assert ln.Artifact.filter().count() == 1


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("{", "JSON"),
        ("[]", "object"),
        ('"x"', "object"),
        ('{"eventType": "COMPLETE"}', "eventTime"),
        (json.dumps({**STORY[0], "eventTime": "2026-01-05T08:00:00"}), "eventTime"),
        (json.dumps({**STORY[0], "eventTime": "2999-01-05T08:00:00Z"}), "future"),
        (json.dumps({**STORY[0], "run": {"runId": "seven"}}), "runId"),
        (json.dumps({**STORY[0], "job": None}), "job"),
        (json.dumps({**STORY[0], "job": {"namespace": "etl", "name": ""}}), "job.name"),
        (json.dumps({**STORY[0], "inputs": [{"namespace": "s3://lake"}]}), "inputs"),
        ('{"eventTime": "2026-01-05T08:00:00Z"}', "dataset"),
        ("[" * 100_000, "JSON"),
        (json.dumps({**STORY[0], "job": {"namespace": "etl", "name": "a\0b"}}), "NUL"),
        (json.dumps({**STORY[0], "inputs": [data("a", "a\0b")]}), "NUL"),
        ('{"eventTime": "2026-01-05T08:00:00Z", "job": {"namespace": "\\ud800"', "JSON"),
    ],
    ids=range(15),
)
def test_a_bad_line_is_named_and_nothing_is_recorded(refuses, line, words):
    told = [STORY[0], "", line, STORY[1]]
    refuses(lambda: bring(told), "InvalidValueError", "events.jsonl, line 3", words)


def test_a_stream_that_is_not_there_or_no_text_is_refused(refuses):
    gone = "gone.jsonl"
    refuses(lambda: ln.bridges.import_openlineage(gone), "MissingFileError", gone)
    Path("bytes").write_bytes(b'{"eventTime": "\xff"}\n')
    refuses(lambda: ln.bridges.import_openlineage("bytes"), "InvalidValueError", "line 1")


def test_names_that_are_no_names_here_are_left_out_with_their_reason():
    done = bring([event(LOAD, "COMPLETE", 8, "x" * 2_000, outputs=[data("y" * 2_000)])])
    assert done.adds_up
    assert done.left_out
    assert ln.audit().ok


def test_the_command_reads_a_file_or_its_input(quiet, monkeypatch):
    Path("events.jsonl").write_text("".join(json.dumps(it) + "\n" for it in STORY))
    told = metaledger(quiet, "import", "openlineage", "events.jsonl", "--json").json
    assert (told["counts"]["run"]["imported"], told["is_dry_run"]) == (3, False)
    source = io.TextIOWrapper(io.BytesIO(Path("events.jsonl").read_bytes()))
    monkeypatch.setattr("sys.stdin", source)
    again = ln.bridges.import_openlineage("-")
    assert (again.events, again.source) == (0, "openlineage standard input")


@pytest.mark.parametrize(
    "name", ["a\nb", " a ", "é" * 1_200, "\u202e", "%", "@", "x:y//z"], ids=range(7)
)
def test_odd_names_come_in_or_are_left_out_and_never_stop_the_rest(name):
    odd = event(
        LOAD, "FAIL", 8, name, inputs=[data(name), data(name, name)],
        outputs=[data(name + "!", name), {"namespace": name, "name": name}],
        facets={"errorMessage": {"message": name},
                "executionParameters": {"parameters": [{"key": name, "value": name}]}},
    )  # fmt: skip
    done = bring([odd, *STORY[3:]])
    assert done.adds_up
    assert run(AGAIN).status == "finished"
    assert bring([odd, *STORY[3:]]).events == 0
    assert ln.audit().ok
