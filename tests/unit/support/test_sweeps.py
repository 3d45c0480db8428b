from __future__ import annotations

import pytest

from tests.support.sweeps import few


def quick_ones(points, number):
    return [it for it in few(points, number) if not hasattr(it, "marks")]


@pytest.mark.parametrize(
    ("number", "taken"), [(1, [0]), (2, [0, 10]), (3, [0, 5, 10]), (20, list(range(11)))]
)
def test_a_few_points_are_taken_evenly_and_the_others_are_slow(number, taken):
    assert quick_ones(range(11), number) == taken
    params = few(range(11), number)
    assert [it.values[0] if hasattr(it, "values") else it for it in params] == list(range(11))
    slow = [it for it in params if hasattr(it, "marks")]
    assert all([mark.name for mark in it.marks] == ["slow"] for it in slow)


def test_a_point_may_be_several_values():
    one, slow, last = few([("a", 1), ("b", 2), ("c", 3)], 2)
    assert (one, slow.values, last) == (("a", 1), ("b", 2), ("c", 3))


def test_a_point_may_stand_alone():
    assert quick_ones(["only"], 3) == ["only"]
