"""Whatever happened and whatever is asked, the databases answer as the plain Python store does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections.select import Select
from projections.sql.models import SqlModels
from projections.tables import TABLES
from tests.property.strategies import finds, histories, known_values, readable_names, selects
from tests.support.builders import feed
from tests.support.memory_models import MemoryModels


@pytest.fixture(scope="module")
def stored(empty):
    """How to keep a history in a database and ask it."""

    @contextmanager
    def opened(history) -> Iterator[SqlModels]:
        with empty() as models:
            feed(models, history)
            yield models

    return opened


def in_memory(history) -> MemoryModels:
    models = MemoryModels()
    feed(models, history)
    return models


def exactly(answer):
    """Tell True from 1, and the order of a row's columns."""
    return repr(answer)


def all_answers(models, select: Select, fields):
    return [
        models.select(select),
        models.count(select),
        *(models.distinct(select, field) for field in fields),
    ]


@st.composite
def asked(draw):
    history = draw(histories())
    questions = selects(head=len(history), known=known_values(history))
    return history, draw(st.lists(questions, min_size=1, max_size=6))


@given(asked(), st.data())
def test_a_database_answers_as_memory_does(stored, asked, data):
    history, questions = asked
    memory = in_memory(history)
    with stored(history) as database:
        for select in questions:
            fields = [data.draw(st.sampled_from(readable_names(select.registry)))]
            found = all_answers(database, select, fields)
            assert exactly(found) == exactly(all_answers(memory, select, fields))


@given(histories(), st.data())
def test_a_database_finds_rows_as_memory_does(stored, history, data):
    memory = in_memory(history)
    looks = data.draw(st.lists(finds(head=len(history)), min_size=1, max_size=6))
    after = data.draw(st.integers(0, len(history)))
    with stored(history) as database:
        for table, arguments in looks:
            found = database.find(table, **arguments)
            assert exactly(found) == exactly(memory.find(table, **arguments))
        for registry in ("ulabel", "collection", "transform", "run"):
            changed = database.changed_names(registry, after=after)
            assert exactly(changed) == exactly(memory.changed_names(registry, after=after))


@given(asked())
def test_as_of_the_head_equals_now(stored, asked):
    history, questions = asked
    head = len(history)
    with stored(history) as database:
        for models in (database, in_memory(history)):
            for question in questions:
                now, then = (
                    msgspec.structs.replace(question, at=None),
                    msgspec.structs.replace(question, at=head),
                )
                fields = readable_names(question.registry)[:3]
                assert all_answers(models, now, fields) == all_answers(models, then, fields)


@given(asked(), st.data())
def test_the_past_answers_as_if_the_log_had_ended_there(stored, asked, data):
    history, questions = asked
    end = data.draw(st.integers(0, len(history)))
    before = in_memory(history[:end])
    with stored(history) as database:
        for question in questions:
            now, then = (
                msgspec.structs.replace(question, at=None),
                msgspec.structs.replace(question, at=end),
            )
            fields = readable_names(question.registry)[:3]
            expected = all_answers(before, now, fields)
            assert all_answers(database, then, fields) == expected
            assert all_answers(in_memory(history), then, fields) == expected


@given(histories())
def test_finished_rows_can_be_loaded_into_another_store(stored, history):
    memory, loaded = in_memory(history), MemoryModels()
    with stored([]) as database:
        for table in TABLES:
            rows = memory.find(table, ever=True)
            for store in (database, loaded):
                store.load(table, [tuple(row.values()) for row in rows])
                assert exactly(store.find(table, ever=True)) == exactly(rows)


@given(histories(), st.data())
def test_a_rollback_leaves_what_was_there_before(history, data):
    end = data.draw(st.integers(0, len(history)))
    models = in_memory(history[:end])
    token = models.savepoint()
    feed(models, history[end:])
    models.rollback(token)
    assert contents(models) == contents(in_memory(history[:end]))
    feed(models, history[end:])
    assert contents(models) == contents(in_memory(history))


@given(histories())
def test_at_every_position_at_most_one_row_of_a_key_is_valid(history):
    models = in_memory(history)
    for at in range(len(history) + 1):
        for name, table in TABLES.items():
            keys = [tuple(row[it] for it in table.key) for row in models.find(name, at=at)]
            assert len(keys) == len(set(keys))


@given(histories())
def test_live_labels_bear_different_names(history):
    models = in_memory(history)
    names = [row["name"] for row in models.select(Select(registry="ulabel"))]
    assert len(names) == len(set(names))


def contents(models):
    return {table: models.find(table, ever=True) for table in TABLES}
