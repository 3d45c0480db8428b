"""SQLite's errors as errors of this project: what happened, and the way out."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from eventsourcing.persistence import (
    ConnectionPoolClosedError,
    IntegrityError,
    PersistenceError,
)

from ledger.errors import ReadOnlyLedgerError, StorageError, WrongExpectedVersionError

LOCK_TIMEOUT = 60.0  # seconds a writer waits for the others


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and the framework raise into errors of our own tree."""
    try:
        yield
    except Exception as error:
        translate(error)
        raise


def translate(error: BaseException) -> None:
    """Raise the error of ours for one of SQLite or of the framework; nothing for any other."""
    match error:
        case sqlite3.IntegrityError() | IntegrityError():
            raise WrongExpectedVersionError(
                f"append refused by the database: {error}; reload and decide again"
            ) from error
        case ConnectionPoolClosedError():
            raise StorageError(
                "ledger database: closed by another thread; open it again"
            ) from error
        case sqlite3.Error() if "readonly" in str(error):
            raise ReadOnlyLedgerError(explain(str(error))) from error
        case sqlite3.Error() | PersistenceError():
            raise StorageError(explain(str(error))) from error
        case _:
            pass


def cannot_be_written(path: str | os.PathLike[str]) -> ReadOnlyLedgerError:
    """Return the error for a change to a ledger that may be read alone."""
    return ReadOnlyLedgerError(
        f"ledger database {os.fspath(path)}: cannot be written to by this process, only read; "
        "nothing was recorded, see to the permissions of the file and its folder, or copy the "
        "ledger to where you may write",
        path=os.fspath(path),
    )


def explain(said: str) -> str:
    """Return what SQLite said in our words, with the way out."""
    if "locked" in said or "timed out" in said.lower():
        return (
            f"ledger database: another writer held it for {LOCK_TIMEOUT:.0f} s ({said}); "
            "end the other process, or try again"
        )
    if "full" in said:
        return f"ledger database: the disk is full ({said}); nothing was recorded, free some space"
    if "readonly" in said:
        return (
            f"ledger database: cannot be written to ({said}); nothing was recorded, see to the "
            "permissions of the file and its folder"
        )
    if "unable to open" in said:
        return (
            f"ledger database: cannot be opened ({said}); nothing was recorded, see to the "
            "permissions of the file, of its write-ahead log (-wal, -shm) and of its folder"
        )
    if "not a database" in said or "malformed" in said:
        return f"ledger database: damaged ({said}); restore it from a backup"
    return f"ledger database: {said}; nothing was recorded"
