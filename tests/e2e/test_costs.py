"""What users' work costs on both databases, counted in statements and commits, not in seconds."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.upkeep.rebuild import rebuild
from tests.support.counting import Counted
from tests.support.door import names


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


def test_what_a_bulk_asks_does_not_grow_with_it(shop):
    ln.track(key="script.py", new_run=True)
    labels(3, "first")
    costs = []
    for count in (10, 200):
        made = [ln.ULabel(f"label {count} {number}") for number in range(count)]
        said = shop.of(lambda records=made: ln.save(records))
        costs.append(len([it for it in said if it.lstrip().startswith(("SELECT", "WITH"))]))
    ln.finish()
    assert costs[0] == costs[1] <= 12
    assert names(ln.ULabel.filter(name__startswith="label 10")) == [
        f"label 10 {number}" for number in range(10)
    ]


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "question",
    [
        lambda: list(ln.ULabel.filter()[:20]),
        lambda: [*ln.ULabel.filter()],
        lambda: tuple(ln.ULabel.filter(name__startswith="l")),
        lambda: [].extend(ln.ULabel.filter()),
        lambda: ln.ULabel.filter().all(),
        lambda: ln.ULabel.filter().exists(),
        lambda: bool(ln.ULabel.filter()),
        lambda: 1 if ln.ULabel.filter(name="no such") else 0,
        lambda: ln.ULabel.filter().first(),
        lambda: ln.ULabel.filter().count(),
        lambda: len(ln.ULabel.filter()),
    ],
    ids=["list", "star", "tuple", "extend", "all", "exists", "bool", "if", "first", "count", "len"],
)
def test_a_question_is_one_statement(shop, question):
    labels(30)
    question()
    said = shop.of(question)
    assert len(said) == 1, said


def test_nothing_is_counted_to_know_whether_there_is_a_record(shop):
    labels(30)
    query = ln.ULabel.filter(name__startswith="label").order_by("-name")
    for question in (query.exists, lambda: bool(query), lambda: list(query)):
        (said,) = shop.of(question)
        assert "count(" not in said
    (said,) = shop.of(query[5:].exists)
    assert "LIMIT" in said
    assert 'name" DESC' not in said


def test_whether_there_is_a_record_in_a_part(shop):
    del shop
    labels(3)
    query = ln.ULabel.filter().order_by("-name")
    assert [query[at:].exists() for at in (0, 2, 3)] == [True, True, False]
    assert not query[:0].exists()
    assert not query[2:2]
    assert bool(query.reverse()[1:9])


def test_a_length_is_that_of_the_present(shop):
    del shop
    labels(2)
    query = ln.ULabel.filter()
    assert list(query) == query.all()
    labels(1, "more")
    assert len(query) == 3
    begun = iter(query)
    labels(1, "still more")
    assert len(query) == 4
    assert len([*begun]) == 3
    for _ in query:
        assert len(query) == 4
    assert [len(query), len([*query]), len(query)] == [4, 4, 4]
