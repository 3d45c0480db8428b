"""The timeline of a lineage: all that it ever was, asked once, each part with the time it held.

1. The start is a family: at each position, the version of it that a lineage then begins at.
2. A node has states, a link has bounds, all `[from, to)` in positions; `to` is None for those that
   hold now. What was there at a position is found by walking over what holds there; the answer
   equals that of `lineage()` and `lineage_diff()` at every position.
3. A node has a place in the picture, its slot, the same at all positions: a family of artifacts or
   collections; of runs, those of one script that first made the same family.
4. Slots that play one role fold into a group: runs of one script; artifacts that one script made,
   in one folder, with one suffix. Digits in the names of folders do not tell roles apart.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import InvalidValueError, printable
from ledger.model.parameters import json_ready, plain_fields
from ledger.model.schema import REGISTRIES
from ledger.past.lineage_diff import latest, packages
from ledger.past.lineage_walk import ENDS, FIELDS
from ledger.places.source import Source
from projections.tables import FOREVER

if TYPE_CHECKING:
    from ledger.places.kinds import AnyRecord as Record

LIMIT = 20_000
_REGISTRIES = ("artifact", "collection", "run")
_FAMILY = 12  # digits of the uid of a transform that all its versions share
# What else of a run is compared; what differs between two states shows in their marks.
_MARKED = ("arguments", "git_commit", "git_is_dirty", "params", "task", "transform")
_MARKED_OF_RESULTS = ("version", "hash", "size", "n_files")

Row = dict[str, Any]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The lineage of a family at all positions, as plain data for a picture that moves.

    Attributes:
        head: The position up to which it was asked.
        direction: "ancestors", "descendants" or "both".
        is_complete: Whether no limit cut it off.
        starts: From which position on which node is the start; None where there is none.
        nodes: Every record that was ever in it, in order of creation.
        links: `[field, holder, target, from, to]`, with the numbers of nodes.
        slots: The places of the picture: registry, name, group.
        groups: The names of the groups.
    """

    head: int
    direction: str
    is_complete: bool
    starts: list[tuple[int, int | None]]
    nodes: list[Row]
    links: list[tuple[str, int, int, int, int | None]]
    slots: list[Row]
    groups: list[str]


def timeline(record: Record, *, direction: str = "ancestors", limit: int = LIMIT) -> Timeline:
    """Return the timeline of the lineage of a record's family, up to where the record was read.

    Args:
        record: Any version of the result.
        direction: "ancestors", "descendants" or "both".
        limit: The largest number of links; beyond it `is_complete` is False.

    Raises:
        InvalidValueError: The direction is none of the three, or the registry has no timeline.
    """
    if direction not in {"ancestors", "descendants", "both"}:
        raise InvalidValueError(
            f"direction: expected 'ancestors', 'descendants' or 'both', got {direction!r}"
        )
    if record.registry not in _REGISTRIES:
        raise InvalidValueError(
            f"timeline: a {record.spec.title} has none; ask an artifact, a collection or a run"
        )
    ledger = record._source.ledger
    head = ledger.head() if record._source.at is None else record._source.at
    source = Source(ledger, head)
    family = _family_rows(source, record)
    ways = {"ancestors": (True,), "descendants": (False,), "both": (True, False)}[direction]
    found: dict[tuple[Any, ...], Row] = {}
    uids = sorted({row["uid"] for row in family})
    for onward in ways:
        with ledger.reading() as session:
            links = session.models.reach(
                FIELDS, uids, onward=onward, at=head, limit=limit + 1, ever=True
            )
        found |= {
            (it["field"], it["source"], it["target"], it["from_position"]): it for it in links
        }
    kept = sorted(found.values(), key=lambda it: (it["from_position"], it["field"], it["target"]))
    return _Union(source, record, family, kept[:limit]).timeline(
        direction, is_complete=len(found) <= limit
    )


def _family_rows(source: Source, record: Record) -> list[Row]:
    """Return the rows of all times of every version of a record's family."""
    stem = record._row.get("stem")
    name, value = ("uid", record.uid) if stem is None else ("stem", stem)
    rows: list[Row] = source.ask(
        lambda models: models.find(record.registry, at=source.at, ever=True, **{name: value})
    )
    return rows


class _Union:
    """Everything that was ever in the lineage, while it is put in order."""

    def __init__(self, source: Source, record: Record, family: list[Row], links: list[Row]) -> None:
        self._source = source
        self._record = record
        self._family = family
        self._links = links
        kinds = {row["uid"]: record.registry for row in family}
        for it in links:
            holder, target = ENDS[it["field"]]
            kinds[it["source"]], kinds[it["target"]] = holder, target
        rows = self._rows_of(sorted(kinds.items()))
        self._kinds = kinds
        order = sorted(rows, key=lambda uid: (rows[uid][0]["created_position"], uid))
        self._rows = {uid: rows[uid] for uid in order}
        self._number = {uid: place for place, uid in enumerate(order)}
        self._names = self._names_of(order)
        self._blobs: dict[str | None, Any] = {}
        self._scripts = self._scripts_of()

    def _rows_of(self, kinds: list[tuple[str, str]]) -> dict[str, list[Row]]:
        at = self._source.at
        questions = [(kind, {"at": at, "ever": True, "uid": uid}) for uid, kind in kinds]
        answers = self._source.ask(lambda models: models.find_all(questions))
        return {
            uid: sorted(rows, key=lambda row: row["from_position"])
            for (uid, _), rows in zip(kinds, answers, strict=True)
            if rows
        }

    def _names_of(self, uids: list[str]) -> dict[str, list[tuple[int, str]]]:
        """Return from which position on each record bears which name."""
        at = self._source.at
        keyed = [uid for uid in uids if REGISTRIES[self._kinds[uid]].has_keys]
        questions = [("artifact_key", {"at": at, "ever": True, "uid": uid}) for uid in keyed]
        answers = self._source.ask(lambda models: models.find_all(questions))
        names = {
            uid: [(row["from_position"], row["key"]) for row in rows]
            for uid, rows in zip(keyed, answers, strict=True)
        }
        self._keyed = {uid for uid in keyed if names[uid]}
        for uid in uids:
            if not names.get(uid):
                rows = self._rows[uid]
                names[uid] = [
                    (row["from_position"], row.get("name") or row.get("description") or "")
                    for row in rows
                ]
            names[uid] = _without_repeats(sorted(names[uid]))
        return names

    def _scripts_of(self) -> dict[str, str]:
        """Return the names of the transforms of all runs, by uid."""
        wanted = {
            row["transform"] for rows in self._rows.values() for row in rows if row.get("transform")
        }
        uids = sorted(wanted)
        at = self._source.at
        questions = [("transform", {"at": at, "ever": True, "uid": uid}) for uid in uids]
        answers = self._source.ask(lambda models: models.find_all(questions))
        return {
            uid: str(rows[-1]["key"] or rows[-1]["name"])
            for uid, rows in zip(uids, answers, strict=True)
            if rows
        }

    def timeline(self, direction: str, *, is_complete: bool) -> Timeline:
        """Return all of it as plain data."""
        links = [
            (
                it["field"],
                self._number[it["source"]],
                self._number[it["target"]],
                it["from_position"],
                _end(it["to_position"]),
            )
            for it in self._links
            if it["source"] in self._number and it["target"] in self._number
        ]
        slots, slot_of = self._slots()
        groups = self._groups(slots)
        return Timeline(
            head=int(self._source.at or 0),
            direction=direction,
            is_complete=is_complete,
            starts=self._starts(),
            nodes=[self._node(uid, slot_of[uid]) for uid in self._rows],
            links=links,
            slots=[{name: it[name] for name in ("registry", "label", "group")} for it in slots],
            groups=groups,
        )

    def _starts(self) -> list[tuple[int, int | None]]:
        """Return from which position on a lineage of the family begins where."""
        stem = self._record._row.get("stem")
        bounds = {row[name] for row in self._family for name in ("from_position", "to_position")}
        if stem is not None and self._record.spec.has_names:
            borne = self._source.ask(
                lambda models: models.find("borne_name", at=self._source.at, ever=True, stem=stem)
            )
            bounds |= {row[name] for row in borne for name in ("from_position", "to_position")}
        starts: list[tuple[int, int | None]] = []
        for position in sorted(it for it in bounds if it <= (self._source.at or 0)):
            found = latest(self._record, Source(self._source.ledger, position))
            node = None if found is None else self._number[found.uid]
            if not starts or starts[-1][1] != node:
                starts.append((position, node))
        return starts

    def _node(self, uid: str, slot: int) -> Row:
        first, last = self._rows[uid][0], self._rows[uid][-1]
        node: Row = {
            "uid": uid,
            "registry": self._kinds[uid],
            "slot": slot,
            "created": first["created_position"],
            "at": first["created_at"] // 1_000,
            "by": printable(str(first["created_by"])),
            "is_keyed": uid in self._keyed,
            "names": [(at, printable(name)) for at, name in self._names[uid]],
            "states": _without_repeats(
                [
                    (
                        row["from_position"],
                        row["state"],
                        _text(row["retraction"]),
                        *self._marks(row),
                    )
                    for row in self._rows[uid]
                ]
            ),
        }
        if last.get("revises"):
            node["revises"] = last["revises"]
        if "size" in last:
            node["size"] = last["size"]
        if self._kinds[uid] == "run":
            node["script"] = str(last.get("transform") or "")[:_FAMILY]
            node["title"] = printable(self._scripts.get(last.get("transform") or "", "run"))
            node["params"] = _params(last.get("params"))
        return node

    def _marks(self, row: Row) -> tuple[str, str]:
        """Return the status of a run, and a mark of everything else that is compared."""
        if "status" not in row:
            told = [row.get(name) for name in _MARKED_OF_RESULTS]
            return "", hashlib.sha256(repr(told).encode()).hexdigest()[:8]
        blob = row["environment_blob"]
        if blob not in self._blobs:
            self._blobs[blob] = packages(self._source.ledger.blob(blob) or "")
        told = [*(row.get(name) for name in _MARKED), sorted(self._blobs[blob].items())]
        return str(row["status"]), hashlib.sha256(repr(told).encode()).hexdigest()[:8]

    # --- places and roles -----------------------------------------------------------------------

    def _slots(self) -> tuple[list[Row], dict[str, int]]:
        makers = self._makers()
        outputs: dict[str, list[str]] = {}
        inputs: dict[str, list[str]] = {}
        for it in sorted(self._links, key=lambda it: self._number.get(it["source"], 0)):
            if it["field"] == "artifact.runs":
                outputs.setdefault(it["target"], []).append(it["source"])
            elif it["field"] == "run.inputs":
                inputs.setdefault(it["source"], []).append(it["target"])
        slots: dict[Any, Row] = {}
        slot_of: dict[str, int] = {}
        for uid in self._rows:
            row, kind = self._rows[uid][-1], self._kinds[uid]
            name = self._names[uid][-1][1] if self._names[uid] else ""
            if kind == "run":
                script = str(row.get("transform") or "")[:_FAMILY]
                made = [self._stem(it) for it in outputs.get(uid, [])[:1]]
                read = sorted({self._stem(it) for it in inputs.get(uid, [])})
                place: Any = ("run", script, *(made or read or [uid]))
                title = self._scripts.get(row.get("transform") or "", "run")
                label = name if name and name != title else title
                role: Any = ("run", script)
            else:
                place = (kind, self._stem(uid))
                maker = makers.get(uid)
                label = name or uid
                folder = re.sub(r"\d+", "#", label.rpartition("/")[0])
                role = (kind, maker, folder, row.get("suffix"))
            slot = slots.setdefault(place, {"registry": kind, "role": role, "place": len(slots)})
            slot["label"] = printable(label)
            slot_of[uid] = slot["place"]
        return list(slots.values()), slot_of

    def _stem(self, uid: str) -> str:
        rows = self._rows.get(uid)
        return str(rows[0].get("stem") or uid) if rows else uid

    def _makers(self) -> dict[str, str]:
        """Return the script that first made each artifact."""
        makers: dict[str, str] = {}
        for it in self._links:
            if it["field"] == "artifact.runs" and it["target"] in self._rows:
                script = self._rows[it["target"]][-1].get("transform")
                makers.setdefault(it["source"], str(script or "")[:_FAMILY])
        return makers

    @staticmethod
    def _groups(slots: list[Row]) -> list[str]:
        """Give each slot the number of its group, and return the names of the groups."""
        numbers: dict[Any, int] = {}
        labels: list[list[str]] = []
        for slot in slots:
            slot["group"] = numbers.setdefault(slot["role"], len(numbers))
            if slot["group"] == len(labels):
                labels.append([])
            labels[slot["group"]].append(slot["label"])
        return [_common(names) for names in labels]


def _end(position: int) -> int | None:
    return None if position >= FOREVER else position


def _text(value: object) -> str | None:
    return None if value is None else printable(str(value))


def _params(encoded: str | None) -> Row:
    if not encoded:
        return {}
    found = json_ready(plain_fields(msgspec.json.decode(encoded)))
    return {printable(str(name)): printable(str(value)) for name, value in found.items()}


def _without_repeats(items: list[Any]) -> list[Any]:
    """Return what begins at each position, without those that say the same as the one before."""
    kept: list[Any] = []
    for item in items:
        if kept and kept[-1][0] == item[0]:
            kept.pop()
        if not kept or kept[-1][1:] != item[1:]:
            kept.append(item)
    return kept


def _common(names: Iterable[str]) -> str:
    """Return the beginning and the end that names share, with `…` for what differs."""
    first, *others = dict.fromkeys(names)
    begin, end = first, first
    for name in others:
        while not name.startswith(begin):
            begin = begin[:-1]
        while not name.endswith(end):
            end = end[1:]
    return first if not others else f"{begin}…{end[-max(0, len(first) - len(begin)) :]}"
