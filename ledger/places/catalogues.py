"""The catalogues of a ledger: the registries that there are, now or as of a position.

1. A ledger that defines nothing has the built-in registries. That it does is believed until
   somebody asks by a name that is none of theirs (`look`), so that nobody else pays for it.
2. Once it is known that something is defined, the present catalogue is held against the position
   of the last definition before each use: others define, too.
3. A catalogue of the past never changes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from ledger.model.definitions import catalogue_of, read_definition, read_feature
from ledger.model.schema import LIVE, REGISTRIES, Catalogue

if TYPE_CHECKING:
    from ledger.engine.sessions import Sessions
    from projections.store import ReadModels

_KEPT = 32  # catalogues of the past


class Catalogues:
    """The registries of one ledger."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._now = REGISTRIES
        self._defined_at = 0
        self._past: OrderedDict[int, Catalogue] = OrderedDict()
        self._lock = threading.Lock()

    def at(self, position: int | None) -> Catalogue:
        """Return the registries that there are as of a position, or now."""
        if self._defined_at == 0:
            return REGISTRIES
        if position is not None:
            return self._of_the_past(position)
        self.look()
        return self._now

    def look(self) -> bool:
        """Read the definitions anew if there are later ones; return whether there were."""
        with self._sessions.reading() as session:
            defined_at = session.models.defined_at()
            if defined_at == self._defined_at:
                return False
            self._now = _read(session.models, None)
            self._defined_at = defined_at
        # What a batch defined is gone where the batch fails; the positions may come again.
        self._sessions.on_undo(self._forget)
        return True

    def _forget(self) -> None:
        self._now, self._defined_at = REGISTRIES, 0
        self._past.clear()

    def _of_the_past(self, position: int) -> Catalogue:
        with self._lock:
            known = self._past.get(position)
        if known is None:
            with self._sessions.reading() as session:
                known = _read(session.models, position)
            with self._lock:
                self._past[position] = known
                while len(self._past) > _KEPT:
                    self._past.popitem(last=False)
        return known


def _read(models: ReadModels, at: int | None) -> Catalogue:
    fields: dict[str, list[dict[str, object]]] = {}
    for row in models.find("field", at=at):
        fields.setdefault(row["registry"], []).append(row)
    definitions = [
        read_definition(row, fields.get(row["name"], ())) for row in models.find("registry", at=at)
    ]
    features = [read_feature(row) for row in models.find("feature", at=at) if row["state"] == LIVE]
    return catalogue_of(definitions, features, at=at)
