"""Archives: what is exported can be read by others, is audited alone, and comes back the same."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import duckdb
import psycopg
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

import ledger as ln
from ledger import files
from ledger.auditing.audit import audit
from ledger.content.backends import open_folder
from ledger.engine.postgres_database import PostgresDatabase
from ledger.errors import (
    CorruptLogError,
    InvalidValueError,
    LedgerExistsError,
    PathTakenError,
    StorageError,
)
from ledger.eventlog import archive
from ledger.eventlog.archive import ArchiveEvidence
from ledger.eventlog.sqlite_log import SqliteAppender
from ledger.model.merkle import root_hash
from ledger.places import config, instance
from ledger.proving import checkpoints, notes
from ledger.transfer import archive_export, archive_import
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from ledger.upkeep.erasure import erase
from projections.shadow import Shadow
from tests.e2e.command import metaledger
from tests.support.door import artifact, label
from tests.support.judge import read_models
from tests.support.servers import new_schema


def filled(**given) -> None:
    """Make a ledger in the working folder in which some things happened."""
    ln.init(storage="./storage", **given)
    one = label("one")
    artifact("a.txt", key="a").labels.add(one)
    one.name = "uno"
    one.save()


@pytest.fixture
def exported(ledger_folder):
    """A folder with a ledger, and its export beside it."""
    filled()
    done = export(ledger_folder / "archive")
    ln.close()
    yield done
    ln.close()


def segments(folder) -> list[Path]:
    return sorted(Path(folder, "log").iterdir())


def rewritten(folder, change, **options):
    """Change the table of an archive and write it again, its manifest too."""
    (path,) = segments(folder)
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path, compression="zstd", **{"write_statistics": False} | options)
    with_manifest(folder, lambda it: it["segments"][0].update(size=path.stat().st_size))


def with_manifest(folder, change):
    path = Path(folder, "manifest.json")
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))


def with_column(table, name, change):
    values = change(table.column(name).to_pylist())
    place = table.column_names.index(name)
    return table.set_column(place, table.field(name), pa.array(values, table.field(name).type))


# --- out ------------------------------------------------------------------------------------------


def test_an_export_is_parquet_that_any_program_reads(exported, ledger_folder):
    table = ds.dataset(ledger_folder / "archive" / "log", format="parquet").to_table()
    assert table.num_rows == exported.events == ln.head()
    assert table.column("position").to_pylist() == list(range(1, exported.events + 1))
    assert table.column("tag")[0].as_py() == "ledger-initialized.v1"
    assert table.column("payload_hash").null_count == table.num_rows
    assert sorted(it.name for it in (ledger_folder / "archive").iterdir()) == [
        f"checkpoint-{exported.events:012d}",
        "key.pub",
        "log",
        "manifest.json",
    ]


def test_payloads_are_text_that_others_search(exported):
    found = duckdb.execute(
        'SELECT position FROM read_parquet(?) WHERE payload LIKE \'%"name":"uno"%\'',
        [f"{exported.where}/log/*.parquet"],
    )
    ((position,),) = found.fetchall()
    assert ln.log(since=position - 1, until=position)[0].event["fields"] == {"name": "uno"}


def as_bytes(table):
    """Return a table of an archive as programs of before wrote it."""
    place = table.column_names.index("payload")
    return table.set_column(place, "payload", table.column(place).cast(pa.binary()))


def test_an_archive_of_before_is_read_and_exported_to(exported, tmp_path):
    rewritten(exported.where, as_bytes)
    with_manifest(exported.where, lambda it: it.update(format=2))
    assert audit(archive=exported.where).ok
    label("two")
    done = export(exported.where)
    assert done.added == 1
    assert json.loads(Path(exported.where, "manifest.json").read_text())["format"] == 3
    kinds = [str(pq.read_schema(it).field("payload").type) for it in segments(exported.where)]
    assert kinds == ["binary", "string"]
    place = restore(exported.where, "./s", root=tmp_path / "elsewhere")
    assert audit(place=place).root == done.root


def test_a_further_export_adds_what_is_new_and_writes_nothing_twice(exported, tmp_path):
    before = {path: path.read_bytes() for path in segments(exported.where)}
    assert export(exported.where).added == 0
    checkpoints.rotate_key()
    label("two")
    done = export(exported.where)
    assert done.added == 2
    after = segments(exported.where)
    assert len(after) == len(before) + 1
    assert {path: path.read_bytes() for path in before} == before
    table = ds.dataset(Path(exported.where, "log"), format="parquet").to_table()
    assert table.column("position").to_pylist() == list(range(1, done.events + 1))
    kept = [it.read_text() for it in sorted(Path(exported.where).glob("checkpoint-*"))]
    assert len(kept) == 2
    report = audit(archive=exported.where, checkpoints=kept)
    assert report.ok, report.findings
    place = restore(exported.where, "./s", root=tmp_path / "elsewhere")
    assert audit(place=place, checkpoints=kept).ok


def test_a_log_is_cut_into_segments_of_bounded_size(ledger_folder, monkeypatch, tmp_path):
    monkeypatch.setattr(archive_export, "SEGMENT", 3)
    monkeypatch.setattr(archive_export, "_GROUP", 2)
    monkeypatch.setattr(archive_export, "_READ", 2)
    monkeypatch.setattr(archive, "_READ", 2)
    filled()
    done = export(ledger_folder / "archive")
    sizes = [pq.ParquetFile(path).metadata for path in segments(done.where)]
    assert [it.num_rows for it in sizes[:-1]] == [3] * (len(sizes) - 1)
    assert sum(it.num_rows for it in sizes) == done.events
    assert max(it.row_group(0).num_rows for it in sizes) == 2
    portions = []
    insert = SqliteAppender._insert
    monkeypatch.setattr(
        SqliteAppender, "_insert", lambda *given: (portions.append(len(given[1])), insert(*given))
    )
    place = restore(done.where, "./s", root=tmp_path / "elsewhere")
    assert sum(portions) == done.events
    assert max(portions) <= 2
    assert audit(place=place).root == done.root


def test_what_was_erased_leaves_an_archive_with_the_next_export(exported, tmp_path, postgres):
    def payloads() -> str:
        found = ds.dataset(Path(exported.where, "log"), format="parquet").to_table()
        return "".join(found.column("payload").to_pylist())

    two = label("due to leave")
    export(exported.where)
    kept, old = segments(exported.where)
    assert "due to leave" in payloads()
    erase(two, reason="asked for")
    done = export(exported.where)
    assert done.added == 1
    assert segments(exported.where)[0] == kept
    assert segments(exported.where)[1] == old.with_suffix(".2.parquet")
    assert len(segments(exported.where)) == 3
    assert "due to leave" not in payloads()
    with closing(ArchiveEvidence(exported.where)) as evidence:
        rows = list(evidence.rows(until=done.events))
    assert root_hash([row.leaf for row in rows]).hex() == done.root
    with instance.current().reading() as session:
        entries = session.log.entries(limit=99)
    assert [(row.salt, row.state) for row in rows] == [(it.salt, it.payload) for it in entries]
    assert sum(it.is_erased for it in entries) == 1
    assert audit(archive=exported.where).ok
    for kind, database in (("file", None), ("server", str(postgres))):
        place = restore(exported.where, "./s", root=tmp_path / kind, database=database)
        report = audit(place=place)
        assert report.ok, report.findings
        assert report.root == done.root


def test_an_erasure_during_an_export_is_not_half_in_it(exported, monkeypatch):
    two = label("two")
    write = archive_export._write

    def meanwhile(*given):
        written = write(*given)
        monkeypatch.setattr(archive_export, "_write", write)
        erase(two, reason="asked for")
        return written

    monkeypatch.setattr(archive_export, "_write", meanwhile)
    with pytest.raises(StorageError, match="erased meanwhile"):
        export(exported.where)
    assert export(exported.where).added == 2


def test_what_is_not_an_archive_of_this_ledger_is_left_alone(exported, tmp_path, monkeypatch):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.doc").write_text("x")
    with pytest.raises(PathTakenError, match=r"found 'thesis\.doc'"):
        export(tmp_path / "full")
    ln.close()
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    ln.init(storage="./storage")
    before = {it: it.read_bytes() for it in Path(exported.where).rglob("*") if it.is_file()}
    with pytest.raises(PathTakenError, match="archive of ledger"):
        export(exported.where)
    assert {it: it.read_bytes() for it in before} == before


def test_another_history_is_not_added_to_an_archive(exported):
    with_manifest(exported.where, lambda it: it.update(root="00" * 32))
    with pytest.raises(CorruptLogError, match="two histories"):
        export(exported.where)


def test_two_exports_at_once_do_not_spoil_an_archive(exported, monkeypatch):
    label("two")
    write = archive_export._write

    def meanwhile(*given):
        monkeypatch.setattr(archive_export, "_write", write)
        label("three")
        export(exported.where)
        return write(*given)

    monkeypatch.setattr(archive_export, "_write", meanwhile)
    with pytest.raises(StorageError, match="another export"):
        export(exported.where)
    assert audit(archive=exported.where).ok
    label("four")
    assert export(exported.where).added == 1
    assert audit(archive=exported.where).ok


class Fault(Exception):  # noqa: N818 (no error of the program)
    """What stands for a crash."""


def test_an_export_that_failed_at_any_step_is_not_taken_for_a_whole_one(
    ledger_folder, monkeypatch, tmp_path
):
    monkeypatch.setattr(archive_export, "SEGMENT", 4)
    filled()
    ln.checkpoint()
    whole = 0
    for number in range(1_000):
        where = tmp_path / str(number)
        count = 0

        def step(what, path, number=number):
            nonlocal count
            count += 1
            if count == number + 1:
                raise Fault(what, path)

        with monkeypatch.context() as patch:
            patch.setattr(files, "step", step)
            try:
                export(where)
            except Fault:
                pass
            else:
                break
        if (where / "manifest.json").exists():
            whole += 1
            assert audit(archive=where).ok
        else:
            with pytest.raises(InvalidValueError, match=r"expected manifest\.json"):
                restore(where, "./s", root=tmp_path / "x")
        export(where)
        assert audit(archive=where).ok
    assert number > 20
    assert whole > 0
    assert ledger_folder.exists()


def test_an_increment_that_failed_leaves_the_archive_of_before(exported, monkeypatch):
    label("two")

    def fail(*_):
        raise Fault

    with monkeypatch.context() as patch:
        patch.setattr(type(open_folder(exported.where)), "replace", fail)
        with pytest.raises(Fault):
            export(exported.where)
    assert len(segments(exported.where)) == 2
    report = audit(archive=exported.where)
    assert report.ok
    assert report.head == exported.events
    label("three")
    assert export(exported.where).added == 2
    assert len(segments(exported.where)) == 2
    assert audit(archive=exported.where).ok


@pytest.mark.usefixtures("exported")
def test_a_damaged_log_is_not_exported(ledger_folder):
    ln.close()
    database = config.load(ledger_folder, origin="test").database_path
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("UPDATE entries SET recorded_at = recorded_at + 1 WHERE position = 2")
    with pytest.raises(CorruptLogError, match="nothing is exported"):
        export(ledger_folder / "second")
    assert not (ledger_folder / "second" / "manifest.json").exists()
    assert checkpoints.ring_of(instance.current()).last_checkpoint() is not None


# --- an audit without a ledger --------------------------------------------------------------------


def test_an_archive_is_audited_without_any_ledger(exported, tmp_path):
    alone = tmp_path / "alone"
    shutil.move(exported.where, alone)
    (kept,) = (it.read_text() for it in alone.glob("checkpoint-*"))
    report = audit(archive=alone, checkpoints=[kept], keys=[(alone / "key.pub").read_text()])
    assert report.ok, report.findings
    assert (report.events, report.root) == (exported.events, exported.root)


def test_an_erased_entry_is_read_with_its_payload_hash(exported):
    def erase(table):
        table = with_column(table, "salt", lambda v: [*v[:-1], None])
        table = with_column(table, "payload", lambda v: [*v[:-1], "residue"])
        return with_column(table, "payload_hash", lambda v: [*v[:-1], bytes(range(32))])

    rewritten(exported.where, erase)
    with closing(ArchiveEvidence(exported.where)) as evidence:
        *_, last = evidence.rows(until=exported.events)
    assert (last.salt, last.state) == (b"\x00" + bytes(range(32)), b"residue")


# --- in -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "way", "target"),
    [
        ("sqlite", "s3", "postgres"),
        ("postgres", "folder", "sqlite"),
    ],
)
def test_a_ledger_from_an_archive_has_the_same_root_and_answers(  # noqa: PLR0913, PLR0917 (fixtures)
    request, ledger_folder, tmp_path, monkeypatch, source, way, target
):
    where = request.getfixturevalue("s3_root") if way == "s3" else str(ledger_folder / "archive")
    with ExitStack() as stack:
        given = {}
        for role, kind in (("source", source), ("target", target)):
            if kind == "postgres":
                server = request.getfixturevalue("postgres_url")
                given[role] = str(stack.enter_context(new_schema(server)))
        filled(database=given.get("source"))
        done = export(where)
        kept = notes.read_checkpoint(notes.read_note(str(ln.checkpoint())))
        assert (kept.size, kept.root.hex()) == (done.events, done.root)
        before = read_models()
        ln.close()
        assert audit(archive=where).root == done.root
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        place = restore(where, "./storage", root=elsewhere, database=given.get("target"))
        report = audit(place=place)
        assert report.ok, report.findings
        assert report.root == done.root
        assert report.rows > 0
        monkeypatch.chdir(elsewhere)
        assert read_models() == before
        assert ln.ULabel.get(name="uno").name == "uno"
        label("after")
        assert audit().ok
        ln.close()


DEEDS = {
    "edited": lambda t: with_column(t, "payload", lambda v: [it.replace("uno", "dos") for it in v]),
    "cut short": lambda t: t.slice(0, 3),
    "without its middle": lambda t: pa.concat_tables([t.slice(0, 2), t.slice(3)]),
    "in another order": lambda t: t.take([1, 0, *range(2, t.num_rows)]),
    "with an event twice": lambda t: pa.concat_tables([t, t.slice(t.num_rows - 1)]),
    "with a moved time": lambda t: with_column(t, "recorded_at", lambda v: [v[0] - 1, *v[1:]]),
    "with a hostile stream": lambda t: with_column(
        t, "stream", lambda v: [*v[:-1], "../../../../etc"]
    ),
    "with a hostile type": lambda t: with_column(t, "tag", lambda v: [*v[:-1], "'; DROP TABLE"]),
    "with a number out of range": lambda t: with_column(t, "number", lambda v: [*v[:-1], -(2**63)]),
    "with a payload that is no text": lambda t: t.set_column(
        t.column_names.index("payload"),
        "payload",
        pa.array([b"\xff"] * t.num_rows, pa.binary()).view(pa.string()),
    ),
    "without a payload": lambda t: with_column(t, "payload", lambda v: [*v[:-1], None]),
    "without a salt": lambda t: with_column(t, "salt", lambda v: [*v[:-1], None]),
    "empty": lambda t: t.slice(0, 0),
    "with other columns": lambda t: t.select(["position", "payload"]),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_an_archive_that_was_tampered_with_is_refused_whole(exported, tmp_path, deed):
    rewritten(exported.where, DEEDS[deed])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises((CorruptLogError, InvalidValueError), match="archive"):
        restore(exported.where, "./storage", root=elsewhere)
    assert list(elsewhere.iterdir()) == []


MANIFESTS = {
    "of a newer format": lambda it: it.update(format=4),
    "with another root": lambda it: it.update(root="00" * 32),
    "with more entries": lambda it: it.update(entries=it["entries"] + 1),
    "with a hole": lambda it: it["segments"][0].update(first=2),
    "with a path": lambda it: it["segments"][0].update(name="../../secret"),
    "with a path to a checkpoint": lambda it: it.update(checkpoint="../checkpoint-000000000001"),
    "with no checkpoint": lambda it: it.update(checkpoint="checkpoint-000000000099"),
    "with another size": lambda it: it["segments"][0].update(size=7),
    "with no segment": lambda it: it.update(segments=[]),
    "with another shape": lambda it: it.update(segments="all"),
    "of another ledger": lambda it: it.update(ledger="0" * 32),
}


@pytest.mark.parametrize("deed", MANIFESTS)
def test_a_manifest_that_lies_is_refused(exported, tmp_path, deed):
    with_manifest(exported.where, MANIFESTS[deed])
    with pytest.raises((CorruptLogError, InvalidValueError), match="archive"):
        restore(exported.where, "./storage", root=tmp_path / "x")


@pytest.mark.parametrize("part", ["manifest", "checkpoint"])
def test_what_an_archive_says_of_itself_is_compared(exported, part):
    if part == "manifest":
        with_manifest(exported.where, lambda it: it.update(root="0" * 64))
    else:
        (path,) = Path(exported.where).glob("checkpoint-*")
        origin, size, *others = path.read_text().splitlines()
        path.write_text("\n".join([origin, str(int(size) - 1), *others, ""]))
    found = audit(archive=exported.where).findings
    assert [(it.kind, it.subject) for it in found] == [("checkpoint-root", part)]


FOOTERS = {
    "statistics": ({"write_statistics": True}, "no statistics"),
    "statistics of one column": ({"write_statistics": ["tag"]}, "no statistics"),
    "an index of pages": ({"write_page_index": True, "write_statistics": True}, "no statistics"),
    "metadata": ({}, "no metadata"),
    "metadata of a column": ({}, "no metadata"),
    "another writer": ({}, "parquet-cpp-arrow"),
}


@pytest.mark.parametrize("deed", FOOTERS)
def test_a_footer_that_says_more_than_its_columns_is_refused(exported, deed):
    options, said = FOOTERS[deed]

    def change(table):
        if deed == "metadata":
            return table.replace_schema_metadata({"pandas": '{"index_columns": ["tag"]}'})
        if deed == "metadata of a column":
            field = table.schema.field("tag").with_metadata({"kind": "other"})
            return table.cast(table.schema.set(table.schema.get_field_index("tag"), field))
        return table

    rewritten(exported.where, change, **options)
    if deed == "another writer":
        (path,) = segments(exported.where)
        path.write_bytes(path.read_bytes().replace(b"parquet-cpp-arrow", b"parquet-mrx-arrow"))
    with pytest.raises(InvalidValueError, match=said):
        audit(archive=exported.where)
    with pytest.raises(InvalidValueError, match=said):
        restore(exported.where, "./other", root=Path(exported.where).parent / "copy")


def test_an_export_writes_no_statistics(exported):
    (path,) = segments(exported.where)
    group = pq.ParquetFile(path).metadata.row_group(0)
    assert not any(group.column(number).is_stats_set for number in range(group.num_columns))


def test_a_file_that_the_manifest_does_not_name_is_warned_of(exported, capsys):
    (path,) = segments(exported.where)
    ln.settings.verbosity = "warning"
    assert audit(archive=exported.where).ok
    assert "is no part of it" not in capsys.readouterr().err
    shutil.copy(path, path.with_name("000000000001-000000000003.2.parquet"))
    assert audit(archive=exported.where).ok
    assert "'000000000001-000000000003.2.parquet' in its log/ is no part" in capsys.readouterr().err


def test_a_segment_that_is_missing_is_told(exported, tmp_path):
    segments(exported.where)[0].unlink()
    with pytest.raises(InvalidValueError, match="found none"):
        restore(exported.where, "./storage", root=tmp_path / "x")


def test_an_archive_of_another_key_is_refused(exported, tmp_path):
    stranger = notes.generate("metaledger.local/other")
    with pytest.raises(CorruptLogError, match="signature"):
        restore(exported.where, "./s", keys=[str(stranger.public())], root=tmp_path / "x")


def test_every_beginning_of_an_archive_is_refused(exported, tmp_path):
    (path,) = segments(exported.where)
    whole = path.read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 20)):
        path.write_bytes(whole[:end])
        with_manifest(exported.where, lambda it, end=end: it["segments"][0].update(size=end))
        with pytest.raises((CorruptLogError, InvalidValueError)):
            restore(exported.where, "./s", root=tmp_path / "x")


def test_a_flipped_bit_in_an_archive_is_refused_or_changes_nothing(exported, tmp_path):
    (path,) = segments(exported.where)
    whole = path.read_bytes()
    for place in range(3, len(whole), 113):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        elsewhere = tmp_path / f"at{place}"
        try:
            made = restore(exported.where, "./s", root=elsewhere)
        except (CorruptLogError, InvalidValueError):
            continue
        assert audit(place=made).root == exported.root


def test_an_archive_that_changes_after_its_audit_is_refused(exported, tmp_path, monkeypatch):
    run = archive_import.Audit.run

    def then_changed(self):
        report = run(self)
        rewritten(exported.where, DEEDS["edited"])
        return report

    monkeypatch.setattr(archive_import.Audit, "run", then_changed)
    with pytest.raises(CorruptLogError, match="changed meanwhile"):
        restore(exported.where, "./s", root=tmp_path / "x")
    assert not list((tmp_path / "x").rglob("*.db"))


def test_nothing_is_imported_over_a_ledger(exported, ledger_folder):
    with pytest.raises(LedgerExistsError):
        restore(exported.where, "./s", root=ledger_folder)


def test_an_import_that_failed_at_any_event_leaves_nothing(
    exported, tmp_path, monkeypatch, postgres_url
):
    apply = Shadow.apply
    for kind in ("sqlite", "postgres"):
        for number in range(exported.events):
            count = 0

            def fail(self, position, changes, number=number):
                nonlocal count
                count += 1
                if count == exported.events + number + 1:  # the audit folds all of it first
                    raise Fault
                apply(self, position, changes)

            root = tmp_path / f"{kind}-{number}"
            with new_schema(postgres_url) as url, monkeypatch.context() as patch:
                database = str(url) if kind == "postgres" else None
                patch.setattr(Shadow, "apply", fail)
                with pytest.raises(Fault):
                    restore(exported.where, "./s", root=root, database=database)
                patch.undo()
                assert not [it for it in root.rglob("*") if it.is_file()]
                with psycopg.connect(postgres_url) as connection:
                    found = connection.execute(
                        "SELECT 1 FROM pg_namespace WHERE nspname = %s", (url.schema,)
                    ).fetchall()
                assert not found
                if number in {0, exported.events - 1}:
                    made = restore(exported.where, "./s", root=root, database=database)
                    assert audit(place=made).root == exported.root


def test_a_schema_that_an_import_left_without_events_is_filled(exported, tmp_path, postgres):
    PostgresDatabase.create(postgres).close()
    made = restore(exported.where, "./s", root=tmp_path / "x", database=str(postgres))
    assert audit(place=made).root == exported.root


def test_a_schema_that_holds_a_ledger_is_left_alone(exported, tmp_path, postgres, monkeypatch):
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    ln.init(storage="./storage", database=str(postgres))
    before = ln.head(), audit().root
    ln.close()
    with pytest.raises(LedgerExistsError, match="choose another schema"):
        restore(exported.where, "./s", root=tmp_path / "x", database=str(postgres))
    assert (ln.head(), audit().root) == before
    assert not (tmp_path / "x" / ".metaledger" / "config.toml").exists()


def test_the_command_carries_a_ledger_elsewhere(ledger_folder, tmp_path, s3_root):
    metaledger(ledger_folder, "init", "--storage", "./storage")
    metaledger(ledger_folder, "label", "add", "uno")
    metaledger(ledger_folder, "export", s3_root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    metaledger(elsewhere, "audit", "--archive", s3_root, "--checkpoint", s3_root)
    said = metaledger(elsewhere, "import", s3_root, "--storage", "./storage")
    assert said.out.strip() == config.load(ledger_folder, origin="test").configuration.id
    assert "uno" in metaledger(elsewhere, "list", "ulabel").out
    metaledger(elsewhere, "audit", "--checkpoint", s3_root)
    assert metaledger(elsewhere, "export", s3_root, "--json").json["added"] == 0
    said = metaledger(tmp_path, "import", str(elsewhere), "--storage", "s", status=1)
    assert "expected manifest.json" in said.err
