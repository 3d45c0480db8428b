"""How often the key of a record is hashed between its constructor and the read models."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.model import ids


@pytest.fixture
def hashed(ledger_folder, monkeypatch):  # noqa: ARG001 (the working folder)
    """Every identity that is hashed from now on."""
    ln.init("storage")
    found, inner = [], ids.identity_bytes

    def identity_bytes(identity):
        found.append(identity)
        return inner(identity)

    monkeypatch.setattr(ids, "identity_bytes", identity_bytes)
    yield found
    ln.close()


def run() -> None:
    ln.track("a script")
    ln.ULabel(name="hashed once", description="a label").save()
    ln.finish()


def test_the_key_of_a_new_record_is_hashed_once(hashed):
    ln.ULabel(name="outside a run").save()
    assert hashed.count(["ulabel", "outside a run"]) == 1


def test_the_key_of_a_replayed_record_is_hashed_once(hashed):
    for naturals in (1, 0):
        ids._once.cache_clear()
        hashed.clear()
        run()
        natural = ["ulabel", "hashed once"]
        assert hashed.count(natural) == naturals
        assert hashed.count(["subject", "save", natural]) == 1


def test_a_key_with_parts_that_have_no_hash_is_the_same_key():
    natural = ["transform", "stem", ["source", None]]
    assert ids.natural_id(natural) == ids.derive(natural)
    assert ids.subject_key("save", natural) == ids.derive(["subject", "save", natural])
    assert ids.natural_id(["a", 1]) != ids.natural_id(["a", True])
