"""Lineage: where a result came from and what it went into, as of any position.

1. Nodes are artifacts, collections and runs; the start is included.
2. Edges lead along time: input → run, run → output, member → collection. A revision
   (earlier → later version) is an edge of its own kind, shown but not followed unless asked.
3. Every run that made an artifact is followed, the ones that made it again are marked.
4. Each node is reached once, so that cycles and wide graphs end; depth counts artifacts.
5. A limit that bites is said: `is_complete` is False and the picture says so.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from ledger.errors import InvalidValueError, MissingDependencyError, NotFoundError
from ledger.points import resolve
from ledger.query import Source
from ledger.registries.base import Record, record_class
from projections.select import Select, Test

if TYPE_CHECKING:
    from ledger.instance import Ledger

Direction = Literal["ancestors", "descendants", "both"]
EdgeKind = Literal["input", "output", "output again", "member", "revision"]

LIMIT = 100_000

_REGISTRY_OF = {
    "artifact.runs": ("artifact", "run"),
    "run.inputs": ("run", "artifact"),
    "collection.artifacts": ("collection", "artifact"),
}
_FIELDS = tuple(_REGISTRY_OF)
_CHUNK = 5_000


class Edge(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One step along time, from `source` to `target` (uids)."""

    source: str
    target: str
    kind: EdgeKind


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A record in a lineage."""

    uid: str
    registry: str
    label: str
    detail: str


class Lineage:
    """What a record came from, or went into.

    Attributes:
        start: Uid of the record it was asked of.
        direction: "ancestors", "descendants" or "both".
        position: As of which position; None for now.
        edges: Every edge, along time.
        is_complete: False where `limit` cut it off.
    """

    def __init__(  # noqa: PLR0913 (what a lineage is made of)
        self,
        source: Source,
        start: Record,
        *,
        direction: Direction,
        edges: list[Edge],
        registries: dict[str, str],
        is_complete: bool,
    ) -> None:
        self._source = source
        self._registries = registries
        self._records: dict[str, list[Any]] = {}
        self.start = start.uid
        self.direction = direction
        self.position = source.at
        self.edges = edges
        self.is_complete = is_complete

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
    def nodes(self) -> list[Node]:
        """Every record in it, with what to call it."""
        return [
            _node(registry, record)
            for registry in ("artifact", "collection", "run")
            for record in self._of(registry)
        ]

    def _of(self, registry: str) -> list[Any]:
        if registry not in self._records:
            wanted = [uid for uid, kind in self._registries.items() if kind == registry]
            kind = record_class(registry)
            rows = _rows(self._source, registry, "uid", wanted)
            rows.sort(key=lambda row: row["created_position"])
            self._records[registry] = [kind._from_row(row, self._source) for row in rows]
        return self._records[registry]

    def paths(self, a: Any, b: Any, *, limit: int = 100) -> list[list[str]]:
        """Return up to `limit` ways from one record to another, along time, shortest first.

        Raises:
            NotFoundError: One of them is not in this lineage.
        """
        first, last = (getattr(record, "uid", record) for record in (a, b))
        for uid in (first, last):
            if uid not in self._registries:
                raise NotFoundError(f"record {uid}: not in this lineage", uid=uid)
        onward: dict[str, list[str]] = {}
        for edge in self.edges:
            onward.setdefault(edge.source, []).append(edge.target)
        found: list[list[str]] = []
        queue: deque[list[str]] = deque([[first]])
        while queue and len(found) < limit:
            path = queue.popleft()
            if path[-1] == last:
                found.append(path)
                continue
            queue.extend([*path, uid] for uid in onward.get(path[-1], ()) if uid not in path)
        return found

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

    def to_mermaid(self) -> str:
        """Return it as the text of a Mermaid flowchart; wide families of siblings are folded."""
        from ledger.drawing import mermaid  # noqa: PLC0415

        return mermaid(self)

    def to_svg(self) -> str:
        """Return it as an SVG picture; wide families of siblings are folded.

        Raises:
            MissingDependencyError: pygraphviz is not installed.
        """
        from ledger.drawing import svg  # noqa: PLC0415

        return svg(self)

    def __repr__(self) -> str:
        when = "" if self.position is None else f" as of position {self.position}"
        cut = "" if self.is_complete else ", cut off at its limit"
        return (
            f"<Lineage {self.direction} of {self.start}{when}: {len(self.artifacts):,} artifacts, "
            f"{len(self.runs):,} runs, {len(self.edges):,} edges{cut}>"
        )

    def _repr_html_(self) -> str:
        from ledger.drawing import as_html  # noqa: PLC0415

        return as_html(self)


def lineage(  # noqa: PLR0913 (the public options)
    record: Record,
    *,
    direction: str = "ancestors",
    depth: Any = None,
    as_of: Any = None,
    follow_revisions: bool = False,
    limit: int = LIMIT,
) -> Lineage:
    """Return the lineage of an artifact, collection, run or transform.

    Args:
        record: The start.
        direction: "ancestors" (what it came from), "descendants" (what it went into) or "both".
        depth: How many artifacts far at most; all the way without.
        as_of: A point in the past; now without, or the record's own view.
        follow_revisions: Whether to go on from a version to the versions before and after it.
        limit: How many edges at most; where it bites, `is_complete` is False.

    Raises:
        InvalidValueError: The direction is none of the three, the depth negative, or the registry
            has no lineage.
    """
    if direction not in {"ancestors", "descendants", "both"}:
        raise InvalidValueError(
            f"direction: expected 'ancestors', 'descendants' or 'both', got {direction!r}"
        )
    if depth is not None and (not isinstance(depth, int) or isinstance(depth, bool) or depth < 0):
        raise InvalidValueError(f"depth: expected a whole number of 0 or more, got {depth!r}")
    ledger: Ledger = record._source.ledger
    at = record._source.at if as_of is None else resolve(ledger, as_of).position
    walk = _Walk(Source(ledger, at), limit=limit, follow_revisions=follow_revisions)
    walk.begin(record)
    if direction in {"ancestors", "both"}:
        walk.go("ancestors", depth)
    if direction in {"descendants", "both"}:
        walk.go("descendants", depth)
    return Lineage(
        walk.source,
        record,
        direction=direction,  # type: ignore[arg-type]
        edges=walk.finished_edges(),
        registries=walk.reached,
        is_complete=walk.is_complete,
    )


class _Walk:
    """A walk over links, level by level or all at once."""

    def __init__(self, source: Source, *, limit: int, follow_revisions: bool) -> None:
        self.source = source
        self.reached: dict[str, str] = {}
        self.is_complete = True
        self._starts: dict[str, str] = {}
        self._edges: dict[tuple[str, str, str], int] = {}
        self._limit = limit
        self._follow = follow_revisions

    def begin(self, record: Record) -> None:
        """Start at a record; a transform starts at its runs."""
        match record.registry:
            case "artifact" | "collection" | "run":
                self._starts = {record.uid: record.registry}
            case "transform":
                rows = self.source.ask(
                    lambda models: models.find("run", at=self.source.at, transform=record.uid)
                )
                self._starts = {row["uid"]: "run" for row in rows}
            case _:
                raise InvalidValueError(
                    f"lineage: a {record.spec.title} has none; ask an artifact, a collection, "
                    "a run or a transform"
                )
        self.reached.update(self._starts)

    def go(self, direction: Direction, depth: int | None) -> None:
        """Follow links one way."""
        if depth is None and not self._follow:
            self._closure(direction)
            return
        level = dict(self._starts)
        seen = dict(level)
        steps = 0
        while level:
            artifacts = [uid for uid, kind in level.items() if kind == "artifact"]
            if depth is not None and artifacts:
                if steps > depth:
                    break
                if steps == depth:
                    level = {uid: kind for uid, kind in level.items() if kind != "artifact"}
                steps += 1
            level = self._next(direction, level, seen)

    def _closure(self, direction: Direction) -> None:
        links = self.source.ask(
            lambda models: models.reach(
                _FIELDS,
                list(self._starts),
                onward=direction == "ancestors",
                at=self.source.at,
                limit=self._limit + 1,
            )
        )
        self._note(links)

    def _next(
        self, direction: Direction, level: dict[str, str], seen: dict[str, str]
    ) -> dict[str, str]:
        if not level:
            return {}
        links = self.source.ask(
            lambda models: models.links(
                _FIELDS, list(level), onward=direction == "ancestors", at=self.source.at
            )
        )
        found = self._note(links)
        if self._follow:
            found |= self._versions(level)
        fresh = {uid: kind for uid, kind in found.items() if uid not in seen}
        seen.update(fresh)
        return fresh if self.is_complete else {}

    def _note(self, links: list[dict[str, Any]]) -> dict[str, str]:
        found: dict[str, str] = {}
        for link in links:
            if len(self._edges) >= self._limit:
                self.is_complete = False
                break
            field, holder, target = link["field"], link["source"], link["target"]
            self._edges[field, holder, target] = link["from_position"]
            for uid, kind in zip((holder, target), _REGISTRY_OF[field], strict=True):
                self.reached.setdefault(uid, kind)
                found[uid] = kind
        return found

    def _versions(self, level: dict[str, str]) -> dict[str, str]:
        uids = [uid for uid, kind in level.items() if kind == "artifact"]
        found: dict[str, str] = {}
        for path in ("uid", "revises"):
            for row in _rows(self.source, "artifact", path, uids):
                for uid in (row["uid"], row["revises"]):
                    if uid is not None:
                        self.reached.setdefault(uid, "artifact")
                        found[uid] = "artifact"
        return found

    def finished_edges(self) -> list[Edge]:
        """Return the edges along time, revisions among what was reached included."""
        made_first: dict[str, int] = {}
        for (field, holder, _), position in self._edges.items():
            if field == "artifact.runs":
                made_first[holder] = min(position, made_first.get(holder, position))
        edges = []
        for (field, holder, target), position in self._edges.items():
            match field:
                case "artifact.runs":
                    again = position != made_first[holder]
                    kind: EdgeKind = "output again" if again else "output"
                    edges.append(Edge(source=target, target=holder, kind=kind))
                case "run.inputs":
                    edges.append(Edge(source=target, target=holder, kind="input"))
                case _:
                    edges.append(Edge(source=target, target=holder, kind="member"))
        return edges + self._revisions()

    def _revisions(self) -> list[Edge]:
        artifacts = [uid for uid, kind in self.reached.items() if kind == "artifact"]
        return [
            Edge(source=row["revises"], target=row["uid"], kind="revision")
            for row in _rows(self.source, "artifact", "uid", artifacts)
            if row["revises"] in self.reached
        ]


def _rows(source: Source, registry: str, path: str, uids: list[str]) -> list[dict[str, Any]]:
    """Return the rows of a registry whose field at `path` is one of many uids."""
    found: list[dict[str, Any]] = []
    with source.ledger.handler.reading() as session:
        for first in range(0, len(uids), _CHUNK):
            where = Test((path,), "in", tuple(uids[first : first + _CHUNK]))
            select = Select(registry=registry, where=where, at=source.at, trash="with")
            found += session.models.select(select)
    return found


def _node(registry: str, record: Any) -> Node:
    row = record._row
    if registry == "run":
        transform = record.transform
        name = row["name"] or (transform.name if transform is not None else "run")
        detail = row["status"]
    elif registry == "artifact":
        name = row["key"] or row["description"] or row["uid"]
        detail = row["suffix"] or "artifact"
    else:
        name, detail = row["name"], "collection"
    return Node(uid=row["uid"], registry=registry, label=str(name), detail=str(detail))
