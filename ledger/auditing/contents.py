"""Stored contents read again: what the log says of each artifact's bytes, and what is there.

Nothing that was remembered about a file is believed; every byte of what is looked at is read. With
a sample, which artifacts are looked at is drawn anew each time, so that nobody can know it before.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import Any

from ledger.auditing.findings import Finding
from ledger.content.backends import open_store
from ledger.content.located import LocatedContent
from ledger.content.store import ContentStore
from ledger.errors import LedgerError

Row = dict[str, Any]


class ContentAudit:
    """The stores of a ledger, and how much was read of them."""

    def __init__(self) -> None:
        self.read = 0
        self.bytes = 0
        self._stores: dict[str, ContentStore] = {}
        self._seen: dict[tuple[str, str, str], str | None] = {}

    def check(self, row: Row) -> Iterator[Finding]:
        """Read the content of an artifact's row and yield what is wrong with it."""
        place = (row["storage"], row["storage_key"], row["digest"])
        if place not in self._seen:
            self.read += 1
            self.bytes += row["size"]
            self._seen[place] = self._wrong(row)
        said = self._seen[place]
        if said is not None:
            yield Finding(
                kind="content",
                position=row["created_position"],
                subject=f"artifact {row['uid']}",
                expected=row["digest"],
                found=said,
            )

    def _wrong(self, row: Row) -> str | None:
        """Return what is there instead of the content; None where it is as it should be."""
        try:
            LocatedContent(self._store(row["storage"]), row).verify()
        except LedgerError as error:
            return str(error)
        except (OSError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {error}"
        return None

    def _store(self, root: str) -> ContentStore:
        if root not in self._stores:
            self._stores[root] = open_store(root)
        return self._stores[root]


def drawn(rows: list[Row], share: float) -> list[Row]:
    """Return a share of the rows, drawn by chance; at least one where there is any."""
    count = max(1, round(len(rows) * share)) if rows else 0
    return secrets.SystemRandom().sample(rows, min(count, len(rows)))
