"""Batches within batches: each is all or nothing."""

from __future__ import annotations

import pytest

from ledger.engine.handler import Handler
from ledger.engine.sessions import Sessions
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import StorageError
from ledger.model.commands import SaveRecord
from tests.support.memory_database import MemoryDatabase


@pytest.fixture
def handler() -> Handler:
    return Handler(Sessions(MemoryDatabase(lambda: 1)), clock=lambda: 1, actor="ada")


def save(handler: Handler, name: str) -> None:
    handler.perform(SaveRecord(registry="ulabel", name=name))


def names(handler: Handler) -> list[str]:
    with handler.sessions.reading() as session:
        return [row["name"] for row in session.models.find("ulabel")]


@pytest.mark.parametrize("before", [[], ["outer"]], ids=["first effect", "after another"])
def test_an_inner_batch_that_fails_is_undone_alone(handler, before):
    undone = []
    with handler.batch():
        for name in before:
            save(handler, name)
        with pytest.raises(RuntimeError), handler.batch():  # noqa: PT012 (a whole batch fails)
            handler.sessions.on_undo(lambda: undone.append("inner"))
            save(handler, "inner")
            raise RuntimeError
        assert names(handler) == before
        save(handler, "after")

    assert names(handler) == [*before, "after"]
    assert undone == ["inner"]


@pytest.mark.parametrize("before", [[], ["outer"]], ids=["first effect", "after another"])
def test_an_inner_batch_that_ends_well_is_undone_with_the_outer_one(handler, before):
    undone = []
    with pytest.raises(RuntimeError), handler.batch():  # noqa: PT012 (a whole batch fails)
        for name in before:
            save(handler, name)
        with handler.batch():
            handler.sessions.on_undo(lambda: undone.append("inner"))
            save(handler, "inner")
        assert names(handler) == [*before, "inner"]
        raise RuntimeError

    assert names(handler) == []
    assert undone == ["inner"]
    with handler.sessions.reading() as session:
        assert session.log.head() == 0


def test_an_inner_batch_without_effect_locks_nothing(handler):
    with handler.batch(), handler.batch():
        assert not handler.sessions.is_locking


def test_a_batch_that_the_database_took_back_refuses_to_go_on(tmp_path):
    database = SqliteDatabase.create(tmp_path / "ledger.db", lambda: 1)
    handler = Handler(Sessions(database), clock=lambda: 1, actor="ada")
    with pytest.raises(StorageError, match="took the batch back"), handler.batch():  # noqa: PT012
        save(handler, "lost")
        with handler.sessions.reading() as session:
            session.log.connection.execute("ROLLBACK")
        save(handler, "refused")
    assert names(handler) == []
    database.close()
