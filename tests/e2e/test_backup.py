"""Backup and restoration: one moment, nothing overwritten, nothing destroyed."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.upkeep import backup as upkeep
from ledger.upkeep.backup import restore
from tests.e2e.command import metaledger
from tests.support.door import label, names
from tests.support.processes import environment


@pytest.fixture
def work(ledger_folder: Path) -> Path:
    """The working folder, with a ledger in a file and one label in it."""
    ln.init("storage")
    ln.connect()
    label("one")
    return ledger_folder


def database(folder: Path) -> Path:
    return folder / ".metaledger" / "ledger.db"


WRITER = """
import sys, ledger as ln
ln.settings.verbosity = "error"
for number in range(10_000):
    ln.ULabel(name=f"label {number}").save()
    print(number, flush=True)
"""


def test_a_backup_while_others_save_holds_all_that_was_acknowledged_before(work, tmp_path):
    ln.checkpoint()
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        cwd=work,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as writer:
        backups = []
        for number in range(3):
            acknowledged = int(writer.stdout.readline())
            backups.append((acknowledged, ln.backup(tmp_path / f"{number}.backup")))
        writer.kill()
    ln.close()
    for acknowledged, made in backups:
        restored = restore(made.path, force=True)
        assert (restored.events, restored.aside is None) == (made.events, False)
        assert ln.ULabel.filter(name=f"label {acknowledged}").exists()
        checkpoint = Path(made.checkpoint).read_text("utf-8")
        assert ln.audit(checkpoints=[checkpoint], content=True).checkpoints[0].is_met


def test_a_restoration_puts_the_present_ledger_aside_and_destroys_nothing(work, tmp_path):
    made = metaledger(work, "backup", str(tmp_path / "a.backup"), "--json").json
    label("two")
    ln.close()
    said = metaledger(work, "restore", str(tmp_path / "a.backup"), status=1).err
    assert f"there is one, at position {made['events'] + 1}; the backup ends at 2" in said
    assert "--force" in said
    assert names(ln.ULabel.filter()) == ["one", "two"]
    said = metaledger(work, "restore", str(tmp_path / "a.backup"), "--force").err
    aside = database(work).with_name("ledger.db.before-restore-1")
    assert str(aside) in said
    assert names(ln.ULabel.filter()) == ["one"]
    label("goes on")
    assert ln.audit().ok
    # What was put aside is a backup too.
    restore(aside, force=True)
    assert names(ln.ULabel.filter()) == ["one", "two"]
    label("goes on again")
    assert ln.audit().ok


def test_nothing_is_overwritten_by_a_backup(work, tmp_path):
    (tmp_path / "taken").write_text("kept")
    (tmp_path / "b.checkpoint").write_text("kept")
    for name in ("taken", "b"):
        with pytest.raises(ln.errors.PathTakenError, match="something is there already"):
            ln.backup(tmp_path / name)
    with pytest.raises(ln.errors.PathTakenError, match=r"inside \.metaledger"):
        ln.backup(work / ".metaledger" / "a.backup")
    assert (tmp_path / "taken").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir() if path.is_file()} == {"taken", "b.checkpoint"}


def test_a_lost_database_is_restored_without_force_and_an_old_log_is_put_aside(work, tmp_path):
    ln.backup(tmp_path / "a.backup")
    label("two")
    ln.close()
    database(work).unlink()
    database(work).with_name("ledger.db-wal").write_bytes(b"of the file that is gone")
    assert restore(tmp_path / "a.backup").aside is None
    assert names(ln.ULabel.filter()) == ["one"]
    assert database(work).with_name("ledger.db.before-restore-1-wal").exists()
    label("goes on")
    assert ln.audit().ok


def test_a_damaged_database_is_put_aside_as_it_is(work, tmp_path):
    ln.backup(tmp_path / "a.backup")
    ln.close()
    database(work).write_bytes(b"noise" * 1000)
    with pytest.raises(ln.errors.PathTakenError, match="there is one, damaged"):
        restore(tmp_path / "a.backup")
    aside = restore(tmp_path / "a.backup", force=True).aside
    assert Path(aside).read_bytes() == b"noise" * 1000
    assert names(ln.ULabel.filter()) == ["one"]
    label("goes on")
    assert ln.audit().ok


def test_who_has_the_ledger_open_goes_on_with_the_restored_one(work, tmp_path):
    ln.backup(tmp_path / "a.backup")
    label("two")
    metaledger(work, "restore", str(tmp_path / "a.backup"), "--force")
    assert names(ln.ULabel.filter()) == ["one"]
    label("three")
    ln.close()
    assert names(ln.ULabel.filter()) == ["one", "three"]
    assert ln.audit().ok


def test_nothing_is_appended_while_the_present_ledger_is_put_aside(work, tmp_path, monkeypatch):
    ln.backup(tmp_path / "a.backup")
    copied = upkeep.copy_over

    def meanwhile(path: Path, connection: sqlite3.Connection) -> None:
        said = metaledger(work, "label", "add", "two", status=1).err
        assert "a backup is being restored" in said
        copied(path, connection)

    monkeypatch.setattr(upkeep, "copy_over", meanwhile)
    restore(tmp_path / "a.backup", force=True)
    label("three")
    assert ln.audit().ok


@pytest.mark.usefixtures("work")
def test_a_restoration_that_fails_leaves_the_ledger_as_it_is(tmp_path, monkeypatch):
    ln.backup(tmp_path / "a.backup")
    label("two")

    def fails(*_: object) -> None:
        raise ln.errors.StorageError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(upkeep, "copy_over", fails)
        with pytest.raises(ln.errors.StorageError, match="the disk is full"):
            restore(tmp_path / "a.backup", force=True)
    label("three")
    assert names(ln.ULabel.filter()) == ["one", "two", "three"]
    assert ln.audit().ok


@pytest.mark.usefixtures("work")
def test_what_is_no_backup_of_this_ledger_is_refused(tmp_path, monkeypatch):
    before = names(ln.ULabel.filter())
    (tmp_path / "noise").write_bytes(b"noise" * 1000)
    other = tmp_path / "other"
    other.mkdir()
    with monkeypatch.context() as patch:
        patch.chdir(other)
        ln.init("storage")
        ln.backup(tmp_path / "other.backup")
        ln.close()
    for name, words in (
        ("missing", "expected a file, found none"),
        ("noise", "found a file that is none"),
        ("other.backup", "expected one of ledger"),
    ):
        with pytest.raises(ln.errors.LedgerError, match=words):
            restore(tmp_path / name, force=True)
    assert names(ln.ULabel.filter()) == before


def test_a_copy_without_its_write_ahead_log_is_told_by_the_last_checkpoint(work, tmp_path):
    ln.close()
    label("two")
    shutil.copy(database(work), tmp_path / "copy")  # as a file, without its write-ahead log
    ln.checkpoint()
    ln.close()
    said = metaledger(work, "restore", str(tmp_path / "copy"), "--force").err
    assert "are missing" in said
    assert "without its write-ahead log (-wal)" in said


@pytest.mark.usefixtures("ledger_folder")
def test_a_ledger_on_a_server_is_told_what_to_run(postgres, tmp_path):
    ln.init("storage", database=str(postgres))
    ln.connect()
    with pytest.raises(ln.errors.ConfigurationError, match=r"pg_dump --format=custom --schema="):
        ln.backup(tmp_path / "a.dump")
    with pytest.raises(ln.errors.ConfigurationError, match=r"pg_restore --dbname="):
        restore(tmp_path / "a.dump")
    assert instance.current().head() == 1


@pytest.mark.usefixtures("work")
def test_a_backup_is_one_file_that_sqlite_reads(tmp_path):
    made = ln.backup(tmp_path / "a.backup")
    with closing(sqlite3.connect(f"file:{made.path}?mode=ro&immutable=1", uri=True)) as connection:
        assert connection.execute("SELECT count(*) FROM entries").fetchone() == (made.events,)
    assert [path.name for path in tmp_path.glob("a.backup*")] == ["a.backup"]


# --- what users do with files ---------------------------------------------------------------------


KILLED = """
import os, sys, ledger as ln
ln.settings.verbosity = "error"
for number in range(40):
    ln.ULabel(name=f"later {number}").save()
os.kill(os.getpid(), 9)
"""


def test_the_log_of_the_file_before_is_named_as_such_and_not_mixed_in(work, tmp_path):
    ln.close()
    shutil.copy(database(work), tmp_path / "old")
    # Checkpointed once more, so that the log that stays holds a part of what came since.
    ln.save([ln.ULabel(name=f"between {number}") for number in range(300)])
    ln.close()
    subprocess.run([sys.executable, "-c", KILLED], cwd=work, env=environment(), check=False)
    log = database(work).with_name("ledger.db-wal")
    assert log.stat().st_size
    shutil.copy(tmp_path / "old", database(work))
    for _ in range(2):
        with pytest.raises(ln.errors.CorruptLogError, match="is not of this file, which was"):
            ln.head()
    assert database(work).read_bytes() == (tmp_path / "old").read_bytes()
    for ending in ("-wal", "-shm"):
        database(work).with_name(f"ledger.db{ending}").unlink()
    assert names(ln.ULabel.filter()) == ["one"]
    assert ln.audit().ok


def test_the_own_log_of_a_killed_writer_is_read(work):
    ln.close()
    subprocess.run([sys.executable, "-c", KILLED], cwd=work, env=environment(), check=False)
    database(work).touch()
    assert len(ln.ULabel.filter()) == 41
    assert ln.audit().ok


def copied(folder: Path, tool: str, target: Path) -> None:
    """Copy a ledger's folder with a tool of the system, in a process of its own."""
    target.mkdir()
    words = {
        "cp": ["cp", "-R", f"{folder}/.metaledger", str(target)],
        "tar": ["sh", "-c", f"tar -C '{folder}' -cf - .metaledger | tar -C '{target}' -xf -"],
        "rsync": ["rsync", "-a", f"{folder}/.metaledger", str(target)],
        "shutil": [
            sys.executable,
            "-c",
            "import shutil, sys; shutil.copytree(*sys.argv[1:])",
            f"{folder}/.metaledger",
            f"{target}/.metaledger",
        ],
    }[tool]
    found = shutil.which(words[0])
    if found is None:
        pytest.skip(f"{words[0]} is not there")
    subprocess.run([found, *words[1:]], check=True)


TOOLS = ("cp", "tar", "rsync", "shutil")


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("is_open", [False, True])
def test_a_folder_that_nobody_writes_to_is_copied_whole(work, tmp_path, tool, is_open):
    label("two")
    if not is_open:
        ln.close()
    copied(work, tool, tmp_path / "copy")
    ln.close()
    ln.connect(tmp_path / "copy")
    assert names(ln.ULabel.filter()) == ["one", "two"]
    assert ln.audit(place=tmp_path / "copy").ok


def test_a_copy_of_the_database_alone_lacks_what_is_in_the_log(work, tmp_path):
    label("two")
    there = tmp_path / "copy" / ".metaledger"
    there.mkdir(parents=True)
    cp = shutil.which("cp") or "cp"
    folder = work / ".metaledger"
    subprocess.run([cp, folder / "config.toml", folder / "ledger.db", there], check=True)
    ln.checkpoint()
    ln.close()
    ln.connect(tmp_path / "copy")
    assert "two" not in names(ln.ULabel.filter())
    found = ln.audit(place=tmp_path / "copy").findings
    assert [it.kind for it in found] == ["log-too-short"]


def test_a_file_that_a_notebook_copies_drops_no_lock_that_matters(work, tmp_path):
    # The copy drops this process's locks: another one, as the last user, removes the log.
    shutil.copy(database(work), tmp_path / "copy")
    metaledger(work, "label", "add", "of another process", LANG="C.UTF-8")
    try:
        label("two")
        acknowledged = ["one", "of another process", "two"]
    except ln.errors.StorageError as error:
        assert "was replaced or removed while this process" in str(error)  # noqa: PT017
        acknowledged = ["one", "of another process"]
    ln.close()
    assert names(ln.ULabel.filter()) == acknowledged
    assert ln.audit().ok


@pytest.mark.usefixtures("work")
def test_trouble_in_a_folder_called_damaged_is_no_damage(monkeypatch):
    ln.backup("b.backup")

    def refuse(_):
        raise ln.errors.StorageError("damaged/ledger.db: the disk refused")

    monkeypatch.setattr("ledger.places.instance.Ledger.head", refuse)
    with pytest.raises(ln.errors.StorageError, match="the disk refused"):
        restore("b.backup")
