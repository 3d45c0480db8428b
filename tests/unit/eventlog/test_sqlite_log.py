"""What the log in SQLite promises beside the rest: refusals, durability, one writer at a time."""

from __future__ import annotations

import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest

from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import CorruptLogError, StorageError, UnknownEventError
from ledger.eventlog import sqlite_connections
from ledger.eventlog.sqlite_connections import Datastore
from ledger.eventlog.sqlite_log import Recorder, SqliteAppender, SqliteReader
from ledger.model.events import Draft, RecordCreated
from ledger.model.ids import command_id, natural_id, stream_id, uid
from ledger.model.payloads import to_payload
from tests.support.forking import in_child, with_threads
from tests.support.patience import PATIENCE

NOON = 1_700_000_000_000_000


def clock() -> int:
    return NOON


def label(name: str, description: str | None = None) -> tuple[list, Draft]:
    identity = ["create", "ulabel", name, 1]
    fields = {"name": name} if description is None else {"name": name, "description": description}
    event = RecordCreated(
        at=NOON,
        actor="ada",
        command=identity,
        registry="ulabel",
        uid=uid(identity, 12),
        natural=["ulabel", name],
        natural_id=natural_id(["ulabel", name]),
        fields=fields,
    )
    return identity, Draft(stream=stream_id(identity), event=event)


class Log:
    """A log at a path, and what was said to SQLite."""

    def __init__(self, path, prepare=None) -> None:
        self.said: list[str] = []
        self.store = Datastore(str(path), prepare=prepare or self._listen, is_new=True)
        self.recorder = Recorder(self.store)

    def _listen(self, connection) -> None:
        connection.set_trace_callback(self._hear)

    def _hear(self, statement: str) -> None:
        # A statement that fires a trigger is reported once more.
        if self.said[-1:] != [statement]:
            self.said.append(statement)

    @contextmanager
    def write(self):
        with self.store.connection(write=True) as connection:
            yield SqliteAppender(connection, self.recorder, clock)

    def save(self, *names: str, description: str | None = None) -> None:
        with self.write() as log:
            for name in names:
                identity, draft = label(name, description)
                log.append(command_id(identity), [draft])

    def names(self) -> list[str]:
        with self.store.connection(write=False) as connection:
            return [it.event.fields["name"] for it in SqliteReader(connection).read()]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.sqlite3"


@pytest.fixture
def log(path):
    opened = Log(path)
    opened.recorder.create_table()
    yield opened
    opened.store.close()


# --- append only ----------------------------------------------------------------------------------

ROW = "SELECT position, recorded_at, stream, version, command_id, number, salt, leaf FROM entries"
FORBIDDEN = {
    "update event": "UPDATE stored_events SET state = x'00' WHERE originator_version = 1",
    "update event's key": "UPDATE OR REPLACE stored_events SET originator_version = 1",
    "delete event": "DELETE FROM stored_events",
    "replace event by key": "INSERT OR REPLACE INTO stored_events "
    "SELECT originator_id, originator_version, 'forged', state FROM stored_events LIMIT 1",
    "replace event by rowid": "INSERT OR REPLACE INTO stored_events "
    "(rowid, originator_id, originator_version, topic, state) VALUES (1, 'other', 1, 't', x'00')",
    "upsert event": "INSERT INTO stored_events "
    "SELECT originator_id, originator_version, 'forged', state FROM stored_events WHERE true "
    "ON CONFLICT DO UPDATE SET topic = excluded.topic",
    "update entry": "UPDATE entries SET recorded_at = 0",
    "update entry's key": "UPDATE OR REPLACE entries SET position = 1",
    "delete entry": "DELETE FROM entries WHERE position = 2",
    "replace entry by position": f"REPLACE INTO entries {ROW} WHERE position = 1",
    "replace entry by command": "REPLACE INTO entries "
    "SELECT 3, 0, 'other', 1, command_id, number, salt, leaf FROM entries WHERE position = 1",
    "replace entry by stream": "REPLACE INTO entries "
    "SELECT 3, 0, stream, version, x'00', 1, salt, leaf FROM entries WHERE position = 1",
    "upsert entry": f"INSERT INTO entries {ROW} WHERE true "
    "ON CONFLICT DO UPDATE SET recorded_at = 0",
    "entry after a gap": "INSERT INTO entries "
    "SELECT 4, 0, 'other', 1, x'00', 1, salt, leaf FROM entries WHERE position = 1",
    "entry before the end": "INSERT INTO entries "
    "SELECT 0, 0, 'other', 1, x'00', 1, salt, leaf FROM entries WHERE position = 1",
    "entry without position": "INSERT INTO entries "
    "SELECT NULL, 0, 'other', 1, x'00', 1, salt, leaf FROM entries WHERE position = 1",
}


def contents(connection) -> list:
    return [
        connection.execute(statement).fetchall()
        for statement in ("SELECT rowid, * FROM stored_events", "SELECT * FROM entries")
    ]


@pytest.mark.parametrize("statement", FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_the_database_itself_refuses_to_change_what_is_recorded(log, path, statement):
    log.save("first", "second")
    # Any program at all: a connection without our pragmas.
    with closing(sqlite3.connect(path)) as stranger:
        before = contents(stranger)
        with pytest.raises(sqlite3.IntegrityError, match="the log is append-only"):
            stranger.execute(statement)
        assert contents(stranger) == before


# --- durable, one writer at a time ----------------------------------------------------------------


def test_every_connection_the_pool_hands_out_is_durable(log):
    log.save("first")
    pool = log.store.pool
    lent = [pool.get_connection() for _ in range(8)]
    for connection in lent:
        raw = connection._sqlite_conn
        settings = {
            name: raw.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("synchronous", "journal_mode", "fullfsync", "trusted_schema")
        }
        assert settings == {
            "synchronous": 2,
            "journal_mode": "wal",
            "fullfsync": 1,
            "trusted_schema": 0,
        }
        assert (
            raw.execute("PRAGMA busy_timeout").fetchone()[0]
            == sqlite_connections.LOCK_TIMEOUT * 1_000
        )
    for connection in lent:
        pool.put_connection(connection)


def heads(statements: list[str]) -> list[str]:
    return [" ".join(statement.split()[:3]) for statement in statements]


def test_one_event_costs_six_statements_and_one_commit(log):
    log.save("first")
    log.said.clear()
    log.save("second")
    assert heads(log.said) == [
        "BEGIN IMMEDIATE",
        "SELECT position, recorded_at",
        "SELECT max(originator_version) FROM",
        "INSERT INTO stored_events",
        "INSERT INTO entries",
        "COMMIT",
    ]


def test_a_hundred_commands_in_one_transaction_cost_one_commit(log):
    log.said.clear()
    log.save(*(f"label {number}" for number in range(100)))
    assert log.said.count("COMMIT") == 1
    assert log.said.count("BEGIN IMMEDIATE") == 1


def test_reading_a_thousand_events_costs_two_statements(log):
    log.save(*(f"label {number}" for number in range(1_000)))
    log.said.clear()
    assert len(log.names()) == 1_000
    assert heads(log.said) == ["SELECT e.position, e.recorded_at,"] * 2


def test_a_second_writer_waits_for_the_first_and_sees_what_it_did(log, path):
    waiting = threading.Event()

    def listen(connection):
        connection.set_trace_callback(lambda said: "BEGIN" in said and waiting.set())

    # A datastore of its own: as another process would write.
    other = Log(path, prepare=listen)
    writer = threading.Thread(target=other.save, args=("second",))
    with log.write() as appender:
        writer.start()
        assert waiting.wait(timeout=PATIENCE)
        identity, draft = label("first")
        appender.append(command_id(identity), [draft])
    writer.join(timeout=PATIENCE)
    assert log.names() == ["first", "second"]
    other.store.close()


def test_a_reader_does_not_wait_for_a_writer(log):
    log.save("first")
    with log.write() as appender:
        identity, draft = label("second")
        appender.append(command_id(identity), [draft])
        assert log.names() == ["first"]
    assert log.names() == ["first", "second"]


def test_a_transaction_that_failed_leaves_its_connection_usable(log):
    for number in range(70):  # more than the pool may hand out
        with pytest.raises(ZeroDivisionError):
            fail_after_append(log, f"label {number}")
    log.save("last")
    assert log.names() == ["last"]


def fail_after_append(log, name: str) -> None:
    with log.write() as appender:
        identity, draft = label(name)
        appender.append(command_id(identity), [draft])
        raise ZeroDivisionError


def test_closing_spares_a_connection_that_is_borrowed_until_it_comes_back(log):
    log.save("first")
    with log.store.connection(write=False) as connection:
        log.store.close()
        assert connection.execute("SELECT count(*) FROM entries").fetchone()[0] == 1
    with pytest.raises(sqlite3.ProgrammingError, match="closed"):
        connection.execute("SELECT 1")
    with pytest.raises(StorageError, match="closed"):
        log.names()


# --- errors ---------------------------------------------------------------------------------------


def test_a_database_locked_for_too_long_is_a_storage_error(log, path, monkeypatch):
    monkeypatch.setattr(sqlite_connections, "LOCK_TIMEOUT", 0.01)
    impatient = Log(path)
    with log.write(), pytest.raises(StorageError, match="another writer held it"):
        impatient.save("second")
    impatient.save("second")
    assert log.names() == ["second"]
    impatient.store.close()


def test_a_thread_that_writes_for_too_long_is_a_storage_error(log, monkeypatch):
    with log.write():
        monkeypatch.setattr(sqlite_connections, "LOCK_TIMEOUT", 0.01)
        with pytest.raises(StorageError, match="another thread of this process"):
            log.save("second")
        monkeypatch.undo()
    log.save("second")
    assert log.names() == ["second"]


def test_a_full_disk_is_a_storage_error_and_records_nothing(log, path):
    log.save("first")

    def bound(connection):
        connection.execute("PRAGMA max_page_count=1")  # no more than there are now

    full = Log(path, prepare=bound)
    with pytest.raises(StorageError, match="nothing was recorded, free some space"):
        full.save("second", description="x" * 100_000)
    assert log.names() == ["first"]
    full.store.close()
    log.save("second")
    assert log.names() == ["first", "second"]


def test_a_read_only_file_is_a_storage_error_and_can_be_read(log, path):
    log.save("first")
    guest = Log(f"file:{path}?mode=ro")
    with pytest.raises(StorageError, match="permissions"):
        guest.save("second")
    assert guest.names() == ["first"]
    guest.store.close()


def test_a_file_that_is_no_database_is_a_storage_error(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("these are notes and no database, " * 100)
    stranger = Log(path)
    with pytest.raises(StorageError, match="not a database"):
        stranger.names()
    stranger.store.close()


def test_a_folder_that_is_missing_is_a_storage_error(tmp_path):
    nowhere = Log(tmp_path / "missing" / "log.sqlite3")
    with pytest.raises(StorageError, match="unable to open"):
        nowhere.names()
    nowhere.store.close()


def test_an_event_cut_out_of_the_file_stops_the_reader(log, path):
    log.save("first", "second", "third")
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("DROP TRIGGER stored_events_refuse_delete")
        vandal.execute("DELETE FROM stored_events WHERE rowid = 3")
        vandal.commit()
    with pytest.raises(CorruptLogError, match="position 3"):
        log.names()


def test_an_entry_cut_out_of_the_file_stops_the_reader(log, path):
    log.save("first", "second", "third")
    with closing(sqlite3.connect(path)) as vandal:
        vandal.execute("DROP TRIGGER entries_refuse_delete")
        vandal.execute("DELETE FROM entries WHERE position = 2")
        vandal.commit()
    with pytest.raises(CorruptLogError, match="expected position 2, found 3"):
        log.names()


# --- the ledger's file ----------------------------------------------------------------------------


def test_a_ledger_in_a_newer_format_is_refused_with_the_way_out(path):
    SqliteDatabase.create(path, clock).close()
    with closing(sqlite3.connect(path)) as future:
        future.execute("UPDATE meta SET value = '3' WHERE name = 'format'")
        future.commit()
    database = SqliteDatabase(path, clock)
    with pytest.raises(UnknownEventError, match="format 3, this program knows up to 2; upgrade"):
        read_head(database)
    database.close()


def test_a_ledger_whose_file_is_gone_is_refused_and_not_made_anew(path):
    database = SqliteDatabase(path, clock)
    with pytest.raises(StorageError, match="expected a file, found none"):
        read_head(database)
    assert not path.exists()


def test_the_file_says_what_it_is(path):
    SqliteDatabase.create(path, clock).close()
    assert path.read_bytes()[68:72] == b"mldg"


def read_head(database) -> int:
    with database.read() as session:
        return session.log.head()


# --- forks ----------------------------------------------------------------------------------------


@with_threads
def test_a_fork_finds_no_open_connection(log):
    log.save("first")
    assert log.store.pool.num_in_pool == 1

    def claim():
        assert log.store.pool.num_in_pool == 0

    in_child(claim)
    log.save("second")
    assert log.names() == ["first", "second"]


@with_threads
def test_a_forked_child_writes_over_connections_of_its_own(path):
    database = SqliteDatabase.create(path, clock)
    append_label(database, "parent")
    of_parent, _ = database._open()

    with database.read():  # borrowed while the child is made, so not closed before

        def claim():
            append_label(database, "child")
            assert database._open()[0] is not of_parent
            assert of_parent.pool.num_in_use == 1  # as it was: neither used nor closed
            assert of_parent.pool.num_in_pool == 0
            assert read_head(database) == 2

        in_child(claim)
    assert database._open()[0] is of_parent
    append_label(database, "parent again")
    assert read_head(database) == 3
    database.close()


@with_threads
def test_a_fork_spares_a_database_in_memory():
    log = Log("file:spared?mode=memory&cache=shared")
    log.recorder.create_table()
    log.save("first")
    in_child(lambda: None)
    assert log.names() == ["first"]
    log.store.close()


def append_label(database, name: str) -> None:
    identity, draft = label(name)
    with database.write() as session:
        session.append(command_id(identity), [draft])


# --- bytes ----------------------------------------------------------------------------------------


def test_the_payload_of_a_label_takes_292_bytes():
    _, draft = label("CD8-positive T cell")
    assert len(to_payload(draft.event)) == 292


def test_a_label_takes_less_than_640_bytes_of_log(log):
    log.save("first")
    log.save(*(f"CD8-positive T cell {number:05}" for number in range(5_000)))
    with log.store.connection(write=False) as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    # 637 where it was measured: 292 of payload, the rest entry, indexes and free space in pages.
    assert pages * size / 5_000 < 640
