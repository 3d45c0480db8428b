"""Files by name in one folder, here or at a URL: published checkpoints, archives.

1. A name is one path component without a leading dot. A file appears whole or not at all.
2. `put` never overwrites: the same bytes under the same name are fine, others are refused. Some
   object stores refuse by themselves (`objects.py`); elsewhere a look comes first.
3. When `put` or `replace` returns, the file is durable and was compared with the bytes sent.
"""

from __future__ import annotations

import io
import os
from abc import ABC, abstractmethod
from contextlib import suppress
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

from ledger import files
from ledger.content.hashing import stream_digest
from ledger.content.objects import Object, Upload, gone
from ledger.content.protocols import open_objects
from ledger.content.retry import without_secrets
from ledger.content.store import check_name
from ledger.errors import (
    DamagedContentError,
    InvalidValueError,
    MissingFileError,
    PathTakenError,
    printable,
)
from ledger.input_files import open_regular, reading


class Folder(ABC):
    """Files below `where`, by name.

    Attributes:
        where: Path or URL, without secrets.
    """

    where: str

    @abstractmethod
    def names(self) -> list[str]:
        """Return the sorted names of the files directly in it; none if the folder is missing."""

    @abstractmethod
    def size(self, name: str) -> int | None:
        """Return the number of bytes of a file; None if there is none."""

    @abstractmethod
    def open(self, name: str) -> BinaryIO:
        """Open a file for reading in any order.

        Raises:
            MissingFileError: It is not there.
            StorageError: It cannot be reached.
        """

    @abstractmethod
    def put_file(self, name: str, path: Path) -> None:
        """Store the bytes of the file `path` under a name.

        Raises:
            PathTakenError: Something else bears the name; it is untouched.
            StorageError: The disk or the store refused.
        """

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Store these bytes under a name, as `put_file` does."""

    @abstractmethod
    def replace(self, name: str, data: bytes) -> None:
        """Store these bytes under a name, in place of any file that has it."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove a file; it may be missing."""

    @abstractmethod
    def below(self, name: str) -> Folder:
        """Return a folder in this one."""

    def read(self, name: str, *, most: int) -> bytes:
        """Return a small file.

        Raises:
            MissingFileError: It is not there.
            InvalidValueError: It has more than `most` bytes.
            StorageError: It cannot be reached.
        """
        with self.open(name) as reader, reading(self.shown(name)):
            data = reader.read(most + 1)
        if len(data) > most:
            raise InvalidValueError(
                f"{self.shown(name)}: expected up to {most:,} bytes, found more"
            )
        return data

    def shown(self, name: str) -> str:
        """Return a file's path or URL for messages."""
        return f"{self.where.rstrip('/')}/{name}"

    def _taken(self, name: str) -> PathTakenError:
        shown = self.shown(name)
        return PathTakenError(
            f"{shown}: something else is there already; it is left as it is, choose another folder",
            path=shown,
        )


class LocalFolder(Folder):
    """A folder of this machine; made when the first file is put into it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.where = printable(path)

    def names(self) -> list[str]:
        """See `Folder.names`."""
        try:
            with reading(self.path), os.scandir(self.path) as entries:
                found = [it.name for it in entries if it.is_file()]
        except MissingFileError:
            return []
        return sorted(name for name in found if not name.startswith("."))

    def size(self, name: str) -> int | None:
        """See `Folder.size`."""
        path = self._path(name)
        try:
            with reading(path):
                return path.stat().st_size
        except MissingFileError:
            return None

    def open(self, name: str) -> BinaryIO:
        """See `Folder.open`."""
        return open_regular(self._path(name))

    def put_file(self, name: str, path: Path) -> None:
        """See `Folder.put_file`."""
        files.make_folders(self.path)
        try:
            files.copy_file(path, self._path(name))
        except PathTakenError as error:
            with open_regular(path) as ours, self.open(name) as there:
                if stream_digest(ours) != stream_digest(there):
                    raise self._taken(name) from error

    def put(self, name: str, data: bytes) -> None:
        """See `Folder.put`."""
        files.make_folders(self.path)
        try:
            files.write_durably(self._path(name), data, replace=False)
        except PathTakenError as error:
            if self._holds(name, data):
                return
            raise self._taken(name) from error
        self._require(name, data)

    def replace(self, name: str, data: bytes) -> None:
        """See `Folder.replace`."""
        files.make_folders(self.path)
        files.write_durably(self._path(name), data)
        self._require(name, data)

    def remove(self, name: str) -> None:
        """See `Folder.remove`."""
        files.remove_durably(self._path(name))

    def below(self, name: str) -> Folder:
        """See `Folder.below`."""
        return LocalFolder(self._path(name))

    def _path(self, name: str) -> Path:
        return self.path / check_name(name)

    def _holds(self, name: str, data: bytes) -> bool:
        with suppress(InvalidValueError):
            return self.read(name, most=len(data)) == data
        return False

    def _require(self, name: str, data: bytes) -> None:
        if not self._holds(name, data):
            raise DamagedContentError(
                f"{self.shown(name)}: expected the {len(data):,} bytes that were written, found "
                "others; remove it and try again"
            )


class RemoteFolder(Folder):
    """A folder on anything that fsspec reaches."""

    def __init__(self, url: str) -> None:
        self._objects = open_objects(url)
        self._url = url.rstrip("/")
        self.where = without_secrets(self._url)

    def names(self) -> list[str]:
        """See `Folder.names`."""
        above = f"{self._objects.base}/"
        found = [each.key.removeprefix(above) for each in self._objects.find(self._objects.base)]
        return sorted(name for name in found if "/" not in name and not name.startswith("."))

    def size(self, name: str) -> int | None:
        """See `Folder.size`."""
        found = self._objects.head(self._key(name))
        return None if found is None else found.size

    def open(self, name: str) -> BinaryIO:
        """See `Folder.open`."""
        return self._objects.open(self._found(name))

    def read(self, name: str, *, most: int) -> bytes:
        """See `Folder.read`; one request for all of it."""
        found = self._found(name)
        if found.size > most:
            raise InvalidValueError(
                f"{self.shown(name)}: expected up to {most:,} bytes, found {found.size:,}"
            )
        return self._objects.read(found, 0, found.size)

    def put_file(self, name: str, path: Path) -> None:
        """See `Folder.put_file`."""
        with open_regular(path) as reader:
            size, digest = stream_digest(reader)
        self._put(name, Upload(partial(open_regular, path), size, digest, printable(path)))

    def put(self, name: str, data: bytes) -> None:
        """See `Folder.put`."""
        upload = self._upload(name, data)
        self._put(name, upload)
        self._objects.require_arrived(self._key(name), upload)

    def replace(self, name: str, data: bytes) -> None:
        """See `Folder.replace`."""
        self._objects.replace(self._upload(name, data), self._key(name))

    def remove(self, name: str) -> None:
        """See `Folder.remove`."""
        self._objects.remove([self._key(name)])

    def below(self, name: str) -> Folder:
        """See `Folder.below`."""
        return RemoteFolder(f"{self._url}/{check_name(name)}")

    def _key(self, name: str) -> str:
        return f"{self._objects.base}/{check_name(name)}"

    def _found(self, name: str) -> Object:
        found = self._objects.head(self._key(name))
        if found is None:
            raise gone(self.shown(name))
        return found

    def _upload(self, name: str, data: bytes) -> Upload:
        digest = f"sha256:{sha256(data).hexdigest()}"
        return Upload(partial(io.BytesIO, data), len(data), digest, self.shown(name))

    def _put(self, name: str, upload: Upload) -> None:
        try:
            self._objects.upload(upload, self._key(name))
        except DamagedContentError as error:
            if self._objects.head(self._key(name)) is None:
                raise
            raise self._taken(name) from error
