"""What work costs, counted in statements and commits: the same on every computer."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

_TRANSACTIONS = ("BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE", "PRAGMA")
_COMMIT = re.compile(r"\bCOMMIT\b")


class Counted:
    """The statements that this process asks a database for, on SQLite and on PostgreSQL.

    Connections to SQLite are counted that are opened later than this.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.statements: list[str] = []
        self.commits = 0
        connect, execute = sqlite3.connect, psycopg.Cursor.execute

        def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            connection = connect(*args, **kwargs)
            connection.set_trace_callback(lambda said: self._hear(said, connection))
            return connection

        def counted(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            said = query.decode() if isinstance(query, bytes) else str(query)
            self.commits += bool(_COMMIT.search(said))
            self._note(said)
            return execute(cursor, query, *args, **kwargs)

        monkeypatch.setattr(sqlite3, "connect", traced)
        monkeypatch.setattr(psycopg.Cursor, "execute", counted)

    def _hear(self, said: str, connection: sqlite3.Connection) -> None:
        # Each row that is written outside of a transaction is a commit of its own.
        is_alone = not connection.in_transaction and not said.startswith(("SELECT", "PRAGMA"))
        self.commits += said == "COMMIT" or (is_alone and not said.startswith("BEGIN"))
        self._note(said)

    def _note(self, said: str) -> None:
        if not said.startswith(_TRANSACTIONS):
            self.statements.append(said)

    def of(self, work: Callable[[], object]) -> list[str]:
        """Return the statements of some work, without those that only bound a transaction."""
        before = len(self.statements)
        work()
        return self.statements[before:]
