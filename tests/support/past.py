"""A ledger whose past is a given history: for tests that look back, without disk or clock."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from ledger.engine.database import Session
from ledger.model.events import RecordedEvent
from ledger.model.schema import REGISTRIES, Catalogue
from ledger.places.kinds import record_class
from ledger.places.source import Source
from ledger.registries.base import Record
from tests.support.builders import feed
from tests.support.memory_models import MemoryModels

UTC = dt.UTC


class Events:
    """The log of a history, as far as looking back reads it; `reads` counts how often."""

    def __init__(self, history: Sequence[RecordedEvent]) -> None:
        self.history = list(history)
        self.reads = 0

    def head(self) -> int:
        return len(self.history)

    def last(self) -> tuple[int, int]:
        return (self.head(), self.history[-1].recorded_at) if self.history else (0, 0)

    def read(self, *, after: int = 0, until: int | None = None) -> Iterator[RecordedEvent]:
        self.reads += 1
        return iter(self.history[after:until])

    def read_batch(
        self, *, after: int = 0, until: int | None = None, limit: int = 1_000
    ) -> list[RecordedEvent]:
        self.reads += 1
        return self.history[after:until][:limit]

    def stream(self, stream: str, *, until: int | None = None) -> list[RecordedEvent]:
        self.reads += 1
        return [it for it in self.history[:until] if it.stream == stream]

    def stream_entries(self, stream: str) -> list[Any]:
        return [_entry(it) for it in self.stream(stream)]

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Any]:
        return [_entry(it) for it in self.read_batch(after=after, until=until, limit=limit)]


def _entry(it: RecordedEvent) -> Any:
    return SimpleNamespace(
        envelope=SimpleNamespace(position=it.position, recorded_at=it.recorded_at)
    )


class Past:
    """Stands for a ledger, where only its past is asked for."""

    def __init__(self, history: Sequence[RecordedEvent], models: Any = None) -> None:
        self.log = Events(history)
        self.models = MemoryModels() if models is None else models
        feed(self.models, history)

    def append(self, history: Sequence[RecordedEvent]) -> None:
        """Let more happen."""
        self.log.history += history
        feed(self.models, history)

    @property
    def catalogues(self) -> Any:
        """Nothing is looked for a second time."""
        return SimpleNamespace(look=lambda: False)

    def catalogue(self, at: int | None = None) -> Catalogue:
        """The registries that there are."""
        del at
        return REGISTRIES

    @contextmanager
    def reading(self) -> Iterator[Session]:
        yield Session(self.log, self.models)  # type: ignore[arg-type]

    def head(self) -> int:
        return self.log.head()

    def records(self, registry: str, *, at: int | None = None) -> list[Record]:
        """Every record of a registry that was not withdrawn, in order of creation."""
        source = Source(self, at)
        kind = record_class(registry)
        rows = [row for row in self.models.find(registry, at=at) if row["state"] < 2]
        rows = [row | {"is_trashed": row["state"] == 1} for row in rows]
        return [kind._from_row(row, source) for row in rows]

    def lineage_starts(self, *, at: int | None = None) -> list[Record]:
        """Every record that has a lineage."""
        return [
            record
            for registry in REGISTRIES
            if registry != "ulabel"
            for record in self.records(registry, at=at)
        ]
