"""Events against the rules, in the state before them: what a record may not do, whoever wrote it.

1. The payload is canonical, of the type that its envelope says, and its command hashes to its id.
2. A record comes into being once: in a stream of its own, at version 1, with the ids that its
   natural key gives.
3. What is changed, linked, read, run in or pointed at was there before.
4. A blob is the text that its hash says; a tag points before its own event; the first event, and no
   other, names the ledger; each key is named by the one before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ledger.auditing.findings import Finding
from ledger.canonical import Json
from ledger.errors import InvalidProofError, InvalidValueError
from ledger.eventlog.entry import Envelope
from ledger.events import (
    BlobRecorded,
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
from ledger.ids import derive, uid, versioned_uid
from ledger.notes import PublicKey, read_note, read_public_key, verify_note
from ledger.schema import REGISTRIES
from projections.fold import registry_of


class Rules:
    """The state that events are held against: which records, blobs and keys there are."""

    def __init__(self, ledger: str) -> None:
        self.ledger = ledger
        self.keys: list[KeyAdopted] = []
        self._records: dict[str, tuple[str, str]] = {}
        self._blobs: set[str] = set()

    def check(self, envelope: Envelope, event: LedgerEvent, payload: bytes) -> Iterator[Finding]:
        """Yield what an event breaks, and take it for a part of the state."""
        at = envelope.position
        for kind, subject, expected, found in self._broken(envelope, event, payload):
            yield Finding(kind=kind, position=at, subject=subject, expected=expected, found=found)

    def _broken(
        self, envelope: Envelope, event: LedgerEvent, payload: bytes
    ) -> Iterator[tuple[str, str, object, object]]:
        tag = tag_of(event)
        if tag != envelope.tag:
            yield "event-type", "", envelope.tag, tag
        again = to_payload(event)
        if again != payload:
            yield "not-canonical", tag, _text(again), _text(payload)
        wanted = _derived(event.command)
        if wanted != envelope.command_id:
            yield "command-id", tag, wanted or "an identity", envelope.command_id
        if (envelope.position == 1) != isinstance(event, LedgerInitialized):
            yield "first-event", "", "ledger-initialized.v1 at position 1 only", tag
        yield from self._subject(envelope, event)
        yield from self._named(event)
        yield from self._particular(envelope, event)

    def _subject(
        self, envelope: Envelope, event: LedgerEvent
    ) -> Iterator[tuple[str, str, object, object]]:
        registry, own = registry_of(event), getattr(event, "uid", None)
        if own is None:
            return
        natural = getattr(event, "natural", None)
        if natural is None:
            known = self._records.get(own)
            if known is None:
                yield "unknown-record", own, f"a {registry} that was created before", "none"
            elif known != (registry, envelope.stream):
                yield (
                    "wrong-stream",
                    own,
                    f"{known[0]} in stream {known[1]}",
                    f"{registry} in stream {envelope.stream}",
                )
            return
        if own in self._records:
            yield "second-creation", own, "a record that was not created before", "another one"
        if envelope.version != 1:
            yield "second-creation", own, "version 1", f"version {envelope.version}"
        identity = ["create", *natural, getattr(event, "n", 1)]
        stream = _derived(identity)
        if stream != envelope.stream:
            yield "stream-id", own, stream or "an identity", envelope.stream
        named = _uid_of(registry, identity, own)
        if named != own:
            yield "uid", own, named or "a uid of its natural key", own
        self._records[own] = (registry, envelope.stream)

    def _named(self, event: LedgerEvent) -> Iterator[tuple[str, str, object, object]]:
        """Yield what an event names and is not there."""
        own = getattr(event, "uid", None)
        named: list[tuple[str | None, str]] = [(event.run, "run")]
        match event:
            case InputRecorded():
                named.append((event.artifact, "artifact"))
            case RunStarted():
                named.append((event.transform, "transform"))
                named.append((event.forked_from, "run"))
            case LinkAdded():
                spec = REGISTRIES.get(event.registry)
                relation = None if spec is None else spec.relation(event.field)
                if relation is not None:
                    named.append((event.target, relation.target))
            case _:
                named.append((getattr(event, "revises", None), registry_of(event)))
        named += [(member, "artifact") for member in getattr(event, "artifacts", ())]
        for each, registry in named:
            if each is None or each == own:
                continue
            known = self._records.get(each)
            if known is None or known[0] != registry:
                yield (
                    "unknown-record",
                    each,
                    f"a {registry} that was created before",
                    "none" if known is None else f"a {known[0]}",
                )

    def _particular(  # noqa: C901 (one case a kind)
        self, envelope: Envelope, event: LedgerEvent
    ) -> Iterator[tuple[str, str, object, object]]:
        stream: Json = None
        match event:
            case LedgerInitialized():
                stream = ["initialize", self.ledger]
                if event.ledger != self.ledger:
                    yield "ledger-id", "", self.ledger, event.ledger
            case BlobRecorded():
                stream = ["blob", event.blob]
                self._blobs.add(event.blob)
                hashed = "sha256:" + hashlib.sha256(event.text.encode()).hexdigest()
                if hashed != event.blob:
                    yield "blob-hash", event.blob, event.blob, hashed
            case PositionTagged():
                stream = ["tag", event.name]
                if not 0 <= event.position < envelope.position:
                    yield "tag", event.name, "a position before the tag's own", event.position
            case KeyAdopted():
                stream = ["key", self.ledger]
                previous = self.keys[-1].key if self.keys else None
                if event.previous != previous:
                    yield "key", event.key, previous, event.previous
                self.keys.append(event)
            case RunStarted():
                yield from self._blob(event.environment)
            case TransformRegistered():
                yield from self._blob(event.source)
            case _:
                pass
        if stream is not None and _derived(stream) != envelope.stream:
            yield "stream-id", "", _derived(stream), envelope.stream

    def _blob(self, blob: str | None) -> Iterator[tuple[str, str, object, object]]:
        if blob is not None and blob not in self._blobs:
            yield "unknown-blob", blob, "a text that was recorded before", "none"


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
