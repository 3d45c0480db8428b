"""Events against the rules, in the state before them: what a record may not do, whoever wrote it.

1. The payload is canonical, of the type that its envelope says, each field is in the part where it
   belongs, and its command hashes to its id. What the kept part repeats (id of the natural key,
   keys of the intent, since when a key had led elsewhere) is what the other part gives.
2. A record comes into being once: in a stream of its own, at version 1, with the ids that its
   natural key gives.
3. What is changed, linked, read, run in or pointed at was there before, and the events before allow
   the change (`ledger.auditing.histories`). A version joins the family that it revises.
4. What was erased is named by a later event, which names nothing else; a residue of format 1 with
   its hash. No entry of format 1 follows one of a later format.
5. A blob is the text that its hash says; a tag points before its own event; the first event, and no
   other, names the ledger; each key is named by the one before.
6. A time can be told as a date.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import msgspec

from ledger.auditing.entries import Read
from ledger.auditing.findings import Finding, LostKey
from ledger.auditing.histories import Histories
from ledger.auditing.trust import endorsed
from ledger.errors import InvalidValueError
from ledger.model.canonical import Json, encode
from ledger.model.events import (
    ArtifactDeclared,
    ArtifactKeyed,
    ArtifactRegistered,
    BlobRecorded,
    EntriesErased,
    EntriesErasedV1,
    InputRecorded,
    LedgerEvent,
    LedgerInitialized,
    LinkAdded,
    MergeUndone,
    PositionTagged,
    RecordsMerged,
    RecordWithdrawn,
    RunAbandoned,
    RunStarted,
    TransformRegistered,
    tag_of,
)
from ledger.model.ids import derive, uid, versioned_uid
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.payloads import kept_part, to_payload
from ledger.model.schema import NAME_OF_REGISTRY, REGISTRIES, RegistrySpec
from ledger.model.times import FIRST, LAST
from ledger.proving.keys import eraser_name, origin_of
from ledger.proving.notes import ED25519, read_public_key
from projections.fold import Creation, intent_of, registry_of

_MOST_PASSED = 1_000  # numbers of a natural key that the rules pass over, as their uids are taken

# Kind, subject, expected, found.
Wrong: TypeAlias = tuple[str, str, object, object]


_MOVES_KEYS = (ArtifactRegistered, ArtifactDeclared, ArtifactKeyed, RecordWithdrawn)


class _Left(msgspec.Struct, frozen=True):
    """What is left of an erased entry: whose it is, and the hash of it in format 1."""

    stream: str
    is_blob: bool
    digest: str | None


class Told(NamedTuple):
    """An erasure that the log tells of: the event and its place."""

    read: Read
    event: EntriesErasedV1 | EntriesErased


class Rules:
    """The state that events are held against: which records, blobs and keys there are."""

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.keys: list[KeyAdopted] = []
        self.lost_keys: list[LostKey] = []
        # Position, version in their stream, event.
        self.eraser_keys: list[tuple[int, int, EraserKeysSet]] = []
        self._records: dict[str, tuple[str, str]] = {}
        self._blobs: set[str] = set()
        self.erasures: list[Told] = []
        self.unverifiable: list[int] = []
        self.format = 1
        # Erased entries that no event has named so far.
        self._erased: dict[int, _Left] = {}
        self._pointers = _Pointers()
        self._histories = Histories()
        self._streams: set[str] = set()

    def check(self, read: Read, event: LedgerEvent, findings: list[Finding]) -> None:
        """Add what an event breaks to the findings, and take it for a part of the state."""
        told: list[Wrong] = []
        try:
            self._broken(read, event, told)
        finally:
            findings.extend(
                Finding(
                    kind=kind, position=read.position, subject=about, expected=wanted, found=found
                )
                for kind, about, wanted, found in told
            )

    def end(self, findings: list[Finding]) -> None:
        """Add what is only known when all events were seen."""
        findings.extend(
            Finding(
                kind="erasure",
                position=position,
                expected="a later event that says who erased it",
                found="none",
            )
            for position in self._erased
        )

    def _broken(self, read: Read, event: LedgerEvent, told: list[Wrong]) -> None:
        tag = tag_of(event)
        if tag != read.tag:
            told.append(("event-type", "", read.tag, tag))
        again = _written_again(read, event)
        if again != read.payload:
            told.append(("not-canonical", tag, _text(again), _text(read.payload)))
        if read.format < self.format:
            told.append(("format", tag, f"an entry of format {self.format}", read.format))
        self.format = max(self.format, read.format)
        if read.is_erased:
            self._left(read, event)
        else:
            if (wanted := _derived(event.command)) != read.command_id:
                told.append(("command-id", tag, wanted or "an identity", read.command_id))
            if read.format > 1:
                told.extend(_kept_otherwise(read, event))
        if isinstance(event, _MOVES_KEYS):
            told.extend(self._pointers.follow(read, event))
        if (read.position == 1) != isinstance(event, LedgerInitialized):
            told.append(("first-event", "", "ledger-initialized.v1 at position 1 only", tag))
        told.extend(
            ("time", name, f"{FIRST} to {LAST}", moment)
            for name, moment in (("at", event.at), ("recorded_at", read.recorded_at))
            if not FIRST <= moment <= LAST
        )
        registry, own = registry_of(event), getattr(event, "uid", None)
        if own is not None:
            self._subject(read, event, registry, own, told)
        self._named(event, registry, own, told)
        self._particular(read, event, told)
        told.extend(("history", *each) for each in self._histories.follow(read, event, registry))

    def _subject(  # noqa: C901 (each is a claim of its own)
        self, read: Read, event: LedgerEvent, registry: str, own: str, told: list[Wrong]
    ) -> None:
        natural = getattr(event, "natural", None)
        known = self._records.get(own)
        if natural is None:
            if known is None:
                told.append(
                    ("unknown-record", own, f"a {registry} that was created before", "none")
                )
            elif known != (registry, read.stream):
                told.append(
                    (
                        "wrong-stream",
                        own,
                        f"{known[0]} in stream {known[1]}",
                        f"{registry} in stream {read.stream}",
                    )
                )
            return
        if known is not None:
            told.append(
                ("second-creation", own, "a record that was not created before", "another one")
            )
        if read.version != 1:
            told.append(("second-creation", own, "version 1", f"version {read.version}"))
        self._records[own] = (registry, read.stream)
        self._streams.add(read.stream)
        stem = _stem_of(event, registry)
        if read.is_erased:
            if stem is not None and own[: len(stem)] != stem:
                told.append(("uid", own, f"a uid that begins with {stem}", own))
            return
        number = getattr(event, "n", 1)
        identity = ["create", *natural, number]
        stream = _derived(identity)
        if stream != read.stream:
            told.append(("stream-id", own, stream or "an identity", read.stream))
        named = _uid_of(registry, identity, stem)
        if named != own:
            told.append(("uid", own, named or "a uid of its natural key", own))
        if number != 1 and not self._is_next(registry, natural, number, stem):
            told.append(("history", own, "the record before it of its natural key", number))

    def _is_next(self, registry: str, natural: list[Json], number: int, stem: str | None) -> bool:
        """Return whether the record before one was created, or its uid was another record's."""
        for before in range(number - 1, max(0, number - _MOST_PASSED), -1):
            identity = ["create", *natural, before]
            if _derived(identity) in self._streams:
                return True
            if _uid_of(registry, identity, stem) not in self._records:
                return False
        return number > 1

    def _named(self, event: LedgerEvent, registry: str, own: str | None, told: list[Wrong]) -> None:
        """Tell what an event names and is not there."""
        self._there(event.run, "run", own, told)
        match event:
            case LinkAdded():
                target = _target_of(event.registry, event.field)
                if target is not None:
                    self._there(event.target, target, own, told)
            case InputRecorded():
                self._there(event.artifact, "artifact", own, told)
            case RecordsMerged() | MergeUndone():
                self._there(event.into, registry, own, told)
            case RunAbandoned():
                self._there(event.by, "run", own, told)
            case RunStarted():
                self._there(event.transform, "transform", own, told)
                self._there(event.forked_from, "run", own, told)
                self._there(event.initiated_by, "run", own, told)
            case _:
                self._there(getattr(event, "revises", None), registry, own, told)
        for member in getattr(event, "artifacts", ()):
            self._there(member, "artifact", own, told)

    def _there(self, named: str | None, registry: str, own: str | None, told: list[Wrong]) -> None:
        if named is None:
            return
        known = self._records.get(named)
        if known is None or known[0] != registry or (named == own and registry != "run"):
            told.append(
                (
                    "unknown-record",
                    named,
                    f"a {registry} that was created before",
                    "none" if known is None else "itself" if named == own else f"a {known[0]}",
                )
            )

    def _particular(  # noqa: C901, PLR0912 (one case a kind)
        self, read: Read, event: LedgerEvent, told: list[Wrong]
    ) -> None:
        stream: Json = None
        match event:
            case LedgerInitialized():
                stream = ["initialize", self.ledger]
                if event.ledger != self.ledger:
                    told.append(("ledger-id", "", self.ledger, event.ledger))
            case BlobRecorded():
                stream = ["blob", event.blob]
                self._blobs.add(event.blob)
                hashed = "sha256:" + hashlib.sha256(event.text.encode()).hexdigest()
                if hashed != event.blob and not read.is_erased:
                    told.append(("blob-hash", event.blob, event.blob, hashed))
            case PositionTagged():
                stream = ["tag", event.name]
                if not 0 <= event.position < read.position:
                    told.append(
                        ("tag", event.name, "a position before the tag's own", event.position)
                    )
            case KeyAdopted():
                stream = ["key", self.ledger]
                previous = self.keys[-1].key if self.keys else None
                if not _is_of(event.key, origin_of(self.ledger)):
                    told.append(("key", event.key, f"a key of {origin_of(self.ledger)}", event.key))
                if event.previous != previous:
                    told.append(("key", event.key, previous, event.previous))
                self.keys.append(event)
                if event.previous is not None and not _is_endorsed(event.previous, event):
                    self.lost_keys.append(
                        LostKey(
                            position=read.position,
                            recorded_at=read.recorded_at,
                            actor=event.actor,
                            previous=event.previous,
                            key=event.key,
                        )
                    )
            case EraserKeysSet():
                stream = ["eraser-keys", self.ledger]
                self.eraser_keys.append((read.position, read.version, event))
                told.extend(
                    ("key", line, f"a key of {eraser_name(self.ledger)}", line)
                    for line in event.keys
                    if not _is_of(line, eraser_name(self.ledger))
                )
            case RunStarted():
                self._blob(event.environment, told)
            case TransformRegistered():
                if not read.is_erased:
                    self._blob(event.source, told)
            case EntriesErasedV1() | EntriesErased():
                self._erasure(read, event, told)
            case _:
                return
        if stream is not None and _derived(stream) != read.stream:
            told.append(("stream-id", "", _derived(stream), read.stream))

    def _left(self, read: Read, event: LedgerEvent) -> None:
        digest = None
        if read.format == 1:
            self.unverifiable.append(read.position)
            digest = hashlib.sha256(read.payload).hexdigest()
        self._erased[read.position] = _Left(
            stream=read.stream, is_blob=isinstance(event, BlobRecorded), digest=digest
        )

    def _erasure(
        self, read: Read, event: EntriesErasedV1 | EntriesErased, told: list[Wrong]
    ) -> None:
        self.erasures.append(Told(read, event))
        if isinstance(event, EntriesErasedV1) and read.format > 1:
            told.append(("erasure", event.uid, "entries-erased.v2", "entries-erased.v1"))
        digests = dict(event.digests)
        for position in event.positions:
            found, about = self._erased.pop(position, None), f"position {position}"
            if found is None:
                told.append(("erasure", about, "an entry that is erased", "one that is not"))
            elif found.digest != digests.get(position):
                told.append(("erasure", about, digests.get(position), found.digest))
            elif found.stream != read.stream and not found.is_blob:
                told.append(("erasure", about, f"an entry of stream {read.stream}", found.stream))

    def _blob(self, blob: str | None, told: list[Wrong]) -> None:
        if blob is not None and blob not in self._blobs:
            told.append(("unknown-blob", blob, "a text that was recorded before", "none"))


class _Pointers:
    """Where keys lead: since which position each, and whose they are."""

    def __init__(self) -> None:
        self._since: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._of: dict[str, set[int]] = {}
        # Erased events that may have given an artifact a key, which is not known any more.
        self._unknown: set[int] = set()

    def follow(
        self,
        read: Read,
        event: ArtifactRegistered | ArtifactDeclared | ArtifactKeyed | RecordWithdrawn,
    ) -> Iterator[Wrong]:
        """Take what an event does to keys, and yield what it says otherwise of those before."""
        if isinstance(event, RecordWithdrawn):
            for position in self._of.pop(event.uid, ()):
                self._end(position)
            return
        said = event.displaced
        if read.is_erased:
            self._end(said)
            self._unknown.add(read.position)
        elif event.key is not None:
            since = self._since.get(event.key)
            if read.format > 1 and said != since and not (since is None and said in self._unknown):
                yield "displaced", event.uid, since, said
            self._end(said if since is None else since)
            self._since[event.key] = read.position
            self._keys[read.position] = event.key
            self._of.setdefault(event.uid, set()).add(read.position)

    def _end(self, position: int | None) -> None:
        if position is not None:
            self._unknown.discard(position)
            self._since.pop(self._keys.pop(position, ""), None)


def _written_again(read: Read, event: LedgerEvent) -> bytes:
    """Return the bytes that an event is written as, as far as they are known."""
    if read.format > 1:
        return kept_part(event) if read.is_erased else to_payload(event)
    # What is left of an entry of format 1 is what the erasure's hash says.
    return read.payload if read.is_erased else encode(event)


def _kept_otherwise(read: Read, event: LedgerEvent) -> Iterator[Wrong]:
    """Yield what the kept part says otherwise than the part that an erasure removes."""
    if isinstance(event, Creation):
        wanted = _derived(event.natural)
        if event.natural_id != wanted:
            yield "natural-id", event.uid, wanted, event.natural_id
    if isinstance(event, ArtifactDeclared) and event.has_size != (event.size is not None):
        yield "has-size", event.uid, event.size is not None, event.has_size
    intent = None
    if read.number == 1 and event.run is not None:
        intent = intent_of(event.command)
    if event.intent != intent:
        yield "intent", "", intent, event.intent


def _spec_of(registry: str) -> RegistrySpec | None:
    """Return what is known of a registry without the ledger; None for no name of one."""
    if registry in REGISTRIES or NAME_OF_REGISTRY.fullmatch(registry):
        return REGISTRIES[registry]
    return None


@lru_cache(maxsize=256)
def _target_of(registry: str, field: str) -> str | None:
    """Return the registry that a link leads to; None for what is no link."""
    spec = _spec_of(registry)
    relation = None if spec is None else spec.relation(field)
    return None if relation is None else relation.target


def _is_of(line: str, name: str) -> bool:
    """Return whether a line is a public key of a name, to verify signatures of notes with."""
    try:
        key = read_public_key(line)
    except InvalidValueError:
        return False
    return (key.name, key.kind) == (name, ED25519)


def _is_endorsed(previous: str, adoption: KeyAdopted) -> bool:
    try:
        before = [read_public_key(previous)]
    except InvalidValueError:
        return False
    return adoption.key == previous or endorsed(before, [adoption]) != before


def _stem_of(event: LedgerEvent, registry: str) -> str | None:
    """Return the stem of the family that a new version joins; None where it begins one."""
    spec = _spec_of(registry)
    if spec is None or not spec.is_versioned:
        return None
    revised = getattr(event, "revises", None)
    if revised is not None:
        return str(revised[: spec.uid_length])
    # A transform's stem is given; `ledger.auditing.histories` compares it with the natural key.
    return event.uid[: spec.uid_length] if isinstance(event, TransformRegistered) else None


def _uid_of(registry: str, identity: Json, stem: str | None) -> str | None:
    spec = _spec_of(registry)
    if spec is None:
        return None
    try:
        if not spec.is_versioned:
            return uid(identity, spec.uid_length)
        return versioned_uid(identity, stem_length=spec.uid_length, stem=stem)
    except (TypeError, ValueError):
        return None


def _derived(identity: Json) -> str | None:
    """Return the id of an identity; None for what is none."""
    try:
        return derive(identity)
    except (TypeError, ValueError, RecursionError):
        return None


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "backslashreplace")
