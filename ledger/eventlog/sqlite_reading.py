"""Reading a SQLite file that this process may not write: on a read-only mount, of another user.

1. Reading makes no file beside the database: its owner could not write to that file.
2. Without a write-ahead log beside it, the file is all there is, and it is opened as unchanging.
3. With a write-ahead log and its index, SQLite shares both with the process that writes.
4. With a write-ahead log alone, as in a snapshot, nobody is writing: the log is read without locks,
   and its index is kept in memory.
5. For 2 and 4 SQLite notices no writer. So whoever reads compares the files before and after.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from ledger import files
from ledger.errors import StorageError

_WITHOUT_LOCKS = "win32-none" if os.name == "nt" else "unix-none"

# Device, inode, size and time of change of the files that an answer is made of.
State = tuple[tuple[int, int, int, int] | None, ...]


class Way(NamedTuple):
    """How to open a file for reading.

    Attributes:
        uri: For SQLite.
        pragmas: To be carried out first.
        files: The files that must not change while it is open.
    """

    uri: str
    pragmas: tuple[str, ...] = ()
    files: tuple[str, ...] = ()

    def state(self) -> State:
        """Return the present state of the files that must not change."""
        return state_of(self.files)


def state_of(files: Iterable[str]) -> State:
    """Return the present state of files: None for one that is not there."""
    return tuple(map(_state, files))


def may_write(path: str | os.PathLike[str]) -> bool:
    """Return whether this process may write a file, and make others beside it."""
    real = os.path.realpath(path)
    return files.may(real, os.W_OK) and files.may(Path(real).parent, os.W_OK | os.X_OK)


def way_to_read(path: str | os.PathLike[str]) -> Way:
    """Return how to read a file that may not be written.

    Raises:
        StorageError: It may not be read either.
    """
    real = os.path.realpath(path)
    if os.path.lexists(real) and not files.may(real, os.R_OK):
        raise StorageError(
            f"ledger database {real}: this user may not read it; ask its owner for that right",
            path=real,
        )
    uri = f"{Path(real).as_uri()}?mode=ro"
    log = f"{real}-wal"
    if _size(f"{real}-journal"):
        return Way(uri)  # SQLite says what it lacks
    if _size(log) is not None and _size(f"{real}-shm") is not None:
        return Way(f"{uri}&readonly_shm=1")
    if not _size(log):
        return Way(f"{uri}&immutable=1", files=(real,))
    return Way(f"{uri}&vfs={_WITHOUT_LOCKS}", ("PRAGMA locking_mode=EXCLUSIVE",), files=(real, log))


def require_state(path: str | os.PathLike[str], way: Way, before: State) -> None:
    """Make sure that an answer is of one moment.

    Raises:
        StorageError: Somebody wrote meanwhile.
    """
    if way.files and way.state() != before:
        raise StorageError(
            f"ledger database {os.fspath(path)}: somebody wrote to it while it was read from a "
            "place where it cannot be written; the answer would mix two moments: ask again"
        )


def is_refusal(error: sqlite3.Error) -> bool:
    """Return whether an error says that a file cannot be opened for writing."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM}


def _size(path: str) -> int | None:
    found = _state(path)
    return None if found is None else found[2]


def _state(path: str) -> tuple[int, int, int, int] | None:
    try:
        found = os.stat(path)  # noqa: PTH116 (each question comes here)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
