"""Objects elsewhere, on any file system that fsspec reaches; the remote store is built on them.

1. A key is text below a bucket or host, without the protocol. A missing object is an answer (None);
   every other trouble is a `StorageError`, after passing trouble was retried.
2. `upload` makes an object appear whole, with the expected bytes, or not at all; an object that has
   the key already is compared and never overwritten.
3. On an unknown file system, `upload` writes a temporary beside, reads it back, compares it and
   moves it. Such a move may overwrite; this is harmless, as the key is made from the bytes, so two
   writers of one key bring the same ones.
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
    **dict.fromkeys(("http", "https"), "http"),
}
_THREADS = 8
_TIMES = ("LastModified", "last_modified", "mtime", "updated", "created", "timeModified")

T = TypeVar("T")
R = TypeVar("R")


class Object(NamedTuple):
    """A store's description of one object.

    `digest` is that of its bytes, if the store or the uploader recorded it; `is_checked` tells
    whether the store itself compared it with all of the bytes.
    """

    key: str
    size: int
    stamp: Stamp
    modified: float | None
    digest: str | None = None
    is_checked: bool = False


class Upload(NamedTuple):
    """One file to upload: its reader, its expected size and digest, and its name in messages."""

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
            # After a fork, connections and their thread are gone.
            type(self._system).clear_instance_cache()
            self._system, _ = _connect(self._root, self._options())
            self._process = os.getpid()
        return self._system

    def _options(self) -> dict[str, Any]:
        return {}

    def url(self, key: str) -> str:
        """Return the URL of a key, without secrets."""
        return without_secrets(f"{self._root.split('://', 1)[0]}://{key.lstrip('/')}")

    def head(self, key: str) -> Object | None:
        """Return the description of the object at `key`; None if there is none."""

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
            MissingFileError: The object is gone.
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
        """Return a reader of an object that requests ranges as they are read."""
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
        """Store the bytes of `upload` at `key`; they are durable and compared when this returns.

        Raises:
            FileChangedError: The source has changed since it was hashed; nothing was stored.
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
        """Store the few bytes of `upload` at `key`, in place of any object there.

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
        """Compare an object with a digest, by the store's own digest or by reading all of it.

        Raises:
            DamagedContentError: They differ.
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
        """Read an object back, and compare it with its upload.

        Raises:
            DamagedContentError: The object differs or is missing.
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
        """Remove objects; some may be missing."""

        def work(key: str) -> None:
            self._fs.invalidate_cache()
            self._fs.rm(key)

        for key in keys:
            self._ask(key, partial(work, key))

    def remove_folder(self, key: str) -> None:
        """Remove an empty folder, on file systems that keep folders."""
        with suppress(Exception):
            self._fs.invalidate_cache()
            self._fs.rm(key, recursive=True)

    def unfinished(self, _prefix: str) -> Iterator[Object]:
        """Return the unfinished uploads below `prefix`, which are no objects yet."""
        return iter(())

    def abandon(self, found: Object) -> None:
        """Remove an unfinished upload."""

    def together(self, work: Callable[[T], R], items: Iterable[T]) -> list[R]:
        """Return the results of `work` for `items`, several at once."""
        given = list(items)
        if len(given) <= 1:
            return [work(item) for item in given]
        with ThreadPoolExecutor(max_workers=_THREADS) as pool:
            return list(pool.map(work, given))

    # --- the parts that depend on the file system -----------------------------------------------

    def _ask(self, key: str, work: Callable[[], T]) -> T | None:
        """Return the result of `work`; None if nothing is there."""
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
    """Compare the digest read from a source with the expected one.

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
    """Return the error for missing content."""
    shown = without_secrets(url)
    return MissingFileError(f"{shown}: nothing is stored there", url=shown)


def needs_package(url: str, error: ImportError) -> MissingDependencyError:
    """Return the error for a URL whose protocol needs a package, with the extra that brings it."""
    shown = without_secrets(url)
    extra = _EXTRAS.get(url.split("://", 1)[0].lower())
    way_out = "" if extra is None else f"; pip install 'metaledger[{extra}]'"
    return MissingDependencyError(
        f"{shown}: needs a package that is not installed ({error}){way_out}", root=shown
    )


def _connect(root: str, options: dict[str, Any]) -> tuple[Any, str]:
    shown = without_secrets(root)
    try:
        import fsspec  # noqa: PLC0415  (slow to load)

        fs, path = fsspec.url_to_fs(root, **options)
    except ImportError as error:
        raise needs_package(root, error) from error
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
