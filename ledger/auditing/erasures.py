"""Erasures judged: each is signed by a trusted key, or covered by a checkpoint that is met.

Without a key from the auditor nobody can say who should have signed: then an erasure is told, and
only a signature that does not fit is a finding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ledger.auditing.findings import CheckpointResult, ErasureResult, Finding
from ledger.auditing.rules import Told
from ledger.errors import InvalidProofError
from ledger.model.events import EntriesErasedV1
from ledger.model.key_events import EraserKeysSet
from ledger.proving.eraser_keys import is_endorsed
from ledger.proving.erasures import signer_of
from ledger.proving.keys import origin_of
from ledger.proving.notes import PublicKey, read_public_key


class Signers(NamedTuple):
    """The keys that are trusted, for which ledger, whether given; lists of erasers' keys."""

    trusted: list[PublicKey]
    ledger: str
    are_given: bool
    erasers: Sequence[tuple[int, int, EraserKeysSet]] = ()


def _adopted(
    signers: Signers, covered: int, findings: list[Finding]
) -> list[tuple[int, list[PublicKey]]]:
    """Return since which position which erasers' keys count; a list that nobody signed does not."""
    adopted: list[tuple[int, list[PublicKey]]] = []
    for position, version, event in signers.erasers:
        if is_endorsed(event, version, signers.ledger, signers.trusted):
            adopted.append((position, [read_public_key(it) for it in event.keys]))
        elif position > covered and signers.trusted:
            about, wanted = "keys of erasers", "the signature of a trusted key"
            findings.append(_finding("key", position, about, wanted, "none"))
    return adopted


def judged(
    erasures: Sequence[Told],
    checkpoints: Sequence[CheckpointResult],
    signers: Signers,
    findings: list[Finding],
    *,
    refuses: bool,
) -> list[ErasureResult]:
    """Return the erasures since the oldest checkpoint, and add to the findings what is wrong.

    Args:
        erasures: All of them, in order.
        checkpoints: Those that the auditor kept.
        signers: Who may sign.
        findings: Takes what is wrong.
        refuses: Whether each erasure that is returned is a finding.
    """
    oldest = min((it.size for it in checkpoints), default=0)
    covered = max((it.size for it in checkpoints if it.is_met), default=0)
    results, adopted = [], _adopted(signers, covered, findings)
    for told in erasures:
        position, event = told.read.position, told.event
        about = f"{event.registry} {event.uid}"
        own = next((keys for since, keys in reversed(adopted) if since < position), [])
        signer, found = _signed_by(told, signers._replace(trusted=[*signers.trusted, *own]))
        if found is not None and position > covered:
            wanted = "the signature of a trusted key, or a checkpoint over it"
            findings.append(_finding("erasure-signature", position, about, wanted, found))
        if position <= oldest:
            continue
        results.append(
            ErasureResult(
                position=position,
                recorded_at=told.read.recorded_at,
                actor=event.actor,
                reason=event.reason,
                registry=event.registry,
                uid=event.uid,
                entries=event.positions,
                content_removed=event.content_removed,
                signer=signer,
            )
        )
        if refuses:
            by = f"one by {event.actor}: {event.reason}"
            findings.append(_finding("erasure-refused", position, about, "no erasure", by))
    return results


def _finding(kind: str, position: int, about: str, expected: str, found: str) -> Finding:
    return Finding(kind=kind, position=position, subject=about, expected=expected, found=found)


def _signed_by(told: Told, signers: Signers) -> tuple[str | None, str | None]:
    """Return who signed an erasure, and what is wrong with that."""
    event = told.event
    if isinstance(event, EntriesErasedV1) or event.signature is None:
        return None, "none" if signers.are_given else None
    try:
        return str(signer_of(event, signers.trusted, origin_of(signers.ledger))), None
    except InvalidProofError as error:
        return None, str(error) if signers.trusted else None
