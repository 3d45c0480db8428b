"""The index of similar names of one registry, caught up with the read models by position."""

from __future__ import annotations

import threading

from ledger.engine.sessions import Sessions
from projections.names.index import NameIndex, SimilarNames


class NameSearch:
    """Similar names of one registry, as it is now."""

    def __init__(self, sessions: Sessions, registry: str) -> None:
        self._sessions = sessions
        self._registry = registry
        self._index = NameIndex()
        self._position = 0
        self._last: tuple[int, str, str | None] | None = None
        self._lock = threading.Lock()

    def similar(self, name: str, *, limit: int) -> SimilarNames:
        """Return the live records whose names resemble `name`, most similar first."""
        with self._lock, self._sessions.reading() as session:
            models = session.models
            # The record that was read last is read again: where it is not there, the log went back.
            changed = models.changed_names(self._registry, after=self._position - 1)
            read = {(row["position"], row["uid"], row["name"]) for row in changed}
            if self._last is not None and self._last not in read:
                self._begin()
                changed = models.changed_names(self._registry, after=0)
            before = self._position
            for row in changed:
                told = (row["position"], row["uid"], row["name"])
                if told == self._last:
                    continue
                if row["is_live"] and row["name"] is not None:
                    self._index.put(row["uid"], row["name"])
                else:
                    self._index.discard(row["uid"])
                if row["position"] >= self._position:
                    self._position, self._last = row["position"], told
            if self._position > before:
                # A batch that fails takes its names and positions back: the index starts anew.
                self._sessions.on_undo(self._forget)
            return self._index.similar(name, limit=limit)

    def _forget(self) -> None:
        with self._lock:
            self._begin()

    def _begin(self) -> None:
        self._index, self._position, self._last = NameIndex(), 0, None
