"""Names that are computed, never random: command ids, stream ids, uids.

1. An id is the first 16 bytes of the SHA-256 of an identity's canonical JSON, with the bits of a
   UUID version 8 (RFC 9562), written as 32 lower-case hexadecimal digits.
2. A uid is made of base62 digits (`0-9A-Za-z`) of that same SHA-256, read as one big-endian
   number, zero-padded to 43 digits, most significant first.
3. Nothing here depends on time, place, user or chance.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NewType

from ledger.model.canonical import Json, identity_bytes

CommandId = NewType("CommandId", str)
StreamId = NewType("StreamId", str)
Uid = NewType("Uid", str)
Position = NewType("Position", int)

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in BASE62 for second in BASE62]
_UID_DIGITS = 43  # 62**43 > 2**256
# Cached ids, for the saves under way in all threads: a save soon asks for its own again, and a bulk
# of hundreds of saves is asked about as a whole first.
_RECENT = 4096
# The digit of a UUID that holds its variant: two bits are fixed, the other two stay.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


def digest(identity: Json) -> bytes:
    """Return the SHA-256 of the identity's canonical JSON: 32 bytes."""
    return hashlib.sha256(identity_bytes(identity)).digest()


def derive(identity: Json) -> str:
    """Return the id of an identity: 32 hexadecimal digits with the bits of a UUID version 8."""
    return _as_uuid(hashlib.sha256(identity_bytes(identity)).hexdigest())


def as_uuid_hex(raw: bytes) -> str:
    """Return the first 16 bytes of `raw` as the hexadecimal digits of a UUID version 8."""
    return _as_uuid(raw.hex())


def _as_uuid(digits: str) -> str:
    return f"{digits[:12]}8{digits[13:16]}{_VARIANT[digits[16]]}{digits[17:32]}"


def command_id(identity: Json) -> CommandId:
    """Return the id of the command with this identity."""
    return CommandId(derive(identity))


def stream_id(identity: Json) -> StreamId:
    """Return the id of the stream of the record with this creation identity."""
    return StreamId(_as_uuid(_digest_of(identity).hex()))


def base62(raw: bytes) -> str:
    """Return 32 bytes as 43 base62 digits, most significant first."""
    return _leading(raw, _UID_DIGITS)


@lru_cache(maxsize=_RECENT)
def _leading(raw: bytes, length: int) -> str:
    """Return the first base62 digits of 32 bytes, without computing the others."""
    number = int.from_bytes(raw) // 62 ** (_UID_DIGITS - length)
    pairs = []
    while number:
        number, pair = divmod(number, 62 * 62)
        pairs.append(_PAIRS[pair])
    return "".join(reversed(pairs)).rjust(length, "0")[-length:]


def uid(identity: Json, length: int) -> Uid:
    """Return the first `length` base62 digits of the identity's hash (at most 43)."""
    return Uid(_leading(_digest_of(identity), length))


def versioned_uid(identity: Json, *, stem_length: int, stem: str | None = None) -> Uid:
    """Return a uid of a versioned registry: the family's stem, then 4 digits of the version.

    Args:
        identity: Creation identity of this version.
        stem_length: Digits of the stem: 16 for artifacts and collections, 12 for transforms.
        stem: Stem of the family that this version joins; None where it begins one.
    """
    digits = _leading(_digest_of(identity), stem_length + 4)
    return Uid((stem or digits[:stem_length]) + digits[stem_length:])


def intent_key(kind: str, subject: Json, fields: Json, occurrence: int) -> str:
    """Return the name of an intent within any run."""
    return derive(["intent", kind, subject, fields, occurrence])


def subject_key(kind: str, subject: Json) -> str:
    """Return the name of the subject of an intent, whatever the intent asks for."""
    if isinstance(subject, list):
        return _remembered(("subject", kind), subject)
    return derive(["subject", kind, subject])


def natural_id(natural: Sequence[Json]) -> str:
    """Return the id of a natural key, by which its records are found."""
    return _remembered((), natural)


def _remembered(above: tuple[str, ...], parts: Sequence[Json]) -> str:
    """Return the id of a list, alone or at the end of another one.

    A save asks for it several times, from the constructor to the read models; it is hashed once.
    """
    try:
        return _once(above, *parts)  # type: ignore[arg-type]  # some have no hash, see below
    except TypeError:
        return derive([*above, list(parts)] if above else list(parts))


def _digest_of(identity: Json) -> bytes:
    """Return the digest of a creation identity, of which both the uid and the stream are made."""
    if isinstance(identity, list):
        try:
            return _digest_once(*identity)  # type: ignore[arg-type]  # some have no hash, see below
        except TypeError:
            pass
    return digest(identity)


@lru_cache(maxsize=_RECENT, typed=True)
def _digest_once(*parts: Any) -> bytes:
    return digest(list(parts))


@lru_cache(maxsize=_RECENT, typed=True)
def _once(above: tuple[str, ...], *parts: Any) -> str:
    return derive([*above, list(parts)] if above else list(parts))
