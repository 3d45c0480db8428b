"""What a content store asks of a place elsewhere, on any file system that fsspec reaches.

1. A key is text below a bucket or host, without the protocol. Absence is an answer (None), not an
   error; every other trouble is a `StorageError`, after what may pass was tried again.
2. `upload` makes an object appear whole, with the bytes it was told to expect, or not at all; what
   bears the key already is compared and never overwritten.
3. Here, where nothing more is known of the file system, that takes a temporary beside, read back
   and compared, then moved. The move cannot refuse to overwrite in the same step: two writers of
   one key bring the same bytes, as the key is made from them.
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, BinaryIO, NamedTuple, TypeVar

from ledger import files
from ledger.content import ranged
from ledger.content.hashing import stream_digest
from ledger.content.retry import refusal, retrying, without_secrets
from ledger.content.tree import Stamp
from ledger.errors import (
    DamagedContentError,
    FileChangedError,
    InvalidValueError,
    LedgerError,
    MissingDependencyError,
    MissingFileError,
)
from ledger.input_files import reading

_EXTRAS = {
    **dict.fromkeys(("s3", "s3a"), "s3"),
    **dict.fromkeys(("gs", "gcs"), "gcs"),
    **dict.fromkeys(("az", "abfs", "abfss", "adl"), "azure"),
}
_THREADS = 8
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created", "timeModified")

T = TypeVar("T")
R = TypeVar("R")


class Object(NamedTuple):
    """What a store says of one object.

    `digest` is that of its bytes, where the store or whoever uploaded it says; `is_checked` whether
    the store itself compared it with all of the bytes.
    """

    key: str
    size: int
    stamp: Stamp
    modified: float | None
    digest: str | None = None
    is_checked: bool = False


class Upload(NamedTuple):
    """One file on its way: how to read it, what it must hold, and what it is called."""

    open: Callable[[], BinaryIO]
    size: int
    digest: str
    shown: str


class Objects:
    """Objects below a URL."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._system, path = _connect(root, self._options())
        self._process = os.getpid()
        self.base = path.rstrip("/")

    @property
    def _fs(self) -> Any:
        if self._process != os.getpid():
            # Connections and their thread do not survive a fork.
            type(self._system).clear_instance_cache()
            self._system, _ = _connect(self._root, self._options())
            self._process = os.getpid()
        return self._system

    def _options(self) -> dict[str, Any]:
        return {}

    def url(self, key: str) -> str:
        """Return a key as people write it, without secrets."""
        return without_secrets(f"{self._root.split('://', 1)[0]}://{key.lstrip('/')}")

    def head(self, key: str) -> Object | None:
        """Return what is said of the object at `key`, None where there is none."""

        def look() -> Object | None:
            self._fs.invalidate_cache()
            info = self._fs.info(key)
            return None if info["type"] == "directory" else self._object(key, info)

        return self._ask(key, look)

    def find(self, prefix: str) -> Iterator[Object]:
        """Return every object whose key begins with `prefix` and "/", in no particular order."""

        def look() -> dict[str, dict[str, Any]]:
            self._fs.invalidate_cache()
            found: dict[str, dict[str, Any]] = self._fs.find(prefix, detail=True)
            return found

        above = self._fs._strip_protocol(prefix).rstrip("/") + "/"  # noqa: SLF001  (no other way)
        for path, info in (self._ask(prefix, look) or {}).items():
            if path.startswith(above):
                yield self._object(f"{prefix}/{path[len(above) :]}", info)

    def read(self, found: Object, start: int, end: int) -> bytes:
        """Return the bytes from `start` up to `end` of an object.

        Raises:
            MissingFileError: It is gone.
        """

        def get() -> bytes:
            data = self._get(found, start, end)
            if len(data) != end - start:
                raise ConnectionError(f"expected {end - start} bytes, got {len(data)}")
            return data

        if start >= end:
            return b""
        data = self._ask(found.key, get)
        if data is None:
            raise gone(self.url(found.key))
        return data

    def open(self, found: Object) -> BinaryIO:
        """Return a reader of an object that asks for ranges as they are read."""
        return ranged.seekable(partial(self.read, found), found.size)

    def stream(self, found: Object) -> BinaryIO:
        """Return a reader of all of an object, in order."""
        return ranged.straight(partial(self.read, found), found.size)

    def digest_of(self, found: Object) -> str:
        """Return the digest of an object by reading all of it."""
        with self.stream(found) as reader:
            return stream_digest(reader)[1]

    def upload(
        self, upload: Upload, key: str, progress: Callable[[int], None] | None = None
    ) -> None:
        """Have the bytes of `upload` at `key`; they are durable and compared when this returns.

        Raises:
            FileChangedError: The source does not hold what was expected; nothing was stored.
            DamagedContentError: Something else is at `key`; it is untouched.
        """
        found = self.head(key)
        if found is not None:
            self.require_same(found, upload.digest)
            return
        stage = f"{self.base}/.metaledger/{files.TEMPORARY_PREFIX}{secrets.token_hex(8)}"
        try:
            self._stage(upload, stage, progress)
            self.require_arrived(stage, upload)
            files.step("publish", key)
            self._make_folder_of(key)
            self._fs.mv(stage, key)
        except LedgerError:
            raise
        except Exception as error:
            raise refusal(self.url(key), error) from error
        finally:
            with suppress(Exception):
                self._fs.rm(stage)

    def replace(self, upload: Upload, key: str) -> None:
        """Have the few bytes of `upload` at `key`, whatever was there before.

        Raises:
            DamagedContentError: Something else is there afterwards.
        """
        with upload.open() as reader:
            data = reader.read()

        def put() -> None:
            files.step("publish", key)
            self._make_folder_of(key)
            self._fs.pipe_file(key, data)

        self._ask(key, put)
        self.require_arrived(key, upload)

    def require_same(self, found: Object, digest: str) -> None:
        """Compare an object with what is expected: by what the store vouches for, or all of it.

        Raises:
            DamagedContentError: It is something else.
        """
        there = found.digest or self.digest_of(found)
        if there != digest:
            raise DamagedContentError(
                f"{self.url(found.key)}: expected content {digest}, found {there}; restore it "
                "from a copy",
                url=self.url(found.key),
                expected=digest,
                found=there,
            )

    def require_arrived(self, key: str, upload: Upload) -> None:
        """Read an object back, and compare it with what was sent.

        Raises:
            DamagedContentError: It is something else, or not there.
        """
        found = self.head(key)
        arrived = "nothing" if found is None else self.digest_of(found)
        if arrived != upload.digest:
            raise DamagedContentError(
                f"{self.url(key)}: expected {upload.digest} to arrive, found {arrived}; remove it "
                "and try again",
                url=self.url(key),
                expected=upload.digest,
                found=arrived,
            )

    def remove(self, keys: Iterable[str]) -> None:
        """Remove objects; what is not there is fine."""

        def work(key: str) -> None:
            self._fs.invalidate_cache()
            self._fs.rm(key)

        for key in keys:
            self._ask(key, partial(work, key))

    def remove_folder(self, key: str) -> None:
        """Remove what is left of a folder whose objects are gone, where folders are things."""
        with suppress(Exception):
            self._fs.invalidate_cache()
            self._fs.rm(key, recursive=True)

    def unfinished(self, _prefix: str) -> Iterator[Object]:
        """Return uploads below `prefix` that were begun, never finished, and are no objects."""
        return iter(())

    def abandon(self, found: Object) -> None:
        """Take an unfinished upload away."""

    def together(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return what `work` returns for each of `items`, several at once."""
        given = list(items)
        if len(given) <= 1:
            return [work(item) for item in given]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            return list(pool.map(work, given))

    # --- what depends on the file system --------------------------------------------------------

    def _ask(self, key: str, work: Callable[[], T]) -> T | None:
        """Return what `work` returns, None where nothing is there."""
        try:
            return retrying(self.url(key), work)
        except FileNotFoundError as error:
            if isinstance(error, LedgerError):
                raise
            return None

    def _get(self, found: Object, start: int, end: int) -> bytes:
        data: bytes = self._fs.cat_file(found.key, start=start, end=end)
        return data

    def _object(self, key: str, info: dict[str, Any]) -> Object:
        modified = next((info[name] for name in _TIMES if info.get(name)), None)
        if modified is None:
            with suppress(Exception):
                modified = self._fs.modified(info["name"])
        size = int(info.get("size") or 0)
        tag = next((str(info[name]) for name in ("ETag", "etag", "md5Hash") if info.get(name)), "")
        return Object(key, size, (size, tag, str(modified)), _seconds(modified))

    def _make_folder_of(self, key: str) -> None:
        self._fs.makedirs(key.rpartition("/")[0], exist_ok=True)

    def _stage(self, upload: Upload, stage: str, progress: Callable[[int], None] | None) -> None:
        self._make_folder_of(stage)
        sha256 = hashlib.sha256()
        with upload.open() as reader, self._fs.open(stage, "wb") as writer:
            while True:
                with reading(upload.shown):
                    block = reader.read(files.BLOCK)
                if not block:
                    break
                files.step("write", stage)
                writer.write(block)
                sha256.update(block)
                if progress is not None:
                    progress(len(block))
        require_digest(upload, f"sha256:{sha256.hexdigest()}")


def require_digest(upload: Upload, found: str) -> None:
    """Compare what was read from a source with what it must hold.

    Raises:
        FileChangedError: They differ.
    """
    if found != upload.digest:
        raise FileChangedError(
            f"{upload.shown}: expected {upload.digest} as it was hashed, found {found} while it "
            "was copied; wait until nothing writes to it any more",
            path=upload.shown,
            expected=upload.digest,
            found=found,
        )


def gone(url: str) -> MissingFileError:
    """Return the error for content that was asked for and is not there."""
    shown = without_secrets(url)
    return MissingFileError(f"{shown}: nothing is stored there", url=shown)


def _connect(root: str, options: dict[str, Any]) -> tuple[Any, str]:
    shown = without_secrets(root)
    try:
        import fsspec  # noqa: PLC0415  (slow to load)

        fs, path = fsspec.url_to_fs(root, **options)
    except ImportError as error:
        extra = _EXTRAS.get(root.split("://", 1)[0])
        way_out = "" if extra is None else f"; pip install 'metaledger[{extra}]'"
        raise MissingDependencyError(
            f"{shown}: needs a package that is not installed ({error}){way_out}", root=shown
        ) from error
    except ValueError as error:
        raise InvalidValueError(
            f"{shown}: expected a path or a URL of a known protocol ({error})", root=shown
        ) from error
    return fs, str(path)


def _seconds(moment: object) -> float | None:
    if isinstance(moment, datetime):
        return moment.timestamp()
    if isinstance(moment, int | float):
        return float(moment)
    if isinstance(moment, str):
        with suppress(ValueError):
            return datetime.fromisoformat(moment).timestamp()
    return None
