"""The log as an archive that others can read, and a ledger from an archive: docs/format.md, 12.

1. An export holds what is committed when it begins; it is whole once its checkpoint is there.
2. Nothing in an archive is believed: it is audited whole before a ledger is made of it.
3. Reading is bounded: a portion at a time, none of them larger than a limit.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ledger import config, files, instance
from ledger.auditing.findings import Finding
from ledger.checkpoints import checkpoint, ring_of
from ledger.config import DATABASE, Configuration, Place
from ledger.database import SqliteDatabase, refold
from ledger.errors import (
    CorruptLogError,
    InvalidValueError,
    LedgerError,
    LedgerExistsError,
    PathTakenError,
)
from ledger.eventlog.entry import Entry, Envelope, leaf_of
from ledger.eventlog.evidence import Evidence, RawRow, Text
from ledger.events import KeyAdopted, LedgerInitialized, from_payload
from ledger.ids import CommandId, Position, StreamId, stream_id
from ledger.progress import progress
from ledger.times import now_micros

LOG, CHECKPOINT, KEYS = "log.parquet", "checkpoint.txt", "key.pub"

_GROUP = 65_536
_MOST_GROUP = 1 << 30  # bytes of a row group: what is larger was not written by an export
_READ = 2_000
_REFUSALS = (OSError, pa.ArrowException, ValueError, TypeError, OverflowError, MemoryError)
_SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.int64(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("command_id", pa.binary(16), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("tag", pa.string(), nullable=False),
        pa.field("salt", pa.binary(32), nullable=False),
        pa.field("payload", pa.binary(), nullable=False),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an export holds.

    Attributes:
        folder: Where it is.
        events: How many entries.
        root: Root hash over them, in hexadecimal.
        size: Bytes of its log.
    """

    folder: str
    events: int
    root: str
    size: int


# --- out ----------------------------------------------------------------------------------------


def export(folder: str | os.PathLike[str]) -> Exported:
    """Write the log of the ledger in use, and a new checkpoint over it, into a new folder.

    Raises:
        PathTakenError: The folder holds something already.
        CorruptLogError: An entry is not what its hash says; audit the ledger.
        KeyUnavailableError: The key that signs is not here.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise PathTakenError(f"{folder}: expected nothing or an empty folder, found something")
    ledger = instance.current()
    made = checkpoint()
    files.make_folders(folder)
    with TemporaryDirectory(prefix=files.TEMPORARY_PREFIX, dir=folder) as aside:
        path = Path(aside, LOG)
        with ledger.handler.reading() as session, progress("exporting", made.size) as step:
            _write(path, session.log, made.size, step)
            keys = [
                it.event.key
                for it in session.log.stream(stream_id(["key", ring_of(ledger).ledger_id]))
                if isinstance(it.event, KeyAdopted)
            ]
        files.copy_file(path, folder / LOG)
    files.write_durably(folder / KEYS, "".join(f"{key}\n" for key in keys).encode())
    files.write_durably(folder / CHECKPOINT, made.text.encode())
    size = (folder / LOG).stat().st_size
    return Exported(folder=str(folder), events=made.size, root=made.root, size=size)


def _write(path: Path, log: Any, until: int, step: Any) -> None:
    with pq.ParquetWriter(path, _SCHEMA, compression="zstd") as writer:
        after = 0
        while after < until:
            entries: list[Entry] = []
            while len(entries) < _GROUP and after < until:
                batch = log.entries(after=after, until=until, limit=_READ)
                if not batch or batch[0].envelope.position != after + 1:
                    raise CorruptLogError(f"log: expected position {after + 1}, found none")
                entries += batch
                after = batch[-1].envelope.position
                step(len(batch))
            writer.write_table(_table(entries), row_group_size=_GROUP)


def _table(entries: Sequence[Entry]) -> Any:
    for entry in entries:
        if leaf_of(entry.envelope, entry.payload, entry.salt) != entry.leaf:
            raise CorruptLogError(
                f"event at position {entry.envelope.position}: not what its hash says; nothing is "
                "exported, audit the ledger",
                position=entry.envelope.position,
            )
    envelopes = [entry.envelope for entry in entries]
    columns = [
        [it.position for it in envelopes],
        [it.recorded_at for it in envelopes],
        [it.stream for it in envelopes],
        [it.version for it in envelopes],
        [bytes.fromhex(it.command_id) for it in envelopes],
        [it.number for it in envelopes],
        [it.tag for it in envelopes],
        [it.salt for it in entries],
        [it.payload for it in entries],
        [it.leaf for it in entries],
    ]
    arrays = [
        pa.array(values, type=field.type) for values, field in zip(columns, _SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=_SCHEMA)


# --- in -----------------------------------------------------------------------------------------


class ArchiveEvidence(Evidence):
    """An archive, as an auditor reads it."""

    has_models = False

    def __init__(self, folder: Path) -> None:
        """Open its log.

        Raises:
            InvalidValueError: It is no archive.
        """
        self.folder = folder
        path = folder / LOG
        with ExitStack() as stack:
            try:
                # Not by its path: that would be taken for a URL where it looks like one.
                self._raw = stack.enter_context(path.open("rb"))
                self._file = pq.ParquetFile(self._raw)
                schema, self._count = self._file.schema_arrow, self._file.metadata.num_rows
            except _REFUSALS as error:
                raise InvalidValueError(f"archive {path}: cannot be read: {error}") from error
            if not schema.equals(_SCHEMA):
                raise InvalidValueError(
                    f"archive {path}: expected the columns {', '.join(_SCHEMA.names)} of "
                    "docs/format.md, found others"
                )
            stack.pop_all()

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        self._raw.close()

    def head(self) -> int:
        """Return how many rows there are: positions have no gaps."""
        return int(self._count)

    def rows(self, *, after: int = 0, until: int) -> Iterator[RawRow | LedgerError]:
        """Yield the rows of the archive in its order; an error where it cannot be read on."""
        del after, until
        try:
            for group in range(self._file.num_row_groups):
                size = self._file.metadata.row_group(group).total_byte_size
                if not 0 <= size <= _MOST_GROUP:
                    yield CorruptLogError(f"archive: a row group of {size:,} bytes is too large")
                    return
                for batch in self._file.iter_batches(batch_size=_READ, row_groups=[group]):
                    batch.validate(full=True)
                    yield from map(_raw, batch.to_pylist())
        except _REFUSALS as error:
            yield CorruptLogError(f"archive: cannot be read on: {error}")

    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return nothing: a row is an entry and its event."""
        return []

    def meta(self) -> dict[str, str]:
        """Return nothing: an archive says nothing of itself."""
        return {}

    def check(self, read_models: Sequence[str]) -> Iterator[tuple[str, str, str]]:
        """Yield nothing: its columns were looked at when it was opened."""
        del read_models
        yield from ()

    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield nothing: there are no read models."""
        del name, statement
        yield from ()


def first_event(folder: Path) -> LedgerInitialized:
    """Return the event that names the ledger of an archive; nothing of it is verified.

    Raises:
        InvalidValueError: It is no archive, or does not begin with such an event.
    """
    evidence = ArchiveEvidence(folder)
    try:
        first = next(evidence.rows(until=1), None)
    finally:
        evidence.close()
    if isinstance(first, RawRow) and isinstance(first.state, bytes):
        try:
            event = from_payload(first.state, position=1)
        except LedgerError as error:
            raise InvalidValueError(f"archive {folder}: {error}") from error
        if isinstance(event, LedgerInitialized):
            return event
    raise InvalidValueError(f"archive {folder}: expected the first event of a ledger, found none")


def restore(
    folder: str | os.PathLike[str],
    storage: str,
    *,
    keys: Sequence[str] = (),
    name: str | None = None,
    root: Path | None = None,
) -> Place:
    """Make a ledger of an archive in a folder where none is, and return its place.

    Args:
        folder: The archive.
        storage: Where contents are from now on; those of before are where the log says.
        keys: Public key lines to trust; those that the archive brings along without.
        name: What people call it; its name of before by default.
        root: Where the ledger is made; the working directory by default.

    Raises:
        LedgerExistsError: There is a ledger.
        InvalidValueError: It is no archive.
        CorruptLogError: It does not add up; the findings are in `details`. Nothing was made.
    """
    from ledger.auditing.audit import Audit  # noqa: PLC0415 (it imports this module)
    from ledger.auditing.subjects import of_archive  # noqa: PLC0415

    root = (Path.cwd() if root is None else root).absolute()
    path = root / config.FOLDER / DATABASE
    if path.exists() or (root / config.FOLDER / config.FILE).exists():
        raise LedgerExistsError(f"{root}: there is a ledger in this folder already")
    folder = Path(folder)
    subject = of_archive(folder)
    kept, trusted = _small(folder / CHECKPOINT), list(keys) or _small(folder / KEYS).splitlines()
    report = Audit(subject, [kept], trusted).run()
    findings = list(report.findings)
    if not findings and report.checkpoints[0].size != report.head:
        findings = [
            Finding(kind="checkpoint-root", expected=report.head, found=report.checkpoints[0].size)
        ]
    if findings:
        raise CorruptLogError(
            f"archive {folder}: refused with {len(findings):,} findings, the first: {findings[0]}",
            findings=findings,
        )
    configuration = Configuration(id=subject.ledger, name=name or subject.name, storage=storage)
    if "://" not in storage:
        files.make_folders((root / storage).absolute())
    files.make_folders(path.parent)
    with TemporaryDirectory(
        dir=path.parent, prefix=f".new-{secrets.token_hex(4)}-", ignore_cleanup_errors=True
    ) as aside:
        made = Path(aside, DATABASE)
        _fill(SqliteDatabase.create(made, now_micros), folder, report.root)
        try:
            files.copy_file(made, path)
        except PathTakenError as error:
            raise LedgerExistsError(f"{path}: there is a ledger in this folder already") from error
    return config.write(root, configuration)


def _fill(database: SqliteDatabase, folder: Path, root: str) -> None:
    """Write the entries of an archive that was audited into an empty ledger."""
    from ledger.merkle import root_hash  # noqa: PLC0415

    evidence = ArchiveEvidence(folder)
    try:
        with database.write() as session, progress("importing", evidence.head()) as step:
            batch: list[Entry] = []
            for row in evidence.rows(until=evidence.head()):
                if isinstance(row, LedgerError):
                    raise row
                batch.append(_entry(row))
                if len(batch) == _READ:
                    session.log._insert(batch)  # noqa: SLF001 (entries as they are, not new ones)
                    step(len(batch))
                    batch = []
            session.log._insert(batch)  # noqa: SLF001
            found = root_hash(session.log.leaves(until=evidence.head())).hex()
            if found != root:
                raise CorruptLogError(f"archive: expected root {root}, wrote {found}")
            refold(session.log, session.models)
    finally:
        evidence.close()
        database.close()


def _raw(row: dict[str, Any]) -> RawRow:
    return RawRow(
        position=row["position"],
        recorded_at=row["recorded_at"],
        stream=_text(row["stream"]),
        version=row["version"],
        command_id=row["command_id"],
        number=row["number"],
        salt=row["salt"],
        leaf=row["leaf"],
        topic=_text(row["tag"]),
        state=row["payload"],
    )


def _text(value: Any) -> Any:
    return Text(value.encode()) if isinstance(value, str) else value


def _entry(row: RawRow) -> Entry:
    envelope = Envelope(
        position=Position(row.position),
        recorded_at=row.recorded_at,
        stream=StreamId(row.stream.decode()),
        version=row.version,
        tag=row.topic.decode(),
        command_id=CommandId(row.command_id.hex()),
        number=row.number,
    )
    return Entry(envelope=envelope, payload=row.state, salt=row.salt, leaf=row.leaf)


def _small(path: Path) -> str:
    """Return a short text of an archive.

    Raises:
        InvalidValueError: It is not there, not short, or no text.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(_GROUP + 1)
        if len(raw) > _GROUP:
            raise InvalidValueError(f"archive {path}: expected a short text, found a long one")
        return raw.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"archive {path}: cannot be read: {error}") from error
