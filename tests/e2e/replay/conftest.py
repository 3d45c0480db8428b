"""A ledger for histories, quiet about similar names; and a bench for passes within this process."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.histories import Bench, Lab


@pytest.fixture(params=["sqlite", "postgres"])
def lab(request, ledger_folder, monkeypatch):
    """A ledger in a folder of its own, with scripts; its database in a file, and on a server."""
    monkeypatch.setitem(ln.settings.creation._values, "search_names", False)  # noqa: FBT003 (the value)
    is_on_server = request.param == "postgres"
    yield Lab(ledger_folder, str(request.getfixturevalue("postgres")) if is_on_server else None)
    ln.close()


@pytest.fixture
def bench(lab, monkeypatch):
    """Passes within this process."""
    bench = Bench(lab, monkeypatch)
    yield bench
    lab.ledger.handler.tracked = None
