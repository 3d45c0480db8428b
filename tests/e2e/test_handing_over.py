"""What is handed over is read, validated and verified by programs that are not ours."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import unquote

import pytest
from prov.model import ProvActivity, ProvDocument, ProvEntity
from rocrate.rocrate import ROCrate

import ledger as ln
from ledger import files
from ledger.errors import (
    DamagedContentError,
    InvalidValueError,
    MissingFileError,
    NotFoundError,
    PathTakenError,
    RecordErasedError,
    StorageError,
)
from ledger.places import instance
from ledger.upkeep.erasure import erase
from tests.e2e.command import metaledger
from tests.support.door import artifact, begin_as_script, file, label

ROOT = Path(__file__).resolve().parents[2]
READERS = ROOT / ".venv" / "crate" / "bin" / "python"
VALIDATE = ROOT / "tests" / "support" / "validate_crate.py"
# What the ledger does not know, and so does not say: of an organization, of a web page. A content
# that was left out cannot be reached.
UNKNOWN = re.compile(
    "publisher|affiliation|have a url|absolute URI|encodingFormat|version|availability"
)

with_readers = pytest.mark.skipif(
    not READERS.exists(), reason="no readers of research objects (make .venv/.crate)"
)


@pytest.fixture
def told(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger with a result, what it was made from, and other things."""
    begin_as_script(monkeypatch, str(file("ingest.py", "# ingest").absolute()))
    ln.track(params={"plates": 2})
    artifact("raw.csv", "x\n1\n", key="raw/plate 1 ä.csv", description="the plate")
    file("images/a b.txt", "image")
    ln.Artifact("images", key="images").save()
    ln.finish()
    ln.Artifact.get(key="images").retract("out of focus")
    begin_as_script(monkeypatch, str(file("clean.py", "# clean").absolute()))
    ln.track(params={"rate": 0.1, "model": {"depth": 3}, "name": 'a "quoted" one'})
    ln.Artifact.get(key="raw/plate 1 ä.csv").cache()
    ln.Artifact.get(key="images").cache()
    artifact("clean.csv", "x\n2\n", key="clean.csv")
    ln.finish()
    ln.Collection(list(ln.Artifact.filter()), name="everything").save()
    artifact("other.csv", "x\n3\n", key="other.csv").labels.add(label("other"))
    return here


def graph(folder: str) -> dict[str, dict]:
    found = json.loads(Path(folder, "ro-crate-metadata.json").read_text("utf-8"))["@graph"]
    assert len({it["@id"] for it in found}) == len(found)
    return {it["@id"]: it for it in found}


def of_type(folder: str, kind: str) -> list[dict]:
    return [it for it in graph(folder).values() if kind in it["@type"]]


def bytes_of(folder: str) -> dict[str, bytes]:
    root = Path(folder)
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def instance_id() -> str:
    return instance.current().place.configuration.id


def validated(folder: str) -> tuple[list[str], list[list[str]]]:
    done = subprocess.run(
        [str(READERS), str(VALIDATE), folder], capture_output=True, text=True, check=True
    )
    (answer,) = (line for line in done.stdout.splitlines() if line.startswith('{"checks"'))
    found = json.loads(answer)
    return found["checks"], found["issues"]


@with_readers
@pytest.mark.parametrize(
    ("what", "options"),
    [
        ("everything", ()),
        ("clean.csv", ("--metadata-only",)),
        ("clean.csv", ("--license", "https://cc.org/0")),
    ],
    ids=["all", "names", "licensed"],
)
def test_a_crate_passes_the_validator_of_its_profile(told, what, options):
    metaledger(told, "export", "crate", what, "crate", *options)
    checks, issues = validated("crate")
    assert any(it.startswith("process-run-crate-0.5") for it in checks)
    assert len(checks) > 90
    assert [it for it in issues if it[0] == "REQUIRED"] == []
    assert [it for it in issues if not UNKNOWN.search(it[2])] == []


@with_readers
def test_a_crate_that_is_wrong_does_not_pass(told):
    metaledger(told, "export", "crate", "clean.csv", "crate")
    path = Path("crate/ro-crate-metadata.json")
    path.write_text(path.read_text().replace('"datePublished"', '"datePublishe"'))
    assert [it for it in validated("crate")[1] if it[0] == "REQUIRED"]


@with_readers
def test_runcrate_reports_every_run_with_what_it_read_and_made(told):
    metaledger(told, "export", "crate", "clean.csv", "crate")
    done = subprocess.run(
        [str(READERS.with_name("runcrate")), "report", "crate"],
        capture_output=True,
        text=True,
        check=True,
    )
    runs = done.stdout.split("action: ")[1:]
    assert len(runs) == 2
    before, outputs = runs[1].split("outputs:")
    assert "plate%201" in before.split("inputs:")[1]
    assert "clean.py" in before
    assert "clean.csv" in outputs


def test_rocrate_reads_a_crate(told):
    metaledger(told, "export", "crate", "clean.csv", "crate")
    crate = ROCrate("crate")
    assert crate.mainEntity["name"] == "clean.csv"
    actions = {it["instrument"]["name"]: it for it in crate.get_by_type("CreateAction")}
    assert set(actions) == {"ingest.py", "clean.py"}
    assert actions["clean.py"]["result"]["name"] == "clean.csv"
    used = {it["name"]: it for it in actions["clean.py"]["object"]}
    assert {"raw/plate 1 ä.csv", "images", "rate", "model", "name"} <= set(used)
    assert used["name"]["value"] == 'a "quoted" one'
    assert json.loads(used["model"]["value"]) == {"depth": 3}


def test_a_crate_holds_contents_sources_and_proofs_and_nothing_else(told):
    said = metaledger(told, "export", "crate", "clean.csv", "crate", "--json").json
    assert (said["artifacts"], said["copied"], said["runs"]) == (3, 3, 2)
    described = graph("crate")
    for name, data in bytes_of("crate").items():
        if name == "ro-crate-metadata.json" or "/images/" in name:
            continue
        (entity,) = [it for key, it in described.items() if unquote(key) == name]
        if "sha256" in entity:
            assert entity["sha256"] == hashlib.sha256(data).hexdigest()
    digests = [it for it in described.values() if "sha256" in it]
    assert {it["name"] for it in digests} == {"clean.csv", "raw/plate 1 ä.csv"}
    texts = {path.read_text() for path in Path("crate/sources").rglob("*.py")}
    assert texts == {"# ingest", "# clean"}
    (folder,) = [it for it in of_type("crate", "Dataset") if it["name"] == "images"]
    assert folder["creativeWorkStatus"] == "retracted"
    assert "out of focus" in folder["description"]
    assert Path("crate", unquote(folder["@id"]), "a b.txt").read_text() == "image"
    assert "other.csv" not in json.dumps(described)
    head = ln.head()
    assert ln.Artifact.get(key="clean.csv").input_of.count() == 0
    assert ln.head() == head


def test_every_proof_of_a_crate_is_verified_without_a_ledger(told, tmp_path):
    metaledger(told, "export", "crate", "clean.csv", "crate")
    ln.close()
    elsewhere = tmp_path / "elsewhere"
    shutil.move("crate", elsewhere)
    for part in ("storage", ".metaledger"):
        shutil.rmtree(part, ignore_errors=True)
    proofs = [*elsewhere.glob("proof/*.tlog-proof"), *elsewhere.glob("proof/parts/*")]
    assert len(proofs) == 5
    shown = set()
    for proof in proofs:
        said = metaledger(
            tmp_path, "verify", str(proof), "--key", str(elsewhere / "proof/key.pub"), "--json"
        ).json
        assert said["status"] == "shown"
        shown.add(said["event"]["uid"])
    assert shown == {it["identifier"] for it in of_type(str(elsewhere), "CreateAction")} | {
        it["identifier"] for it in graph(str(elsewhere)).values() if it["@id"].startswith("data/")
    }


def test_a_crate_of_the_same_position_has_the_same_bytes(told):
    metaledger(told, "export", "crate", "clean.csv", "one")
    head = ln.head()
    metaledger(told, "export", "crate", ln.Artifact.get(key="clean.csv").uid, "two")
    assert bytes_of("one") == bytes_of("two")
    assert ln.head() == head
    metaledger(told, "export", "prov", "clean.csv", "one.json")
    metaledger(told, "export", "prov", "clean.csv", "two.json", "--as-of", str(head))
    assert Path("one.json").read_bytes() == Path("two.json").read_bytes()


def test_metadata_alone_names_contents_by_their_digest(told):
    metaledger(told, "export", "crate", "clean.csv", "crate", "--metadata-only")
    assert not Path("crate/data").exists()
    named = {it["name"]: it for it in graph("crate").values() if it["@id"].startswith("ni:///")}
    assert set(named) == {"clean.csv", "raw/plate 1 ä.csv"}
    assert [it["@id"] for it in graph("crate").values() if it.get("name") == "images"] == [
        f"urn:metaledger:{instance_id()}:{ln.Artifact.get(key='images').uid}/"
    ]
    assert named["clean.csv"]["sha256"] == hashlib.sha256(b"x\n2\n").hexdigest()


def test_a_content_that_is_gone_or_changed_is_told_and_nothing_is_left(told):
    stored = Path(ln.Artifact.get(key="raw/plate 1 ä.csv").path)
    before = sorted(os.listdir(told))  # noqa: PTH208 (names are all that counts)
    kept = stored.read_bytes()
    for spoil in (lambda: stored.write_bytes(b"other"), stored.unlink):
        stored.chmod(0o644)
        spoil()
        with pytest.raises(DamagedContentError, match="--metadata-only"):
            ln.bridges.export_crate("clean.csv", "crate")
        assert sorted(os.listdir(told)) == before  # noqa: PTH208
        stored.write_bytes(kept)
    stored.unlink()
    ln.bridges.export_crate("clean.csv", "crate", metadata_only=True)


@pytest.mark.usefixtures("told")
def test_of_what_was_erased_a_crate_holds_the_uid_alone():
    erased = ln.Artifact.get(key="raw/plate 1 ä.csv")
    erase(erased, reason="asked for")
    with pytest.raises(RecordErasedError):
        ln.bridges.export_crate(erased.uid, "crate")
    with pytest.raises(RecordErasedError):
        ln.bridges.export_prov(erased.uid, "prov.json")
    ln.bridges.export_crate("clean.csv", "crate")
    (left,) = of_type("crate", "Thing")
    assert left == {
        "@id": f"#{erased.uid}",
        "@type": "Thing",
        "name": erased.uid,
        "description": "withdrawn or erased",
    }
    assert not [it for it in bytes_of("crate").values() if b"plate 1" in it]
    ln.bridges.export_prov("clean.csv", "prov.json")
    assert "plate 1" not in Path("prov.json").read_text()
    assert erased.uid in Path("prov.json").read_text()


def test_content_that_was_never_seen_here_is_named_and_not_made_up(told):
    far = ln.bridges.declare(
        namespace="lab", name="far", key="far.bin", size=7, where="s3://lab/far.bin"
    )
    ln.bridges.record_run(
        identity=["slurm", 1],
        key="align.sh",
        started_at=dt.datetime(2026, 1, 5, 8, tzinfo=dt.UTC),
        inputs=[far],
        outputs=[ln.Artifact.get(key="clean.csv")],
    )
    said = metaledger(told, "export", "crate", "clean.csv", "crate", "--json").json
    assert (said["artifacts"], said["copied"]) == (4, 3)
    (entity,) = [it for it in of_type("crate", "File") if it["name"] == "far.bin"]
    assert entity["url"] == "s3://lab/far.bin"
    assert entity["@id"] == f"urn:metaledger:{instance_id()}:{far.uid}"
    assert not {"sha256", "contentSize"} & set(entity)
    (run,) = [it for it in of_type("crate", "CreateAction") if "endTime" not in it]
    assert run["startTime"] == "2026-01-05T08:00:00+00:00"
    assert "actionStatus" not in run
    assert run["object"] == {"@id": entity["@id"]}
    metaledger(told, "export", "prov", "clean.csv", "prov.json")
    known = json.loads(Path("prov.json").read_text())["entity"][f"ledger:{far.uid}"]
    assert "own:digest" not in known
    assert known["own:whereabouts"] == "s3://lab/far.bin"
    if READERS.exists():
        assert [it for it in validated("crate")[1] if it[0] == "REQUIRED"] == []


@pytest.mark.parametrize("bridge", ["export_crate", "export_prov"])
@pytest.mark.parametrize(
    ("given", "error", "word"),
    [
        (("clean.csv", "images"), PathTakenError, "already"),
        (("clean.csv", "raw.csv"), PathTakenError, "already"),
        (("clean.csv", "storage/.metaledger/x"), PathTakenError, ".metaledger"),
        (("clean.csv", "no/such/x"), MissingFileError, "no such folder"),
        (("clean.csv", "s3://bucket/x"), InvalidValueError, "URL"),
        (("nobody", "x"), NotFoundError, "nobody"),
        (("other", "x"), InvalidValueError, "artifact or a collection"),
        ((7, "x"), InvalidValueError, "7"),
    ],
)
def test_what_cannot_be_handed_over_is_one_error(told, bridge, given, error, word):
    before, head = sorted(told.rglob("*")), ln.head()
    with pytest.raises(error, match=re.escape(word)):
        getattr(ln.bridges, bridge)(*given)
    assert (sorted(told.rglob("*")), ln.head()) == (before, head)


@pytest.mark.usefixtures("told")
def test_a_disk_that_refuses_at_any_step_leaves_no_part_of_a_crate(monkeypatch):
    ln.checkpoint()
    ln.bridges.export_crate("clean.csv", "whole")
    steps = 0

    def counting(*_):
        nonlocal steps
        steps += 1

    monkeypatch.setattr(files, "step", counting)
    ln.bridges.export_crate("clean.csv", "counted")
    for failing in range(0, steps, 17):
        left = failing

        def refuse(*_):
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError(28, "No space left on device")

        monkeypatch.setattr(files, "step", refuse)
        with pytest.raises(StorageError):
            ln.bridges.export_crate("clean.csv", "crate")
        monkeypatch.setattr(files, "step", lambda *_: None)
        assert not Path("crate").exists()
    ln.bridges.export_crate("clean.csv", "crate")
    assert bytes_of("crate") == bytes_of("whole")


def test_prov_json_is_read_and_says_what_the_ledger_says(told):
    metaledger(told, "export", "prov", "everything", "prov.json")
    document = ProvDocument.deserialize("prov.json")
    assert ProvDocument.deserialize(content=document.serialize()) == document
    raw = json.loads(Path("prov.json").read_text())
    kinds = {kind: len(raw[kind]) for kind in raw if kind != "prefix"}
    assert kinds == {
        "entity": 6,
        "activity": 2,
        "agent": 1,
        "used": 2,
        "wasGeneratedBy": 3,
        "wasAssociatedWith": 2,
        "hadMember": 3,
    }
    assert len(list(document.get_records(ProvActivity))) == 2
    assert len(list(document.get_records(ProvEntity))) == 6
    run = ln.Artifact.get(key="clean.csv").run
    said = raw["activity"][f"ledger:{run.uid}"]
    assert said["prov:startTime"] == run.started_at.isoformat()
    assert json.loads(said["own:params"]) == dict(run.params)


def test_prov_json_says_what_was_known_at_a_point(told):
    head = ln.head()
    artifact("clean.csv", "x\n9\n", key="clean.csv")
    metaledger(told, "export", "prov", "clean.csv", "now.json")
    metaledger(told, "export", "prov", "clean.csv", "then.json", "--as-of", str(head))
    assert "wasGeneratedBy" not in json.loads(Path("now.json").read_text())
    assert len(json.loads(Path("then.json").read_text())["wasGeneratedBy"]) == 3
