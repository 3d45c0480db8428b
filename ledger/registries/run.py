"""Runs: what used and made artifacts."""

from __future__ import annotations

import datetime as dt
from typing import Any

import msgspec

from ledger.errors import InvalidValueError
from ledger.registries.base import Record
from ledger.tracking.params import plain_params


class Run(Record):
    """One run of a transform; `track()` makes it, nobody else does."""

    registry = "run"

    def __init__(self, *_: object, **__: object) -> None:
        raise InvalidValueError("Run: runs are made by track(); query them with Run.filter()")

    @property
    def params(self) -> dict[str, object]:
        """Its parameters as they were given; a mapping, floats as floats."""
        recorded = msgspec.json.decode(self._row.get("params") or "{}")
        plain = plain_params({"argv": [], "params": recorded})["params"]
        return plain if isinstance(plain, dict) else {}

    @property
    def environment(self) -> str:
        """Python, platform, and every distribution with its version, one a line."""
        return self._source.ledger.blob(self._row.get("environment_blob")) or ""

    @property
    def duration(self) -> dt.timedelta | None:
        """How long it took; None where it did not end."""
        ended: Any = self.finished_at
        return None if ended is None else ended - self.started_at
