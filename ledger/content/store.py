"""The seam of all content stores, whatever kind of place they use.

The content of one artifact has one name, `<root>/.metaledger/<uid><suffix>`: a file, or a folder of
files. Every store keeps these rules, and one test suite checks all of them:

1. A name is one path component without a leading dot; a member of a folder is a relative path
   that stays below it. Names from outside are checked before they become part of a path.
2. `put` compares the copied bytes with the hash before it gives them a name. Existing content under
   that name is compared too, never overwritten and never copied a second time.
3. When `put` returns, the content is whole and durable. An interrupted `put` leaves a temporary, or
   (in stores that cannot rename a folder at once) an incomplete folder, which counts as missing and
   which the next `put` completes; no event names either.
4. Reading back compares with the digest in the event; a difference is damage, and the error names
   the expected and the found digest.
"""

from __future__ import annotations

import posixpath
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec

from ledger import files
from ledger.content.hashing import folder_digest, stream_digest
from ledger.content.tree import HashedContent, Stamp
from ledger.errors import (
    DamagedContentError,
    FileChangedError,
    InvalidValueError,
    LedgerError,
    MissingFileError,
    StorageError,
    UnsupportedFileError,
    printable,
)
from ledger.input_files import reading

FOLDER = ".metaledger"
MARK = "used-by-"  # begins the names of marks, which lie beside content

_MAX_NAME_BYTES = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# One letter before the colon is a drive of Windows, not a protocol.
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?:::|://)")


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """One name in a store.

    `size` is the bytes of a file, or of all files of a folder; `modified` is in seconds since the
    epoch, None if unknown. A temporary may belong to a running `put`: only an old one is an orphan.
    """

    name: str
    size: int
    is_temporary: bool
    modified: float | None


class StoredContents(NamedTuple):
    """Stored content: a single member without a name, or the members of a folder."""

    is_folder: bool
    members: list[files.Member]
    url: str

    def fetch(self, dest: Path, digest: str, *, mode: int | None = None) -> None:
        """Copy the content to `dest`, which appears whole and verified, or not at all.

        Raises:
            DamagedContentError: The content has another digest; `dest` stays free.
            PathTakenError: Something is at `dest`; it is untouched.
            StorageError: The store or the disk refused.
        """

        def accept(copied: Sequence[files.Copied]) -> None:
            found = folder_digest(copied) if self.is_folder else copied[0].digest
            if found != digest:
                raise damaged(self.url, digest, found)

        if self.is_folder:
            files.copy_tree(self.members, dest, accept=accept, mode=mode)
            return
        with self.members[0].open() as reader:
            files.copy_stream(
                reader, dest, source=self.url, accept=lambda copied: accept([copied]), mode=mode
            )


class ContentStore(ABC):
    """Content under `root`, by name."""

    root: str

    @abstractmethod
    def put(
        self,
        source: Path | StoredContents,
        name: str,
        expected: HashedContent,
        *,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """Copy the file or folder `source` to `name`; it is whole and durable when this returns.

        Args:
            source: The hashed path of this machine, or readers of hashed content elsewhere.
            name: Uid and suffix of the artifact.
            expected: The hash of `source`; the copied bytes are compared with it.
            progress: Called with numbers of bytes that add up to the size, by one thread at a
                time; not called if the content is stored already.

        Raises:
            InvalidValueError: `name` is no valid name, or `source` holds this very store.
            FileChangedError: `source` has changed since it was hashed; nothing was stored.
            DamagedContentError: Something else is stored under `name`; it is untouched.
            MissingFileError: `source` is gone.
            StorageError: The store refused.
        """

    @abstractmethod
    def url(self, name: str) -> str:
        """Return the URL of `name`, stored or not."""

    @abstractmethod
    def local_path(self, name: str) -> Path | None:
        """Return the path of `name` on this machine, stored or not; None if it is elsewhere."""

    @abstractmethod
    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """Open a stored file, or the file `member` of a stored folder, for reading.

        Raises:
            InvalidValueError: A name is invalid.
            MissingFileError: The file is missing.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether anything is stored under `name`."""

    @abstractmethod
    def stat(self, name: str) -> Stamp | None:
        """Return a stamp that changes with the content under `name`; None if nothing is there."""

    @abstractmethod
    def list(self) -> Iterator[StoredItem]:
        """Return every name but marks, content and temporaries, in no particular order."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove the content or temporary under `name`; it may be missing."""

    @abstractmethod
    def holds(self, path: Path | str) -> str | None:
        """Return `path` relative to the root if it lies there, outside the folder of the store.

        Such content is registered in place, without a copy.
        """

    @abstractmethod
    def _contents(self, name: str) -> StoredContents | None:
        """Return the content under the checked `name`; None if nothing is there."""

    def verify(self, name: str, digest: str, is_folder: bool) -> None:  # noqa: FBT001
        """Read everything under `name` and compare its digest with that of its event.

        Raises:
            DamagedContentError: The content is missing, of the other kind, or differs.
            StorageError: The content cannot be read, which is not yet damage.
        """
        try:
            contents = self._found(name, digest)
        except UnsupportedFileError as error:
            raise damaged(self.url(name), digest, str(error)) from error
        if contents.is_folder != is_folder:
            found = "a folder" if contents.is_folder else "a file"
            raise damaged(self.url(name), digest, found)
        found = digest_of(contents)
        if found != digest:
            raise damaged(self.url(name), digest, found)

    def fetch(
        self, name: str, dest: Path, expected_digest: str, *, mode: int | None = None
    ) -> None:
        """Copy the content under `name` to `dest`, which appears whole or not at all.

        Args:
            name: Uid and suffix of the artifact.
            dest: A path that must be free, in a folder that exists.
            expected_digest: The digest in the event of the artifact.
            mode: Permission bits of the files; by default the process's own.

        Raises:
            DamagedContentError: The content is missing or differs; `dest` stays free.
            PathTakenError: Something is at `dest`; it is untouched.
            StorageError: The store or the disk refused.
        """
        self._found(name, expected_digest).fetch(dest, expected_digest, mode=mode)

    def _found(self, name: str, digest: str) -> StoredContents:
        contents = self._contents(check_name(name))
        if contents is None:
            raise damaged(self.url(name), digest, "nothing")
        return contents


def is_local(root: str) -> bool:
    """Tell whether `root` is a path or a `file://` URL: a place in the file system."""
    protocol = _PROTOCOL.match(root)
    return protocol is None or protocol[1].lower() == "file"


def check_name(name: str, *, may_be_temporary: bool = False) -> str:
    """Return `name` if it can only mean something directly in the folder of the store.

    Raises:
        InvalidValueError: It can mean something else.
    """
    fits = (
        bool(name)
        and _is_utf8(name)
        and len(name.encode()) <= _MAX_NAME_BYTES
        and not _CONTROL.search(name)
        and not {"/", "\\", ":"} & set(name)
        and (not name.startswith(".") or (may_be_temporary and files.is_temporary(name)))
    )
    if not fits:
        raise InvalidValueError(
            f"content name {name!a}: expected one path component of up to "
            f"{_MAX_NAME_BYTES} bytes without a leading dot",
            name=name,
        )
    return name


def check_member(member: str) -> str:
    """Return `member` if it can only mean something below a stored folder.

    Raises:
        InvalidValueError: It can mean something else.
    """
    parts = member.split("/")
    fits = _is_utf8(member) and "\0" not in member and not {"", ".", ".."} & set(parts)
    if not fits or Path(member).is_absolute() or Path(member).drive or ".." in Path(member).parts:
        raise InvalidValueError(
            f"member {member!a}: expected a relative path with '/' that stays in its folder",
            member=member,
        )
    return member


@contextmanager
def reaching(what: str) -> Iterator[None]:
    """Turn any error of a file system into a `StorageError`, as each has its own errors.

    Raises:
        StorageError: The store refused.
    """
    try:
        yield
    except LedgerError:
        raise
    except Exception as error:
        raise StorageError(
            f"{what or 'stored file'}: the store refused ({type(error).__name__}: {error})",
            path=what,
        ) from error


def digest_of(contents: StoredContents) -> str:
    """Return the digest of stored content by reading all of it."""
    read = []
    for member in contents.members:
        with reaching(member.name), member.open() as reader:
            read.append((member.name, *stream_digest(reader)))
    return folder_digest(read) if contents.is_folder else read[0][2]


def require_unchanged(shown: str, expected: HashedContent, found: str) -> None:
    """Compare the digest of a copy with the hashed one.

    Raises:
        FileChangedError: They differ.
    """
    if found != expected.digest:
        raise FileChangedError(
            f"{shown}: expected {expected.digest} as it was hashed, found {found} while it was "
            f"copied; wait until nothing writes to it any more",
            path=shown,
            expected=expected.digest,
            found=found,
        )


def require_kind(source: Path, expected: HashedContent) -> None:
    """Check that `source` is still of the hashed kind: a file or a folder.

    Raises:
        FileChangedError: A folder is now a file, or the reverse.
        MissingFileError: Nothing is there.
    """
    shown = printable(source)
    with reading(source):
        is_folder = stat.S_ISDIR(source.stat().st_mode)
    if is_folder != expected.is_folder:
        words = {True: "a folder", False: "a file"}
        raise FileChangedError(
            f"{shown}: expected {words[expected.is_folder]} as it was hashed, "
            f"found {words[is_folder]}",
            path=shown,
        )


def relative_below(path: str, root: str) -> str | None:
    """Return the POSIX `path` relative to `root` if it lies below it and outside `FOLDER`."""
    parts, above = path.split("/"), root.rstrip("/").split("/")
    below = parts[len(above) :]
    if parts[: len(above)] != above or not below or below[0] == FOLDER:
        return None
    return None if {"", ".", ".."} & set(below) else posixpath.join(*below)


def missing(url: str) -> MissingFileError:
    """Return the error for stored content that is missing."""
    return MissingFileError(f"{url}: nothing is stored there", url=url)


def damaged(url: str, expected: str, found: str) -> DamagedContentError:
    """Return the error for stored content that differs from its event."""
    return DamagedContentError(
        f"{url}: expected content {expected}, found {found}; restore it from a copy",
        url=url,
        expected=expected,
        found=found,
    )


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeError:
        return False
    return True


def name_in_store(storage_key: str) -> str:
    """Return the name of a storage key in a content store."""
    return storage_key.removeprefix(f"{FOLDER}/")
