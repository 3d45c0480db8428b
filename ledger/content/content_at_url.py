"""A file or folder at a URL: hashed as a stream, never stored on this computer as a whole.

1. The formulas are those of `hashing.py`. Every byte is read, except if the store vouches for the
   SHA-256 of a whole file of more than 50 MiB: the formulas need nothing else then.
2. A hash is remembered by URL, size, entity tag and time of change, with the same rules as for
   files (`hash_cache.py`).
3. A folder is everything below the URL. A name that could lead out of it is refused.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from functools import partial
from typing import BinaryIO

from ledger import files
from ledger.content.hash_cache import HashCache
from ledger.content.hashing import (
    MD5,
    MD5_FOLDER,
    MD5_LIMIT,
    SHA256,
    base64url,
    folder_digest,
    folder_hash,
)
from ledger.content.objects import Object, gone
from ledger.content.protocols import open_objects
from ledger.content.retry import without_secrets
from ledger.content.store import FOLDER, StoredContents, check_member
from ledger.content.tree import HashedContent, Stamp, folder_stamp
from ledger.errors import FileChangedError, UnsupportedFileError

# Places that serve no ranges, or may answer differently each time, are fetched first.
_NOT_STREAMED = ("http", "https", "data", "file", "local")


def is_streamed(place: str) -> bool:
    """Tell whether a place is a URL that this module reads."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.lower() not in _NOT_STREAMED


class ContentAtUrl:
    """The file or folder at a URL."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.shown = without_secrets(self.url)
        self._objects = open_objects(self.url)
        self._is_folder = False

    def hashed(
        self,
        *,
        cache: HashCache | None = None,
        rehash: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> HashedContent:
        """Return hash, digest and size of the file or folder.

        Raises:
            MissingFileError: There is nothing at the URL.
            FileChangedError: It changed while it was read.
            StorageError: The store refused.
        """

        def hash_one(pair: tuple[str, Object]) -> tuple[str, HashedContent]:
            return pair[0], self._hash(pair[1], cache, rehash, progress)

        # One after the other: several files at once, each in several parts, would be too much.
        parts = [hash_one(pair) for pair in self._found()]
        if not self._is_folder:
            return parts[0][1]
        return HashedContent(
            hash=folder_hash((name, part.hash_type, part.hash) for name, part in parts),
            hash_type=MD5_FOLDER,
            digest=folder_digest((name, part.size, part.digest) for name, part in parts),
            size=sum(part.size for _, part in parts),
            n_files=len(parts),
            is_folder=True,
            stamp=folder_stamp((name, part.stamp) for name, part in parts),
        )

    def contents(self) -> StoredContents:
        """Return readers of the file, or of the files of the folder.

        Raises:
            MissingFileError: There is nothing at the URL.
        """
        members = [
            files.Member(name, partial(self._objects.stream, found))
            for name, found in self._found()
        ]
        return StoredContents(is_folder=self._is_folder, members=members, url=self.shown)

    def open(self) -> BinaryIO:
        """Return a reader of a file by ranges, which are not compared with a digest.

        Raises:
            MissingFileError: There is no file at the URL.
        """
        found = self._objects.head(self._objects.base)
        if found is None:
            raise gone(self.shown)
        return self._objects.open(found)

    def size(self) -> int | None:
        """Return the number of bytes; None if nothing is there."""
        found = self._objects.head(self._objects.base)
        if found is not None:
            return found.size
        sizes = [each.size for each in self._objects.find(self._objects.base)]
        return sum(sizes) if sizes else None

    def _found(self) -> list[tuple[str, Object]]:
        base = self._objects.base
        found = self._objects.head(base)
        if found is not None:
            self._is_folder = False
            return [("", found)]
        members = [(each.key[len(base) + 1 :], each) for each in self._objects.find(base)]
        if not members:
            raise gone(self.shown)
        own = [name for name, _ in members if FOLDER in name.split("/")]
        if own:
            raise UnsupportedFileError(
                f"{self.shown}: expected a folder of data, found one that holds a storage "
                f"({own[0]}); choose a folder below it",
                path=self.shown,
            )
        self._is_folder = True
        return sorted(
            ((check_member(name), each) for name, each in members),
            key=lambda pair: pair[0].encode(),
        )

    def _hash(
        self,
        found: Object,
        cache: HashCache | None,
        rehash: bool,  # noqa: FBT001  (as in the public door)
        progress: Callable[[int], None] | None,
    ) -> HashedContent:
        url, stamp = self._objects.url(found.key), _stamp(found)
        known = None if cache is None or rehash or not stamp else cache.get(url, stamp)
        if known is not None:
            return known
        started = time.time_ns()
        hashed = self._vouched(found, stamp) or self._read(found, stamp, progress)
        if cache is not None and stamp:
            cache.put(url, hashed, hashed_at=started)
        return hashed

    def _vouched(self, found: Object, stamp: Stamp) -> HashedContent | None:
        if found.size <= MD5_LIMIT:
            return None
        found = self._objects.head(found.key) or found
        if found.digest is None or not found.is_checked:
            return None
        raw = bytes.fromhex(found.digest.removeprefix("sha256:"))
        return HashedContent(
            hash=base64url(raw),
            hash_type=SHA256,
            digest=found.digest,
            size=found.size,
            stamp=stamp,
        )

    def _read(
        self, found: Object, stamp: Stamp, progress: Callable[[int], None] | None
    ) -> HashedContent:
        md5 = hashlib.md5(usedforsecurity=False) if found.size <= MD5_LIMIT else None
        sha256 = hashlib.sha256()
        size = 0
        with self._objects.stream(found) as reader:
            while block := reader.read(files.BLOCK):
                if md5 is not None:
                    md5.update(block)
                sha256.update(block)
                size += len(block)
                if progress is not None:
                    progress(len(block))
        if size != found.size:
            raise FileChangedError(
                f"{self.shown}: expected {found.size} bytes, found {size}; wait until nothing "
                "writes to it any more",
                path=self.shown,
            )
        return HashedContent(
            hash=base64url(sha256.digest() if md5 is None else md5.digest()),
            hash_type=SHA256 if md5 is None else MD5,
            digest=f"sha256:{sha256.hexdigest()}",
            size=size,
            stamp=stamp,
        )


def _stamp(found: Object) -> Stamp:
    """Return a stamp in the form of a file's; empty if no time of change is known."""
    if found.modified is None:
        return ()
    modified = int(found.modified * 10**9)
    return (str(found.stamp), "", found.size, modified, modified)
