"""An instance of LaminDB comes in whole and once, with its dates, people and names."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.errors import InvalidValueError, StorageError
from tests.e2e.command import metaledger
from tests.support.lamindb import Made, story
from tests.support.servers import in_new_schema, new_schema


@pytest.fixture(params=["new", "old"])
def made(request: pytest.FixtureRequest, here: Path) -> Made:
    ln.settings.verbosity = "error"
    return story(here / "lamin", request.param)


@pytest.fixture
def new(here: Path) -> Made:
    ln.settings.verbosity = "error"
    return story(here / "lamin")


def brought(made: Made, **options: Any) -> Any:
    done = ln.bridges.import_lamindb(made.write(), **options)
    assert done.adds_up
    return done


def clean() -> None:
    report = ln.audit(content=True)
    assert report.ok, report.findings


def moment(made: Made, table: str, number: int, column: str = "created_at") -> dt.datetime:
    return dt.datetime.fromisoformat(made.row(table, number)[column]).replace(tzinfo=dt.UTC)


def test_every_shape_comes_in_whole_and_once(made):
    planned = brought(made, dry_run=True)
    assert planned.is_dry_run
    assert ln.head() == 1
    done = brought(made)
    assert done.events == planned.events == ln.head() - 1
    for table in ("ulabel", "transform", "run", "artifact", "collection"):
        count = done.counts[table]
        assert count.read == count.imported == len(made.rows[table])
    head = ln.head()
    again = brought(made)
    assert (again.events, ln.head()) == (0, head)
    assert all(it.imported == 0 for it in again.counts.values())
    clean()


def test_dates_people_uids_versions_and_runs_are_those_of_there(made):
    brought(made)
    two = ln.Artifact.get("cLeanArtifactxxx0001")
    assert two == ln.Artifact.get("lamindb:cLeanArtifactxxx0001")
    assert (two.created_at, two.created_by) == (moment(made, "artifact", 3), "ada")
    assert [it.key for it in two.versions] == ["clean.csv"] * 2
    assert two.is_latest
    assert two.cache().read_text() == "a\n1\n2\n"
    assert two.in_place
    third, fourth = ln.Run.get("rUnOfClean000002"), ln.Run.get("rUnOfClean000003")
    assert (two.run, list(two.previous_runs)) == (fourth, [third])
    assert third.started_at == moment(made, "run", 3, "started_at")
    assert [it.key for it in third.inputs] == ["raw.csv"]
    assert third.status == "started"
    first = ln.Run.get("rUnOfIngest00001")
    assert first.finished_at == moment(made, "run", 1, "finished_at")
    assert first.status == ("ended" if made.is_new else "finished")
    lung = ln.ULabel.get(name="lung")
    assert {it.name for it in lung.parents} == {"Immune study", *(["Tissue"] * made.is_new)}
    raw = ln.Artifact.get(key="raw.csv")
    assert {it.name for it in raw.labels} == {"Immune study", "lung"}
    versions = ln.Collection.get(name="set").versions
    assert [it.artifacts.count() for it in versions] == [2, 3]
    assert ln.Artifact.filter(key="gone.txt").count() == 0
    assert ln.Artifact.filter(key="gone.txt").with_trash().count() == 1
    assert ln.Artifact.get(key="big.bin").is_declared


def test_the_past_can_be_asked_as_it_was_said_to_be(made):
    brought(made)
    before = moment(made, "artifact", 3) - dt.timedelta(microseconds=1)
    said = ln.as_of(before, clock="said")
    assert said.Artifact.get(key="clean.csv").uid == ln.Artifact.get("cLeanArtifactxxx0000").uid
    assert ln.Artifact.get(key="clean.csv").uid == ln.Artifact.get("cLeanArtifactxxx0001").uid


def test_features_and_records_come_in_with_their_types(new):
    brought(new)
    raw = ln.Artifact.get(key="raw.csv")
    assert raw.features["temperature"] == 37.2
    assert raw.features["study"] == ln.ULabel.get(name="Immune study")
    assert raw.features["donor"].name == "D1"
    assert ln.Artifact.filter(features__temperature__gt=37).one() == raw
    sample = ln.find("sAmpleOne0000001")
    assert (sample.name, sample.temperature, sample.donor.name) == ("S1", 4.0, "D1")


def test_what_has_no_place_is_kept_as_an_artifact(new):
    done = brought(new)
    assert {"lamindb_project", "lamindb_schema"} <= {it.table for it in done.unmapped}
    kept = ln.Artifact.get(key="lamindb/1nstanceUid1/unmapped.jsonl")
    assert '"table":"lamindb_project"' in kept.cache().read_text()
    new.add("project", uid="pRoject00002", name="Q")
    brought(new)
    assert len(ln.Artifact.get(key=kept.key).versions) == 2


def test_a_second_import_adds_what_is_new(made):
    brought(made)
    head = ln.head()
    run = made.run("rUnOfClean000009", 3)
    artifact = made.artifact("nEwArtifactxxxxx0000", "new.csv", "new", run_id=run)
    made.input(1, run)
    made.labelled(1, made.label("nEwLabel", "new"), run_id=run)
    made.row("run", 2)["finished_at"] = made.at(day=2)
    done = brought(made)
    assert done.events == ln.head() - head > 0
    assert done.counts["artifact"].imported == 1
    assert ln.Artifact.get(key="new.csv").run == ln.Run.get("rUnOfClean000009")
    assert ln.Run.get("rUnOfClean000001").finished_at is not None
    assert artifact
    clean()


def test_what_people_here_did_since_is_not_overwritten(made):
    brought(made)
    label = ln.ULabel.get(name="lung")
    label.description = "of a mouse"
    label.save()
    ln.Artifact.get(key="raw.csv").labels.remove(label)
    head = ln.head()
    brought(made)
    assert ln.head() == head


def test_a_changed_file_is_damaged_and_declared(made):
    (made.root / ".lamindb" / "rAwArtifact0xxxx0000.csv").write_text("changed")
    done = brought(made)
    assert done.damaged == ["lamindb:rAwArtifact0xxxx0000"]
    assert ln.Artifact.get(key="raw.csv").is_declared
    assert ln.Artifact.get(key="raw.csv").claimed[0][0] == "md5"
    clean()


def test_declared_no_content_is_read(made):
    done = brought(made, declare=True)
    assert len(done.declared) == len(made.rows["artifact"])
    assert ln.Artifact.filter(is_declared=False, key="raw.csv").count() == 0
    assert ln.Artifact.get("cLeanArtifactxxx0001").lineage().runs
    clean()


def test_a_storage_that_moved(made):
    root = made.write()
    moved = root.with_name("moved")
    root.rename(moved)
    done = ln.bridges.import_lamindb(moved, roots={str(root): str(moved)})
    assert done.declared == ["lamindb:bIgArtifactxxxxx0000"]


def test_two_instances_with_the_same_content_are_one_artifact_with_two_names(new, here):
    brought(new)
    other = Made(here / "other", instance="0therUid0001")
    other.artifact("oTherArtifactxxx0000", "mine.csv", "a,b\n1,2\n")
    brought(other)
    raw = ln.Artifact.get("oTherArtifactxxx0000")
    assert set(raw.aliases) == {"lamindb:oTherArtifactxxx0000", "lamindb:rAwArtifact0xxxx0000"}


def test_labels_of_one_name_are_one_label_with_two_names(made):
    made.label("tWinLabel", "lung")
    done = brought(made)
    assert ln.ULabel.get("tWinLabel") == ln.ULabel.get("lUng0001")
    assert done.counts["ulabel"].left_out == 0


def test_a_hostile_key_is_declared_under_its_alias_and_told(new):
    keys = ["/etc/passwd", "../../x", "a\nb", "x" * 2_000, "a\\b"]
    for number, key in enumerate(keys):
        new.artifact(f"hOstileArtifactx{number}0000", key, None, _key_is_virtual=bool(number % 2))
    done = brought(new)
    for number in range(len(keys)):
        uid = f"hOstileArtifactx{number}0000"
        found = ln.Artifact.get(f"lamindb:{uid}")
        assert (found.key, found.is_declared) == (None, True)
        assert any(uid in it for it in done.notes)
    clean()


def test_a_name_that_is_none_here_leaves_its_label_out(made):
    for number, name in enumerate(["", "x" * 300, "a\x01b"]):
        made.labelled(1, made.label(f"hOstile{number}", name))
    done = brought(made)
    assert done.counts["ulabel"].left_out == done.counts["artifactulabel"].left_out == 3
    assert sum(done.left_out.values()) == 6
    clean()


def test_what_cannot_come_in_leaves_nothing(made, refuses):
    def refused(*words: str) -> None:
        root = made.write()
        refuses(lambda: ln.bridges.import_lamindb(root), "InvalidValueError", *words)

    storages, made.rows["storage"] = made.rows["storage"], []
    refused("storage")
    made.rows["storage"] = storages
    made.row("artifact", 1)["created_at"] = "2999-01-01 00:00:00"
    refused("rAwArtifact0xxxx0000", "future")
    with pytest.raises(InvalidValueError, match="no-such"):
        ln.bridges.import_lamindb("no-such")


def test_an_instance_in_the_storage_of_this_ledger_is_refused(here, refuses):
    made = story(here / "storage" / "lamin")
    root = made.write()
    refuses(lambda: ln.bridges.import_lamindb(root), "InvalidValueError", "storage of this ledger")
    folder = here / ".metaledger"
    for name in [it.name for it in folder.glob("*.db")]:
        with pytest.raises(InvalidValueError, match="a file of a ledger"):
            ln.bridges.import_lamindb(folder / name)


def test_a_tracked_run_is_finished_first(new, refuses):
    root = new.write()
    ln.track(key="a.py", name="a")
    refuses(lambda: ln.bridges.import_lamindb(root), "CommandRejectedError", "finish")
    ln.finish()


KILLED = """
import os, signal, sys
import ledger as ln
from ledger.bridges import plan
from ledger.bridges.lamindb import importing

ln.settings.verbosity = "error"
at, one = int(sys.argv[2]), plan._one
done = []

def killed(*given):
    done.append(1)
    if len(done) == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return one(*given)

plan._one = killed
importing.carry_out.__kwdefaults__["batch"] = 7
ln.bridges.import_lamindb(sys.argv[1])
"""


def test_an_import_that_was_killed_goes_on(made):
    root = made.write()
    Path("killed.py").write_text(KILLED)
    for at in (1, 9, 23):
        process = subprocess.run(
            [sys.executable, "killed.py", str(root), str(at)], check=False, env=os.environ
        )
        assert process.returncode == -signal.SIGKILL
    brought(made)
    head = ln.head()
    brought(made)
    assert ln.head() == head
    assert ln.Run.filter().count() == len(made.rows["run"])
    assert ln.Artifact.filter(key="raw.csv").count() == 1
    clean()


def test_an_instance_on_a_server_is_the_same(new, postgres_url):
    root = new.write()
    with new_schema(postgres_url) as url:
        with in_new_schema(url) as connection:
            new.write_server(connection)
            done = ln.bridges.import_lamindb(str(url))
        assert done.adds_up
        assert done.events == ln.head() - 1
        assert done.source.startswith("lamindb postgresql://")
    head = ln.head()
    # The same instance in another database: known by its uid.
    again = ln.bridges.import_lamindb(root)
    assert (again.events, ln.head()) == (0, head), again
    assert ln.Artifact.get(key="raw.csv").features["temperature"] == 37.2


def test_a_server_that_does_not_answer_tells_no_password(here):  # noqa: ARG001
    with pytest.raises(StorageError) as caught:
        ln.bridges.import_lamindb("postgresql://ada:s3cret@127.0.0.1:9/lamin?connect_timeout=2")
    assert "s3cret" not in str(caught.value)


def test_the_command_says_what_it_did(made, here):
    root = made.write()
    planned = metaledger(here, "import", "lamindb", str(root), "--dry-run", "--json").json
    done = metaledger(here, "import", "lamindb", str(root), "--json").json
    assert done["events"] == planned["events"] == ln.head() - 1
    assert done["counts"]["run"] == {"read": 4, "imported": 4, "known": 0, "left_out": 0}
    said = metaledger(here, "import", "lamindb", str(root)).out
    assert "artifact_input_of" in said
    assert "bIgArtifactxxxxx0000" in said
    assert "earlier names" in said
    bad = metaledger(here, "import", "lamindb", str(root), "--root", "x", status=2)
    assert "OLD=NEW" in bad.err
    none = metaledger(here, "import", "lamindb", "no-such", status=1)
    assert "no-such" in none.err
