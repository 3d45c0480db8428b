"""A store in a folder of this machine (or one that is mounted on it).

All durable steps are those of `files.py`: a file or a folder gets its name in one step, after all
of its bytes are on the disk. Stored files are read-only, against changes by accident; folders stay
writable, so that content can be removed.
"""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ledger import files
from ledger.content import tree
from ledger.content.hashing import folder_digest
from ledger.content.store import (
    FOLDER,
    MARK,
    ContentStore,
    StoredContents,
    StoredItem,
    check_member,
    check_name,
    missing,
    relative_below,
    require_kind,
    require_unchanged,
)
from ledger.errors import InvalidValueError, MissingFileError, PathTakenError, printable
from ledger.input_files import is_file_url, open_regular, path_of_url, reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ledger.content.tree import HashedContent, Stamp


class LocalStore(ContentStore):
    """Content in a folder; `root` becomes an absolute path."""

    def __init__(self, root: str | os.PathLike[str]) -> None:
        self._root = path_of(root)
        self._folder = self._root / FOLDER
        self.root = str(self._root)

    def put(
        self,
        source: Path | StoredContents,
        name: str,
        expected: HashedContent,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """See `ContentStore.put`."""
        target = self._path(name)
        files.make_folders(self._folder)
        if self._is_there(name, expected):
            # Another process may have named it a moment ago, before its fsync.
            files.sync_folder(self._folder)
            return
        try:
            self._copy(source, target, expected, progress)
        except PathTakenError:
            # Another process was faster; equal names mean equal content, which is verified.
            self.verify(name, expected.digest, expected.is_folder)
            files.sync_folder(self._folder)

    def url(self, name: str) -> str:
        """See `ContentStore.url`."""
        return self._path(name).as_uri()

    def local_path(self, name: str) -> Path | None:
        """See `ContentStore.local_path`."""
        return self._path(name)

    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """See `ContentStore.open`."""
        path = self._path(name)
        if member is not None:
            path /= check_member(member)
        try:
            return open_regular(path)
        except MissingFileError as error:
            raise missing(path.as_uri()) from error

    def exists(self, name: str) -> bool:
        """See `ContentStore.exists`."""
        return os.path.lexists(self._path(name))

    def stat(self, name: str) -> Stamp | None:
        """See `ContentStore.stat`."""
        path = self._path(name)
        try:
            with reading(path):
                status = path.stat()
                if not stat.S_ISDIR(status.st_mode):
                    return tree.stamp_of(status)
                return tree.folder_stamp((file.name, file.stamp) for file in tree.walk(path))
        except MissingFileError:
            return None

    def list(self) -> Iterator[StoredItem]:
        """See `ContentStore.list`."""
        try:
            with reading(self._folder), os.scandir(self._folder) as entries:
                found = [
                    (entry.name, Path(entry.path))
                    for entry in entries
                    if not entry.name.startswith((MARK, ".gitignore"))
                ]
        except MissingFileError:
            return
        for name, path in found:
            try:
                with reading(path):
                    size, modified = _size(path), path.lstat().st_mtime
            except MissingFileError:
                continue  # Another process named or removed it since the folder was read.
            yield StoredItem(
                name=printable(name),
                size=size,
                is_temporary=files.is_temporary(name),
                modified=modified,
            )

    def remove(self, name: str) -> None:
        """See `ContentStore.remove`."""
        files.remove_durably(self._folder / check_name(name, may_be_temporary=True))

    def holds(self, path: Path | str) -> str | None:
        """See `ContentStore.holds`; links are followed, so that no link is registered."""
        if isinstance(path, str) and "://" in path and not is_file_url(path):
            return None
        real, root = Path(os.path.realpath(path_of(path))), Path(os.path.realpath(self._root))
        return relative_below(real.as_posix(), root.as_posix())

    def _contents(self, name: str) -> StoredContents | None:
        try:
            return contents_at(self._path(name))
        except MissingFileError:
            return None

    def _is_there(self, name: str, expected: HashedContent) -> bool:
        """Tell whether the expected content is stored under `name`.

        Raises:
            DamagedContentError: Other content is stored there.
        """
        if not self.exists(name):
            return False
        self.verify(name, expected.digest, expected.is_folder)
        return True

    def _path(self, name: str) -> Path:
        return self._folder / check_name(name)

    def _copy(
        self,
        source: Path | StoredContents,
        target: Path,
        expected: HashedContent,
        progress: Callable[[int], None] | None,
    ) -> None:
        shown, members = self._readers(source, expected)

        def accept(copied: Sequence[files.Copied]) -> None:
            found = folder_digest(copied) if expected.is_folder else copied[0].digest
            require_unchanged(shown, expected, found)

        if expected.is_folder:
            files.copy_tree(members, target, accept=accept, mode=files.READ_ONLY, progress=progress)
            return
        with members[0].open() as reader:
            files.copy_stream(
                reader,
                target,
                source=shown,
                accept=lambda copied: accept([copied]),
                mode=files.READ_ONLY,
                progress=progress,
            )

    def _readers(
        self, source: Path | StoredContents, expected: HashedContent
    ) -> tuple[str, Sequence[files.Member]]:
        """Return the name of the source in messages, and its files."""
        if isinstance(source, StoredContents):
            return source.url, source.members
        require_kind(source, expected)
        shown = printable(source)
        if not expected.is_folder:
            return shown, [files.Member("", partial(open_regular, source))]
        if Path(os.path.realpath(self._folder)).is_relative_to(os.path.realpath(source)):
            raise InvalidValueError(
                f"{shown}: expected a folder of data, found one that holds the storage "
                f"{self._folder}; choose a folder below it",
                path=shown,
            )
        return shown, _members(source)


def contents_at(path: Path) -> StoredContents:
    """Return readers of the file or folder at a path.

    Raises:
        MissingFileError: Nothing is there.
    """
    with reading(path):
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    members = _members(path) if is_folder else [files.Member("", partial(open_regular, path))]
    return StoredContents(is_folder=is_folder, members=members, url=path.as_uri())


def _members(folder: Path) -> list[files.Member]:
    return [files.Member(file.name, partial(open_regular, file.path)) for file in tree.walk(folder)]


def path_of(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path for a path or a `file://` URL.

    Raises:
        InvalidValueError: The URL is on another host or malformed.
    """
    text = os.fspath(path)
    if isinstance(path, str) and is_file_url(text):
        return path_of_url(text)
    if "\0" in text:
        raise InvalidValueError(f"{text!r}: expected a path, found a NUL in it", path=text)
    return Path(text).absolute()


def _size(path: Path) -> int:
    """Return the bytes of a file, or of everything below a folder."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        return status.st_size
    return sum(
        (Path(folder) / name).lstat().st_size
        for folder, _, names in os.walk(path)
        for name in names
    )
