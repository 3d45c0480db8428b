"""Search for a text: the database finds words, an index in memory finds similar names.

The index only suggests uids; the records always come from the database.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.model.schema import REGISTRIES
from projections.select import And, Operator, Or, Test, Where

_CANDIDATES = 500


def _any_field(fields: Sequence[str], operator: Operator, text: str) -> Where:
    return Or(tuple(Test((field,), operator, text) for field in fields))


def search(query: Any, text: str, *, limit: int) -> list[Any]:
    """Return the records of a query that match a text best, best first.

    The database finds the records that contain every word; similar names are added for typos.
    """
    from projections.names.search import search_rank  # noqa: PLC0415 (loads rapidfuzz)

    spec = REGISTRIES[query.registry]
    words = text.split()
    if not words:
        return []
    fields = (*spec.searched, "uid")
    every_word = And(tuple(_any_field(fields, "icontains", word) for word in words))
    found: dict[str, Any] = {}
    # Records that begin with the text come first, so that lesser matches never crowd them out.
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
