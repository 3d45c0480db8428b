"""Waiting for the readers of tables that are to be replaced, without stopping everybody else.

1. A request for the exclusive lock on a table makes every new reader wait behind it: it is given up
   after a moment, so that readers go on, and made again later.
2. The server says who is in the way: the name of the program, its process and user, and for how
   long, as far as this user may see it.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

_MOMENT = "300ms"  # for which everybody waits behind a request
_PAUSE = 0.3  # seconds between two requests
_REQUESTS = 3

_READERS = """
SELECT DISTINCT l.virtualtransaction, a.pid, a.usename, a.application_name,
    extract(epoch FROM clock_timestamp() - a.xact_start)::bigint
FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
    AND l.relation IN (SELECT oid FROM pg_class
        WHERE relnamespace = current_schema()::regnamespace AND relname = ANY(%s))
ORDER BY 5 DESC NULLS LAST, 1
"""


def readers(connection: Connection[Any], tables: Sequence[str]) -> dict[str, str]:
    """Return who uses tables of the ledger in an open transaction, longest first.

    The words for people stand under what tells one transaction from another.
    """
    found = connection.cursor(row_factory=tuple_row).execute(_READERS, ([*tables],))
    return {row[0]: _told(*row[1:]) for row in found.fetchall()}


def locked(connection: Connection[Any], tables: Sequence[str]) -> list[str]:
    """Take the exclusive lock on tables, within a transaction.

    Returns:
        Who is in the way, in words; an empty list where the lock is held.
    """
    before = connection.cursor(row_factory=tuple_row).execute("SHOW lock_timeout").fetchone()
    names = SQL(", ").join(map(Identifier, _present(connection, tables) or ["meta"]))
    for number in range(_REQUESTS):
        if number:
            threading.Event().wait(_PAUSE)
        try:
            with connection.transaction():
                connection.execute(f"SET LOCAL lock_timeout = '{_MOMENT}'".encode())
                connection.execute(SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(names))
                connection.execute("SELECT set_config('lock_timeout', %s, true)", before)
        except psycopg.errors.LockNotAvailable:
            continue
        return []
    return [*readers(connection, tables).values()] or ["a transaction that has ended meanwhile"]


def keep_tables(connection: Connection[Any], tables: Sequence[str]) -> None:
    """Begin a transaction that sees one moment, in which nobody replaces these tables.

    PostgreSQL looks up a name in the present, whatever moment a transaction sees: the rows of a
    table that replaced another one meanwhile would all be missing. So locks come before the moment.
    """
    while True:
        names = _present(connection, tables)
        connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        try:
            for name in names:
                connection.execute(
                    SQL("LOCK TABLE {} IN ACCESS SHARE MODE").format(Identifier(name))
                )
        except psycopg.errors.UndefinedTable:
            connection.execute("ROLLBACK")
            continue
        except BaseException:
            if not connection.closed:
                connection.execute("ROLLBACK")
            raise
        return


def _present(connection: Connection[Any], tables: Sequence[str]) -> list[str]:
    """Return those of the tables that are there and may be read, in the given order."""
    found = connection.cursor(row_factory=tuple_row).execute(
        "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
        " AND relname = ANY(%s) AND relkind = 'r' AND has_table_privilege(oid, 'SELECT')",
        ([*tables],),
    )
    there = {name for (name,) in found.fetchall()}
    return [it for it in tables if it in there]


def _told(pid: int | None, user: str | None, program: str | None, seconds: int | None) -> str:
    if pid is None:
        return "a prepared transaction"
    since = "" if seconds is None else f", for {seconds} s"
    return f"{program or 'a program without a name'} (process {pid} of {user}{since})"
