"""Fresh read models: made by sorting changes, they are what carrying out each in turn makes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import CorruptLogError, InvalidValueError, NameTakenError, UnknownFieldError
from projections.fold import Amended, Closed, Opened, fold
from projections.shadow import Shadow
from projections.tables import FOREVER, TABLES
from tests.property.strategies import histories
from tests.support import builders as b
from tests.support.memory_models import MemoryModels


def shadow_of(*changes) -> Shadow:
    """A shadow of events of one change each, at positions from 1."""
    shadow = Shadow()
    for position, change in enumerate(changes, start=1):
        shadow.apply(position, [change])
    return shadow


def told(*changes, table: str = "tag") -> tuple[list[tuple], list[tuple]]:
    """The rows that changes make, and the problems that they meet."""
    problems = []
    with shadow_of(*changes) as shadow:
        rows = list(shadow.rows(table, problems))
    return rows, [(position, type(error)) for position, error in problems]


def tag(name: str, position: int = 1) -> Opened:
    return Opened("tag", {"name": name, "position": position, "tagged_at": 5, "actor": "ada"})


def label(uid: str, name: str | None, state: int = 0) -> Opened:
    return Opened("ulabel", {"uid": uid, "name": name, "state": state})


def spans(rows) -> list[tuple]:
    return [(row[0], *row[-2:]) for row in rows]


@given(histories())
def test_a_shadow_holds_the_rows_that_the_memory_store_holds(history):
    memory = MemoryModels()
    b.feed(memory, history)
    with Shadow() as shadow:
        for each in history:
            shadow.apply(each.position, fold(each))
        for name, table in TABLES.items():
            rows = memory.find(name, ever=True)
            rows.sort(key=lambda row: [row[it] for it in (*table.key, "from_position")])
            assert list(shadow.rows(name)) == [tuple(row.values()) for row in rows]
            assert list(shadow.rows(name)) == list(shadow.rows(name))


@given(histories(), st.data())
def test_rows_that_are_believed_go_on_as_if_they_had_been_made(history, data):
    middle = data.draw(st.integers(0, len(history)))
    memory = MemoryModels()
    b.feed(memory, history[:middle])
    with Shadow() as whole, Shadow() as believing:
        for name in TABLES:
            believing.believe(name, [tuple(row.values()) for row in memory.find(name, ever=True)])
        for each in history:
            whole.apply(each.position, fold(each))
            if each.position > middle:
                believing.apply(each.position, fold(each))
        for name in TABLES:
            assert list(believing.rows(name)) == list(whole.rows(name))


def test_booleans_are_numbers_where_they_are_wanted_as_stored():
    story = b.log(b.artifact_registered(in_place=True))
    place = TABLES["artifact"].column_names.index("in_place")
    with Shadow() as shadow:
        shadow.apply(1, fold(story[0]))
        assert [row[place] for row in shadow.rows("artifact")] == [True]
        (stored,) = shadow.rows("artifact", as_stored=True)
        assert type(stored[place]) is int


def test_rows_come_in_the_order_of_their_key():
    names = ["b", "", "a", "é", "\U0001f600", "￿", "a\0"]
    rows, problems = told(*map(tag, names))
    assert [row[0] for row in rows] == sorted(names)
    assert problems == []


def test_a_change_of_what_is_not_there_is_told_at_its_place():
    rows, problems = told(tag("a"), Amended("tag", {"name": "b"}, {"actor": "eve"}), tag("c"))
    assert [row[0] for row in rows] == ["a", "c"]
    assert problems == [(2, CorruptLogError)]


def test_a_change_of_what_is_there_twice_is_told_at_its_place():
    rows, problems = told(tag("a"), tag("a"), Amended("tag", {"name": "a"}, {"actor": "eve"}))
    assert spans(rows) == [("a", 1, FOREVER), ("a", 2, FOREVER)]
    assert problems == [(3, CorruptLogError)]


def test_what_begins_twice_at_one_position_is_told():
    problems = []
    with Shadow() as shadow:
        shadow.apply(1, [tag("a"), tag("a")])
        shadow.apply(2, [tag("b"), Amended("tag", {"name": "b"}, {"actor": "eve"})])
        shadow.apply(3, [tag("c"), Closed("tag", {"name": "c"}), tag("c")])
        assert spans(shadow.rows("tag", problems)) == [
            ("a", 1, FOREVER), ("b", 2, FOREVER), ("c", 3, 3),
        ]  # fmt: skip
    assert [position for position, _ in problems] == [1, 2, 3]


def test_without_a_list_for_problems_the_first_is_raised_after_the_last_row():
    with shadow_of(tag("b"), Closed("tag", {"name": "b"}), tag("a")) as shadow:
        shadow.apply(5, [Amended("tag", {"name": "none"}, {"actor": "eve"})])
        shadow.apply(4, [Amended("tag", {"name": "z"}, {"actor": "eve"})])
        rows = shadow.rows("tag")
        assert [next(rows)[0], next(rows)[0]] == ["a", "b"]
        with pytest.raises(CorruptLogError, match="position 4"):
            next(rows)


def test_rows_can_be_ended_by_other_columns_than_their_key():
    rows, problems = told(
        Opened("artifact_key", {"key": "k", "uid": "one"}),
        Opened("artifact_key", {"key": "l", "uid": "one"}),
        Opened("artifact_key", {"key": "m", "uid": "two"}),
        Closed("artifact_key", {"uid": "one"}),
        Opened("artifact_key", {"key": "k", "uid": "one"}),
        table="artifact_key",
    )
    assert spans(rows) == [("k", 1, 4), ("k", 5, FOREVER), ("l", 2, 4), ("m", 3, FOREVER)]
    assert problems == []


def test_an_event_that_cannot_be_noted_leaves_none_of_its_changes():
    with Shadow() as shadow:
        for wrong, error in (
            (Opened("tag", {"name": "b", "nonsense": 1}), UnknownFieldError),
            (Opened("tag", {"name": 7}), InvalidValueError),
            (Closed("tag", {"nonsense": 7}), UnknownFieldError),
        ):
            with pytest.raises(error):
                shadow.apply(1, [tag("a"), wrong])
        assert list(shadow.rows("tag")) == []


# --- names ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ([label("b", "x"), label("a", "x")], [2]),
        ([label("a", "x"), label("b", "x", state=1)], []),
        ([label("a", None), label("b", None)], []),
        ([label("a", "x"), Amended("ulabel", {"uid": "a"}, {"name": "y"}), label("b", "x")], []),
        ([label("a", "x"), label("b", "y"), Amended("ulabel", {"uid": "b"}, {"name": "x"})], [3]),
        ([label("a", "x"), label("b", "x"), label("c", "x")], [2, 3]),
        (
            [
                label("a", "x"),
                label("b", "x", state=1),
                Amended("ulabel", {"uid": "b"}, {"state": 0}),
            ],
            [3],
        ),
    ],
)
def test_a_name_that_another_live_record_bears_is_told(changes, places):
    assert told(*changes, table="ulabel")[1] == [(place, NameTakenError) for place in places]


# --- size -----------------------------------------------------------------------------------------


def test_a_record_that_changes_often_is_not_looked_through_each_time(monkeypatch):
    count = 3_000
    looked_at = []
    changes = [label("a", "0")]
    changes += [Amended("ulabel", {"uid": "a"}, {"name": f"{n}"}) for n in range(count)]
    with shadow_of(*changes) as shadow:
        notes = shadow._notes["ulabel"]
        honest = notes._carry_out

        def watched(rows, *rest):
            looked_at.append(len(rows))
            return honest(rows, *rest)

        monkeypatch.setattr(notes, "_carry_out", watched)
        assert len(list(shadow.rows("ulabel"))) == count + 1
    assert max(looked_at) == 1


def test_notes_do_not_pile_up_in_memory(monkeypatch):
    monkeypatch.setattr("projections.shadow._NOTED", 10)
    with Shadow() as shadow:
        most = 0
        for position in range(1, 100):
            shadow.apply(position, [tag(f"{position:03}")])
            most = max(most, shadow._waiting)
        assert most <= 10
        assert len(list(shadow.rows("tag"))) == 99
