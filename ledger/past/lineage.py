"""Lineage: the ancestors and the descendants of a result, as of any position.

1. Nodes are artifacts, collections, runs and, where one is the start, transforms; the start is
   included.
2. Edges lead along time: input → run, run → output, member → collection. A revision
   (earlier → later version) is an edge of its own kind, shown but not followed unless asked.
3. Every run that made an artifact is followed, the ones that made it again are marked.
4. A record withdrawn for good is still a node, named by its uid; the lineage goes on beyond it.
5. Where the limit cuts a lineage off, a warning is told, `is_complete` is False, and the picture
   says so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ledger.display.messages import say
from ledger.errors import InvalidValueError, MissingDependencyError, NotFoundError
from ledger.past.graph import Direction, Edge, EdgeKind, Node
from ledger.past.lineage_walk import Walk, rows_where
from ledger.past.paths import shortest_paths
from ledger.past.points import resolve
from ledger.places.kinds import AnyRecord as Record
from ledger.places.kinds import record_class
from ledger.places.source import Source

if TYPE_CHECKING:
    from ledger.past.drawing import Picture
    from ledger.places.instance import Ledger

LIMIT = 1_000_000
_NODES = ("artifact", "collection", "transform", "run")


class Lineage:
    """The ancestors or descendants of a record, and the edges between them.

    Attributes:
        start: Uid of the record at which it begins.
        direction: "ancestors", "descendants" or "both".
        position: The position as of which it was read; None for now.
        is_complete: False where `limit` cut it off.
    """

    def __init__(self, walk: Walk, start: Record, direction: Direction) -> None:
        self._walk = walk
        self._source = walk.source
        self._records: dict[str, list[Any]] = {}
        self._edges: list[Edge] | None = None
        self.start = start.uid
        self.direction = direction
        self.position = walk.source.at
        self.is_complete = walk.is_complete

    @property
    def edges(self) -> list[Edge]:
        """Every edge, along time."""
        if self._edges is None:
            self._edges = self._walk.edges() + self._walk.revisions()
        return self._edges

    @property
    def artifacts(self) -> list[Any]:
        """The artifacts in it, in order of their creation."""
        return self._of("artifact")

    @property
    def runs(self) -> list[Any]:
        """The runs in it, in order of their creation."""
        return self._of("run")

    @property
    def collections(self) -> list[Any]:
        """The collections in it, in order of their creation."""
        return self._of("collection")

    @property
    def transforms(self) -> list[Any]:
        """The transforms of its runs, in order of their creation."""
        uids = {run._row["transform"] for run in self.runs}
        uids |= {uid for uid, kind in self._walk.reached.items() if kind == "transform"}
        return self._fetched("transform", sorted(uids - {None}))

    @property
    def uids(self) -> set[str]:
        """Uids of every record in it."""
        return set(self._walk.reached)

    @property
    def nodes(self) -> list[Node]:
        """Every record in it, with its label."""
        names = {it.uid: (it.name, it.key) for it in self.transforms}
        nodes = [
            _node(registry, record._row, names)
            for registry in _NODES
            for record in self._of(registry)
        ]
        known = {node.uid for node in nodes}
        return nodes + [
            Node(uid=uid, registry=registry, label=uid, detail="withdrawn")
            for uid, registry in self._walk.reached.items()
            if uid not in known
        ]

    def _of(self, registry: str) -> list[Any]:
        if registry not in self._records:
            wanted = [uid for uid, kind in self._walk.reached.items() if kind == registry]
            self._records[registry] = self._fetched(registry, wanted)
        return self._records[registry]

    def _fetched(self, registry: str, uids: list[str]) -> list[Any]:
        kind = record_class(registry)
        rows = rows_where(self._source, registry, "uid", uids)
        rows.sort(key=lambda row: row["created_position"])
        return [kind._from_row(row, self._source) for row in rows]

    def paths(self, a: Any, b: Any, *, limit: Any = 100) -> list[list[str]]:
        """Return up to `limit` ways from one record to another, along time, shortest first.

        Raises:
            NotFoundError: One of them is not in this lineage.
            InvalidValueError: The limit is no whole number of 1 or more.
        """
        first, last = (getattr(record, "uid", record) for record in (a, b))
        for uid in (first, last):
            if uid not in self._walk.reached:
                raise NotFoundError(f"record {uid}: not in this lineage", uid=str(uid))
        if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
            raise InvalidValueError(f"paths(limit=): expected 1 or more, got {limit!r}")
        steps = ((edge.source, edge.target) for edge in self.edges)
        return shortest_paths(steps, first, last, limit)

    def to_arrow(self) -> Any:
        """Return its edges as a `pyarrow.Table`: source, target, kind."""
        from projections.arrow import rows_to_arrow  # noqa: PLC0415 (loads pyarrow)

        return rows_to_arrow(
            ["source", "target", "kind"],
            [{"source": e.source, "target": e.target, "kind": e.kind} for e in self.edges],
        )

    def df(self) -> Any:
        """Return its edges as a pandas `DataFrame`."""
        from projections.arrow import to_pandas  # noqa: PLC0415

        return to_pandas(self.to_arrow())

    def to_networkx(self) -> Any:
        """Return it as a `networkx.DiGraph`; nodes carry `registry` and `label`, edges `kind`.

        Raises:
            MissingDependencyError: networkx is not installed.
        """
        try:
            import networkx as nx  # noqa: PLC0415
        except ImportError as error:
            raise MissingDependencyError(
                "to_networkx() needs networkx, which is not installed; pip install networkx"
            ) from error
        graph = nx.DiGraph()
        for node in self.nodes:
            graph.add_node(node.uid, registry=node.registry, label=node.label)
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, kind=edge.kind)
        return graph

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {
            "start": self.start,
            "direction": self.direction,
            "position": self.position,
            "is_complete": self.is_complete,
            "nodes": [msgspec.to_builtins(node) for node in self.nodes],
            "edges": [msgspec.to_builtins(edge) for edge in self.edges],
        }

    def to_mermaid(self) -> str:
        """Return it as the text of a Mermaid flowchart; wide families of siblings are folded."""
        from ledger.past.drawing import mermaid  # noqa: PLC0415

        return mermaid(picture_of(self))

    def to_svg(self) -> str:
        """Return it as an SVG picture; wide families of siblings are folded.

        Raises:
            MissingDependencyError: pygraphviz is not installed.
        """
        from ledger.past.drawing import svg  # noqa: PLC0415

        return svg(picture_of(self))

    def __repr__(self) -> str:
        counts = [
            f"{number:,} {noun if number == 1 else noun + 's'}"
            for number, noun in (
                (len(self.artifacts), "artifact"),
                (len(self.collections), "collection"),
                (len(self.runs), "run"),
                (len(self.edges), "edge"),
            )
            if number or noun != "collection"
        ]
        when = "" if self.position is None else f" as of position {self.position}"
        cut = "" if self.is_complete else ", cut off at its limit"
        return f"<Lineage: {self.direction} of {self.start}{when}: {', '.join(counts)}{cut}>"

    def _repr_html_(self) -> str:
        from ledger.past.drawing import as_html  # noqa: PLC0415

        return as_html(repr(self).strip("<>"), picture_of(self))


def lineage(  # noqa: PLR0913 (the public options)
    record: Record,
    *,
    direction: str = "ancestors",
    depth: Any = None,
    as_of: Any = None,
    follow_revisions: bool = False,
    limit: Any = LIMIT,
) -> Lineage:
    """Return the lineage of an artifact, collection, run or transform.

    Args:
        record: The start.
        direction: "ancestors" (where it came from), "descendants" (where it went) or "both".
        depth: The largest distance, in artifacts; None for all the way.
        as_of: A point in the past; None for the view of the record, or now.
        follow_revisions: Whether to go on from a version to the versions before and after it.
        limit: The largest number of edges; beyond it `is_complete` is False.

    Raises:
        InvalidValueError: The direction is none of the three, the depth negative, or the registry
            has no lineage.
        NotFoundError: The record was not there yet at the point.
    """
    if direction not in {"ancestors", "descendants", "both"}:
        raise InvalidValueError(
            f"direction: expected 'ancestors', 'descendants' or 'both', got {direction!r}"
        )
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 0):
        raise InvalidValueError(f"depth: expected a whole number of 0 or more, got {depth!r}")
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 0:
        raise InvalidValueError(f"limit: expected a whole number of 0 or more, got {limit!r}")
    ledger: Ledger = record._source.ledger
    at = record._source.at if as_of is None else resolve(ledger, as_of).position
    source = Source(ledger, at)
    _require_there(source, record)
    walk = Walk(source, record, limit=limit, follow_revisions=follow_revisions)
    if direction in {"ancestors", "both"}:
        walk.go("ancestors", depth)
    if direction in {"descendants", "both"}:
        walk.go("descendants", depth)
    if not walk.is_complete:
        say("warning", f"lineage of {record.uid}: cut off at {limit:,} edges; raise limit= for all")
    return Lineage(walk, record, direction)  # type: ignore[arg-type]


def ancestor_uids(record: Record) -> set[str]:
    """Return the uids of all ancestors of a record now, transforms of the runs included."""
    source = Source(record._source.ledger)
    walk = Walk(source, record, limit=LIMIT)
    walk.go("ancestors")
    runs = [uid for uid, kind in walk.reached.items() if kind == "run"]
    transforms = {row["transform"] for row in rows_where(source, "run", "uid", runs)}
    return set(walk.reached) | transforms


def _require_there(source: Source, record: Record) -> None:
    if source.at is None or source.at == record._source.at:
        return
    uid, registry = record.uid, record.registry
    if not source.ask(lambda models: models.find(registry, at=source.at, uid=uid)):
        raise NotFoundError(
            f"{record.spec.title} {uid}: not there yet at position {source.at}; "
            f"it was created at position {record._row['created_position']}",
            uid=uid,
        )


def _node(
    registry: str, row: dict[str, Any], transforms: dict[str, tuple[str, str | None]]
) -> Node:
    if registry == "run":
        title, key = transforms.get(row["transform"], ("run", None))
        # People know a script by its file: that is shown where the run was given no other name.
        name = row["name"] if row["name"] not in (None, title) else key or title
        detail = row["status"]
        if row["initiated_by"] is not None:
            detail = f"{detail}, started by run {row['initiated_by']}"
    elif registry == "artifact":
        name = row["key"] or row["description"] or row["uid"]
        detail = row["suffix"].removeprefix(".") or "artifact"
    else:
        name, detail = row["name"], registry
    if row["is_trashed"]:
        detail = f"{detail}, in the trash"
    return Node(
        uid=row["uid"],
        registry=registry,
        label=str(name),
        detail=str(detail),
        is_retracted=row["retraction"] is not None,
    )


def picture_of(lineage: Lineage) -> Picture:
    """Return the picture of a lineage, siblings folded."""
    from ledger.past.drawing import folded, lines_of, picture_nodes  # noqa: PLC0415

    nodes = picture_nodes(lineage.nodes, start=lineage.start, marks={})
    note = "" if lineage.is_complete else "cut off at its limit"
    return folded(nodes, lines_of(lineage.edges), note=note)


__all__ = ["Direction", "Edge", "EdgeKind", "Lineage", "Node", "ancestor_uids", "lineage"]
