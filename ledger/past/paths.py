"""The ways from one record of a lineage to another, shortest first.

1. A way passes each record once.
2. Only steps that can be completed are taken, each rated by its shortest completion: the cost grows
   with the number of ways that are asked for, whatever the number of all of them.
3. A lineage can hold circles: a run reads what another made of its own output, and makes it again.
   There, what a way has passed already is no way out, so completions are looked for around it.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

Steps = Mapping[str, Collection[str]]


def shortest_paths(
    edges: Iterable[tuple[str, str]], first: str, last: str, limit: int
) -> list[list[str]]:
    """Return up to `limit` paths along the edges, shortest first; among equals, by their uids."""
    onward: dict[str, set[str]] = {}
    back: dict[str, set[str]] = {}
    for source, target in edges:
        onward.setdefault(source, set()).add(target)
        back.setdefault(target, set()).add(source)
    left = _distances(last, back)
    has_circles = _has_circles(onward)
    found: list[list[str]] = []
    # Among equally short ones, the path that is ahead of the others is completed first.
    heap = [(left[first], 0, [first])] if first in left else []
    while heap and len(found) < limit:
        _, ahead, path = heapq.heappop(heap)
        if path[-1] == last:
            found.append(path)
            continue
        around = _distances(last, back, without=path) if has_circles else left
        for uid in sorted(onward.get(path[-1], ())):
            if uid in around and uid not in path:
                heapq.heappush(heap, (len(path) + around[uid], ahead - 1, [*path, uid]))
    return found


def _distances(last: str, back: Steps, *, without: Iterable[str] = ()) -> dict[str, int]:
    """Return the number of steps to the last record, from each record that leads to it."""
    passed = set(without)
    steps = {last: 0}
    level = [last]
    for uid in level:  # grows while it is gone through
        for before in back.get(uid, ()):
            if before not in steps and before not in passed:
                steps[before] = steps[uid] + 1
                level.append(before)
    return steps


def _has_circles(onward: Steps) -> bool:
    try:
        TopologicalSorter(onward).prepare()
    except CycleError:
        return True
    return False
