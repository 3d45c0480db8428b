"""The regular files below a folder, and the stamp that tells whether a file is still the same.

The rules, in the order they are checked:

1. Only regular files count. An empty sub-folder leaves no trace.
2. A name must be UTF-8; its exact bytes are kept, without normalisation.
3. A symbolic link is followed if it leads to a file in the same tree. A link out of the tree, to a
   folder or to nothing is refused, as are sockets, pipes and devices. Where each file will stand
   for itself, a link may lead to a file elsewhere.
4. Files come in the order of the bytes of their relative POSIX path.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from ledger.errors import UnsupportedFileError, printable
from ledger.input_files import kind_of, reading

# Opaque: only compared for equality and printed.
Stamp = tuple[int | str, ...]


class TreeFile(NamedTuple):
    """One regular file of a tree, at the time of the walk."""

    name: str
    path: str
    size: int
    stamp: Stamp


def stamp_of(status: os.stat_result) -> Stamp:
    """Return the stamp of a file: device, inode, size and both times to the nanosecond."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def folder_stamp(files: Iterable[tuple[str, Stamp]]) -> Stamp:
    """Return one stamp for the names and stamps of all files of a folder, given in tree order."""
    sha256 = hashlib.sha256()
    for name, stamp in files:
        sha256.update(f"{name}\0{stamp}\n".encode())
    return ("folder", sha256.hexdigest())


def walk(
    folder: str | os.PathLike[str], *, may_lead_out: bool = False, without: str | None = None
) -> list[TreeFile]:
    """Return every regular file below `folder`, sorted by the bytes of its relative path.

    Args:
        folder: The folder, or a link to it.
        may_lead_out: Whether a link may lead to a file outside of the folder.
        without: Name of folders that are left out with all that they hold.

    Raises:
        UnsupportedFileError: Something below it cannot be part of an artifact; the path is named.
        UnreadableFileError: A folder cannot be listed.
    """
    root = os.path.realpath(folder)
    found: list[TreeFile] = []
    waiting: list[tuple[str, str]] = [(os.fspath(folder), "")]
    while waiting:
        path, prefix = waiting.pop()
        with reading(path), os.scandir(path) as entries:
            for entry in entries:
                if entry.name == without and entry.is_dir():
                    continue
                name = prefix + _utf8(entry)
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, name + "/"))
                else:
                    found.append(_file(entry, name, None if may_lead_out else root))
    found.sort(key=lambda file: file.name.encode())
    return found


def _utf8(entry: os.DirEntry[str]) -> str:
    try:
        return os.fsencode(entry.name).decode()
    except UnicodeError as error:
        raise UnsupportedFileError(
            f"{printable(entry.path)}: expected a name in UTF-8, found other bytes; rename it",
            path=printable(entry.path),
        ) from error


def _file(entry: os.DirEntry[str], name: str, root: str | None) -> TreeFile:
    shown = printable(entry.path)
    with reading(entry.path):
        if (
            root is not None
            and entry.is_symlink()
            and not Path(os.path.realpath(entry.path)).is_relative_to(root)
        ):
            raise UnsupportedFileError(
                f"{shown}: a symbolic link that leads out of the folder "
                f"(to {printable(os.path.realpath(entry.path))}); replace it by the file itself",
                path=shown,
            )
        status = entry.stat()
    if not stat.S_ISREG(status.st_mode):
        link = "a symbolic link to " if entry.is_symlink() else ""
        way_out = "; replace it by the folder itself" if stat.S_ISDIR(status.st_mode) else ""
        raise UnsupportedFileError(
            f"{shown}: expected a regular file, found {link}{kind_of(status)}{way_out}", path=shown
        )
    return TreeFile(name, entry.path, status.st_size, stamp_of(status))


class HashedContent(msgspec.Struct, frozen=True, kw_only=True):
    """Size, hash and digest of a file or folder at one moment.

    `n_files` is None for a file. `stamp` is opaque: `is_unchanged` compares it.
    """

    hash: str
    hash_type: str
    digest: str
    size: int
    n_files: int | None = None
    is_folder: bool = False
    stamp: Stamp = ()
