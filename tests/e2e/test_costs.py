"""What users' work costs on both databases, counted in statements and commits, not in seconds."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.upkeep.rebuild import rebuild
from tests.support.counting import Counted


@pytest.fixture
def counted(monkeypatch):
    return Counted(monkeypatch)


@pytest.fixture
def shop(counted, here):
    """Counted work in an empty ledger, without the search for similar names."""
    del here
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    return counted


def labels(count: int, word: str = "label") -> list[ln.ULabel]:
    return ln.save([ln.ULabel(f"{word} {number}") for number in range(count)])


def test_the_commits_of_a_rebuild_do_not_grow_with_the_ledger(shop):
    costs = []
    for word in ("few", "more", "many"):
        labels(3 if word == "few" else 60, word)
        before = shop.commits
        assert rebuild().differences == ()
        costs.append(shop.commits - before)
    assert costs[0] >= 1
    assert len({*costs}) == 1
