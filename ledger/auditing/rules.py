"""Events against the rules, in the state before them: what a record may not do, whoever wrote it.

1. The payload is canonical, of the type that its envelope says, and its command hashes to its id.
2. A record comes into being once: in a stream of its own, at version 1, with the ids that its
   natural key gives.
3. What is changed, linked, read, run in or pointed at was there before.
4. What was erased is named by a later event, with the hash of what is left; nothing else is.
5. A blob is the text that its hash says; a tag points before its own event; the first event, and no
   other, names the ledger; each key is named by the one before.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import TypeAlias

import msgspec

from ledger.auditing.entries import Read
from ledger.auditing.findings import Finding
from ledger.errors import InvalidProofError, InvalidValueError
from ledger.model.canonical import Json
from ledger.model.events import (
    BlobRecorded,
    EntriesErased,
    InputRecorded,
    KeyAdopted,
    LedgerEvent,
    LedgerInitialized,
    LinkAdded,
    PositionTagged,
    RunStarted,
    TransformRegistered,
    tag_of,
    to_payload,
)
from ledger.model.ids import derive, uid, versioned_uid
from ledger.model.schema import REGISTRIES
from ledger.proving.notes import PublicKey, read_note, read_public_key, verify_note
from projections.fold import registry_of

# Kind, subject, expected, found.
Told: TypeAlias = tuple[str, str, object, object]


class _Residue(msgspec.Struct, frozen=True):
    """What is left of an erased entry: whose it is, and the hash of it."""

    stream: str
    is_blob: bool
    digest: str


class Rules:
    """The state that events are held against: which records, blobs and keys there are."""

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.keys: list[KeyAdopted] = []
        self._records: dict[str, tuple[str, str]] = {}
        self._blobs: set[str] = set()
        # Erased entries that no event has named so far.
        self._erased: dict[int, _Residue] = {}

    def check(self, read: Read, event: LedgerEvent, findings: list[Finding]) -> None:
        """Add what an event breaks to the findings, and take it for a part of the state."""
        told: list[Told] = []
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

    def _broken(self, read: Read, event: LedgerEvent, told: list[Told]) -> None:
        tag = tag_of(event)
        if tag != read.tag:
            told.append(("event-type", "", read.tag, tag))
        again = to_payload(event)
        if again != read.payload:
            told.append(("not-canonical", tag, _text(again), _text(read.payload)))
        if read.is_erased:
            self._erased[read.position] = _Residue(
                stream=read.stream,
                is_blob=isinstance(event, BlobRecorded),
                digest=hashlib.sha256(read.payload).hexdigest(),
            )
        elif (wanted := _derived(event.command)) != read.command_id:
            told.append(("command-id", tag, wanted or "an identity", read.command_id))
        if (read.position == 1) != isinstance(event, LedgerInitialized):
            told.append(("first-event", "", "ledger-initialized.v1 at position 1 only", tag))
        registry, own = registry_of(event), getattr(event, "uid", None)
        if own is not None:
            self._subject(read, event, registry, own, told)
        self._named(event, registry, own, told)
        self._particular(read, event, told)

    def _subject(
        self, read: Read, event: LedgerEvent, registry: str, own: str, told: list[Told]
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
        if read.is_erased:
            return
        identity = ["create", *natural, getattr(event, "n", 1)]
        stream = _derived(identity)
        if stream != read.stream:
            told.append(("stream-id", own, stream or "an identity", read.stream))
        named = _uid_of(registry, identity, own)
        if named != own:
            told.append(("uid", own, named or "a uid of its natural key", own))

    def _named(self, event: LedgerEvent, registry: str, own: str | None, told: list[Told]) -> None:
        """Tell what an event names and is not there."""
        self._there(event.run, "run", own, told)
        match event:
            case LinkAdded():
                target = _target_of(event.registry, event.field)
                if target is not None:
                    self._there(event.target, target, own, told)
            case InputRecorded():
                self._there(event.artifact, "artifact", own, told)
            case RunStarted():
                self._there(event.transform, "transform", own, told)
                self._there(event.forked_from, "run", own, told)
            case _:
                self._there(getattr(event, "revises", None), registry, own, told)
        for member in getattr(event, "artifacts", ()):
            self._there(member, "artifact", own, told)

    def _there(self, named: str | None, registry: str, own: str | None, told: list[Told]) -> None:
        if named is None or named == own:
            return
        known = self._records.get(named)
        if known is None or known[0] != registry:
            told.append(
                (
                    "unknown-record",
                    named,
                    f"a {registry} that was created before",
                    "none" if known is None else f"a {known[0]}",
                )
            )

    def _particular(  # noqa: C901, PLR0912 (one case a kind)
        self, read: Read, event: LedgerEvent, told: list[Told]
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
                if event.previous != previous:
                    told.append(("key", event.key, previous, event.previous))
                self.keys.append(event)
            case RunStarted():
                self._blob(event.environment, told)
            case TransformRegistered():
                if not read.is_erased:
                    self._blob(event.source, told)
            case EntriesErased():
                for position, digest in event.entries:
                    self._residue(position, digest, read, told)
            case _:
                return
        if stream is not None and _derived(stream) != read.stream:
            told.append(("stream-id", "", _derived(stream), read.stream))

    def _residue(self, position: int, digest: str, read: Read, told: list[Told]) -> None:
        found = self._erased.pop(position, None)
        about = f"position {position}"
        if found is None:
            told.append(("erasure", about, "an entry that is erased", "one that is not"))
        elif found.digest != digest:
            told.append(("erasure", about, f"a residue of SHA-256 {digest}", found.digest))
        elif found.stream != read.stream and not found.is_blob:
            told.append(("erasure", about, f"an entry of stream {read.stream}", found.stream))

    def _blob(self, blob: str | None, told: list[Told]) -> None:
        if blob is not None and blob not in self._blobs:
            told.append(("unknown-blob", blob, "a text that was recorded before", "none"))


@lru_cache(maxsize=256)
def _target_of(registry: str, field: str) -> str | None:
    """Return the registry that a link leads to; None for what is no link."""
    spec = REGISTRIES.get(registry)
    relation = None if spec is None else spec.relation(field)
    return None if relation is None else relation.target


def endorsed(trusted: list[PublicKey], adoptions: list[KeyAdopted]) -> list[PublicKey]:
    """Return the keys that are trusted because one that is trusted already names them."""
    known = list(trusted)
    for adoption in adoptions:
        if adoption.endorsement is None:
            continue
        try:
            note = read_note(adoption.endorsement)
            verify_note(note, known)
            key = read_public_key(adoption.key)
        except (InvalidProofError, InvalidValueError):
            continue
        if note.text == f"metaledger key adoption\n{adoption.key}\n" and key not in known:
            known.append(key)
    return known


def _uid_of(registry: str, identity: Json, own: str) -> str | None:
    spec = REGISTRIES.get(registry)
    if spec is None:
        return None
    try:
        if not spec.is_versioned:
            return uid(identity, spec.uid_length)
        return versioned_uid(identity, stem_length=spec.uid_length, stem=own[: spec.uid_length])
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
