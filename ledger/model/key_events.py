"""Facts about keys: which of them sign checkpoints, and which sign erasures besides."""

from __future__ import annotations

from ledger.model.event import Event


class KeyAdopted(Event, frozen=True, kw_only=True, tag="key-adopted.v1"):
    """Checkpoints are signed with this key from now on.

    Attributes:
        key: Its public key line, see docs/format.md.
        previous: That of the key before; None for the ledger's first.
        endorsement: A note of the previous key that names the new one; None where that key is lost.
    """

    key: str
    previous: str | None = None
    endorsement: str | None = None


class EraserKeysSet(Event, frozen=True, kw_only=True, tag="eraser-keys-set.v1"):
    """Erasures may be signed with these keys too from now on, and with none that went before.

    Attributes:
        keys: Public key lines of erasers, sorted; none where no eraser has a key any more.
        endorsement: A note of the ledger's key that names them, see docs/format.md.
    """

    keys: tuple[str, ...]
    endorsement: str
