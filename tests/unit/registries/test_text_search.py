"""The index of similar names keeps up with the ledger, and with batches that fail."""

from __future__ import annotations

from ledger.engine.handler import Handler
from ledger.engine.sessions import Sessions
from ledger.engine.similar_names import NameSearch
from ledger.model.commands import SaveRecord
from projections.names.index import NameIndex
from tests.support.memory_database import MemoryDatabase


def saved(handler: Handler, name: str) -> str:
    return handler.perform(SaveRecord(registry="ulabel", name=name)).uid


def made() -> tuple[Handler, NameSearch]:
    handler = Handler(Sessions(MemoryDatabase(lambda: 1)), clock=lambda: 1, actor="ada")
    return handler, NameSearch(handler.sessions, "ulabel")


def names(search: NameSearch, name: str) -> list[str]:
    return [hit.name for hit in search.similar(name, limit=5).hits]


def test_a_name_that_was_saved_since_is_found():
    handler, search = made()
    assert names(search, "Immune study") == []
    saved(handler, "Immune studies")
    assert names(search, "Immune study") == ["Immune studies"]


def test_inside_a_batch_its_own_names_are_found():
    handler, search = made()
    with handler.batch():
        saved(handler, "Immune studies")
        assert names(search, "Immune study") == ["Immune studies"]
    assert names(search, "Immune study") == ["Immune studies"]


def test_names_of_a_batch_that_failed_are_forgotten():
    handler, search = made()
    saved(handler, "Imune study")
    try:
        with handler.batch():
            saved(handler, "Immune studies")
            names(search, "Immune study")
            raise RuntimeError  # noqa: TRY301 (the failure is the point)
    except RuntimeError:
        pass
    saved(handler, "Something else")
    assert names(search, "Immune study") == ["Imune study"]


def test_a_batch_of_many_names_fills_the_index_once(monkeypatch):
    handler, search = made()
    put = []
    original = NameIndex.put
    monkeypatch.setattr(
        NameIndex, "put", lambda self, uid, name: (put.append(name), original(self, uid, name))
    )
    with handler.batch():
        for number in range(50):
            names(search, f"name {number}")
            saved(handler, f"name {number}")
    names(search, "name")
    assert len(put) == 50
