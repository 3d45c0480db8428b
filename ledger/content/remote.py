"""A store on any file system that fsspec reaches: object stores, servers, memory.

A file is one object, `<root>/.metaledger/<name>`, which appears whole or not at all (`objects.py`;
in S3 the store itself compares, `s3.py`). A folder is one object for each of its files,
`<root>/.metaledger/<name>/<path>`, and a marker, `<root>/.metaledger/.whole-<name>`:

1. The marker is written last and removed first. Without it a folder is incomplete: it counts as
   missing, and the next `put` completes it. An empty folder is only its marker.
2. `put` compares existing objects and never overwrites or removes them, so that two processes that
   store the same folder complete each other.
3. Content that is read back is compared by its bytes; the marker proves nothing about them.
"""

from __future__ import annotations

import io
import threading
from collections import defaultdict
from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from ledger import files
from ledger.content import tree
from ledger.content.hashing import folder_digest, hash_many, stream_digest
from ledger.content.objects import Object, Upload
from ledger.content.protocols import open_objects
from ledger.content.store import (
    FOLDER,
    MARK,
    ContentStore,
    StoredContents,
    StoredItem,
    check_member,
    check_name,
    damaged,
    missing,
    relative_below,
    require_kind,
    require_unchanged,
)
from ledger.content.tree import HashedContent
from ledger.errors import DamagedContentError, printable
from ledger.input_files import open_regular

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.content.tree import Stamp

MARKER = ".whole-"


class Marker(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of the marker of a whole folder."""

    digest: str
    n_files: int
    size: int


class RemoteStore(ContentStore):
    """Content under a URL."""

    def __init__(self, root: str) -> None:
        self._objects = open_objects(root)
        self._folder = f"{self._objects.base}/{FOLDER}"
        self.root = root.rstrip("/")

    def __repr__(self) -> str:
        return f"<RemoteStore {self.root}>"

    def put(
        self,
        source: Path | StoredContents,
        name: str,
        expected: HashedContent,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """See `ContentStore.put`."""
        if self._is_whole(name, expected):
            return
        uploads = _uploads(source, expected)
        key = self._key(name)
        if not expected.is_folder:
            self._objects.upload(uploads[""], key, progress)
            return
        report = _one_at_a_time(progress)
        self._objects.together(
            lambda member: self._objects.upload(uploads[member], f"{key}/{member}", report),
            uploads,
        )
        there = {member for member, _ in self._members(key)}
        if there != uploads.keys():
            stray = ", ".join(sorted(there ^ uploads.keys())[:3])
            raise damaged(self.url(name), expected.digest, f"other files ({stray})")
        self._mark(name, expected)

    def url(self, name: str) -> str:
        """See `ContentStore.url`."""
        return f"{self.root}/{FOLDER}/{check_name(name)}"

    def local_path(self, name: str) -> Path | None:
        """See `ContentStore.local_path`."""
        check_name(name)
        return None

    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """See `ContentStore.open`; reads ranges on demand, which are not compared with a digest."""
        key, url = self._key(name), self.url(name)
        if member is not None:
            key, url = f"{key}/{check_member(member)}", f"{url}/{member}"
        found = self._objects.head(key)
        if found is None:
            raise missing(url)
        return self._objects.open(found)

    def exists(self, name: str) -> bool:
        """See `ContentStore.exists`; an incomplete folder does not."""
        key = self._key(name)
        return self._objects.head(key) is not None or self._marker(name) is not None

    def stat(self, name: str) -> Stamp | None:
        """See `ContentStore.stat`."""
        key = self._key(name)
        found = self._objects.head(key)
        if found is not None:
            return found.stamp
        members = [(member, each.stamp) for member, each in self._members(key)]
        if not members and self._marker(name) is None:
            return None
        return tree.folder_stamp(members)

    def list(self) -> Iterator[StoredItem]:
        """See `ContentStore.list`; unfinished uploads count as temporaries."""
        sizes: dict[str, int] = defaultdict(int)
        times: dict[str, float] = {}
        for found in self._objects.find(self._folder):
            name = found.key[len(self._folder) + 1 :].partition("/")[0].removeprefix(MARKER)
            is_marker = found.key == self._marker_key(name)
            sizes[name] += 0 if is_marker else found.size
            if found.modified is not None:
                times[name] = max(found.modified, times.get(name, found.modified))
        for name, size in sizes.items():
            if name.startswith(MARK):
                continue
            yield StoredItem(
                name=name,
                size=size,
                is_temporary=files.is_temporary(name),
                modified=times.get(name),
            )
        for upload in self._objects.unfinished(self._folder):
            yield StoredItem(
                name=_name_of(upload), size=0, is_temporary=True, modified=upload.modified
            )

    def remove(self, name: str) -> None:
        """See `ContentStore.remove`."""
        key = f"{self._folder}/{check_name(name, may_be_temporary=True)}"
        if files.is_temporary(name):
            for upload in self._objects.unfinished(self._folder):
                if _name_of(upload) == name:
                    self._objects.abandon(upload)
        below = [found.key for found in self._objects.find(key)]
        for some in ([self._marker_key(name)], [key], below):
            self._objects.remove(
                each for each in some if each in below or self._objects.head(each) is not None
            )
        if below:
            self._objects.remove_folder(key)

    def holds(self, path: Path | str) -> str | None:
        """See `ContentStore.holds`; only a URL can lie in a remote root."""
        return relative_below(path, self.root) if isinstance(path, str) else None

    def fetch(
        self, name: str, dest: Path, expected_digest: str, *, mode: int | None = None
    ) -> None:
        """See `ContentStore.fetch`; reads once more if the bytes arrive damaged."""
        try:
            super().fetch(name, dest, expected_digest, mode=mode)
        except DamagedContentError:
            super().fetch(name, dest, expected_digest, mode=mode)

    def verify(self, name: str, digest: str, is_folder: bool) -> None:  # noqa: FBT001
        """See `ContentStore.verify`; reads once more if the bytes arrive damaged."""
        try:
            super().verify(name, digest, is_folder)
        except DamagedContentError:
            super().verify(name, digest, is_folder)

    def _contents(self, name: str) -> StoredContents | None:
        key = self._key(name)
        found = self._objects.head(key)
        if found is not None:
            reader = files.Member("", partial(self._objects.stream, found))
            return StoredContents(is_folder=False, members=[reader], url=self.url(name))
        members = [
            files.Member(member, partial(self._objects.stream, each))
            for member, each in self._members(key)
        ]
        if not members and self._marker(name) is None:
            return None
        return StoredContents(is_folder=True, members=members, url=self.url(name))

    def _key(self, name: str) -> str:
        return f"{self._folder}/{check_name(name)}"

    def _members(self, key: str) -> Sequence[tuple[str, Object]]:
        found = [(each.key[len(key) + 1 :], each) for each in self._objects.find(key)]
        return sorted(found, key=lambda pair: pair[0].encode())

    def _marker_key(self, name: str) -> str:
        return f"{self._folder}/{MARKER}{name}"

    def _marker(self, name: str) -> Object | None:
        return self._objects.head(self._marker_key(name))

    def _mark(self, name: str, expected: HashedContent) -> None:
        marker = Marker(digest=expected.digest, n_files=expected.n_files or 0, size=expected.size)
        data = msgspec.json.encode(marker, order="deterministic")
        digest = f"sha256:{sha256(data).hexdigest()}"
        upload = Upload(partial(io.BytesIO, data), len(data), digest, self.url(name))
        self._objects.upload(upload, self._marker_key(name))

    def _is_whole(self, name: str, expected: HashedContent) -> bool:
        """Tell whether the expected content is stored whole under `name`.

        An incomplete folder may come from an interrupted `put`.

        Raises:
            DamagedContentError: Other content is stored there.
        """
        key = self._key(name)
        found = self._objects.head(key)
        if expected.is_folder and found is None:
            return self._marker(name) is not None and self._is_same_folder(name, expected)
        if found is None:
            if self._members(key) or self._marker(name) is not None:
                raise damaged(self.url(name), expected.digest, "a folder")
            return False
        if expected.is_folder:
            raise damaged(self.url(name), expected.digest, "a file")
        self._objects.require_same(found, expected.digest)
        return True

    def _is_same_folder(self, name: str, expected: HashedContent) -> bool:
        def digest(pair: tuple[str, Object]) -> tuple[str, int, str]:
            member, listed = pair
            found = self._objects.head(listed.key) or listed
            return member, found.size, found.digest or self._objects.digest_of(found)

        there = folder_digest(self._objects.together(digest, self._members(self._key(name))))
        if there != expected.digest:
            raise damaged(self.url(name), expected.digest, there)
        return True


def _uploads(source: Path | StoredContents, expected: HashedContent) -> dict[str, Upload]:
    """Return the uploads by their path in the folder; "" for a single file.

    The files of a folder are hashed once more: each is compared on its own, and a folder that has
    changed is refused before its upload.
    """
    if isinstance(source, StoredContents):
        return _uploads_from(source, expected)
    require_kind(source, expected)
    shown = printable(source)
    if not expected.is_folder:
        reader = partial(open_regular, source)
        return {"": Upload(reader, expected.size, expected.digest, shown)}
    walked = tree.walk(source)
    hashed = hash_many([file.path for file in walked])
    found = folder_digest(
        (file.name, each.size, each.digest) for file, each in zip(walked, hashed, strict=True)
    )
    require_unchanged(shown, expected, found)
    return {
        file.name: Upload(partial(open_regular, file.path), each.size, each.digest, file.path)
        for file, each in zip(walked, hashed, strict=True)
    }


def _uploads_from(source: StoredContents, expected: HashedContent) -> dict[str, Upload]:
    if not expected.is_folder:
        return {"": Upload(source.members[0].open, expected.size, expected.digest, source.url)}
    read = []
    for member in source.members:
        with member.open() as reader:
            read.append((member, *stream_digest(reader)))
    require_unchanged(source.url, expected, folder_digest((m.name, s, d) for m, s, d in read))
    return {m.name: Upload(m.open, size, digest, m.name) for m, size, digest in read}


def _one_at_a_time(progress: Callable[[int], None] | None) -> Callable[[int], None] | None:
    if progress is None:
        return None
    lock = threading.Lock()

    def report(count: int) -> None:
        with lock:
            progress(count)

    return report


def _name_of(upload: Object) -> str:
    """Return a short name for an unfinished upload; its own name is too long."""
    text = f"{upload.key}\0{upload.stamp[1]}"
    return f"{files.TEMPORARY_PREFIX}upload-{sha256(text.encode()).hexdigest()[:16]}"
