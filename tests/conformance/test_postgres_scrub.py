"""What an erasure on a PostgreSQL server leaves in the statistics of its planner: nothing."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest

import ledger as ln
from ledger.engine.postgres_database import PostgresDatabase

TEXT = "zzz Ada Lovelace"


@pytest.fixture
def server(postgres, tmp_path, monkeypatch):
    """Lend a connection of a superuser, beside a ledger whose statistics are fresh."""
    monkeypatch.chdir(tmp_path)
    ln.init("storage", database=str(postgres))
    ln.ULabel(name=TEXT, description=TEXT).save()
    ln.ULabel(name="mouse", description="of the house").save()
    with psycopg.connect(postgres.text, autocommit=True) as connection:
        connection.execute(f"SET search_path = {postgres.schema}".encode())
        yield connection


def kept(connection, table: str = "%") -> str:
    """Return all values that the statistics of tables hold, as text."""
    ((values,),) = connection.execute(
        "SELECT string_agg(s::text, ' ') FROM pg_stats s WHERE schemaname = current_schema()"
        " AND tablename LIKE %s",
        (table,),
    ).fetchall()
    return values or ""


def definitions(connection) -> list[tuple[str, ...]]:
    """Return columns, types and collations, indexes and triggers, as the server describes them."""
    return connection.execute(
        "SELECT table_name::text, column_name::text, data_type::text, collation_name::text"
        " FROM information_schema.columns WHERE table_schema = current_schema()"
        " UNION ALL SELECT tablename, indexname, indexdef, '' FROM pg_indexes"
        " WHERE schemaname = current_schema()"
        " ORDER BY 1, 2, 3"
    ).fetchall()


def test_an_erasure_leaves_no_text_in_the_statistics_of_the_planner(server):
    server.execute("ANALYZE")
    assert TEXT in kept(server)
    done = ln.erase(ln.ULabel.get(name=TEXT), reason="a request")
    assert done.is_scrubbed
    assert TEXT not in kept(server)
    assert TEXT.encode().hex() not in kept(server)


def test_a_table_that_is_empty_now_keeps_its_shape_and_no_statistics(server, postgres):
    server.execute("ANALYZE")
    before = definitions(server)
    # The server takes no statistics of an empty table, and leaves those of before.
    server.execute("DELETE FROM ulabel")
    server.execute("ANALYZE ulabel")
    assert TEXT in kept(server, "ulabel")
    with closing(PostgresDatabase(postgres)) as database:
        assert database.scrub()
    assert not kept(server, "ulabel")
    assert definitions(server) == before


@pytest.mark.usefixtures("server")
def test_the_audit_is_content_with_a_scrubbed_database():
    ln.erase(ln.ULabel.get(name=TEXT), reason="a request")
    assert not ln.audit().findings
