"""Search for a text: the database finds words, indexes in memory find what a typo may mean.

1. Records that contain every word come first: those whose name or key matches before those of
   which only the description does, and better matches before lesser ones.
2. Records whose whole name is similar follow.
3. If no record contains every word, each word may also stand for similar words of the registry.
4. The indexes only suggest; the records always come from the database.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ledger.model.canonical import nfc
from ledger.model.schema import RegistrySpec
from projections.select import And, Operator, Or, Test, Where

_CANDIDATES = 500


def search(query: Any, text: str, *, limit: int) -> list[Any]:
    """Return the records of a query that match a text best, best first."""
    spec = query._spec
    if not text.split():
        return []
    records = _containing(query, spec, text)
    has_exact = bool(records)
    if spec.is_named and len(records) < limit:
        ledger = query._source.ledger
        similar = ledger.name_search(query.registry).similar(text, limit=limit)
        uids = [hit.uid for hit in similar.hits if hit.uid not in records]
        by_uid = {record.uid: record for record in query.filter(uid__in=uids)} if uids else {}
        records |= {uid: by_uid[uid] for uid in uids if uid in by_uid}
    if spec.searched and not has_exact and len(records) < limit:
        for record in _meant(query, spec, text):
            records.setdefault(record.uid, record)
    return list(records.values())[:limit]


def _containing(query: Any, spec: RegistrySpec, text: str) -> dict[str, Any]:
    """Return the records that contain every word of a text by their uids, best first."""
    from projections.names.search import search_rank  # noqa: PLC0415 (loads rapidfuzz)

    fields = (*spec.searched, "uid")
    every_word = And(tuple(_any_field(fields, "icontains", word) for word in text.split()))
    found: dict[str, Any] = {}
    # Records that begin with the text come first, so that lesser matches never crowd them out.
    for where in (_any_field(fields, "istartswith", text.strip()), every_word):
        for record in query._narrowed(where)[:_CANDIDATES]:
            found.setdefault(record.uid, record)

    def order(record: Any) -> tuple[bool, float]:
        ranks = {
            field: rank
            for field in fields
            if (value := record._row.get(field)) is not None
            and (rank := search_rank(text, str(value))) is not None
        }
        is_named_so = any(field != "description" for field in ranks)
        return is_named_so, max(ranks.values(), default=0.0)

    best_first = sorted(found.values(), key=order, reverse=True)
    return {record.uid: record for record in best_first}


def _meant(query: Any, spec: RegistrySpec, text: str) -> list[Any]:
    """Return the records of which every word of a text may be a typo, the most similar first."""
    from projections.names.normalise import split_words  # noqa: PLC0415 (as the search itself)

    words = query._source.ledger.word_search(query.registry)
    meanings = []
    for word in split_words(nfc(text)):
        similar = words.similar(word) | {word.casefold(): 100.0}
        meanings.append(dict(sorted(similar.items(), key=lambda pair: -pair[1])))
    if all(len(meaning) == 1 for meaning in meanings):
        return []
    where = And(
        tuple(
            Or(tuple(_any_field(spec.searched, "icontains", word) for word in meaning))
            for meaning in meanings
        )
    )
    found = query._narrowed(where)[:_CANDIDATES]
    ranked = [(_nearness(record, spec, meanings), record) for record in found]
    ranked.sort(key=lambda pair: pair[0], reverse=True)
    return [record for _, record in ranked]


def _nearness(
    record: Any, spec: RegistrySpec, meanings: Sequence[Mapping[str, float]]
) -> tuple[bool, float]:
    """Return whether a name or key holds every word that may be meant, and the sum of scores."""
    best = (False, 0.0)
    for field in spec.searched:
        value = str(record._row.get(field) or "").casefold()
        scores = [
            next((score for word, score in meaning.items() if word in value), 0.0)
            for meaning in meanings
        ]
        best = max(best, (field != "description" and all(scores), sum(scores)))
    return best


def _any_field(fields: Sequence[str], operator: Operator, text: str) -> Where:
    return Or(tuple(Test((field,), operator, text) for field in fields))
