"""A SQLite file as an auditor reads it: however its rows lie, each entry with its own event."""

# ruff: noqa: S608 (statements are made of words of our own)

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from ledger.eventlog import sqlite_evidence
from ledger.eventlog.sqlite_connections import APPLICATION_ID, Datastore
from ledger.eventlog.sqlite_evidence import SqliteEvidence
from ledger.eventlog.sqlite_log import Recorder

ENTRIES = 10
WHOLE = [(n, f"{n:032x}".encode(), n, b"tag", b"payload %d" % n) for n in range(1, ENTRIES + 1)]


@pytest.fixture
def path(tmp_path):
    """A log of ten entries, without guards."""
    path = tmp_path / "log.db"
    store = Datastore(str(path), is_new=True)
    Recorder(store).create_table()
    with store.connection(write=True) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        for position, stream, version, tag, state in WHOLE:
            connection.execute(
                "INSERT INTO stored_events VALUES (?, ?, ?, ?)",
                (stream.decode(), version, tag.decode(), state),
            )
            connection.execute(
                "INSERT INTO entries VALUES (?, ?, ?, ?, ?, 1, x'00', x'00')",
                (position, position, stream.decode(), version, b"%016d" % position),
            )
    store.close()
    return path


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(sqlite_evidence, "_BATCH", 3)


def read(path) -> tuple[list[tuple], list[tuple], int]:
    """The rows, the events without an entry, and how often an event had to be looked for."""
    looked_for = []
    with closing(SqliteEvidence(path)) as evidence:
        honest = evidence._joined
        evidence._joined = lambda *given: looked_for.append(given) or honest(*given)
        rows = [
            (row.position, row.stream, row.version, row.topic, row.state)
            for row in evidence.rows(until=evidence.head())
        ]
        return rows, evidence.strays(), len(looked_for)


def do(path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_what_was_appended_is_read_side_by_side(path):
    assert read(path) == (WHOLE, [], 0)


@pytest.mark.parametrize("number", [5, 1, ENTRIES])
def test_an_event_that_is_gone_is_missing_and_no_other(path, number):
    do(path, f"DELETE FROM stored_events WHERE rowid = {number}")
    rows, strays, _ = read(path)
    assert rows == [it if it[0] != number else (*it[:3], None, None) for it in WHOLE]
    assert strays == []


@pytest.mark.parametrize("rowid", [-(2**63), -5, 0, 11, 2**63 - 1])
def test_an_event_that_was_slipped_in_is_a_stray_wherever_it_lies(path, rowid):
    do(path, f"INSERT INTO stored_events (rowid, originator_id, originator_version, topic, state)"
             f" VALUES ({rowid}, 'x', 1, 'tag', x'00')")  # fmt: skip
    rows, strays, _ = read(path)
    assert rows == WHOLE
    assert strays == [(b"x", 1, b"tag")]


def test_events_that_lie_in_another_order_are_found(path):
    do(path, "UPDATE stored_events SET rowid = 100 WHERE rowid = 2")
    do(path, "UPDATE stored_events SET rowid = 2 WHERE rowid = 9")
    rows, strays, looked_for = read(path)
    assert (rows, strays) == (WHOLE, [])
    assert looked_for > 0


def test_an_event_whose_stream_is_no_text_is_not_that_of_the_entry(path):
    do(path, "UPDATE stored_events SET originator_id = CAST(originator_id AS BLOB) WHERE rowid = 4")
    rows, strays, _ = read(path)
    assert rows == [it if it[0] != 4 else (*it[:3], None, None) for it in WHOLE]
    assert strays == [(WHOLE[3][1], 4, b"tag")]


def test_an_entry_that_is_gone_leaves_a_stray(path):
    do(path, "DELETE FROM entries WHERE position = 4")
    rows, strays, _ = read(path)
    assert rows == [it for it in WHOLE if it[0] != 4]
    assert strays == [(WHOLE[3][1], 4, b"tag")]


def test_damaged_text_of_a_table_is_told_from_text(path):
    do(path, "CREATE TABLE t (a TEXT, b)")
    for n in range(8):
        value = "CAST(x'62ff' AS TEXT)" if n == 5 else f"'{n}'"
        do(path, f"INSERT INTO t VALUES ({value}, {n})")
    with closing(SqliteEvidence(path)) as evidence:
        rows = list(evidence.table("t", "SELECT a, b FROM t ORDER BY b"))
    assert rows == [(b"b\xff" if n == 5 else f"{n}", n) for n in range(8)]


def test_the_check_of_the_file_ends_with_the_evidence(path):
    with closing(SqliteEvidence(path)) as evidence:
        thread = evidence._integrity._thread
    assert not thread.is_alive()
