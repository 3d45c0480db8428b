"""Opening files that others may still be writing, with errors of this project.

Only regular files, and links that lead to one, are opened. Devices, pipes and sockets are
recognised before they are opened.
"""

# The calls of `os` are several times faster, and hashing comes here for every file.
# ruff: noqa: PTH114, PTH116

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO
from urllib.parse import unquote_to_bytes

from ledger.errors import (
    InvalidValueError,
    LedgerError,
    MissingFileError,
    UnreadableFileError,
    UnsupportedFileError,
    printable,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

# Device and inode of the databases that this process has open. The system drops all locks of a
# process on a file when the process closes the file once: SQLite's too.
open_databases: set[tuple[int, int]] = set()


_BLOCK = 1 << 20


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open the regular file at `path`, or at the end of a link, for reading, unbuffered.

    Raises:
        MissingFileError: Nothing is at `path`.
        UnreadableFileError: The file cannot be opened.
        UnsupportedFileError: It is a folder, socket, pipe, device, a link that leads nowhere, or
            the database of a ledger that this process has open.
    """
    with reading(path):
        # The look comes first, as opening a device, a pipe or a database already has effects.
        status = os.stat(path)
        _require_regular(status, path)
        if (status.st_dev, status.st_ino) in open_databases:
            raise UnsupportedFileError(
                f"{printable(path)}: a ledger's database that is open in this process, and reading "
                "it as a file would drop its locks; close the ledger first, and copy the database "
                "with SQLite's backup",
                path=printable(path),
            )
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        reader = os.fdopen(os.open(path, flags), "rb", buffering=0)
        try:
            _require_regular(os.fstat(reader.fileno()), path)
        except BaseException:
            reader.close()
            raise
        return reader


def read_small(path: str | os.PathLike[str], *, most: int) -> bytes:
    """Return all of a regular file that ought to be small.

    Raises:
        InvalidValueError: It has more than `most` bytes.
        LedgerError: As `open_regular` raises.
    """
    with open_regular(path) as reader, reading(path):
        return read_up_to(reader, path, most=most)


def read_up_to(reader: BinaryIO, path: str | os.PathLike[str], *, most: int) -> bytes:
    """Return everything that a reader gives, which may be without end.

    Raises:
        InvalidValueError: It is more than `most` bytes.
    """
    data = bytearray()
    while block := reader.read(min(_BLOCK, most + 1 - len(data))):
        data += block
        if len(data) > most:
            raise InvalidValueError(
                f"{printable(path)}: expected up to {most:,} bytes, found more", path=str(path)
            )
    return bytes(data)


def _require_regular(status: os.stat_result, path: str | os.PathLike[str]) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise UnsupportedFileError(
            f"{printable(path)}: expected a regular file, found {kind_of(status)}",
            path=printable(path),
        )


def kind_of(status: os.stat_result) -> str:
    """Return the kind of a file in words, for messages."""
    kinds = (
        (stat.S_ISREG, "a regular file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISLNK, "a symbolic link"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISFIFO, "a named pipe"),
    )
    return next((words for test, words in kinds if test(status.st_mode)), "a device")


@contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the system while `path` is read into one of this project."""
    shown = ascii(path) if "\0" in os.fspath(path) else printable(path)
    try:
        yield
    except LedgerError:
        raise
    except (FileNotFoundError, NotADirectoryError) as error:
        if os.path.islink(path):
            raise UnsupportedFileError(
                f"{shown}: a symbolic link that leads nowhere", path=shown
            ) from error
        raise MissingFileError(f"{shown}: no such file or folder", path=shown) from error
    except ValueError as error:
        raise InvalidValueError(f"{shown}: not a path ({error})", path=shown) from error
    except OSError as error:
        if error.errno in {errno.ELOOP, errno.ENXIO}:
            raise UnsupportedFileError(
                f"{shown}: expected a regular file or a folder, found {reason(error)}", path=shown
            ) from error
        raise UnreadableFileError(
            f"{shown}: cannot be read ({reason(error)})", path=shown
        ) from error


def reason(error: OSError) -> str:
    """Return the system's message, without number and path."""
    return error.strerror or str(error)


def working_folder() -> Path:
    """Return the working folder.

    Raises:
        MissingFileError: It is gone.
    """
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise MissingFileError(
            "the working folder is gone, as something removed it; change to a folder that exists"
        ) from error


def is_file_url(text: str) -> bool:
    """Return whether a text is a URL of a file: `file:///path`, `file://localhost/path`."""
    return text[:7].lower() == "file://"


def path_of_url(url: str) -> Path:
    """Return the absolute path that a file URL means on this computer.

    Raises:
        InvalidValueError: It names another host, no path, or a query or fragment.
    """
    host, slash, below = url[len("file://") :].partition("/")
    rest = slash + below
    if host.lower() not in {"", "localhost"}:
        raise InvalidValueError(
            f"{printable(url)}: expected a path on this machine, found host {host!r}; copy the "
            "file here, or name a folder in which that host's files are mounted",
            path=printable(url),
        )
    for mark, code, what in (("?", "%3F", "query"), ("#", "%23", "fragment")):
        if mark in rest:
            raise InvalidValueError(
                f"{printable(url)}: expected a path, found a {what}, and a file has none; write "
                f"{code} for a '{mark}' in its name, or give the path itself",
                path=printable(url),
            )
    path = os.fsdecode(unquote_to_bytes(rest.encode("utf-8", "surrogateescape")))
    if "\0" in path or not path.startswith("/"):
        raise InvalidValueError(
            f"{url!a}: expected a file URL such as file:///folder/data.csv", path=ascii(url)
        )
    return Path(path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return an absolute path; a relative one is below the working folder.

    Raises:
        MissingFileError: The path is relative, and the working folder is gone.
    """
    named = Path(path)
    return named if named.is_absolute() else working_folder() / named
