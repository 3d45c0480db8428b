"""The content of an archive, and how it is read: docs/format.md, section 12.

1. An archive consists of the files that its manifest names; a folder without a manifest is not an
   archive, or not a whole one.
2. Nothing in it is believed: names are checked before they meet a path, values are handed on as
   they are, for an audit to judge.
3. Reading is bounded: one portion at a time, each up to a limit.
4. A footer says nothing that other programs would believe in the place of the values: no
   statistics, indexes, other files, or metadata beside the columns. An export writes none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ledger.content.backends import open_folder
from ledger.content.folder import Folder
from ledger.errors import CorruptLogError, InvalidValueError, LedgerError, MissingFileError
from ledger.eventlog.evidence import Evidence, RawRow, Text
from ledger.model.events import LedgerInitialized
from ledger.model.payloads import ERASED_IN_FORMAT_1, SALT_BYTES, from_payload

MANIFEST, KEYS, LOG = "manifest.json", "key.pub", "log"
FORMAT = 3  # of archives; raised only when today's program could not read tomorrow's archive

SCHEMA = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("recorded_at", pa.int64(), nullable=False),
        pa.field("stream", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("command_id", pa.binary(16), nullable=False),
        pa.field("number", pa.int64(), nullable=False),
        pa.field("tag", pa.string(), nullable=False),
        pa.field("salt", pa.binary(SALT_BYTES)),
        pa.field("payload", pa.string()),
        pa.field("payload_hash", pa.binary(32)),
        pa.field("leaf", pa.binary(32), nullable=False),
    ]
)

# Of segments that a program of format 1 or 2 wrote: they stay in an archive that is exported to.
_BEFORE = SCHEMA.set(SCHEMA.get_field_index("payload"), pa.field("payload", pa.binary()))

# A file may say a long value once and name it a thousand times: these are read as they are written,
# and written out a portion at a time.
_WIDE = ["stream", "tag", "payload"]

# What a footer may say beside the columns: their types once more, and their numbers.
_SCHEMA_TOLD, _NUMBER_TOLD = b"ARROW:schema", b"PARQUET:field_id"
_WRITER = "parquet-cpp-arrow version "

_MOST_MANIFEST = 1 << 24
_MOST_GROUP = 1 << 30  # bytes of a row group: an export writes none that is larger
# A small group may say anything; of a larger one, texts of people shrink to no hundredth.
_SMALL_GROUP, _MOST_RATIO = 1 << 26, 100
_MOST_PORTION = 1 << 26  # bytes of values that are handed on at once, unless one is larger
_MOST_TEXT = 1 << 20  # characters of a note
_READ = 2_000
_REFUSALS = (OSError, pa.ArrowException, ValueError, TypeError, OverflowError, MemoryError)


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the log: its name, its first and last position, its bytes."""

    name: str
    first: int
    last: int
    size: int


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """The list of an archive's parts.

    Attributes:
        format: Number of this format.
        ledger: Id of the ledger.
        name: Name of the ledger.
        entries: How many it holds.
        root: Root hash over them, in hexadecimal.
        checkpoint: Name of a checkpoint over exactly these entries.
        segments: Files of the log, in the order of positions.
    """

    format: int
    ledger: str
    name: str
    entries: int
    root: str
    checkpoint: str
    segments: tuple[Segment, ...]


_manifests = msgspec.json.Decoder(Manifest)


def segment_name(first: int, last: int, *, written: int = 1) -> str:
    """Return the name of the file that holds these positions; names sort as positions do.

    Args:
        first: First position.
        last: Last position.
        written: How often they were written: again, after something in them was erased.
    """
    again = "" if written == 1 else f".{written}"
    return f"{first:012d}-{last:012d}{again}.parquet"


def times_written(segment: Segment) -> int:
    """Return how often the positions of a segment were written."""
    again = segment.name.removesuffix(".parquet").partition(".")[2]
    return int(again) if re.fullmatch("[1-9][0-9]{0,8}", again) else 1


def read_manifest(folder: Folder) -> Manifest | None:
    """Return the manifest of the archive in a folder; None where there is none.

    Raises:
        InvalidValueError: It is damaged, or of a newer program.
        StorageError: It cannot be reached.
    """
    shown = folder.shown(MANIFEST)
    try:
        raw = folder.read(MANIFEST, most=_MOST_MANIFEST)
    except MissingFileError:
        return None
    try:
        found = _manifests.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidValueError(f"archive {shown}: {error}") from error
    if not 1 <= found.format <= FORMAT:
        raise InvalidValueError(
            f"archive {shown}: format {found.format}, this program knows up to {FORMAT}; upgrade "
            "metaledger"
        )
    after = 0
    for segment in found.segments:
        if segment.first != after + 1 or segment.last < segment.first:
            raise InvalidValueError(
                f"archive {shown}: expected a segment that begins with position {after + 1}, found "
                f"{segment.first} to {segment.last}"
            )
        expected = segment_name(segment.first, segment.last, written=times_written(segment))
        if segment.name != expected:
            raise InvalidValueError(
                f"archive {shown}: expected the name {expected}, found {segment.name!a}"
            )
        after = segment.last
    if after != found.entries:
        raise InvalidValueError(
            f"archive {shown}: expected segments up to position {found.entries}, found {after}"
        )
    if not re.fullmatch(r"checkpoint-[0-9]{12,}", found.checkpoint):
        raise InvalidValueError(
            f"archive {shown}: expected the name of a checkpoint, found {found.checkpoint!a}"
        )
    return found


def read_text(folder: Folder, name: str) -> str:
    """Return a short text of an archive.

    Raises:
        InvalidValueError: It is not there, not short, or no text.
        StorageError: It cannot be reached.
    """
    try:
        return folder.read(name, most=_MOST_TEXT).decode()
    except (MissingFileError, UnicodeDecodeError) as error:
        raise InvalidValueError(f"archive {folder.shown(name)}: cannot be read: {error}") from error


class ArchiveEvidence(Evidence):
    """An archive, as an auditor reads it."""

    has_models = False

    def __init__(self, where: str | os.PathLike[str]) -> None:
        """Read its manifest.

        Raises:
            InvalidValueError: It is no archive, or not a whole one.
            StorageError: It cannot be reached.
        """
        self.folder = open_folder(where)
        self._log = self.folder.below(LOG)
        found = read_manifest(self.folder)
        if found is None:
            raise InvalidValueError(
                f"archive {self.folder.where}: expected {MANIFEST}, found none; it is no archive, "
                "or the export did not end: export again to the same place"
            )
        self.manifest = found

    def close(self) -> None:
        """Do nothing: files are open only while they are read."""

    def unnamed(self) -> list[str]:
        """Return the files beside its segments that the manifest does not name, sorted."""
        named = {it.name for it in self.manifest.segments}
        return sorted(it for it in self._log.names() if it not in named)

    def head(self) -> int:
        """Return how many entries it says to hold: positions have no gaps."""
        return self.manifest.entries

    def batches(self, *, until: int) -> Iterator[list[RawRow] | LedgerError]:
        """Yield the rows of the archive in its order; an error where it cannot be read on."""
        del until
        for segment in self.manifest.segments:
            shown = self._log.shown(segment.name)
            try:
                yield from self._rows_of(segment, shown)
            except _REFUSALS as error:
                yield CorruptLogError(
                    f"archive {shown}: cannot be read on: {error}", position=segment.first
                )

    def _rows_of(self, segment: Segment, shown: str) -> Iterator[list[RawRow] | LedgerError]:
        size = self._log.size(segment.name)
        if size != segment.size:
            found = "none" if size is None else f"{size:,}"
            yield CorruptLogError(
                f"archive {shown}: expected {segment.size:,} bytes, found {found}",
                position=segment.first,
            )
            return
        # Not by its path: that would be taken for a URL where it looks like one.
        with self._log.open(segment.name) as raw, closing(pq.ParquetFile(raw)) as looked_at:
            metadata = looked_at.metadata
            rows = segment.last - segment.first + 1
            for wanted, found in _faults(metadata, looked_at.schema_arrow, rows):
                yield CorruptLogError(
                    f"archive {shown}: expected {wanted}, found {found}", position=segment.first
                )
                return
            file = pq.ParquetFile(raw, metadata=metadata, read_dictionary=_WIDE)
            for group in range(metadata.num_row_groups):
                claimed = metadata.row_group(group).total_byte_size
                most = max(_SMALL_GROUP, min(_MOST_GROUP, _MOST_RATIO * size))
                if not 0 <= claimed <= most:
                    yield CorruptLogError(
                        f"archive {shown}: a row group of {claimed:,} bytes is too large"
                    )
                    return
                stated = metadata.row_group(group).num_rows
                for batch in file.iter_batches(batch_size=_READ, row_groups=[group]):
                    batch.validate(full=True)
                    stated -= batch.num_rows
                    for portion in _portions(batch):
                        yield [*map(_raw, portion.to_pylist())]
                if stated:
                    yield CorruptLogError(
                        f"archive {shown}: row group {group} says to hold {stated:,} rows more "
                        "than it does"
                    )

    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return nothing: a row is an entry and its event."""
        return []

    def meta(self) -> dict[str, str]:
        """Return nothing: an archive says nothing of itself."""
        return {}

    def check(self) -> Iterator[tuple[str, str, str]]:
        """Yield nothing: its columns are looked at when they are read."""
        yield from ()

    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield nothing: there are no read models."""
        del name, statement
        yield from ()


def first_event(where: str | os.PathLike[str]) -> LedgerInitialized:
    """Return the event that names the ledger of an archive; nothing of it is verified.

    Raises:
        InvalidValueError: It is no archive, or does not begin with such an event.
        StorageError: It cannot be reached.
    """
    with closing(ArchiveEvidence(where)) as evidence:
        shown, named = evidence.folder.where, evidence.manifest.ledger
        first = next(evidence.rows(until=1), None)
    if isinstance(first, RawRow) and isinstance(first.state, bytes):
        try:
            event = from_payload(first.state, position=1)
        except LedgerError as error:
            raise InvalidValueError(f"archive {shown}: {error}") from error
        if isinstance(event, LedgerInitialized) and event.ledger == named:
            return event
    why = f": {first}" if isinstance(first, LedgerError) else ""
    raise InvalidValueError(
        f"archive {shown}: expected the first event of ledger {named}, found none{why}"
    )


def _faults(metadata: Any, schema: Any, rows: int) -> Iterator[tuple[str, str]]:
    """Yield what a footer says otherwise than that of an export: expected, found.

    Args:
        metadata: The footer.
        schema: The columns that it describes.
        rows: How many rows the file should have.
    """
    if not any(schema.equals(it) for it in (SCHEMA, _BEFORE)):
        yield f"the columns {', '.join(SCHEMA.names)} of docs/format.md", "others"
    # By any other name of its writer, what is told of values below would be passed over here.
    if not str(metadata.created_by).startswith(_WRITER):
        yield f"a file of {_WRITER.strip()}", f"one of {metadata.created_by!a}"
    said = {*(metadata.metadata or ()), *(schema.metadata or ())} - {_SCHEMA_TOLD}
    said |= {it for field in schema for it in field.metadata or ()} - {_NUMBER_TOLD}
    if said:
        yield "no metadata beside the columns", ", ".join(ascii(it.decode()) for it in sorted(said))
    groups = [metadata.row_group(number) for number in range(metadata.num_row_groups)]
    if metadata.num_rows != rows:
        yield f"{rows:,} rows", f"{metadata.num_rows:,}"
    if sum(it.num_rows for it in groups) != rows:
        yield f"{rows:,} rows in all row groups", f"{sum(it.num_rows for it in groups):,}"
    for column in (it.column(number) for it in groups for number in range(it.num_columns)):
        if column.is_stats_set or column.has_column_index or column.has_offset_index:
            found = f"some of {column.path_in_schema}; export to a new place"
            yield "no statistics or index of values, as nobody compares them", found
        if column.file_path:
            yield "all values in the file itself", f"some in {column.file_path!a}"


def _portions(batch: Any) -> Iterator[Any]:
    """Yield the rows of a batch with their values written out, so many at a time as fit."""
    sizes = sum(_sizes(batch.column(name)) for name in _WIDE)
    first = held = 0
    for number, size in enumerate(sizes.tolist()) if sizes.sum() > _MOST_PORTION else ():
        if held and held + size > _MOST_PORTION:
            yield _written_out(batch.slice(first, number - first))
            first, held = number, 0
        held += size
    yield _written_out(batch.slice(first))


def _sizes(column: Any) -> Any:
    """Return how many bytes each value of a dictionary column has."""
    known = pc.binary_length(column.dictionary).cast(pa.int64())
    return pc.fill_null(known.take(column.indices), 0).to_numpy(zero_copy_only=False)


def _written_out(batch: Any) -> Any:
    columns = [
        column.dictionary_decode() if pa.types.is_dictionary(column.type) else column
        for column in batch.columns
    ]
    return pa.RecordBatch.from_arrays(columns, names=SCHEMA.names)


def _raw(row: dict[str, Any]) -> RawRow:
    salt, hashed, payload = row["salt"], row["payload_hash"], row["payload"]
    if hashed is not None:
        salt = (ERASED_IN_FORMAT_1 if salt is None else salt) + hashed
    return RawRow(
        position=row["position"],
        recorded_at=row["recorded_at"],
        stream=_text(row["stream"]),
        version=row["version"],
        command_id=row["command_id"],
        number=row["number"],
        salt=salt,
        leaf=row["leaf"],
        topic=_text(row["tag"]),
        state=payload.encode() if isinstance(payload, str) else payload,
    )


def _text(value: Any) -> Any:
    return Text(value.encode()) if isinstance(value, str) else value
