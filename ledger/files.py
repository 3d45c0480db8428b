"""Durable file steps; the only caller of fsync, replace, rename and link in this project.

Every function keeps these rules, in this order:

1. Bytes go to a temporary name (`.tmp-` and 16 hex digits) in the folder of the target, so that the
   last step is a rename within one file system.
2. Bytes are hashed while they are copied, and `accept` may refuse them before they have a name.
3. The bytes are fsynced, then named, then the folder that holds the name is fsynced. A durable
   file is therefore always whole.
4. An existing target is replaced only if `replace` is set.
5. After a failure the temporary is removed if possible. After a crash it may stay: its prefix tells
   it apart from content.

Only bytes are copied: no owner, times, extended attributes or executable bits.
"""

# The calls of `os` make every durable step easy to find.
# ruff: noqa: PTH101, PTH104, PTH105, PTH108

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import threading
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ledger.errors import LedgerError, PathTakenError, StorageError, printable
from ledger.input_files import open_regular, reading, reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

TEMPORARY_PREFIX = ".tmp-"
READ_ONLY = 0o444
BLOCK = 1024**2

# An fsync waits for the disk; eight at a time share one commit of the file system's journal.
_WRITERS = 8
_DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# Errors of file systems that cannot fsync a folder at all, or cannot link.
_NOT_OFFERED = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
_NO_LINKS = _NOT_OFFERED | {errno.EPERM, errno.EMLINK, errno.EXDEV}


class Copied(NamedTuple):
    """Size and digest of one copied file; `name` is empty unless the file is part of a tree."""

    name: str
    size: int
    digest: str


class Member(NamedTuple):
    """One file of a tree: its relative POSIX path and how to read it."""

    name: str
    open: Callable[[], BinaryIO]


def _no_fault(what: str, path: str) -> None:
    """Let the step happen."""


# Called before each durable step; crash tests put a fault into every one of them in turn.
step: Callable[[str, str], None] = _no_fault


def is_temporary(name: str) -> bool:
    """Tell whether `name` is the name of a temporary file."""
    return name.startswith(TEMPORARY_PREFIX)


@contextmanager
def writing(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an error of the system while `path` is written into a `StorageError`."""
    try:
        yield
    except LedgerError:
        raise
    except OSError as error:
        shown = printable(path)
        advice = "; free some space and try again" if error.errno in _DISK_FULL else ""
        raise StorageError(
            f"{shown}: cannot be written ({reason(error)}){advice}", path=shown
        ) from error


def write_durably(
    path: Path, data: bytes, *, mode: int | None = None, replace: bool = True
) -> None:
    """Write `data` to `path`; it is whole and durable when this returns.

    Args:
        path: In a folder that exists.
        data: All of the bytes.
        mode: Permission bits; by default the process's own.
        replace: Whether to replace an existing file; readers see the old one or the new one.

    Raises:
        PathTakenError: Something is at `path` and `replace` is False; it is untouched.
        StorageError: The disk refused.
    """
    temporary = _temporary_beside(path)
    try:
        with writing(path):
            _write_blocks(iter((data,)), temporary, mode)
        _publish(temporary, path, replace=replace)
    except BaseException:
        _discard(temporary)
        raise
    _sync_folder(path.parent)


def copy_stream(  # noqa: PLR0913  (options are keyword-only)
    reader: BinaryIO,
    target: Path,
    *,
    source: str,
    accept: Callable[[Copied], None] | None = None,
    mode: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Copied:
    """Copy the bytes of `reader` to `target`, durably, and return their size and digest.

    Args:
        reader: Positioned at its first byte; not closed.
        target: A path that must be free, in a folder that exists.
        source: Name of the source, for messages.
        accept: Called with size and digest before the file gets its name; raises to refuse it.
        mode: Permission bits; by default the process's own.
        progress: Called with the number of bytes of each block.

    Raises:
        PathTakenError: Something is at `target`; it is untouched.
        UnreadableFileError: The source cannot be read.
        StorageError: The disk refused.
    """
    temporary = _temporary_beside(target)
    try:
        copied = _pour(reader, temporary, Copied(source, 0, ""), mode, progress)._replace(name="")
        if accept is not None:
            accept(copied)
        _publish(temporary, target, replace=False)
    except BaseException:
        _discard(temporary)
        raise
    _sync_folder(target.parent)
    return copied


def copy_file(
    source: Path,
    target: Path,
    *,
    accept: Callable[[Copied], None] | None = None,
    mode: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> Copied:
    """Copy the regular file `source` to `target` as `copy_stream` does."""
    with open_regular(source) as reader:
        return copy_stream(
            reader,
            target,
            source=printable(source),
            accept=accept,
            mode=mode,
            progress=progress,
        )


def give_name(made: Path, target: Path) -> None:
    """Move the finished, synced file `made` to `target` on the same file system.

    Raises:
        PathTakenError: Something is at `target`; it is untouched.
        StorageError: The disk refused.
    """
    _publish(made, target, replace=False)
    _sync_folder(target.parent)


def copy_tree(
    members: Sequence[Member],
    target: Path,
    *,
    accept: Callable[[Sequence[Copied]], None] | None = None,
    mode: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Copied]:
    """Copy `members` into a new folder `target`, which appears whole or not at all.

    Files are copied in threads, as each waits for the disk; one thread at a time calls `progress`.

    Args:
        members: Files of the tree; their names are trusted to be relative and without `..`.
        target: A path that must be free, in a folder that exists.
        accept: Called with sizes and digests, in the order of `members`; raises to refuse them.
        mode: Permission bits of the files; by default the process's own.
        progress: Called with the number of bytes of each block.

    Raises:
        PathTakenError: Something is at `target`; it is untouched.
        UnreadableFileError: A file cannot be read.
        StorageError: The disk refused.
    """
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (slow to load)

    temporary = _temporary_beside(target)
    lock = threading.Lock()

    def report(count: int) -> None:
        if progress is not None:
            with lock:
                progress(count)

    def copy_one(member: Member) -> Copied:
        with member.open() as reader:
            path = temporary / member.name
            return _pour(reader, path, Copied(member.name, 0, ""), mode, report)

    try:
        folders = _make_tree(temporary, members)
        with ThreadPoolExecutor(max_workers=_WRITERS) as pool:
            copied = list(pool.map(copy_one, members))
        if accept is not None:
            accept(copied)
        for folder in reversed(folders):
            _sync_folder(folder)
        _publish_tree(temporary, target)
    except BaseException:
        _discard(temporary)
        raise
    _sync_folder(target.parent)
    return copied


def may(path: str | os.PathLike[str], what: int) -> bool:
    """Return whether the system grants this process access, such as `os.R_OK`."""
    return os.access(path, what, effective_ids=os.access in os.supports_effective_ids)


def may_make(path: Path) -> bool:
    """Return whether this process may make files in a folder, which need not be there yet."""
    path = path.absolute()
    while not os.path.lexists(path) and path != path.parent:
        path = path.parent
    return path.is_dir() and may(path, os.W_OK | os.X_OK)


def make_file(path: str | os.PathLike[str]) -> None:
    """Make an empty file whose rights the umask alone decides; SQLite takes it for a new database.

    A file that SQLite makes by itself can be written to by its owner alone, whatever the umask
    says. The write-ahead log gets the rights of the file.

    Raises:
        StorageError: The disk refused.
    """
    with writing(Path(path)):
        try:
            # Made without being opened: to close a database drops the locks of its users.
            os.mknod(path, 0o666 | stat.S_IFREG)
        except FileExistsError:
            return
        except (AttributeError, PermissionError):  # not each system lets everybody do so
            os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o666))


def make_folders(path: Path) -> None:
    """Make `path` and the missing folders above it; their names are durable afterwards.

    Raises:
        PathTakenError: Something at `path` is not a folder.
        StorageError: The disk refused.
    """
    with writing(path):
        path = path.absolute()
        missing = []
        above = path
        while not above.exists():
            missing.append(above)
            above = above.parent
        for folder in reversed(missing):
            step("make-folder", str(folder))
            folder.mkdir(exist_ok=True)
            _sync_folder(folder.parent)
        is_folder = path.is_dir()
    if not is_folder:
        raise _taken(path)
    if not missing:
        # Another process may have made the folder and may still be on the way to its own fsync.
        # A folder above that only its owner may open is an old one, and durable already.
        _sync_folder(path.parent, tolerated=_NOT_OFFERED | {errno.EACCES, errno.EPERM})


def sync_folder(path: Path) -> None:
    """Make the names in the folder `path` durable."""
    _sync_folder(path)


def remove_durably(path: Path) -> None:
    """Remove the file or the whole folder at `path`, even if read-only; it may be missing.

    A folder first gets a temporary name, so that it vanishes at once.

    Raises:
        StorageError: The disk refused; at worst a temporary is left.
    """
    with writing(path):
        if path.is_dir() and not path.is_symlink() and not is_temporary(path.name):
            temporary = _temporary_beside(path)
            step("remove", str(path))
            os.rename(path, temporary)
            _sync_folder(path.parent)
            path = temporary
        step("remove", str(path))
        try:
            _delete(path)
        except FileNotFoundError:
            return
        _sync_folder(path.parent)


def _temporary_beside(target: Path) -> Path:
    return target.parent / f"{TEMPORARY_PREFIX}{os.urandom(8).hex()}"


def _pour(
    reader: BinaryIO,
    target: Path,
    subject: Copied,
    mode: int | None,
    progress: Callable[[int], None] | None,
) -> Copied:
    """Write all of `reader` to the new file `target`, fsync it, and return size and digest."""
    sha256 = hashlib.sha256()
    size = 0

    def blocks() -> Iterator[bytes]:
        nonlocal size
        while True:
            with reading(subject.name):
                block = reader.read(BLOCK)
            if not block:
                return
            sha256.update(block)
            size += len(block)
            yield block
            if progress is not None:
                progress(len(block))

    with writing(target):
        _write_blocks(blocks(), target, mode)
    return subject._replace(size=size, digest=f"sha256:{sha256.hexdigest()}")


def _write_blocks(blocks: Iterator[bytes], target: Path, mode: int | None) -> None:
    step("create", str(target))
    # A private file is its owner's alone from its first byte, whatever the umask allows.
    created = 0o666 if mode is None else stat.S_IRUSR | stat.S_IWUSR
    with open(target, "xb", opener=lambda path, flags: os.open(path, flags, created)) as writer:
        for block in blocks:
            step("write", str(target))
            writer.write(block)
        writer.flush()
        if mode is not None:
            os.chmod(target, mode)
        step("sync", str(target))
        _flush_to_disk(writer.fileno())


def _make_tree(root: Path, members: Sequence[Member]) -> list[Path]:
    """Make `root` and every folder that `members` need, and return them, parents first."""
    needed = {parent for member in members for parent in PurePosixPath(member.name).parents}
    folders = [root, *sorted(root / parent for parent in needed if parent.parts)]
    with writing(root):
        for folder in folders:
            step("make-folder", str(folder))
            folder.mkdir()
    return folders


def _publish(temporary: Path, target: Path, *, replace: bool) -> None:
    with writing(target):
        step("publish", str(target))
        if replace:
            os.replace(temporary, target)
            return
        # A link, unlike a rename, refuses to overwrite: of two writers that both saw the name free,
        # one is refused. Some file systems have no links.
        try:
            os.link(temporary, target)
        except FileExistsError as error:
            raise _taken(target) from error
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if os.path.lexists(target):
                raise _taken(target) from error
            os.rename(temporary, target)
            return
        step("unlink", str(temporary))
        os.unlink(temporary)


def _publish_tree(temporary: Path, target: Path) -> None:
    with writing(target):
        # A rename would silently replace an empty folder.
        if os.path.lexists(target):
            raise _taken(target)
        step("publish", str(target))
        try:
            os.rename(temporary, target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                raise _taken(target) from error
            raise


def _taken(target: Path) -> PathTakenError:
    shown = printable(target)
    return PathTakenError(
        f"{shown}: something is there already; remove it or choose another path", path=shown
    )


def _sync_folder(path: Path, *, tolerated: frozenset[int] = _NOT_OFFERED) -> None:
    if sys.platform == "win32":
        return  # Folders cannot be opened there; NTFS journals names by itself.
    with writing(path):
        step("sync-folder", str(path))
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                _flush_to_disk(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            if error.errno not in tolerated:
                raise


def _flush_to_disk(descriptor: int) -> None:
    if sys.platform == "darwin":
        # On this system an fsync stops at the drive's own cache.
        import fcntl  # noqa: PLC0415  (not on every platform)

        with suppress(OSError):
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
            return
    os.fsync(descriptor)


def _discard(temporary: Path) -> None:
    with suppress(OSError):
        _delete(temporary)


def _delete(path: Path) -> None:
    """Remove a file or a folder, whatever its permission bits say."""
    if path.is_dir() and not path.is_symlink():
        with suppress(OSError):
            os.chmod(path, stat.S_IRWXU)
        with os.scandir(path) as entries:
            children = [Path(entry.path) for entry in entries]
        for child in children:
            _delete(child)
        path.rmdir()
        return
    try:
        path.unlink()
    except PermissionError:
        # Windows does not remove a read-only file.
        os.chmod(path, stat.S_IWUSR | stat.S_IRUSR)
        path.unlink()
