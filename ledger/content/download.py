"""The cache of fetched content on this computer: verified, bounded and disposable.

1. Its digest names an entry, so that artifacts with the same content share one. An entry appears
   whole, after its bytes were compared with that digest, and is read-only.
2. An entry from an earlier process is compared once more at its first use, and again when size or
   times of its files change; a wrong one is fetched anew.
3. Before a fetch, the longest unused entries are removed until all of them fit the limit. An entry
   used within the last ten minutes stays, as somebody may be reading it. One entry larger than the
   limit stays until another fetch needs the room.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from ledger import files
from ledger.content.hashing import hash_path, is_unchanged
from ledger.content.tree import HashedContent
from ledger.errors import LedgerError, PathTakenError

IN_USE = 600.0  # seconds after its last use in which an entry stays
_ABANDONED = 86_400.0  # seconds after which nobody needs a temporary any more
_USED = ".used"


class ContentCache:
    """Fetched content in a folder; may be used from several threads and processes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[Path, HashedContent] = {}

    def path(self, digest: str, suffix: str) -> Path:
        """Return the path of content, present or not."""
        return self._folder / f"{digest.removeprefix('sha256:')}{suffix}"

    def get(
        self,
        digest: str,
        suffix: str,
        *,
        size: int,
        limit: int | None,
        fetch: Callable[[Path], None],
    ) -> Path:
        """Return the path of content, fetched if need be.

        Args:
            digest: The digest in its event.
            suffix: Ending of the path.
            size: Its bytes.
            limit: Most bytes of all entries; None for no limit.
            fetch: Makes the path, whole and compared with the digest, or raises.

        Raises:
            StorageError: The disk refused.
        """
        target = self.path(digest, suffix)
        if not self._is_good(target, digest):
            files.make_folders(self._folder)
            self.make_room(size, limit, sparing=target)
            with suppress(PathTakenError):  # Another process was faster with the same content.
                fetch(target)
            self._known[target] = hash_path(target)
        self._touch(target)
        return target

    def forget(self, digest: str) -> None:
        """Remove content under every suffix.

        Raises:
            StorageError: The disk refused.
        """
        name = digest.removeprefix("sha256:")
        for folder in (self._folder, self._folder / _USED):
            for path in folder.glob(f"{name}*") if folder.is_dir() else ():
                files.remove_durably(path)
                self._known.pop(path, None)

    def make_room(self, size: int, limit: int | None, *, sparing: Path | None = None) -> None:
        """Remove entries that may go until `size` more bytes fit the limit.

        Raises:
            StorageError: The disk refused.
        """
        now = time.time()
        entries = []
        for path in self._folder.iterdir():
            if files.is_temporary(path.name):
                if now - _changed(path) > _ABANDONED:
                    files.remove_durably(path)
            elif path.name != _USED and path != sparing:
                entries.append((self._used(path), _size(path), path))
        if limit is None:
            return
        taken = size + sum(entry[1] for entry in entries)
        for used, room, path in sorted(entries, key=lambda entry: (entry[0], entry[2].name)):
            if taken <= limit or now - used < IN_USE:
                return
            files.remove_durably(path)
            with suppress(OSError):
                (self._folder / _USED / path.name).unlink()
            self._known.pop(path, None)
            taken -= room

    def _is_good(self, target: Path, digest: str) -> bool:
        """Tell whether the right content is there; remove wrong content."""
        known = self._known.get(target)
        if known is not None and is_unchanged(target, known):
            return True
        if not os.path.lexists(target):
            return False
        try:
            found = hash_path(target)
        except LedgerError:
            found = None
        if found is not None and found.digest == digest:
            self._known[target] = found
            return True
        files.remove_durably(target)
        return False

    def _touch(self, target: Path) -> None:
        # Losing a mark only costs a fetch.
        with suppress(OSError):
            mark = self._folder / _USED / target.name
            mark.parent.mkdir(exist_ok=True)
            mark.touch()

    def _used(self, path: Path) -> float:
        return max(_changed(self._folder / _USED / path.name), _changed(path))


def _changed(path: Path) -> float:
    try:
        return path.lstat().st_mtime
    except OSError:
        return 0.0


def _size(path: Path) -> int:
    total = 0
    with suppress(OSError):
        below = [path, *path.rglob("*")] if path.is_dir() else [path]
        total = sum(each.lstat().st_size for each in below if not each.is_dir())
    return total
