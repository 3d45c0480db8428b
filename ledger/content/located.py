"""The place of one artifact's bytes: under a name in a store, or in place below the store's root.

Content in place is a file or folder that lay in the storage before it was registered. Anybody may
change it, so only reading its bytes can verify it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ledger.content.hashing import hash_path
from ledger.content.local import contents_at
from ledger.content.store import ContentStore, StoredContents, damaged, digest_of, name_in_store
from ledger.content.tree import Stamp
from ledger.errors import MissingFileError

if TYPE_CHECKING:
    from ledger.content.content_at_url import ContentAtUrl


def stored_name(stated: Mapping[str, Any]) -> str | None:
    """Return the name of an artifact's content in its store; None for one in place, or unseen."""
    key = stated["storage_key"]
    return None if stated["in_place"] or key is None else name_in_store(key)


class LocatedContent:
    """The content of an artifact, wherever it is.

    Args:
        store: The storage that its event names.
        stated: `storage_key`, `in_place`, `digest` and `n_files` of its event.
    """

    def __init__(self, store: ContentStore, stated: Mapping[str, Any]) -> None:
        self._store = store
        self._stated = stated
        self._digest: str = stated["digest"]
        self._name = stored_name(stated)

    @property
    def path(self) -> Path | str:
        """A path of this computer, or a URL."""
        if self._name is not None:
            local = self._store.local_path(self._name)
            return self._store.url(self._name) if local is None else local
        root, key = self._store.root, self._stated["storage_key"]
        return f"{root.rstrip('/')}/{key}" if "://" in root else Path(root, key)

    def exists(self) -> bool:
        """Tell whether anything is there."""
        if self._name is not None:
            return self._store.exists(self._name)
        place = self.path
        return place.exists() if isinstance(place, Path) else self.size({}) is not None

    def size(self, listed: Mapping[str, int]) -> int | None:
        """Return the number of bytes; None if nothing is there, or if only reading would tell.

        Args:
            listed: Sizes by name, as the store listed them.
        """
        if self._name is not None:
            return listed.get(self._name)
        place = self.path
        if not isinstance(place, Path):
            return _at_url(place).size()
        is_folder = self._stated["n_files"] is not None
        return None if is_folder or not place.exists() else place.stat().st_size

    def stat(self) -> Stamp | None:
        """Return the stamp of stored content; None for content that has no trustworthy stamp."""
        return None if self._name is None else self._store.stat(self._name)

    def open(self) -> BinaryIO:
        """Return a reader of a file that is elsewhere; its bytes are not compared.

        Raises:
            MissingFileError: The file is missing.
        """
        if self._name is not None:
            return self._store.open(self._name)
        return _at_url(str(self.path)).open()

    def verify(self) -> None:
        """Read every byte and compare the digest with that of the event.

        Raises:
            DamagedContentError: The content is missing or differs.
            StorageError: The content cannot be read, which is not yet damage.
        """
        if self._name is not None:
            is_folder = self._stated["n_files"] is not None
            self._store.verify(self._name, self._digest, is_folder)
            return
        place = self.path
        # Every byte is read here: remembered hashes and claims of a store prove nothing.
        if isinstance(place, Path) and place.exists():
            found = hash_path(place).digest
        else:
            found = digest_of(self._contents())
        if found != self._digest:
            raise damaged(str(place), self._digest, found)

    def fetch(self, dest: Path, *, mode: int | None = None) -> None:
        """Copy the content to `dest`, which appears whole and verified, or not at all.

        Raises:
            DamagedContentError: The content is missing or differs; `dest` stays free.
            PathTakenError: Something is at `dest`; it is untouched.
            StorageError: The store or the disk refused.
        """
        if self._name is not None:
            self._store.fetch(self._name, dest, self._digest, mode=mode)
            return
        self._contents().fetch(dest, self._digest, mode=mode)

    def remove(self) -> None:
        """Remove the content from its store; content in place stays."""
        if self._name is not None:
            self._store.remove(self._name)

    def _contents(self) -> StoredContents:
        place = self.path
        try:
            return contents_at(place) if isinstance(place, Path) else _at_url(place).contents()
        except MissingFileError as error:
            raise damaged(str(place), self._digest, "nothing") from error


def _at_url(url: str) -> ContentAtUrl:
    from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only for URLs)

    return ContentAtUrl(url)
