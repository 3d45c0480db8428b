"""Signatures of erasures: whoever holds the ledger's key vouches for what was erased, and why.

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
from ledger.proving.notes import ED25519, PrivateKey, PublicKey, read_note, sign_note, verify_note

ERASURE = "metaledger erasure"


def signed(event: EntriesErased, key: PrivateKey) -> EntriesErased:
    """Return an erasure with the signature of the ledger's key."""
    return msgspec.structs.replace(event, signature=sign_note(_text(event, key.name), [key]))


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
    known = [key for key in keys if (key.name, key.kind) == (origin, ED25519)]
    signer = verify_note(note, known)[0]
    if note.text != _text(event, origin):
        raise InvalidProofError("erasure: what was signed is another erasure")
    return signer


def _text(event: EntriesErased, origin: str) -> str:
    said = encode(msgspec.structs.replace(event, signature=None))
    return f"{ERASURE}\n{origin}\n{sha256(said).hexdigest()}\n"
