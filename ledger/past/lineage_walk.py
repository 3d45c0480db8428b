"""Walking over links: what can be reached from a record, against or along time.

1. Each record is reached once, so that cycles and wide graphs end.
2. Depth counts artifacts, the start not among them; runs, collections and transforms are free. The
   walk ends at artifacts of the given depth.
3. Without a depth the database walks, in one statement; with one, it takes two statements a step.
4. Where the limit cuts the walk off, `is_complete` is False.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.errors import InvalidValueError
from ledger.model.schema import REGISTRIES
from ledger.past.graph import Direction, Edge, EdgeKind
from projections.select import And, Not, Select, Test, Where

if TYPE_CHECKING:
    from ledger.places.kinds import AnyRecord as Record
    from ledger.places.source import Source


# Link: registries of its holder and its target.
ENDS = {
    "artifact.runs": ("artifact", "run"),
    "run.inputs": ("run", "artifact"),
    "collection.artifacts": ("collection", "artifact"),
}
FIELDS = tuple(ENDS)
_VERSIONED = ("artifact", "collection")
_CHUNK = 5_000


class Walk:
    """A walk over links from one record.

    Attributes:
        reached: Every record reached, the start included, and its registry.
        is_complete: False where the limit of edges cut it off.
    """

    def __init__(
        self, source: Source, start: Record, *, limit: int, follow_revisions: bool = False
    ) -> None:
        self.source = source
        self.reached: dict[str, str] = {start.uid: start.registry}
        self.is_complete = True
        self._edges: dict[tuple[str, str, str], int] = {}
        self._limit = limit
        self._follow = follow_revisions
        self._begun: list[Edge] = []
        self._starts = self._where_to_start(start)

    def _where_to_start(self, start: Record) -> dict[str, str]:
        match start.registry:
            case "artifact" | "collection" | "run":
                return {start.uid: start.registry}
            case "transform":
                runs = self.source.ask(
                    lambda models: models.find("run", at=self.source.at, transform=start.uid)
                )
                self._begun = [
                    Edge(source=start.uid, target=row["uid"], kind="transform") for row in runs
                ]
                starts = {row["uid"]: "run" for row in runs}
                self.reached |= starts
                return starts
            case _:
                raise InvalidValueError(
                    f"lineage: a {REGISTRIES[start.registry].title} has none; ask an artifact, "
                    "a collection, a run or a transform"
                )

    def go(self, direction: Direction, depth: int | None = None) -> None:
        """Follow links one way."""
        if depth is None and not self._follow:
            self._closure(direction)
        else:
            self._steps(direction, depth)

    def _closure(self, direction: Direction) -> None:
        room = self._limit - len(self._edges)
        links = self.source.ask(
            lambda models: models.reach(
                FIELDS,
                list(self._starts),
                onward=direction == "ancestors",
                at=self.source.at,
                limit=room + 1,
            )
        )
        if len(links) > room:
            self._note(links)
            return
        # As `_note` does, for all links at once: a large lineage spends its time here.
        self._edges |= {
            (link["field"], link["source"], link["target"]): link["from_position"] for link in links
        }
        for field, (holder, target) in ENDS.items():
            of_field = [link for link in links if link["field"] == field]
            self.reached |= dict.fromkeys([link["source"] for link in of_field], holder)
            self.reached |= dict.fromkeys([link["target"] for link in of_field], target)

    def _steps(self, direction: Direction, depth: int | None) -> None:
        """Go on artifact by artifact; records between two artifacts count as no step."""
        here, seen, steps = dict(self._starts), dict(self._starts), 0
        while here and self.is_complete:
            at_the_end = depth is not None and steps >= depth
            ahead: dict[str, str] = {}
            while here and self.is_complete:
                if at_the_end:
                    here = {uid: kind for uid, kind in here.items() if kind != "artifact"}
                found = self._next(direction, here, seen, with_artifacts=not at_the_end)
                seen |= found
                ahead |= {uid: kind for uid, kind in found.items() if kind == "artifact"}
                here = {uid: kind for uid, kind in found.items() if kind != "artifact"}
            here, steps = ahead, steps + 1

    def _next(
        self,
        direction: Direction,
        here: dict[str, str],
        seen: dict[str, str],
        *,
        with_artifacts: bool,
    ) -> dict[str, str]:
        """Return the records one link further that were not seen before."""
        if not here:
            return {}
        onward = direction == "ancestors"
        links = self.source.ask(
            lambda models: models.links(FIELDS, list(here), onward=onward, at=self.source.at)
        )
        if not with_artifacts:
            place, name = (1, "target") if onward else (0, "source")
            links = [
                link
                for link in links
                if ENDS[link["field"]][place] != "artifact" or link[name] in self.reached
            ]
        found = self._note(links)
        if self._follow:
            found |= self._versions(here)
        return {uid: kind for uid, kind in found.items() if uid not in seen}

    def _note(self, links: list[dict[str, Any]]) -> dict[str, str]:
        found: dict[str, str] = {}
        edges, reached, limit = self._edges, self.reached, self._limit
        for link in links:
            field, holder, target = link["field"], link["source"], link["target"]
            key = (field, holder, target)
            if len(edges) >= limit and key not in edges:
                self.is_complete = False
                break
            edges[key] = link["from_position"]
            for uid, kind in zip((holder, target), ENDS[field], strict=True):
                reached.setdefault(uid, kind)
                found[uid] = kind
        return found

    def _versions(self, here: dict[str, str]) -> dict[str, str]:
        """Return the versions before and after records, and note them as reached."""
        found: dict[str, str] = {}
        for registry in _VERSIONED:
            uids = [uid for uid, kind in here.items() if kind == registry]
            for path in ("uid", "revises"):
                for row in rows_where(self.source, registry, path, uids):
                    for uid in (row["uid"], row["revises"]):
                        if uid is not None:
                            found[uid] = registry
        for uid, registry in found.items():
            self.reached.setdefault(uid, registry)
        return found

    def edges(self) -> list[Edge]:
        """Return the edges along time, without revisions."""
        made_first: dict[str, int] = {}
        for (field, holder, _), position in self._edges.items():
            if field == "artifact.runs":
                made_first[holder] = min(position, made_first.get(holder, position))
        edges = list(self._begun)
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
        return edges

    def revisions(self) -> list[Edge]:
        """Return the edges from a version to the next one, if both were reached."""
        edges = []
        is_later = Not(Test(("revises",), "isnull", value=True))
        for registry in _VERSIONED:
            uids = [uid for uid, kind in self.reached.items() if kind == registry]
            edges += [
                Edge(source=row["revises"], target=row["uid"], kind="revision")
                for row in rows_where(self.source, registry, "uid", uids, is_later)
                if row["revises"] in self.reached
            ]
        return edges


def rows_where(
    source: Source, registry: str, path: str, uids: list[str], where: Where | None = None
) -> list[dict[str, Any]]:
    """Return the rows of a registry whose field at `path` is one of many uids."""
    found: list[dict[str, Any]] = []
    with source.ledger.reading() as session:
        for first in range(0, len(uids), _CHUNK):
            among = Test((path,), "in", tuple(uids[first : first + _CHUNK]))
            both = among if where is None else And((among, where))
            select = Select(registry=registry, where=both, at=source.at, trash="with")
            found += session.models.select(select)
    return found
