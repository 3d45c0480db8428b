"""Two sides of a table compared: many rows at once where they are the same, else one by one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from projections import compare as comparing
from projections.compare import compare
from projections.tables import FOREVER


def row(name: object, position: object = 1, begins: object = 1) -> tuple:
    return (name, position, 5, "ada", begins, FOREVER)


def told(expected, found) -> list[tuple]:
    return [
        (it.key["name"], it.expected is not None, it.found is not None)
        for it in compare("tag", iter(expected), iter(found))
    ]


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    monkeypatch.setattr(comparing, "_AT_ONCE", 3)


@given(
    st.lists(st.integers(0, 20), unique=True).map(sorted),
    st.lists(st.integers(0, 20), unique=True).map(sorted),
    st.sets(st.integers(0, 20)),
)
def test_exactly_the_rows_that_differ_are_told(here, there, other):
    names = [f"{n:02}" for n in range(21)]
    found = told(
        [row(names[n]) for n in here], [row(names[n], 2 if n in other else 1) for n in there]
    )
    assert found == [
        (names[n], n in here, n in there)
        for n in range(21)
        if (n in here) != (n in there) or (n in here and n in other)
    ]


@pytest.mark.parametrize("other", [1.0, True, "1", b"1", None, 2**70, float("nan")], ids=str)
def test_values_of_another_kind_differ(other):
    rows = [row("a"), row("b"), row("c"), row("d")]
    found = [*rows[:3], row("d", other)]
    assert told(rows, found) == [("d", True, True)]


def test_text_that_is_none_keeps_its_place_among_texts():
    class Text(bytes):
        __slots__ = ()

    rows = [row("a"), row("b"), row("c")]
    assert told(rows, [row("a"), row(Text(b"b\xff")), row("c")]) == [
        ("b", True, False), ("b\\xff", False, True),
    ]  # fmt: skip
    assert told(rows, [*rows, row(b"a")]) == [("a", False, True)]
