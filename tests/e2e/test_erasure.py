"""Erasing a record: what goes, what stays, and who may not."""

# ruff: noqa: S608 (statements are made of words of our own)

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

import ledger as ln
from ledger.engine.postgres_database import PostgresDatabase
from ledger.errors import (
    CommandRejectedError,
    InvalidProofError,
    InvalidValueError,
    LedgerError,
    NotFoundError,
    RecordErasedError,
    StorageError,
)
from ledger.eventlog.base import Appender
from ledger.eventlog.entry import Entry
from ledger.model.payloads import erased
from ledger.places import instance
from ledger.proving import checkpoints
from ledger.proving.verification import verify
from ledger.upkeep.erasure import Erasure, erase
from ledger.upkeep.rebuild import rebuild
from projections.tables import TABLES
from tests.e2e.command import metaledger
from tests.support.door import artifact, file, label, nothing_recorded
from tests.support.histories import Lab

NAME = "Zadie Quill"
KEY = "patients/zadie-quill.txt"
SECRETS = (NAME, "zadie-quill", "Zadie", "Quill")


def everything_recorded() -> str:
    """Return every value of every table of the ledger's database, as one text."""
    ledger = instance.current()
    found = []
    with ledger.reading() as session:
        found += [repr(entry.payload) for entry in session.log.entries(limit=10_000)]
        for table in TABLES:
            found += [repr(row) for row in session.models.find(table, ever=True)]
    return "\n".join(found)


def files_that_hold(folder: Path, words: tuple[str, ...]) -> list[str]:
    return [
        f"{path.name}: {word}"
        for path in folder.rglob("*")
        if path.is_file()
        for word in words
        if word.encode() in path.read_bytes() or word in path.name
    ]


@pytest.fixture
def patient(here):  # noqa: ARG001 (the ledger to be in)
    """A label, an artifact and what is linked to them, of one person; and others'."""
    other = artifact("other.txt", key="other.txt")
    one = label(NAME, description=f"{NAME}, room 3")
    values = artifact("zadie-quill.txt", f"{NAME}: 7.1", key=KEY, description=NAME)
    values.labels.add(one)
    other.labels.add(one, label("control"))
    one.name = f"{NAME} (moved)"
    one.save()
    values.retract(f"{NAME} withdrew consent")
    Path("zadie-quill.txt").unlink()
    return one, values


def test_nothing_of_an_erased_record_is_left_in_database_caches_and_storage(here, patient):
    one, values = patient
    place = values.path
    assert any(secret in everything_recorded() for secret in SECRETS)
    erase(one, reason="request 17")
    done = erase(values, reason="request 17")
    assert done.content_removed
    assert not place.exists()
    assert done.mentions == ()
    assert not [secret for secret in SECRETS if secret in everything_recorded()]
    ln.close()
    assert files_that_hold(here, SECRETS) == []


def test_what_is_left_says_that_there_was_one_and_who_erased_it_and_why(patient):
    one, values = patient
    before = ln.head()
    done = erase(one, reason="request 17")
    mark = f"[erased {one.uid}]"
    assert ln.as_of(before).ULabel.get(one.uid).name == mark
    assert [it.name for it in ln.as_of(before).Artifact.get(values.uid).labels] == [mark]
    last = ln.log(newest_first=True, limit=1)[0]
    assert (last.type, last.event["reason"], last.uid) == (
        "entries-erased.v2",
        "request 17",
        one.uid,
    )
    assert last.position == done.position == before + 1
    history = ln.as_of(before + 1).ULabel.filter().all()
    assert [it.name for it in history] == ["control"]
    assert [it.uid for it in ln.ULabel.filter(artifacts__key="other.txt")] != [one.uid]


def test_the_past_of_an_erased_artifact_knows_no_key_and_has_no_content(patient):
    _, values = patient
    before = ln.head()
    erase(values, reason="request 17")
    past = ln.as_of(before).Artifact.get(values.uid)
    assert past.key is None
    assert past.hash == f"[erased {values.uid}]"
    for use in (past.cache, past.load, past.open, lambda: past.path):
        with pytest.raises(RecordErasedError, match="erased, and its content with it"):
            use()
    with pytest.raises(NotFoundError):
        ln.as_of(before).Artifact.get(key=KEY)


@pytest.mark.usefixtures("here")
def test_a_key_that_an_erased_version_took_is_not_given_back():
    first = artifact("one.txt", "first", key="data.txt")
    then = ln.head()
    second = artifact("one.txt", "second", key="data.txt")
    later = ln.head()
    erase(second, reason="request 17")
    assert ln.as_of(then).Artifact.get(key="data.txt") == first
    for point in (later, ln.head()):
        with pytest.raises(NotFoundError):
            ln.as_of(point).Artifact.get(key="data.txt")
    assert rebuild().differences == ()
    third = artifact("one.txt", "third", key="data.txt")
    assert ln.Artifact.get(key="data.txt") == third


@pytest.mark.usefixtures("here")
def test_content_that_another_artifact_names_stays():
    one = artifact("one.txt", "same")
    two = ln.Artifact("one.txt", if_hash_exists="warn_create_new").save()
    assert one.path == two.path
    assert not erase(one, reason="request 17").content_removed
    assert two.load() == "same"
    assert erase(two, reason="request 17").content_removed


def test_read_models_made_anew_are_those_that_an_erasure_left(patient):
    for record in patient:
        erase(record, reason="request 17")
    assert rebuild().differences == ()


def test_checkpoints_and_proofs_from_before_stay_valid(patient):
    one, values = patient
    kept, key = str(ln.checkpoint()), str(checkpoints.public_key())
    before = ln.prove(one, checkpoint=kept)
    assert verify(before, key=key).event["fields"]["name"] == NAME
    for record in patient:
        erase(record, reason="request 17")
    assert verify(ln.prove(kept), key=key, old=kept).kind == "consistency"
    after = verify(ln.prove(one.uid, checkpoint=kept), key=key)
    assert (after.status, after.type) == ("not shown", "record-created.v1")
    assert set(after.event) == {"actor", "at", "natural_id", "registry", "type", "uid"}
    erasure = ln.prove(ln.head() - 1)
    assert verify(ln.prove(one.uid), key=key, erasure=erasure).status == "erased"
    with pytest.raises(InvalidProofError, match="that the erasure"):
        verify(before, key=key, erasure=erasure)
    with pytest.raises(InvalidProofError, match="expected beside it that of an erasure"):
        verify(ln.prove(one.uid), key=key, erasure=ln.prove(1))
    assert verify(before, key=key).position == after.position
    assert values.uid != one.uid


def test_an_audit_accepts_what_an_erasure_covers(patient):
    kept, key = str(ln.checkpoint()), str(checkpoints.public_key())
    for record in patient:
        erase(record, reason="request 17")
    report = ln.audit(checkpoints=[kept], keys=[key], content=True)
    assert report.findings == ()
    assert report.ok


def test_an_audit_tells_each_erasure_since_the_checkpoint(patient):
    one, values = patient
    erase(values, reason="before it")
    kept, key = str(ln.checkpoint()), str(checkpoints.public_key())
    done = erase(one, reason="request 17")
    assert done.is_signed
    report = ln.audit(checkpoints=[kept], keys=[key])
    (told,) = report.erasures
    assert (told.position, told.uid, told.reason, told.entries, told.signer) == (
        done.position,
        one.uid,
        "request 17",
        done.entries,
        key,
    )
    assert report.ok
    assert len(ln.audit().erasures) == 2
    refused = ln.audit(checkpoints=[kept], keys=[key], erasures="refuse")
    assert [(it.kind, it.position) for it in refused.findings] == [
        ("erasure-refused", done.position)
    ]


def test_an_erasure_that_nobody_signed_is_a_finding_once_a_key_is_given(patient, monkeypatch):
    one, values = patient
    kept, key = str(ln.checkpoint()), str(checkpoints.public_key())
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("METALEDGER_KEY_DIR", str(Path("nobody's keys").absolute()))
        said: list[str] = []
        elsewhere.setattr("ledger.upkeep.erasure.say", lambda _, text: said.append(text))
        done = erase(one, reason="request 17")
    assert not done.is_signed
    assert any("is not signed" in text for text in said)
    assert ln.audit(checkpoints=[kept]).ok
    report = ln.audit(checkpoints=[kept], keys=[key])
    assert [(it.kind, it.position) for it in report.findings] == [
        ("erasure-signature", done.position)
    ]
    # Whoever signs a checkpoint over it has seen it.
    later = str(ln.checkpoint())
    assert ln.audit(checkpoints=[kept, later], keys=[key]).ok
    assert [it.signer for it in ln.audit(checkpoints=[kept, later], keys=[key]).erasures] == [None]
    erase(values, reason="request 17")
    assert ln.audit(checkpoints=[kept, later], keys=[key]).ok


@pytest.mark.parametrize("is_named", [True, False], ids=["named", "not named"])
@pytest.mark.parametrize("here", ["sqlite"], indirect=True)
@pytest.mark.usefixtures("here")
def test_an_audit_tells_of_an_erased_entry_that_was_changed_or_that_nobody_erased(is_named):
    one, two = label(NAME), label("control")
    done = erase(one, reason="request 17")
    ledger = instance.current()
    position = done.entries[0] if is_named else two._row["created_position"]
    ln.close()
    with closing(sqlite3.connect(ledger.place.database_path)) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        stream, version, salt, state = connection.execute(
            "SELECT e.stream, e.version, e.salt, s.state FROM entries e JOIN stored_events s"
            " ON s.originator_id = e.stream AND s.originator_version = e.version"
            " WHERE position = ?",
            (position,),
        ).fetchone()
        if not is_named:
            # As an erasure does it, without the event that says so.
            state, salt = erased(state, salt)
            connection.execute("UPDATE entries SET salt = ? WHERE position = ?", (salt, position))
        else:
            state = state.replace(b'"at":1', b'"at":2')
        connection.execute(
            "UPDATE stored_events SET state = ? WHERE originator_id = ? AND originator_version = ?",
            (state, stream, version),
        )
        connection.commit()
    wanted = "leaf-hash" if is_named else "erasure"
    assert [it.position for it in ln.audit().findings if it.kind == wanted] == [position]


def test_what_was_erased_is_not_recorded_again(patient):
    one, values = patient
    path = file("again.txt", f"{NAME}: 7.1")
    for record in patient:
        erase(record, reason="request 17")
    with nothing_recorded():
        with pytest.raises(RecordErasedError, match=f"ULabel {one.uid}: erased by"):
            label(NAME)
        with pytest.raises(RecordErasedError, match=f"Artifact {values.uid}: erased by"):
            ln.Artifact(path, key="new.txt").save()
        with pytest.raises(RecordErasedError):
            ln.ULabel.get(one.uid)
        with pytest.raises(RecordErasedError):
            one.delete()
    # On purpose it is, as another record.
    twin = ln.Artifact(path, if_hash_exists="warn_create_new").save()
    assert twin.uid != values.uid


@pytest.mark.usefixtures("here")
def test_collections_of_erased_artifacts_and_erased_collections_hold_together():
    parts = [artifact("a.txt"), artifact("b.txt")]
    study = ln.Collection(parts, name=NAME).save()
    before = ln.head()
    erase(parts[0], reason="request 17")
    assert [it.uid for it in ln.Collection.get(study.uid).artifacts] == [parts[1].uid]
    past = ln.as_of(before).Collection.get(study.uid)
    assert [it.uid for it in past.artifacts] == [it.uid for it in parts]
    erase(study, reason="request 17")
    assert NAME not in everything_recorded()
    assert [it.uid for it in ln.as_of(before).Collection.get(study.uid).artifacts] == [
        it.uid for it in parts
    ]
    with pytest.raises(RecordErasedError):
        ln.Collection([*parts[1:], parts[0]], name="x").save()


def test_a_dry_run_tells_and_changes_nothing(patient):
    one, values = patient
    with nothing_recorded():
        told = erase(one, reason="request 17", dry_run=True)
    assert told.position is None
    assert len(told.entries) == 2
    # The artifact's description names the same person.
    created = ln.as_of(ln.head()).Artifact.get(values.uid)._row["created_position"]
    assert created in told.mentions
    assert ln.ULabel.get(one.uid).name == f"{NAME} (moved)"
    assert erase(one, reason="request 17").entries == told.entries


def test_erasing_twice_adds_nothing(patient):
    one, _ = patient
    erase(one, reason="request 17")
    with nothing_recorded():
        assert erase(one.uid, reason="request 17").position is None


@pytest.mark.usefixtures("here")
def test_a_withdrawn_record_can_be_erased():
    one = label(NAME)
    one.delete(permanent=True)
    assert NAME in everything_recorded()
    erase(one.uid, reason="request 17")
    assert NAME not in everything_recorded()
    with pytest.raises(RecordErasedError):
        label(NAME)


@pytest.mark.usefixtures("here")
def test_a_merged_name_still_leads_to_its_survivor_after_its_erasure():
    typo, right = label(NAME), label("Q., Z.")
    typo.merge_into(right, reason=f"{NAME} is a typo")
    erase(typo.uid if typo.uid != right.uid else merged_uid(), reason="request 17")
    assert NAME not in everything_recorded()
    assert ln.ULabel(NAME).save() == right


def merged_uid() -> str:
    with instance.current().reading() as session:
        return str(session.models.find("merger")[0]["uid"])


def test_an_erasure_that_fails_leaves_everything(patient, monkeypatch):
    one, values = patient
    with instance.current().writing() as session:
        appender = type(session.log)

    def fail(self: Appender, entries: list[Entry]) -> None:
        appender_erase(self, entries)
        raise StorageError("the disk is full")

    appender_erase = appender.erase
    before = everything_recorded()
    with monkeypatch.context() as patched:
        patched.setattr(appender, "erase", fail)
        with pytest.raises(StorageError), nothing_recorded():
            erase(values, reason="request 17")
    assert everything_recorded() == before
    assert values.path.read_text() == f"{NAME}: 7.1"
    assert erase(values, reason="request 17").content_removed
    assert one.name


def test_an_erasure_that_was_cut_short_after_the_content_went_is_repeated(patient, monkeypatch):
    _, values = patient
    place, carry_out = values.path, Erasure.carry_out

    def cut_short(self: Erasure, *given: object) -> None:
        carry_out(self, *given)
        raise StorageError("the power went")

    with monkeypatch.context() as patched:
        patched.setattr(Erasure, "carry_out", cut_short)
        with pytest.raises(StorageError), nothing_recorded():
            erase(values, reason="request 17")
    assert not place.exists()
    assert [it.kind for it in ln.audit(content=True).findings] == ["content"]
    assert erase(values, reason="request 17").content_removed
    assert ln.audit(content=True).ok


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("call", "kind"),
    [
        (lambda one: erase(one, reason=" "), InvalidValueError),
        (lambda one: erase(one, reason=None), InvalidValueError),
        (lambda _: erase(17, reason="request 17"), InvalidValueError),
        (lambda one: erase(one, reason="request 17", dry_run="no"), InvalidValueError),
        (lambda _: erase("nobody0000ab", reason="request 17"), NotFoundError),
    ],
    ids=["blank reason", "no reason", "no uid", "no flag", "unknown uid"],
)
def test_bad_requests_are_refused(call, kind):
    one = label(NAME)
    with pytest.raises(kind), nothing_recorded():
        call(one)


@pytest.mark.usefixtures("here")
def test_no_erasure_in_a_batch():
    one = label(NAME)
    with pytest.raises(CommandRejectedError, match="cannot be undone"), ln.batch():
        erase(one, reason="request 17")


# --- what the databases refuse ------------------------------------------------------------------


def refused(statement: str) -> None:
    """Claim that the log refuses a statement, whoever gives it."""
    refusals = (LedgerError, psycopg.errors.RestrictViolation)
    with (
        pytest.raises(refusals, match="append-only"),
        instance.current().writing() as session,
    ):
        session.log.connection.execute(statement)


def test_nothing_is_changed_but_what_the_last_event_erases(patient):
    one, _ = patient
    is_on_server = isinstance(instance.current().database, PostgresDatabase)
    salt = "decode(repeat('00', 64), 'hex')" if is_on_server else "zeroblob(64)"
    state = "'\\x7b7d'" if is_on_server else "x'7b7d'"
    change_salt = f"UPDATE entries SET salt = {salt} WHERE position = "
    change_state = f"UPDATE stored_events SET state = {state} WHERE originator_version = 1"
    refused(change_salt + "2")
    refused(change_state)
    erase(one, reason="request 17")
    before = everything_recorded()
    with instance.current().reading() as session:
        (*_, erasure) = session.log.read()
    # Now the last event is an erasure. What it names was erased, and is not once more.
    refused(change_salt + str(erasure.event.entries[0]))
    refused(change_salt + "1")
    refused(change_state)
    refused("DELETE FROM entries WHERE position = 1")
    assert everything_recorded() == before


# --- by command, and by a script that runs again ------------------------------------------------


def test_the_command_asks_first_and_tells_what_it_did(here):
    one = label(NAME)
    ln.close()
    said = metaledger(here, "erase", one.uid[:8], "--reason", "request 17", status=2)
    assert "--dry-run" in said.err
    told = metaledger(here, "erase", one.uid[:8], "--reason", "request 17", "--dry-run", "--json")
    assert told.json["position"] is None
    assert len(told.json["entries"]) == 1
    done = metaledger(here, "erase", one.uid[:8], "--reason", "request 17", "--yes")
    assert f"ULabel {one.uid}: erased 1 entry" in done.err + done.out
    again = metaledger(here, "erase", one.uid, "--reason", "request 17", "--yes")
    assert "nothing is left to erase" in again.err + again.out
    gone = metaledger(here, "show", one.uid, status=1)
    assert "erased by" in gone.err
    history = metaledger(here, "history", one.uid)
    assert f"[erased {one.uid}]" in history.out
    assert "entries-erased" in history.out
    assert "entries-erased" in metaledger(here, "log", "--record", one.uid).out


def test_the_commands_tell_of_erasures_and_of_what_a_proof_does_not_show(here):
    one = label(NAME)
    Path("kept").write_text(str(ln.checkpoint()))
    Path("ledger.pub").write_text(f"{checkpoints.public_key()}\n")
    erase(one, reason="request 17")
    Path("created").write_text(ln.prove(one.uid))
    Path("erasure").write_text(ln.prove(ln.head()))
    ln.close()
    given = ("--checkpoint", "kept", "--key", "ledger.pub")
    said = metaledger(here, "audit", *given).out
    assert f"ulabel {one.uid}" in said
    assert "request 17 (entries 2; signed by" in said
    assert (
        "erasure-refused" in metaledger(here, "audit", *given, "--erasures", "refuse", status=1).out
    )
    metaledger(here, "audit", *given, "--html", "report.html")
    assert "request 17" in Path("report.html").read_text("utf-8")
    shown = metaledger(here, "verify", "created", "--key", "ledger.pub", status=3)
    assert "not shown" in shown.out
    assert one.uid in shown.out
    beside = metaledger(here, "verify", "created", "--key", "ledger.pub", "--erasure", "erasure")
    assert "erased" in beside.out
    assert "[erased]" in metaledger(here, "log").out


@pytest.fixture
def lab(tmp_path):
    yield Lab(tmp_path)
    ln.close()


BODY = f"""
from pathlib import Path
Path("values.txt").write_text("{NAME}: 7.1")
one = ln.ULabel("{NAME}").save()
values = ln.Artifact("values.txt", key="{KEY}").save()
values.labels.add(one)
ln.ULabel("control").save()
"""


def test_a_script_that_runs_again_passes_what_was_erased_and_adds_nothing(lab):
    lab.script(BODY)
    lab.run()
    one = lab.find("ulabel", name=NAME)[0]
    values = lab.find("artifact")[0]
    for uid in (one["uid"], values["uid"]):
        erase(uid, reason="request 17")
    again = lab.run()
    assert again.tags == []
    assert "erased" in again.said
    assert lab.names() == ["control"]
    assert not values_path(lab, values).exists()


def values_path(lab: Lab, row: dict) -> Path:
    return lab.folder / "storage" / row["storage_key"]


def test_an_erased_transform_takes_its_source_along_and_is_not_tracked_again(lab):
    lab.script(f"name = '{NAME}'")
    lab.run()
    transform = lab.find("transform")[0]["uid"]
    assert NAME in ln.Transform.get(transform).source_code
    erase(transform, reason="request 17")
    assert NAME not in everything_recorded()
    refused = lab.run(code=1)
    assert refused.tags == []
    assert "RecordErasedError" in refused.said
    lab.script("name = 'nobody'")
    assert "run-started" in lab.run().tags
    assert rebuild().differences == ()


def test_an_erased_run_loses_its_parameters_and_is_not_run_again(lab):
    lab.script("pass", head=f"import ledger as ln\nln.track(params={{'who': '{NAME}'}})\n")
    lab.write("kept.txt", "kept")
    lab.run()
    run = lab.find("run")[0]["uid"]
    erase(run, reason="request 17")
    with lab.ledger.reading() as session:
        started = session.models.find("run", ever=True, uid=run)
    assert {row["params"] for row in started} == {"{}"}
    refused = lab.run(code=1)
    assert "RecordErasedError" in refused.said
    assert refused.tags == []
    assert rebuild().differences == ()
