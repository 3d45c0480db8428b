"""Read models in a real database for many examples: made once, as good as new for each."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager

import pytest

from projections.sql.models import SqlModels
from projections.sql.postgres import PostgresModels
from projections.sql.sqlite import SqliteModels, register_functions
from tests.support.servers import in_new_schema, new_schema

Empty = Callable[[], AbstractContextManager[SqlModels]]


@contextmanager
def in_sqlite() -> Iterator[SqlModels]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        register_functions(connection)
        models = SqliteModels(connection)
        models.create()
        yield models


@pytest.fixture(scope="session")
def in_postgres(postgres_url: str) -> Iterator[Empty]:
    """Empty tables on a server: made once, emptied by undoing all that came in."""
    with new_schema(postgres_url) as url, in_new_schema(url) as connection:
        PostgresModels(connection).create()

        @contextmanager
        def opened() -> Iterator[SqlModels]:
            with connection.transaction(force_rollback=True):
                yield PostgresModels(connection)

        yield opened


@pytest.fixture(scope="session", params=["sqlite", "postgres"])
def empty(request: pytest.FixtureRequest) -> Empty:
    """How to get empty tables in a database."""
    return in_sqlite if request.param == "sqlite" else request.getfixturevalue("in_postgres")
