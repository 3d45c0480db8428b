"""The audit, in its order: entries, rules, tree, file, checkpoints, erasures, read models, content.

1. It reads one moment of the ledger, beside whoever writes, and changes nothing.
2. Every finding is told, not the first one. What cannot be read is a finding too; only where there
   is nothing to read, or no key to trust, it raises.
3. Where the auditor brings keys, those are trusted and no other, and the keys that they endorse;
   a witness whose key is among them must have cosigned the newest checkpoint.
4. An erasure is signed by a trusted key, or a checkpoint that is met covers it, where the auditor
   brings keys. What was erased since the oldest checkpoint is told, findings or not.
5. The log of a ledger, unlike that of an archive, extends the last checkpoint that was signed on
   this computer, and the newest published one; where the auditor brings checkpoints, a log that
   does not is a warning.
6. The root is that of the entries as they were hashed anew, never of stored hashes alone.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from operator import itemgetter
from typing import Any, Literal, TypeVar

from ledger.auditing.contents import ContentAudit, drawn
from ledger.auditing.entries import Entries, Read, recorded_of
from ledger.auditing.erasures import Signers, judged
from ledger.auditing.findings import CheckpointResult, ErasureResult, Finding, Report
from ledger.auditing.rules import Rules
from ledger.auditing.subjects import Subject, of_archive, of_place, otherwise_stated
from ledger.auditing.trust import Trust
from ledger.display.messages import say
from ledger.display.progress import progress
from ledger.engine.database import FORMAT
from ledger.errors import (
    InvalidProofError,
    InvalidValueError,
    LedgerError,
    StorageError,
    UnknownEventError,
)
from ledger.eventlog.evidence import Evidence
from ledger.model.merkle import Frontier
from ledger.model.payloads import from_payload
from ledger.model.schema import LIVE, TRASHED
from ledger.places.config import Place
from ledger.places.discovery import locate
from ledger.proving.keys import KeyRing
from ledger.proving.notes import (
    COSIGNATURE,
    Checkpoint,
    Note,
    PublicKey,
    read_checkpoint,
    read_note,
    read_public_key,
    verify_note,
)
from ledger.proving.publication import newest_known
from projections.compare import Rows, compare
from projections.fold import fold
from projections.shadow import Problem, Shadow
from projections.sql.tables import rows_statement
from projections.tables import FOREVER, TABLES, schema_number

T = TypeVar("T")

_KEPT = {LIVE, TRASHED}


def audit(  # noqa: PLR0913 (each widens or narrows the audit in its own way)
    *,
    checkpoints: Sequence[str] = (),
    keys: Sequence[str] = (),
    since: int = 0,
    content: bool = False,
    sample: float = 1.0,
    erasures: Literal["list", "refuse"] = "list",
    place: Any = None,
    archive: str | os.PathLike[str] | None = None,
) -> Report:
    """Read everything again and report every contradiction; nothing is changed.

    Args:
        checkpoints: Checkpoints that were kept, as text: the log must extend each of them.
        keys: Public key lines to trust, instead of the keys of this user and of the log.
        since: Position up to which stored hashes and read models are believed.
        content: Whether to read stored contents again.
        sample: Share of the contents that is read, above 0 and up to 1.
        erasures: "refuse" makes a finding of each erasure that is listed.
        place: Folder of the ledger; the one that would be used here by default.
        archive: Folder or URL of an export, to be audited instead; there need be no ledger.

    Raises:
        LedgerNotFoundError: There is no ledger here.
        StorageError: Its database cannot be opened.
        InvalidProofError: A checkpoint does not have the form of a ledger's checkpoint.
        KeyUnavailableError: There are checkpoints, and no key to trust.
    """
    if not 0 < sample <= 1:
        raise InvalidValueError(f"sample: expected a share above 0 and up to 1, got {sample!r}")
    if erasures not in {"list", "refuse"}:
        raise InvalidValueError(f"erasures: expected 'list' or 'refuse', got {erasures!r}")
    if archive is not None:
        subject = of_archive(archive)
    else:
        subject = of_place(place if isinstance(place, Place) else locate(place))
    refuses = erasures == "refuse"
    return Audit(subject, checkpoints, keys, since, refuses_erasures=refuses).run(
        content=content, sample=sample
    )


class Audit:
    """One audit: its input, and its findings so far."""

    def __init__(
        self,
        subject: Subject,
        checkpoints: Sequence[str] = (),
        keys: Sequence[str] = (),
        since: int = 0,
        *,
        refuses_erasures: bool = False,
    ) -> None:
        self.subject = subject
        self.refuses_erasures = refuses_erasures
        self.since = max(0, since)
        self.findings: list[Finding] = []
        self.notes = [(note, read_checkpoint(note)) for note in map(read_note, checkpoints)]
        self.given = [read_public_key(line) for line in keys]
        self.entries = Entries()
        self.rules = Rules(subject.ledger)
        self.trust = Trust(
            subject.ledger, self.given, self.rules.keys, self.rules.lost_keys, self._tell
        )
        self.tree = Frontier()
        self.roots: dict[int, bytes] = {}
        self.known_sizes: set[int] = set()
        self.events = self.rows = 0

    def run(self, *, content: bool = False, sample: float = 1.0) -> Report:
        """Carry out the audit."""
        began = time.monotonic()
        known = self._known()
        head, contents = 0, ContentAudit(self.subject)
        trusted: list[PublicKey] = []
        results: list[CheckpointResult] = []
        erasures: list[ErasureResult] = []
        evidence = self._step("database", self.subject.open)
        if evidence is not None:
            with evidence.refusals(), closing(evidence), Shadow() as shadow:
                self._step("meta", lambda: self._meta(evidence))
                self._step("log", lambda: self._log(evidence, shadow))
                self._step("meta", lambda: self._meta_of_log(evidence))
                self._step("file", lambda: self._file(evidence))
                said = otherwise_stated(self.subject, self.tree)
                self._step("archive", lambda: self.findings.extend(said))
                head = self.entries.position
                trusted = self.trust.trusted(needs_key=bool(self.notes))
                results = [self._checkpoint(*each, trusted, head) for each in self.notes]
                if known:
                    own = self.trust.own_keys() if self.given else trusted
                    self._hold_against(known, own, head)
                self._cosigned(results)
                erasures = judged(
                    self.rules.erasures,
                    results,
                    Signers(trusted, self.subject.ledger, bool(self.given), self.rules.eraser_keys),
                    self.findings,
                    refuses=self.refuses_erasures,
                )
                for table in TABLES:
                    self._step(f"table {table}", partial(self._table, evidence, shadow, table))
                evidence.require_unchanged()
                if content:
                    self._step("content", lambda: self._contents(shadow, contents, sample))
        return Report(
            ok=not self.findings,
            ledger=self.subject.ledger,
            name=self.subject.name,
            database=self.subject.where,
            head=head,
            root=self.tree.root().hex(),
            since=self.since,
            events=self.events,
            rehashed=self.entries.rehashed,
            rows=self.rows,
            contents=contents.read,
            content_bytes=contents.bytes,
            checkpoints=tuple(results),
            erasures=tuple(erasures),
            lost_keys=tuple(self.rules.lost_keys),
            unverifiable=tuple(self.rules.unverifiable),
            keys=tuple(map(str, trusted)),
            seconds=round(time.monotonic() - began, 3),
            findings=tuple(self.findings),
        )

    def _step(self, subject: str, step: Callable[[], T]) -> T | None:
        """Carry out a part of the audit; an error is a finding, as any value may be in a table."""
        try:
            return step()
        except MemoryError:
            raise
        except Exception as error:
            # A file that is locked or closed to this user, or a server that went away, says
            # nothing of the ledger.
            of = error.__cause__ if isinstance(error, LedgerError) else error
            is_refused = "OperationalError" in {it.__name__ for it in type(of).__mro__}
            is_closed = isinstance(error, StorageError) and (subject == "database" or is_refused)
            if is_closed or (is_refused and of is error):
                raise
            found = str(error) if isinstance(error, LedgerError) else _named(error)
            self._tell("unreadable", subject=subject, expected="readable", found=found)
        return None

    def _tell(self, kind: str, **known: Any) -> None:
        self.findings.append(Finding(kind=kind, **known))

    # --- the file ---------------------------------------------------------------------------------

    def _meta(self, evidence: Evidence) -> None:
        if not evidence.has_models:
            return
        found = evidence.meta()
        if found.get("format") not in {str(number) for number in range(1, FORMAT + 1)}:
            self._tell("format", expected=f"1 to {FORMAT}", found=found.get("format"))
        if found.get("read_models") != str(schema_number()):
            self._tell(
                "read-models-version", expected=schema_number(), found=found.get("read_models")
            )

    def _meta_of_log(self, evidence: Evidence) -> None:
        """Hold what the file says of itself against the entries."""
        if not evidence.has_models:
            return
        found = evidence.meta()
        if found.get("format") in {str(number) for number in range(1, self.rules.format)}:
            self._tell("format", subject="meta", expected=self.rules.format, found=found["format"])
        for name in sorted(found.keys() - {"format", "read_models"}):
            self._tell("format", subject="meta", expected="format, read_models", found=name)

    def _file(self, evidence: Evidence) -> None:
        for subject, expected, found in evidence.check():
            kind = "database" if subject == "integrity" else "schema"
            self._tell(kind, subject=subject, expected=expected, found=found)

    # --- the log ----------------------------------------------------------------------------------

    def _log(self, evidence: Evidence, shadow: Shadow) -> None:
        head = evidence.head()
        if self.since and evidence.has_models:
            self._believe(evidence, shadow)
        wanted = {stated.size for _, stated in self.notes} | self.known_sizes
        if 0 in wanted:
            self.roots[0] = self.tree.root()
        with progress("auditing", head) as step:
            for batch in evidence.batches(until=head):
                if isinstance(batch, LedgerError):
                    self.events += 1
                    self._unreadable(batch)
                    continue
                self.events += len(batch)
                reads, leaves = self.entries.take(batch, self.findings, since=self.since)
                self._grow(leaves, wanted)
                for read in reads:
                    self._event(read, shadow)
                step(len(batch))
        self.rules.end(self.findings)
        if head and self.entries.position != head:
            self._tell("position", expected=f"entries up to {head}", found=self.entries.position)
        self._beside(evidence)

    def _beside(self, evidence: Evidence) -> None:
        """Tell what there is beside the entries from 1 to the head."""
        for stream, version, topic in evidence.strays():
            self._tell(
                "entry-missing",
                subject=_text(stream),
                expected="an entry for each event",
                found=f"an event {_text(topic)} of version {_text(version)} without one",
            )
        below = evidence.below()
        for position in below:
            self._tell("position", position=position, expected="1 or more", found=position)
        for table, count in evidence.counts().items():
            if count != self.events + len(below):
                self._tell("count", subject=table, expected=self.events + len(below), found=count)

    def _unreadable(self, error: LedgerError) -> None:
        at = error.details.get("position")
        self._tell(
            "unreadable",
            position=at if isinstance(at, int) else None,
            expected="an entry",
            found=str(error),
        )

    def _grow(self, leaves: list[bytes], wanted: set[int]) -> None:
        """Add leaf hashes to the tree, and keep the roots at the sizes of checkpoints."""
        first, after = self.tree.size, self.tree.size + len(leaves)
        for size in sorted(it for it in wanted if first < it <= after):
            self.tree.extend(leaves[self.tree.size - first : size - first])
            self.roots[size] = self.tree.root()
        self.tree.extend(leaves[self.tree.size - first :])

    def _event(self, read: Read, shadow: Shadow) -> None:
        try:
            event = from_payload(read.payload, position=read.position, is_erased=read.is_erased)
        except UnknownEventError as error:
            self._tell("unknown-event", position=read.position, expected=read.tag, found=str(error))
            return
        # An event outside of the rules may break any code below: each error is a finding.
        try:
            self.rules.check(read, event, self.findings)
            if read.position > self.since:
                shadow.apply(read.position, fold(recorded_of(read, event)))
        except Exception as error:  # noqa: BLE001 (as said above)
            self._misfit(read.position, error)

    def _misfit(self, position: int, error: Exception) -> None:
        self._tell(
            "rule",
            position=position,
            expected="an event that fits the events before it",
            found=_named(error),
        )

    def _believe(self, evidence: Evidence, shadow: Shadow) -> None:
        """Believe the read models up to the position after which the audit begins."""
        for table, described in TABLES.items():
            first = described.column_names.index("from_position")
            shadow.believe(
                table,
                (
                    (*row[:-1], row[-1] if row[-1] <= self.since else FOREVER)
                    for row in evidence.table(table, rows_statement(table))
                    if row[first] <= self.since
                ),
            )

    # --- checkpoints ------------------------------------------------------------------------------

    def _known(self) -> list[tuple[str, Note, Checkpoint]]:
        """Return the newest checkpoints that this computer knows or that are published.

        Those that the auditor brought are not among them. A place that cannot be reached is said.
        """
        if self.subject.place is None:
            return []
        found, errors = newest_known(self.subject.place, KeyRing(self.subject.ledger))
        for error in errors:
            say("warning", f"audit: a known checkpoint could not be asked: {error}")
        known = []
        for where, text in found:
            try:
                note = read_note(text)
                stated = read_checkpoint(note)
            except LedgerError as error:
                self._tell("unreadable", subject=where, expected="readable", found=str(error))
                continue
            if stated not in [it for _, it in self.notes]:
                known.append((where, note, stated))
        self.known_sizes = {stated.size for _, _, stated in known}
        return known

    def _hold_against(
        self, known: Sequence[tuple[str, Note, Checkpoint]], own: list[PublicKey], head: int
    ) -> None:
        """Hold the log against known checkpoints; a warning where the auditor brought others."""
        before = len(self.findings)
        for where, note, stated in known:
            self._checkpoint(note, stated, own, head, where)
        if self.notes:
            for found in self.findings[before:]:
                say("warning", f"audit: {found}")
            del self.findings[before:]

    def _checkpoint(
        self,
        note: Note,
        stated: Checkpoint,
        trusted: list[PublicKey],
        head: int,
        where: str = "checkpoint",
    ) -> CheckpointResult:
        before = len(self.findings)
        known = {"subject": f"{where} of size {stated.size}"}
        signers: list[PublicKey] = []
        origin = KeyRing(self.subject.ledger).name
        if stated.origin != origin:
            self._tell("checkpoint-origin", expected=origin, found=stated.origin, **known)
        try:
            signers = verify_note(note, trusted)
        except InvalidProofError as error:
            self._tell(
                "checkpoint-signature",
                expected="the signature of a trusted key",
                found=str(error),
                **known,
            )
        if signers and not any(it.name == stated.origin for it in signers):
            self._tell(
                "checkpoint-signature",
                expected=f"the signature of {stated.origin}",
                found=", ".join(it.name for it in signers),
                **known,
            )
        if stated.size > self.tree.size:
            self._tell(
                "log-too-short",
                position=head,
                expected=f"{stated.size} entries or more",
                found=f"{self.tree.size} entries",
                **known,
            )
        elif self.roots.get(stated.size) != stated.root:
            root = self.roots.get(stated.size)
            self._tell(
                "checkpoint-root",
                position=stated.size,
                expected=stated.root.hex(),
                found="none" if root is None else root.hex(),
                **known,
            )
        return CheckpointResult(
            size=stated.size,
            root=stated.root.hex(),
            is_met=len(self.findings) == before,
            signers=tuple(map(str, signers)),
        )

    def _cosigned(self, results: Sequence[CheckpointResult]) -> None:
        """Require that each witness whose key was given has signed the newest checkpoint."""
        newest = max((it.size for it in results), default=0)
        signers = {signer for it in results if it.size == newest for signer in it.signers}
        for key in self.given if results else ():
            if key.kind == COSIGNATURE and str(key) not in signers:
                self._tell(
                    "cosignature",
                    subject=f"checkpoint of size {newest}",
                    expected=f"a cosignature of {key.name}",
                    found="none",
                )

    # --- read models and content ------------------------------------------------------------------

    def _table(self, evidence: Evidence, shadow: Shadow, table: str) -> None:
        problems: list[Problem] = []
        # A file is compared as it stores its values; a server, as the program reads them.
        told = shadow.rows(table, problems, as_stored=self.subject.is_file)
        if evidence.has_models:
            self._compare(table, told, self._counted(evidence.table(table, rows_statement(table))))
        for _ in told:
            pass  # problems are complete after the last row
        for position, error in sorted(problems, key=itemgetter(0)):
            self._misfit(position, error)

    def _compare(self, table: str, told: Rows, found: Rows) -> None:
        for difference in compare(table, told, found):
            key = ", ".join(f"{name} {value}" for name, value in difference.key.items())
            at = difference.key["from_position"]
            self._tell(
                "read-model",
                position=at if isinstance(at, int) else None,
                subject=f"{table} {key}",
                expected=difference.expected or "no such row",
                found=difference.found or "no such row",
            )

    def _counted(self, rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
        for row in rows:
            self.rows += 1
            yield row

    def _contents(self, shadow: Shadow, contents: ContentAudit, sample: float) -> None:
        names = TABLES["artifact"].column_names
        rows = [
            row
            for values in shadow.rows("artifact", [])
            if (row := dict(zip(names, values, strict=True)))["to_position"] == FOREVER
            and row["state"] in _KEPT
            and row["digest"] is not None
        ]
        chosen = rows if sample == 1 else drawn(rows, sample)
        with progress("reading contents", sum(row["size"] for row in chosen), unit="bytes") as step:
            for row in chosen:
                self.findings.extend(contents.check(row))
                step(row["size"])


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _text(value: object) -> str:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)
