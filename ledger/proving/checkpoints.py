"""Making checkpoints and proofs of a ledger, and its signing keys.

1. A checkpoint is signed only if it agrees with the last one that was signed here, and with the
   newest that is published.
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

from ledger.display.rows import html_table
from ledger.errors import (
    CommandRejectedError,
    CorruptLogError,
    InvalidProofError,
    InvalidValueError,
    KeyUnavailableError,
    NotFoundError,
    ReadOnlyLedgerError,
    StorageError,
    WrongExpectedVersionError,
    printable,
)
from ledger.eventlog.base import LogReader
from ledger.model.canonical import nfc
from ledger.model.events import Draft
from ledger.model.ids import command_id, stream_id
from ledger.model.key_events import KeyAdopted
from ledger.model.merkle import Frontier, leaf_hash
from ledger.model.schema import REGISTRIES
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.proving.blocks import Blocks, Tree
from ledger.proving.keys import KeyRing
from ledger.proving.notes import (
    Checkpoint,
    PrivateKey,
    PublicKey,
    generate,
    read_checkpoint,
    read_note,
    read_public_key,
    sign_note,
)
from ledger.proving.proofs import (
    consistency_parts,
    inclusion_parts,
    verify_consistency,
    verify_inclusion,
)
from ledger.proving.publication import Publication, publishers
from ledger.proving.verification import consistency_text, proof_text

ADOPTION = "metaledger key adoption"


class SignedCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint as it is given away; `str()` of it is the text to keep.

    Attributes:
        text: The signed note.
        origin: Name of the log.
        size: Entries that it covers.
        root: Root hash over them, in hexadecimal.
        unpublished: Where it was to be published and could not be yet.
    """

    text: str
    origin: str
    size: int
    root: str
    unpublished: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        facts = [
            ("origin", printable(self.origin)),
            ("entries", f"{self.size:,}"),
            ("root hash", self.root),
            ("not published yet", printable(", ".join(self.unpublished))),
            ("text to keep", printable(self.text)),
        ]
        rows = [(name, value) for name, value in facts if value]
        return html_table("Checkpoint", ("what", "value"), rows, 0)


def checkpoint(*, cosign: Iterable[PrivateKey] = ()) -> SignedCheckpoint:
    """Return a signed statement of what the log holds now; keep it outside of this computer.

    Whoever has one can tell later whether anything before it was changed. The first one makes the
    key that signs, and records which key that is. It is published where the ledger's configuration
    says; where that fails, a warning says so, and the next one is published together with it.

    Args:
        cosign: Keys of witnesses that sign too, with the time.

    Raises:
        KeyUnavailableError: The key that the log names is not here, or others can read it.
        CorruptLogError: The log does not agree with the last checkpoint that was signed here, or
            with one that is published.
    """
    ledger = _outside_of_a_batch(instance.current())
    ring = ring_of(ledger)
    publication = Publication(publishers(ledger.place), ring)
    key = _signing_key(ledger, ring)
    last = ring.last_checkpoint()
    # What was signed before is read before the log is: the log may only be longer.
    known = [] if last is None else [("the last one signed here", read_checkpoint(read_note(last)))]
    known += publication.published(lambda: _all_keys(ledger, ring))
    size, root = _agreed(ledger, known)
    stated = Checkpoint(origin=key.name, size=size, root=root)
    text = sign_note(stated.text(), [key])
    text += "".join(it.sign(stated.text(), seconds=int(time.time())) for it in cosign)
    publication.expect(text)
    ring.remember(text)
    return SignedCheckpoint(
        text=text,
        origin=key.name,
        size=size,
        root=root.hex(),
        unpublished=publication.carry_out(),
    )


def passing_checkpoint() -> tuple[SignedCheckpoint, PublicKey]:
    """Return a checkpoint of a ledger that may be read alone, and the key made for it.

    The key signs this once and is forgotten; the log does not name it. Nothing is written.

    Raises:
        CorruptLogError: The log does not agree with the last checkpoint that was signed here.
    """
    ledger = _outside_of_a_batch(instance.current())
    ring = ring_of(ledger)
    last = ring.last_checkpoint()
    known = [] if last is None else [("the last one signed here", read_checkpoint(read_note(last)))]
    size, root = _agreed(ledger, known)
    key = generate(ring.name)
    stated = Checkpoint(origin=key.name, size=size, root=root)
    text = sign_note(stated.text(), [key])
    made = SignedCheckpoint(text=text, origin=key.name, size=size, root=root.hex())
    return made, key.public()


def handed_out_checkpoint() -> tuple[SignedCheckpoint, list[str]]:
    """Return a checkpoint to hand out, and the key that signs it where the log does not name it.

    Who may only read a ledger cannot have it name a key, and may not have the one that it names.

    Raises:
        KeyUnavailableError: The key that the log names is not here, and the user may write.
        CorruptLogError: The log does not agree with an earlier checkpoint.
    """
    try:
        return checkpoint(), []
    except (StorageError, KeyUnavailableError) as error:
        is_read_only = instance.current().database.is_read_only()
        if not (isinstance(error, ReadOnlyLedgerError) or is_read_only):
            raise
    made, key = passing_checkpoint()
    return made, [str(key)]


def _agreed(ledger: Ledger, known: Sequence[tuple[str, Checkpoint]]) -> tuple[int, bytes]:
    """Return size and root of the tree now, which must extend what was stated before."""
    with ledger.reading() as session:
        size = int(session.log.head())
        tree, leaves = Frontier(), session.log.leaves(until=size)
        for where, before in sorted(known, key=lambda it: it[1].size):
            tree.extend(islice(leaves, before.size - tree.size))
            if (tree.size, tree.root()) != (before.size, before.root):
                raise CorruptLogError(
                    f"checkpoint: {where} covers {before.size} entries with root "
                    f"{before.root.hex()[:16]}…, the log has {size} and recomputed "
                    f"{tree.root().hex()[:16]}… over {tree.size}; it was cut back or changed, or "
                    "forked: audit it against that checkpoint. If it was restored from a backup, "
                    "adopt a new key ('metaledger key --rotate --lost'), publish elsewhere, and "
                    "say so",
                    size=before.size,
                )
        tree.extend(leaves)
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
        WrongExpectedVersionError: Another one was adopted at the same moment; this one was not.
    """
    ledger = _outside_of_a_batch(instance.current())
    ring = ring_of(ledger)
    present = _recorded_key(ledger)
    endorser = None
    if present is not None and not is_lost:
        endorser = _signing_key(ledger, ring)
    key = generate(ring.name)
    ring.keep(key)
    found = _adopt(ledger, key.public(), present, endorser)
    if found != key.public():
        ring.forget(key.public())
        raise WrongExpectedVersionError(
            f"key {'none' if present is None else present.id.hex()}: another one, "
            f"{found.id.hex()}, was adopted meanwhile; look which one it is, and rotate again if "
            "need be"
        )
    if present is not None:
        ring.forget(present)
        if is_lost:
            ring.forget_checkpoint()
    return key.public()


def _signing_key(ledger: Ledger, ring: KeyRing) -> PrivateKey:
    present = _recorded_key(ledger)
    if present is None:
        # One that was made and whose event was not recorded any more is as good as a new one.
        own = ring.private_keys()
        made = own[0] if own else generate(ring.name)
        if not own:
            ring.keep(made)
        present = _adopt(ledger, made.public(), None, None)
        if not own and present != made.public():
            ring.forget(made.public())
    key = ring.private_key(present)
    if key is None:
        raise KeyUnavailableError(
            f"key {present.id.hex()} of this ledger: not in {ring.folder}; bring its file from "
            "the computer that has it, or run 'metaledger key --rotate --lost'"
        )
    return key


def signing_key(ledger: Ledger) -> PrivateKey:
    """Return the private key that signs for a ledger; it is made where there is none yet.

    Raises:
        KeyUnavailableError: The key that the log names is not here, or others can read it.
        CommandRejectedError: A batch is open.
    """
    return _signing_key(_outside_of_a_batch(ledger), ring_of(ledger))


def key_at_hand(ledger: Ledger, log: LogReader) -> PrivateKey | None:
    """Return the private key that signs for a ledger; None where it has none, or not here.

    Raises:
        KeyUnavailableError: It can be read by others, or not at all.
    """
    lines = key_lines(log, ledger_id(ledger))
    return ring_of(ledger).private_key(read_public_key(lines[-1])) if lines else None


def _recorded_key(ledger: Ledger) -> PublicKey | None:
    with ledger.reading() as session:
        lines = key_lines(session.log, ledger_id(ledger))
    return read_public_key(lines[-1]) if lines else None


def _all_keys(ledger: Ledger, ring: KeyRing) -> list[PublicKey]:
    """Return the keys that ever signed for a ledger, as far as the log or this user knows."""
    with ledger.reading() as session:
        lines = key_lines(session.log, ledger_id(ledger))
    return [*map(read_public_key, lines), *ring.public_keys()]


def key_lines(log: LogReader, ledger: str) -> list[str]:
    """Return the public key lines that a log names, oldest first."""
    events = log.stream(stream_id(["key", ledger]))
    return [it.event.key for it in events if isinstance(it.event, KeyAdopted)]


def _adopt(
    ledger: Ledger, key: PublicKey, previous: PublicKey | None, endorser: PrivateKey | None
) -> PublicKey:
    """Record that a key follows the previous one; return the one that does, by whoever's hand."""
    line = str(key)
    identity: list[Any] = ["key", line]
    event = KeyAdopted(
        **ledger.handler.stamp().fields() | {"command": identity},
        key=line,
        previous=None if previous is None else str(previous),
        endorsement=None if endorser is None else sign_note(f"{ADOPTION}\n{line}\n", [endorser]),
    )
    with ledger.writing() as session:
        known = key_lines(session.log, ledger_id(ledger))
        if known[-1:] != ([] if previous is None else [str(previous)]):
            return read_public_key(known[-1])
        draft = Draft(stream=stream_id(["key", ledger_id(ledger)]), event=event)
        session.append(command_id(identity), [draft])
    return key


def ledger_id(ledger: Ledger) -> str:
    """Return the id that a ledger was given when it was made."""
    return ledger.place.configuration.id


# --- proofs -------------------------------------------------------------------------------------


def prove(what: Any, *, checkpoint: str | SignedCheckpoint | None = None) -> str:
    """Return a proof that anyone can verify with the ledger's public key and nothing else.

    Args:
        what: A record, a uid or alias (its creation), or a position: the proof shows that entry. Or
            the text of an older checkpoint: the proof shows that the log was only extended since.
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
    with ledger.reading() as session:
        tree = _tree_of(ledger, session.log, target)
        path = [tree.subtree(part) for part in inclusion_parts(position - 1, target.size)]
        (entry,) = session.log.entries(after=position - 1, until=position, limit=1)
    leaf = leaf_hash(entry.hashed)
    try:
        verify_inclusion(path, leaf=leaf, index=position - 1, size=target.size, root=target.root)
    except InvalidProofError as error:
        raise CorruptLogError(
            f"event at position {position}: not what its hash says; nothing is proved, audit the "
            "ledger",
            position=position,
        ) from error
    # Nothing vouches for what is left of an erased entry of format 1.
    is_shown = not entry.is_erased or entry.envelope.format > 1
    shown = (entry.salt, entry.payload) if is_shown else ()
    return proof_text(index=position - 1, path=path, checkpoint=text, extra=(entry.hashed, *shown))


_new_checkpoint = checkpoint  # `prove` has a parameter of this name


def _prove_extension(ledger: Ledger, old: Checkpoint, new: Checkpoint, text: str) -> str:
    if not 0 < old.size <= new.size:
        raise InvalidValueError(
            f"consistency proof: expected an older checkpoint of 1 to {new.size} entries, got one "
            f"of {old.size}"
        )
    with ledger.reading() as session:
        _tree_of(ledger, session.log, old)
        tree = _tree_of(ledger, session.log, new)
        path = [tree.subtree(part) for part in consistency_parts(old.size, new.size)]
    try:
        verify_consistency(path, old=old.size, old_root=old.root, new=new.size, new_root=new.root)
    except InvalidProofError as error:
        raise CorruptLogError(
            "log: its leaf hashes are not those of before; nothing is proved, audit the ledger"
        ) from error
    return consistency_text(old=old.size, path=path, checkpoint=text)


def _own_checkpoint(ledger: Ledger, text: str) -> Checkpoint:
    found = read_checkpoint(read_note(text))
    if found.origin != ring_of(ledger).name:
        raise InvalidProofError(
            f"checkpoint of {found.origin}: expected one of this ledger, {ring_of(ledger).name}"
        )
    return found


def _tree_of(ledger: Ledger, log: LogReader, stated: Checkpoint) -> Tree:
    """Return the tree of a log that has the root that a checkpoint states, at its size."""
    head = int(log.head())
    blocks = Blocks(ledger.cache_folder / "tree")
    tree = Tree(log, blocks)
    root = tree.root(min(stated.size, head))
    if root != stated.root:
        # What was remembered may be of another log; the leaf hashes decide.
        blocks.forget()
        root = tree.root(min(stated.size, head))
    if (root, min(stated.size, head)) != (stated.root, stated.size):
        raise CorruptLogError(
            f"checkpoint for size {stated.size} claims root {stated.root.hex()[:16]}…, recomputed "
            f"{root.hex()[:16]}… over {min(stated.size, head)}; stop writing and audit the ledger"
        )
    blocks.keep()
    return tree


def _position_of(ledger: Ledger, what: Any) -> int:
    named = getattr(what, "uid", what)
    with ledger.reading() as session:
        head = session.log.head()
        if isinstance(named, str):
            for alias in session.models.find("alias", alias=nfc(named)):
                named = str(alias["uid"])
            for registry in (*REGISTRIES, "record"):
                rows = session.models.find(registry, uid=named)
                if rows:
                    return int(rows[0]["created_position"])
    text = str(named)
    if not isinstance(named, bool) and text.isdecimal() and 1 <= int(text) <= head:
        return int(text)
    raise NotFoundError(f"'{named}': neither a uid nor a position from 1 to {head} of this ledger")


def _outside_of_a_batch(ledger: Ledger) -> Ledger:
    if ledger.sessions.is_batching:
        raise CommandRejectedError(
            "checkpoint: what an open batch records is not committed yet; end the batch first"
        )
    return ledger
