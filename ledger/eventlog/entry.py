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
from ledger.model import payloads
from ledger.model.canonical import encode
from ledger.model.events import LedgerEvent, RecordedEvent, tag_of
from ledger.model.ids import CommandId, Position, StreamId, as_uuid_hex
from ledger.model.merkle import leaf_hash
from ledger.model.payloads import SALT_BYTES, format_of, hashes_of, is_erased, to_payload


class Envelope(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The part of an entry that an erasure does not touch; `format` says what is hashed with it."""

    position: Position
    recorded_at: int
    stream: StreamId
    version: int
    tag: str
    command_id: CommandId
    number: int
    format: int = 1


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the log as it is stored: envelope, payload, salt and leaf hash.

    Of an erased entry `payload` is its kept part, and `salt` holds what the leaf hash needs beside
    it: the kept part's own salt and the hash of the part that went.
    """

    envelope: Envelope
    payload: bytes
    salt: bytes
    leaf: bytes

    @property
    def is_erased(self) -> bool:
        """Whether its erasable part is gone."""
        return is_erased(self.salt)

    @property
    def hashed(self) -> bytes:
        """The bytes under the leaf hash: envelope, then the hashes of both parts."""
        return encode(self.envelope) + hashes_of(self.payload, self.salt)


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
        format=format_of(payload),
    )
    return Entry(envelope=envelope, payload=payload, salt=salt, leaf=leaf)


def erased(entry: Entry) -> Entry:
    """Return what stays of an entry: the same leaf, and the kept part as it was."""
    payload, salt = payloads.erased(entry.payload, entry.salt)
    return msgspec.structs.replace(entry, payload=payload, salt=salt)


def erased_in_format_1(entry: Entry, residue: bytes) -> Entry:
    """Return what stays of an entry of format 1: its leaf hash, and a residue."""
    salt = payloads.ERASED_IN_FORMAT_1 + hashes_of(entry.payload, entry.salt)
    return msgspec.structs.replace(entry, payload=residue, salt=salt)


def seal(envelope: Envelope, payload: bytes, *, salt: bytes | None = None) -> Entry:
    """Return the entry over an envelope and a payload; the salt is random unless given."""
    salt = os.urandom(SALT_BYTES) if salt is None else salt
    return Entry(
        envelope=envelope, payload=payload, salt=salt, leaf=leaf_of(envelope, payload, salt)
    )


def leaf_of(envelope: Envelope, payload: bytes, salt: bytes) -> bytes:
    """Return the leaf hash that an honest entry of these parts has."""
    return leaf_hash(encode(envelope) + hashes_of(payload, salt))


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
        format=2,
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
        format=format_of(payload),
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
