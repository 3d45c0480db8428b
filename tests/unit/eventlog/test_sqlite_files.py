"""The file of a SQLite log: nobody else opens it, and it stays the one that others see."""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing

import pytest

from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import CorruptLogError, StorageError, UnsupportedFileError
from ledger.eventlog import sqlite_evidence, sqlite_hold
from ledger.eventlog.sqlite_connections import Datastore
from ledger.eventlog.sqlite_evidence import SqliteEvidence
from ledger.input_files import open_databases, open_regular
from ledger.model.ids import command_id
from tests.support.processes import environment
from tests.unit.eventlog.test_sqlite_log import clock, label

STRACE = shutil.which("strace")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.db"


@pytest.fixture
def database(path):
    database = SqliteDatabase.create(path, clock)
    save(database, "first")
    yield database
    database.close()


def save(database, name: str) -> None:
    identity, draft = label(name)
    with database.write() as session:
        session.append(command_id(identity), [draft])


def head(database) -> int:
    with database.read() as session:
        return session.log.head()


def of_a_stranger(path) -> int:
    """Open and close the file in another process, and return how many entries that one sees.

    It then tidies up if it is the last user.
    """
    code = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
        "print(c.execute('SELECT count(*) FROM entries').fetchone()[0]); c.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, path], check=True, stdout=subprocess.PIPE)
    return int(done.stdout)


# --- nobody else opens it ---------------------------------------------------------------------


def test_an_audit_leaves_the_locks_of_its_process_as_they_are(database, path):
    with closing(SqliteEvidence(path)):
        pass
    of_a_stranger(path)
    assert path.with_name("log.db-wal").exists()
    save(database, "second")
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT count(*) FROM entries").fetchone() == (2,)


HELD = pytest.mark.skipif(
    not hasattr(fcntl, "F_OFD_SETLK"), reason="the system has no locks of a descriptor"
)


@HELD
def test_a_copy_of_the_file_in_this_process_leaves_it_in_use(database, path):
    path.read_bytes()
    of_a_stranger(path)
    assert path.with_name("log.db-wal").exists()
    save(database, "second")
    assert of_a_stranger(path) == 2
    database.close()
    assert not path.with_name("log.db-wal").exists()


@HELD
def test_a_copy_of_the_file_within_a_transaction_leaves_it_in_use(database, path):
    identity, draft = label("second")
    with database.write() as session:
        session.append(command_id(identity), [draft])
        path.read_bytes()
        of_a_stranger(path)
    assert of_a_stranger(path) == 2


@HELD
@pytest.mark.usefixtures("database")
def test_an_audit_or_a_child_that_ends_leaves_the_file_in_use(path):
    SqliteEvidence(path).close()
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    path.read_bytes()
    of_a_stranger(path)
    assert path.with_name("log.db-wal").exists()


@HELD
def test_few_descriptors_of_files_that_nobody_uses_are_kept(tmp_path):
    for number in range(40):
        made = SqliteDatabase.create(tmp_path / f"{number}.db", clock)
        assert head(made) == 0
        made.close()
    known = sqlite_hold._descriptors.values()
    assert sum(not it.n_users for it in known) <= sqlite_hold._MOST_IDLE


def test_what_is_removed_during_a_commit_is_not_acknowledged(database, path, monkeypatch):
    """Where the system has no lock that stays, the end of a commit is looked at too."""
    database.close()
    monkeypatch.setattr(sqlite_hold, "fcntl", None)

    def removes_the_log(statement: str) -> None:
        if statement == "COMMIT":
            path.read_bytes()
            of_a_stranger(path)

    with database._open()[0].connection(write=False) as connection:
        connection.set_trace_callback(removes_the_log)
    with pytest.raises(StorageError, match="it is not known whether"):
        save(database, "second")
    assert of_a_stranger(path) == 1


def test_a_database_that_is_open_is_no_content(database, path):
    with pytest.raises(UnsupportedFileError, match="would drop its locks"):
        open_regular(path)
    of_a_stranger(path)
    assert path.with_name("log.db-wal").exists()
    database.close()
    open_regular(path).close()
    assert not open_databases


WATCHED = textwrap.dedent("""
    import os, sys
    from pathlib import Path
    import ledger as ln
    ln.init("storage")
    ln.settings.verbosity = "error"
    Path("a.txt").write_text("a")
    ln.Artifact("a.txt", key="a.txt").save()
    ln.ULabel(name="first").save()
    assert ln.audit().ok
    with ln.plan():
        ln.ULabel(name="second").save()
    from ledger.places.instance import current
    from ledger.upkeep.doctor import examine
    from ledger.upkeep.rebuild import rebuild
    list(examine(current(), content=True))
    rebuild()
    ln.close()
""")


@pytest.mark.skipif(STRACE is None, reason="strace is not there")
def test_the_system_is_asked_for_a_database_by_sqlite_alone(tmp_path):
    # SQLite opens with O_CLOEXEC and O_NOFOLLOW; nothing of Python's does.
    told = tmp_path / "told"
    folder = tmp_path / "work"
    folder.mkdir()
    command = [STRACE, "-f", "-qq", "-e", "trace=open,openat", "-o", told, sys.executable, "-c"]
    subprocess.run([*command, WATCHED], cwd=folder, env=environment(), check=True)
    opened = [line for line in told.read_text().splitlines() if 'ledger.db"' in line]
    assert opened
    assert [line for line in opened if "O_NOFOLLOW" not in line] == []


# --- it stays the one that others see -----------------------------------------------------------


def copy(path, target) -> None:
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def replaced(path) -> None:
    copy(path, path.with_name("backup"))
    path.with_name("backup").replace(path)


def removed(path) -> None:
    path.unlink()


def tidied(path) -> None:
    for name in ("log.db", "log.db-wal", "log.db-shm"):
        path.with_name(name).unlink()


def log_removed(path) -> None:
    path.with_name("log.db-wal").unlink()


def log_replaced(path) -> None:
    wal = path.with_name("log.db-wal")
    wal.with_name("copy").write_bytes(wal.read_bytes())
    wal.with_name("copy").replace(wal)


DEEDS = [replaced, removed, tidied, log_removed, log_replaced]


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_is_recorded_into_a_file_that_others_do_not_see(database, path, deed):
    deed(path)
    for name in ("second", "third"):
        with pytest.raises(StorageError, match="was replaced or removed while this process"):
            save(database, name)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_file_replaced_between_a_look_and_the_first_append_is_noticed(database, path, deed):
    database.close()
    assert head(database) == 1
    deed(path)
    with pytest.raises(StorageError, match="was replaced or removed while this process"):
        save(database, "second")


@pytest.mark.parametrize("deed", DEEDS)
def test_nothing_is_answered_from_a_file_that_others_do_not_see(database, path, deed):
    assert head(database) == 1
    deed(path)
    with pytest.raises(StorageError, match="nothing is answered from it"):
        head(database)


@pytest.mark.parametrize("deed", [replaced, removed])
def test_an_audit_of_a_file_that_is_replaced_meanwhile_says_so(database, path, deed):
    database.close()
    evidence = SqliteEvidence(path)
    with (
        pytest.raises(StorageError, match="replaced or removed while it was read"),
        closing(evidence),
        evidence.refusals(),
    ):
        deed(path)


def test_an_audit_of_a_file_that_is_taken_away_as_it_begins_is_an_error(
    database, path, monkeypatch
):
    database.close()
    begin = sqlite_evidence._Integrity

    def begins(of, *more):
        of.rename(of.with_name("away"))
        return begin(of, *more)

    monkeypatch.setattr(sqlite_evidence, "_Integrity", begins)
    with pytest.raises(StorageError, match="unable to open"):
        SqliteEvidence(path)


@pytest.mark.parametrize("deed", DEEDS)
def test_a_file_replaced_within_a_transaction_takes_nothing(database, path, deed):
    identity, draft = label("second")
    with pytest.raises(StorageError, match="was replaced or removed while this process"):  # noqa: PT012, SIM117 (a whole transaction fails)
        with database.write() as session:
            session.append(command_id(identity), [draft])
            deed(path)


def test_a_ledger_goes_on_with_the_new_file_once_it_was_closed(database, path):
    replaced(path)
    with pytest.raises(StorageError, match="close the ledger"):
        save(database, "second")
    database.close()
    path.with_name("log.db-wal").unlink(missing_ok=True)
    save(database, "third")
    assert head(database) == 2


def test_another_connection_does_not_take_the_new_file_for_the_old_one(database, path):
    with database.read():
        tidied(path)
        SqliteDatabase.create(path, clock).close()
        with (
            pytest.raises(StorageError, match="was replaced or removed while this process"),
            database.read(),
        ):
            pass


def test_the_log_may_begin_anew_once_no_connection_was_open(database, path, monkeypatch):
    database.close()
    monkeypatch.setattr(sqlite_hold, "fcntl", None)
    assert head(database) == 1
    database._open()[0].pool.close_idle()
    assert not path.with_name("log.db-wal").exists()
    save(database, "second")
    assert head(database) == 2


def test_a_file_that_is_not_there_is_not_made(path):
    store = Datastore(str(path))
    with pytest.raises(StorageError, match="unable to open"), store.connection(write=False):
        pass
    assert not path.exists()


@pytest.mark.parametrize("is_writing", [False, True])
def test_a_question_that_failed_half_way_is_in_nobodys_way(database, path, is_writing):
    for number in range(3):
        save(database, f"label {number}")
    kept = []  # as a traceback keeps it

    def fails() -> None:
        with database.write() if is_writing else database.read() as session:
            kept.append(session.log.connection.execute("SELECT * FROM entries"))
            next(kept[0])
            raise CorruptLogError("found something")

    with pytest.raises(CorruptLogError):
        fails()
    other = SqliteDatabase(path, clock)
    save(other, "of another")
    other.close()
    save(database, "one more")


def test_a_pool_that_is_closed_while_one_waits_for_a_turn_gives_nothing_out(database, path):
    store = Datastore(str(path))

    class Turn:
        """The turn comes only after another thread has closed the pool."""

        def acquire(self, timeout: float) -> bool:
            store.close()
            return timeout > 0

        def release(self) -> None:
            pass

    store.pool._get_semaphore = Turn()
    with (
        pytest.raises(StorageError, match="closed by another thread"),
        store.connection(write=False),
    ):
        pytest.fail("a connection was given out")
    assert not store.pool._in_use
    assert head(database) == 1
