"""The keys that an audit trusts.

1. Where the auditor brings keys, those are trusted and no other, and the keys that they endorse. A
   key that was adopted without an endorsement, and that the auditor did not bring, is a finding.
2. Else the keys of this user are trusted, and those that the log names.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledger.auditing.findings import LostKey
from ledger.errors import InvalidProofError, InvalidValueError, KeyUnavailableError
from ledger.model.key_events import KeyAdopted
from ledger.proving.keys import KeyRing
from ledger.proving.notes import ED25519, PublicKey, read_note, read_public_key, verify_note


class Trust:
    """Whose signatures count.

    Args:
        ledger: Id of the ledger.
        given: Keys that the auditor brought.
        adoptions: The keys that the log names, oldest first; filled while the log is read.
        lost: Those adopted without the signature of the key before; filled likewise.
        tell: Takes a finding: its kind, and what is known of it.
    """

    def __init__(
        self,
        ledger: str,
        given: Sequence[PublicKey],
        adoptions: Sequence[KeyAdopted],
        lost: Sequence[LostKey],
        tell: Callable[..., None],
    ) -> None:
        self._ring = KeyRing(ledger)
        self._given = list(given)
        self._adoptions = adoptions
        self._lost = lost
        self._tell = tell

    def trusted(self, *, needs_key: bool) -> list[PublicKey]:
        """Return the keys to trust.

        Raises:
            KeyUnavailableError: There is none, and one is needed.
        """
        if self._given:
            for lost in self._lost:
                if lost.key not in map(str, self._given):
                    self._tell(
                        "key-lost",
                        position=lost.position,
                        subject=lost.key,
                        expected=f"the signature of {lost.previous}, or this key given",
                        found="none",
                    )
            return endorsed(self._given, self._adoptions)
        own = self.own_keys()
        if needs_key and not own:
            raise KeyUnavailableError(
                "audit: expected a key to trust the checkpoints by, found none here; give the "
                "ledger's public key with --key"
            )
        return own

    def own_keys(self) -> list[PublicKey]:
        """Return the keys of this user, and those that the log names."""
        own = self._ring.public_keys()
        for adoption in self._adoptions:
            try:
                key = read_public_key(adoption.key)
            except InvalidValueError as error:
                self._tell("key", subject=adoption.key, expected="a public key", found=str(error))
                continue
            if key not in own:
                own.append(key)
        return own


def endorsed(trusted: Sequence[PublicKey], adoptions: Sequence[KeyAdopted]) -> list[PublicKey]:
    """Return the keys that are trusted because one that is trusted already names them."""
    known = list(trusted)
    for adoption in adoptions:
        if adoption.endorsement is None:
            continue
        try:
            note = read_note(adoption.endorsement)
            key = read_public_key(adoption.key)
            # A witness, or an eraser, has no say in who signs for the ledger.
            verify_note(note, [it for it in known if (it.name, it.kind) == (key.name, ED25519)])
        except (InvalidProofError, InvalidValueError):
            continue
        if note.text == f"metaledger key adoption\n{adoption.key}\n" and key not in known:
            known.append(key)
    return known
