"""Signatures of erasures: the ledger's key, or an eraser's own, vouches for what went, and why.

1. What is signed is the whole event, and the ledger it is of: docs/format.md, section 11.
2. A signature of a key that the reader does not know is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from ledger.errors import InvalidProofError
from ledger.model.canonical import encode
from ledger.model.events import EntriesErased
from ledger.proving.keys import ledger_origin
from ledger.proving.notes import ED25519, PrivateKey, PublicKey, read_note, sign_note, verify_note

ERASURE = "metaledger erasure"


def signed(event: EntriesErased, key: PrivateKey) -> EntriesErased:
    """Return an erasure with the signature of the ledger's key, or of an eraser's."""
    text = _text(event, ledger_origin(key.name))
    return msgspec.structs.replace(event, signature=sign_note(text, [key]))


def signer_of(event: EntriesErased, keys: Sequence[PublicKey], origin: str) -> PublicKey:
    """Return the key that signed an erasure.

    Args:
        event: The erasure.
        keys: Those to trust.
        origin: Name of the ledger's keys.

    Raises:
        InvalidProofError: None of them did, or it was another erasure that was signed.
    """
    if event.signature is None:
        raise InvalidProofError("erasure: expected a signature, found none")
    note = read_note(event.signature)
    known = [it for it in keys if (ledger_origin(it.name), it.kind) == (origin, ED25519)]
    signer = verify_note(note, known)[0]
    if note.text != _text(event, origin):
        raise InvalidProofError("erasure: what was signed is another erasure")
    return signer


def _text(event: EntriesErased, origin: str) -> str:
    said = encode(msgspec.structs.replace(event, signature=None))
    return f"{ERASURE}\n{origin}\n{sha256(said).hexdigest()}\n"
