"""The audit of a ledger on a PostgreSQL server."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import ledger as ln
from ledger.auditing.audit import audit
from ledger.auditing.server import ServerEvidence
from ledger.errors import StorageError
from ledger.eventlog.database_url import parse
from ledger.eventlog.postgres_health import wanted_guards
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from ledger.upkeep.rebuild import rebuild
from tests.support.door import artifact, label


@pytest.fixture
def server(ledger_folder, postgres):  # noqa: ARG001 (the working folder)
    """A ledger on a server, and a way to do something behind the program's back."""
    ln.init(storage="./storage", database=str(postgres))
    one = label("one")
    artifact("a.txt", key="a").labels.add(one)
    one.name = "uno"
    one.save()
    url = parse(instance.current().place.configuration.database)

    def do(*statements: str, guards: bool = False) -> None:
        ln.close()
        with psycopg.connect(str(postgres).partition("?")[0]) as connection:
            connection.execute(SQL("SET search_path TO {}").format(Identifier(url.schema)))
            connection.execute("ALTER TABLE stored_events DISABLE TRIGGER ALL")
            connection.execute("ALTER TABLE entries DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement.encode())
            for guard in wanted_guards() if guards else ():
                table, trigger = guard.split()
                connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}".encode())

    yield do
    ln.close()


def kinds(**given) -> set[str]:
    return {finding.kind for finding in audit(**given).findings}


@pytest.mark.usefixtures("server")
def test_an_honest_ledger_on_a_server_passes():
    report = audit(checkpoints=[str(ln.checkpoint())], content=True)
    assert report.ok, report.findings
    assert report.events == report.rehashed == ln.head()
    assert report.rows > 0


@pytest.mark.usefixtures("server")
def test_a_connection_that_the_server_ends_during_an_audit_is_an_error_of_ours(
    monkeypatch, postgres_url
):
    head = ServerEvidence.head

    def ends(self) -> int:
        with psycopg.connect(postgres_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [self._connection.info.backend_pid])
        return head(self)

    with monkeypatch.context() as patched:
        patched.setattr(ServerEvidence, "head", ends)
        with pytest.raises(StorageError):
            audit()
    assert audit().ok


@pytest.mark.usefixtures("server")
def test_a_question_that_the_server_refuses_for_the_moment_is_no_finding(monkeypatch):
    def refused(*_: object) -> None:
        raise psycopg.errors.DeadlockDetected("deadlock detected")

    monkeypatch.setattr(ServerEvidence, "strays", refused)
    with pytest.raises(StorageError, match="deadlock"):
        audit()


def test_deeds_on_a_server_are_told(server):
    kept = str(ln.checkpoint())
    server("UPDATE ulabel SET name = 'forged'", "UPDATE entries SET recorded_at = 1")
    found = kinds(checkpoints=[kept])
    assert {"schema", "leaf-hash", "recorded-time", "read-model", "checkpoint-root"} <= found


def test_a_missing_event_on_a_server_is_told(server):
    server("DELETE FROM stored_events WHERE notification_id = 3")
    assert {"unreadable", "position"} & kinds()


DEEDS = {
    "a name was edited": (
        "leaf-hash",
        ("UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
        " '\"uno\"', '\"due\"'), 'UTF8') WHERE notification_id = 5"),
    ),
    "an actor was edited": (
        "leaf-hash",
        ("UPDATE stored_events SET state = convert_to(replace(convert_from(state, 'UTF8'),"
        " '\"actor\":\"', '\"actor\":\"not '), 'UTF8') WHERE notification_id = 3"),
    ),
    "a payload is no JSON": (
        "unknown-event", "UPDATE stored_events SET state = '\\x00' WHERE notification_id = 3",
    ),
    "a type is another one": (
        "leaf-hash",
        "UPDATE stored_events SET topic = 'record-trashed.v1' WHERE notification_id = 5",
    ),
    "an event was slipped in": (
        "entry-missing",
        (
            "INSERT INTO stored_events VALUES"
            " ('00000000-0000-8000-8000-000000000000', 1, 'x', '\\x00', 99)"
        ),
    ),
    "the last event is gone": (
        "log-too-short",
        "DELETE FROM stored_events WHERE notification_id = 5",
        "DELETE FROM entries WHERE position = 5",
    ),
    "one in the middle is gone": (
        "position",
        "DELETE FROM stored_events WHERE notification_id = 4",
        "DELETE FROM entries WHERE position = 4",
    ),
    "the log was emptied": (
        "log-too-short", "DELETE FROM stored_events", "DELETE FROM entries",
    ),
    "a time was moved back": (
        "recorded-time", "UPDATE entries SET recorded_at = 1 WHERE position = 4",
    ),
    "a time was moved a little": (
        "leaf-hash", "UPDATE entries SET recorded_at = recorded_at - 1 WHERE position = 5",
    ),
    "two entries changed places": (
        "leaf-hash",
        "UPDATE entries SET position = 999 WHERE position = 3",
        "UPDATE entries SET position = 3 WHERE position = 4",
        "UPDATE entries SET position = 4 WHERE position = 999",
    ),
    "a salt was changed": (
        "leaf-hash",
        "UPDATE entries SET salt = sha256(salt) WHERE position = 3",
    ),
    "a salt is short": (
        "malformed-row", "UPDATE entries SET salt = '\\x00' WHERE position = 3",
    ),
    "a leaf was changed": (
        "leaf-hash", "UPDATE entries SET leaf = sha256(leaf) WHERE position = 3",
    ),
    "a command id was changed": (
        "command-id", "UPDATE entries SET command_id = gen_random_uuid() WHERE position = 3",
    ),
    "a number was changed": (
        "command-number", "UPDATE entries SET number = 7 WHERE position = 3",
    ),
    "a version was changed": (
        "stream-version",
        "UPDATE entries SET version = 7 WHERE position = 2",
        "UPDATE stored_events SET originator_version = 7 WHERE notification_id = 2",
    ),
    "a row of a read model was changed": ("read-model", "UPDATE ulabel SET name = 'forged'"),
    "a row of a read model is gone": ("read-model", "DELETE FROM link"),
    "a read model is gone": ("unreadable", "DROP TABLE artifact_key"),
    "the format is another one": (
        "format", "UPDATE meta SET value = '0' WHERE name = 'format'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("deed", DEEDS)
def test_every_deed_on_a_server_is_told_by_its_kind(server, deed):
    kept = str(ln.checkpoint())
    assert kinds(checkpoints=[kept]) == set()
    kind, *statements = DEEDS[deed]
    server(*statements, guards=True)
    found = kinds(checkpoints=[kept])
    assert kind in found
    # A table that is gone is missing in the schema, too; nothing else was done to it.
    assert ("schema" in found) == statements[0].startswith("DROP")


def test_a_rebuild_on_a_server_mends_read_models(server):
    assert rebuild().differences == ()
    server("UPDATE ulabel SET name = 'forged' WHERE to_position > 9999")
    assert {it.table for it in rebuild().differences} == {"ulabel"}
    assert kinds() == {"schema"}  # the guards that the deed took away


def test_a_rebuild_on_a_server_mends_tables_that_are_gone(server):
    server("DROP TABLE artifact_key")
    assert rebuild().unreadable == ("artifact_key",)
    assert rebuild().differences == ()


@pytest.mark.usefixtures("server")
def test_readers_on_a_server_are_answered_until_a_rebuild_ends(postgres, monkeypatch):
    from projections.sql.postgres import PostgresModels  # noqa: PLC0415

    seen, honest = [], PostgresModels._make_indexes
    schema = parse(instance.current().place.configuration.database).schema

    def watched(models, *, is_new):
        honest(models, is_new=is_new)
        with psycopg.connect(str(postgres).partition("?")[0]) as connection:
            connection.execute("SET statement_timeout = '15min'")
            count = SQL("SELECT count(*) FROM {}.ulabel").format(Identifier(schema))
            seen.append(connection.execute(count).fetchone()[0])

    monkeypatch.setattr(PostgresModels, "_make_indexes", watched)
    assert rebuild().differences == ()
    assert seen == [2]


@pytest.mark.usefixtures("server")
def test_a_ledger_moves_from_a_server_to_a_file(tmp_path):
    done = export(tmp_path / "archive")
    place = restore(tmp_path / "archive", "./storage", root=tmp_path / "elsewhere")
    assert audit(place=place).root == done.root
