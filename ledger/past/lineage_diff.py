"""Differences upstream of a result between two points: runs, inputs, source, packages and more.

1. The result is, as of either point, the latest version of the record's family there.
2. A record of one side is paired with the record of the same uid on the other side. Of the others,
   an artifact is paired with another version of it, else with the artifact of the same key.
3. A run is paired with a run of the same transform whose first output is of the same family, else
   with one whose inputs are. Where this pairs no run of a transform, its runs are paired by their
   names, then by recency. Elsewhere a run that is left was added or removed.
4. Pairs that differ are changed; a record without a partner was added or removed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import InvalidValueError, NotFoundError
from ledger.model.schema import REGISTRIES
from ledger.past.changes import Changes, Comparison, compared
from ledger.past.lineage import Lineage, lineage
from ledger.past.points import resolve
from ledger.places.kinds import record_class
from ledger.places.source import Source
from projections.select import Select, Test

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.past.drawing import Picture
    from ledger.places.kinds import AnyRecord as Record

_RESULTS, _RUNS = frozenset({"artifact", "collection"}), frozenset({"run"})
_STEM = REGISTRIES["artifact"].uid_length
_OF_ARTIFACT = ("key", "version", "hash", "size", "n_files", "retraction")
_OF_COLLECTION = ("name", "version", "hash", "retraction")
_OF_RUN = ("name", "arguments", "git_commit", "git_is_dirty", "status", "retraction")


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One record upstream that differs.

    Attributes:
        uid: Its uid at the later point; at the earlier one where it was removed.
        before: Its uid at the earlier point; None where it was added.
        change: "added", "removed" or "changed".
        changes: The differences: fields, and `uid` where another record took its place; of a run
            also `params.<name>`, `task.<name>`, `packages.<name>`, `python`, `source`, `inputs` and
            `actor`.
    """

    registry: str
    uid: str
    before: str | None
    name: str
    change: str
    changes: Changes


class LineageDiff(Comparison[Upstream]):
    """The records upstream of a result that differ between two points, in order of creation.

    Attributes:
        before: The lineage at the earlier point; None where there was no version of it yet.
        after: The lineage at the later point.
    """

    _title = "Lineage diff"

    def __init__(
        self, items: list[Upstream], before: Lineage | None, after: Lineage, pairs: dict[str, str]
    ) -> None:
        super().__init__(items)
        self.before = before
        self.after = after
        self._pairs = pairs

    def to_svg(self) -> str:
        """Return both lineages as one SVG picture: added, removed and changed in colour.

        Raises:
            MissingDependencyError: pygraphviz is not installed.
        """
        from ledger.past.drawing import svg  # noqa: PLC0415 (loads Graphviz)

        return svg(self._picture())

    def to_mermaid(self) -> str:
        """Return both lineages as the text of one Mermaid flowchart."""
        from ledger.past.drawing import mermaid  # noqa: PLC0415

        return mermaid(self._picture())

    def _repr_html_(self) -> str:
        from ledger.past.drawing import as_html  # noqa: PLC0415

        title = (
            f"Lineage diff: {len(self.added):,} added, {len(self.changed):,} changed, "
            f"{len(self.removed):,} removed"
        )
        return as_html(title, self._picture()) + super()._repr_html_()

    def _picture(self) -> Picture:
        from ledger.past.drawing import Line, folded, lines_of, picture_nodes  # noqa: PLC0415

        marks = {item.uid: item.change for item in self}
        nodes = picture_nodes(self.after.nodes, start=self.after.start, marks=marks)
        known = {node.id for node in nodes}
        now = {(it.source, it.target, it.kind): it for it in lines_of(self.after.edges)}
        then: dict[Any, Line] = {}
        if self.before is not None:
            gone = [node for node in self.before.nodes if node.uid in marks]
            gone = [node for node in gone if node.uid not in known]
            nodes += picture_nodes(gone, start="", marks=marks)
            for line in lines_of(self.before.edges):
                source = self._pairs.get(line.source, line.source)
                target = self._pairs.get(line.target, line.target)
                if source != target:
                    then[source, target, line.kind] = Line(
                        source=source, target=target, kind=line.kind
                    )
        lines = [
            line if key in then else msgspec.structs.replace(line, mark="added")
            for key, line in now.items()
        ]
        lines += [
            msgspec.structs.replace(line, mark="removed")
            for key, line in then.items()
            if key not in now
        ]
        return folded(nodes, lines)


def lineage_diff(record: Record, a: Any, b: Any = None) -> LineageDiff:
    """Return the differences upstream of a result between two points.

    The later one is by default that of the record: now, or the position of its view.

    Raises:
        InvalidValueError: The first point is after the second, or the registry has no lineage.
        NotFoundError: There was no version of it yet at the later point.
    """
    ledger = record._source.ledger
    first = resolve(ledger, a).position
    end = record._source.at if b is None else b
    second = ledger.head() if end is None else resolve(ledger, end).position
    if first > second:
        raise InvalidValueError(
            f"lineage_diff: expected the earlier point first, got {first} and {second}; "
            "exchange them"
        )
    new = _latest(record, Source(ledger, second))
    if new is None:
        raise NotFoundError(
            f"{record.spec.title} {record.uid}: no version of it was there at position {second}",
            uid=record.uid,
        )
    old = _latest(record, Source(ledger, first))
    after = lineage(new)
    before = None if old is None else lineage(old)
    earlier, later = _Facts(before), _Facts(after)
    pairs = _paired(earlier, later)
    items = []
    partner = {new_uid: old_uid for old_uid, new_uid in pairs.items()}
    for uid, one in later.records.items():
        was = partner.get(uid)
        if was is None:
            items.append(_item(one, None, "added", {}))
            continue
        changes = compared(earlier.of(earlier.records[was], pairs), later.of(one, {}))
        if was != uid:
            changes = {"uid": (was, uid)} | changes
        if changes:
            items.append(_item(one, was, "changed", changes))
    gone = [one for uid, one in earlier.records.items() if uid not in pairs]
    items += [_item(one, one.uid, "removed", {}) for one in gone]
    return LineageDiff(items, before, after, pairs)


def _latest(record: Record, source: Source) -> Record | None:
    """Return the latest version of a record's family as of a position; None before the first."""
    has_family = record.registry in {"artifact", "collection"}
    stem = record.uid[: record.spec.uid_length]
    where = (
        Test(("uid",), "startswith", stem) if has_family else Test(("uid",), "exact", record.uid)
    )
    select = Select(registry=record.registry, where=where, at=source.at, trash="with")
    rows = source.ask(lambda models: models.select(select))
    latest = [row for row in rows if row["is_latest"]] if has_family else []
    found = (latest or rows)[-1:]
    return record_class(record.registry)._from_row(found[0], source) if found else None


def _paired(earlier: _Facts, later: _Facts) -> dict[str, str]:
    """Return uids of earlier records with those of the later records that stand for them."""
    pairs = {uid: uid for uid in earlier.records if uid in later.records}

    def families(run: Record, uids: list[str]) -> tuple[str, ...] | None:
        found = sorted(pairs.get(uid, uid)[:_STEM] for uid in uids)
        return (_script(run), *found) if found else None

    def pair(registries: frozenset[str], name: Callable[[_Facts, Record], Any]) -> None:
        """Pair what is left of these registries by name; None is no name."""
        waiting: dict[Any, list[str]] = {None: []}
        taken = set(pairs.values())
        for uid, record in later.records.items():
            if uid not in taken and record.registry in registries:
                waiting.setdefault(name(later, record), []).append(uid)
        del waiting[None]
        # The latest of both sides belong together, where there are several.
        for uid, record in reversed(earlier.records.items()):
            if uid not in pairs and record.registry in registries:
                found = waiting.get(name(earlier, record))
                if found:
                    pairs[uid] = found.pop()

    pair(_RESULTS, lambda _, it: (it.registry, it._row["stem"]))
    pair(_RESULTS, lambda _, it: (it.registry, it._row.get("key") or it._row.get("name") or it.uid))
    pair(_RUNS, lambda side, it: families(it, side.outputs.get(it.uid, [])[:1]))
    pair(_RUNS, lambda side, it: families(it, side.inputs.get(it.uid, [])))
    partners = [later.records[uid] for uid in pairs.values()]
    settled = {_script(it) for it in partners if it.registry in _RUNS}
    pair(_RUNS, lambda _, it: None if _script(it) in settled else (_script(it), it._row["name"]))
    pair(_RUNS, lambda _, it: None if _script(it) in settled else _script(it))
    return pairs


def _script(record: Record) -> str:
    """Return the family of a run's transform."""
    return str(record._row.get("transform") or "")[:12]


class _Facts:
    """The records of one lineage, in order of creation, and their values to compare."""

    def __init__(self, found: Lineage | None) -> None:
        self.records: dict[str, Record] = {}
        self.inputs: dict[str, list[str]] = {}
        self.outputs: dict[str, list[str]] = {}
        self._blobs: dict[str, str] = {}
        self._transforms: dict[str, Any] = {}
        if found is None:
            return
        records = [*found.artifacts, *found.collections, *found.runs]
        records.sort(key=lambda record: record._row["created_position"])
        self.records = {record.uid: record for record in records}
        order = {uid: at for at, uid in enumerate(self.records)}
        for edge in sorted(found.edges, key=lambda edge: order.get(edge.target, len(order))):
            if edge.kind == "input":
                self.inputs.setdefault(edge.target, []).append(edge.source)
            elif edge.kind in {"output", "output again"}:
                self.outputs.setdefault(edge.source, []).append(edge.target)
        self._transforms = {transform.uid: transform for transform in found.transforms}

    def of(self, record: Record, pairs: dict[str, str]) -> dict[str, Any]:
        """Return the values to compare of a record; `pairs` names its inputs as later ones."""
        if record.registry == "artifact":
            return {name: getattr(record, name) for name in _OF_ARTIFACT}
        if record.registry == "collection":
            return {name: getattr(record, name) for name in _OF_COLLECTION}
        row = record._row
        facts = {name: getattr(record, name) for name in _OF_RUN}
        facts["actor"] = record.created_by
        transform = self._transforms.get(row["transform"])
        facts["source"] = None if transform is None else transform.source_hash or transform.version
        facts |= {f"params.{name}": value for name, value in (record.params or {}).items()}
        facts |= {f"task.{name}": value for name, value in (record.task or {}).items()}
        facts |= packages(self._environment(record, row["environment_blob"]))
        inputs = self.inputs.get(record.uid, [])
        facts["inputs"] = tuple(sorted(pairs.get(uid, uid) for uid in inputs))
        return facts

    def _environment(self, record: Record, blob: str | None) -> str:
        if blob is None:
            return ""
        if blob not in self._blobs:
            self._blobs[blob] = record._source.ledger.blob(blob) or ""
        return self._blobs[blob]


def packages(environment: str) -> dict[str, str]:
    """Return the versions in an environment's text: `python` and each `packages.<name>`."""
    found: dict[str, str] = {}
    for line in environment.splitlines():
        name, separator, version = line.partition("==")
        if separator:
            found[f"packages.{name}"] = version
        elif line.startswith("# python "):
            found["python"] = line.removeprefix("# python ")
    return found


def _item(record: Record, before: str | None, change: str, changes: Changes) -> Upstream:
    row = record._row
    name = row.get("key") or row.get("name")
    if record.registry == "run" and not name and record.transform is not None:
        name = record.transform.name
    return Upstream(
        registry=record.registry,
        uid=record.uid,
        before=before,
        name=str(name or record.uid),
        change=change,
        changes=changes,
    )
