"""Tables of a ledger as files, for programs that scan: docs/analysts.md.

1. The folder is new, and appears whole: `manifest.json` names each file, its rows and its digest,
   and the position and root hash of the log that all of them are as of.
2. The same ledger at the same position gives the same bytes, with the same version of pyarrow.
"""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import msgspec

from ledger import files
from ledger.bridges.folders import new_folder
from ledger.content.hashing import stream_digest
from ledger.errors import InvalidValueError
from ledger.input_files import open_regular
from ledger.model.merkle import Frontier
from ledger.past.points import resolve
from ledger.past.tables import each_table, json_text
from ledger.places import instance
from ledger.places.instance import Ledger

Format = Literal["parquet", "arrow", "csv"]
FORMATS = ("parquet", "arrow", "csv")
MANIFEST = "manifest.json"

_ROWS = 1 << 17  # of a row group, at most


class TableFile(msgspec.Struct, frozen=True, kw_only=True):
    """One table of an export.

    Attributes:
        name: Its name.
        registry: The registry whose records are its rows; None for the other tables.
        file: Name of its file.
        rows: How many rows it has.
        size: Bytes of its file.
        sha256: Digest of its file, in hexadecimal.
    """

    name: str
    registry: str | None
    file: str
    rows: int
    size: int
    sha256: str


class ExportedTables(msgspec.Struct, frozen=True, kw_only=True):
    """What an export of tables holds: the content of its manifest.

    Attributes:
        format: Number of this layout.
        ledger: Id of the ledger.
        name: Name of the ledger.
        position: As of which position.
        recorded_at: Recorded time of the event at that position; None for position 0.
        root: Root hash over the log up to that position, in hexadecimal.
        has_history: Whether rows have `from_position` and `to_position`.
        tables: The tables.
    """

    format: int = 1
    ledger: str
    name: str
    position: int
    recorded_at: str | None
    root: str
    has_history: bool
    tables: tuple[TableFile, ...]


def export_tables(
    where: str | os.PathLike[str],
    *,
    as_of: Any = "now",
    history: bool = False,
    format: Format = "parquet",  # noqa: A002 (the word that people know)
) -> ExportedTables:
    """Write the tables of the ledger in use into a new folder, and return what it holds.

    Args:
        where: Path of the folder, which must not exist; the folder above must.
        as_of: The point as of which they are: a position, a datetime, a tag, a run; by default now.
        history: Whether a row is what was so between two positions, instead of at one.
        format: "parquet", "arrow" (the IPC file that is also called Feather) or "csv".

    Raises:
        InvalidValueError: The format is none of the three, the point is in the future, or the path
            is a URL.
        NotFoundError: No tag and no run has the name of the point.
        PathTakenError: Something is at the path already; it is untouched.
        MissingFileError: The folder above does not exist.
        StorageError: Something was erased meanwhile, or the disk or the database refused.
    """
    if format not in FORMATS:
        raise InvalidValueError(f"format: expected one of {', '.join(FORMATS)}, got {format!r}")
    ledger = instance.current()
    point = resolve(ledger, as_of)
    with new_folder(where) as folder:
        made = []
        for name, registry, table in each_table(ledger, point.position, has_history=history):
            path = folder / f"{name}.{format}"
            _write(table, path, format)
            made.append(_described(path, name, registry, rows=table.num_rows))
        exported = ExportedTables(
            ledger=ledger.place.configuration.id,
            name=ledger.place.configuration.name,
            position=point.position,
            recorded_at=None if point.recorded_at is None else point.recorded_at.isoformat(),
            root=_root(ledger, point.position),
            has_history=history,
            tables=tuple(made),
        )
        data = msgspec.json.format(msgspec.json.encode(exported)) + b"\n"
        files.write_durably(folder / MANIFEST, data)
    return exported


def _root(ledger: Ledger, position: int) -> str:
    tree = Frontier()
    with ledger.reading() as session:
        tree.extend(islice(session.log.leaves(until=position), position))
    return tree.root().hex()


def _described(path: Path, name: str, registry: str, *, rows: int) -> TableFile:
    with open_regular(path) as reader:
        size, digest = stream_digest(reader)
    return TableFile(
        name=name,
        registry=registry or None,
        file=path.name,
        rows=rows,
        size=size,
        sha256=digest.removeprefix("sha256:"),
    )


def _write(table: Any, path: Path, format: Format) -> None:  # noqa: A002 (as above)
    match format:
        case "parquet":
            from pyarrow import parquet  # noqa: PLC0415 (costs 100 ms)

            parquet.write_table(table, path, row_group_size=_ROWS, compression="zstd")
        case "arrow":
            from pyarrow import feather  # noqa: PLC0415 (as above)

            feather.write_feather(table, str(path), compression="zstd")
        case "csv":
            from pyarrow import csv  # noqa: PLC0415 (as above)

            csv.write_csv(_without_lists(table), path)


def _without_lists(table: Any) -> Any:
    """Return a table whose lists are text in JSON: a file of comma-separated values has none."""
    import pyarrow as pa  # noqa: PLC0415 (as above)

    for place, field in enumerate(table.schema):
        if pa.types.is_list(field.type):
            texts = [
                None if it is None else json_text(it) for it in table.column(place).to_pylist()
            ]
            table = table.set_column(place, field.name, pa.array(texts, pa.string()))
    return table
