"""`import_lamindb`: an instance of LaminDB is brought into the ledger in use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from ledger.bridges.imported import Imported
from ledger.bridges.lamindb.read import read
from ledger.bridges.lamindb.steps import Reader
from ledger.bridges.plan import carry_out
from ledger.errors import InvalidValueError
from ledger.places import instance as here
from ledger.places.config import FOLDER
from ledger.places.instance import Ledger


def import_lamindb(
    where: str | os.PathLike[str],
    *,
    dry_run: bool = False,
    declare: bool = False,
    roots: Mapping[str, str] | None = None,
    branch: str | None = None,
) -> Imported:
    """Bring an instance of LaminDB into the ledger in use, and return what was done.

    Its database is only read. What is recorded has the time and the person that it has there, and
    is found under the uid that it has there. The same instance again adds what is new in it.

    Args:
        where: Folder of the instance, its database (SQLite), or `postgresql://…`.
        dry_run: Whether to count what would be recorded, and to record nothing.
        declare: Whether to declare all contents, and to read none: fast, and without rights on the
            storage.
        roots: New root of a storage that was moved, by the old one.
        branch: A branch of LaminDB that comes in beside `main`.

    Raises:
        InvalidValueError: There is no instance, it is torn or newer than known, it lies in the
            storage of this ledger, or there is no such root or branch; nothing was recorded.
        StorageError: The database cannot be read, or that of the ledger refused.
        CommandRejectedError: A run is tracked here.
    """
    ledger = here.current()
    found = read(where, check=lambda path: _require_outside(path, ledger))
    reader = Reader(found, roots=roots or {}, branch=branch)
    steps = list(reader.steps())
    return carry_out(reader.source, steps, declare=declare, dry_run=dry_run, notes=reader.notes)


def _require_outside(path: Path, ledger: Ledger) -> None:
    """See to it that a database is none of the ledger in use, and not among its content."""
    if FOLDER in path.parts:
        raise InvalidValueError(
            f"lamindb {path}: this is a file of a ledger; give the folder of a LaminDB instance"
        )
    root = ledger.storage
    if "://" not in root and path.is_relative_to(Path(root).resolve()):
        raise InvalidValueError(
            f"lamindb {path}: the instance lies in the storage of this ledger ({root}); keep them "
            "in folders of their own, and import it from there"
        )
