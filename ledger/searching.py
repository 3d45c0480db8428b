"""Search by name: similar names that a person may have meant, and full search of a text.

The index of similar names is kept in memory for each registry and catches up with the read models
by position; the database is the truth, the index only advice.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ledger.handler import Handler
from ledger.schema import REGISTRIES
from projections.names.index import NameIndex, SimilarNames
from projections.select import And, Operator, Or, Test, Where

if TYPE_CHECKING:
    from ledger.query import QuerySet

_CANDIDATES = 500


class NameSearch:
    """Similar names of one registry, as it is now."""

    def __init__(self, handler: Handler, registry: str) -> None:
        self._handler = handler
        self._registry = registry
        self._index = NameIndex()
        self._position = 0
        self._lock = threading.Lock()

    def similar(self, name: str, *, limit: int) -> SimilarNames:
        """Return the live records whose names resemble `name`, most similar first."""
        with self._lock, self._handler.reading() as session:
            changed = session.models.changed_names(self._registry, after=self._position)
            for row in changed:
                if row["is_live"] and row["name"] is not None:
                    self._index.put(row["uid"], row["name"])
                else:
                    self._index.discard(row["uid"])
                self._position = max(self._position, row["position"])
            if changed:
                # A batch that fails takes back what the index has learnt, and its positions.
                self._handler.on_undo(self._forget)
            return self._index.similar(name, limit=limit)

    def _forget(self) -> None:
        with self._lock:
            self._index, self._position = NameIndex(), 0


def _any_field(fields: Sequence[str], operator: Operator, text: str) -> Where:
    return Or(tuple(Test((field,), operator, text) for field in fields))


def search(query: QuerySet[Any], text: str, *, limit: int) -> list[Any]:
    """Return the records of a query that match a text best, best first.

    The database finds those in which every word occurs; similar names are added, so that a typo
    finds what was meant.
    """
    from projections.names.search import search_rank  # noqa: PLC0415 (loads rapidfuzz)

    spec = REGISTRIES[query.registry]
    words = text.split()
    if not words:
        return []
    fields = (*spec.searched, "uid")
    every_word = And(tuple(_any_field(fields, "icontains", word) for word in words))
    found: dict[str, Any] = {}
    # What begins like the text comes first, so that no crowd of lesser matches can hide it.
    for where in (_any_field(fields, "istartswith", text.strip()), every_word):
        for record in query._narrowed(where)[:_CANDIDATES]:
            found.setdefault(record.uid, record)
    ranked = []
    for record in found.values():
        ranks = [
            search_rank(text, str(value))
            for field in fields
            if (value := record._row.get(field)) is not None
        ]
        ranked.append((max((rank for rank in ranks if rank is not None), default=0.0), record))
    ranked.sort(key=lambda pair: -pair[0])
    records = [record for _, record in ranked]
    if spec.is_named and len(records) < limit:
        known = {record.uid for record in records}
        ledger = query._source.ledger
        similar = ledger.name_search(query.registry).similar(text, limit=limit)
        uids = [hit.uid for hit in similar.hits if hit.uid not in known]
        by_uid = {record.uid: record for record in query.filter(uid__in=uids)} if uids else {}
        records += [by_uid[uid] for uid in uids if uid in by_uid]
    return records[:limit]
