"""The seam: where content is kept, whatever kind of place that is.

Content of one artifact is one name, `<root>/.metaledger/<uid><suffix>`: a file, or a folder of
files. Every store keeps these rules, and one suite holds all of them to it:

1. A name is one path component without a leading dot; a member of a folder is a relative path
   that stays below it. What comes from outside is checked before it meets a path.
2. `put` compares what it copied with what was hashed before it gives it a name. What is there
   under that name already is compared too, never overwritten and never copied a second time.
3. What `put` has returned from is whole and durable. What an interrupted `put` leaves behind is a
   temporary, or (stores that cannot rename a folder at once) part of a folder that does not count
   as one and that the next `put` completes; no event names either.
4. Reading back compares with the digest that the event states; a difference is damage, and says
   what was expected and what was found.
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

_MAX_NAME_BYTES = 255
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# One letter before the colon is a drive of Windows, not a protocol.
_PROTOCOL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)(?:::|://)")


class StoredItem(msgspec.Struct, frozen=True, kw_only=True):
    """One name in a store.

    `size` is the bytes of a file, or of all files of a folder; `modified` is in seconds since the
    epoch, None where the store does not say. A temporary may belong to a `put` that still runs:
    only an old one is an orphan.
    """

    name: str
    size: int
    is_temporary: bool
    modified: float | None


class StoredContents(NamedTuple):
    """What is stored somewhere: a single member without a name, or those of a folder."""

    is_folder: bool
    members: list[files.Member]
    url: str

    def fetch(self, dest: Path, digest: str, *, mode: int | None = None) -> None:
        """Copy it to `dest`, which appears whole and compared, or not at all.

        Raises:
            DamagedContentError: It is not what the digest says; `dest` stays free.
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
            source: What was hashed: a path of this machine, or readers of what is elsewhere.
            name: Uid and suffix of the artifact.
            expected: What hashing `source` gave; what is copied is compared with it.
            progress: Called with numbers of bytes that add up to the size, by one thread at a
                time; not called where the content is there already.

        Raises:
            InvalidValueError: `name` is not one, or `source` holds this very store.
            FileChangedError: `source` is no longer what was hashed; nothing was stored.
            DamagedContentError: Something else is stored under `name`; it is untouched.
            MissingFileError: `source` is gone.
            StorageError: The store refused.
        """

    @abstractmethod
    def url(self, name: str) -> str:
        """Return where `name` is or would be, as a URL."""

    @abstractmethod
    def local_path(self, name: str) -> Path | None:
        """Return where `name` is or would be on this machine, None if it is elsewhere."""

    @abstractmethod
    def open(self, name: str, member: str | None = None) -> BinaryIO:
        """Open a stored file, or the file `member` of a stored folder, for reading.

        Raises:
            InvalidValueError: A name that is not one.
            MissingFileError: It is not there.
        """

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Tell whether anything is stored under `name`."""

    @abstractmethod
    def stat(self, name: str) -> Stamp | None:
        """Return what changes when the content under `name` does, None if nothing is there."""

    @abstractmethod
    def list(self) -> Iterator[StoredItem]:
        """Return every name, content and temporaries, in no particular order."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Remove what is stored under `name`, content or a temporary; nothing there is fine."""

    @abstractmethod
    def holds(self, path: Path | str) -> str | None:
        """Return `path` relative to the root if it lies in it, outside the folder of the store.

        Such content is registered in place and not copied.
        """

    @abstractmethod
    def _contents(self, name: str) -> StoredContents | None:
        """Return what is stored under the checked `name`, None if nothing is."""

    def verify(self, name: str, digest: str, is_folder: bool) -> None:  # noqa: FBT001
        """Read everything under `name` and compare it with what its event states.

        Raises:
            DamagedContentError: It is missing, of the other kind, or other content.
            StorageError: It cannot be read, which is not yet damage.
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
        """Copy what is stored under `name` to `dest`, which appears whole or not at all.

        Args:
            name: Uid and suffix of the artifact.
            dest: A path that must be free, in a folder that exists.
            expected_digest: What the event of the artifact states.
            mode: Permission bits of the files; the process's own default if not given.

        Raises:
            DamagedContentError: It is missing or other content; `dest` stays free.
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
    return protocol is None or protocol[1] == "file"


def check_name(name: str, *, may_be_temporary: bool = False) -> str:
    """Return `name` if it can only mean something directly in the folder of the store.

    Raises:
        InvalidValueError: It cannot.
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
        InvalidValueError: It cannot.
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
    """Turn whatever a file system raises into a `StorageError`; each has errors of its own.

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
    """Compare the digest of what was copied with that of what was hashed.

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
    """Compare what is at `source` with the kind of thing that was hashed.

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
    """Return the error for stored content that was asked for and is not there."""
    return MissingFileError(f"{url}: nothing is stored there", url=url)


def damaged(url: str, expected: str, found: str) -> DamagedContentError:
    """Return the error for stored content that is not what its event states."""
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
    """Return the name that a content store knows a storage key by."""
    return storage_key.removeprefix(f"{FOLDER}/")
