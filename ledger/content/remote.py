"""A store on any file system that fsspec reaches: object stores, servers, memory.

Everything is uploaded to a temporary name, compared with what was hashed, and only then moved to
its own: what bears a content name is right on every file system. Where a store makes an upload
visible only when it is complete, a subclass may save the move.
A folder is moved file by file, as few of these file systems rename a folder at once; where that
was interrupted, the next `put` keeps the files that are there and adds the others.
Nothing here refuses to overwrite in one step with the move: two writers of one name bring the
same content, as the name is made from it.
"""

from __future__ import annotations

import hashlib
import posixpath
import secrets
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

from ledger import files
from ledger.content import tree
from ledger.content.hashing import folder_digest
from ledger.content.store import (
    FOLDER,
    Contents,
    ContentStore,
    StoredItem,
    check_member,
    check_name,
    digest_of,
    missing,
    reaching,
    relative_below,
    require_kind,
    require_unchanged,
)
from ledger.errors import InvalidValueError, MissingDependencyError
from ledger.reading import open_regular, printable, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from ledger.content.hashing import HashedContent
    from ledger.content.tree import Stamp


class RemoteStore(ContentStore):
    """Content under a URL."""

    def __init__(self, root: str) -> None:
        self._fs, path = _file_system(root)
        self._base = path.rstrip("/")
        self._folder = f"{self._base}/{FOLDER}"
        self.root = root.rstrip("/")

    def put(
        self,
        source: Path,
        name: str,
        expected: HashedContent,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """See `ContentStore.put`."""
        if self._is_whole(name, expected):
            return
        require_kind(source, expected)
        stage = f"{self._folder}/{files.TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            staged = list(self._stage(source, stage, progress))
            found = folder_digest(staged) if expected.is_folder else staged[0][2]
            require_unchanged(printable(source), expected, found)
            self._publish(stage, name, staged, expected)
        finally:
            with suppress(Exception):
                self._fs.rm(stage, recursive=True)

    def url(self, name: str) -> str:
        """See `ContentStore.url`."""
        return f"{self.root}/{FOLDER}/{check_name(name)}"

    def local_path(self, name: str) -> Path | None:
        """See `ContentStore.local_path`."""
        check_name(name)
        return None

    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """See `ContentStore.open`."""
        key = self._key(name)
        if member is not None:
            key = f"{key}/{check_member(member)}"
        with reaching(key):
            if not self._fs.isfile(key):
                raise missing(key)
        return self._reader(key)

    def exists(self, name: str) -> bool:
        """See `ContentStore.exists`."""
        key = self._key(name)
        with reaching(key):
            self._fs.invalidate_cache()
            return bool(self._fs.exists(key))

    def stat(self, name: str) -> Stamp | None:
        """See `ContentStore.stat`."""
        contents = self._contents(name)
        if contents is None:
            return None
        key = self._key(name)
        with reaching(key):
            stamps: list[tuple[str, Stamp]] = []
            for member in contents.members:
                path = f"{key}/{member.name}" if member.name else key
                stamps.append((member.name, (self._fs.size(path), str(self._fs.ukey(path)))))
        return tree.folder_stamp(stamps) if contents.is_folder else stamps[0][1]

    def list(self) -> Iterator[StoredItem]:
        """See `ContentStore.list`."""
        with reaching(self._folder):
            self._fs.invalidate_cache()
            if not self._fs.isdir(self._folder):
                return
            found = self._fs.ls(self._folder, detail=True)
        for info in found:
            key = str(info["name"]).rstrip("/")
            name = posixpath.basename(key)
            is_folder = info["type"] == "directory"
            with reaching(key):
                size = self._fs.du(key) if is_folder else info["size"]
            yield StoredItem(
                name=name,
                size=int(size or 0),
                is_temporary=files.is_temporary(name),
                modified=self._modified(key),
            )

    def remove(self, name: str) -> None:
        """See `ContentStore.remove`."""
        key = f"{self._folder}/{check_name(name, may_be_temporary=True)}"
        with reaching(key):
            self._fs.invalidate_cache()
            if self._fs.exists(key):
                self._fs.rm(key, recursive=True)

    def holds(self, path: Path | str) -> str | None:
        """See `ContentStore.holds`; only a URL can lie in a remote root."""
        return relative_below(path, self.root) if isinstance(path, str) else None

    def _contents(self, name: str) -> Contents | None:
        key = self._key(name)
        with reaching(key):
            self._fs.invalidate_cache()
            if self._fs.isfile(key):
                return Contents(
                    is_folder=False, members=[files.Member("", partial(self._reader, key))]
                )
            if not self._fs.isdir(key):
                return None
            above = len(self._fs._strip_protocol(key)) + 1  # noqa: SLF001  (fsspec offers no other)
            names = sorted((path[above:] for path in self._fs.find(key)), key=str.encode)
        return Contents(
            is_folder=True,
            members=[files.Member(each, partial(self._reader, f"{key}/{each}")) for each in names],
        )

    def _key(self, name: str) -> str:
        return f"{self._folder}/{check_name(name)}"

    def _reader(self, key: str) -> BinaryIO:
        with reaching(key):
            reader: BinaryIO = self._fs.open(key, "rb")
            return reader

    def _make_folder(self, key: str) -> None:
        with reaching(key):
            self._fs.makedirs(key, exist_ok=True)

    def _modified(self, key: str) -> float | None:
        try:
            return float(self._fs.modified(key).timestamp())
        except Exception:  # noqa: BLE001  (each file system fails in its own way to know it)
            return None

    def _is_whole(self, name: str, expected: HashedContent) -> bool:
        """Tell whether the expected content is stored whole under `name`.

        A folder that is not may be one that an interrupted `put` began: `_publish` finds out.
        """
        contents = self._contents(name)
        if contents is None:
            return False
        if contents.is_folder and expected.is_folder:
            return digest_of(contents) == expected.digest
        self.verify(name, expected.digest, expected.is_folder)
        return True

    def _stage(
        self, source: Path, stage: str, progress: Callable[[int], None] | None
    ) -> Iterator[tuple[str, int, str]]:
        """Upload `source` to `stage` and yield (path, size, digest) of each file."""
        self._make_folder(self._folder)
        if not source.is_dir():
            yield ("", *self._upload(str(source), stage, progress))
            return
        for file in tree.walk(source):
            key = f"{stage}/{file.name}"
            self._make_folder(posixpath.dirname(key))
            yield (file.name, *self._upload(file.path, key, progress))

    def _upload(
        self, source: str, key: str, progress: Callable[[int], None] | None
    ) -> tuple[int, str]:
        """Copy one file to a temporary `key` and return the size and digest of what was read."""
        sha256 = hashlib.sha256()
        size = 0
        with open_regular(source) as reader, reaching(key), self._fs.open(key, "wb") as writer:
            while True:
                with reading(source):
                    block = reader.read(files.BLOCK)
                if not block:
                    break
                files.step("write", key)
                writer.write(block)
                sha256.update(block)
                size += len(block)
                if progress is not None:
                    progress(len(block))
        return size, f"sha256:{sha256.hexdigest()}"

    def _publish(
        self, stage: str, name: str, staged: Sequence[tuple[str, int, str]], expected: HashedContent
    ) -> None:
        """Move what was staged, and is right, to its own name.

        Nothing that bears a content name is ever taken away again, so that two processes that
        store the same folder complete each other.
        """
        key = self._key(name)
        if not expected.is_folder:
            self._move(stage, key)
            return
        self._make_folder(key)
        present = self._contents(name) or Contents(is_folder=True, members=[])
        found = {
            member.name: digest_of(Contents(is_folder=False, members=[member]))
            for member in present.members
        }
        wanted = {member: digest for member, _, digest in staged}
        if any(wanted.get(member) != digest for member, digest in found.items()):
            self.verify(name, expected.digest, is_folder=True)
        for member in wanted.keys() - found.keys():
            self._make_folder(posixpath.dirname(f"{key}/{member}"))
            self._move(f"{stage}/{member}", f"{key}/{member}")

    def _move(self, temporary: str, key: str) -> None:
        with reaching(key):
            files.step("publish", key)
            self._fs.mv(temporary, key)


def _file_system(root: str) -> tuple[Any, str]:
    try:
        import fsspec  # noqa: PLC0415  (slow to load, and optional)
    except ImportError as error:
        raise MissingDependencyError(
            f"storage {root}: needs fsspec, which is not installed; pip install fsspec", root=root
        ) from error
    try:
        fs, path = fsspec.url_to_fs(root)
    except ImportError as error:
        raise MissingDependencyError(
            f"storage {root}: needs a package that is not installed ({error})", root=root
        ) from error
    except ValueError as error:
        raise InvalidValueError(
            f"storage {root}: expected a path or a URL of a known protocol ({error})", root=root
        ) from error
    return fs, str(path)
