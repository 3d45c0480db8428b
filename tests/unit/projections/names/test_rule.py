"""The parts of the rule that need no distance."""

from __future__ import annotations

import pytest

from projections.names.normalise import name_key
from projections.names.rule import (
    CUTOFF,
    default_cutoff,
    letter_bound,
    needs_equal_numbers,
    numbers_agree,
    selections,
)


@pytest.mark.parametrize(
    ("names", "cutoff"), [(0, 82.0), (100_000, 82.0), (100_001, 85.0), (10_000_000, 85.0)]
)
def test_crowded_registries_ask_for_more_similarity(names: int, cutoff: float) -> None:
    assert default_cutoff(names) == cutoff


@pytest.mark.parametrize(
    ("letters", "length", "bound"),
    [(1, 1, 1), (5, 6, 1), (6, 6, 2), (25, 25, 9), (20, 30, 9), (24, 25, 8), (50, 50, 16)],
)
def test_bound_is_18_percent_between_1_and_16(letters: int, length: int, bound: int) -> None:
    assert letter_bound(name_key("x" * letters), length, CUTOFF) == bound
    assert letter_bound(name_key("x" * letters), length, 85.0) == bound


@pytest.mark.parametrize(
    ("query", "bound"), [("gsx 300", 2), ("g1 s2 x3", 2), ("gsx 30", 1), ("gsx 007", 1)]
)
def test_query_that_reads_like_an_accession_may_differ_by_two_letters(
    query: str, bound: int
) -> None:
    assert letter_bound(name_key(query), 3, CUTOFF) == bound


def test_lower_cutoff_leaves_letters_more_room() -> None:
    assert letter_bound(name_key("x" * 10), 10, 70.0) == 6


@pytest.mark.parametrize(
    ("one", "other", "agree"),
    [
        ("s 1", "s 1", True),
        ("s 1", "s 2", False),
        ("s 01", "s 1", True),
        ("s", "s 2", True),
        ("p 1 w 2", "w 2", True),
        ("p 1 w 2", "w 2 p 1", True),
        ("p 1 w 2", "p 1 w 3", False),
        ("p 1 w 1", "p 1", True),
        ("p 1 w 1", "p 1 w 2", False),
        ("s 12", "s 1 2", False),
    ],
)
def test_numbers_agree_when_one_name_has_all_of_the_other(
    one: str, other: str, *, agree: bool
) -> None:
    assert numbers_agree(name_key(one).numbers, name_key(other).numbers) is agree
    assert numbers_agree(name_key(other).numbers, name_key(one).numbers) is agree


def test_name_without_letters_needs_equal_numbers() -> None:
    assert needs_equal_numbers(name_key("2024"), name_key("2024 a"))
    assert needs_equal_numbers(name_key("2024 a"), name_key("2024"))
    assert not needs_equal_numbers(name_key("a"), name_key("a 1"))


def test_each_selection_comes_once() -> None:
    assert list(selections(("1", "1", "2"))) == [
        (),
        ("1",),
        ("2",),
        ("1", "1"),
        ("1", "2"),
        ("1", "1", "2"),
    ]
