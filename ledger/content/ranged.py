"""Reading remote content by ranges: in any order, or straight through with requests in advance.

Both readers get a function that returns the bytes from `start` up to `end`, both within the size,
or raises. Neither reader verifies content: a part cannot be compared with the digest of the whole.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

Read = Callable[[int, int], bytes]

CHUNK = 8 * 1024**2
_AHEAD = 4
_FIRST_WINDOW, _LAST_WINDOW = 64 * 1024, CHUNK


class RangedReader(io.RawIOBase):
    """A seekable reader that requests the bytes it reads, and more in advance on straight reads."""

    def __init__(self, read: Read, size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._at = 0
        self._window = _FIRST_WINDOW
        self._start = 0
        self._held = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the offset of the next byte."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset, without a request."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}.get(whence)
        if base is None:
            raise ValueError(f"seek: expected whence 0, 1 or 2, got {whence}")
        if base + offset < 0:
            raise ValueError(f"seek: expected a place from 0 on, got {base + offset}")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` as far as there are bytes; return their number."""
        view = memoryview(buffer).cast("B")
        wanted = min(len(view), self._size - self._at)
        if wanted <= 0:
            return 0
        offset = self._at - self._start
        if not 0 <= offset < len(self._held):
            goes_on = self._held != b"" and offset == len(self._held)
            self._window = min(2 * self._window, _LAST_WINDOW) if goes_on else _FIRST_WINDOW
            end = min(self._size, self._at + max(wanted, self._window))
            self._held, self._start, offset = self._read(self._at, end), self._at, 0
        taken = min(wanted, len(self._held) - offset)
        view[:taken] = memoryview(self._held)[offset : offset + taken]
        self._at += taken
        return taken


class StraightReader(io.RawIOBase):
    """A reader from the first byte to the last, with some requests in advance."""

    def __init__(self, read: Read, size: int) -> None:
        super().__init__()
        self._read = read
        self._size = size
        self._asked = 0
        self._waiting: deque[Future[bytes]] = deque()
        self._held = memoryview(b"")
        self._pool = ThreadPoolExecutor(max_workers=_AHEAD) if size > CHUNK else None

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` as far as the next bytes have arrived; return their number."""
        if not self._held:
            self._held = memoryview(self._next())
        view = memoryview(buffer).cast("B")
        taken = min(len(view), len(self._held))
        view[:taken] = self._held[:taken]
        self._held = self._held[taken:]
        return taken

    def close(self) -> None:
        """Make no more requests."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        super().close()

    def _next(self) -> bytes:
        if self._pool is None:
            start, self._asked = self._asked, self._size
            return self._read(start, self._size) if start < self._size else b""
        while len(self._waiting) < _AHEAD and self._asked < self._size:
            end = min(self._size, self._asked + CHUNK)
            self._waiting.append(self._pool.submit(self._read, self._asked, end))
            self._asked = end
        return self._waiting.popleft().result() if self._waiting else b""


def seekable(read: Read, size: int) -> BinaryIO:
    """Return a reader that may be read in any order."""
    return io.BufferedReader(RangedReader(read, size))


def straight(read: Read, size: int) -> BinaryIO:
    """Return a reader for all of the bytes in their order."""
    return io.BufferedReader(StraightReader(read, size), buffer_size=1024**2)
