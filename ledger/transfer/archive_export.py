"""The log as an archive that others can read: docs/format.md, section 12.

1. An export holds what is committed when it begins; it is whole once its manifest is there, which
   is written last.
2. A further export to the same place adds segments with what is new. What an interrupted export
   left is taken away first.
3. A segment is written again only where an entry in it was erased since, under a name of its own;
   the old one goes as soon as the manifest names the new one.
4. What is exported was compared with its leaf hash, and extends what the archive holds.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ledger import files
from ledger.content.backends import open_folder
from ledger.content.folder import Folder
from ledger.content.local import path_of
from ledger.content.store import is_local
from ledger.display.progress import progress
from ledger.errors import (
    CorruptLogError,
    PathTakenError,
    StorageError,
)
from ledger.eventlog.archive import (
    FORMAT,
    KEYS,
    LOG,
    MANIFEST,
    SCHEMA,
    Manifest,
    Segment,
    read_manifest,
    segment_name,
    times_written,
)
from ledger.eventlog.base import LogReader
from ledger.eventlog.entry import Entry, leaf_of
from ledger.model.events import Erasure
from ledger.model.merkle import Frontier
from ledger.model.payloads import HASH_BYTES, SALT_BYTES
from ledger.places import instance
from ledger.places.config import outside_of_ledgers
from ledger.proving.checkpoints import (
    SignedCheckpoint,
    handed_out_checkpoint,
    key_lines,
)
from ledger.proving.publication import name_of

SEGMENT = 1 << 20  # entries of a file, at most

_GROUP = 1 << 14
_READ = 2_000
_OWN = re.compile(r"checkpoint-[0-9]{12,}|key\.pub|manifest\.json")


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive holds after an export.

    Attributes:
        where: Where it is.
        events: How many entries.
        added: How many of them this export added.
        root: Root hash over all of them, in hexadecimal.
        size: Bytes of its log.
    """

    where: str
    events: int
    added: int
    root: str
    size: int


def export(where: str | os.PathLike[str]) -> Exported:
    """Write the log of the ledger in use, and a checkpoint over it, into a folder or to a URL.

    Where an earlier export of this ledger is, what is new is added to it. A ledger that may be read
    alone is exported too: where its key is not here, one that is made for this export signs.

    Raises:
        PathTakenError: Something else is there already; it is untouched.
        CorruptLogError: An entry is not what its hash says, or the archive holds another history;
            audit the ledger.
        KeyUnavailableError: The key that signs is not here.
        StorageError: The disk or the store refused, or another export is at work there.
    """
    folder = open_folder(where)
    if is_local(os.fspath(where)):
        outside_of_ledgers(path_of(os.fspath(where)))
    ledger = instance.current()
    configuration = ledger.place.configuration
    before = read_manifest(folder)
    _require_room(folder, before, configuration.id)
    made, passing = handed_out_checkpoint()
    with ledger.reading() as session:
        if before is not None:
            _require_extended(session.log, before, made)
        segments = _write(folder, session.log, before, made.size)
        _require_not_erased_meanwhile(session.log, made.size)
        lines = [*key_lines(session.log, configuration.id), *passing]
    keys = "".join(f"{line}\n" for line in lines)
    folder.replace(KEYS, keys.encode())
    folder.put(name_of(made.size), made.text.encode())
    _require_alone(folder, before, segments)
    manifest = Manifest(
        format=FORMAT,
        ledger=configuration.id,
        name=configuration.name,
        entries=made.size,
        root=made.root,
        checkpoint=name_of(made.size),
        segments=segments,
    )
    folder.replace(MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)) + b"\n")
    _tidy(folder.below(LOG), segments)
    return Exported(
        where=folder.where,
        events=made.size,
        added=made.size - (0 if before is None else before.entries),
        root=made.root,
        size=sum(segment.size for segment in segments),
    )


def _require_room(folder: Folder, before: Manifest | None, ledger: str) -> None:
    """Accept an archive of this ledger, what an interrupted export of it left, or nothing."""
    strange = [name for name in folder.names() if not _OWN.fullmatch(name)]
    if strange:
        raise PathTakenError(
            f"{folder.where}: expected nothing or an archive, found {strange[0]!a}; choose another "
            "folder"
        )
    if before is not None and before.ledger != ledger:
        raise PathTakenError(
            f"{folder.where}: expected nothing or an archive of ledger {ledger}, found one of "
            f"{before.ledger}; choose another folder"
        )


def _require_alone(
    folder: Folder, before: Manifest | None, segments: Sequence[Segment] = ()
) -> None:
    """Give way to another export to the same place."""
    log = folder.below(LOG)
    if read_manifest(folder) != before or any(log.size(it.name) != it.size for it in segments):
        raise StorageError(
            f"{folder.where}: another export is at work there, or has just ended; what its "
            "manifest names holds, export again for what is newer"
        )


def _require_extended(log: LogReader, before: Manifest, made: SignedCheckpoint) -> None:
    tree = Frontier()
    for leaf in islice(log.leaves(until=made.size), before.entries):
        tree.add(leaf)
    if (tree.size, tree.root().hex()) != (before.entries, before.root):
        raise CorruptLogError(
            f"archive: holds {before.entries} entries with root {before.root[:16]}…, the log has "
            f"{made.size} and recomputed {tree.root().hex()[:16]}… over {tree.size}; they are two "
            "histories: keep the archive as it is, and audit both",
            size=before.entries,
        )


def _require_not_erased_meanwhile(log: LogReader, size: int) -> None:
    if _erased(log, after=size, until=None):
        raise StorageError(
            "export: something was erased meanwhile, by an event that this export does not hold; "
            "export again"
        )


def _erased(log: LogReader, *, after: int, until: int | None) -> set[int]:
    """Return the positions of the entries that events between two positions erased."""
    return {
        position
        for recorded in log.read(after=after, until=until)
        if isinstance(recorded.event, Erasure)
        for position in recorded.event.positions
    }


def _tidy(folder: Folder, segments: Sequence[Segment]) -> None:
    """Take away what is no part of the archive."""
    named = {segment.name for segment in segments}
    for name in folder.names():
        if name not in named:
            folder.remove(name)


def _write(
    archive: Folder, log: LogReader, before: Manifest | None, until: int
) -> tuple[Segment, ...]:
    """Write what is new as segments of their own, and what was erased; return all segments."""
    folder = archive.below(LOG)
    old = () if before is None else before.segments
    _require_alone(archive, before)
    _tidy(folder, old)
    after = old[-1].last if old else 0
    erased = _erased(log, after=after, until=until) if old else set()
    parts = [
        (it, any(it.first <= position <= it.last for position in erased), times_written(it) + 1)
        for it in old
    ]
    for first in range(after + 1, until + 1, SEGMENT):
        last = min(first + SEGMENT - 1, until)
        new = Segment(name=segment_name(first, last), first=first, last=last, size=0)
        parts.append((new, True, 1))
    total = sum(it.last - it.first + 1 for it, is_due, _ in parts if is_due)
    with (
        files.writing("temporary files of an export"),
        TemporaryDirectory(prefix="metaledger-export-") as aside,
        progress("exporting", total) as step,
    ):
        return tuple(
            _put(it, times, folder, Path(aside), log, step) if is_due else it
            for it, is_due, times in parts
        )


def _put(  # noqa: PLR0913, PLR0917 (called in one place)
    segment: Segment,
    written: int,
    folder: Folder,
    aside: Path,
    log: LogReader,
    step: Callable[[int], None],
) -> Segment:
    name = segment_name(segment.first, segment.last, written=written)
    path = aside / name
    _write_segment(path, log, after=segment.first - 1, until=segment.last, step=step)
    folder.put_file(name, path)
    size = path.stat().st_size
    files.remove_durably(path)
    return msgspec.structs.replace(segment, name=name, size=size)


def _write_segment(
    path: Path, log: LogReader, *, after: int, until: int, step: Callable[[int], None]
) -> None:
    # Other programs would believe statistics of a file that somebody forged.
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", write_statistics=False) as writer:
        while after < until:
            entries: list[Entry] = []
            while len(entries) < _GROUP and after < until:
                batch = log.entries(after=after, until=until, limit=_READ)
                if not batch or batch[0].envelope.position != after + 1:
                    raise CorruptLogError(f"log: expected position {after + 1}, found none")
                entries += batch
                after = int(batch[-1].envelope.position)
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
        [it.salt[:SALT_BYTES] if len(it.salt) != SALT_BYTES + 1 else None for it in entries],
        [_text(it) for it in entries],
        [it.salt[-HASH_BYTES:] if it.is_erased else None for it in entries],
        [it.leaf for it in entries],
    ]
    arrays = [
        pa.array(values, type=field.type) for values, field in zip(columns, SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _text(entry: Entry) -> str:
    """Return the payload of an entry, which is lines of JSON, as text."""
    try:
        return entry.payload.decode()
    except UnicodeDecodeError as error:
        position = entry.envelope.position
        raise CorruptLogError(
            f"event at position {position}: its payload is no text in UTF-8; nothing is exported, "
            "audit the ledger",
            position=position,
        ) from error
