"""From a path or URL that a user names to the hashed content of an artifact."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ledger.content.hashing import hash_path
from ledger.content.store import FOLDER, ContentStore, StoredContents, name_in_store
from ledger.content.tree import HashedContent, walk
from ledger.decisions.facts import Decision, Notice
from ledger.display.progress import progress
from ledger.errors import (
    InvalidValueError,
    LedgerError,
    MissingFileError,
    UnsupportedFileError,
    printable,
)
from ledger.input_files import is_file_url, named_path, path_of_url
from ledger.model.canonical import nfc
from ledger.model.commands import Content
from ledger.model.events import ArtifactRegistered, ArtifactRelocated
from ledger.model.schema import ARTIFACT, FieldSpec
from ledger.places.config import Place
from ledger.registries.checks import check_text
from ledger.registries.fetching import Fetched, is_web_url
from ledger.registries.frames import is_frame, write_parquet
from ledger.registries.loaders import is_loadable
from ledger.user_settings import settings

_COMPRESSED = {".gz", ".bz2", ".xz", ".zst", ".zip", ".lz4"}
# What begins with a digit and goes on is the rest of a number or a date: `model-3.78.0__factors`.
_SUFFIX = re.compile(r"(\.(?!\d[\w+-]{4})[A-Za-z0-9_+-]{1,16}){1,2}")


class LocalContent:
    """Hashed content at a path of this computer or at a URL, on its way into a storage."""

    def __init__(
        self,
        ledger: Any,
        path: Path | str,
        hashed: HashedContent,
        storage: str | None = None,
        kept: object = None,
    ) -> None:
        """Hold content; with it `kept`, which may hold the folder that the content lies in."""
        self._ledger = ledger
        self._kept = kept
        self._put: set[str] = set()
        self._storage = ledger.place.configuration.storage if storage is None else storage
        self.path = path
        self.hashed = hashed

    @classmethod
    def at(
        cls,
        ledger: Any,
        place: str | os.PathLike[str],
        *,
        rehash: bool = False,
        storage: str | os.PathLike[str] | None = None,
    ) -> LocalContent:
        """Return the content at a path or URL, hashed; content on a web server is fetched first.

        Raises:
            MissingFileError: There is nothing at the place.
            UnreadableFileError: The content cannot be read.
            UnsupportedFileError: It is neither a file nor a folder of files.
            FileChangedError: It keeps changing while it is read.
        """
        chosen = storage_named(ledger, settings.storage if storage is None else storage)
        if isinstance(place, str):
            place = str.__str__(place)  # Of a subclass, such as numpy's.
        if isinstance(place, str) and "://" in place:
            from ledger.content.content_at_url import is_streamed  # noqa: PLC0415 (only for URLs)

            if not is_file_url(place) and is_streamed(place):
                return cls(ledger, *_streamed(ledger, place, rehash=rehash), chosen)
        path, fetched = local_path(place)
        _refuse_own_folder(path, ledger.place)
        cache = ledger.hash_cache if fetched is None else None
        with _hashing(path) as step:
            hashed = hash_path(path, cache=cache, rehash=rehash, progress=step)
        return cls(ledger, path, hashed, chosen, fetched)

    @classmethod
    def of_frame(
        cls, ledger: Any, frame: object, *, storage: str | os.PathLike[str] | None = None
    ) -> LocalContent:
        """Return a table as content: a file of Parquet that goes when the content is let go.

        Raises:
            InvalidValueError: It is no table, or Parquet cannot hold it.
        """
        chosen = storage_named(ledger, settings.storage if storage is None else storage)
        folder = tempfile.mkdtemp(prefix="metaledger-")
        path = Path(folder, "table.parquet")
        try:
            write_parquet(frame, path)
            content = cls(ledger, path, hash_path(path), chosen)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        weakref.finalize(content, shutil.rmtree, folder, ignore_errors=True)
        return content

    def described(self) -> Content:
        """Return the description of the content that a command carries."""
        store = self._ledger.store(self._storage)
        return Content(
            hash=self.hashed.hash,
            hash_type=self.hashed.hash_type,
            digest=self.hashed.digest,
            size=self.hashed.size,
            n_files=self.hashed.n_files if self.hashed.is_folder else None,
            suffix=suffix_of(Path(self.path)),
            storage=self._storage,
            in_place=store.holds(self.path),
        )

    def gone_from(self, row: Mapping[str, Any]) -> tuple[str, str] | None:
        """Return storage and storage key of an artifact of this content, if it is not there now.

        A file in place is compared; its hash is remembered. Stored content is looked for on this
        computer; a storage elsewhere is asked only where the content would lie in place.
        """
        try:
            located = self._ledger.content(row)
            place = located.path
            if row["in_place"] and os.fspath(place) == os.fspath(self.path):
                return None
            if isinstance(place, Path) and row["in_place"]:
                found = hash_path(place, cache=self._ledger.hash_cache).digest
                is_there = found == row["digest"]
            else:
                is_there = (isinstance(place, str) and not row["in_place"]) or located.exists()
        except (MissingFileError, UnsupportedFileError):
            is_there = False
        except LedgerError:
            # Trouble to look says nothing of the content.
            is_there = True
        return None if is_there else (row["storage"], row["storage_key"])

    def prepare(self, decision: Decision) -> None:
        """Make the content durable at the place that the decision's event names."""
        for event in decision.events:
            if isinstance(event, ArtifactRegistered | ArtifactRelocated) and not event.in_place:
                store: ContentStore = self._ledger.store(event.storage)
                name = name_in_store(event.storage_key)
                # Called before and inside the transaction; the second call stores only if needed.
                if name not in self._put or not store.exists(name):
                    # Content that no event would name is not stored.
                    self._ledger.database.require_writable()
                    self._ledger.marks.leave(store.root)
                    self._store(store, name)
                    self._put.add(name)

    def _store(self, store: ContentStore, name: str) -> None:
        source: Path | StoredContents
        if isinstance(self.path, str):
            from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only for URLs)

            source = ContentAtUrl(self.path).contents()
        else:
            source = self.path
        if threading.current_thread() is not threading.main_thread():
            # Saving many at once has one progress bar for all of them.
            store.put(source, name, self.hashed)
            return
        with progress("storing", self.hashed.size, unit="bytes") as step:
            store.put(source, name, self.hashed, progress=step)


@contextmanager
def _hashing(path: Path) -> Iterator[Callable[[int], None] | None]:
    """Show how far hashing has come, where no other thread shows a bar of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield None
        return
    # The size of a folder is known when it was walked through, which hashing does.
    size = path.stat().st_size if path.is_file() else None
    with progress("hashing", size, unit="bytes") as step:
        yield step


def storage_named(ledger: Any, storage: str | os.PathLike[str] | None) -> str | None:
    """Return the name of a storage in events; None for the default storage.

    Raises:
        InvalidValueError: The storage is neither a folder nor a URL.
    """
    if storage is None:
        return None
    text: object = os.fspath(storage) if isinstance(storage, os.PathLike) else storage
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise InvalidValueError(f"storage: expected a folder or a URL, got {storage!r}")
    if isinstance(storage, str) and "://" in text:
        text = text.rstrip("/")
    else:
        text = str(named_path(text if isinstance(storage, str) else Path(text)))
    is_default = text == ledger.place.storage_root.rstrip("/")
    return None if is_default or storage == ledger.place.configuration.storage else text


def _streamed(ledger: Any, url: str, *, rehash: bool) -> tuple[str, HashedContent]:
    """Return a URL and its content, hashed as a stream; the hash is reused while unchanged."""
    from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only for URLs)
    from ledger.content.hash_cache import HashCache  # noqa: PLC0415

    elsewhere = ContentAtUrl(url)
    cache = HashCache(ledger.cache_folder / "urls.sqlite3")
    try:
        with progress("hashing", elsewhere.size() or 0, unit="bytes") as step:
            return elsewhere.url, elsewhere.hashed(cache=cache, rehash=rehash, progress=step)
    finally:
        cache.close()


def _refuse_own_folder(path: Path, ledger: Place) -> None:
    """Refuse the ledger itself as content: it changes with every event.

    Raises:
        UnsupportedFileError: The path is the ledger's own folder, lies in it, or holds it.
    """
    # Path.resolve() would raise an error of its own for links that form a circle.
    real, own = Path(os.path.realpath(path)), Path(os.path.realpath(ledger.folder))
    storage = Path(os.path.realpath(ledger.storage_root))
    if own in storage.parents and storage in real.parents:
        return
    if real == own or own in real.parents or real in own.parents:
        raise UnsupportedFileError(
            f"{path}: holds the ledger itself ({own}), which changes with every event; "
            "register a folder beside it",
            path=str(path),
        )


def local_path(place: str | os.PathLike[str]) -> tuple[Path, Fetched | None]:
    """Return a path of this computer for a path or URL; content elsewhere is fetched.

    What is fetched lies there as long as the second value is held.
    """
    text: object = os.fspath(place) if isinstance(place, os.PathLike) else place
    if not isinstance(text, str):
        # The message shows the type only: the value may be the content itself.
        way_out = "write the content to a file and name that"
        if is_frame(place):
            way_out = "Artifact.from_df(df, key='…') takes a table"
        raise InvalidValueError(
            f"artifact: expected a path or URL, got {type(place).__name__}; {way_out}"
        )
    text = str.__str__(text)
    if not text.strip() or "\0" in text or not _is_path(text):
        raise InvalidValueError(f"artifact: expected a path or URL, got {text!r}")
    if isinstance(place, str) and is_file_url(text):
        return path_of_url(text), None
    if isinstance(place, str) and "://" in text:
        fetched = Fetched(text)
        return fetched.path, fetched
    return named_path(text if isinstance(place, str) else Path(text)), None


def local_folder(place: str | os.PathLike[str]) -> tuple[Path, Fetched | None]:
    """Return `local_path` of a folder.

    Raises:
        InvalidValueError: It is no folder.
    """
    if isinstance(place, str) and is_web_url(place):
        raise InvalidValueError(
            f"from_dir {place}: expected a folder, and a URL of a web server is one file"
        )
    root, fetched = local_path(place)
    if not root.is_dir():
        raise InvalidValueError(f"from_dir {printable(root)}: expected a folder")
    return root, fetched


def _is_path(text: str) -> bool:
    try:
        os.fsencode(text)
    except UnicodeEncodeError:
        return False
    return True


def files_below(root: Path, prefix: str | None) -> tuple[dict[str, Path], int]:
    """Return the files below a folder by their keys, in order of path, and the sum of their sizes.

    Raises:
        UnsupportedFileError: Something below it is no file: a link to a folder or to nothing.
        UnreadableFileError: A folder cannot be listed.
        InvalidValueError: Two files would have one key.
    """
    found: dict[str, Path] = {}
    walked = walk(root, may_lead_out=True, without=FOLDER)
    for file in sorted(walked, key=lambda it: it.name.split("/")):
        key = nfc(f"{prefix}/{file.name}" if prefix else file.name)
        path = Path(file.path)
        other = found.setdefault(key, path)
        if other != path:
            raise InvalidValueError(
                f"{printable(root)}: the names {str(other.relative_to(root))!a} and {file.name!a} "
                "differ only in how Unicode writes their letters, and would have one key; "
                "rename one of them"
            )
    return found, sum(file.size for file in walked)


def suffix_of(path: Path) -> str:
    """Return the ending of a file name: `.csv`, `.fcs`, `.tar.gz`; "" if it has none."""
    name = path.name
    endings = path.suffixes
    suffix = endings[-1] if endings else ""
    if suffix.lower() in _COMPRESSED and len(endings) > 1:
        suffix = "".join(endings[-2:])
    return suffix if _SUFFIX.fullmatch(suffix) and not name.startswith(suffix) else ""


def suffix_of_key(key: str | None) -> str:
    """Return the ending of a key; "" if it has none, or there is no key."""
    return "" if key is None else suffix_of(Path(key))


def check_key(key: object) -> str | None:
    """Return a key as it is recorded.

    Raises:
        InvalidValueError: It is not a relative path without `..`, or it is too long.
    """
    if key is None:
        return None
    if isinstance(key, os.PathLike):
        key = os.fspath(key)
    field = ARTIFACT.field("key")
    assert isinstance(field, FieldSpec)  # noqa: S101 (for the type checker)
    text = str(check_text("Artifact.key", key, field, required=True))
    parts = text.split("/")
    if text.startswith("/") or "\\" in text or any(part in {"", ".", ".."} for part in parts):
        raise InvalidValueError(
            f"Artifact.key: expected a relative path such as 'raw/sample.fcs', got {text!r}"
        )
    return nfc(text)


def notices_of_endings(key: str | None, suffix: str) -> list[Notice]:
    """Return a sentence where a key ends otherwise than its file: programs go by endings."""
    ending = suffix_of_key(key)
    if not is_loadable(ending) or ending.lower() == suffix.lower():
        return []
    of_file = f"'{suffix}'" if suffix else "nothing"
    text = f"key '{key}' ends in '{ending}', and the file in {of_file}: load() goes by the key"
    return [Notice("warning", text)]
