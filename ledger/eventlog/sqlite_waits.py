"""Who holds the write lock of a SQLite file, where the system tells.

1. A writer holds the lock on one byte of the file that SQLite shares between processes. Linux lists
   who holds which bytes. The file itself is not opened: closing it would drop this process's locks.
2. A process that was stopped (Ctrl-Z, a debugger, a frozen container) keeps its lock. It is told as
   such, as waiting longer is of no use.
3. Of a process its number and the name of its program are told: its arguments may hold secrets.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_PROCESSES = Path("/proc")
# Where SQLite keeps the writers' lock in the file "-shm", see "walformat" of its documentation.
_BYTE = 120


def who_writes(path: str) -> str:
    """Return in words who holds the write lock of a database; "" where nobody says so."""
    shared = os.path.realpath(path) + "-shm"
    try:
        inode = Path(shared).stat().st_ino
        locks = (_PROCESSES / "locks").read_text().splitlines()
    except OSError:
        return ""
    holders = {int(it) for lock in locks if (it := _holder(lock, inode)) is not None}
    told = [_told(pid) for pid in sorted(holders) if _has_open(pid, shared)]
    return ", ".join(told)


def _holder(lock: str, inode: int) -> str | None:
    """Return the process that a line of the system's names, if it is the lock of a writer.

    A line: "7: POSIX  ADVISORY  WRITE 4711 fe:01:9044 120 120". Who waits has "->" in it.
    """
    match lock.split():
        case [_, "POSIX", _, "WRITE", pid, file, first, last]:
            is_here = file.rpartition(":")[2] == str(inode)
            # A lock up to the end of the file, "EOF", is none of SQLite's.
            is_of_writer = is_here and last.isdigit() and int(first) <= _BYTE <= int(last)
            return pid if is_of_writer else None
        case _:
            return None


def _has_open(pid: int, path: str) -> bool:
    """Whether a process has a file open, as far as it may be known: a number is not enough."""
    if pid <= 0:  # in another container
        return True
    try:
        links = list((_PROCESSES / str(pid) / "fd").iterdir())
    except OSError:
        return True  # of another user
    for link in links:
        with suppress(OSError):
            if str(link.readlink()) == path:
                return True
    return False


def _told(pid: int) -> str:
    if pid <= 0:
        return "a process of another container"
    if pid == os.getpid():
        return "this process itself, in another transaction"
    try:
        stat = (_PROCESSES / str(pid) / "stat").read_text()
    except OSError:
        return f"process {pid}"
    name, _, rest = stat.partition("(")[2].rpartition(")")
    told = f'process {pid} ("{name}")'
    if rest.split()[0] in {"T", "t"}:
        told += f", which is stopped: let it go on by `kill -CONT {pid}`, or end it"
    return told
