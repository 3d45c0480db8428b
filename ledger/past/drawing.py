"""Pictures of a lineage: Mermaid, SVG, HTML. Text of users stays text in all of them.

1. Five or more siblings (records with the same neighbours) fold into one node that says how many.
2. A picture is read along time: from left to right, or from top to bottom if it were too wide.
3. Colour is never the only sign: shape, outline or a word says the same.

Graphviz makes the layout; the wheel of pygraphviz contains it.
"""

from __future__ import annotations

import html
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import MissingDependencyError, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ledger.past.graph import Edge, Node

FOLD_FROM = 5
_LABEL = 40
# In points: the width of a node with the room around it, and the largest width of a picture.
_NODE_WIDTH = 190
_WIDE = 2_400
_FILL = {"artifact": "#e8f1fb", "run": "#fdf3df", "collection": "#e9f7ec", "transform": "#f1ecfa"}
_LINE = {"artifact": "#2f6fb0", "run": "#8a6112", "collection": "#2f8a4b", "transform": "#6b4fa0"}
_SHAPE = {"artifact": "box", "run": "box", "collection": "folder", "transform": "component"}
_MARK_FILL = {
    "added": "#d9f2dd", "removed": "#fbdcdc", "changed": "#fdeec4", "retracted": "#fbdcdc",
}  # fmt: skip
_MARK_LINE = {
    "added": "#1d7a36", "removed": "#b02a2a", "changed": "#a86b00", "retracted": "#b02a2a",
}  # fmt: skip
_STYLE = {
    "input": "solid",
    "output": "solid",
    "output again": "dashed",
    "member": "dotted",
    "transform": "dotted",
    "revision": "dashed",
}
_ARROWS = {
    "output again": "-.->|again|",
    "revision": "-.->|revision|",
    "member": "-.->",
    "transform": "-.->",
}


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a picture: one record, or several folded into one.

    Attributes:
        mark: "added", "removed", "changed", "retracted"; "" for none of them.
        count: How many records it stands for.
    """

    id: str
    registry: str
    label: str
    detail: str
    is_start: bool = False
    mark: str = ""
    count: int = 1


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An edge of a picture."""

    source: str
    target: str
    kind: str
    mark: str = ""


class Picture(msgspec.Struct, frozen=True, kw_only=True):
    """Nodes and edges to draw; `note` is a word below them."""

    nodes: list[Drawn]
    lines: list[Line]
    note: str = ""


def picture_nodes(nodes: Iterable[Node], *, start: str, marks: Mapping[str, str]) -> list[Drawn]:
    """Return nodes as they are drawn; a mark in `marks`, by uid, replaces that of a retraction."""
    return [
        Drawn(
            id=node.uid,
            registry=node.registry,
            label=short(node.label),
            detail=printable(node.detail),
            is_start=node.uid == start,
            mark=marks.get(node.uid, "retracted" if node.is_retracted else ""),
        )
        for node in nodes
    ]


def lines_of(edges: Iterable[Edge]) -> list[Line]:
    """Return edges as they are drawn."""
    return [Line(source=edge.source, target=edge.target, kind=edge.kind) for edge in edges]


def folded(nodes: list[Drawn], lines: list[Line], *, note: str = "") -> Picture:
    """Return a picture in which families of five or more siblings are one node each."""
    before: dict[str, set[Any]] = {}
    after: dict[str, set[Any]] = {}
    for line in lines:
        after.setdefault(line.source, set()).add((line.target, line.kind, line.mark))
        before.setdefault(line.target, set()).add((line.source, line.kind, line.mark))
    families: dict[Any, list[Drawn]] = {}
    for node in nodes:
        neighbours = (frozenset(before.get(node.id, ())), frozenset(after.get(node.id, ())))
        alike = (node.registry, node.mark, *neighbours)
        families.setdefault((node.id,) if node.is_start else alike, []).append(node)
    drawn: list[Drawn] = []
    shown_as: dict[str, str] = {}
    for members in families.values():
        first = members[0]
        if len(members) < FOLD_FROM:
            drawn += members
            shown_as |= {node.id: node.id for node in members}
            continue
        shown_as |= {node.id: first.id for node in members}
        drawn.append(
            msgspec.structs.replace(
                first,
                label=f"{len(members):,} {first.registry}s",
                detail=f"{first.label}, {members[1].label}, …",
                count=len(members),
            )
        )
    kept = dict.fromkeys(
        (shown_as[line.source], shown_as[line.target], line.kind, line.mark)
        for line in lines
        if line.source in shown_as and line.target in shown_as
    )
    return Picture(
        nodes=drawn,
        lines=[Line(source=s, target=t, kind=kind, mark=mark) for s, t, kind, mark in kept],
        note=note,
    )


def mermaid(picture: Picture) -> str:
    """Return the text of a Mermaid flowchart."""
    names = {node.id: f"n{number}" for number, node in enumerate(picture.nodes)}
    lines = ["flowchart LR"]
    for node in picture.nodes:
        text = "<br/>".join(_mermaid_text(part) for part in _texts(node))
        opening, closing = ('(["', '"])') if node.registry == "run" else ('["', '"]')
        kind = node.mark or node.registry
        lines.append(f"  {names[node.id]}{opening}{text}{closing}:::{kind}")
    lines += [
        f"  {names[line.source]} {_ARROWS.get(line.kind, '-->')} {names[line.target]}"
        for line in picture.lines
    ]
    used = dict.fromkeys(node.mark or node.registry for node in picture.nodes)
    fills, strokes = _FILL | _MARK_FILL, _LINE | _MARK_LINE
    lines += [f"  classDef {kind} fill:{fills[kind]},stroke:{strokes[kind]}" for kind in used]
    lines += [
        f"  style {names[node.id]} stroke-width:3px" for node in picture.nodes if node.is_start
    ]
    if picture.note:
        lines.append(f'  note["{_mermaid_text(picture.note)}"]')
    return "\n".join(lines) + "\n"


def svg(picture: Picture) -> str:
    """Return an SVG picture.

    Raises:
        MissingDependencyError: pygraphviz is not installed.
    """
    try:
        import pygraphviz  # noqa: PLC0415 (loads Graphviz)
    except ImportError as error:
        raise MissingDependencyError(
            "to_svg() needs pygraphviz, which is not installed; "
            "pip install 'metaledger[graph]', or use to_mermaid()"
        ) from error
    graph = pygraphviz.AGraph(directed=True, strict=False)
    across = _fits_across(picture)
    graph.graph_attr.update(
        rankdir="LR" if across else "TB", nodesep="0.25", ranksep="0.45", bgcolor="white", pad="0.2"
    )
    graph.node_attr.update(
        fontname="Helvetica,Arial,sans-serif", fontsize="12", style="filled", margin="0.14,0.07"
    )
    graph.edge_attr.update(color="#64748b", arrowsize="0.7", fontsize="10")
    for node in picture.nodes:
        fill, line = _colours(node)
        graph.add_node(
            node.id,
            label=_dot_text("\n".join(_texts(node))),
            shape=_SHAPE[node.registry],
            style="filled,rounded" if node.registry == "run" else "filled",
            peripheries=2 if node.count > 1 else 1,
            fillcolor=fill,
            color=line,
            fontcolor="#0f172a",
            penwidth="2.8" if node.is_start else "1.2",
            tooltip=_dot_text(f"{node.registry} {node.id}"),
        )
    for each in picture.lines:
        graph.add_edge(
            each.source,
            each.target,
            style=_STYLE[each.kind],
            tooltip=each.kind,
            color=_MARK_LINE.get(each.mark, "#64748b"),
            penwidth="2" if each.mark else "1",
            constraint="false" if each.kind == "revision" else "true",
        )
    if picture.note:
        graph.add_node("note", label=_dot_text(picture.note), shape="plaintext", style="")
    with _first_words_unsaid():
        drawn: bytes = graph.draw(format="svg", prog="dot")
    text = drawn.decode("utf-8")
    return text[text.index("<svg") :]


@contextmanager
def _first_words_unsaid() -> Iterator[None]:
    """Leave out what the library of fonts says as it reads the system's lists, once a process.

    The one in the wheel of pygraphviz is older than many systems' lists, and complains of words
    that it does not know. It writes past Python, to the stream itself. Other lines of it are said.
    """
    if _drawn_before or not (saved := _copy_of(_STDERR)):
        yield
        return
    _drawn_before.append(True)
    with tempfile.TemporaryFile() as said:
        os.dup2(said.fileno(), _STDERR)
        try:
            yield
        finally:
            os.dup2(saved, _STDERR)
            os.close(saved)
            said.seek(0)
            kept = [line for line in said if not line.startswith(b"Fontconfig ")]
            if kept:
                os.write(_STDERR, b"".join(kept))


_STDERR = 2
_drawn_before: list[bool] = []


def _copy_of(descriptor: int) -> int | None:
    try:
        return os.dup(descriptor)
    except OSError:  # it was closed as the process began
        return None


def as_html(title: str, picture: Picture) -> str:
    """Return a title and a picture as HTML; without pygraphviz, the Mermaid text."""
    try:
        drawn = svg(picture)
    except MissingDependencyError as error:
        drawn = f"<p>{html.escape(str(error))}</p><pre>{html.escape(mermaid(picture))}</pre>"
    return f"<div><p>{html.escape(title)}</p><div style='overflow:auto'>{drawn}</div></div>"


def short(text: str) -> str:
    """Return a text as one line that fits a node, cut in its middle, which tells least."""
    line = printable(text).replace("\n", " ")
    if len(line) <= _LABEL:
        return line
    half = (_LABEL - 1) // 2
    return f"{line[:half]}…{line[-half:]}"


def _texts(node: Drawn) -> list[str]:
    """Return the lines of a node; its uid cut in the middle, as both ends tell versions apart."""
    uid = f"{node.id[:4]}…{node.id[-4:]}"
    is_named = node.count == 1 and node.label != node.id
    second = f"{uid} · {node.detail}" if is_named else node.detail
    return [node.label, second, *([node.mark] if node.mark else [])]


def _colours(node: Drawn) -> tuple[str, str]:
    if node.mark:
        return _MARK_FILL[node.mark], _MARK_LINE[node.mark]
    return _FILL[node.registry], _LINE[node.registry]


def _fits_across(picture: Picture) -> bool:
    """Return whether a picture from left to right fits, or is less wide than one downwards."""
    layers = _layers(picture)
    widest = max(layers.values(), default=1)
    across = len(layers) * _NODE_WIDTH
    return across <= _WIDE or across <= widest * _NODE_WIDTH


def _layers(picture: Picture) -> Counter[int]:
    """Return how many nodes each layer has along time; cycles are not gone round."""
    after: dict[str, list[str]] = {}
    degree = {node.id: 0 for node in picture.nodes}
    for line in picture.lines:
        if line.kind != "revision":
            after.setdefault(line.source, []).append(line.target)
            degree[line.target] += 1
    layer = {uid: 1 for uid, number in degree.items() if not number}
    ready = list(layer)
    for uid in ready:  # grows while it is gone through
        for target in after.get(uid, ()):
            layer[target] = max(layer.get(target, 1), layer[uid] + 1)
            degree[target] -= 1
            if not degree[target]:
                ready.append(target)
    return Counter(layer.values())


def _dot_text(text: str) -> str:
    # A backslash begins an escape of Graphviz; text that begins with < would be its HTML.
    safe = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"\u200b{safe}" if safe.startswith("<") else safe


def _mermaid_text(text: str) -> str:
    """Return text with everything that Mermaid could read as its own written as entities."""
    return "".join(
        character if character.isalnum() or character in " .,-_/·…:+=" else f"#{ord(character)};"
        for character in text
    )
