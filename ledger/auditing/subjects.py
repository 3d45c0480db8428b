"""The subjects of an audit: a ledger in a file, one on a server, an archive."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import msgspec

from ledger.auditing.findings import Finding
from ledger.content.local import path_of
from ledger.content.retry import without_secrets
from ledger.content.store import is_local
from ledger.display.messages import say
from ledger.errors import ConfigurationError
from ledger.eventlog.database_url import is_database_url, parse
from ledger.eventlog.evidence import Evidence
from ledger.model.merkle import Frontier
from ledger.places.config import Place, resolved
from ledger.proving.notes import read_checkpoint, read_note


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The subject of one audit.

    Attributes:
        ledger: Id that the ledger should have.
        name: Name of the ledger.
        where: Path or URL from which it is read.
        is_file: Whether its values are read as a SQLite file holds them.
        open: Opens it at one moment.
        place: Where the ledger is; None of an archive.
        archive: Path or URL of an archive; None of a ledger.
        resolved: Returns the root of a storage that its events name, or raises a LedgerError.
    """

    ledger: str
    name: str
    where: str
    is_file: bool
    open: Callable[[], Evidence]
    resolved: Callable[[str], str]
    place: Place | None = None
    archive: str | os.PathLike[str] | None = None


def of_place(place: Place) -> Subject:
    """Return the ledger of a folder as the subject of an audit.

    Raises:
        StorageError: Its database is not there.
    """
    known = place.configuration
    if is_database_url(known.database):
        return Subject(
            ledger=known.id,
            name=known.name,
            where=known.database,
            is_file=False,
            open=lambda: _on_server(known.database),
            resolved=place.resolved,
            place=place,
        )
    path = place.database_path
    if not path.exists():
        # Opening a missing file raises the error that says so.
        _in_file(path)
    return Subject(
        ledger=known.id,
        name=known.name,
        where=str(path),
        is_file=True,
        open=lambda: _in_file(path),
        resolved=place.resolved,
        place=place,
    )


def of_archive(where: str | os.PathLike[str]) -> Subject:
    """Return an archive as the subject of an audit.

    Args:
        where: Its folder, or a URL that fsspec knows.

    Raises:
        InvalidValueError: It is not an archive.
        StorageError: It cannot be reached.
    """
    from ledger.eventlog.archive import ArchiveEvidence, first_event  # noqa: PLC0415 (loads pyarrow)

    first = first_event(where)
    return Subject(
        ledger=first.ledger,
        name=first.name,
        where=without_secrets(os.fspath(where)),
        is_file=True,
        open=lambda: ArchiveEvidence(where),
        archive=where,
        resolved=partial(_beside, os.fspath(where)),
    )


def otherwise_stated(subject: Subject, tree: Frontier) -> Iterator[Finding]:
    """Yield what an archive says of itself otherwise than it was read; warn of what lies beside it.

    Args:
        subject: The subject; a ledger says nothing of itself.
        tree: That of the entries that were read.

    Raises:
        LedgerError: Its checkpoint cannot be read.
    """
    if subject.archive is None:
        return
    read = (tree.size, tree.root().hex())
    from ledger.eventlog.archive import ArchiveEvidence, read_text  # noqa: PLC0415 (loads pyarrow)

    with closing(ArchiveEvidence(subject.archive)) as evidence:
        manifest, folder, strays = evidence.manifest, evidence.folder, evidence.unnamed()
        kept = read_checkpoint(read_note(read_text(folder, manifest.checkpoint)))
    for part, said in (
        ("manifest", (manifest.entries, manifest.root)),
        ("checkpoint", (kept.size, kept.root.hex())),
    ):
        if said != read:
            expected, found = (f"{n} entries with root {root}" for n, root in (said, read))
            yield Finding(kind="checkpoint-root", subject=part, expected=expected, found=found)
    if strays:
        more = f" and {len(strays) - 1:,} more" if len(strays) > 1 else ""
        say(
            "warning",
            f"archive {folder.where}: {strays[0]!a}{more} in its log/ is no part of it: an export "
            "is at work there or was interrupted, or somebody put it there; it was not audited, so "
            "leave it out when you read log/ with another program",
        )


def _beside(where: str, storage: str) -> str:
    """Return the root of a storage that an archive's events name.

    An archive takes the place of a ledger's `.metaledger/`: a relative storage lies beside it.

    Raises:
        ConfigurationError: There is no such storage here.
    """
    root = resolved(storage, path_of(where).parent if is_local(where) else None)
    if "://" not in root and not Path(root).is_dir():
        raise ConfigurationError(
            f"storage '{storage}': expected it in {root}, found no such folder; an archive holds "
            "no content: put the storage there, or audit the ledger itself",
            storage=storage,
        )
    return root


def _in_file(path: Path) -> Evidence:
    from ledger.eventlog.sqlite_evidence import SqliteEvidence  # noqa: PLC0415 (loads the log)

    return SqliteEvidence(path)


def _on_server(url: str) -> Evidence:
    from ledger.auditing.server import ServerEvidence  # noqa: PLC0415 (loads the driver)
    from ledger.engine.postgres_database import PostgresDatabase  # noqa: PLC0415

    return ServerEvidence(PostgresDatabase(parse(url)))
