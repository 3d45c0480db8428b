"""The doctor's findings, and the comparison of stored content with its events.

Content is looked for at the place that its event names, in every storage. A storage that cannot be
reached is one finding; its contents are passed over.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from ledger.content.located import LocatedContent, stored_name
from ledger.engine.database import Session, WriteSession
from ledger.errors import LedgerError, StorageError
from ledger.places.instance import Ledger
from projections.select import Select

Severity = Literal["error", "warning", "info"]
Row = dict[str, Any]

_CHUNK = 20_000
_COMPARED = ("uid", "key", "storage", "storage_key", "in_place", "size", "digest", "n_files")


class DoctorFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A fault that may need a person's attention.

    Attributes:
        kind: A word that is never renamed: `missing-content`, `orphan`, …
        severity: "error" where something is lost or wrong, "warning" where it may become so,
            "info" where it costs space or time only.
        subject: The uid, path or name that it concerns.
        message: The fault, and the way out.
        details: The values that the message prints.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    details: dict[str, Any] = {}


def storages(ledger: Ledger, session: Session | WriteSession) -> list[str]:
    """Return the root of every storage that holds content, the default one first."""
    named = {ledger.store(row["storage"]).root for row in artifacts(session) if stored_name(row)}
    return [ledger.store().root, *sorted(named - {ledger.store().root})]


def artifacts(session: Session | WriteSession) -> Iterator[Row]:
    """Yield every artifact with content that is not withdrawn, as of one position."""
    at, offset = session.log.head(), 0
    while True:
        rows = session.models.select(
            Select(registry="artifact", trash="with", at=at, offset=offset, limit=_CHUNK)
        )
        yield from (row for row in rows if not row["is_declared"])
        if len(rows) < _CHUNK:
            return
        offset += _CHUNK


def contents(ledger: Ledger, *, read_all: bool) -> Iterator[DoctorFinding]:
    """Compare every artifact's content with its event: the size, and if asked every byte."""
    with ledger.reading() as session:
        # Only the compared columns: there is a row for every artifact.
        rows = [{name: row[name] for name in _COMPARED} for row in artifacts(session)]
        known = storages(ledger, session)
    sizes: dict[str, dict[str, int]] = {}
    for root in known:
        try:
            sizes[root] = {item.name: item.size for item in ledger.store(root).list()}
        except StorageError as error:
            yield _unreachable(root, error)
    seen: set[tuple[str, str]] = set()
    for row in rows:
        root, content = ledger.store(row["storage"]).root, ledger.content(row)
        if stored_name(row) is not None and root not in sizes:
            continue
        try:
            finding = _missing(content, row, sizes.get(root, {}))
        except StorageError as error:
            if root not in sizes:
                sizes[root] = {}
                yield _unreachable(root, error)
            continue
        place = (row["storage"], row["storage_key"])
        if finding is None and read_all and place not in seen:
            seen.add(place)
            finding = _damaged(content, row)
        if finding is not None:
            yield finding


def _unreachable(root: str, error: LedgerError) -> DoctorFinding:
    return DoctorFinding(
        kind="unreachable-storage",
        severity="error",
        subject=root,
        message=f"storage {root} could not be looked at: {error}",
        details={"code": error.code},
    )


def _missing(content: LocatedContent, row: Row, sizes: dict[str, int]) -> DoctorFinding | None:
    where = f"{row['storage']}/{row['storage_key']}"
    size = content.size(sizes)
    if size is None:
        return None if content.exists() else _lost(row, where)
    if size == row["size"]:
        return None
    return DoctorFinding(
        kind="damaged-content",
        severity="error",
        subject=row["uid"],
        message=(
            f"content of artifact {row['uid']} at {where}: expected {row['size']:,} bytes, "
            f"found {size:,}; restore it from a backup"
        ),
        details={"path": where, "expected": row["size"], "found": size},
    )


def _lost(row: Row, where: str) -> DoctorFinding:
    named = f" ({row['key']})" if row["key"] else ""
    return DoctorFinding(
        kind="missing-content",
        severity="error",
        subject=row["uid"],
        message=(
            f"content of artifact {row['uid']}{named}: expected at {where}, found nothing; "
            "restore it from a backup"
        ),
        details={"path": where, "key": row["key"]},
    )


def _damaged(content: LocatedContent, row: Row) -> DoctorFinding | None:
    try:
        content.verify()
    except LedgerError as error:
        return DoctorFinding(
            kind="damaged-content",
            severity="error",
            subject=row["uid"],
            message=f"content of artifact {row['uid']}: {error}",
            details={"path": f"{row['storage']}/{row['storage_key']}"},
        )
    return None
