"""The audit of a ledger on a PostgreSQL server."""

from __future__ import annotations

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import ledger as ln
from ledger import instance
from ledger.auditing.audit import audit
from ledger.database_url import parse
from ledger.exporting import export
from ledger.importing import restore
from ledger.rebuilding import rebuild
from tests.door import artifact, label


@pytest.fixture
def server(ledger_folder, postgres):  # noqa: ARG001 (the working folder)
    """A ledger on a server, and a way to do something behind the program's back."""
    ln.init(storage="./storage", database=str(postgres))
    one = label("one")
    artifact("a.txt", key="a").labels.add(one)
    one.name = "uno"
    one.save()
    url = parse(instance.current().place.configuration.database)

    def do(*statements: str) -> None:
        ln.close()
        with psycopg.connect(str(postgres).partition("?")[0]) as connection:
            connection.execute(SQL("SET search_path TO {}").format(Identifier(url.schema)))
            connection.execute("ALTER TABLE stored_events DISABLE TRIGGER ALL")
            connection.execute("ALTER TABLE entries DISABLE TRIGGER ALL")
            for statement in statements:
                connection.execute(statement.encode())

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


def test_deeds_on_a_server_are_told(server):
    kept = str(ln.checkpoint())
    server("UPDATE ulabel SET name = 'forged'", "UPDATE entries SET recorded_at = 1")
    found = kinds(checkpoints=[kept])
    assert {"schema", "leaf-hash", "recorded-time", "read-model", "checkpoint-root"} <= found


def test_a_missing_event_on_a_server_is_told(server):
    server("DELETE FROM stored_events WHERE notification_id = 3")
    assert {"unreadable", "position"} & kinds()


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
    from projections.postgres import PostgresModels  # noqa: PLC0415

    seen, honest = [], PostgresModels._make_indexes
    schema = parse(instance.current().place.configuration.database).schema

    def watched(models, *, is_new):
        honest(models, is_new=is_new)
        with psycopg.connect(str(postgres).partition("?")[0]) as connection:
            connection.execute("SET statement_timeout = '10s'")
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
