r"""How content is hashed: one pass over the bytes, files in threads.

Formulas. "22 characters" and "43 characters" are base64url (RFC 4648, section 5) without padding,
of 16 and of 32 bytes.

- **File** of up to 50 MiB (52,428,800 bytes, inclusive): `hash` is the MD5 of all bytes, 22
  characters, `hash_type` is "md5". Above: the SHA-256 of all bytes, 43 characters, "sha256".
- **Digest** of every file: "sha256:" and the SHA-256 of all bytes in 64 lower-case hex digits.
- **Folder**: its files (`tree.py` says which; empty sub-folders do not count) in the order of the
  bytes of their relative POSIX paths. `net(x)` is the decimal number of bytes of x, a colon, x, a
  comma. `hash` is the MD5, 22 characters, of

      "metaledger folder v1\n", then for each file net(path) net(hash_type) net(hash)

  and `hash_type` is "md5-d". The digest is "sha256:" and the SHA-256 in hex of

      "metaledger folder v1\n", then for each file net(path) net(size in decimal) net(digest)

  The first line keeps an empty folder apart from an empty file. Sizes add up; `n_files` counts.
- **Collection**: the MD5, 22 characters, of the member hashes joined by ":". First they are sorted
  by their bytes; if the order matters they stay unsorted, with "ordered::" before them. The digest
  is "sha256:" and the SHA-256 in hex of the members' digests, joined by line feeds, sorted or
  marked in the same way.

A file must stay the same while it is read. If its stamp (device, inode, size, mtime, ctime) differs
afterwards, it is read once more; after a second difference it is refused.
"""

# The calls of `os` are several times faster, and this is the inner loop.
# ruff: noqa: PTH116

from __future__ import annotations

import base64
import hashlib
import os
import re
import stat
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from ledger.content.held_for_writing import inodes_held_for_writing
from ledger.content.tree import HashedContent, Stamp, TreeFile, folder_stamp, stamp_of, walk
from ledger.errors import (
    FileChangedError,
    InvalidValueError,
    LedgerError,
    UnsupportedFileError,
    printable,
)
from ledger.input_files import kind_of, open_regular, reading
from ledger.user_settings import settings

if TYPE_CHECKING:
    from ledger.content.hash_cache import HashCache

MD5_LIMIT = 50 * 1024**2
MD5, SHA256, MD5_FOLDER = "md5", "sha256", "md5-d"

# Larger blocks gained nothing. MD5 and SHA-256 in two threads gained 28 ms on 50 MiB, less than
# they cost while several files are hashed in parallel.
_BLOCK = 1024**2
_FOLDER_PREFIX = b"metaledger folder v1\n"
_ORDERED_PREFIX = "ordered::"
_MEMBER_HASH = re.compile(r"[A-Za-z0-9_-]+")
# One task hashes several small files, as starting a task costs more than hashing a small file.
_FILES_PER_TASK = 64
_BYTES_PER_TASK = 8 * 1024**2
_ATTEMPTS = 2


class _Plan(NamedTuple):
    """The files to hash for one path, and whether they form a folder."""

    is_folder: bool
    files: list[TreeFile]


def hash_path(
    path: str | os.PathLike[str],
    *,
    cache: HashCache | None = None,
    progress: Callable[[int], None] | None = None,
    rehash: bool = False,
) -> HashedContent:
    """Return the hash of the file or folder at `path`; see `hash_many`."""
    return hash_many([path], cache=cache, progress=progress, rehash=rehash)[0]


def hash_many(
    paths: Iterable[str | os.PathLike[str]],
    *,
    cache: HashCache | None = None,
    progress: Callable[[int], None] | None = None,
    rehash: bool = False,
    threads: int | None = None,
) -> list[HashedContent]:
    """Return the hashes of the files and folders at `paths`, in their order.

    Costs one pass, in threads, over the bytes whose hash is missing in `cache`.

    Args:
        paths: Links given here are followed anywhere; inside a folder, the rules of `tree.py` hold.
        cache: Remembered hashes; new ones are added to it.
        progress: Called with numbers of bytes that add up to the sizes (to more if a file changed
            and was read again), by one thread at a time.
        rehash: Whether to read every byte even if the cache has the hash; the cache still learns.
            So does `settings.rehash`. A file that this process may be writing is always read.
        threads: Most threads; by default a few more than there are processors.

    Raises:
        MissingFileError: A path does not exist.
        UnreadableFileError: A file or folder cannot be read.
        UnsupportedFileError: Something is neither a regular file nor a folder of them.
        FileChangedError: A file changed while it was read, twice.
    """
    started = time.time_ns()
    report = _one_at_a_time(progress)
    plans = [_plan(path) for path in paths]
    known: dict[str, HashedContent] = {}
    unknown: dict[str, TreeFile] = {}
    held = frozenset() if cache is None else inodes_held_for_writing()
    is_read = rehash or settings.rehash
    for file in (file for plan in plans for file in plan.files):
        is_known = cache is not None and not is_read and file.stamp[1] not in held
        remembered = cache.get(file.path, file.stamp) if cache is not None and is_known else None
        if remembered is None:
            unknown[file.path] = file
        else:
            known[file.path] = remembered
            report(remembered.size)
    for file, hashed in zip(
        unknown.values(), _hash_files(list(unknown.values()), report, threads), strict=True
    ):
        known[file.path] = hashed
        if cache is not None and file.stamp[1] not in held:
            cache.put(file.path, hashed, hashed_at=started)
    return [_assemble(plan, known) for plan in plans]


def is_unchanged(path: str | os.PathLike[str], hashed: HashedContent) -> bool:
    """Tell whether `path` still has the stamp it had when it was hashed, without reading it.

    A change of the same size within one step of the file system's clock stays unseen; copying
    therefore compares digests as well.
    """
    try:
        plan = _plan(path)
    except LedgerError:
        return False
    return plan.is_folder == hashed.is_folder and _stamp(plan) == hashed.stamp


def unseen_hash(natural_id: str) -> tuple[str, str]:
    """Return what stands for hash and digest of a member whose content was never seen here.

    Args:
        natural_id: Id of the natural key of the declared artifact.
    """
    return f"declared-{natural_id}", f"declared:{natural_id}"


def hash_members(hashes: Iterable[str], ordered: bool) -> str:  # noqa: FBT001  (the formula's own)
    """Return the hash of a collection from the hashes of its members.

    Raises:
        InvalidValueError: A member hash holds characters outside base64url.
    """
    members = list(hashes)
    for member in members:
        if not _MEMBER_HASH.fullmatch(member):
            raise InvalidValueError(
                f"member hash {member!r}: expected base64url characters", hash=member
            )
    text = _ORDERED_PREFIX + ":".join(members) if ordered else ":".join(sorted(members))
    return base64url(hashlib.md5(text.encode(), usedforsecurity=False).digest())


def members_digest(digests: Iterable[str], *, ordered: bool) -> str:
    """Return the digest of a collection from the digests of its members."""
    members = list(digests)
    text = _ORDERED_PREFIX + "\n".join(members) if ordered else "\n".join(sorted(members))
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def folder_hash(files: Iterable[tuple[str, str, str]]) -> str:
    """Return a folder's hash from (path, hash_type, hash) of its files, in any order."""
    return base64url(hashlib.md5(_encode_folder(files), usedforsecurity=False).digest())


def folder_digest(files: Iterable[tuple[str, int, str]]) -> str:
    """Return a folder's digest from (path, size, digest) of its files, in any order."""
    encoded = _encode_folder((name, str(size), digest) for name, size, digest in files)
    return f"sha256:{hashlib.sha256(encoded).hexdigest()}"


def stream_digest(reader: BinaryIO) -> tuple[int, str]:
    """Return the size and the digest of the remaining bytes of `reader`."""
    sha256 = hashlib.sha256()
    size = 0
    while block := reader.read(_BLOCK):
        sha256.update(block)
        size += len(block)
    return size, f"sha256:{sha256.hexdigest()}"


def base64url(raw: bytes) -> str:
    """Return `raw` in base64url characters without padding."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _encode_folder(files: Iterable[tuple[str, str, str]]) -> bytes:
    rows = sorted(tuple(field.encode() for field in file) for file in files)
    nets = (b"%d:%b," % (len(field), field) for row in rows for field in row)
    return _FOLDER_PREFIX + b"".join(nets)


def _one_at_a_time(progress: Callable[[int], None] | None) -> Callable[[int], None]:
    if progress is None:
        return lambda _count: None
    lock = threading.Lock()

    def report(count: int) -> None:
        with lock:
            progress(count)

    return report


def _plan(path: str | os.PathLike[str]) -> _Plan:
    with reading(path):
        # Kept unnormalised: `link/..` is the folder above the link's target, not above the link.
        absolute = os.fspath(Path(path).absolute())
        status = os.stat(absolute)
    if stat.S_ISDIR(status.st_mode):
        return _Plan(is_folder=True, files=walk(absolute))
    if not stat.S_ISREG(status.st_mode):
        shown = printable(path)
        raise UnsupportedFileError(
            f"{shown}: expected a regular file or a folder, found {kind_of(status)}", path=shown
        )
    return _Plan(is_folder=False, files=[TreeFile("", absolute, status.st_size, stamp_of(status))])


def _stamp(plan: _Plan) -> Stamp:
    if plan.is_folder:
        return folder_stamp((file.name, file.stamp) for file in plan.files)
    return plan.files[0].stamp


def _hash_files(
    files: Sequence[TreeFile], report: Callable[[int], None], threads: int | None
) -> list[HashedContent]:
    tasks = _tasks(files)
    workers = min(len(tasks), threads or min(32, (os.cpu_count() or 1) + 2))
    if workers <= 1:
        return [_hash_file(file.path, report) for file in files]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        done = pool.map(lambda task: [_hash_file(file.path, report) for file in task], tasks)
        return [hashed for task in done for hashed in task]


def _tasks(files: Sequence[TreeFile]) -> list[list[TreeFile]]:
    tasks: list[list[TreeFile]] = []
    room = 0
    for file in files:
        if room <= 0 or len(tasks[-1]) == _FILES_PER_TASK:
            tasks.append([])
            room = _BYTES_PER_TASK
        tasks[-1].append(file)
        room -= file.size
    return tasks


def _hash_file(path: str, report: Callable[[int], None]) -> HashedContent:
    for _ in range(_ATTEMPTS):
        hashed = _hash_once(path, report)
        with reading(path):
            if hashed is not None and stamp_of(os.stat(path)) == hashed.stamp:
                return hashed
    shown = printable(path)
    raise FileChangedError(
        f"{shown}: changed while it was hashed; wait until nothing writes to it any more",
        path=shown,
    )


def _hash_once(path: str, report: Callable[[int], None]) -> HashedContent | None:
    """Return the hash of the file; None if it grew or shrank under the reader."""
    with open_regular(path) as reader, reading(path):
        before = os.fstat(reader.fileno())
        md5 = hashlib.md5(usedforsecurity=False) if before.st_size <= MD5_LIMIT else None
        sha256 = hashlib.sha256()
        size = 0
        # Without this bound, a file that keeps growing would be read forever.
        while size <= before.st_size and (block := reader.read(_BLOCK)):
            if md5 is not None:
                md5.update(block)
            sha256.update(block)
            size += len(block)
            report(len(block))
    if size != before.st_size:
        return None
    return HashedContent(
        hash=base64url(sha256.digest() if md5 is None else md5.digest()),
        hash_type=SHA256 if md5 is None else MD5,
        digest=f"sha256:{sha256.hexdigest()}",
        size=size,
        stamp=stamp_of(before),
    )


def _assemble(plan: _Plan, known: dict[str, HashedContent]) -> HashedContent:
    if not plan.is_folder:
        return known[plan.files[0].path]
    members = [(file.name, known[file.path]) for file in plan.files]
    return HashedContent(
        hash=folder_hash((name, part.hash_type, part.hash) for name, part in members),
        hash_type=MD5_FOLDER,
        digest=folder_digest((name, part.size, part.digest) for name, part in members),
        size=sum(part.size for _, part in members),
        n_files=len(members),
        is_folder=True,
        stamp=folder_stamp((name, part.stamp) for name, part in members),
    )
