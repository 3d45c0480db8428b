"""Indexes of the names, and of the words, of one registry, caught up with the read models."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from typing import Any

from ledger import forks
from ledger.engine.sessions import Sessions
from ledger.model.canonical import nfc
from ledger.model.schema import REGISTRIES
from projections.names.index import NameIndex, SimilarNames
from projections.names.normalise import split_words

# Three letters resemble too many others; a typo there is not forgiven.
_SHORTEST_WORD = 4
# One wrong letter in a word of four has this score. Whole names need more: see `names.rule`.
_WORD_CUTOFF = 75.0
_WORDS = 8


class _CaughtUp(ABC):
    """An index that reads what changed since it was asked last."""

    _lock: threading.Lock

    def __init__(self, sessions: Sessions, registry: str, fields: tuple[str, ...]) -> None:
        self._sessions = sessions
        self._registry = registry
        self._fields = fields
        self._index = NameIndex()
        self._position = 0
        self._last: tuple[Any, ...] | None = None
        forks.made_anew(self._renew_lock)

    def _renew_lock(self) -> None:
        # A thread of the parent may have been half-way in a change of the index.
        is_torn = "_lock" in vars(self) and self._lock.locked()
        self._lock = threading.Lock()
        if is_torn:
            self._begin()

    @abstractmethod
    def _take(self, row: dict[str, Any]) -> None:
        """Take over the present state of a record."""

    def _similar(self, text: str, *, limit: int, cutoff: float | None = None) -> SimilarNames:
        with self._lock, self._sessions.reading() as session:
            models = session.models

            def changed(after: int) -> list[dict[str, Any]]:
                return models.changed_names(self._registry, after=after, fields=self._fields)

            # The record that was read last is read again: where it is not there, the log went back.
            rows = changed(self._position - 1)
            if self._last is not None and self._last not in {self._told(row) for row in rows}:
                self._begin()
                rows = changed(0)
            before = self._position
            for row in rows:
                told = self._told(row)
                if told == self._last:
                    continue
                self._take(row)
                if row["position"] >= self._position:
                    self._position, self._last = row["position"], told
            if self._position > before:
                # A batch that fails takes its names and positions back: the index starts anew.
                self._sessions.on_undo(self._forget)
            return self._index.similar(text, limit=limit, cutoff=cutoff)

    def _told(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["position"], row["uid"], *(row[field] for field in self._fields))

    def _forget(self) -> None:
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        self._index, self._position, self._last = NameIndex(), 0, None


class NameSearch(_CaughtUp):
    """Similar names of one registry, as it is now."""

    def __init__(self, sessions: Sessions, registry: str) -> None:
        super().__init__(sessions, registry, ("name",))

    def similar(self, name: str, *, limit: int) -> SimilarNames:
        """Return the live records whose names resemble `name`, most similar first."""
        return self._similar(name, limit=limit)

    def _take(self, row: dict[str, Any]) -> None:
        if row["is_live"] and row["name"] is not None:
            self._index.put(row["uid"], row["name"])
        else:
            self._index.discard(row["uid"])


class WordSearch(_CaughtUp):
    """The words that the live records of one registry have now, in texts that a search reads."""

    def __init__(self, sessions: Sessions, registry: str) -> None:
        super().__init__(sessions, registry, REGISTRIES[registry].searched)
        self._words: dict[str, set[str]] = {}
        self._uses: Counter[str] = Counter()

    def similar(self, word: str) -> dict[str, float]:
        """Return a few words that `word` may be a typo of, most similar first, with their scores.

        A score is between 0 and 100. A word of fewer than four letters resembles nothing.
        """
        if len(word) < _SHORTEST_WORD:
            return {}
        found = self._similar(word, limit=_WORDS, cutoff=_WORD_CUTOFF)
        return {hit.name: hit.score for hit in found.hits}

    def _take(self, row: dict[str, Any]) -> None:
        words = {
            word.casefold()
            for field in (self._fields if row["is_live"] else ())
            for word in split_words(nfc(row[field] or ""))
            if len(word) >= _SHORTEST_WORD and not word[0].isdecimal()
        }
        self._uses.update(words)
        for word in words:
            self._index.put(word, word)
        for word in self._words.pop(row["uid"], ()):
            self._uses[word] -= 1
            if not self._uses[word]:
                del self._uses[word]
                self._index.discard(word)
        if words:
            self._words[row["uid"]] = words

    def _begin(self) -> None:
        super()._begin()
        self._words, self._uses = {}, Counter()


__all__ = ["NameSearch", "WordSearch"]
