"""Indexes of the names, and of the words, of one registry, caught up with the read models.

The names of a large registry lie in a file beside the ledger, which its processes share. The file
is a cache: it says up to which position it goes, and is made anew where it is missing, damaged or
of another history, where much came since, and where it holds a name that was erased.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ledger import files, forks
from ledger.engine.database import Session, WriteSession
from ledger.engine.sessions import Sessions
from ledger.errors import LedgerError
from ledger.input_files import mapped
from ledger.model.canonical import nfc
from ledger.model.schema import REGISTRIES, erased_text
from projections.names.index import NameIndex, SimilarNames
from projections.names.normalise import split_words
from projections.names.saved import SavedNames

# Three letters resemble too many others; a typo there is not forgiven.
_SHORTEST_WORD = 4
# One wrong letter in a word of four has this score. Whole names need more: see `names.rule`.
_WORD_CUTOFF = 75.0
_WORDS = 8
# Names that a process takes in again as fast as it loads the library that reads the file.
_IN_MEMORY = 5_000


class _CaughtUp(ABC):
    """An index that reads what changed since it was asked last."""

    _lock: threading.Lock

    def __init__(self, sessions: Sessions, registry: str, fields: tuple[str, ...]) -> None:
        self._sessions = sessions
        self._registry = registry
        self._fields = fields
        self._is_begun = False
        self._begin()
        forks.made_anew(self._renew_lock)

    _index: NameIndex
    _position: int
    _last: tuple[Any, ...] | None

    def _renew_lock(self) -> None:
        # A thread of the parent may have been half-way in a change of the index.
        is_torn = "_lock" in vars(self) and self._lock.locked()
        self._lock = threading.Lock()
        if is_torn:
            self._begin()
            self._is_begun = False

    @abstractmethod
    def _take(self, row: dict[str, Any]) -> None:
        """Take over the present state of a record."""

    def _similar(self, text: str, *, limit: int, cutoff: float | None = None) -> SimilarNames:
        with self._lock, self._sessions.reading() as session:
            models = session.models
            if not self._is_begun:
                self._is_begun = True
                self._continue(session)

            def changed(after: int) -> list[dict[str, Any]]:
                return models.changed_names(self._registry, after=after, fields=self._fields)

            # The record that was read last is read again: where it is not there, the log went back,
            # or the record changed.
            rows = changed(self._position - 1)
            if self._last is not None and self._last not in {self._told(row) for row in rows}:
                self._begin()
                self._continue(session)
                rows = changed(self._position - 1)
            new = [row for row in rows if self._told(row) != self._last]
            if new:
                self._take_all(new)
            if new and new[-1]["position"] > self._position:
                self._position, self._last = new[-1]["position"], self._told(new[-1])
                # A batch that fails takes its names and positions back: the index starts anew.
                self._sessions.on_undo(self._forget)
            if not self._sessions.is_batching:
                self._keep(session)
            return self._index.similar(text, limit=limit, cutoff=cutoff)

    def _told(self, row: dict[str, Any]) -> tuple[Any, ...]:
        return (row["position"], row["uid"], *(row[field] for field in self._fields))

    def _take_all(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            self._take(row)

    def _forget(self) -> None:
        with self._lock:
            self._begin()
            self._is_begun = False

    def _begin(self) -> None:
        """Start with nothing."""
        self._index, self._position, self._last = NameIndex(), 0, None

    def _continue(self, session: Session | WriteSession) -> None:
        """Start with what an earlier process kept, if it is of this log."""
        del session

    def _keep(self, session: Session | WriteSession) -> None:
        """Keep what later processes can start with, where that is worth it."""
        del session


class NameSearch(_CaughtUp):
    """Similar names of one registry, as it is now.

    Args:
        folder: Returns the folder for the file; None where nothing is kept.
    """

    def __init__(
        self, sessions: Sessions, registry: str, folder: Callable[[], Path] | None = None
    ) -> None:
        self._folder = folder
        self._is_to_renew = False
        super().__init__(sessions, registry, ("name",))

    def similar(self, name: str, *, limit: int) -> SimilarNames:
        """Return the live records whose names resemble `name`, most similar first."""
        return self._similar(name, limit=limit)

    def _take(self, row: dict[str, Any]) -> None:
        if row["is_live"] and row["name"] is not None:
            self._index.put(row["uid"], row["name"])
            return
        # An erased name leaves the file, too.
        is_erased = row["name"] in {None, erased_text(row["uid"])}
        self._is_to_renew |= is_erased and self._index.is_saved(row["uid"])
        self._index.discard(row["uid"])

    def _take_all(self, rows: list[dict[str, Any]]) -> None:
        if len(rows) <= _IN_MEMORY:
            super()._take_all(rows)
            return
        names = dict(self._index.records())
        for row in rows:
            if row["is_live"] and row["name"] is not None:
                names[row["uid"]] = row["name"]
            else:
                names.pop(row["uid"], None)
        self._index = NameIndex(SavedNames.of(names.items()))
        self._is_to_renew = True

    def _path(self) -> Path | None:
        return None if self._folder is None else self._folder() / f"{self._registry}.names"

    def _begin(self) -> None:
        super()._begin()
        self._is_to_renew = False

    def _continue(self, session: Session | WriteSession) -> None:
        path = self._path()
        if path is None or not path.exists():
            return
        try:
            found = SavedNames.read(mapped(path))
        except LedgerError:
            return
        if found is None:
            return
        names, about = found
        position = int(about["position"])
        if about["registry"] != self._registry or about["leaf"] != _leaf(session, position):
            return
        self._index = NameIndex(names)
        self._position = position

    def _keep(self, session: Session | WriteSession) -> None:
        changed = self._index.changed
        if not self._is_to_renew and changed <= max(_IN_MEMORY, len(self._index) // 8):
            return
        self._is_to_renew = False
        path = self._path()
        if len(self._index) <= _IN_MEMORY:
            if path is not None:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
            self._index = _in_memory(self._index)
            return
        names = self._index.saved
        if changed or names is None:
            names = SavedNames.of(self._index.records())
            self._index = NameIndex(names)
        if path is None:
            return
        about = {
            "registry": self._registry,
            "position": str(self._position),
            "leaf": _leaf(session, self._position),
        }
        # Where it cannot be written, this process has it in memory, and the next one makes it anew.
        with suppress(OSError, LedgerError):
            files.make_folders(path.parent)
            files.write_durably(path, names.written(about))
            kept = SavedNames.read(mapped(path))
            if kept is not None and kept[1] == about:
                self._index = NameIndex(kept[0])


def _leaf(session: Session | WriteSession, position: int) -> str:
    """Return what identifies the entry at a position, of all logs; "" where there is none."""
    if position > session.log.head():
        return ""
    return "".join(leaf.hex() for leaf in session.log.leaves(after=position - 1, until=position))


def _in_memory(index: NameIndex) -> NameIndex:
    made = NameIndex()
    for uid, name in index.records():
        made.put(uid, name)
    return made


class WordSearch(_CaughtUp):
    """The words that the live records of one registry have now, in texts that a search reads."""

    def __init__(self, sessions: Sessions, registry: str) -> None:
        self._words: dict[str, set[str]] = {}
        self._uses: Counter[str] = Counter()
        super().__init__(sessions, registry, REGISTRIES[registry].searched)

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
