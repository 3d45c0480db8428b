"""The audit: honest ledgers pass, and every deed to a ledger's file is told, by its kind."""

# ruff: noqa: S608 (statements are made of words of our own)

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest

import ledger as ln
from ledger import cli
from ledger.auditing.audit import audit
from ledger.errors import InvalidProofError, InvalidValueError, KeyUnavailableError, StorageError
from ledger.eventlog.entry import Envelope, leaf_of
from ledger.model.events import Draft, RecordChanged, RecordCreated
from ledger.model.ids import StreamId, command_id
from ledger.places import config, instance
from ledger.proving import checkpoints, notes
from ledger.upkeep import rebuild as rebuilding
from ledger.upkeep.rebuild import rebuild
from tests.e2e.command import metaledger
from tests.support.door import artifact, label


class Kept:
    """A closed ledger with a little of everything, and a checkpoint that an auditor kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.checkpoint = str(ln.checkpoint())
        self.key = str(checkpoints.public_key())
        self.database = instance.current().place.database_path
        ln.close()
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def do(self, *statements: str, guards: bool = True) -> None:
        """Do something to the file behind the program's back; the guards are put back after."""
        ln.close()
        with closing(sqlite3.connect(self.database, isolation_level=None)) as connection:
            named = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            triggers = connection.execute(named).fetchall()
            for name, _ in triggers:
                connection.execute(f'DROP TRIGGER "{name}"')
            for statement in statements:
                connection.execute(statement)
            for _, text in triggers if guards else ():
                # A table that is gone takes its guards along.
                with contextlib.suppress(sqlite3.OperationalError):
                    connection.execute(text)

    def audit(self, **options):
        options.setdefault("checkpoints", [self.checkpoint])
        return audit(place=config.load(self.folder, origin="test"), **options)

    def kinds(self, **options) -> set[str]:
        report = self.audit(**options)
        assert report.ok == (not report.findings)
        return {finding.kind for finding in report.findings}


@pytest.fixture
def kept(ledger_folder):
    ln.init(storage="./storage")
    one, two = label("one"), label("two", description="second")
    made = artifact("a.txt", key="a")
    made.labels.add(one)
    artifact("folder/b.txt")
    one.name = "uno"
    one.save()
    two.delete()
    ln.tag("before")
    artifact("a.txt", "changed", key="a")
    yield Kept(ledger_folder)
    ln.close()


# --- honest ledgers -------------------------------------------------------------------------------


def test_an_honest_ledger_passes_and_everything_was_looked_at(kept):
    report = kept.audit(content=True)
    assert report.ok, report.findings
    assert report.events == report.rehashed == report.head == kept.audit().events
    assert report.contents == 3
    assert report.rows > 10
    assert [it.is_met for it in report.checkpoints] == [True]
    assert report.keys == (kept.key,)


def test_an_audit_changes_nothing(kept):
    before = kept.database.read_bytes()
    kept.audit(content=True)
    assert kept.database.read_bytes() == before


def test_an_audit_looks_at_one_moment_beside_a_writer(kept):
    with ln.batch():
        label("uncommitted")
        report = kept.audit()
    assert report.ok
    assert kept.audit().events == report.events + 1


def test_checkpoints_of_every_size_are_met(kept):
    label("later")
    texts = [kept.checkpoint, str(ln.checkpoint())]
    report = kept.audit(checkpoints=texts, keys=[kept.key])
    assert report.ok
    assert [it.size for it in report.checkpoints] == [report.head - 1, report.head]


def test_since_believes_what_is_before(kept):
    middle = kept.audit().head // 2
    report = kept.audit(since=middle)
    assert report.ok, report.findings
    assert report.rehashed == report.events - middle


def test_since_still_finds_what_is_after(kept):
    kept.do("UPDATE entries SET recorded_at = recorded_at + 1 WHERE position = 9")
    assert "leaf-hash" in kept.kinds(since=8)
    assert kept.kinds(since=9, checkpoints=[]) == set()


def test_a_sample_of_contents_is_read(kept):
    assert kept.audit(content=True, sample=0.01).contents == 1
    with pytest.raises(InvalidValueError, match="sample"):
        kept.audit(content=True, sample=0)


# --- deeds to the log -----------------------------------------------------------------------------

STATE = "CAST(replace(CAST(state AS TEXT), '{}', '{}') AS BLOB)"
DEEDS = {
    "a name was edited": (
        "leaf-hash",
        f"UPDATE stored_events SET state = {STATE.format('uno', 'dos')}",
    ),
    "an actor was edited": (
        "leaf-hash",
        f"UPDATE stored_events SET state = {STATE.format('actor', 'actoR')} WHERE rowid = 3",
    ),
    "a payload was spelt otherwise": (
        "not-canonical",
        f"UPDATE stored_events SET state = {STATE.format('{', '{ ')} WHERE rowid = 3",
    ),
    "a payload is no JSON": (
        "unknown-event",
        "UPDATE stored_events SET state = x'ff00' WHERE rowid = 3",
    ),
    "a payload is empty": ("unknown-event", "UPDATE stored_events SET state = x'' WHERE rowid = 3"),
    "a payload is missing": (
        "malformed-row",
        "UPDATE stored_events SET state = NULL WHERE rowid = 3",
    ),
    "a payload became text": (
        "malformed-row",
        "UPDATE stored_events SET state = CAST(state AS TEXT) WHERE rowid = 3",
    ),
    "a type was changed": (
        "event-type",
        "UPDATE stored_events SET topic = 'record-changed.v1' WHERE rowid = 2",
    ),
    "an event was deleted": ("event-missing", "DELETE FROM stored_events WHERE rowid = 4"),
    "an entry was deleted": ("entry-missing", "DELETE FROM entries WHERE position = 4"),
    "an entry in the middle is gone": (
        "position",
        "DELETE FROM stored_events WHERE rowid = 4",
        "DELETE FROM entries WHERE position = 4",
    ),
    "the log was cut back": (
        "log-too-short",
        "DELETE FROM stored_events WHERE rowid > 6",
        "DELETE FROM entries WHERE position > 6",
    ),
    "the log was emptied": (
        "log-too-short",
        "DELETE FROM stored_events",
        "DELETE FROM entries",
    ),
    "an event was slipped in": (
        "entry-missing",
        "INSERT INTO stored_events VALUES ('00000000000080008000000000000000', 1, 'x', x'00')",
    ),
    "a time was moved back": (
        "recorded-time",
        "UPDATE entries SET recorded_at = 1 WHERE position = 5",
    ),
    "a time was moved a little": (
        "leaf-hash",
        "UPDATE entries SET recorded_at = recorded_at - 1 WHERE position = 5",
    ),
    "two entries changed places": (
        "leaf-hash",
        "UPDATE entries SET position = 999 WHERE position = 5",
        "UPDATE entries SET position = 5 WHERE position = 6",
        "UPDATE entries SET position = 6 WHERE position = 999",
    ),
    "a position was moved": ("position", "UPDATE entries SET position = 99 WHERE position = 5"),
    "a salt was changed": (
        "leaf-hash",
        "UPDATE entries SET salt = randomblob(32) WHERE position = 5",
    ),
    "a salt is short": ("malformed-row", "UPDATE entries SET salt = x'00' WHERE position = 5"),
    "a leaf was changed": (
        "leaf-hash",
        "UPDATE entries SET leaf = randomblob(32) WHERE position = 5",
    ),
    "a command id was changed": (
        "command-id",
        "UPDATE entries SET command_id = randomblob(16) WHERE position = 5",
    ),
    "a number was changed": ("command-number", "UPDATE entries SET number = 7 WHERE position = 5"),
    "a version was changed": (
        "stream-version",
        "UPDATE entries SET version = 7 WHERE position = 2",
        "UPDATE stored_events SET originator_version = 7 WHERE rowid = 2",
    ),
    "a number is text": ("malformed-row", "UPDATE entries SET number = 'x' WHERE position = 5"),
    "a time is huge": (
        "malformed-row",
        "UPDATE entries SET recorded_at = 9e99 WHERE position = 5",
    ),
    "a row of a read model was changed": ("read-model", "UPDATE ulabel SET name = 'forged'"),
    "a row of a read model is gone": ("read-model", "DELETE FROM link"),
    "a row of a read model was made up": (
        "read-model",
        "INSERT INTO tag VALUES ('t', 1, 1, 'ada', 3, 9223372036854775807)",
    ),
    "a read model is gone": ("unreadable", "DROP TABLE artifact_key"),
    "the entries are gone": ("unreadable", "DROP TABLE entries"),
    "the format is another one": ("format", "UPDATE meta SET value = '99' WHERE name = 'format'"),
    "the version of the read models is another one": (
        "read-models-version",
        "UPDATE meta SET value = 'x' WHERE name = 'read_models'",
    ),
    "a guard was taken away": ("schema", "CREATE VIEW v AS SELECT 1"),
    "the file says it is something else": ("schema", "PRAGMA application_id = 7"),
    "an index was taken away": ("schema", "DROP INDEX ulabel_live_name"),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_every_deed_is_told_by_its_kind(kept, deed):
    kind, *statements = DEEDS[deed]
    kept.do(*statements)
    assert kind in kept.kinds()


def test_missing_guards_are_told(kept):
    kept.do(guards=False)
    assert kept.kinds() == {"schema"}
    assert len(kept.audit().findings) == 6


def test_a_trigger_that_somebody_added_is_told(kept):
    kept.do("CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM tag; END", guards=False)
    assert any(it.subject == "trigger t" for it in kept.audit().findings)


def test_a_history_written_anew_is_told_by_the_checkpoint_alone(kept, monkeypatch, capsys):
    label("invented")
    late = str(ln.checkpoint())
    ln.close()
    shutil.copy(kept.database, "kept.db")
    kept.do(
        "DELETE FROM stored_events WHERE rowid = (SELECT max(rowid) FROM stored_events)",
        "DELETE FROM entries WHERE position = (SELECT max(position) FROM entries)",
        "DELETE FROM ulabel WHERE name = 'invented'",
    )
    label("something else")
    assert kept.kinds(checkpoints=[]) == kept.kinds(checkpoints=[late]) == {"checkpoint-root"}
    # The checkpoint that the auditor brought decides; the later one that is known is a warning.
    capsys.readouterr()
    assert kept.kinds() == set()
    assert "the last checkpoint signed here of size 12: checkpoint-root" in capsys.readouterr().err
    # On another computer the checkpoint alone tells.
    monkeypatch.setenv("METALEDGER_KEY_DIR", str(kept.folder / "no keys"))
    assert kept.kinds() == set()
    assert kept.kinds(checkpoints=[late]) == {"checkpoint-root"}


@pytest.mark.parametrize("is_published", [False, True])
def test_a_rollback_to_a_backup_is_told_by_what_is_known_or_published(
    ledger_folder, monkeypatch, is_published
):
    ln.init(storage="./storage", publish="published" if is_published else None)
    label("one")
    database = instance.current().place.database_path
    ln.close()
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    backup = database.read_bytes()
    label("two")
    ln.checkpoint()
    assert audit().ok
    ln.close()
    assert metaledger(ledger_folder, "doctor").status == 0
    for name in ("ledger.db-wal", "ledger.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    database.write_bytes(backup)
    if is_published:
        monkeypatch.setenv("METALEDGER_KEY_DIR", str(ledger_folder / "no keys"))
    # The public key of a later time is not known elsewhere, so that its signature is told too.
    assert "log-too-short" in {it.kind for it in audit().findings}
    assert "log-went-back" in metaledger(ledger_folder, "doctor", "--json", status=1).out
    for name in "xyzuvw":
        label(name)
    ln.close()
    assert "checkpoint-root" in {it.kind for it in audit().findings}
    assert "log-went-back" in metaledger(ledger_folder, "doctor", "--json", status=1).out


def test_whatever_was_appended_past_the_rules_is_told(kept):
    identity = ["create", "ulabel", "uno", 9]
    event = RecordCreated(
        at=1,
        actor="eve",
        command=identity,
        registry="ulabel",
        uid="x" * 12,
        natural=["ulabel", "other"],
        fields={"name": "uno"},
    )
    change = RecordChanged(
        at=1, actor="eve", command=["x"], registry="ulabel", uid="nobody", fields={"name": "n"}
    )
    ledger = instance.connect(kept.folder)
    stream = StreamId("0" * 32)
    with ledger.database.write() as session:
        session.log.append(command_id(identity), [Draft(stream=stream, event=event)])
        session.log.append(command_id(["x"]), [Draft(stream=stream, event=change)])
    assert {"stream-id", "uid", "rule", "unknown-record"} <= kept.kinds()
    instance.connect()


def test_a_wholly_consistent_forgery_meets_the_rules_only(kept, monkeypatch):
    """Whoever knows the format can make leaf and salt fit: then the checkpoint tells."""
    with closing(sqlite3.connect(kept.database)) as connection:
        row = connection.execute(
            "SELECT e.*, s.topic, s.state FROM entries e JOIN stored_events s ON"
            " s.originator_id = e.stream AND s.originator_version = e.version WHERE position = 5"
        ).fetchone()
    position, _, stream, version, command, number, salt, _, tag, state = row
    envelope = Envelope(
        position=position,
        recorded_at=row[1] - 1,
        stream=stream,
        version=version,
        tag=tag,
        command_id=command.hex(),
        number=number,
        format=2,
    )
    leaf = leaf_of(envelope, state, salt).hex()
    kept.do(f"UPDATE entries SET recorded_at = {row[1] - 1}, leaf = x'{leaf}' WHERE position = 5")
    assert kept.kinds(checkpoints=[]) == kept.kinds() == {"checkpoint-root"}
    # On another computer only a checkpoint that was kept tells.
    monkeypatch.setenv("METALEDGER_KEY_DIR", str(kept.folder / "no keys"))
    assert kept.kinds(checkpoints=[]) == set()
    assert kept.kinds() == {"checkpoint-root"}


# --- a bit flipped anywhere -----------------------------------------------------------------------


class Kind(bytes):
    """Text of a database, as bytes."""

    __slots__ = ()


def recorded_in(database: Path) -> object:
    """All that a file holds, values and their kinds; what it refuses to say counts as a change."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.text_factory = Kind
        try:
            objects = connection.execute("SELECT * FROM sqlite_master").fetchall()
            told = [connection.execute("PRAGMA application_id").fetchall(), objects]
            for kind, name, *_ in objects:
                if kind == b"table":
                    rows = connection.execute(f'SELECT * FROM "{name.decode()}" NOT INDEXED')
                    told.append([[(type(it), it) for it in row] for row in rows])
        except (sqlite3.Error, UnicodeDecodeError) as error:
            return type(error)
        return told


def is_sound_to_sqlite(database: Path) -> bool:
    """Return whether SQLite's own check finds nothing: it knows pages, not what they should say."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        try:
            return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        except (sqlite3.Error, UnicodeDecodeError):  # it quotes what is damaged
            return False


class Flipped(NamedTuple):
    """Bytes in which a bit was flipped, one at a time; those that changed what is recorded; where
    the audit did not tell of them; how many of them SQLite's own check did not tell of."""

    bytes: int
    changed: int
    untold: list[int]
    missed: int


def flipped(kept: Kept, *, step: int, seed: int) -> Flipped:
    """Flip a bit in every `step`th byte, one at a time."""
    with closing(sqlite3.connect(kept.database, isolation_level=None)) as connection:
        # A small file: so many bytes are flipped one by one.
        for statement in ("PRAGMA journal_mode=DELETE", "PRAGMA page_size=512", "VACUUM"):
            connection.execute(statement).fetchall()
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
    honest, before = kept.database.read_bytes(), recorded_in(kept.database)
    chance = random.Random(seed)  # noqa: S311 (which bit)
    changed, untold, missed = 0, [], 0
    places = range(seed % step, len(honest), step)
    for place in places:
        damaged = bytearray(honest)
        damaged[place] ^= 1 << chance.randrange(8)
        for side in ("-wal", "-shm"):
            Path(f"{kept.database}{side}").unlink(missing_ok=True)
        kept.database.write_bytes(damaged)
        is_told = not kept.audit().ok
        if recorded_in(kept.database) != before:
            changed += 1
            missed += is_sound_to_sqlite(kept.database)
            if not is_told:
                untold.append(place)
    return Flipped(len(places), changed, untold, missed)


def test_a_bit_flipped_in_any_of_many_bytes_is_told(kept):
    found = flipped(kept, step=211, seed=20)
    assert found.changed > 20
    assert found.untold == []


@pytest.mark.slow
def test_a_bit_flipped_in_any_byte_is_told(kept, figure):
    found = flipped(kept, step=1, seed=0)
    assert found.changed > 10_000
    assert found.untold == []
    figure(
        f"{found.bytes} bytes, {found.changed} flips changed what is recorded, all of them told; "
        f"{found.missed} of them escape SQLite's own check"
    )


@pytest.mark.parametrize("size", [0, 10, 100, 5_000])
def test_a_file_cut_short_is_told(kept, size):
    kept.database.write_bytes(kept.database.read_bytes()[:size])
    assert "unreadable" in kept.kinds()


def test_what_the_file_says_of_itself_is_compared(kept):
    kept.do("INSERT INTO meta (name, value) VALUES ('more', '1')")
    assert "format" in kept.kinds()
    kept.do(
        "DELETE FROM meta WHERE name = 'more'", "UPDATE meta SET value = '1' WHERE name = 'format'"
    )
    assert "format" in kept.kinds()


def test_values_of_wrong_kinds_in_read_models_are_findings(kept):
    kept.do(
        "UPDATE ulabel SET state = 'live', created_at = 9e99, name = x'00ff'",
        "UPDATE artifact SET size = -1, created_position = 'x'",
    )
    assert kept.kinds(content=True) >= {"read-model"}


def test_an_audit_that_cannot_be_carried_out_ends_with_2(kept, monkeypatch):
    with closing(sqlite3.connect(kept.database, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        monkeypatch.setattr("ledger.eventlog.sqlite_evidence._BUSY", 1)
        with pytest.raises(StorageError):
            kept.audit()

    def broken(*_, **__):
        raise ZeroDivisionError

    monkeypatch.chdir(kept.folder)
    monkeypatch.setattr("ledger.auditing.audit.audit", broken)
    assert cli._run(["audit"]) == 2


# --- keys and checkpoints -------------------------------------------------------------------------


def test_with_keys_given_no_other_is_trusted(kept):
    stranger = notes.generate(
        f"metaledger.local/{config.load(kept.folder, origin='').configuration.id}"
    )
    assert kept.kinds(keys=[kept.key]) == set()
    assert kept.kinds(keys=[str(stranger.public())]) == {"checkpoint-signature"}


def test_a_checkpoint_with_another_signature_is_told(kept):
    stranger = notes.generate(kept.checkpoint.splitlines()[0])
    body = notes.read_note(kept.checkpoint).text
    assert kept.kinds(checkpoints=[notes.sign_note(body, [stranger])]) == {"checkpoint-signature"}
    bent = kept.checkpoint.replace("\n\n", "\nmore\n\n")
    assert kept.kinds(checkpoints=[bent]) == {"checkpoint-signature"}


def test_a_checkpoint_of_another_ledger_is_told(kept):
    other = notes.generate("metaledger.local/other")
    text = notes.Checkpoint(origin=other.name, size=1, root=bytes(32)).text()
    found = kept.kinds(checkpoints=[notes.sign_note(text, [other])], keys=[str(other.public())])
    assert found == {"checkpoint-origin", "checkpoint-root"}


def test_a_rotated_key_is_followed_from_the_one_that_is_trusted(kept):
    checkpoints.rotate_key()
    late = str(ln.checkpoint())
    assert kept.kinds(checkpoints=[kept.checkpoint, late], keys=[kept.key]) == set()
    checkpoints.rotate_key(is_lost=True)
    later = str(ln.checkpoint())
    found = kept.kinds(checkpoints=[later], keys=[kept.key])
    assert found == {"checkpoint-signature", "key-lost"}


def test_a_key_that_is_said_to_be_lost_is_told_by_every_audit(kept):
    checkpoints.rotate_key()
    assert kept.audit(keys=[kept.key]).lost_keys == ()
    present = str(checkpoints.public_key())
    adopted = str(checkpoints.rotate_key(is_lost=True))
    (lost,) = kept.audit().lost_keys
    assert (lost.previous, lost.key) == (present, adopted)
    assert adopted in metaledger(kept.folder, "audit").err
    # It follows from no key that was trusted before; given itself, it is trusted.
    assert kept.kinds(keys=[kept.key]) == {"key-lost"}
    report = kept.audit(keys=[kept.key, adopted])
    assert report.ok
    assert report.lost_keys == (lost,)


def test_what_is_no_checkpoint_and_no_key_cannot_be_audited_with(kept):
    with pytest.raises(InvalidProofError):
        kept.audit(checkpoints=["nothing"])
    with pytest.raises(InvalidValueError):
        kept.audit(keys=["nothing"])


@pytest.mark.usefixtures("ledger_folder")
def test_checkpoints_without_any_key_cannot_be_audited_with():
    ln.init(storage="./storage")
    ledger_id = instance.current().place.configuration.id
    ln.close()
    key = notes.generate(f"metaledger.local/{ledger_id}")
    text = notes.Checkpoint(origin=key.name, size=1, root=bytes(32)).text()
    with pytest.raises(KeyUnavailableError, match="--key"):
        audit(checkpoints=[notes.sign_note(text, [key])])


def test_a_ledger_without_its_database_cannot_be_audited(kept):
    kept.database.unlink()
    with pytest.raises(StorageError):
        kept.audit()


# --- content --------------------------------------------------------------------------------------


def test_damaged_and_missing_contents_are_told(kept):
    first, *_, last = ln.Artifact.filter()
    for record in (first, last):
        os.chmod(record.path, 0o644)  # noqa: PTH101 (a path of any kind)
    Path(first.path).write_bytes(b"other")
    Path(last.path).unlink()
    findings = kept.audit(content=True).findings
    assert {it.kind for it in findings} == {"content"}
    assert {it.subject for it in findings} == {f"artifact {it.uid}" for it in (first, last)}
    assert kept.kinds() == set()


# --- rebuild --------------------------------------------------------------------------------------


def test_a_rebuild_of_an_honest_ledger_differs_in_nothing(kept):
    done = rebuild()
    assert (done.differences, done.unreadable) == ((), ())
    assert kept.kinds() == set()


def test_a_rebuild_mends_what_was_done_to_read_models(kept):
    kept.do("UPDATE ulabel SET name = 'forged' WHERE name = 'uno'", "DELETE FROM link")
    done = rebuild()
    assert {it.table for it in done.differences} == {"ulabel", "link"}
    assert kept.kinds() == set()
    assert ln.ULabel.get(name="uno")


def test_a_rebuild_mends_tables_and_indexes_that_are_gone(kept):
    kept.do("DROP TABLE artifact_key", "DROP INDEX ulabel_live_name")
    assert rebuild().unreadable == ("artifact_key",)
    assert kept.kinds() == set()


def test_readers_see_a_whole_state_during_a_rebuild(kept, monkeypatch):
    seen = []
    honest = rebuilding._renewed

    def watched(shadow, models, lock):
        outcome = honest(shadow, models, lock)
        with closing(sqlite3.connect(kept.database)) as reader:
            seen.append(reader.execute("SELECT count(*) FROM ulabel").fetchone()[0])
        return outcome

    monkeypatch.setattr(rebuilding, "_renewed", watched)
    rebuild()
    assert seen[0] > 0


def test_a_rebuild_that_fails_leaves_everything_as_it_was(kept, monkeypatch):
    from projections.sql.sqlite import SqliteModels  # noqa: PLC0415

    def fail(*_):
        raise StorageError("full")

    monkeypatch.setattr(SqliteModels, "create_indexes", fail)
    with pytest.raises(StorageError, match="full"):
        rebuild()
    monkeypatch.undo()
    assert kept.kinds() == set()


# --- the command ----------------------------------------------------------------------------------


def test_the_command_tells_by_its_exit_status(kept, tmp_path):
    (kept.folder / "kept.txt").write_text(kept.checkpoint)
    keys = str(tmp_path / "keys")
    said = metaledger(kept.folder, "audit", "--checkpoint", "kept.txt", METALEDGER_KEY_DIR=keys)
    assert "met" in said.out
    assert metaledger(kept.folder, "rebuild").out.startswith("0 differences")
    kept.do("UPDATE entries SET recorded_at = recorded_at + 1 WHERE position = 3")
    told = metaledger(kept.folder, "audit", "--json", status=1).json
    assert told["ok"] is False
    assert told["findings"][0]["kind"] == "leaf-hash"
    assert told["findings"][0]["position"] == 3
    (kept.folder / "none.txt").write_text("no checkpoint")
    metaledger(kept.folder, "audit", "--checkpoint", "none.txt", status=2)
    metaledger(kept.folder, "audit", "--checkpoint", "missing.txt", status=2)
    metaledger(kept.folder, "audit", "--sample", "0.5", status=2)
    metaledger(tmp_path, "audit", status=2)


def test_the_page_shows_hostile_names_as_text(kept):
    name = "<script>alert(1)</script>\x1b[31m"
    kept.do("DELETE FROM tag", f"UPDATE ulabel SET name = '{name}' WHERE name = 'uno'")
    said = metaledger(kept.folder, "audit", "--html", "report.html", status=1)
    page = (kept.folder / "report.html").read_text()
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "\x1b" not in page + said.out + said.err
    assert "http" not in page


@pytest.mark.usefixtures("kept")
def test_what_is_erased_during_a_rebuild_does_not_come_back(monkeypatch):
    ln.connect(".")
    subject = label("a name to be forgotten")
    honest, meanwhile = rebuilding._folded, [lambda: ln.erase(subject, reason="request 17")]

    def watched(*given, **more):
        yield from honest(*given, **more)
        while meanwhile:
            meanwhile.pop()()

    monkeypatch.setattr(rebuilding, "_folded", watched)
    done = rebuild()
    assert (done.events, done.differences) == (ln.head(), ())
    assert audit().ok
