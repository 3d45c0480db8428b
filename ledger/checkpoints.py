"""Making checkpoints and proofs of a ledger, and its signing keys.

1. A checkpoint is signed only if it agrees with the last one that was signed here.
2. The log says which key signs. Where this user has not that key, nothing is signed; the way out is
   to bring it, or to adopt another one.
3. A new key is on the disk before the log names it; an old one is removed only afterwards.
4. What is proved was committed: inside an open batch nothing is.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import msgspec

from ledger import instance
from ledger.canonical import encode
from ledger.errors import (
    CommandRejectedError,
    CorruptLogError,
    InvalidProofError,
    InvalidValueError,
    KeyUnavailableError,
    NotFoundError,
)
from ledger.events import Draft, KeyAdopted
from ledger.ids import command_id, stream_id
from ledger.instance import Ledger
from ledger.keys import KeyRing
from ledger.merkle import Frontier, payload_hash
from ledger.notes import (
    Checkpoint,
    PrivateKey,
    PublicKey,
    generate,
    read_checkpoint,
    read_note,
    read_public_key,
    sign_note,
)
from ledger.proofs import prove_consistency, prove_inclusion
from ledger.schema import REGISTRIES
from ledger.verifying import consistency_text, proof_text

ADOPTION = "metaledger key adoption"


class SignedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as it is given away; `str()` of it is the text to keep.

    Attributes:
        text: The signed note.
        origin: Name of the log.
        size: Entries that it covers.
        root: Root hash over them, in hexadecimal.
    """

    text: str
    origin: str
    size: int
    root: str

    def __str__(self) -> str:
        return self.text


def checkpoint(*, cosign: Iterable[PrivateKey] = ()) -> SignedCheckpoint:
    """Return a signed statement of what the log holds now; keep it outside of this computer.

    Whoever has one can tell later whether anything before it was changed. The first one makes the
    key that signs, and records which key that is.

    Args:
        cosign: Keys of witnesses that sign too, with the time.

    Raises:
        KeyUnavailableError: The key that the log names is not here, or others can read it.
        CorruptLogError: The log does not agree with the last checkpoint that was signed here.
    """
    ledger = _outside_of_a_batch(instance.current())
    ring = ring_of(ledger)
    key = _signing_key(ledger, ring)
    last = ring.last_checkpoint()
    before = None if last is None else read_checkpoint(read_note(last))
    size, root = _agreed(ledger, before)
    stated = Checkpoint(origin=key.name, size=size, root=root)
    text = sign_note(stated.text(), [key])
    text += "".join(it.sign(stated.text(), seconds=int(time.time())) for it in cosign)
    ring.remember(text)
    return SignedCheckpoint(text=text, origin=key.name, size=size, root=root.hex())


def _agreed(ledger: Ledger, before: Checkpoint | None) -> tuple[int, bytes]:
    """Return size and root of the tree now, which must extend the last checkpoint."""
    with ledger.handler.reading() as session:
        size = int(session.log.head())
        known = 0 if before is None else before.size
        tree, leaves = Frontier(), session.log.leaves(until=size)
        for leaf in islice(leaves, known):
            tree.add(leaf)
        if before is not None and (tree.size != known or tree.root() != before.root):
            raise CorruptLogError(
                f"checkpoint: the last one signed here covers {known} entries with root "
                f"{before.root.hex()[:16]}…, the log has {size} and recomputed "
                f"{tree.root().hex()[:16]}…; it was cut back or changed: audit it, or "
                "adopt a new key if it was restored from a backup",
                size=known,
            )
        for leaf in leaves:
            tree.add(leaf)
    if tree.size != size:
        raise CorruptLogError(
            f"log: expected {size} entries, found {tree.size}; stop writing and audit the ledger"
        )
    return size, tree.root()


# --- keys ---------------------------------------------------------------------------------------


def ring_of(ledger: Ledger) -> KeyRing:
    """Return the keys that this user has for a ledger."""
    return KeyRing(ledger.place.configuration.id)


def public_key() -> PublicKey:
    """Return the key that verifies the checkpoints of the ledger in use from now on.

    Raises:
        KeyUnavailableError: It has none yet.
    """
    found = _recorded_key(instance.current())
    if found is None:
        raise KeyUnavailableError(
            "key: this ledger has none yet; make one with 'metaledger key --create'"
        )
    return found


def create_key() -> PublicKey:
    """Have a key that signs, and return it; nothing is done where there is one.

    Raises:
        KeyUnavailableError: The key that the log names is not here.
    """
    ledger = _outside_of_a_batch(instance.current())
    return _signing_key(ledger, ring_of(ledger)).public()


def rotate_key(*, is_lost: bool = False) -> PublicKey:
    """Adopt a new key, endorsed by the one before, and return it.

    Args:
        is_lost: Whether to do without the endorsement: the private key is gone, or a checkpoint was
            signed that the log, restored from a backup, cannot agree with. Whoever trusted the old
            key must be told the new one by other means.

    Raises:
        KeyUnavailableError: The present key is not here, and `is_lost` is not set.
    """
    ledger = _outside_of_a_batch(instance.current())
    ring = ring_of(ledger)
    present = _recorded_key(ledger)
    endorser = None
    if present is not None and not is_lost:
        endorser = _signing_key(ledger, ring)
    key = generate(ring.name)
    ring.keep(key)
    _adopt(ledger, key.public(), present, endorser)
    if present is not None:
        if ring.private_key(present) is not None:
            ring.forget(present)
        if is_lost:
            ring.forget_checkpoint()
    return key.public()


def _signing_key(ledger: Ledger, ring: KeyRing) -> PrivateKey:
    present = _recorded_key(ledger)
    if present is not None:
        key = ring.private_key(present)
        if key is None:
            raise KeyUnavailableError(
                f"key {present.id.hex()} of this ledger: not in {ring.folder}; bring its file from "
                "the computer that has it, or run 'metaledger key --rotate --lost'"
            )
        return key
    # One that was made and whose event was not recorded any more is as good as a new one.
    own = ring.private_keys()
    key = own[0] if own else generate(ring.name)
    if not own:
        ring.keep(key)
    _adopt(ledger, key.public(), None, None)
    return key


def _recorded_key(ledger: Ledger) -> PublicKey | None:
    stream = stream_id(["key", ledger.place.configuration.id])
    with ledger.handler.reading() as session:
        events = session.log.stream(stream)
    last = events[-1].event if events else None
    return read_public_key(last.key) if isinstance(last, KeyAdopted) else None


def _adopt(
    ledger: Ledger, key: PublicKey, previous: PublicKey | None, endorser: PrivateKey | None
) -> None:
    line = str(key)
    identity: list[Any] = ["key", line]
    event = KeyAdopted(
        **ledger.handler.stamp().fields() | {"command": identity},
        key=line,
        previous=None if previous is None else str(previous),
        endorsement=None if endorser is None else sign_note(f"{ADOPTION}\n{line}\n", [endorser]),
    )
    with ledger.handler.writing() as session:
        if _is_adopted(session.log.stream(stream := stream_id(["key", ledger_id(ledger)])), line):
            return
        session.append(command_id(identity), [Draft(stream=stream, event=event)])


def _is_adopted(events: Sequence[Any], line: str) -> bool:
    return any(isinstance(it.event, KeyAdopted) and it.event.key == line for it in events)


def ledger_id(ledger: Ledger) -> str:
    """Return the id that a ledger was given when it was made."""
    return ledger.place.configuration.id


# --- proofs -------------------------------------------------------------------------------------


def prove(what: Any, *, checkpoint: str | SignedCheckpoint | None = None) -> str:
    """Return a proof that anyone can verify with the ledger's public key and nothing else.

    Args:
        what: A record, a uid (its creation), or a position: the proof shows that entry. Or the text
            of an older checkpoint: the proof shows that the log was only extended since.
        checkpoint: A checkpoint that the proof leads to; a new one by default.

    Raises:
        NotFoundError: There is no such record or position, or the checkpoint is older than it.
        InvalidProofError: A checkpoint cannot be read, or is of another ledger.
        CorruptLogError: The log does not agree with a checkpoint.
    """
    ledger = _outside_of_a_batch(instance.current())
    text = str(_new_checkpoint() if checkpoint is None else checkpoint)
    target = _own_checkpoint(ledger, text)
    if isinstance(what, SignedCheckpoint) or (isinstance(what, str) and "\n" in what):
        return _prove_extension(ledger, _own_checkpoint(ledger, str(what)), target, text)
    position = _position_of(ledger, what)
    if position > target.size:
        raise NotFoundError(
            f"position {position}: recorded after the checkpoint, which covers {target.size}; "
            "make a new one"
        )
    with ledger.handler.reading() as session:
        _require_root(session.log.leaves(until=target.size), target)
        path = prove_inclusion(session.log.leaves(until=target.size), position - 1, target.size)
        (entry,) = session.log.entries(after=position - 1, until=position, limit=1)
    hashed = encode(entry.envelope) + payload_hash(entry.salt, entry.payload)
    return proof_text(
        index=position - 1, path=path, checkpoint=text, extra=(hashed, entry.salt, entry.payload)
    )


_new_checkpoint = checkpoint  # `prove` has a parameter of this name


def _prove_extension(ledger: Ledger, old: Checkpoint, new: Checkpoint, text: str) -> str:
    if not 0 < old.size <= new.size:
        raise InvalidValueError(
            f"consistency proof: expected an older checkpoint of 1 to {new.size} entries, got one "
            f"of {old.size}"
        )
    with ledger.handler.reading() as session:
        _require_root(session.log.leaves(until=old.size), old)
        _require_root(session.log.leaves(until=new.size), new)
        path = prove_consistency(session.log.leaves(until=new.size), old.size, new.size)
    return consistency_text(old=old.size, path=path, checkpoint=text)


def _own_checkpoint(ledger: Ledger, text: str) -> Checkpoint:
    found = read_checkpoint(read_note(text))
    if found.origin != ring_of(ledger).name:
        raise InvalidProofError(
            f"checkpoint of {found.origin}: expected one of this ledger, {ring_of(ledger).name}"
        )
    return found


def _require_root(leaves: Iterable[bytes], stated: Checkpoint) -> None:
    tree = Frontier()
    for leaf in leaves:
        tree.add(leaf)
    if (tree.size, tree.root()) != (stated.size, stated.root):
        raise CorruptLogError(
            f"checkpoint for size {stated.size} claims root {stated.root.hex()[:16]}…, recomputed "
            f"{tree.root().hex()[:16]}… over {tree.size}; stop writing and audit the ledger"
        )


def _position_of(ledger: Ledger, what: Any) -> int:
    named = getattr(what, "uid", what)
    with ledger.handler.reading() as session:
        head = session.log.head()
        if isinstance(named, str):
            for registry in REGISTRIES:
                rows = session.models.find(registry, uid=named)
                if rows:
                    return int(rows[0]["created_position"])
    text = str(named)
    if not isinstance(named, bool) and text.isdecimal() and 1 <= int(text) <= head:
        return int(text)
    raise NotFoundError(f"'{named}': neither a uid nor a position from 1 to {head} of this ledger")


def _outside_of_a_batch(ledger: Ledger) -> Ledger:
    if ledger.handler.is_batching:
        raise CommandRejectedError(
            "checkpoint: what an open batch records is not committed yet; end the batch first"
        )
    return ledger
