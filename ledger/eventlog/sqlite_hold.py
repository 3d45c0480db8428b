"""A lock that says that a SQLite file is in use, whatever this process does with the file.

1. The system drops SQLite's own locks on a file as soon as the process closes any descriptor of
   it: a copy of the file in a notebook is enough. The next process that closes the ledger would
   then believe to be its last user, and remove the write-ahead log under the others, with what
   they record at that moment. The lock of this module belongs to a descriptor of its own: it stays.
2. It is the lock that SQLite's readers hold: shared, on the same bytes. Others can read and write;
   they cannot take the file for unused.
3. It is let go before the last connection is closed, so that SQLite tidies up.
4. Its descriptor is kept for the next time: closing it would drop SQLite's locks of others in this
   process. Of many files, the ones that were used last are kept.
5. A lock may be let go wherever Python collects a ledger that nobody closed, also in the middle of
   a step of this module in the same thread. It is then let go when that step is over.
6. Some systems have no such locks (macOS). There, a write-ahead log that was removed is noticed by
   its identity when the next event is appended.
"""

from __future__ import annotations

import os
import struct
import threading

from ledger import forks

try:
    import fcntl
except ImportError:  # Windows, where closing a descriptor drops no lock of another one
    fcntl = None  # type: ignore[assignment]

# The bytes on which SQLite's readers hold their lock, see "os.h" of its source.
_FIRST, _LENGTH = 0x40000002, 510
_MOST_IDLE = 16

Identity = tuple[int, int]
"""Device and inode of a file."""


class _Descriptor:
    def __init__(self, number: int) -> None:
        self.number = number
        self.n_users = 0


# Those in use, and then those that nobody uses, the one used last at the end.
_descriptors: dict[Identity, _Descriptor] = {}


class _Guard:
    """Lets one step of one thread be done at a time.

    Attributes:
        to_let_go: What is let go at the end of the step.
    """

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self._is_within = False
        self.to_let_go: list[Identity] = []

    def __enter__(self) -> None:
        self._lock.acquire()
        self._is_within = True

    def __exit__(self, *_: object) -> None:
        try:
            while self.to_let_go:
                _let_go(self.to_let_go.pop())
        finally:
            self._is_within = False
            self._lock.release()

    def let_go(self, identity: Identity) -> None:
        with self._lock:
            self.to_let_go.append(identity)
            if not self._is_within:
                with self:
                    pass


_guard: _Guard


def _renew_guard() -> None:
    global _guard  # noqa: PLW0603 (another thread may have had it when the child was forked)
    _guard = _Guard(threading.RLock())


forks.made_anew(_renew_guard)


def identity_of(path: str | os.PathLike[str]) -> Identity | None:
    """Return the identity of the file at a path; None where there is none."""
    try:
        status = os.stat(path)  # noqa: PTH116 (each question comes here twice)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def hold(path: str | os.PathLike[str]) -> Identity | None:
    """Hold the lock on a file that a connection of this process has open.

    Returns:
        What `let_go` is given; None where the file cannot be held.
    """
    command = getattr(fcntl, "F_OFD_SETLK", None)
    if command is None:
        return None
    with _guard:
        try:
            known = identity_of(path)
            found = (None if known is None else _descriptors.pop(known, None)) or _opened(path)
            identity = _identity(found)
            _descriptors[identity] = found
            if not found.n_users:
                fcntl.fcntl(found.number, command, _request(fcntl.F_RDLCK))
        except OSError:
            return None
        found.n_users += 1
        return identity


def let_go(identity: Identity | None) -> None:
    """Let the lock go where nobody else of this process holds it; nothing for None."""
    if identity is not None:
        _guard.let_go(identity)


def _let_go(identity: Identity) -> None:
    found = _descriptors.get(identity)
    if found is None:  # in a child: there it is its parent's
        return
    found.n_users -= 1
    if found.n_users:
        return
    fcntl.fcntl(found.number, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK))
    _descriptors[identity] = _descriptors.pop(identity)
    idle = [it for it, descriptor in _descriptors.items() if not descriptor.n_users]
    for it in idle[:-_MOST_IDLE]:
        os.close(_descriptors.pop(it).number)
    if identity in _descriptors and not os.fstat(found.number).st_nlink:
        os.close(_descriptors.pop(identity).number)


def _opened(path: str | os.PathLike[str]) -> _Descriptor:
    # As SQLite opens it: at the end of a link, and not for programs that this one starts.
    return _Descriptor(os.open(os.path.realpath(path), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW))


def _identity(found: _Descriptor) -> Identity:
    status = os.fstat(found.number)
    return status.st_dev, status.st_ino


def _request(kind: int) -> bytes:
    """Return the system's `struct flock`."""
    return struct.pack("hhqqi", kind, os.SEEK_SET, _FIRST, _LENGTH, 0)


def _begin_anew() -> None:
    for descriptor in _descriptors.values():
        os.close(descriptor.number)  # the parent's stay open, and so do its locks
    _descriptors.clear()


forks.in_child(_begin_anew)
