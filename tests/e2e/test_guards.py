"""What guards a file is what this program would make: audit and doctor tell every difference."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.eventlog.entry import Envelope, seal
from ledger.model.events import RecordChanged
from ledger.model.ids import CommandId, Position, StreamId
from ledger.model.payloads import to_payload
from ledger.places import instance
from ledger.upkeep import doctor
from ledger.upkeep.rebuild import rebuild
from tests.support.door import artifact, label

REFUSAL = "RAISE(ABORT, 'the log is append-only: DELETE on entries')"


@pytest.fixture
def do(ledger_folder):  # noqa: ARG001 (the working folder)
    """Carry out something behind the program's back; triggers are put back where asked for."""
    ln.init("./storage")
    artifact("a.txt", key="a").labels.add(label("one"))
    database = instance.current().place.database_path
    ln.close()

    def carry_out(*deeds, puts_back=False):
        with closing(sqlite3.connect(database, isolation_level=None)) as connection:
            triggers = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in triggers if puts_back else ():
                connection.execute(f"DROP TRIGGER {name}")
            for deed in deeds:
                if callable(deed):
                    deed(connection)
                else:
                    connection.execute(deed)
            for _, text in triggers if puts_back else ():
                connection.execute(text)

    yield carry_out
    ln.close()


def told_by_audit() -> list[tuple[str, object]]:
    return [(it.kind, it.subject) for it in audit().findings]


def told_by_doctor() -> list[str]:
    try:
        return [it.subject for it in doctor.examine(instance.current()) if it.kind == "schema"]
    finally:
        ln.close()


def remade(name: str, old: str, new: str):
    """Return the deed that makes an object anew, with other words in its text."""

    def deed(connection: sqlite3.Connection) -> None:
        ((kind, text),) = connection.execute(
            "SELECT type, sql FROM sqlite_master WHERE name = ?", (name,)
        )
        assert old in text
        connection.execute(f"DROP {kind} {name}")
        connection.execute(text.replace(old, new))

    return deed


def rewritten(name: str, old: str, new: str):
    """Return the deed that changes the text of an object in the file's own table of objects."""

    def deed(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA writable_schema = ON")
        changed = connection.execute(
            "UPDATE sqlite_master SET sql = replace(sql, ?1, ?2)"
            " WHERE name = ?3 AND sql LIKE '%' || ?1 || '%'",
            (old, new, name),
        )
        assert changed.rowcount == 1

    return deed


DEEDS = {
    "a refusal became a name": (
        "trigger entries_refuse_delete",
        remade("entries_refuse_delete", REFUSAL, f'"{REFUSAL}"'),
    ),
    "a refusal became a text": (
        "trigger entries_refuse_delete",
        remade("entries_refuse_delete", REFUSAL, "'nothing'"),
    ),
    "a refusal got a condition": (
        "trigger entries_refuse_delete",
        remade("entries_refuse_delete", " BEGIN", " WHEN 0 BEGIN"),
    ),
    "a condition of a refusal is weaker": (
        "trigger entries_refuse_update",
        remade("entries_refuse_update", "OR NEW.leaf IS NOT OLD.leaf ", ""),
    ),
    "a refusal is of another event": (
        "trigger stored_events_refuse_delete",
        remade("stored_events_refuse_delete", "BEFORE DELETE", "BEFORE INSERT"),
    ),
    "a space within a text is another one": (
        "trigger entries_refuse_update",
        remade("entries_refuse_update", "'entries-erased.v2'", "'entries-erased.v2 '"),
    ),
    "a trigger was taken away": (
        "trigger entries_refuse_insert", "DROP TRIGGER entries_refuse_insert",
    ),
    "a trigger was added": (
        "trigger evil",
        "CREATE TRIGGER evil AFTER INSERT ON entries BEGIN DELETE FROM tag; END",
    ),
    "the condition of an index became a name": (
        "index ulabel_live_name",
        remade("ulabel_live_name", "WHERE to_position = 9223372036854775807 AND state = 0",
               'WHERE "to_position = 9223372036854775807 AND state = 0"'),
    ),
    "an index was taken away": ("index link_by_target_field_from_position",
                                "DROP INDEX link_by_target_field_from_position"),
    "an index forbids a second row": (
        "index evil", "CREATE UNIQUE INDEX evil ON tag ((1))",
    ),
    "a table was added": ("table evil", "CREATE TABLE evil (x)"),
    "a view was added": ("view evil", "CREATE VIEW evil AS SELECT 1"),
    "a column was added": ("table entries", "ALTER TABLE entries ADD COLUMN evil"),
    "a column lost its condition": (
        "table entries", rewritten("entries", "leaf BLOB NOT NULL", "leaf BLOB"),
    ),
    "a table lost its unique key": (
        "table meta", rewritten("meta", "value TEXT NOT NULL", "value TEXT"),
    ),
    "the header has a version of somebody's": ("user version", "PRAGMA user_version = 77"),
}  # fmt: skip


@pytest.mark.usefixtures("do")
def test_nothing_is_told_of_what_nobody_touched():
    assert told_by_audit() == []
    rebuild()  # which makes the read models anew, under other names first
    assert told_by_audit() == []
    assert told_by_doctor() == []


def test_nothing_is_told_of_what_sqlite_notes_for_its_planner(do):
    do("ANALYZE")
    assert told_by_audit() == []
    assert told_by_doctor() == []


@pytest.mark.parametrize("deed", DEEDS)
def test_audit_and_doctor_name_what_guards_otherwise(do, deed):
    subject, act = DEEDS[deed]
    do(act)
    assert ("schema", subject) in told_by_audit()
    assert subject in told_by_doctor()


def test_a_finding_shows_the_place_of_the_difference(do):
    do(DEEDS["a condition of a refusal is weaker"][1])
    (finding,) = audit().findings
    assert str(finding.expected).startswith("…")
    assert "NEW.leaf IS NOT OLD.leaf" in str(finding.expected)
    assert "NEW.leaf" not in str(finding.found)


def slipped_in(position: int):
    """Return the deed that slips in an entry of a stream that there is, at a position."""

    def deed(connection: sqlite3.Connection) -> None:
        stream, uid = connection.execute("SELECT stream, uid FROM ulabel").fetchone()
        event = RecordChanged(
            at=1, actor="eve", command=["x"], registry="ulabel", uid=uid,
            fields={"description": "invented"},
        )  # fmt: skip
        command = CommandId("0" * 32)
        envelope = Envelope(
            position=Position(position), recorded_at=1, stream=StreamId(stream), version=99,
            tag="record-changed.v1", command_id=command, number=1,
        )  # fmt: skip
        entry = seal(envelope, to_payload(event))
        connection.execute(
            "INSERT INTO stored_events VALUES (?, 99, 'record-changed.v1', ?)",
            (stream, entry.payload),
        )
        connection.execute(
            "INSERT INTO entries VALUES (?, 1, ?, 99, ?, 1, ?, ?)",
            (position, stream, bytes.fromhex(command), entry.salt, entry.leaf),
        )

    return deed


@pytest.mark.parametrize("position", [0, -1, -(2**63)])
def test_an_entry_before_the_first_position_is_told(do, position):
    do(slipped_in(position), puts_back=True)
    assert told_by_audit() == [("position", "")]
    assert [it.position for it in audit().findings] == [position]


def test_an_event_without_an_entry_is_told_and_counted(do):
    do("INSERT INTO stored_events VALUES ('" + "0" * 32 + "', 1, 'x', x'00')", puts_back=True)
    assert {kind for kind, _ in told_by_audit()} == {"entry-missing", "count"}


def test_a_row_beyond_the_head_is_told(do):
    do("UPDATE ulabel SET from_position = from_position + 9000")
    assert "read-model" in {kind for kind, _ in told_by_audit()}
