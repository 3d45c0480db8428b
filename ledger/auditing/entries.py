"""Entries read again: kinds of values, order, times, and every hash.

Looks at one row at a time and remembers of those before it what the order needs. A row is taken
for what it is stored as: no value is converted before it was looked at.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from hashlib import sha256

import msgspec

from ledger.auditing.findings import Finding
from ledger.canonical import encode
from ledger.eventlog.entry import SALT_BYTES, Envelope
from ledger.eventlog.evidence import RawRow, Text
from ledger.ids import CommandId, Position, StreamId

_ID_BYTES = 16
_HASH_BYTES = 32
_STREAM = re.compile(rb"[0-9a-f]{32}")
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]+")
# Types of events that were looked at: there are few.
_SEEN: set[bytes] = set()
_MOST_SEEN = 1_000


class Read(msgspec.Struct, frozen=True):
    """A row whose values are of the right kinds."""

    envelope: Envelope
    payload: bytes
    leaf: bytes  # recomputed, or as stored where it was not


class Entries:
    """The rows of a log, one after the other."""

    def __init__(self) -> None:
        self.position = 0
        self.rehashed = 0
        self._recorded_at = 0
        self._versions: dict[bytes, int] = {}
        self._commands: set[bytes] = set()
        self._command = b""
        self._number = 0

    def take(self, row: RawRow, findings: list[Finding], *, rehash: bool) -> Read | None:
        """Return the row read again; None where it holds no entry. Adds what it found."""
        place = row.position if type(row.position) is int else self.position + 1
        if place != self.position + 1:
            findings.append(
                Finding(kind="position", position=place, expected=self.position + 1, found=place)
            )
        self.position = place
        if not _is_well_formed(row):
            findings.extend(self._malformed(row))
            return None
        if not self._is_in_order(row):
            findings.extend(self._disorder(row))
        self._follow(row)
        leaf = row.leaf
        if rehash:
            leaf = _leaf(row)
            self.rehashed += 1
            if leaf != row.leaf:
                findings.append(
                    Finding(
                        kind="leaf-hash",
                        position=self.position,
                        subject=row.stream.decode(),
                        expected=bytes(row.leaf).hex(),
                        found=leaf.hex(),
                    )
                )
        envelope = Envelope(
            position=Position(row.position),
            recorded_at=row.recorded_at,
            stream=StreamId(row.stream.decode()),
            version=row.version,
            tag=row.topic.decode("utf-8", "replace"),
            command_id=CommandId(row.command_id.hex()),
            number=row.number,
        )
        return Read(envelope, row.state, leaf)

    def _malformed(self, row: RawRow) -> Iterator[Finding]:
        if row.topic is None and row.state is None:
            yield Finding(
                kind="event-missing",
                position=self.position,
                subject=_shown(row.stream),
                expected=f"an event of version {_shown(row.version)}",
                found="none",
            )
            return
        for name, expected, found in _wrong_kinds(row):
            yield Finding(
                kind="malformed-row",
                position=self.position,
                subject=name,
                expected=expected,
                found=found,
            )

    def _is_in_order(self, row: RawRow) -> bool:
        if row.recorded_at <= self._recorded_at:
            return False
        if row.version != self._versions.get(row.stream, 0) + 1:
            return False
        if row.command_id == self._command:
            return bool(row.number == self._number + 1)
        return row.number == 1 and row.command_id not in self._commands

    def _follow(self, row: RawRow) -> None:
        self._recorded_at = row.recorded_at
        self._versions[row.stream] = row.version
        self._commands.add(row.command_id)
        self._command, self._number = row.command_id, row.number

    def _disorder(self, row: RawRow) -> Iterator[Finding]:
        at, stream, command = self.position, row.stream.decode(), row.command_id.hex()
        if row.recorded_at <= self._recorded_at:
            yield Finding(
                kind="recorded-time",
                position=at,
                expected=f"later than {self._recorded_at}",
                found=row.recorded_at,
            )
        version = self._versions.get(row.stream, 0) + 1
        if row.version != version:
            yield Finding(
                kind="stream-version",
                position=at,
                subject=stream,
                expected=version,
                found=row.version,
            )
        is_same = row.command_id == self._command
        if not is_same and row.command_id in self._commands:
            yield Finding(
                kind="command-twice",
                position=at,
                subject=command,
                expected="a command that was not recorded before",
                found="another one of this id",
            )
        number = self._number + 1 if is_same else 1
        if row.number != number:
            yield Finding(
                kind="command-number",
                position=at,
                subject=command,
                expected=number,
                found=row.number,
            )


def _is_well_formed(row: RawRow) -> bool:
    """Return whether every value is of its kind: `_wrong_kinds` says which are not."""
    position, recorded_at, stream, version, command_id, number, salt, leaf, topic, state = row
    return (
        type(position) is type(recorded_at) is type(version) is type(number) is int
        and position > 0 < recorded_at
        and version > 0 < number
        and type(stream) is type(topic) is Text
        and _STREAM.fullmatch(stream) is not None
        and (topic in _SEEN or _is_text(topic))
        and type(command_id) is type(salt) is type(leaf) is type(state) is bytes
        and len(command_id) == _ID_BYTES
        and len(salt) == SALT_BYTES
        and len(leaf) == _HASH_BYTES
    )


def _wrong_kinds(row: RawRow) -> Iterator[tuple[str, str, str]]:
    for name in ("position", "recorded_at", "version", "number"):
        value = getattr(row, name)
        if type(value) is not int or value < 1:
            yield name, "a positive number", _shown(value)
    if type(row.stream) is not Text or not _STREAM.fullmatch(row.stream):
        yield "stream", "a text of 32 hexadecimal digits", _shown(row.stream)
    if type(row.topic) is not Text or not _is_text(row.topic):
        yield "topic", "a text", _shown(row.topic)
    for name, size in (("command_id", _ID_BYTES), ("salt", SALT_BYTES), ("leaf", _HASH_BYTES)):
        value = getattr(row, name)
        if type(value) is not bytes or len(value) != size:
            yield name, f"{size} bytes", _shown(value)
    if type(row.state) is not bytes:
        yield "state", "bytes", _shown(row.state)


def _is_text(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _leaf(row: RawRow) -> bytes:
    """Return the leaf hash of a row: docs/format.md, section 6, written out for speed."""
    if row.topic in _SEEN or _PLAIN.fullmatch(row.topic):
        if len(_SEEN) < _MOST_SEEN:
            _SEEN.add(row.topic)
        envelope = (
            b'{"command_id":"%b","number":%d,"position":%d,"recorded_at":%d,"stream":"%b",'
            b'"tag":"%b","version":%d}'
            % (
                row.command_id.hex().encode(),
                row.number,
                row.position,
                row.recorded_at,
                row.stream,
                row.topic,
                row.version,
            )
        )
    else:
        envelope = encode(
            {
                "command_id": row.command_id.hex(),
                "number": row.number,
                "position": row.position,
                "recorded_at": row.recorded_at,
                "stream": row.stream.decode(),
                "tag": row.topic.decode(),
                "version": row.version,
            }
        )
    return sha256(b"\x00" + envelope + sha256(row.salt + row.state).digest()).digest()


def _shown(value: object) -> str:
    if isinstance(value, Text):
        return value.decode("utf-8", "backslashreplace")
    return value.hex() if isinstance(value, bytes) else str(value)
