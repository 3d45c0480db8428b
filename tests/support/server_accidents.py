"""What happens to a ledger on a server, and to its users, from outside."""

from __future__ import annotations

import random
from contextlib import suppress
from typing import Any, LiteralString

import psycopg
from psycopg.sql import SQL, Composed, Identifier

from tests.support.accidents import Accidents
from tests.support.crew import Crew
from tests.support.servers import PostgresServer

Connection = psycopg.Connection[Any]

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY tablename"
_TRIGGERS = (
    "SELECT tgrelid::regclass::text, tgname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid"
    " WHERE NOT tgisinternal AND c.relnamespace = to_regnamespace(%s)"
)


def copy_schema(connection: Connection, schema: str, kept: str) -> None:
    """Copy the rows of all tables of a ledger's schema into a schema of their own."""
    connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    # Before the moment that the transaction sees: tables change their names in a rebuild, and those
    # that were made after that moment would look empty.
    connection.execute(_statement("LOCK TABLE {name}.stored_events IN EXCLUSIVE MODE", name=schema))
    connection.execute(_statement("DROP SCHEMA IF EXISTS {kept} CASCADE", kept=kept))
    connection.execute(_statement("CREATE SCHEMA {kept}", kept=kept))
    for (table,) in connection.execute(_TABLES, (schema,)).fetchall():
        made = "CREATE TABLE {kept}.{table} AS TABLE {name}.{table}"
        connection.execute(_statement(made, kept=kept, name=schema, table=table))


def write_back(connection: Connection, schema: str, kept: str) -> None:
    """Have every table hold what `copy_schema` copied, whatever guards it."""
    tables = [it for (it,) in connection.execute(_TABLES, (kept,))]
    # In the order of users, who lock the log first.
    for table in sorted(tables, key=lambda it: (it != "stored_events", it)):
        for statement in (
            "LOCK TABLE {name}.{table} IN ACCESS EXCLUSIVE MODE",
            "ALTER TABLE {name}.{table} DISABLE TRIGGER USER",
            "DELETE FROM {name}.{table}",
            "INSERT INTO {name}.{table} SELECT * FROM {kept}.{table}",
        ):
            connection.execute(_statement(statement, kept=kept, name=schema, table=table))
    put_guards_back(connection, schema)


def put_guards_back(connection: Connection, schema: str) -> None:
    """Switch all triggers of a ledger's schema on, as they were made."""
    for table, trigger in connection.execute(_TRIGGERS, (schema,)).fetchall():
        connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {trigger}".encode())


def _statement(text: LiteralString, **names: str) -> Composed:
    return SQL(text).format(**{word: Identifier(name) for word, name in names.items()})


class ServerAccidents(Accidents):
    """What can happen to a ledger in a schema of a server of one's own."""

    KINDS = {"kill": 6, "interrupt": 5, "back_up": 4, "restore": 4, "crash": 2}  # noqa: RUF012 (read only)

    def __init__(
        self, crew: Crew, chance: random.Random, server: PostgresServer, schema: str
    ) -> None:
        super().__init__(crew, chance)
        self.server = server
        self.schema = schema
        self.kept = f"{schema}_kept"

    def crash(self, _: str) -> None:
        """Let the server crash, and start it again."""
        self.server.kill()
        self.server.start()

    def _copy(self) -> None:
        with self._connected() as connection:
            copy_schema(connection, self.schema, self.kept)

    def _write_back(self) -> None:
        """Let the log go back, as after falling back to a server that lagged."""
        while True:
            # A user who asks several tables in one transaction may be in the way.
            with suppress(psycopg.errors.DeadlockDetected), self._connected() as connection:
                write_back(connection, self.schema, self.kept)
                return

    def _connected(self) -> Connection:
        return psycopg.connect(self.server.url)
