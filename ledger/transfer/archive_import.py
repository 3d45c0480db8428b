"""A ledger from an archive: docs/format.md, section 12.

1. Nothing in an archive is believed: it is audited whole before a ledger is made of it, and each
   entry is hashed once more as it is written.
2. The ledger is there with all its entries, or not at all: one transaction writes them, and the
   configuration, which makes the folder a ledger, comes last.
3. Entries come as they are, so that the root hash is the same; read models are folded anew.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger import files
from ledger.auditing.audit import Audit
from ledger.auditing.findings import Report
from ledger.auditing.subjects import of_archive
from ledger.display.progress import progress
from ledger.engine.database import Database
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    CorruptLogError,
    LedgerError,
    LedgerExistsError,
    PathTakenError,
    WrongExpectedVersionError,
)
from ledger.eventlog.archive import KEYS, ArchiveEvidence, read_text
from ledger.eventlog.base import decode
from ledger.eventlog.database_url import DatabaseUrl
from ledger.eventlog.entry import Entry, Envelope
from ledger.eventlog.evidence import RawRow
from ledger.input_files import absolute, working_folder
from ledger.model.ids import CommandId, Position, StreamId
from ledger.model.merkle import Frontier
from ledger.model.payloads import format_of
from ledger.model.times import now_micros
from ledger.places import config
from ledger.places.config import DATABASE, Configuration, Place
from ledger.places.databases import requested
from projections.fold import fold
from projections.shadow import Shadow
from projections.store import WritableModels
from projections.tables import TABLES


def restore(  # noqa: PLR0913 (what a ledger is made of, each by its name)
    where: str | os.PathLike[str],
    storage: str,
    *,
    database: str | None = None,
    keys: Sequence[str] = (),
    name: str | None = None,
    root: Path | None = None,
) -> Place:
    """Make a ledger of an archive in a folder where none is, and return its place.

    Args:
        where: The archive: a folder, or a URL that fsspec knows.
        storage: Where contents are from now on; those of before are where the log says.
        database: `postgresql://…` for a schema on a server, which must not be there or hold no
            event; a SQLite file by default.
        keys: Public key lines to trust; those that the archive brings along without.
        name: What people call it; its name of before by default.
        root: Where the ledger is made; the working directory by default.

    Raises:
        LedgerExistsError: There is a ledger.
        InvalidValueError: It is no archive.
        CorruptLogError: It does not add up; the findings are in `details`. Nothing was made.
        StorageError: The archive, the disk or the server cannot be reached, or refused.
    """
    root = working_folder() if root is None else absolute(root)
    path = root / config.FOLDER / DATABASE
    for taken in (root / config.FOLDER / config.FILE, path):
        if taken.exists():
            raise _exists(taken)
    subject = of_archive(where)
    name = name or subject.name
    url, named = requested(database, name=name, ledger=subject.ledger)
    report = _audited(where, keys)
    configuration = Configuration(id=subject.ledger, name=name, storage=storage, database=named)
    if "://" not in storage:
        files.make_folders((root / storage).absolute())
    files.make_folders(path.parent)
    if url is None:
        _in_file(path, where, report)
    else:
        _on_server(url, where, report)
    return config.write(root, configuration)


def _audited(where: str | os.PathLike[str], keys: Sequence[str]) -> Report:
    """Audit an archive whole, and return the report if everything adds up."""
    audited = of_archive(where)
    with closing(ArchiveEvidence(where)) as evidence:
        manifest, folder = evidence.manifest, evidence.folder
    kept = read_text(folder, manifest.checkpoint)
    trusted = list(keys) or read_text(folder, KEYS).splitlines()
    report = Audit(audited, [kept], trusted).run()
    findings = list(report.findings)
    if findings:
        raise CorruptLogError(
            f"archive {folder.where}: refused with {len(findings):,} findings, the first: "
            f"{findings[0]}",
            findings=findings,
        )
    return report


def _in_file(path: Path, where: str | os.PathLike[str], report: Report) -> None:
    with TemporaryDirectory(
        dir=path.parent, prefix=f".new-{secrets.token_hex(4)}-", ignore_cleanup_errors=True
    ) as aside:
        made = Path(aside, DATABASE)
        _fill(SqliteDatabase.create(made, now_micros), where, report)
        try:
            files.give_name(made, path)
        except PathTakenError as error:
            raise _exists(path) from error


def _on_server(url: DatabaseUrl, where: str | os.PathLike[str], report: Report) -> None:
    from ledger.engine.postgres_database import PostgresDatabase  # noqa: PLC0415 (only where it is used)

    is_new = True
    try:
        database = PostgresDatabase.create(url)
    except LedgerExistsError:
        # What an import that was killed has left holds no event: it is as good as new.
        database, is_new = PostgresDatabase(url), False
    try:
        _fill(database, where, report)
    except BaseException:
        if is_new:
            with suppress(LedgerError):
                database.drop()
        raise


def _fill(database: Database, where: str | os.PathLike[str], report: Report) -> None:
    """Write the entries of an archive that was audited into an empty ledger, all or none."""
    evidence = ArchiveEvidence(where)
    tree = Frontier()
    try:
        with (
            database.write() as session,
            Shadow() as shadow,
            progress("importing", report.head) as step,
        ):
            if session.log.head():
                raise LedgerExistsError(
                    f"database {database}: expected one without events, found "
                    f"{session.log.head():,}; choose another schema"
                )
            for rows in evidence.batches(until=report.head):
                if isinstance(rows, LedgerError):
                    raise rows
                entries = [_entry(row) for row in rows]
                try:
                    session.log.adopt(entries)
                except (CorruptLogError, WrongExpectedVersionError) as error:
                    raise CorruptLogError(
                        f"archive: {error}; it was changed meanwhile", **error.details
                    ) from error
                for entry in entries:
                    tree.add(entry.leaf)
                    shadow.apply(entry.envelope.position, fold(decode(entry)))
                step(len(entries))
            if (tree.size, tree.root().hex()) != (report.head, report.root):
                raise CorruptLogError(
                    f"archive: expected root {report.root} over {report.head}, read "
                    f"{tree.root().hex()} over {tree.size}; it was changed meanwhile"
                )
            _load(shadow, session.models)
    finally:
        evidence.close()
        database.close()


def _load(shadow: Shadow, models: WritableModels) -> None:
    for table in TABLES:
        models.load(table, shadow.rows(table))


def _entry(row: RawRow) -> Entry:
    envelope = Envelope(
        position=Position(row.position),
        recorded_at=row.recorded_at,
        stream=StreamId(row.stream.decode()),
        version=row.version,
        tag=row.topic.decode(),
        command_id=CommandId(row.command_id.hex()),
        number=row.number,
        format=format_of(row.state),
    )
    return Entry(envelope=envelope, payload=row.state, salt=row.salt, leaf=row.leaf)


def _exists(path: Path) -> LedgerExistsError:
    return LedgerExistsError(
        f"{path}: there is a ledger in this folder already, or a part of one; choose another folder"
    )
