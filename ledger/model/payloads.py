"""The bytes of an event as they are stored: their parts, and what an entry says of each.

`ERASABLE` says which field of an event is in which part.

1. Since format 2 a payload is a kept part, a line feed, and an erasable part, which may be empty.
   Canonical JSON holds no line feed, so the first one is the split. In format 1 there is one part.
2. Each part has a hash and a salt of its own. That of the kept part is made of the other one, and
   tells nothing of it.
3. An erasure leaves the kept part byte for byte, its salt, and the hash of the part that went: the
   hashes stay what they were. In format 1 it leaves a residue, and the hash of all that went.

docs/format.md states this in section 6.
"""

from __future__ import annotations

import typing
from typing import Any

import msgspec

from ledger.errors import UnknownEventError
from ledger.model.canonical import Json, encode
from ledger.model.events import (
    AliasAdded,
    ArtifactDeclared,
    ArtifactKeyed,
    ArtifactRegistered,
    ArtifactRelocated,
    ArtifactReproduced,
    BlobRecorded,
    CollectionCreated,
    Event,
    LedgerEvent,
    RecordChanged,
    RecordCreated,
    RecordRetracted,
    RecordsMerged,
    RetractionLifted,
    RunFinished,
    RunStarted,
    TransformRegistered,
    ValuesSet,
)
from ledger.model.merkle import payload_hash
from ledger.model.schema import erased_text

SALT_BYTES = HASH_BYTES = 32
# In the place of the salt of an erased entry: that of the kept part, then the hash of what went. In
# format 1: a byte, then the hash of the payload that was.
ERASED_BYTES = SALT_BYTES + HASH_BYTES
ERASED_IN_FORMAT_1 = b"\x00"


# What an erasure removes of an event of each type. Every other field, and every field of a type
# that is not here, is kept: places, times, people, ids, and what the structure of the log needs.
ERASABLE: dict[type[Event], tuple[str, ...]] = {
    BlobRecorded: ("text",),
    RecordCreated: ("command", "natural", "fields"),
    TransformRegistered: (
        "command", "natural", "name", "key", "version", "description", "source_hash", "source",
    ),
    ArtifactRegistered: (
        "command", "natural", "key", "description", "version", "suffix", "hash", "digest", "size",
        "n_files", "storage", "storage_key",
    ),
    ArtifactDeclared: (
        "command", "natural", "key", "description", "version", "suffix", "size", "n_files",
        "claimed", "where",
    ),
    ArtifactReproduced: ("command",),
    ArtifactKeyed: ("command", "key"),
    ArtifactRelocated: ("command", "storage", "storage_key"),
    CollectionCreated: (
        "command", "natural", "name", "description", "version", "hash", "digest",
    ),
    RecordChanged: ("command", "fields"),
    AliasAdded: ("command", "alias"),
    RecordRetracted: ("command", "reason"),
    RetractionLifted: ("command", "reason"),
    RecordsMerged: ("command", "reason"),
    RunStarted: (
        "command", "natural", "name", "params", "arguments", "modules", "git_commit", "host",
        "task",
    ),
    RunFinished: ("error",),
    ValuesSet: ("command", "removed", "values"),
}  # fmt: skip

# msgspec tells apart bytes that are no UTF-8, and nesting without end, from other damage.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_decoder: msgspec.json.Decoder[LedgerEvent] = msgspec.json.Decoder(LedgerEvent)
_KINDS = {str(kind.__struct_config__.tag): kind for kind in typing.get_args(LedgerEvent)}


class _Head(msgspec.Struct):
    type: str = ""


_head_decoder = msgspec.json.Decoder(_Head)


def to_payload(event: LedgerEvent) -> bytes:
    """Return the bytes that are stored and hashed for an event: kept part, line feed, the rest."""
    names = ERASABLE.get(type(event))
    if names is None:
        return encode(event) + b"\n"
    kept: dict[str, Any] = msgspec.to_builtins(event)
    erasable = {name: kept.pop(name) for name in names if name in kept}
    return encode(kept) + b"\n" + (encode(erasable) if erasable else b"")


def kept_part(event: LedgerEvent) -> bytes:
    """Return the part of an event's bytes that stays when it is erased, with its line feed."""
    return parts_of(to_payload(event))[0]


def from_payload(payload: bytes, *, position: int, is_erased: bool = False) -> LedgerEvent:
    """Return the event that stored bytes hold; of an erased entry, what is left of it.

    Nothing but the kept part is read of an erased entry: a text that an event must have is then a
    mark, and everything else that is gone is empty.

    Raises:
        UnknownEventError: Its type, or the shape of its fields, is not known to this program.
    """
    kept, erasable = parts_of(payload)
    try:
        if is_erased:
            return _left_of(kept)
        return _decoder.decode(kept[:-2] + b"," + erasable[1:] if erasable else kept)
    except _UNREADABLE as error:
        raise UnknownEventError(
            f"event at position {position} ({_type_of(kept)}): {error}; "
            "audit the ledger, or open it with the version of metaledger that wrote it",
            position=position,
        ) from error


def _left_of(kept: bytes) -> LedgerEvent:
    found: dict[str, Any] = msgspec.json.decode(kept, type=dict[str, Any])
    kind = _KINDS.get(str(found.get("type")))
    if kind is not None:
        natural = found.get("natural")
        if isinstance(natural, list) and natural[:1] == ["erased"]:
            found["natural_id"] = natural[-1]
        # A residue of format 1 holds more than is kept, and nothing vouches for it.
        for name in ERASABLE.get(kind, ()):
            found.pop(name, None)
        found |= _blanks(kind, erased_text(str(found.get("uid", found.get("blob")))))
    left: LedgerEvent = msgspec.convert(found, LedgerEvent)
    return left


def _blanks(kind: type[Event], mark: str) -> dict[str, Any]:
    """Return what stands in the place of the erasable fields that an event of a kind must have."""
    names = ERASABLE.get(kind, ())
    blanks: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if field.required and field.name in names:
            of = typing.get_origin(field.type) or field.type
            blanks[field.name] = mark if of is str else of()
    if kind is RecordCreated:
        blanks["fields"] = {"name": mark}
    return blanks


def _type_of(payload: bytes) -> str:
    try:
        return _head_decoder.decode(payload).type or "no type"
    except _UNREADABLE:
        return "not an event"


def as_json(event: LedgerEvent) -> dict[str, Json]:
    """Return an event as plain data, with its type."""
    data: dict[str, Json] = msgspec.json.decode(encode(event))
    return data


def left_as_json(event: LedgerEvent) -> dict[str, Json]:
    """Return what is left of an erased event as plain data."""
    data: dict[str, Json] = msgspec.json.decode(kept_part(event))
    return data


# --- parts and their hashes ---------------------------------------------------------------------


def format_of(payload: bytes) -> int:
    """Return the format of stored bytes."""
    return 2 if b"\n" in payload else 1


def parts_of(payload: bytes) -> tuple[bytes, bytes]:
    """Return the kept part, line feed included, and the erasable part; all of it in format 1."""
    end = payload.find(b"\n") + 1
    return (payload[:end], payload[end:]) if end else (payload, b"")


def is_erased(salt: bytes) -> bool:
    """Return whether a stored salt is that of an erased entry."""
    return len(salt) == ERASED_BYTES or (
        len(salt) == SALT_BYTES + 1 and salt.startswith(ERASED_IN_FORMAT_1)
    )


def is_left(payload: bytes, salt: bytes) -> bool:
    """Return whether bytes are of the kind that an erasure that left this salt leaves."""
    end = payload.find(b"\n")
    return 0 < end == len(payload) - 1 if len(salt) == ERASED_BYTES else end < 0


def kept_salt(salt: bytes) -> bytes:
    """Return the salt of the kept part."""
    return payload_hash(b"kept", salt)


def hashes_of(payload: bytes, salt: bytes) -> bytes:
    """Return what an entry holds after its envelope: computed, or left by an erasure."""
    kept, erasable = parts_of(payload)
    if not kept.endswith(b"\n"):
        return salt[1:] if is_erased(salt) else payload_hash(salt, payload)
    if len(salt) == ERASED_BYTES:
        # All of it, so that nothing can follow the kept part unnoticed.
        return payload_hash(salt[:SALT_BYTES], payload[:-1]) + salt[SALT_BYTES:]
    return payload_hash(kept_salt(salt), kept[:-1]) + payload_hash(salt, erasable)


def erased(payload: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Return payload and salt of an entry without its erasable part."""
    kept, erasable = parts_of(payload)
    return kept, kept_salt(salt) + payload_hash(salt, erasable)
