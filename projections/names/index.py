"""The names of one registry, and the search for names similar to a given one.

1. The index finds exactly the names that `rule` calls similar. Most names of a large registry lie
   in a file that many processes share (`saved`); what changed since is in memory, in rows.
2. Names with the same letters share one row, so ten thousand serial names are compared once.
3. Rows are kept by their number of letters. An edit changes a length by one, so only rows within
   `letter_bound` of the query's length can hold a similar name, and only these are scanned.
4. rapidfuzz measures distances. Only this module uses it, and the first search loads it.

An index takes no lock: a caller that shares one between threads guards it.
"""

from __future__ import annotations

from collections.abc import Iterator
from heapq import nsmallest
from typing import TYPE_CHECKING

import msgspec

from ledger.model.canonical import nfc
from projections.names.normalise import NameKey, name_key
from projections.names.rule import (
    MOST_EDITS,
    are_among,
    default_cutoff,
    letter_bound,
    needs_equal_numbers,
    numbers_agree,
    selections,
)

if TYPE_CHECKING:
    from projections.names.saved import SavedNames, SavedRow


class Hit(msgspec.Struct, frozen=True, kw_only=True):
    """A record with a similar name, and its score from 0 to 100 (reads the same)."""

    uid: str
    name: str
    score: float


class SimilarNames(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of a search: the hits to show, and the numbers of other names.

    Attributes:
        hits: Most similar first; equal scores by name, then by uid.
        more: Further records over the cutoff, beyond the limit.
        series: Records with the same letters and other numbers (serial names) that are not
            similar; `hits` and `more` leave them out.
    """

    hits: tuple[Hit, ...]
    more: int
    series: int


class _Entry(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """One record; entries are told apart by identity."""

    uid: str
    name: str
    key: NameKey


class _Row:
    """The records with one sequence of letters, by their numbers."""

    __slots__ = ("by_numbers", "key", "most_numbers", "place", "size")

    def __init__(self, key: NameKey) -> None:
        self.key = key
        self.by_numbers: dict[tuple[str, ...], dict[str, _Entry]] = {}
        # Never lowered: a bound that is too high only costs time.
        self.most_numbers = 0
        self.place = 0
        self.size = 0

    def add(self, entry: _Entry) -> None:
        numbers = entry.key.numbers
        self.by_numbers.setdefault(numbers, {})[entry.uid] = entry
        self.most_numbers = max(self.most_numbers, len(numbers))
        self.size += 1

    def remove(self, entry: _Entry) -> None:
        same_numbers = self.by_numbers[entry.key.numbers]
        del same_numbers[entry.uid]
        if not same_numbers:
            del self.by_numbers[entry.key.numbers]
        self.size -= 1

    def count_of(self, numbers: tuple[str, ...]) -> int:
        """Return how many of its entries have exactly these numbers."""
        return len(self.by_numbers.get(numbers, ()))

    def agreeing(self, query: NameKey) -> list[tuple[str, str, NameKey]]:
        """Return the entries whose numbers agree with the query's, in any order."""
        asked = query.numbers
        if needs_equal_numbers(query, self.key):
            found = [asked]
        elif 1 << len(asked) > len(self.by_numbers):
            found = [n for n in self.by_numbers if numbers_agree(n, asked)]
        else:
            # A long series is not scanned: each selection of the query's numbers is looked up.
            # Names with more numbers are visited only if the row has any.
            found = list(selections(asked))
            if self.most_numbers > len(asked):
                count = len(asked)
                found += [n for n in self.by_numbers if len(n) > count and are_among(asked, n)]
        return [
            (entry.uid, entry.name, entry.key)
            for n in found
            for entry in self.by_numbers.get(n, {}).values()
        ]


class _Shelf:
    """Rows with the same number of letters, and their texts in lists that scan fast."""

    __slots__ = ("letters", "resorted_letters", "rows")

    def __init__(self) -> None:
        self.rows: list[_Row] = []
        self.letters: list[str] = []
        self.resorted_letters: list[str] = []

    def add(self, row: _Row) -> None:
        row.place = len(self.rows)
        self.rows.append(row)
        self.letters.append(row.key.letters)
        self.resorted_letters.append(row.key.resorted_letters)

    def remove(self, row: _Row) -> None:
        # The last row takes the free place: the order of rows means nothing.
        last = self.rows.pop()
        letters = self.letters.pop()
        resorted_letters = self.resorted_letters.pop()
        if last is not row:
            last.place = row.place
            self.rows[row.place] = last
            self.letters[row.place] = letters
            self.resorted_letters[row.place] = resorted_letters


class NameIndex:
    """The names of one registry; several records may bear the same name.

    Args:
        saved: Names that are there from the beginning; the index marks some of them as gone.

    Attributes:
        saved: The same.
    """

    def __init__(self, saved: SavedNames | None = None) -> None:
        self.saved = saved
        self._entries: dict[str, _Entry] = {}
        self._rows: dict[tuple[str, str], _Row] = {}
        self._shelves: dict[tuple[int, bool], _Shelf] = {}

    def __len__(self) -> int:
        return len(self._entries) + (0 if self.saved is None else len(self.saved))

    @property
    def changed(self) -> int:
        """Number of names that came or went since the beginning."""
        gone = 0 if self.saved is None else self.saved.number_gone
        return len(self._entries) + gone

    def is_saved(self, uid: str) -> bool:
        """Return whether the names from the beginning hold the record, as it is or as it was."""
        return self.saved is not None and self.saved.name_of(uid) is not None

    def records(self) -> Iterator[tuple[str, str]]:
        """Yield uid and name of each record, in no order."""
        if self.saved is not None:
            yield from self.saved.records()
        for entry in self._entries.values():
            yield entry.uid, entry.name

    def put(self, uid: str, name: str) -> None:
        """Give the record `uid` this name, instead of an earlier one."""
        known = self._entries.get(uid)
        if known is not None:
            if known.name == name:
                return
            self.discard(uid)
        elif self.saved is not None and self.saved.is_there(uid):
            if self.saved.name_of(uid) == name:
                return
            self.saved.let_go(uid)
        key = name_key(name)
        entry = _Entry(uid=uid, name=name, key=key)
        self._entries[uid] = entry
        # A blank name counts as a name but resembles nothing.
        if key.compact:
            self._row(key).add(entry)

    def discard(self, uid: str) -> None:
        """Forget the record `uid`; nothing happens if it is unknown."""
        entry = self._entries.pop(uid, None)
        if entry is None and self.saved is not None:
            self.saved.let_go(uid)
        if entry is None or not entry.key.compact:
            return
        key = entry.key
        row = self._rows[key.letters, key.resorted_letters]
        row.remove(entry)
        if row.size:
            return
        del self._rows[key.letters, key.resorted_letters]
        self._shelves[_shelf_of(key)].remove(row)

    def similar(self, name: str, *, limit: int = 5, cutoff: float | None = None) -> SimilarNames:
        """Return the records whose names are similar to `name`, the most similar ones first.

        Records with exactly this name (compared as NFC) are left out: they are a matter of
        identity. The cost grows with the number of distinct letter sequences of about the
        same length, not with the number of names.

        Args:
            name: Any text; a blank one has no similar names.
            limit: Hits to return at most; the others are counted.
            cutoff: Least score of a hit, 0 to 100; by default `rule.default_cutoff` for the
                size of this index.
        """
        query = name_key(name)
        if not query.compact:
            return SimilarNames(hits=(), more=0, series=0)
        if cutoff is None:
            cutoff = default_cutoff(len(self))
        rows: list[_Row | SavedRow] = [*self._near_rows(query, cutoff)]
        if self.saved is not None:
            rows += self.saved.near(query, cutoff)
        candidates = [entry for row in rows for entry in row.agreeing(query)]
        scored = _scored(query, candidates, cutoff)
        series = sum(
            row.size - row.count_of(query.numbers) for row in rows if _same_letters(row.key, query)
        ) - sum(
            _same_letters(key, query) and key.numbers != query.numbers for _, (_, _, key) in scored
        )
        exact = nfc(name)
        ranked = [(-score, found, uid) for score, (uid, found, _) in scored if nfc(found) != exact]
        best = nsmallest(max(limit, 0), ranked)
        hits = tuple(Hit(uid=uid, name=found, score=-minus) for minus, found, uid in best)
        return SimilarNames(hits=hits, more=len(ranked) - len(hits), series=series)

    def _row(self, key: NameKey) -> _Row:
        row = self._rows.get((key.letters, key.resorted_letters))
        if row is None:
            row = self._rows[key.letters, key.resorted_letters] = _Row(key)
            self._shelves.setdefault(_shelf_of(key), _Shelf()).add(row)
        return row

    def _near_rows(self, query: NameKey, cutoff: float) -> set[_Row]:
        """Return the rows whose letters are within the bound of the query's."""
        from rapidfuzz import process  # noqa: PLC0415  (only a search needs it)
        from rapidfuzz.distance import Indel  # noqa: PLC0415  (only a search needs it)

        near: set[_Row] = set()
        own = len(query.letters)
        for length in range(max(0, own - MOST_EDITS), own + MOST_EDITS + 1):
            bound = letter_bound(query, length, cutoff)
            if abs(length - own) > bound:
                continue
            for in_order in (True, False):
                shelf = self._shelves.get((length, in_order))
                if shelf is None:
                    continue
                scans = [(query.letters, shelf.letters)]
                if not (in_order and query.letters == query.resorted_letters):
                    scans.append((query.resorted_letters, shelf.resorted_letters))
                for text, choices in scans:
                    found = process.extract(
                        text, choices, scorer=Indel.distance, score_cutoff=bound, limit=None
                    )
                    near.update(shelf.rows[place] for _, _, place in found)
        return near


def _shelf_of(key: NameKey) -> tuple[int, bool]:
    """Return the number of letters, and whether the words are in sorted order."""
    return len(key.letters), key.letters == key.resorted_letters


def _same_letters(one: NameKey, other: NameKey) -> bool:
    """Return whether both have the same letters, and at least one, in any order of words."""
    return bool(one.letters) and (
        one.letters == other.letters or one.resorted_letters == other.resorted_letters
    )


def _scored(
    query: NameKey, candidates: list[tuple[str, str, NameKey]], cutoff: float
) -> list[tuple[float, tuple[str, str, NameKey]]]:
    """Return the candidates that reach the cutoff, each with its score."""
    from rapidfuzz import fuzz, process  # noqa: PLC0415  (only a search needs it)

    best: dict[int, float] = {}
    for text, choices in (
        (query.compact, [key.compact for _, _, key in candidates]),
        (query.resorted, [key.resorted for _, _, key in candidates]),
    ):
        for _, score, place in process.extract(
            text, choices, scorer=fuzz.ratio, score_cutoff=cutoff, limit=None
        ):
            best[place] = max(score, best.get(place, 0.0))
    return [(score, candidates[place]) for place, score in best.items()]
