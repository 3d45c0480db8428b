"""Events that the events before do not allow, by the rules of `ledger.decisions`.

1. A live record is trashed or merged, a trashed one restored; a withdrawn one is not changed.
2. A change gives values of the right kind to fields that a person may assign; a transform without a
   source takes one.
3. A link is added once, between records that were not withdrawn; a link that ends was there.
4. A record is merged into another live one of its registry, with every link that led to it. An
   undone merger was the last of its chain, and gives back what it took.
5. A run counts its resumptions, ends once after each, and is abandoned while it is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from ledger.auditing.entries import Read
from ledger.decisions.runs import ENDS
from ledger.model.events import (
    AliasAdded,
    ArtifactDeclared,
    ArtifactKeyed,
    ArtifactRegistered,
    ArtifactRelocated,
    ArtifactReproduced,
    BlobRecorded,
    CollectionCreated,
    EntriesErased,
    EntriesErasedV1,
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    HeldLink,
    InputRecorded,
    LedgerEvent,
    LedgerInitialized,
    LinkAdded,
    LinkRemoved,
    MergeUndone,
    PositionTagged,
    RecordChanged,
    RecordCreated,
    RecordRestored,
    RecordRetracted,
    RecordsMerged,
    RecordTrashed,
    RecordWithdrawn,
    RegistryDefined,
    RetractionLifted,
    RunAbandoned,
    RunFinished,
    RunResumed,
    RunStarted,
    TransformRegistered,
    ValuesSet,
)
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.schema import ERASED, LIVE, REGISTRIES, TRASHED, WITHDRAWN
from ledger.model.values import as_items, reference

# Subject, expected, found.
Unallowed: TypeAlias = tuple[str, object, object]

_STATES = {LIVE: "live", TRASHED: "in the trash", WITHDRAWN: "withdrawn", ERASED: "erased"}
_KEPT = frozenset({LIVE, TRASHED})
_SOURCE = frozenset({"source", "source_hash"})


class _Merger(NamedTuple):
    into: str
    position: int
    links: frozenset[HeldLink]


class Histories:
    """What became of each record, and which links there are."""

    def __init__(self) -> None:
        # A record that is not here is live.
        self._states: dict[str, int] = {}
        self._mergers: dict[str, _Merger] = {}
        # The links that lead to a record, and since when.
        self._links: dict[str, dict[HeldLink, int]] = {}
        # The other ends of the references of a record, by link.
        self._referred: dict[HeldLink, set[str]] = {}
        # Records of which some typed values are erased: what they referred to is not known.
        self._hidden: set[str] = set()
        self._retracted: set[str] = set()
        self._with_source: set[str] = set()
        self._runs: dict[str, tuple[str, int]] = {}
        # The record that each alias leads to, and the aliases of each.
        self._aliases: dict[str, str] = {}
        self._declared: set[str] = set()
        self._aliases_of: dict[str, list[str]] = {}

    def follow(self, read: Read, event: LedgerEvent, registry: str) -> Iterator[Unallowed]:  # noqa: C901, PLR0912, PLR0915 (one case a kind)
        """Yield what the events before do not allow, and take the event for one of them."""
        match event:
            case LinkAdded():
                yield from self._held(event)
                yield from self._is(event.uid, _KEPT)
                yield from self._is(event.target, _KEPT)
                yield from self._link(read, f"{registry}.{event.field}", event.uid, event.target)
            case InputRecorded():
                yield from _of_run(event)
                yield from self._link(read, "run.inputs", event.uid, event.artifact)
            case RecordCreated():
                if not read.is_erased:
                    yield from _natural(event, _key_of(event, registry))
                    yield from self._fields(event, registry)
                    self._refer(read, registry, event.uid, event.fields)
                else:
                    self._hidden.add(event.uid)
            case TransformRegistered():
                if not read.is_erased:
                    by = event.version or ["source", event.source_hash]
                    yield from _natural(event, ["transform", event.uid[:12], by])
                # What is not known any more was perhaps there.
                if read.is_erased or event.source_hash is not None:
                    self._with_source.add(event.uid)
            case ArtifactRegistered() | ArtifactDeclared():
                yield from self._artifact(read, event)
                if event.run is not None:
                    yield from self._link(read, "artifact.runs", event.uid, event.run)
            case ArtifactReproduced():
                yield from self._is(event.uid, _KEPT)
                if event.run is None:
                    yield event.uid, "a run that made it again", "none"
                else:
                    yield from self._link(read, "artifact.runs", event.uid, event.run)
            case ArtifactKeyed() | ArtifactRelocated():
                yield from self._is(event.uid, _KEPT)
                if isinstance(event, ArtifactRelocated) and event.uid in self._declared:
                    yield event.uid, "an artifact whose content was seen", "a declared one"
            case CollectionCreated():
                if not read.is_erased:
                    yield from _natural(event, ["collection", event.hash])
                if not event.artifacts:
                    yield event.uid, "an artifact or more", "none"
                for member in dict.fromkeys(event.artifacts):
                    yield from self._is(member, _KEPT)
                    yield from self._link(read, "collection.artifacts", event.uid, member)
            case RecordChanged():
                yield from self._is(event.uid, _KEPT)
                if not read.is_erased:
                    yield from self._fields(event, registry)
                    self._refer(read, registry, event.uid, event.fields)
                else:
                    self._hidden.add(event.uid)
            case RecordTrashed():
                yield from self._becomes(event.uid, {LIVE}, TRASHED)
            case RecordRestored():
                yield from self._becomes(event.uid, {TRASHED}, LIVE)
            case RecordWithdrawn():
                yield from self._becomes(event.uid, _KEPT, WITHDRAWN)
                for alias in self._aliases_of.pop(event.uid, ()):
                    self._aliases.pop(alias, None)
            case AliasAdded():
                yield from self._is(event.uid, _KEPT)
                if not read.is_erased:
                    yield from self._aliased(event)
            case EntriesErasedV1() | EntriesErased():
                self._states[event.uid] = ERASED
            case LinkRemoved():
                yield from self._held(event)
                yield from self._is(event.uid, _KEPT)
                yield from self._unlink(f"{registry}.{event.field}", event.uid, event.target)
            case RecordRetracted():
                yield from self._is(event.uid, _KEPT)
                if REGISTRIES[registry].field("retraction") is None:
                    yield event.uid, "a record that can be retracted", f"a {registry}"
                self._retracted.add(event.uid)
            case RetractionLifted():
                yield from self._is(event.uid, _KEPT)
                if event.uid not in self._retracted:
                    yield event.uid, "a record that is retracted", "one that is not"
                self._retracted.discard(event.uid)
            case RecordsMerged():
                yield from self._merge(read, event)
            case MergeUndone():
                yield from self._undo(read, event)
            case RunStarted():
                yield from _of_run(event)
                if not read.is_erased:
                    yield from _natural(event, ["run", *event.natural[1:2]])
                if event.forked_from == event.uid:
                    yield event.uid, "another run that it was forked from", event.uid
                if event.initiated_by == event.uid:
                    yield event.uid, "another run that it was started from", event.uid
                self._runs[event.uid] = "started", 0
            case RunResumed() | RunFinished() | RunAbandoned():
                yield from self._run(event)
            case PositionTagged():
                if read.version != 1:
                    yield event.name, "a tag that never moves", f"version {read.version} of it"
            case ValuesSet():
                yield from self._is(event.uid, _KEPT)
                values = event.values | dict.fromkeys(event.removed)
                if read.is_erased:
                    self._hidden.add(event.uid)
                self._refer(read, f"{registry}.features", event.uid, values)
            case RegistryDefined() | FieldAdded() | FieldChanged() | FieldRetyped():
                pass
            case LedgerInitialized() | BlobRecorded() | KeyAdopted() | EraserKeysSet():
                pass

    # --- states and fields ------------------------------------------------------------------------

    def _is(self, uid: str, wanted: Iterable[int]) -> Iterator[Unallowed]:
        state = self._states.get(uid, LIVE)
        if state not in wanted:
            expected = " or ".join(_STATES[it] for it in sorted(wanted))
            yield uid, f"a record that is {expected}", f"one that is {_STATES[state]}"

    def _becomes(self, uid: str, wanted: Iterable[int], state: int) -> Iterator[Unallowed]:
        yield from self._is(uid, wanted)
        self._states[uid] = state

    def _artifact(
        self, read: Read, event: ArtifactRegistered | ArtifactDeclared
    ) -> Iterator[Unallowed]:
        if isinstance(event, ArtifactDeclared):
            self._declared.add(event.uid)
            if not read.is_erased:
                yield from _natural(event, ["artifact", "declared", *event.natural[2:5]])
        elif not read.is_erased:
            yield from _natural(event, ["artifact", event.hash_type, event.hash])

    def _aliased(self, event: AliasAdded) -> Iterator[Unallowed]:
        other = self._aliases.setdefault(event.alias, event.uid)
        if other != event.uid or event.alias in self._aliases_of.setdefault(event.uid, []):
            yield event.uid, "an alias that leads nowhere yet", f"one that leads to {other}"
        self._aliases_of[event.uid].append(event.alias)

    def _fields(self, event: RecordCreated | RecordChanged, registry: str) -> Iterator[Unallowed]:
        fields = REGISTRIES[registry].fields
        is_new = isinstance(event, RecordCreated)
        allowed = {it.name: it for it in fields if it.is_editable or (is_new and it.is_given_once)}
        if registry == "transform" and event.uid not in self._with_source:
            allowed |= {it.name: it for it in REGISTRIES[registry].fields if it.name in _SOURCE}
            if "source_hash" in event.fields:
                self._with_source.add(event.uid)
        for name, value in event.fields.items():
            field = allowed.get(name)
            if field is None and REGISTRIES[registry].is_defined:
                continue  # a typed value, which tells its kind
            if field is None:
                yield event.uid, f"fields among {', '.join(allowed)}", name
            elif value is None and name != "name":
                continue
            elif not isinstance(value, str) or len(value) > field.max_length:
                found = f"{len(value):,}" if isinstance(value, str) else type(value).__name__
                yield event.uid, f"{name} of up to {field.max_length:,} characters", found

    # --- links and mergers ------------------------------------------------------------------------

    def _held(self, event: LinkAdded | LinkRemoved) -> Iterator[Unallowed]:
        relation = REGISTRIES[event.registry].relation(event.field)
        if relation is None or not relation.is_editable:
            yield event.uid, "a link that a person may change", event.field

    def _link(self, read: Read, field: str, source: str, target: str) -> Iterator[Unallowed]:
        there = self._links.setdefault(target, {})
        if (field, source) in there:
            yield source, f"a new link {field} to {target}", "one that was there"
        there[field, source] = read.position

    def _unlink(self, field: str, source: str, target: str) -> Iterator[Unallowed]:
        if self._links.get(target, {}).pop((field, source), None) is None:
            yield source, f"a link {field} to {target}", "none"

    def _refer(self, read: Read, prefix: str, source: str, values: dict[str, Any]) -> None:
        """Take the references among typed values for the links that they are from now on."""
        if prefix in REGISTRIES:
            return
        for name, value in values.items():
            link: HeldLink = (f"{prefix}.{name}", source)
            for target in self._referred.pop(link, ()):
                self._links.get(target, {}).pop(link, None)
            for found in map(reference, as_items(value)):
                if found is not None:
                    self._referred.setdefault(link, set()).add(found[1])
                    self._links.setdefault(found[1], {}).setdefault(link, read.position)

    def _merge(self, read: Read, event: RecordsMerged) -> Iterator[Unallowed]:
        if not REGISTRIES[event.registry].is_named:
            yield event.uid, "a record that a name identifies", f"a {event.registry}"
        if event.uid == event.into:
            yield event.uid, "another record to be merged into", event.into
        yield from self._is(event.into, {LIVE})
        yield from self._becomes(event.uid, {LIVE}, WITHDRAWN)
        there = self._links.setdefault(event.into, {})
        links = self._links.pop(event.uid, {})
        for told in (event.moved, event.doubled):
            hidden = {link for link in map(_held_link, told) if self._is_hidden(link)}
            links |= dict.fromkeys(hidden - links.keys(), read.position)
            if told is event.doubled:
                there |= dict.fromkeys(hidden - there.keys(), read.position)
        self._mergers[event.uid] = _Merger(event.into, read.position, frozenset(links))
        yield from _same(event.uid, "moved", event.moved, links.keys() - there.keys())
        yield from _same(event.uid, "doubled", event.doubled, links.keys() & there.keys())
        there |= dict.fromkeys(links.keys() - there.keys(), read.position)
        for link in links.keys() & self._referred.keys():
            self._referred[link] = self._referred[link] - {event.uid} | {event.into}

    def _is_hidden(self, link: HeldLink) -> bool:
        """Return whether a link may have been a value that is erased, and so is not known."""
        field, source = link
        registry, _, name = field.partition(".")
        is_typed = registry not in REGISTRIES or name.startswith("features.")
        return is_typed and source in self._hidden

    def _undo(self, read: Read, event: MergeUndone) -> Iterator[Unallowed]:
        merger = self._mergers.pop(event.uid, None)
        self._states[event.uid] = LIVE
        if merger is None or merger.into != event.into:
            yield event.uid, f"a merger into {event.into}", merger and f"one into {merger.into}"
            return
        if event.into in self._mergers:
            further = self._mergers[event.into].into
            yield event.uid, "the last merger of a chain", f"{event.into} is merged into {further}"
        there = self._links.setdefault(event.into, {})
        back = merger.links & there.keys()
        ended = {link for link, since in there.items() if since == merger.position}
        yield from _same(event.uid, "back", event.back, back)
        yield from _same(event.uid, "ended", event.ended, ended)
        for link in ended:
            del there[link]
        self._links[event.uid] = dict.fromkeys(back, read.position)
        for link in (back | ended) & self._referred.keys():
            self._referred[link] = self._referred[link] - (
                {event.into} if link in ended else set()
            ) | ({event.uid} if link in back else set())

    # --- runs -------------------------------------------------------------------------------------

    def _run(self, event: RunResumed | RunFinished | RunAbandoned) -> Iterator[Unallowed]:
        status, times = self._runs.get(event.uid, ("", 0))
        match event:
            case RunResumed():
                yield from _of_run(event)
                if event.resumption != times + 1:
                    yield event.uid, f"resumption {times + 1}", event.resumption
                self._runs[event.uid] = "started", times + 1
            case RunFinished():
                yield from _of_run(event)
                if status in ENDS:
                    yield event.uid, "a run that is open", f"one that is {status}"
                if event.status not in ENDS:
                    yield event.uid, f"one of {', '.join(sorted(ENDS))}", event.status
                self._runs[event.uid] = event.status, times
            case RunAbandoned():
                if status != "started":
                    yield event.uid, "a run that is open", f"one that is {status or 'unknown'}"
                if event.by in {event.uid, None} or event.run != event.by:
                    yield event.uid, "another run that took its place", event.by
                self._runs[event.uid] = "abandoned", times


def _key_of(event: RecordCreated, registry: str) -> list[Any]:
    """Return the natural key that a record must have: by its name, or by values of its own."""
    if REGISTRIES[registry].is_defined and "name" not in event.fields:
        return [registry, *event.natural[1:2]]
    return [registry, event.fields.get("name")]


def _of_run(event: InputRecorded | RunStarted | RunResumed | RunFinished) -> Iterator[Unallowed]:
    if event.run != event.uid:
        yield event.uid, "an event of the run itself", event.run


def _natural(
    event: RecordCreated
    | TransformRegistered
    | ArtifactRegistered
    | ArtifactDeclared
    | CollectionCreated
    | RunStarted,
    wanted: list[Any],
) -> Iterator[Unallowed]:
    if event.natural != wanted:
        yield event.uid, f"the natural key {wanted}", event.natural


def _held_link(told: Sequence[str]) -> HeldLink:
    field, source = told
    return field, source


def _same(
    uid: str, name: str, found: tuple[HeldLink, ...], wanted: Iterable[HeldLink]
) -> Iterator[Unallowed]:
    if list(found) != sorted(wanted):
        yield uid, f"{name}: {sorted(wanted)}", list(found)
