"""The plan of an import, with a source that is made up here; on both databases."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.bridges import plan
from ledger.bridges import steps as s
from ledger.bridges.plan import carry_out
from ledger.model.ids import command_id
from ledger.places import instance
from tests.support.door import file, label

SOURCE = s.Source(tool="lab", instance="instance 1", where="/lab")
DAY = dt.datetime(2024, 5, 6, tzinfo=dt.UTC)


def at(hour: int) -> dt.datetime:
    return DAY + dt.timedelta(hours=hour)


def said(table: str, row: str, hour: int | None, by: str | None = "ada") -> dict[str, Any]:
    return {"table": table, "row": row, "at": None if hour is None else at(hour), "by": by}


def md5(text: str) -> str:
    raw = hashlib.md5(text.encode(), usedforsecurity=False).digest()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def story(folder: Path) -> list[s.AnyStep]:
    """Everything that a source can tell, not in order."""
    raw, changed = file(str(folder / "raw.txt"), "raw"), file(str(folder / "changed.txt"), "new")
    return [
        s.Trash(**said("label", "L2", None, None), ref="L2"),
        s.Label(**said("label", "L1", 1), ref="L1", name="one", description="first"),
        s.Label(**said("label", "L2", 1), ref="L2", name="two"),
        s.Label(**said("label", "L3", 2), ref="L3", name="one"),
        s.Link(**said("parents", "1", 3), ref="L1", field="parents", target="L2"),
        s.TransformVersion(
            **said("transform", "T1", 1), ref="T1xxxxxxxxxx0000", stem="T1xxxxxxxxxx",
            key="a/clean.py", source="# v1\n",
        ),
        s.TransformVersion(
            **said("transform", "T2", 2), ref="T1xxxxxxxxxx0001", stem="T1xxxxxxxxxx",
            key="a/clean.py", source="# v2\n", revises="T1xxxxxxxxxx0000",
        ),
        s.RunSeen(
            **said("run", "R1", 3), ref="R1", transform="T1xxxxxxxxxx0000", params={"n": 0.5},
            environment="python 3",
        ),
        s.RunEnded(**said("run", "R1", 6), run="R1", status="finished"),
        s.RunSeen(
            **said("run", "R2", 4), ref="R2", transform="T1xxxxxxxxxx0001", initiated_by="R1"
        ),
        s.ContentSeen(
            **said("artifact", "A1", 4), ref="A1", path=str(raw), key="raw.txt", run="R1",
            claimed=(("md5", md5("raw")),), suffix=".txt", storage=str(folder),
        ),
        s.ContentSeen(
            **said("artifact", "A2", 5), ref="A2", path=str(changed), key="raw.txt", run="R2",
            claimed=(("md5", md5("old")),), revises="A1", suffix=".txt", size=3,
        ),
        s.ContentSeen(
            **said("artifact", "A3", 5), ref="A3", path=str(folder / "gone"), key="/bad", size=7
        ),
        s.Reproduced(**said("artifact", "A1", 6), artifact="A1", run="R2"),
        s.Input(**said("input", "1", 6), artifact="A1", run="R2"),
        s.CollectionSeen(
            **said("collection", "C1", 7), ref="C1", name="both", artifacts=("A1", "A2"), run="R2"
        ),
        s.Link(**said("labels", "1", 7), ref="A1", field="labels", target="L1", run="R2"),
        s.RegistrySeen(
            **said("registry", "D", 1), ref="D", name="Donor",
            fields=(
                s.FieldSeen(name="age", type="int"),
                s.FieldSeen(name="kin", type="record[Donor]"),
            ),
        ),
        s.RecordSeen(
            **said("record", "D1", 2), ref="D1", registry="Donor", name="D1", values={"age": 41}
        ),
        s.RecordSeen(
            **said("record", "D2", 3), ref="D2", registry="Donor", name="D2",
            values={"kin": ("D1",)},
        ),
        s.FeatureSeen(
            **said("feature", "F1", 1), ref="F1",
            feature=s.FieldSeen(name="temperature", type="float", unit="degC"),
        ),
        s.ValuesSeen(**said("values", "1", 6), ref="A1", values={"temperature": 37.2}),
        s.Kept(**said("kept", "rest", None, None), ref="rest", key="lab/rest.jsonl", text="{}\n"),
        s.LeftOut(**said("label", "L9", 1), why="a type"),
        s.Unmapped(table="lab_project", rows=2, why="no place here"),
    ]  # fmt: skip


@pytest.fixture
def folder(here: Path) -> Path:
    ln.settings.verbosity = "error"
    made = here / "source"
    made.mkdir()
    return made


def test_a_dry_run_counts_the_events_that_come_and_records_nothing(folder):
    head, stored = ln.head(), sorted((folder.parent / "storage").rglob("*"))
    planned = carry_out(SOURCE, story(folder), dry_run=True)
    assert ln.head() == head
    assert sorted((folder.parent / "storage").rglob("*")) == stored
    done = carry_out(SOURCE, story(folder))
    assert ln.head() - head == done.events == planned.events > 20
    assert planned.counts == done.counts
    assert planned.is_dry_run
    assert not done.is_dry_run


def test_everything_comes_in_with_its_dates_names_and_people(folder):
    done = carry_out(SOURCE, story(folder))
    assert done.adds_up
    assert done.left_out == {"label: a type": 1}
    assert [it.table for it in done.unmapped] == ["lab_project"]
    one = ln.ULabel.get("L1")
    assert (one.name, one.created_at, one.created_by) == ("one", at(1), "ada")
    assert one.aliases == ["lab:L1", "lab:L3"]
    assert [it.name for it in one.parents] == ["two"]
    assert ln.ULabel.filter(name="two").count() == 0
    first, second = (ln.Transform.get(f"T1xxxxxxxxxx000{n}") for n in (0, 1))
    assert first.uid.startswith("T1xxxxxxxxxx")
    assert (second.revises, second.source_code, second.name) == (first, "# v2\n", "clean.py")
    run, other = ln.Run.get("R1"), ln.Run.get("lab:R2")
    assert (run.started_at, run.finished_at, run.status) == (at(3), at(6), "finished")
    assert (run.params, run.environment) == ({"n": 0.5}, "python 3")
    assert (other.status, other.initiated_by) == ("started", run)
    raw = ln.Artifact.get("A1")
    assert (raw.run, list(raw.previous_runs), list(other.inputs)) == (other, [run], [raw])
    assert raw.in_place
    assert raw.cache().read_text() == "raw"
    assert list(raw.labels) == [one]
    assert raw.features["temperature"] == 37.2
    donor = ln.registry("donor").get("D2")
    assert donor.kin.name == "D1"
    assert donor.kin.age == 41
    assert [it.uid for it in ln.Collection.get("C1").artifacts] == [
        raw.uid,
        ln.Artifact.get("A2").uid,
    ]
    assert ln.Artifact.get("rest").cache().read_text() == "{}\n"
    assert ln.audit(content=True).ok


def test_content_that_is_not_there_or_another_one_is_declared(folder):
    done = carry_out(SOURCE, story(folder))
    assert done.damaged == ["lab:A2"]
    assert sorted(done.declared) == ["lab:A2", "lab:A3"]
    gone = ln.Artifact.get("A3")
    assert gone.is_declared
    assert gone.key is None
    assert any("A3" in it and "key" in it for it in done.notes)
    changed = ln.Artifact.get("A2")
    assert (changed.key, changed.is_latest, changed.revises) == (
        "raw.txt",
        True,
        ln.Artifact.get("A1"),
    )
    assert changed.created_at == at(5)


def test_declared_on_request_nothing_is_read(folder):
    done = carry_out(SOURCE, story(folder), declare=True)
    assert sorted(done.declared) == ["lab:A1", "lab:A2", "lab:A3"]
    assert ln.Artifact.get("A1").is_declared
    assert ln.audit().ok


def test_again_it_adds_nothing_and_undoes_nothing_that_people_did(folder):
    carry_out(SOURCE, story(folder))
    ln.ULabel.get("L2").restore()
    one = ln.ULabel.get("L1")
    one.description = "mine"
    one.name = "mine"
    one.save()
    ln.Artifact.get("A1").labels.remove(one)
    head = ln.head()
    done = carry_out(SOURCE, story(folder))
    assert ln.head() == head
    assert done.events == 0
    assert done.adds_up
    assert all(it.imported == 0 for it in done.counts.values())
    assert ln.ULabel.get("L1").description == "mine"


def test_what_is_here_already_gets_names_and_keeps_its_fields(folder):
    mine = label("one", description="mine")
    carry_out(SOURCE, story(folder))
    assert ln.ULabel.get("L1") == mine
    assert ln.ULabel.get("L1").description == "mine"


def test_an_import_that_is_cut_short_goes_on_where_it_ended(folder, monkeypatch):
    whole = carry_out(SOURCE, story(folder), dry_run=True).events
    one, left = plan._one, [9]

    def stops(*given: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        one(*given)

    head = ln.head()
    with monkeypatch.context() as patch:
        patch.setattr(plan, "_one", stops)
        with pytest.raises(KeyboardInterrupt):
            carry_out(SOURCE, story(folder), batch=4)
    assert head < ln.head() < head + whole
    done = carry_out(SOURCE, story(folder), batch=4)
    assert ln.head() == head + whole
    assert done.adds_up
    assert ln.audit().ok


def test_new_rows_of_the_source_are_added(folder):
    told = story(folder)
    carry_out(SOURCE, told)
    head = ln.head()
    more = s.RunEnded(**said("run", "R2", 9), run="R2", status="failed", error="boom")
    done = carry_out(SOURCE, [*told, more])
    assert ln.head() == head + 1 == head + done.events
    assert ln.Run.get("R2").status == "failed"


def test_the_past_of_an_empty_ledger_can_be_asked_as_it_was_said(folder):
    carry_out(SOURCE, story(folder))
    then = ln.as_of(at(4), clock="said")
    assert then.Artifact.filter().count() == 1
    assert then.ULabel.filter().count() == 2
    assert ln.as_of(at(0), clock="said").ULabel.filter().count() == 0


def test_a_torn_source_is_refused_whole(folder, refuses):
    told = story(folder)
    torn = [it for it in told if getattr(it, "ref", None) != "T1xxxxxxxxxx0000"]
    refuses(lambda: carry_out(SOURCE, torn), "InvalidValueError", "T1xxxxxxxxxx0000", "not there")
    late = s.Input(**said("input", "9", 1), artifact="A1", run="R1")
    refuses(lambda: carry_out(SOURCE, [*told, late]), "InvalidValueError", "input 9", "later")
    future = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
    odd = s.Label(table="label", row="X", at=future, ref="X", name="x")
    refuses(lambda: carry_out(SOURCE, [*told, odd]), "InvalidValueError", "label X", "future")
    nobody = s.Label(table="label", row="X", at=at(1), by=" ", ref="X", name="x")
    refuses(lambda: carry_out(SOURCE, [*told, nobody]), "InvalidValueError", "label X", "name")
    naive = s.Label(table="label", row="X", at=dt.datetime(2024, 1, 1), ref="X", name="x")  # noqa: DTZ001
    refuses(lambda: carry_out(SOURCE, [*told, naive]), "InvalidValueError", "label X", "zone")


def test_what_cannot_be_recorded_is_left_out_with_what_belongs_to_it(folder):  # noqa: ARG001
    told = [
        s.Label(**said("label", "L1", 1), ref="L1", name="x" * 300),
        s.Label(**said("label", "L2", 1), ref="L2", name="fine"),
        s.Link(**said("parents", "1", 2), ref="L2", field="parents", target="L1"),
        s.LeftOut(**said("label", "L3", 1), why="hidden"),
        s.Link(**said("parents", "2", 2), ref="L2", field="parents", target="L3"),
    ]
    done = carry_out(SOURCE, told)
    assert done.adds_up
    assert (done.counts["label"].imported, done.counts["label"].left_out) == (1, 2)
    assert done.counts["parents"].left_out == 2
    assert len(done.left_out) == 3


def test_content_that_cannot_be_taken_is_declared_or_left_out(folder):
    own, raw = folder.parent / ".metaledger", file(str(folder / "raw.txt"), "raw")
    told = [
        s.ContentSeen(**said("artifact", "A1", 1), ref="A1", path=str(own)),
        s.ContentSeen(**said("artifact", "A2", 1), ref="A2", path=str(raw), storage="a\nb"),
    ]
    done = carry_out(SOURCE, told)
    assert done.declared == ["lab:A1"]
    assert (done.counts["artifact"].left_out, done.counts["artifact"].imported) == (1, 1)
    assert done.adds_up


def test_within_a_tracked_run_it_is_refused(folder):
    ln.track(key="a.py", name="a")
    with pytest.raises(ln.errors.CommandRejectedError, match="finish"):
        carry_out(SOURCE, story(folder))
    ln.finish()


def test_asking_for_another_command_writes_nothing_that_waits(folder):  # noqa: ARG001
    with ln.batch():
        tag = label("x")
        with instance.current().writing() as session:
            log: Any = session.log
            assert log.is_waiting
            assert log.command(command_id(["never"])) == []
            assert log.is_waiting
            (found,) = log.command(command_id(["create", "ulabel", "x", 1]))
            assert found.event.uid == tag.uid
