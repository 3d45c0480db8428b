"""Entries read again: kinds of values, order, times, and every hash.

Looks at the rows in their order and remembers of those before what the order needs. A row is taken
for what it is stored as: no value is converted before it was looked at. `_faultless` takes nearly
every row; what is wrong with another is told by `_malformed` and `_disorder`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from ledger.auditing.findings import Finding
from ledger.eventlog.evidence import RawRow, Text
from ledger.model.canonical import encode
from ledger.model.events import LedgerEvent, RecordedEvent
from ledger.model.ids import CommandId, Position, StreamId
from ledger.model.payloads import (
    SALT_BYTES,
    format_of,
    hashes_of,
    is_erased,
    is_left,
    kept_salt,
)

_ID_BYTES = 16
_HASH_BYTES = 32
_STREAM = re.compile(rb"[0-9a-f]{32}")
_PLAIN = re.compile(rb"[A-Za-z0-9_.-]+")
_ENVELOPE = (
    b'{"command_id":"%b",%b"number":%d,"position":%d,"recorded_at":%d,"stream":"%b","tag":"%b",'
    b'"version":%d}'
)
_FORMATS = {1: b"", 2: b'"format":2,'}
# Types of events that were looked at: there are few.
_SEEN: dict[bytes, str] = {}
_MOST_SEEN = 1_000


class Read(msgspec.Struct, frozen=True, gc=False):
    """A row whose values are of the right kinds, as the program works with them."""

    position: Position
    recorded_at: int
    stream: StreamId
    version: int
    command_id: CommandId
    number: int
    tag: str
    payload: bytes
    format: int = 1
    is_erased: bool = False


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

    def take(
        self, rows: Sequence[RawRow], findings: list[Finding], *, since: int = 0
    ) -> tuple[list[Read], list[bytes]]:
        """Return what the next rows hold, and their leaf hashes: recomputed, or as stored.

        Args:
            rows: The rows; of what holds no entry nothing is returned but its stored leaf hash.
            findings: Takes what is wrong with them.
            since: Position up to which stored leaf hashes are believed.
        """
        reads, leaves = [], []
        for row in rows:
            read = self._faultless(row, since)
            if read is not None:
                leaves.append(row.leaf)
                reads.append(read)
                continue
            if row.position != self.position + 1:
                findings.append(self._gap(row))
            self.position = row.position if type(row.position) is int else self.position + 1
            if not _is_well_formed(row):
                findings.extend(self._malformed(row))
                if type(row.leaf) is bytes:
                    leaves.append(row.leaf)
                continue
            if not self._is_in_order(row):
                findings.extend(self._disorder(row))
            self._follow(row)
            leaf = row.leaf
            if self.position > since:
                leaf = leaf_of(row)
                self.rehashed += 1
                if leaf != row.leaf:
                    findings.append(self._other_leaf(row, leaf))
            leaves.append(leaf)
            reads.append(
                Read(
                    row.position,
                    row.recorded_at,
                    StreamId(row.stream.decode()),
                    row.version,
                    CommandId(row.command_id.hex()),
                    row.number,
                    _tag(row.topic),
                    row.state,
                    format_of(row.state),
                    len(row.salt) != SALT_BYTES,
                )
            )
        return reads, leaves

    def _faultless(self, row: RawRow, since: int) -> Read | None:
        """Return what a row holds if nothing whatever is wrong with it; None and no more if not.

        Nearly every row passes here: all questions are asked in one place, for speed. An erased
        one does not, nor one whose leaf hash is believed.
        """
        position, recorded_at, stream, version, command_id, number, salt, leaf, topic, state = row
        versions, tag = self._versions, _SEEN.get(topic)
        if (
            tag is None
            or not type(position) is type(recorded_at) is type(version) is type(number) is int
            or not type(stream) is type(topic) is Text
            or not type(command_id) is type(salt) is type(leaf) is type(state) is bytes
            or len(command_id) != _ID_BYTES
            or len(salt) != SALT_BYTES
            or not position == self.position + 1 > since
            or recorded_at <= self._recorded_at
            or version != versions.get(stream, 0) + 1
            or (version == 1 and not _STREAM.fullmatch(stream))
        ):
            return None
        if command_id == self._command:
            if number != self._number + 1:
                return None
        elif number != 1 or command_id in self._commands:
            return None
        digits = command_id.hex()
        end = state.find(b"\n")
        if end < 0:
            of, hashed = 1, sha256(salt + state).digest()
        else:
            of, hashed = 2, sha256(kept_salt(salt) + state[:end]).digest()
            hashed += sha256(salt + state[end + 1 :]).digest()
        envelope = _ENVELOPE % (
            digits.encode(), _FORMATS[of], number, position, recorded_at, stream, topic, version,
        )  # fmt: skip
        if sha256(b"\x00" + envelope + hashed).digest() != leaf:
            return None
        self.position, self._recorded_at = position, recorded_at
        self._command, self._number = command_id, number
        self._commands.add(command_id)
        versions[stream] = version
        self.rehashed += 1
        return Read(
            row.position,
            recorded_at,
            StreamId(stream.decode()),
            version,
            CommandId(digits),
            number,
            tag,
            state,
            of,
        )

    def _gap(self, row: RawRow) -> Finding:
        place = row.position if type(row.position) is int else self.position + 1
        return Finding(kind="position", position=place, expected=self.position + 1, found=place)

    def _other_leaf(self, row: RawRow, leaf: bytes) -> Finding:
        return Finding(
            kind="leaf-hash",
            position=self.position,
            subject=row.stream.decode(),
            expected=bytes(row.leaf).hex(),
            found=leaf.hex(),
        )

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
        and (len(salt) == SALT_BYTES or (is_erased(salt) and is_left(state, salt)))
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
        if name == "salt" and type(value) is bytes and is_erased(value):
            if type(row.state) is bytes and not is_left(row.state, value):
                yield "state", "what an erasure leaves", f"{len(row.state):,} bytes"
            continue
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


def _tag(topic: bytes) -> str:
    """Return the type that a well-formed row states; those that need no escape are remembered."""
    tag = _SEEN.get(topic)
    if tag is None:
        tag = topic.decode()
        if len(_SEEN) < _MOST_SEEN and _PLAIN.fullmatch(topic):
            _SEEN[topic] = tag
    return tag


def leaf_of(row: RawRow) -> bytes:
    """Return the leaf hash of a well-formed row: docs/format.md, section 6, written out for speed.

    What `ledger.eventlog.entry.leaf_of` gives, for every row.
    """
    position, recorded_at, stream, version, command_id, number, salt, _, topic, state = row
    digits, of = command_id.hex(), format_of(state)
    if topic in _SEEN or _PLAIN.fullmatch(topic):
        envelope = _ENVELOPE % (
            digits.encode(), _FORMATS[of], number, position, recorded_at, stream, topic, version,
        )  # fmt: skip
    else:
        envelope = encode(
            {
                "command_id": digits,
                **({"format": of} if of > 1 else {}),
                "number": number,
                "position": position,
                "recorded_at": recorded_at,
                "stream": stream.decode(),
                "tag": topic.decode(),
                "version": version,
            }
        )
    return sha256(b"\x00" + envelope + hashes_of(state, salt)).digest()


def _shown(value: object) -> str:
    if isinstance(value, Text):
        return value.decode("utf-8", "backslashreplace")
    return value.hex() if isinstance(value, bytes) else str(value)


def recorded_of(read: Read, event: LedgerEvent) -> RecordedEvent:
    """Return an event that was read, with its place in the log."""
    return RecordedEvent(
        position=read.position,
        recorded_at=read.recorded_at,
        stream=read.stream,
        version=read.version,
        command_id=read.command_id,
        number=read.number,
        event=event,
        is_erased=read.is_erased,
    )
