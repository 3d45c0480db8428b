"""A new folder for others, which appears whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger import files
from ledger.errors import InvalidValueError, MissingFileError, PathTakenError, printable
from ledger.files import Member
from ledger.input_files import named_path, open_regular
from ledger.places.config import outside_of_ledgers


def free_path(where: str | os.PathLike[str], *, kind: str) -> Path:
    """Return the absolute path of something new.

    Args:
        where: The path.
        kind: "folder" or "file", for messages.

    Raises:
        InvalidValueError: It is a URL.
        PathTakenError: Something is there already, or it is inside a ledger's folder.
        MissingFileError: The folder above does not exist.
    """
    shown = printable(where)
    if "://" in os.fspath(where):
        raise InvalidValueError(
            f"{shown}: expected the path of a new {kind}, got a URL; write it here, and copy it "
            "there"
        )
    path = outside_of_ledgers(named_path(where))
    if os.path.lexists(path):
        raise PathTakenError(
            f"{shown}: something is there already; remove it or choose another path", path=shown
        )
    if not path.parent.is_dir():
        above = printable(path.parent)
        raise MissingFileError(f"{above}: no such folder to write to; make it first", path=above)
    return path


@contextmanager
def new_folder(where: str | os.PathLike[str]) -> Iterator[Path]:
    """Lend a folder aside; what it holds at the end becomes the new folder, durably and at once.

    Raises:
        InvalidValueError: It is a URL.
        PathTakenError: Something is there already, or it is inside a ledger's folder.
        MissingFileError: The folder above does not exist.
        StorageError: The disk refused.
    """
    target = free_path(where, kind="folder")
    with (
        files.writing("temporary files of an export"),
        TemporaryDirectory(prefix="metaledger-export-") as aside,
    ):
        made = Path(aside)
        yield made
        found = sorted(path for path in made.rglob("*") if path.is_file())
        files.copy_tree([_member(made, path) for path in found], target)


def _member(root: Path, path: Path) -> Member:
    return Member(path.relative_to(root).as_posix(), lambda: open_regular(path))
