"""The findings and the report of an audit, as values."""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.display.rows import html_table
from ledger.errors import printable
from ledger.model.times import moment_text


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A contradiction that an audit found.

    Attributes:
        kind: A word that is never renamed; docs/auditors.md lists them.
        position: Position in the log, where it has one.
        subject: The uid, table, file or key that it concerns.
        expected: The value that an honest ledger would hold.
        found: The value that is there.
    """

    kind: str
    position: int | None = None
    subject: str = ""
    expected: Any = None
    found: Any = None

    def __str__(self) -> str:
        where = "" if self.position is None else f"position {self.position}: "
        about = f"{self.subject}: " if self.subject else ""
        return printable(
            f"{where}{about}{self.kind}: expected {_short(self.expected)}, "
            f"found {_short(self.found)}"
        )


class CheckpointResult(msgspec.Struct, frozen=True, kw_only=True):
    """A checkpoint that was given to an audit.

    Attributes:
        size: Entries that it covers.
        root: Its root hash, in hexadecimal.
        is_met: Whether the log has this root at this size, and a trusted key signed it.
        signers: Trusted keys that signed it.
    """

    size: int
    root: str
    is_met: bool
    signers: tuple[str, ...]


class ErasureResult(msgspec.Struct, frozen=True, kw_only=True):
    """An erasure that the log tells of.

    Attributes:
        position: Place of the event that says so.
        recorded_at: When the log took it, in microseconds since 1970 UTC.
        actor: Who erased.
        reason: Why.
        registry: Registry of the record.
        uid: Its uid.
        entries: Positions of the entries that were erased.
        content_removed: Whether its stored content was removed too.
        signer: Public key line of the trusted key that signed it; None where none did.
    """

    position: int
    recorded_at: int
    actor: str
    reason: str
    registry: str
    uid: str
    entries: tuple[int, ...]
    content_removed: bool
    signer: str | None

    def __str__(self) -> str:
        content = " and stored content" if self.content_removed else ""
        signed = "not signed" if self.signer is None else f"signed by {self.signer}"
        return printable(
            f"position {self.position}: {self.registry} {self.uid}: "
            f"{moment_text(self.recorded_at)}, by {self.actor}: {self.reason} "
            f"(entries {', '.join(map(str, self.entries))}{content}; {signed})"
        )


class LostKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key that was adopted without the signature of the key before, which is said to be lost.

    Attributes:
        position: Place of the event that says so.
        recorded_at: When the log took it, in microseconds since 1970 UTC.
        actor: Who adopted it.
        previous: Public key line of the key before.
        key: Public key line of the adopted key.
    """

    position: int
    recorded_at: int
    actor: str
    previous: str
    key: str

    def __str__(self) -> str:
        when = moment_text(self.recorded_at)
        return printable(
            f"position {self.position}: {when}, by {self.actor}: key {self.key} adopted without "
            f"the signature of {self.previous}; ask the owner whether that key was lost"
        )


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of an audit.

    Attributes:
        ok: Whether there are no findings.
        ledger: Id of the ledger.
        name: Name of the ledger.
        database: Path or URL from which it was read.
        head: Last position that was read.
        root: Root hash over all entries, recomputed, in hexadecimal.
        since: Position after which entries were hashed and folded again; 0 for all of them.
        events: Number of events that were read.
        rehashed: Number of entries that were hashed again.
        rows: Number of rows of read models that were compared.
        contents: Number of stored contents that were read again.
        content_bytes: Number of bytes of these contents.
        checkpoints: Results for the given checkpoints.
        erasures: Erasures since the oldest checkpoint that was given; all of them without one.
        lost_keys: Keys adopted without the signature of the key before.
        unverifiable: Positions of erased entries of format 1: no hash vouches for what they say.
        keys: Public key lines that were trusted.
        seconds: Duration of the audit.
        findings: All findings, in the order of discovery.
    """

    ok: bool
    ledger: str
    name: str
    database: str
    head: int
    root: str
    since: int
    events: int
    rehashed: int
    rows: int
    contents: int
    content_bytes: int
    checkpoints: tuple[CheckpointResult, ...]
    erasures: tuple[ErasureResult, ...]
    lost_keys: tuple[LostKey, ...]
    unverifiable: tuple[int, ...]
    keys: tuple[str, ...]
    seconds: float
    findings: tuple[Finding, ...]

    def _repr_html_(self) -> str:
        verdict = "everything adds up" if self.ok else f"{len(self.findings):,} findings"
        facts = [
            ("ledger", f"{self.name} ({self.ledger})"),
            ("last position", f"{self.head:,}"),
            ("root hash", self.root),
            ("events", f"{self.events:,}, of which {self.rehashed:,} hashed anew"),
            ("contents", f"{self.contents:,} ({self.content_bytes:,} bytes)"),
            (
                "checkpoints met",
                f"{sum(it.is_met for it in self.checkpoints):,} of {len(self.checkpoints):,}",
            ),
        ]
        found = [(it.kind, str(it.position or ""), str(it)) for it in self.findings[:_LISTED]]
        more = len(self.findings) - len(found)
        return html_table(f"Audit: {verdict}", ("what", "value"), facts, 0) + (
            html_table("Findings", ("kind", "position", "finding"), found, more) if found else ""
        )


_MOST = 300
_LISTED = 50


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _MOST else f"{text[:_MOST]}… ({len(text):,} characters)"
