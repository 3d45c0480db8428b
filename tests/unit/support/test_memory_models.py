"""What only the store in memory can do: go back."""

from __future__ import annotations

import pytest

from ledger.errors import NameTakenError
from projections.tables import TABLES
from tests.support import builders as b
from tests.support.memory_models import MemoryModels
from tests.support.story import STORY, TABBY


def contents(models):
    return {table: models.find(table, ever=True) for table in TABLES}


def fed(history):
    models = MemoryModels()
    b.feed(models, history)
    return models


@pytest.mark.parametrize("length", range(0, len(STORY), 5))
def test_a_rollback_leaves_what_was_there_at_the_savepoint(length):
    models = fed(STORY[:length])
    token = models.savepoint()
    b.feed(models, STORY[length:])
    models.rollback(token)
    assert contents(models) == contents(fed(STORY[:length]))
    b.feed(models, STORY[length:])
    assert contents(models) == contents(fed(STORY))


def test_an_inner_rollback_keeps_what_the_outer_savepoint_covers():
    models = fed(STORY[:4])
    outer = models.savepoint()
    b.feed(models, STORY[4:10])
    inner = models.savepoint()
    b.feed(models, STORY[10:20])
    models.rollback(inner)
    assert contents(models) == contents(fed(STORY[:10]))
    models.rollback(outer)
    assert contents(models) == contents(fed(STORY[:4]))


def test_a_refused_event_is_undone_whole():
    models = fed(b.log(b.label_created("tabby"), b.label_created("tom")))
    token = models.savepoint()
    with pytest.raises(NameTakenError):
        b.feed(models, b.log(b.changed("ulabel", TABBY, name="tom"), after=2))
    # The row that was to be followed had been ended already.
    models.rollback(token)
    assert [row["name"] for row in models.find("ulabel")] == ["tabby", "tom"]


def test_clearing_can_be_undone():
    models = fed(STORY)
    token = models.savepoint()
    models.clear()
    b.feed(models, STORY[:5])
    models.rollback(token)
    assert contents(models) == contents(fed(STORY))


def test_a_released_savepoint_forgets_how_to_go_back():
    models = MemoryModels()
    token = models.savepoint()
    b.feed(models, STORY)
    models.release(token)
    assert models.savepoint() == token
    models.rollback(token)
    assert contents(models) == contents(fed(STORY))


def test_rows_handed_out_are_copies():
    models = fed(STORY)
    for row in models.find("ulabel", ever=True):
        row["name"] = "changed outside"
    assert contents(models) == contents(fed(STORY))
