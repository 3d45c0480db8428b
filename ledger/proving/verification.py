"""Verifying a proof or a checkpoint with nothing but a public key: no ledger is opened.

The order of the checks: the signature first, then the sizes, then the hashes, then that the entry,
its salt and its payload belong together. What fails raises; what returns was verified whole. A part
that is not shown is told as that: whoever hands a proof out can cut it off. That it was erased is
shown by nothing but the proof of an erasure that names it.
The bytes are stated in docs/format.md, section "Checkpoints, proofs and keys".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from ledger.errors import InvalidProofError
from ledger.model.merkle import leaf_hash
from ledger.model.payloads import (
    ERASED_BYTES,
    HASH_BYTES,
    SALT_BYTES,
    format_of,
    hashes_of,
    parts_of,
)
from ledger.proving.notes import (
    ED25519,
    Checkpoint,
    Note,
    PublicKey,
    cosigned_at,
    decode64,
    encode64,
    read_checkpoint,
    read_note,
    read_number,
    read_public_key,
    verify_note,
)
from ledger.proving.proofs import verify_consistency, verify_inclusion

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PROOF = 1 << 28

_MOST_HASHES = 128


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was verified.

    Attributes:
        kind: "entry", "consistency" or "checkpoint".
        origin: Name of the log that the checkpoint is of.
        size: Entries that the checkpoint covers.
        root: Root hash over them, in hexadecimal.
        signers: Names of the keys that signed, of those that were given.
        cosigned: When witnesses among them signed: name and seconds since 1970 UTC.
        position: Place of the proved entry in the log.
        recorded_at: When the log took it, in microseconds since 1970 UTC.
        type: Type of its event.
        status: Of the entry: "shown" whole; "not shown", or no more than what an erasure keeps of
            it; "erased", where the proof of an erasure beside it says so.
        event: The event as data, as far as it is shown; None where nothing of it is.
        old_size: Entries of the older checkpoint that this one extends.
    """

    kind: str
    origin: str
    size: int
    root: str
    signers: tuple[str, ...]
    cosigned: tuple[tuple[str, int], ...] = ()
    position: int | None = None
    recorded_at: int | None = None
    type: str | None = None
    status: Literal["shown", "not shown", "erased"] | None = None
    event: dict[str, Any] | None = None
    old_size: int | None = None


class _Envelope(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command_id: str
    number: int
    position: int
    recorded_at: int
    stream: str
    tag: str
    version: int
    format: int = 1


# What msgspec raises of bytes that are no JSON, no UTF-8, or nested without end.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)

_envelopes = msgspec.json.Decoder(_Envelope)


def verify(
    text: str,
    *,
    key: str | Sequence[str],
    old: str | None = None,
    erasure: str | None = None,
) -> Verified:
    """Return what a proof or a checkpoint shows, verified against public keys that you trust.

    Args:
        text: A proof of an entry, a proof of consistency, or a checkpoint.
        key: Public key line of the ledger, or several lines; those of witnesses may be among them,
            and then every one of them must have signed.
        old: The older checkpoint, for a proof of consistency.
        erasure: For a proof of an entry that does not show it: the proof of the event that erased
            it.

    Raises:
        InvalidProofError: It does not show what it claims.
        InvalidValueError: A key is no public key line.
    """
    keys = [read_public_key(line) for line in ([key] if isinstance(key, str) else key)]
    if len(text) > MAX_PROOF:
        raise InvalidProofError(f"proof: expected at most {MAX_PROOF:,} characters")
    if text.startswith(HEADER):
        found = _entry(text, keys)
        return found if erasure is None else _erased(found, _entry(erasure, keys))
    if text.startswith("old "):
        return _consistency(text, keys, old)
    return open_checkpoint(text, keys)[1]


def open_checkpoint(text: str, keys: Sequence[PublicKey]) -> tuple[Checkpoint, Verified]:
    """Return what a checkpoint says, after its signatures were verified.

    Raises:
        InvalidProofError: It is none, the log itself did not sign it, or a witness did not.
    """
    note = read_note(text)
    signers = verify_note(note, keys)
    checkpoint = read_checkpoint(note)
    own = [it for it in signers if it.kind == ED25519 and it.name == checkpoint.origin]
    if not own:
        raise InvalidProofError(
            f"checkpoint of {checkpoint.origin}: expected the signature of its own key, found "
            f"{', '.join(it.name for it in signers)}"
        )
    silent = [it.name for it in keys if it.kind != ED25519 and it not in signers]
    if silent:
        raise InvalidProofError(
            f"checkpoint of {checkpoint.origin}: expected a cosignature of {', '.join(silent)}"
        )
    return checkpoint, _found(note, checkpoint, signers)


def _found(note: Note, checkpoint: Checkpoint, signers: Sequence[PublicKey]) -> Verified:
    return Verified(
        kind="checkpoint",
        origin=checkpoint.origin,
        size=checkpoint.size,
        root=checkpoint.root.hex(),
        signers=tuple(it.name for it in signers),
        cosigned=tuple((it.name, cosigned_at(note, it)) for it in signers if it.kind != ED25519),
    )


# --- an entry -----------------------------------------------------------------------------------


def proof_text(
    *, index: int, path: Sequence[bytes], checkpoint: str, extra: Sequence[bytes]
) -> str:
    """Return the text of a proof; `extra` is entry, salt and payload, or the entry alone."""
    packed = b"".join(b"%d:%b," % (len(part), part) for part in extra)
    lines = [HEADER, f"extra {encode64(packed)}", f"index {index}", *map(encode64, path)]
    return "\n".join(lines) + "\n\n" + checkpoint


def _entry(text: str, keys: Sequence[PublicKey]) -> Verified:
    lines, signed = _parts(text)
    checkpoint, found = open_checkpoint(signed, keys)
    if lines[0] != HEADER or len(lines) < 3:  # noqa: PLR2004 (header, extra, index)
        raise InvalidProofError(f"proof: expected the lines '{HEADER}', 'extra …' and 'index …'")
    index = read_number(_after("index ", lines[2]), "proof index")
    parts = _unpacked(decode64(_after("extra ", lines[1])))
    entry = parts[0]
    verify_inclusion(
        _hashes(lines[3:]),
        leaf=leaf_hash(entry),
        index=index,
        size=checkpoint.size,
        root=checkpoint.root,
    )
    envelope = _envelope(entry)
    if envelope.position != index + 1:
        raise InvalidProofError(
            f"proof of index {index}: expected the entry of position {index + 1}, "
            f"found that of {envelope.position}"
        )
    is_whole = len(parts) > 1 and len(parts[1]) == SALT_BYTES
    return msgspec.structs.replace(
        found,
        kind="entry",
        position=envelope.position,
        recorded_at=envelope.recorded_at,
        type=envelope.tag,
        status="shown" if is_whole else "not shown",
        event=_event(parts, envelope) if len(parts) > 1 else None,
    )


def _erased(found: Verified, erasure: Verified) -> Verified:
    """Return what a proof shows of an entry that another proof shows the erasure of."""
    event = erasure.event or {}
    named = [it[0] if isinstance(it, list) else it for it in event.get("entries", ())]
    if (
        found.origin != erasure.origin
        or erasure.type not in {"entries-erased.v1", "entries-erased.v2"}
        or found.position not in named
    ):
        raise InvalidProofError(
            f"proof of position {found.position}: expected beside it that of an erasure that "
            f"names it, found one of {erasure.type} at position {erasure.position}"
        )
    if found.status == "shown":
        raise InvalidProofError(
            f"proof of position {found.position}: it shows the entry that the erasure at "
            f"position {erasure.position} names"
        )
    return msgspec.structs.replace(found, status="erased")


def _envelope(entry: bytes) -> _Envelope:
    """Return the envelope of an entry: before one hash in format 1, before two since."""
    reason: Exception | None = None
    for number, hashes in ((1, HASH_BYTES), (2, 2 * HASH_BYTES)):
        try:
            found = _envelopes.decode(entry[:-hashes])
        except UNREADABLE as error:
            reason = error
        else:
            if found.format == number:
                return found
    raise InvalidProofError(f"proof: its entry has no envelope: {reason}")


def _event(parts: Sequence[bytes], envelope: _Envelope) -> dict[str, Any]:
    entry, salt, payload = parts
    sizes = {SALT_BYTES} if envelope.format == 1 else {SALT_BYTES, ERASED_BYTES}
    hashes = hashes_of(payload, salt)
    if (
        len(salt) not in sizes
        or format_of(payload) != envelope.format
        or hashes != entry[-len(hashes) :]
    ):
        raise InvalidProofError(
            f"proof of position {envelope.position}: expected the payload that its entry names, "
            "found another one"
        )
    event: dict[str, Any] = {}
    try:
        for part in filter(None, parts_of(payload)):
            event |= msgspec.json.decode(part, type=dict[str, Any])
    except UNREADABLE as error:
        raise InvalidProofError(
            f"proof of position {envelope.position}: its payload is no event: {error}"
        ) from error
    if event.get("type") != envelope.tag:
        raise InvalidProofError(
            f"proof of position {envelope.position}: expected an event {envelope.tag}, "
            f"found {event.get('type')!r}"
        )
    return dict(sorted(event.items()))


def _unpacked(data: bytes) -> list[bytes]:
    """Return the parts of `extra`: one or three, each with its length before it."""
    parts, rest = [], data
    while rest:
        length, colon, after = rest.partition(b":")
        size = read_number(length.decode("ascii", "replace"), "proof extra") if colon else -1
        if size < 0 or after[size : size + 1] != b",":
            raise InvalidProofError("proof: expected entry, salt and payload in 'extra'")
        parts.append(after[:size])
        rest = after[size + 1 :]
    if len(parts) not in {1, 3}:
        raise InvalidProofError(
            f"proof: expected an entry, or entry, salt and payload; found {len(parts)} parts"
        )
    return parts


# --- consistency --------------------------------------------------------------------------------


def consistency_text(*, old: int, path: Sequence[bytes], checkpoint: str) -> str:
    """Return the text of a proof that a tree of size `old` is the beginning of the checkpoint's."""
    return "\n".join([f"old {old}", *map(encode64, path)]) + "\n\n" + checkpoint


def _consistency(text: str, keys: Sequence[PublicKey], old: str | None) -> Verified:
    if old is None:
        raise InvalidProofError("proof of consistency: expected the older checkpoint beside it")
    lines, signed = _parts(text)
    checkpoint, found = open_checkpoint(signed, keys)
    older, _ = open_checkpoint(old, keys)
    size = read_number(_after("old ", lines[0]), "older size")
    if (older.origin, older.size) != (checkpoint.origin, size):
        raise InvalidProofError(
            f"proof of consistency: expected a checkpoint of {checkpoint.origin} of size {size}, "
            f"found one of {older.origin} of size {older.size}"
        )
    verify_consistency(
        _hashes(lines[1:]),
        old=older.size,
        old_root=older.root,
        new=checkpoint.size,
        new_root=checkpoint.root,
    )
    return msgspec.structs.replace(found, kind="consistency", old_size=older.size)


# --- lines --------------------------------------------------------------------------------------


def _parts(text: str) -> tuple[list[str], str]:
    """Return the lines before the first blank one, and the checkpoint after it."""
    head, blank, signed = text.partition("\n\n")
    lines = head.split("\n")
    if not blank or len(lines) > _MOST_HASHES:
        raise InvalidProofError("proof: expected a blank line and a checkpoint after the hashes")
    return lines, signed


def _after(word: str, line: str) -> str:
    if not line.startswith(word):
        raise InvalidProofError(f"proof: expected a line that begins with '{word.strip()}'")
    return line.removeprefix(word)


def _hashes(lines: Sequence[str]) -> list[bytes]:
    found = [decode64(line) for line in lines]
    if any(len(it) != HASH_BYTES for it in found):
        raise InvalidProofError("proof: expected hashes of 32 bytes")
    return found
