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

from ledger.errors import (
    DamagedDatabaseError,
    ReadOnlyLedgerError,
    StorageError,
    WrongExpectedVersionError,
)
from ledger.eventlog.sqlite_waits import who_writes

LOCK_TIMEOUT = 60.0  # seconds a writer waits for the others


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLite and the framework raise into errors of our own tree."""
    try:
        yield
    except Exception as error:
        translate(error)
        raise


def translate(error: BaseException, path: str = "") -> None:
    """Raise the error of ours for one of SQLite or of the framework; nothing for any other.

    Args:
        error: What was raised.
        path: Of the database, so that the error can say who is in the way.
    """
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
        case sqlite3.Error() | PersistenceError() if is_damage(error):
            raise DamagedDatabaseError(explain(str(error))) from error
        case sqlite3.Error() | PersistenceError():
            raise StorageError(explain(str(error), path)) from error
        case _:
            pass


def is_damage(error: BaseException | None) -> bool:
    """Return whether SQLite says, by its code, that the file is damaged or no database."""
    while error is not None:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None:
            # The lowest byte of a code is its kind.
            return code & 0xFF in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
        error = error.__cause__
    return False


def cannot_be_written(path: str | os.PathLike[str]) -> ReadOnlyLedgerError:
    """Return the error for a change to a ledger that may be read alone."""
    return ReadOnlyLedgerError(
        f"ledger database {os.fspath(path)}: cannot be written to by this process, only read; "
        "nothing was recorded, see to the permissions of the file and its folder, or copy the "
        "ledger to where you may write",
        path=os.fspath(path),
    )


# What SQLite says, what it means, and the way out.
_MEANINGS = (
    ("full", "the disk is full", "nothing was recorded, free some space"),
    # So a small disk is told that has no room for the file beside the database.
    ("I/O", "the disk refused", "nothing was recorded, see whether it is full or failing"),
    (
        "readonly",
        "cannot be written to",
        "nothing was recorded, see to the permissions of the file and its folder",
    ),
    (
        "unable to open",
        "cannot be opened",
        "nothing was recorded, see to the rights on the file, its -wal, its -shm and its folder",
    ),
    ("not a database", "damaged", "restore it from a backup"),
    ("malformed", "damaged", "restore it from a backup"),
)


def explain(said: str, path: str = "") -> str:
    """Return what SQLite said in our words, with the way out."""
    if "locked" in said or "timed out" in said.lower():
        writer = who_writes(path) if path else ""
        who = f"it is {writer}" if writer else "end the other process"
        return (
            f"ledger database: another writer held it for {LOCK_TIMEOUT:.0f} s ({said}); "
            f"nothing was recorded, {who}, or try again"
        )
    for words, meaning, way_out in _MEANINGS:
        if words in said:
            return f"ledger database: {meaning} ({said}); {way_out}"
    return f"ledger database: {said}; nothing was recorded"
