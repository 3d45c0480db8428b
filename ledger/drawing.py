"""Pictures of a lineage: Mermaid, SVG, HTML. What a user once typed is text in all of them.

Five or more siblings (records with the same neighbours) fold into one node that says how many.
The layout is Graphviz', which pygraphviz carries in its wheel.
"""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import MissingDependencyError
from ledger.messages import printable

if TYPE_CHECKING:
    from ledger.lineage import Lineage, Node

FOLD_FROM = 5
_LABEL = 40
_FILL = {"artifact": "#e8f1fb", "run": "#fdf3df", "collection": "#e9f7ec"}
_LINE = {"artifact": "#2f6fb0", "run": "#b07d1a", "collection": "#2f8a4b"}
_STYLE = {
    "input": "solid",
    "output": "solid",
    "output again": "dashed",
    "member": "dotted",
    "revision": "dashed",
}


class Drawn(msgspec.Struct, frozen=True, kw_only=True):
    """A node of a picture: one record, or several folded into one."""

    id: str
    registry: str
    label: str
    detail: str
    is_start: bool
    count: int = 1


def folded(lineage: Lineage) -> tuple[list[Drawn], list[tuple[str, str, str]]]:
    """Return nodes and edges of the picture, siblings folded."""
    before: dict[str, set[tuple[str, str]]] = {}
    after: dict[str, set[tuple[str, str]]] = {}
    for edge in lineage.edges:
        after.setdefault(edge.source, set()).add((edge.target, edge.kind))
        before.setdefault(edge.target, set()).add((edge.source, edge.kind))
    families: dict[Any, list[Node]] = {}
    for node in lineage.nodes:
        alone = node.uid == lineage.start
        neighbours = (
            frozenset(before.get(node.uid, ())),
            frozenset(after.get(node.uid, ())),
        )
        families.setdefault((node.uid,) if alone else (node.registry, neighbours), []).append(node)
    drawn: list[Drawn] = []
    shown_as: dict[str, str] = {}
    for members in families.values():
        if len(members) < FOLD_FROM:
            for node in members:
                shown_as[node.uid] = node.uid
                drawn.append(_single(node, is_start=node.uid == lineage.start))
            continue
        first = members[0]
        for node in members:
            shown_as[node.uid] = first.uid
        drawn.append(
            Drawn(
                id=first.uid,
                registry=first.registry,
                label=f"{len(members):,} {first.registry}s",
                detail=f"{_short(first.label)} …",
                is_start=False,
                count=len(members),
            )
        )
    edges = dict.fromkeys(
        (shown_as[edge.source], shown_as[edge.target], edge.kind)
        for edge in lineage.edges
        if edge.source in shown_as and edge.target in shown_as
    )
    return drawn, list(edges)


def mermaid(lineage: Lineage) -> str:
    """Return the text of a Mermaid flowchart."""
    nodes, edges = folded(lineage)
    names = {node.id: f"n{number}" for number, node in enumerate(nodes)}
    lines = ["flowchart LR"]
    for node in nodes:
        text = _mermaid_text(f"{node.label}<br/>{node.detail}")
        shape = f"(['{text}'])" if node.registry == "run" else f"['{text}']"
        shape = shape.replace("'", '"')
        lines.append(f"  {names[node.id]}{shape}:::{node.registry}")
    arrows = {"output again": "-.->", "revision": "-.->|revision|", "member": "-.->"}
    lines += [
        f"  {names[source]} {arrows.get(kind, '-->')} {names[target]}"
        for source, target, kind in edges
    ]
    lines += [
        f"  classDef {registry} fill:{fill},stroke:{_LINE[registry]}"
        for registry, fill in _FILL.items()
    ]
    if not lineage.is_complete:
        lines.append('  cut["cut off at its limit"]')
    return "\n".join(lines) + "\n"


def svg(lineage: Lineage) -> str:
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
    nodes, edges = folded(lineage)
    graph = pygraphviz.AGraph(directed=True, strict=False)
    graph.graph_attr.update(rankdir="LR", nodesep="0.25", ranksep="0.5", bgcolor="transparent")
    graph.node_attr.update(
        fontname="Helvetica,Arial,sans-serif",
        fontsize="11",
        style="filled,rounded",
        margin="0.12,0.06",
    )
    graph.edge_attr.update(color="#64748b", arrowsize="0.7")
    for node in nodes:
        graph.add_node(
            node.id,
            label=_dot_text(f"{node.label}\n{node.detail}"),
            shape="ellipse" if node.registry == "run" else "box",
            fillcolor=_FILL[node.registry],
            color=_LINE[node.registry],
            penwidth="2.5" if node.is_start else "1",
            tooltip=_dot_text(node.id),
        )
    for source, target, kind in edges:
        graph.add_edge(source, target, style=_STYLE[kind], tooltip=kind)
    if not lineage.is_complete:
        graph.add_node("cut", label="cut off at its limit", shape="plaintext", style="")
    drawn: bytes = graph.draw(format="svg", prog="dot")
    text = drawn.decode("utf-8")
    return text[text.index("<svg") :]


def as_html(lineage: Lineage) -> str:
    """Return the picture and a line about it; the Mermaid text where nothing can draw."""
    try:
        picture = svg(lineage)
    except MissingDependencyError as error:
        picture = f"<p>{html.escape(str(error))}</p><pre>{html.escape(mermaid(lineage))}</pre>"
    return (
        f"<div><p>{html.escape(repr(lineage).strip('<>'))}</p>"
        f"<div style='overflow:auto'>{picture}</div></div>"
    )


def _single(node: Node, *, is_start: bool) -> Drawn:
    return Drawn(
        id=node.uid,
        registry=node.registry,
        label=_short(node.label),
        detail=f"{node.uid} · {node.detail}",
        is_start=is_start,
    )


def _short(text: str) -> str:
    line = printable(text).replace("\n", " ")
    return line if len(line) <= _LABEL else line[: _LABEL - 1] + "…"


def _dot_text(text: str) -> str:
    # A backslash begins an escape of Graphviz; text that begins with < would be its HTML.
    safe = text.replace("\\", "\\\\").replace("\n", "\\n")
    return f"\u200b{safe}" if safe.startswith("<") else safe


def _mermaid_text(text: str) -> str:
    return "<br/>".join(
        html.escape(part, quote=True).replace("&#x27;", "#39;").replace("&quot;", "#quot;")
        for part in text.split("<br/>")
    )
