"""Archives: what is exported can be read by others, is audited alone, and comes back the same."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ledger as ln
from ledger import checkpoints, config, instance, notes
from ledger.archive import export, restore
from ledger.auditing.audit import audit
from ledger.errors import CorruptLogError, InvalidValueError, LedgerExistsError, PathTakenError
from tests.door import artifact, label
from tests.e2e.command import metaledger


@pytest.fixture
def exported(ledger_folder):
    """A folder with a ledger, and its export beside it."""
    ln.init(storage="./storage")
    one = label("one")
    artifact("a.txt", key="a").labels.add(one)
    one.name = "uno"
    one.save()
    done = export(ledger_folder / "archive")
    ln.close()
    yield done
    ln.close()


def rewritten(folder, change):
    """Change the table of an archive and write it again."""
    path = folder / "log.parquet"
    table = change(pq.read_table(path))
    path.unlink()
    pq.write_table(table, path, compression="zstd")


def with_column(table, name, change):
    values = change(table.column(name).to_pylist())
    place = table.column_names.index(name)
    return table.set_column(place, table.field(name), pa.array(values, table.field(name).type))


def test_an_export_is_parquet_that_any_program_reads(exported, ledger_folder):
    table = pq.read_table(ledger_folder / "archive" / "log.parquet")
    assert table.num_rows == exported.events == ln.head()
    assert table.column("position").to_pylist() == list(range(1, exported.events + 1))
    assert table.column("tag")[0].as_py() == "ledger-initialized.v1"
    assert sorted(it.name for it in (ledger_folder / "archive").iterdir()) == [
        "checkpoint.txt",
        "key.pub",
        "log.parquet",
    ]


def test_an_archive_is_audited_without_any_ledger(exported, tmp_path):
    alone = tmp_path / "alone"
    shutil.move(exported.folder, alone)
    kept, key = (alone / "checkpoint.txt").read_text(), (alone / "key.pub").read_text()
    report = audit(archive=alone, checkpoints=[kept], keys=[key])
    assert report.ok, report.findings
    assert (report.events, report.root) == (exported.events, exported.root)


def test_a_ledger_from_an_archive_has_the_same_root_and_answers(exported, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    place = restore(exported.folder, "./storage", root=elsewhere)
    assert audit(place=place).root == exported.root
    assert audit(place=place).ok
    monkeypatch.chdir(elsewhere)
    assert ln.ULabel.get(name="uno").name == "uno"
    label("after")
    assert audit(checkpoints=[Path(exported.folder, "checkpoint.txt").read_text()]).ok
    ln.close()


DEEDS = {
    "edited": lambda t: with_column(
        t, "payload", lambda v: [it.replace(b"uno", b"dos") for it in v]
    ),
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
    "empty": lambda t: t.slice(0, 0),
    "with other columns": lambda t: t.select(["position", "payload"]),
}


@pytest.mark.parametrize("deed", DEEDS)
def test_an_archive_that_was_tampered_with_is_refused_whole(exported, tmp_path, deed):
    rewritten(Path(exported.folder), DEEDS[deed])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises((CorruptLogError, InvalidValueError), match="archive"):
        restore(Path(exported.folder), "./storage", root=elsewhere)
    assert list(elsewhere.iterdir()) == []


def test_an_archive_of_another_key_is_refused(exported, tmp_path):
    stranger = notes.generate("metaledger.local/other")
    with pytest.raises(CorruptLogError, match="signature"):
        restore(Path(exported.folder), "./s", keys=[str(stranger.public())], root=tmp_path / "x")


def test_every_beginning_of_an_archive_is_refused(exported, tmp_path):
    path = Path(exported.folder) / "log.parquet"
    whole = path.read_bytes()
    for end in range(0, len(whole), max(1, len(whole) // 50)):
        path.write_bytes(whole[:end])
        with pytest.raises((CorruptLogError, InvalidValueError)):
            restore(Path(exported.folder), "./s", root=tmp_path / "x")


def test_a_flipped_bit_in_an_archive_is_refused_or_changes_nothing(exported, tmp_path):
    path = Path(exported.folder) / "log.parquet"
    whole = path.read_bytes()
    for place in range(3, len(whole), 29):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        elsewhere = tmp_path / f"at{place}"
        try:
            made = restore(Path(exported.folder), "./s", root=elsewhere)
        except (CorruptLogError, InvalidValueError):
            continue
        assert audit(place=made).root == exported.root


def test_nothing_is_exported_over_or_imported_over(exported, ledger_folder):
    with pytest.raises(PathTakenError):
        export(Path(exported.folder))
    with pytest.raises(LedgerExistsError):
        restore(Path(exported.folder), "./s", root=ledger_folder)


@pytest.mark.usefixtures("exported")
def test_a_damaged_log_is_not_exported(ledger_folder):
    ln.close()
    database = config.load(ledger_folder, origin="test").database_path
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DROP TRIGGER entries_refuse_update")
        connection.execute("UPDATE entries SET recorded_at = recorded_at + 1 WHERE position = 2")
    with pytest.raises(CorruptLogError, match="nothing is exported"):
        export(ledger_folder / "second")
    assert not (ledger_folder / "second" / "checkpoint.txt").exists()
    assert checkpoints.ring_of(instance.current()).last_checkpoint() is not None


def test_the_command_carries_a_ledger_elsewhere(exported, ledger_folder, tmp_path):
    metaledger(ledger_folder, "export", "again")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    archive = str(ledger_folder / "again")
    metaledger(
        elsewhere, "audit", "--archive", archive, "--checkpoint", f"{archive}/checkpoint.txt"
    )
    said = metaledger(elsewhere, "import", archive, "--storage", "./storage")
    assert said.out.strip() == config.load(ledger_folder, origin="test").configuration.id
    assert "uno" in metaledger(elsewhere, "list", "ulabel").out
    metaledger(elsewhere, "audit", "--checkpoint", f"{archive}/checkpoint.txt")
    assert exported.events > 0
