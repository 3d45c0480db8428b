"""Runs go out as events of OpenLineage, which its own client accepts; on both databases."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.errors import InvalidValueError, MissingFileError, NotFoundError, PathTakenError
from ledger.places import instance
from tests.e2e.command import metaledger
from tests.support.door import artifact, begin_as_script, file

DAY = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)
IMPORTED = "01890a5d-ac96-774b-bcce-b302099a8057"


def told(name: str = "out.jsonl", **options: Any) -> list[dict[str, Any]]:
    """Export, and return the events."""
    Path(name).unlink(missing_ok=True)
    done = ln.bridges.export_openlineage(name, **options)
    events = [json.loads(line) for line in Path(name).read_text().splitlines()]
    assert len(events) == done.events
    return events


def space() -> str:
    return f"metaledger:{instance.current().place.configuration.id}"


def names(datasets: list[dict[str, Any]]) -> list[str]:
    return [it["name"] for it in datasets]


def track(monkeypatch: pytest.MonkeyPatch, name: str, **options: Any) -> None:
    begin_as_script(monkeypatch, str(file(name, f"# {name}").absolute()))
    ln.track(**options)


@pytest.fixture
def runs(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run that finished and one that failed, one after the other."""
    ln.settings.verbosity = "error"
    track(monkeypatch, "ingest.py", params={"n": 3, "how": "fast"})
    artifact("raw.csv", "x\n1\n", key="raw.csv")
    ln.finish()
    track(monkeypatch, "clean.py")
    ln.Artifact.get(key="raw.csv").cache()
    artifact("clean.csv", "x\n", key="clean.csv")
    ln.context.fail("no rows")
    return here


@pytest.mark.usefixtures("runs")
def test_a_run_goes_out_with_inputs_outputs_and_digests():
    first, ingested, _, cleaned = told()
    assert [it["eventType"] for it in told()] == ["START", "COMPLETE", "START", "FAIL"]
    assert ingested["job"]["namespace"] == space()
    assert ingested["job"]["name"] == "ingest.py"
    assert first["run"]["runId"] == ingested["run"]["runId"] != cleaned["run"]["runId"]
    given = ingested["run"]["facets"]["executionParameters"]["parameters"]
    assert {it["key"]: it["value"] for it in given} == {"n": "3", "how": "fast"}
    (raw,), (read,), (made,) = ingested["outputs"], cleaned["inputs"], cleaned["outputs"]
    mine = ln.Artifact.get(key="raw.csv")
    assert raw["facets"]["version"]["datasetVersion"] == mine.digest
    assert raw["outputFacets"]["outputStatistics"]["size"] == mine.size
    assert (read["namespace"], read["name"], read["facets"]) == (
        space(),
        "raw.csv",
        raw["facets"],
    )
    assert made["name"] == "clean.csv"
    assert cleaned["run"]["facets"]["errorMessage"]["message"] == "no rows"


@pytest.mark.usefixtures("runs")
def test_the_same_bytes_each_time_and_nothing_new_when_they_come_back():
    told("one.jsonl")
    told("two.jsonl")
    assert Path("one.jsonl").read_bytes() == Path("two.jsonl").read_bytes()
    head = ln.head()
    done = ln.bridges.import_openlineage("one.jsonl")
    assert (ln.head(), done.events, done.adds_up) == (head, 0, True)


@pytest.mark.usefixtures("runs")
def test_two_parts_are_the_whole():
    middle = ln.Artifact.get(key="raw.csv").run.replayed()[0].position + 1
    whole, later = told(), told(since=middle)
    assert 0 < len(later) < len(whole)
    assert whole[-len(later) :] == later
    assert told(since=ln.head()) == []


@pytest.mark.usefixtures("here")
def test_what_a_run_made_after_its_end_repeats_the_end():
    ln.settings.verbosity = "error"
    job = {"identity": ["x", 1], "key": "x.sh", "started_at": DAY}
    parent = ln.bridges.record_run(**job, finished_at=DAY)
    ln.bridges.record_run(
        identity=["x", 2], key="y.sh", started_at=DAY, status="ended", finished_at=DAY,
        initiated_by=parent,
    )  # fmt: skip
    before = told()
    assert [it["eventType"] for it in before] == ["START", "COMPLETE", "START", "ABORT"]
    facet = before[-1]["run"]["facets"]["parent"]
    assert facet["run"]["runId"] == before[0]["run"]["runId"]
    assert facet["job"] == {"namespace": space(), "name": "x.sh"}
    head = ln.head()
    made = ln.bridges.declare(namespace="s3://core", name="a", where="s3://core/a/b.gz", key="a")
    ln.bridges.record_run(**job, finished_at=DAY, outputs=[made])
    assert told()[:-1] == before
    (again,) = told(since=head)
    assert (again["eventType"], again["run"]["runId"]) == ("COMPLETE", before[0]["run"]["runId"])
    (dataset,) = again["outputs"]
    assert (dataset["namespace"], dataset["name"]) == ("s3://core", "a/b.gz")
    links = dataset["facets"]["symlinks"]["identifiers"]
    assert links == [{"namespace": space(), "name": "a", "type": "FILE"}]


def test_what_lies_where_people_keep_it_is_named_by_its_path(here, monkeypatch):
    ln.settings.verbosity = "error"
    track(monkeypatch, "ingest.py")
    path = file(str(here / "data" / "a.csv"), "a")
    ln.Artifact(path, storage=str(here / "data")).save()
    ln.finish()
    (made,) = told()[-1]["outputs"]
    assert (made["namespace"], made["name"]) == ("file", str(path))


@pytest.mark.usefixtures("here")
def test_runs_of_other_tools_are_not_told_again_but_their_datasets_keep_their_names():
    ln.settings.verbosity = "error"
    daily = {"namespace": "s3://lake", "name": "daily"}
    event = {
        "eventType": "COMPLETE",
        "eventTime": DAY.isoformat(),
        "run": {"runId": IMPORTED},
        "job": {"namespace": "etl", "name": "load"},
        "outputs": [daily],
    }
    Path("in.jsonl").write_text(json.dumps(event))
    ln.bridges.import_openlineage("in.jsonl")
    assert told() == []
    made = ln.Artifact.get(key="s3://lake/daily")
    ln.bridges.record_run(identity=["x"], key="x.sh", started_at=DAY, inputs=[made])
    ln.bridges.record_run(identity=["x"], key="x.sh", started_at=DAY, finished_at=DAY)
    (read,) = told()[-1]["inputs"]
    assert {key: read[key] for key in daily} == daily
    assert read["facets"]["version"]["datasetVersion"] == IMPORTED


@pytest.mark.usefixtures("runs")
def test_nothing_is_told_of_what_was_erased():
    from ledger.upkeep.erasure import erase  # noqa: PLC0415

    erase(ln.Artifact.get(key="raw.csv").uid, reason="asked for")
    assert "raw.csv" not in json.dumps(told())


@pytest.mark.usefixtures("runs")
def test_what_cannot_be_written_leaves_nothing():
    told()
    taken = Path("out.jsonl").read_bytes()
    with pytest.raises(PathTakenError):
        ln.bridges.export_openlineage("out.jsonl")
    assert Path("out.jsonl").read_bytes() == taken
    with pytest.raises(MissingFileError):
        ln.bridges.export_openlineage("no/out.jsonl")
    with pytest.raises(InvalidValueError):
        ln.bridges.export_openlineage("http://host/api/v1/lineage")
    with pytest.raises(InvalidValueError):
        ln.bridges.export_openlineage("new.jsonl", since=ln.head() + 1)
    with pytest.raises(NotFoundError):
        ln.bridges.export_openlineage("new.jsonl", since="no such tag")
    assert not Path("new.jsonl").exists()


def test_the_command_says_what_it_wrote(runs):
    said = metaledger(runs, "export", "openlineage", "cli.jsonl", "--json").json
    assert (said["events"], said["runs"]) == (4, 2)
    said = metaledger(runs, "export", "openlineage", "later.jsonl", "--since", str(ln.head()))
    assert Path("later.jsonl").read_bytes() == b""


@pytest.mark.usefixtures("runs")
def test_the_models_of_the_client_accept_every_event():
    from openlineage.client import event_v2 as v2  # noqa: PLC0415
    from openlineage.client import facet_v2 as facets  # noqa: PLC0415

    for it in told():
        v2.RunEvent(
            eventTime=it["eventTime"],
            producer=it["producer"],
            eventType=v2.RunState(it["eventType"]),
            run=v2.Run(runId=it["run"]["runId"]),
            job=v2.Job(namespace=it["job"]["namespace"], name=it["job"]["name"]),
            inputs=[
                v2.InputDataset(namespace=d["namespace"], name=d["name"]) for d in it["inputs"]
            ],
            outputs=[
                v2.OutputDataset(namespace=d["namespace"], name=d["name"]) for d in it["outputs"]
            ],
        )
        held = it["run"]["facets"]
        if "errorMessage" in held:
            said = {k: v for k, v in held["errorMessage"].items() if not k.startswith("_")}
            facets.error_message_run.ErrorMessageRunFacet(**said)
        for dataset in it["outputs"]:
            statistics = dataset["outputFacets"]["outputStatistics"]
            said = {k: v for k, v in statistics.items() if not k.startswith("_")}
            facets.output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(**said)


def _named(dataset: dict[str, Any]) -> dict[str, str]:
    return {key: dataset[key] for key in ("namespace", "name")}
