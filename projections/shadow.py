"""Read models folded anew, in a file of their own that goes when they are no longer needed.

1. The file is never durable: it is made again if the power fails.
2. It has only those indexes that folding needs; a table's own order is enough to read it whole.
3. An event that cannot be folded leaves no trace in it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from projections import sql_tables
from projections.compare import rows_statement
from projections.fold import Change
from projections.sqlite import SQLITE, SqliteModels, register_functions
from projections.tables import TABLES

_REGISTRY_MARK = "natural"  # a column that only the tables of registries have


class Shadow:
    """Fresh read models."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = TemporaryDirectory(prefix=".shadow-", dir=folder)
        path = Path(self._folder.name, "models.db")
        self._connection = sqlite3.connect(path, isolation_level=None, cached_statements=256)
        for pragma in ("journal_mode=MEMORY", "synchronous=OFF", "cache_size=-131072"):
            self._connection.execute(f"PRAGMA {pragma}").fetchall()
        register_functions(self._connection)
        self.models = SqliteModels(self._connection)
        self.models.create(indexes=False)
        for table in TABLES.values():
            is_registry = _REGISTRY_MARK in table.column_names
            for index in table.indexes:
                if index.is_unique or not is_registry:
                    self._connection.execute(sql_tables.create_index(SQLITE, table, index))
        self._connection.execute("BEGIN")

    def apply(self, position: int, changes: Iterable[Change]) -> None:
        """Carry out the changes of one event; none of them where one cannot be.

        Raises:
            NameTakenError: Two live records would bear one name.
            CorruptLogError: A change is about a record that is not there.
        """
        self._connection.execute("SAVEPOINT one_event")
        try:
            self.models.apply(position, changes)
        except BaseException:
            self._connection.execute("ROLLBACK TO one_event")
            raise
        finally:
            self._connection.execute("RELEASE one_event")

    def load(self, table: str, rows: Iterable[Sequence[Any]]) -> None:
        """Add finished rows, as they were at a position."""
        self._connection.executemany(sql_tables.load(SQLITE, table), rows)

    def rows(
        self, table: str, *, text: Callable[[bytes], Any] | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield all rows of a table in the order of its key.

        Args:
            table: One of `projections.tables.TABLES`.
            text: What makes a value of a text's bytes; text by default.
        """
        before = self._connection.text_factory
        self._connection.text_factory = str if text is None else text
        try:
            yield from self._connection.execute(rows_statement(table))
        finally:
            self._connection.text_factory = before

    def close(self) -> None:
        """Remove them."""
        self._connection.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
