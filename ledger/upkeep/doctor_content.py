"""What the doctor finds, and how stored content compares with what events say of it.

Content is looked for where its event says it is, in every storage that events name. A storage that
cannot be reached is one finding, and says nothing of the content in it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import msgspec

from ledger.content.hashing import hash_path
from ledger.content.store import name_in_store, place_below
from ledger.engine.database import Session, WriteSession
from ledger.errors import LedgerError, StorageError
from ledger.places.instance import Ledger
from projections.select import Select

Severity = Literal["error", "warning", "info"]
Row = dict[str, Any]

_CHUNK = 20_000
_COMPARED = ("uid", "key", "storage", "storage_key", "in_place", "size", "digest", "n_files")


class DoctorFinding(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person may want to see to.

    Attributes:
        kind: What it is, a word that is never renamed: `missing-content`, `orphan`, …
        severity: "error" where something is lost or wrong, "warning" where it may become so,
            "info" where it costs space or time only.
        subject: What it is about: a uid, a path, a name.
        message: What was found, and the way out.
        details: The values that the message prints.
    """

    kind: str
    severity: Severity
    subject: str
    message: str
    details: dict[str, Any] = {}


def storages(ledger: Ledger, session: Session | WriteSession) -> list[str]:
    """Return the root of every storage that content is kept in, the default one first."""
    named = {ledger.store(row["storage"]).root for row in artifacts(session) if not row["in_place"]}
    return [ledger.store().root, *sorted(named - {ledger.store().root})]


def artifacts(session: Session | WriteSession) -> Iterator[Row]:
    """Yield every artifact that is not withdrawn, as of one position."""
    at, offset = session.log.head(), 0
    while True:
        rows = session.models.select(
            Select(registry="artifact", trash="with", at=at, offset=offset, limit=_CHUNK)
        )
        yield from rows
        if len(rows) < _CHUNK:
            return
        offset += _CHUNK


def contents(ledger: Ledger, *, read_all: bool) -> Iterator[DoctorFinding]:
    """Compare every artifact's content with what is there: size, and if asked every byte."""
    with ledger.reading() as session:
        # Kept short: only what is compared, for every artifact there is.
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
        root = ledger.store(row["storage"]).root
        if not row["in_place"] and root not in sizes:
            continue
        try:
            finding = _missing(ledger, row, sizes.get(root, {}))
        except StorageError as error:
            if root not in sizes:
                sizes[root] = {}
                yield _unreachable(root, error)
            continue
        place = (row["storage"], row["storage_key"])
        if finding is None and read_all and place not in seen:
            seen.add(place)
            finding = _damaged(ledger, row)
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


def _missing(ledger: Ledger, row: Row, sizes: dict[str, int]) -> DoctorFinding | None:
    name = name_in_store(str(row["storage_key"]))
    where = f"{row['storage']}/{row['storage_key']}"
    size: int | None
    if row["in_place"]:
        place = place_below(ledger.place.resolved(row["storage"]), row["storage_key"])
        size = _size(place)
        if size is None:
            return _lost(row, where)
        if isinstance(place, Path) and row["n_files"] is not None:
            return None
    else:
        size = sizes.get(name)
        if size is None and not ledger.store(row["storage"]).exists(name):
            return _lost(row, where)
    if size is not None and size != row["size"]:
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
    return None


def _size(place: Path | str) -> int | None:
    """Return the bytes of what is registered in place, None where it is gone."""
    if isinstance(place, Path):
        return place.stat().st_size if place.exists() else None
    from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only where it is)

    return ContentAtUrl(place).size()


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


def _damaged(ledger: Ledger, row: Row) -> DoctorFinding | None:
    name = name_in_store(str(row["storage_key"]))
    try:
        if not row["in_place"]:
            ledger.store(row["storage"]).verify(name, row["digest"], row["n_files"] is not None)
            return None
        # Read anew: a remembered hash is no witness.
        place = place_below(ledger.place.resolved(row["storage"]), row["storage_key"])
        found = _digest(place)
        if found == row["digest"]:
            return None
        said = f"expected {row['digest']}, found {found}"
    except LedgerError as error:
        said = str(error)
    return DoctorFinding(
        kind="damaged-content",
        severity="error",
        subject=row["uid"],
        message=f"content of artifact {row['uid']}: {said}",
        details={"path": f"{row['storage']}/{row['storage_key']}"},
    )


def _digest(place: Path | str) -> str:
    if isinstance(place, Path):
        return hash_path(place).digest
    from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only where it is)

    return ContentAtUrl(place).hashed(rehash=True).digest
