"""What several suites of this folder are run on."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from projections.sql.postgres import PostgresModels
from projections.sql.sqlite import SqliteModels, register_functions
from tests.support.memory_models import MemoryModels
from tests.support.servers import in_new_schema, new_schema


@pytest.fixture(scope="session")
def tables_on_a_server(postgres_url):
    """Empty tables, which each test empties by undoing what came in: made once, not once a test."""
    with new_schema(postgres_url) as url, in_new_schema(url) as connection:
        PostgresModels(connection).create()
        yield connection


@pytest.fixture(params=["memory", "sqlite", "sqlite-rows", "postgres"])
def models(request):
    if request.param == "memory":
        yield MemoryModels()
        return
    if request.param == "postgres":
        connection = request.getfixturevalue("tables_on_a_server")
        with connection.transaction(force_rollback=True):
            yield PostgresModels(connection)
        return
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        if request.param == "sqlite-rows":
            connection.row_factory = sqlite3.Row
        register_functions(connection)
        store = SqliteModels(connection)
        store.create()
        yield store
