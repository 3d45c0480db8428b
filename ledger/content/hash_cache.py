"""Hashes of unchanged files, remembered in a small SQLite file that may be lost at any time.

The rules, in the order they are kept:

1. An entry answers only for the same path with the same device, inode, size, mtime and ctime.
2. The racy rule: a file that changed shortly before it was hashed, by its mtime or ctime, could
   change once more without a new time. It is remembered only when it is hashed again later. Files
   of kinds that programs write through a memory map keep a time for as long as a changed page has
   not gone to the disk: they wait longer.
3. Every entry carries a check over all its fields, so that a damaged entry gives no answer.
4. Trouble with the cache file costs only time: the file is made anew once; after that, the cache is
   off for this process. Nothing here raises.

Only hashes of files are kept; hashes of folders are computed from them.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import sqlite3
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ledger import forks
from ledger.content.tree import HashedContent, Stamp, stamp_of
from ledger.files import make_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SCHEMA = 1
MAX_ENTRIES = 1_000_000

# The coarsest clock of a file system (FAT) has steps of two seconds; one second more allows for a
# server with another clock.
_RACY_NS = 3 * 10**9
# Linux writes changed pages to the disk after 30 seconds, and looks for them every five.
_MAPPED_NS = 60 * 10**9
_MAPPED = (
    b".npy", b".memmap", b".mmap", b".dat", b".raw", b".mdb", b".tif", b".tiff", b".nii",
    b".arrow", b".h5", b".hdf5",
)  # fmt: skip
_BATCH = 1000
# Hashing so many bytes again costs more than writing to the file.
_BATCH_BYTES = 64 * 1024**2
_LOCK_SECONDS = 1.0
_DAY_SECONDS = 86_400

_CREATE = """
CREATE TABLE IF NOT EXISTS hashes (
    path BLOB PRIMARY KEY,
    stamp TEXT NOT NULL,
    size INTEGER NOT NULL,
    hash_type TEXT NOT NULL,
    hash TEXT NOT NULL,
    digest TEXT NOT NULL,
    used_day INTEGER NOT NULL,
    checked BLOB NOT NULL
) WITHOUT ROWID
"""
_PUT = "INSERT OR REPLACE INTO hashes VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
_GET = "SELECT stamp, size, hash_type, hash, digest, checked, used_day FROM hashes WHERE path = ?"
_TOUCH = "UPDATE hashes SET used_day = ? WHERE path = ?"
_TRIM = """
DELETE FROM hashes WHERE path IN (
    SELECT path FROM hashes ORDER BY used_day LIMIT max(0, (SELECT count(*) FROM hashes) - ?)
)
"""

_T = TypeVar("_T")
_Row = tuple[bytes, str, int, str, str, str, int, bytes]


class HashCache:
    """Remembered hashes in the file at `path`, which is made at its first use.

    Entries are written in batches, at the latest by `close` or when the process ends. A batch ends
    with a thousand files or 64 MiB of them, so a killed process loses little more than what it
    hashed last. Several threads and processes may use one file.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_entries: int = MAX_ENTRIES) -> None:
        self._path = Path(path)
        self._max_entries = max_entries
        self._waiting: dict[bytes, _Row] = {}
        self._touched: set[bytes] = set()
        self._connection: sqlite3.Connection | None = None
        self._attempts_left = 2
        self._patience = 3
        self._waiting_bytes = 0
        forks.made_anew(self._renew_lock)
        forks.put_away(self._put_away)
        forks.in_child(self._leave_alone)
        # Held weakly: a cache that nobody uses any more needs no writing.
        atexit.register(_flush, weakref.ref(self))

    def _renew_lock(self) -> None:
        self._lock = threading.RLock()

    def _put_away(self) -> None:
        # SQLite keeps one set of file locks a process: a child would believe to hold its parent's.
        if self._lock.acquire(timeout=forks.PATIENCE):
            try:
                self._disconnect()
            finally:
                self._lock.release()

    def _leave_alone(self) -> None:
        # Of a thread that was still at it.
        if self._connection is not None:
            forks.keep(self._connection)
            self._connection = None

    @property
    def path(self) -> Path:
        """The file that holds the entries."""
        return self._path

    def get(self, path: str | os.PathLike[str], stamp: Stamp) -> HashedContent | None:
        """Return the remembered hash of the file at the absolute `path` with `stamp`, if any."""
        key, text = os.fsencode(path), _stamp_text(stamp)
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is not None:
                return _content(waiting, stamp) if waiting[1] == text else None
            found = self._run(lambda connection: connection.execute(_GET, (key,)).fetchone())
            if found is None or found[0] != text:
                return None
            row: _Row = (key, *found[:5], 0, found[5])
            if not _is_sound(row):
                return None
            if found[6] != _today():
                self._touched.add(key)
            return _content(row, stamp)

    def put(self, path: str | os.PathLike[str], hashed: HashedContent, *, hashed_at: int) -> None:
        """Remember the hash of the file at `path`, unless rule 2 forbids it.

        Args:
            path: Absolute.
            hashed: Hash of a file; that of a folder is ignored.
            hashed_at: Nanoseconds since the epoch, taken before the file was opened.
        """
        key = os.fsencode(path)
        window = _MAPPED_NS if key.lower().endswith(_MAPPED) else _RACY_NS
        if hashed.is_folder or _is_racy(hashed.stamp, hashed_at - window):
            return
        text = _stamp_text(hashed.stamp)
        fields = (key, text, hashed.size, hashed.hash_type, hashed.hash, hashed.digest)
        with self._lock:
            self._waiting[key] = (*fields, _today(), _check(*fields))
            self._waiting_bytes += hashed.size
            if len(self._waiting) >= _BATCH or self._waiting_bytes >= _BATCH_BYTES:
                self.flush()

    def flush(self) -> None:
        """Write waiting entries; forget them if that fails."""
        with self._lock:
            rows, touched = list(self._waiting.values()), [(_today(), key) for key in self._touched]
            self._waiting.clear()
            self._touched.clear()
            self._waiting_bytes = 0
            if rows or touched:
                self._run(lambda connection: _write(connection, rows, touched))

    def stale_count(self) -> int:
        """Return the number of stale entries, whose file is gone or was changed."""
        with self._lock:
            self.flush()
            return len(self._stale())

    def prune(self) -> int:
        """Remove stale entries and the longest unused ones above the bound; return their number."""
        with self._lock:
            self.flush()
            stale = [(key,) for key in self._stale()]
            removed = self._run(lambda connection: _prune(connection, stale, self._max_entries))
            return removed or 0

    def forget(self) -> None:
        """Forget everything that is remembered, for other processes too."""
        with self._lock:
            self._waiting.clear()
            self._touched.clear()
            if self._path.exists():
                self._run(lambda connection: connection.execute("DELETE FROM hashes"))

    def clear(self) -> None:
        """Forget everything, and remove the file."""
        with self._lock:
            self._waiting.clear()
            self._touched.clear()
            self._disconnect()
            self._delete()

    def close(self) -> None:
        """Write waiting entries, keep to the bound, and close the file."""
        with self._lock:
            if self._waiting:
                self.flush()
                self._run(lambda connection: _prune(connection, [], self._max_entries))
            self.flush()
            self._disconnect()

    def _stale(self) -> list[bytes]:
        query = "SELECT path, stamp FROM hashes"
        rows = self._run(lambda connection: connection.execute(query).fetchall())
        return [key for key, text in rows or [] if _current_stamp(key) != text]

    def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T | None:
        """Return the result of `work`; None if the file makes it fail."""
        while self._attempts_left:
            try:
                if self._connection is None:
                    self._connection = self._connect()
                return work(self._connection)
            except (sqlite3.Error, OSError, ValueError, TypeError, OverflowError) as error:
                if _is_busy(error):
                    # Each refusal has already cost a wait, so a busy file gets few attempts.
                    self._patience -= 1
                    self._attempts_left = self._attempts_left if self._patience else 0
                    return None
                self._attempts_left -= 1
                self._disconnect()
                if self._attempts_left:
                    self._delete()
        return None

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        make_file(self._path)
        connection = sqlite3.connect(
            self._path, timeout=_LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            # Losing the cache costs less than waiting for the disk.
            connection.execute("PRAGMA synchronous = OFF")
            _require_schema(connection.execute("PRAGMA user_version").fetchone()[0])
            connection.execute(_CREATE)
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def _delete(self) -> None:
        for suffix in ("", "-journal", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink()


def _flush(cache: weakref.ref[HashCache]) -> None:
    """Write what a cache still holds when the process ends."""
    held = cache()
    # A ledger that was deleted meanwhile gets no folder again.
    if held is not None and held.path.parent.parent.is_dir():
        held.flush()


def _require_schema(found: int) -> None:
    if found not in {0, SCHEMA}:
        raise ValueError(f"hash cache: expected schema {SCHEMA}, found {found}")


def _write(
    connection: sqlite3.Connection, rows: list[_Row], touched: list[tuple[int, bytes]]
) -> None:
    with _transaction(connection):
        connection.executemany(_PUT, rows)
        connection.executemany(_TOUCH, touched)


def _prune(connection: sqlite3.Connection, stale: list[tuple[bytes]], bound: int) -> int:
    with _transaction(connection):
        before = connection.total_changes
        connection.executemany("DELETE FROM hashes WHERE path = ?", stale)
        connection.execute(_TRIM, (bound,))
        return connection.total_changes - before


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_busy(error: Exception) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_racy(stamp: Stamp, latest: int) -> bool:
    _, _, _, mtime_ns, ctime_ns = stamp
    return max(int(mtime_ns), int(ctime_ns)) > latest


def _stamp_text(stamp: Stamp) -> str:
    # As text, since an inode number may not fit SQLite's signed 64 bits.
    return " ".join(str(part) for part in stamp)


def _current_stamp(key: bytes) -> str | None:
    try:
        return _stamp_text(stamp_of(os.stat(key)))  # noqa: PTH116  (a path in bytes)
    except (OSError, ValueError, TypeError):
        return None


def _today() -> int:
    return int(time.time() // _DAY_SECONDS)


def _check(*fields: bytes | str | int) -> bytes:
    return hashlib.blake2b(repr(fields).encode(), digest_size=16).digest()


def _is_sound(row: _Row) -> bool:
    return row[7] == _check(*row[:6])


def _content(row: _Row, stamp: Stamp) -> HashedContent:
    _, _, size, hash_type, hash_, digest, _, _ = row
    return HashedContent(hash=hash_, hash_type=hash_type, digest=digest, size=size, stamp=stamp)
