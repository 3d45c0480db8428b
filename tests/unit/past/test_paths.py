"""Ways through a lineage: each passes a record once, the shortest come first, circles end."""

from __future__ import annotations

from itertools import islice, pairwise, permutations

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from ledger.past.paths import shortest_paths

uids = st.sampled_from("abcdef")


@given(edges=st.sets(st.tuples(uids, uids).filter(lambda it: it[0] != it[1]), max_size=20))
def test_paths_are_those_of_another_implementation(edges):
    graph = nx.DiGraph(sorted(edges))
    graph.add_nodes_from("ab")
    expected = sorted(nx.all_simple_paths(graph, "a", "b"))
    found = shortest_paths(edges, "a", "b", 1_000)
    assert sorted(found) == expected
    assert [len(path) for path in found] == sorted(map(len, found))


@given(
    edges=st.sets(st.tuples(uids, uids).filter(lambda it: it[0] != it[1]), max_size=20),
    limit=st.integers(1, 5),
)
def test_a_limit_keeps_the_shortest(edges, limit):
    everything = shortest_paths(edges, "a", "b", 1_000)
    assert shortest_paths(edges, "a", "b", limit) == list(islice(everything, limit))


def test_circles_that_lead_nowhere_are_not_gone_through():
    # To go through the circles behind the hub would take longer than anybody waits.
    circles = [f"c{number:02}" for number in range(40)]
    edges = [("first", "hub"), ("hub", "last"), *permutations(circles, 2)]
    edges += [edge for uid in circles for edge in (("hub", uid), (uid, "hub"))]
    assert shortest_paths(edges, "first", "last", 100) == [["first", "hub", "last"]]


def test_many_paths_through_circles_are_found_one_by_one():
    circles = [f"c{number:02}" for number in range(30)]
    edges = {("first", circles[0]), (circles[-1], "last"), *permutations(circles, 2)}
    found = shortest_paths(edges, "first", "last", 200)
    assert len({tuple(path) for path in found}) == 200
    assert all(set(pairwise(path)) <= edges and len(set(path)) == len(path) for path in found)
    assert len(found[0]) == 4


def test_no_path_and_the_path_of_a_record_to_itself():
    assert shortest_paths([("a", "b")], "b", "a", 5) == []
    assert shortest_paths([("a", "b")], "a", "a", 5) == [["a"]]
