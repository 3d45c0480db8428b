"""A lineage drawn with characters, in the manner of `git log --graph`: one record a line.

1. Every record stands above the records that its lines lead down to; each is named once.
2. A lane leads from a record down to one that comes later; lanes that wait for the same record are
   one lane.
3. Where a lane crosses a connection it does not take part in, the connection is interrupted.
4. A way back to a record above, as in a cycle, is told beside the record it leaves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ledger.past.drawing import Drawn, Picture

SYMBOLS = {"artifact": "●", "run": "◆", "collection": "■", "transform": "▲"}
_PLAIN = str.maketrans(
    {
        "●": "*", "◆": "o", "■": "#", "▲": "^", "│": "|", "─": "-", "├": "+", "┤": "+", "┼": "+",
        "╰": "+", "╯": "+", "╭": "+", "╮": "+", "┴": "+", "┬": "+", "…": "~", "·": "-", "↺": "@",
    }
)  # fmt: skip


def plain(line: str) -> str:
    """Return a line in ASCII, for terminals that cannot show more."""
    return line.translate(_PLAIN)


def graph_rows(picture: Picture, *, upward: bool) -> list[tuple[str, Drawn | None, str]]:
    """Return the lines of a picture: the drawing, the record named there, a remark.

    Args:
        picture: Nodes and edges along time.
        upward: Whether the latest stands at the top, as for ancestors; else the first does.
    """
    below: dict[str, list[str]] = {node.id: [] for node in picture.nodes}
    revises: dict[str, list[str]] = {}
    for line in picture.lines:
        if line.kind == "revision":
            revises.setdefault(line.target, []).append(line.source)
            continue
        above, under = (line.target, line.source) if upward else (line.source, line.target)
        if under not in below[above]:
            below[above].append(under)
    nodes = {node.id: node for node in picture.nodes}
    rows: list[tuple[str, Drawn | None, str]] = []
    lanes: list[str | None] = []
    done: set[str] = set()
    for uid in _from_the_top(picture.nodes, below):
        done.add(uid)
        place = _place_of(uid, lanes)
        drawn = [("│" if lane else " ") for lane in lanes]
        drawn[place] = SYMBOLS[nodes[uid].registry]
        remarks = [f"revises {nodes[each].label}" for each in revises.get(uid, ())]
        remarks += [f"↺ {nodes[each].label}" for each in below[uid] if each in done]
        rows.append((" ".join(drawn).rstrip(), nodes[uid], ", ".join(remarks)))
        onward = [each for each in below[uid] if each not in done]
        connection = _lead_on(lanes, place, onward)
        if connection:
            rows.append((connection, None, ""))
    return rows


def _from_the_top(nodes: Iterable[Drawn], below: dict[str, list[str]]) -> list[str]:
    """Return uids so that each comes before what is below it, as far as there is no cycle."""
    waits = dict.fromkeys(below, 0)
    for under in below.values():
        for each in under:
            waits[each] += 1
    order: list[str] = []
    listed: set[str] = set()
    # A start that waits for nothing is taken first; in a cycle nothing is free, so one is chosen.
    starts = sorted(nodes, key=lambda node: (waits[node.id] > 0, not node.is_start))
    ready: list[str] = []
    for start in starts:
        ready.append(start.id)
        while ready:
            uid = ready.pop()
            if uid in listed:
                continue
            listed.add(uid)
            order.append(uid)
            for each in reversed(below[uid]):
                waits[each] -= 1
                if waits[each] == 0:
                    ready.append(each)
    return order


def _place_of(uid: str, lanes: list[str | None]) -> int:
    """Return the lane of a record; a free one where none waits for it."""
    if uid in lanes:
        return lanes.index(uid)
    for place, lane in enumerate(lanes):
        if lane is None:
            lanes[place] = uid
            return place
    lanes.append(uid)
    return len(lanes) - 1


def _lead_on(lanes: list[str | None], place: int, onward: list[str]) -> str:
    """Let lanes lead from a record to those below it, and return the line to draw for that.

    It is empty where one lane goes straight on, or ends.
    """
    lanes[place] = None
    joined = [lanes.index(uid) for uid in onward if uid in lanes]
    fresh = [uid for uid in onward if uid not in lanes]
    begun: list[int] = []
    for uid in fresh:
        free = next((p for p, lane in enumerate(lanes) if lane is None and p >= place), len(lanes))
        if free == len(lanes):
            lanes.append(None)
        lanes[free] = uid
        begun.append(free)
    goes_on = place in begun
    ends = {*joined, *begun, place}
    drawn = ""
    if len(ends) > 1:
        drawn = _connection(lanes, place, set(joined), set(begun) - {place}, goes_on=goes_on)
    while lanes and lanes[-1] is None:
        lanes.pop()
    return drawn


def _connection(
    lanes: list[str | None], place: int, joined: set[int], begun: set[int], *, goes_on: bool
) -> str:
    ends = {*joined, *begun, place}
    first, last = min(ends), max(ends)
    drawn = []
    for column, lane in enumerate(lanes):
        left, right = first < column <= last, first <= column < last
        if column == place:
            drawn.append(_joint(left=left, right=right, up=True, down=goes_on))
        elif column in joined:
            drawn.append(_joint(left=left, right=right, up=True, down=True))
        elif column in begun:
            drawn.append(_joint(left=left, right=right, up=False, down=True))
        elif lane is not None:
            drawn.append("│")
        else:
            drawn.append("─" if left and right else " ")
        drawn.append("─" if right else " ")
    return "".join(drawn).rstrip()


def _joint(*, left: bool, right: bool, up: bool, down: bool) -> str:
    return {
        (False, True, True, True): "├",
        (True, False, True, True): "┤",
        (True, True, True, True): "┼",
        (False, True, True, False): "╰",
        (True, False, True, False): "╯",
        (True, True, True, False): "┴",
        (False, True, False, True): "╭",
        (True, False, False, True): "╮",
        (True, True, False, True): "┬",
    }[left, right, up, down]
