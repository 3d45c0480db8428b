"""Entries of the log: an event with its place, time and command, and the hash that proves them.

The bytes are stated in docs/format.md, section "Entries".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import Any

import msgspec

from ledger.errors import CorruptLogError
from ledger.model.canonical import encode
from ledger.model.events import LedgerEvent, RecordedEvent, tag_of, to_payload
from ledger.model.ids import CommandId, Position, StreamId, as_uuid_hex
from ledger.model.merkle import leaf_hash, payload_hash

SALT_BYTES = 32
# An erased entry has this byte in the place of its salt, and then the hash of its former payload.
_ERASED = b"\x00"


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """The part of an entry that stays readable when its payload is erased."""

    position: Position
    recorded_at: int
    stream: StreamId
    version: int
    tag: str
    command_id: CommandId
    number: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log as it is stored: envelope, payload, salt and leaf hash.

    In an erased entry `payload` is the residue that the erasure left, and `salt` holds the hash of
    the former payload.
    """

    envelope: Envelope
    payload: bytes
    salt: bytes
    leaf: bytes

    @property
    def is_erased(self) -> bool:
        """Whether its original payload is gone."""
        return is_erased(self.salt)

    @property
    def hashed(self) -> bytes:
        """The bytes under the leaf hash: envelope, then payload hash."""
        return encode(self.envelope) + hash_of_payload(self.payload, self.salt)


def entry_of(row: Sequence[Any]) -> Entry:
    """Return an entry of its columns, as they are stored: in the order of `SELECT_ENTRIES`.

    Raises:
        CorruptLogError: There is no event beside it.
    """
    position, recorded_at, stream, version, tag, command, number, payload, salt, leaf = row
    if payload is None:
        raise CorruptLogError(
            f"event at position {position}: expected version {version} of stream {stream}, found "
            "none; stop writing and audit the ledger",
            position=position,
        )
    envelope = Envelope(
        position=Position(position),
        recorded_at=recorded_at,
        stream=StreamId(stream),
        version=version,
        tag=tag,
        command_id=CommandId(command.hex()),
        number=number,
    )
    return Entry(envelope=envelope, payload=payload, salt=salt, leaf=leaf)


def is_erased(salt: bytes) -> bool:
    """Return whether a stored salt is that of an erased entry."""
    return len(salt) == SALT_BYTES + 1 and salt.startswith(_ERASED)


def hash_of_payload(payload: bytes, salt: bytes) -> bytes:
    """Return the payload hash of a stored entry: computed, or kept from before its erasure."""
    return salt[1:] if is_erased(salt) else payload_hash(salt, payload)


def erased(entry: Entry, residue: bytes) -> Entry:
    """Return an entry without its payload, under the same leaf hash."""
    kept = hash_of_payload(entry.payload, entry.salt)
    return msgspec.structs.replace(entry, payload=residue, salt=_ERASED + kept)


def seal(envelope: Envelope, payload: bytes, *, salt: bytes | None = None) -> Entry:
    """Return the entry over an envelope and a payload; the salt is random unless given."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    return Entry(
        envelope=envelope, payload=payload, salt=salt, leaf=leaf_of(envelope, payload, salt)
    )


def leaf_of(envelope: Envelope, payload: bytes, salt: bytes) -> bytes:
    """Return the leaf hash that an honest entry of these parts has."""
    return leaf_hash(encode(envelope) + hash_of_payload(payload, salt))


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be appended, with the command that caused it."""

    stream: StreamId
    command_id: CommandId
    number: int
    event: LedgerEvent


def entry_for(pending: Pending, *, position: int, version: int, recorded_at: int) -> Entry:
    """Return the sealed entry of an event at its place."""
    envelope = Envelope(
        position=Position(position),
        recorded_at=recorded_at,
        stream=pending.stream,
        version=version,
        tag=tag_of(pending.event),
        command_id=pending.command_id,
        number=pending.number,
    )
    return seal(envelope, to_payload(pending.event))


def entry_without_command(  # noqa: PLR0913 (what such an event has)
    *, stream: str, version: int, tag: str, payload: bytes, position: int, recorded_at: int
) -> Entry:
    """Return the sealed entry of an event without a command of ours.

    Such events come through the framework's own door. Their command id is made of stream and
    version, and is as unique as these are.
    """
    command = hashlib.sha256(f"{stream}/{version}".encode()).digest()
    envelope = Envelope(
        position=Position(position),
        recorded_at=recorded_at,
        stream=StreamId(stream),
        version=version,
        tag=tag,
        command_id=CommandId(as_uuid_hex(command)),
        number=1,
    )
    return seal(envelope, payload)


def recorded(entry: Entry, event: LedgerEvent) -> RecordedEvent:
    """Return an event with its place in the log."""
    envelope = entry.envelope
    return RecordedEvent(
        position=envelope.position,
        recorded_at=envelope.recorded_at,
        stream=envelope.stream,
        version=envelope.version,
        command_id=envelope.command_id,
        number=envelope.number,
        event=event,
        is_erased=entry.is_erased,
    )
