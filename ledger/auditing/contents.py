"""Stored contents read again, and compared with the log.

Cached hashes are never believed: every byte of a chosen content is read. A sample is drawn again
for each audit, so that nobody can predict it. Where one is wrong, the cached hashes are forgotten.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from ledger.auditing.findings import Finding
from ledger.auditing.subjects import Subject
from ledger.content.backends import open_store
from ledger.content.hash_cache import HashCache
from ledger.content.located import LocatedContent
from ledger.content.store import ContentStore
from ledger.errors import LedgerError
from ledger.places import instance
from ledger.places.caches import cache_folder

Row = dict[str, Any]


class ContentAudit:
    """The stores of a ledger, and the amount read from them."""

    def __init__(self, subject: Subject) -> None:
        self.read = 0
        self.bytes = 0
        self._place = subject.place
        self._resolved = subject.resolved
        self._stores: dict[str, ContentStore | None] = {}
        self._seen: dict[tuple[str, str, str], str | None] = {}

    def check(self, row: Row) -> Iterator[Finding]:
        """Read the content of an artifact's row, and yield a finding if it is wrong.

        A storage that cannot be found is one finding; its contents are passed over.
        """
        storage = row["storage"]
        if storage not in self._stores:
            self._stores[storage] = None
            try:
                self._stores[storage] = open_store(self._resolved(storage))
            except (LedgerError, OSError, TypeError, ValueError) as error:
                yield Finding(
                    kind="unreadable",
                    subject=f"storage {storage}",
                    expected="a storage that can be found",
                    found=str(error),
                )
        store = self._stores[storage]
        if store is None:
            return
        place = (storage, row["storage_key"], row["digest"])
        if place not in self._seen:
            self.read += 1
            self.bytes += row["size"]
            self._seen[place] = _wrong(store, row)
        said = self._seen[place]
        if said is not None:
            self._distrust_hashes()
            yield Finding(
                kind="content",
                position=row["created_position"],
                subject=f"artifact {row['uid']}",
                expected=row["digest"],
                found=said,
            )

    def _distrust_hashes(self) -> None:
        """Forget the remembered hashes of files, once: one of them may be as wrong."""
        place, self._place = self._place, None
        if place is None:
            return
        here = instance.opened_at(place)
        for ledger in here:
            ledger.hash_cache.forget()
        if here:
            return
        cache = HashCache(cache_folder(place) / "hashes.sqlite3")
        cache.forget()
        cache.close()


def _wrong(store: ContentStore, row: Row) -> str | None:
    """Return the error of wrong content as text; None if the content is right."""
    try:
        LocatedContent(store, row).verify()
    except LedgerError as error:
        return str(error)
    except (OSError, TypeError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None


def drawn(rows: list[Row], share: float) -> list[Row]:
    """Return a random share of the rows, at least one if there are any."""
    count = max(1, round(len(rows) * share)) if rows else 0
    return secrets.SystemRandom().sample(rows, min(count, len(rows)))
