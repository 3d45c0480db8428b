"""What the doctor finds, and what it dares to remove.

Every harm is done to a real ledger of the test's own; moments are given, never waited for.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from ledger.content.hashing import hash_path
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import StorageError
from ledger.model.times import now_micros
from ledger.places import instance
from ledger.places.initialization import delete, initialize
from ledger.places.instance import Ledger
from ledger.registries.artifact import Artifact
from ledger.registries.ulabel import ULabel
from ledger.upkeep import doctor
from ledger.upkeep.lag import lag

LONG_AGO = 1_000_000_000.0  # before every event
NOW = 4_000_000_000.0  # long after anything that a test writes
CONTENT_NAME = "0123456789abcdefGHIJ.txt"


@pytest.fixture
def ledger(ledger_folder):
    """An open ledger in the working folder, with its content in `storage/`."""
    initialize("storage")
    opened = instance.connect(ledger_folder)
    yield opened
    instance.close()
    instance.connect(ledger_folder).close()


def registered(text="content", name="a.txt"):
    Path(name).write_text(text)
    return Artifact(name).save()


def content_of(artifact):
    path = Path(artifact.path)
    path.chmod(0o644)
    return path


def left(ledger, name, text="left behind"):
    folder = Path(ledger.storage) / ".metaledger"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(text)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def kinds(findings):
    return [finding.kind for finding in findings]


def database_of(ledger):
    instance.close()
    return sqlite3.connect(ledger.place.database_path)


# --- content ------------------------------------------------------------------------------------


def test_a_healthy_ledger_has_no_findings(ledger):
    registered()
    Path("folder").mkdir()
    Path("folder/b.txt").write_text("b")
    Artifact("folder").save()
    ULabel(name="x").save()
    assert doctor.examine(ledger, content=True, now=NOW) == []


def test_an_empty_ledger_has_no_findings(ledger):
    assert doctor.examine(ledger, content=True, now=NOW) == []


def test_missing_content_is_an_error(ledger):
    artifact = registered()
    content_of(artifact).unlink()
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity) == ("missing-content", "error")
    assert finding.subject == artifact.uid


def test_missing_content_in_place_is_an_error(ledger):
    Path("storage/kept.txt").write_text("kept")
    artifact = Artifact("storage/kept.txt").save()
    assert doctor.examine(ledger, content=True, now=NOW) == []
    Path("storage/kept.txt").unlink()
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.subject) == ("missing-content", artifact.uid)


def test_content_of_another_size_is_damaged_at_first_sight(ledger):
    content_of(registered()).write_text("longer than it was")
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity) == ("damaged-content", "error")


@pytest.mark.parametrize("in_place", [False, True])
def test_other_bytes_of_the_same_size_are_found_by_reading(ledger, in_place):
    artifact = registered(name="storage/a.txt" if in_place else "a.txt")
    content_of(artifact).write_text("CONTENT")
    assert doctor.examine(ledger, now=NOW) == []
    assert kinds(doctor.examine(ledger, content=True, now=NOW)) == ["damaged-content"]


def test_an_artifact_in_the_trash_keeps_its_content(ledger):
    artifact = registered()
    artifact.delete()
    assert doctor.orphans(ledger, now=NOW) == []
    content_of(artifact).unlink()
    assert kinds(doctor.examine(ledger, now=NOW)) == ["missing-content"]


def test_a_withdrawn_artifact_may_lack_its_content(ledger):
    registered().delete(permanent=True, storage=True)
    assert doctor.examine(ledger, now=NOW) == []


# --- orphans ------------------------------------------------------------------------------------


def test_content_that_no_event_names_is_an_orphan(ledger):
    registered()
    left(ledger, CONTENT_NAME)
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity, finding.subject) == (
        "orphan", "warning", CONTENT_NAME,
    )  # fmt: skip


def test_old_orphans_are_removed_and_nothing_else(ledger):
    kept = content_of(registered())
    orphan, temporary = left(ledger, CONTENT_NAME), left(ledger, ".tmp-0123456789abcdef")
    stranger = left(ledger, "notes of somebody.txt")
    removed = doctor.remove_orphans(ledger, now=NOW)
    assert {each.name for each in removed} == {orphan.name, temporary.name}
    assert not orphan.exists()
    assert not temporary.exists()
    assert kept.exists()
    assert stranger.exists()


def test_a_folder_left_behind_is_removed_whole(ledger):
    folder = left(ledger, ".tmp-0123456789abcdef")
    folder.unlink()
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "a").write_text("a")
    doctor.remove_orphans(ledger, now=NOW)
    assert not folder.exists()


def test_young_orphans_belong_to_a_running_writer(ledger):
    paths = [left(ledger, CONTENT_NAME), left(ledger, ".tmp-0123456789abcdef")]
    moment = LONG_AGO
    for path in paths:
        os.utime(path, (moment, moment))
    almost = moment + doctor.ORPHAN_AGE - 1
    assert {each.severity for each in doctor.examine(ledger, now=almost)} == {"info"}
    assert doctor.remove_orphans(ledger, now=almost) == []
    assert all(path.exists() for path in paths)
    assert len(doctor.remove_orphans(ledger, now=moment + doctor.ORPHAN_AGE)) == 2


def test_a_folder_is_as_young_as_the_youngest_file_in_it(ledger):
    folder = left(ledger, ".tmp-0123456789abcdef")
    folder.unlink()
    folder.mkdir()
    (folder / "large").write_text("still being written")
    moment = time.time()
    os.utime(folder, (moment - 10_000, moment - 10_000))
    assert doctor.remove_orphans(ledger, now=moment + 60) == []
    assert (folder / "large").exists()


def test_what_the_future_wrote_is_left_alone(ledger):
    path = left(ledger, CONTENT_NAME)
    os.utime(path, (NOW + 60, NOW + 60))
    assert doctor.remove_orphans(ledger, now=NOW) == []


def test_content_that_is_named_while_one_looks_is_not_removed(ledger):
    orphan = left(ledger, CONTENT_NAME)
    assert len(doctor.orphans(ledger, now=NOW)) == 1
    artifact = registered()
    named = content_of(artifact)
    named.rename(orphan)  # the old orphan's place
    orphan.rename(named)
    assert doctor.remove_orphans(ledger, now=NOW) == []
    assert named.exists()


def test_orphans_are_looked_for_again_under_the_append_lock(ledger, monkeypatch):
    left(ledger, CONTENT_NAME)
    held = []
    inner = doctor._orphans_among

    def watched(ledger, session, listed, now):
        held.append(hasattr(session, "append"))
        return inner(ledger, session, listed, now)

    monkeypatch.setattr(doctor, "_orphans_among", watched)
    doctor.remove_orphans(ledger, now=NOW)
    assert held == [True]


def test_a_save_after_its_content_was_removed_as_an_orphan_stores_it_anew(ledger):
    # The writer puts content down, the doctor comes first, then the writer's turn.
    Path("a.txt").write_text("late")
    artifact = Artifact("a.txt")
    artifact.prepare_content()
    ULabel(name="of another writer").save()
    assert len(doctor.remove_orphans(ledger, now=NOW)) == 1
    artifact.save()
    assert Path(artifact.path).read_text() == "late"
    assert doctor.examine(ledger, content=True, now=NOW) == []


def copied(ledger):
    """Return an open copy of the ledger as it is now: another file, and the same storage."""
    instance.close()
    there = Path("copy").absolute()
    (there / ".metaledger").mkdir(parents=True)
    for name in ("config.toml", "ledger.db"):
        shutil.copy(Path(".metaledger", name), there / ".metaledger" / name)
    return Ledger(replace(ledger.place, root=there, is_joined=False)), there


@pytest.fixture
def shared(tmp_path_factory, ledger_folder):
    """An open ledger whose storage is elsewhere, with an artifact in it."""
    initialize(str(tmp_path_factory.mktemp("storage")))
    opened = instance.connect(ledger_folder)
    registered()
    yield opened
    instance.close()


def aged(artifact):
    """Let hours pass for stored content."""
    os.utime(artifact.path, (LONG_AGO, LONG_AGO))
    return artifact


def test_content_younger_than_the_last_event_may_be_of_another_copy(shared):
    path = left(shared, CONTENT_NAME)
    moment = time.time() + 60
    os.utime(path, (moment, moment))
    (finding,) = doctor.examine(shared, now=NOW)
    assert (finding.kind, finding.severity) == ("orphan", "info")
    assert "younger than the last event" in finding.message
    assert doctor.remove_orphans(shared, now=NOW) == []


@pytest.mark.parametrize("is_written", [False, True])
def test_a_copy_never_removes_what_the_living_ledger_has_stored_since(shared, is_written):
    copy, there = copied(shared)
    late = aged(registered("stored since", "late.txt"))
    instance.close()
    if is_written:
        instance.connect(there)
        registered("of the copy", "own.txt")
        instance.close()
    (finding,) = doctor.examine(copy, now=NOW)
    assert (finding.kind, finding.severity) == ("orphan", "info")
    assert f"{shared.place.database_path} uses this storage too" in finding.message
    assert doctor.remove_orphans(copy, now=NOW) == []
    assert Path(late.path).read_text() == "stored since"
    copy.close()


def test_the_living_ledger_never_removes_what_a_copy_has_stored(shared):
    copy, there = copied(shared)
    instance.connect(there)
    kept = aged(registered("of the copy", "own.txt"))
    instance.close()
    instance.connect(shared.place.root)
    ULabel(name="later").save()
    assert doctor.remove_orphans(shared, now=NOW) == []
    assert Path(kept.path).exists()
    assert doctor.forget_others(shared) == [str(copy.place.database_path)]
    assert [each.name for each in doctor.remove_orphans(shared, now=NOW)] == [Path(kept.path).name]


def test_another_ledger_in_the_same_storage_keeps_its_content(shared, tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.chdir(other)
    initialize(shared.storage, root=other)
    opened = instance.connect(other)
    kept = aged(registered("of another ledger"))
    assert doctor.remove_orphans(opened, now=NOW) == []
    instance.close()
    assert doctor.remove_orphans(shared, now=NOW) == []
    assert Path(kept.path).exists()


def test_a_log_that_went_back_in_its_own_file_is_noticed_by_the_mark(shared):
    path = shared.place.database_path
    instance.close()
    backup = path.read_bytes()
    for name in ("late.txt", "later.txt"):  # two programs: each tells where the log stands
        late = aged(registered(name, name))
        instance.close()
    path.write_bytes(backup)  # the same file
    ULabel(name="another history").save()
    assert doctor.remove_orphans(shared, now=NOW) == []
    registered("stored since", "since.txt")
    assert doctor.remove_orphans(shared, now=NOW) == []
    assert Path(late.path).exists()
    assert len(shared.marks.of_others(shared.storage)) == 1


def test_a_mark_costs_one_write_a_process_and_goes_with_its_ledger(shared):
    folder = Path(shared.storage) / ".metaledger"
    (mark,) = folder.glob("used-by-*")
    before = mark.read_bytes()
    registered("b", "b.txt")
    assert mark.read_bytes() == before
    instance.close()
    registered("c", "c.txt")
    assert mark.read_bytes() != before
    for stored in folder.iterdir():
        if stored != mark:
            stored.unlink()
    instance.close()
    delete(shared.place, shared.place.configuration.name, force=True)
    assert list(folder.iterdir()) == []


def test_a_mark_that_cannot_be_read_is_of_somebody_else(shared):
    (mark,) = (Path(shared.storage) / ".metaledger").glob("used-by-*")
    mark.with_name("used-by-0000000000000000.json").write_text("[]")
    left(shared, CONTENT_NAME)
    assert doctor.remove_orphans(shared, now=NOW) == []


def test_content_of_a_withdrawal_that_was_interrupted_is_an_orphan(ledger):
    artifact = registered()
    path = content_of(artifact)
    shutil.copy(path, "kept")
    artifact.delete(permanent=True, storage=True)
    shutil.copy("kept", path)
    ULabel(name="later").save()
    assert [each.name for each in doctor.remove_orphans(ledger, now=NOW)] == [path.name]


def test_content_of_a_withdrawn_artifact_that_was_to_stay_is_no_orphan(ledger):
    artifact = registered()
    artifact.delete(permanent=True)
    assert doctor.examine(ledger, now=NOW) == []


@pytest.mark.usefixtures("ledger")
def test_after_a_ledger_was_moved_its_content_is_no_orphan(ledger_folder, monkeypatch):
    artifact = registered()
    instance.close()
    moved = ledger_folder.parent / "moved"
    ledger_folder.rename(moved)
    monkeypatch.chdir(moved)
    there = instance.connect(moved)
    assert doctor.remove_orphans(there, now=NOW) == []
    assert (moved / "storage" / ".metaledger" / f"{artifact.uid}.txt").exists()
    instance.close()
    ledger_folder.mkdir()
    initialize("storage", root=ledger_folder)


def test_a_ledger_whose_storage_is_its_own_folder_is_no_orphan(tmp_path, monkeypatch):
    folder = tmp_path / "both"
    folder.mkdir()
    monkeypatch.chdir(folder)
    initialize(".", name="both")
    ledger = instance.connect(folder)
    registered(name=str(tmp_path / "a.txt"))
    assert doctor.examine(ledger, content=True, now=NOW) == []
    assert doctor.remove_orphans(ledger, now=NOW) == []
    assert (folder / ".metaledger" / "ledger.db").exists()
    (folder / ".metaledger" / ".new-k3v9x0").mkdir()
    assert kinds(doctor.examine(ledger, now=NOW)) == ["orphan"]
    assert [each.name for each in doctor.remove_orphans(ledger, now=NOW)] == [".new-k3v9x0"]
    instance.close()


def test_temporaries_of_the_ledgers_own_folder_are_found(ledger):
    path = ledger.place.folder / ".tmp-0123456789abcdef"
    path.write_text("half a configuration")
    assert [each.name for each in doctor.remove_orphans(ledger, now=NOW)] == [path.name]
    assert not path.exists()


def test_what_a_killed_init_left_behind_is_found_and_removed(ledger):
    path = ledger.place.folder / ".new-k3v9x0"
    path.mkdir()
    (path / "ledger.db").write_bytes(b"half a database")
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity) == ("orphan", "warning")
    assert [each.name for each in doctor.remove_orphans(ledger, now=NOW)] == [path.name]
    assert not path.exists()
    path.mkdir()
    assert doctor.remove_orphans(ledger, now=path.stat().st_mtime + doctor.ORPHAN_AGE - 1) == []
    assert path.exists()


def test_strangers_in_a_storage_are_named_and_left_alone(ledger):
    left(ledger, "notes.txt")
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity, finding.subject) == ("stranger", "info", "notes.txt")


# --- database, caches, file systems -------------------------------------------------------------


def test_read_models_that_lack_the_last_event_are_an_error(ledger):
    ULabel(name="x").save()
    with database_of(ledger) as connection:
        connection.execute("DELETE FROM ulabel")
    connection.close()
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity) == ("read-models", "error")
    ledger.database.rebuild()
    assert doctor.examine(ledger, now=NOW) == []


def test_it_is_counted_how_many_events_the_read_models_lack(ledger):
    for number in range(100):
        ULabel(name=f"x{number}").save()
    with ledger.reading() as session:
        assert (lag(session).events, lag(session).behind) == (0, None)
    with database_of(ledger) as connection:
        connection.execute("DELETE FROM ulabel WHERE from_position > 31")
    connection.close()
    with ledger.reading() as session:
        assert (lag(session).events, lag(session).behind) == (70, 101)


def test_looking_at_read_models_waits_for_no_writer(ledger):
    ULabel(name="x").save()
    with SqliteDatabase(ledger.place.database_path, now_micros).write():
        assert doctor.examine(ledger, now=NOW) == []


def test_read_models_that_know_more_than_the_log_are_an_error(ledger):
    ULabel(name="x").save()
    ULabel(name="other").save()
    with database_of(ledger) as connection:
        connection.execute("UPDATE ulabel SET from_position = 99 WHERE name = 'x'")
    connection.close()
    assert kinds(doctor.examine(ledger, now=NOW)) == ["read-models"]


def test_a_damaged_page_of_the_database_is_an_error(ledger):
    ULabel(name="x").save()
    connection = database_of(ledger)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE type = 'table' AND name = 'link'"
    ).fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    with ledger.place.database_path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    findings = doctor.examine(ledger, now=NOW)
    assert "error" in {finding.severity for finding in findings}
    assert {"damaged-database", "unreadable"} & set(kinds(findings))


def test_one_check_that_fails_does_not_stop_the_others(ledger, monkeypatch):
    artifact = registered()
    content_of(artifact).unlink()

    def refuse(_):
        raise StorageError("the disk says no")
        yield

    monkeypatch.setattr(doctor, "_database", refuse)
    assert set(kinds(doctor.examine(ledger, now=NOW))) == {"unreadable", "missing-content"}


def test_a_network_file_system_is_a_warning(ledger, monkeypatch):
    monkeypatch.setattr(doctor, "network_filesystem", lambda _: "nfs4")
    findings = doctor.examine(ledger, now=NOW)
    assert kinds(findings) == ["network-file-system"] * 2
    assert {finding.severity for finding in findings} == {"warning"}
    assert "nfs4" in findings[0].message


def test_stale_entries_of_the_hash_cache_cost_space_only(ledger):
    path = Path("remembered.txt").absolute()
    path.write_text("1")
    ledger.hash_cache.put(path, hash_path(path), hashed_at=int(NOW * 1e9))
    ledger.hash_cache.flush()
    assert doctor.examine(ledger, now=NOW) == []
    path.unlink()
    (finding,) = doctor.examine(ledger, now=NOW)
    assert (finding.kind, finding.severity) == ("stale-hash-cache", "info")
    assert finding.details == {"entries": 1}


def test_looking_changes_nothing(ledger):
    registered()
    left(ledger, CONTENT_NAME)
    before = {path: path.stat().st_mtime_ns for path in Path("storage").rglob("*")}
    with ledger.reading() as session:
        head = session.log.head()
    doctor.examine(ledger, content=True, now=NOW)
    assert {path: path.stat().st_mtime_ns for path in Path("storage").rglob("*")} == before
    with ledger.reading() as session:
        assert session.log.head() == head
