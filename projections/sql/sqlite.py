"""The read models in a SQLite file: everything special to SQLite.

1. Tables have no rowid: rows lie in the order of their key, a record's history side by side.
2. SQLite compares text byte by byte in UTF-8: by code point.
3. It folds the case of ASCII only, so every connection that asks needs `register_functions`.
4. Long lists of values travel as one JSON parameter: the number of parameters is bounded.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from projections.sql.dialect import Dialect, Fragment, either
from projections.sql.models import SqlModels

_FEW = 16  # values as separate parameters: each further number would be one more text to cache


class SqliteDialect(Dialect):
    """The SQL of SQLite."""

    placeholder = "?"
    types = {  # noqa: RUF012 (declared as ClassVar by the base class)
        "text": "TEXT",
        "json": "TEXT",
        "integer": "INTEGER",
        "time": "INTEGER",
        "boolean": "INTEGER",
        "real": "REAL",
    }
    table_suffix = " WITHOUT ROWID"
    ascending = " ASC"
    descending = " DESC"
    no_limit = -1
    # SQLite does not know how values are distributed: it would read all links for one label.
    join_in_order = " CROSS JOIN "
    conflicts = (sqlite3.IntegrityError,)

    def unindexed(self, expression: str) -> str:
        """Return an expression that keeps the planner from an index that would not help."""
        return f"+{expression}"

    def casefold(self, expression: str) -> str:
        """Return the SQL for `str.casefold` of a text."""
        return f"casefold({expression})"

    def contains(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text holds `part`."""
        return Fragment(f"instr({expression}, ?) > 0", (part,))

    def endswith(self, expression: str, part: str) -> Fragment:
        """Return the test whether a text ends in `part`."""
        if not part:
            return Fragment(f"{expression} IS NOT NULL")
        # As bytes: SQLite counts the characters of a text only up to its first NUL.
        raw = part.encode()
        return Fragment(f"substr(CAST({expression} AS BLOB), ?) = ?", (-len(raw), raw))

    def is_in(self, expression: str, values: Sequence[Any]) -> Fragment:
        """Return the test whether a value is one of `values`."""
        if len(values) <= _FEW:
            return self._listed(expression, values)
        # A NUL ends a text that SQLite reads from JSON. Records never hold one; a question may.
        apart = [it for it in values if isinstance(it, str) and "\0" in it]
        packed = json.dumps([it for it in values if it not in apart], ensure_ascii=False)
        tests = [Fragment(f"{expression} IN (SELECT value FROM json_each(?))", (packed,))]
        return either([*tests, self._listed(expression, apart)] if apart else tests)

    def _listed(self, expression: str, values: Sequence[Any]) -> Fragment:
        return Fragment(f"{expression} IN ({', '.join('?' * len(values))})", tuple(values))

    def is_name_conflict(self, error: Exception, table: str) -> bool:
        """Return whether an error comes from the index over the live names of a table."""
        return str(error) == f"UNIQUE constraint failed: {table}.name"


SQLITE = SqliteDialect()


class SqliteModels(SqlModels):
    """The store of the interval tables on a SQLite connection or cursor.

    The connection needs `register_functions` once, before the first question about case.
    """

    dialect = SQLITE

    def _all_rows(self, statement: str) -> Iterable[Any]:
        # One by one: all rows together may need too much memory.
        cursor: Any = self._executor.execute(statement, ())
        cursor.row_factory = None  # plain rows, whatever the connection gives
        return cursor  # type: ignore[no-any-return]


def register_functions(connection: sqlite3.Connection) -> None:
    """Give a connection the functions that questions use."""
    connection.create_function("casefold", 1, _casefold, deterministic=True)


def _casefold(text: str | None) -> str | None:
    return None if text is None else text.casefold()
