"""Whether the write-ahead log beside a SQLite file is the file's own.

SQLite reads whatever log lies there. If a file was restored or copied over another one, the log of
the one before would be mixed into it, and written into it by the next connection that closes.
So a file that was touched after the last write into its log is looked at twice before it is opened:
without the log, and with it. The second look must show the same log of events, and what follows.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from ledger.errors import CorruptLogError

_LOOKS = 3  # a writer that is at work may change the file during a look

_LAST = "SELECT position, leaf FROM entries ORDER BY position DESC LIMIT 1"
_THERE = "SELECT leaf FROM entries WHERE position = ?"
_AFTER = (
    "SELECT count(*), max(position), (SELECT count(*) FROM entries e JOIN stored_events s ON"
    " s.originator_id = e.stream AND s.originator_version = e.version WHERE e.position > ?1)"
    " FROM entries WHERE position > ?1"
)


def require_own_log(path: Path) -> None:
    """Refuse a file beside which the write-ahead log of another one lies.

    Raises:
        CorruptLogError: It does; nothing was changed.
    """
    log = path.with_name(f"{path.name}-wal")
    try:
        file, beside = os.stat(path), os.stat(log)  # noqa: PTH116 (each opening comes here)
    except OSError:
        return
    if not beside.st_size or file.st_ctime_ns <= beside.st_mtime_ns:
        return
    if any(_fits(path) for _ in range(_LOOKS)):
        return
    raise CorruptLogError(
        f"ledger database {path}: the write-ahead log beside it ({log.name}) is not of this file, "
        "which was restored or copied as a file; nothing was changed. Move that log and "
        f"{path.name}-shm away (keep them) to go on with this file, and audit it; next time use "
        "'metaledger restore'",
        path=str(path),
    )


def _fits(path: Path) -> bool:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(f"{uri}&immutable=1", uri=True)) as alone:
            before = alone.execute(_LAST).fetchone()
    except sqlite3.Error:
        return True  # without its log this file is not whole: the log is its own, or all is lost
    try:
        with closing(sqlite3.connect(uri, uri=True)) as both:
            position, leaf = before or (0, None)
            if before is not None and both.execute(_THERE, (position,)).fetchone() != (leaf,):
                return False
            n_entries, last, n_events = both.execute(_AFTER, (position,)).fetchone()
            return bool(n_entries == n_events == (last or position) - position)
    except sqlite3.OperationalError:
        return True  # locked, or not to be opened: not a matter of the log
    except sqlite3.Error:
        return False
