"""When each row happened: LaminDB's own times, and no thing before what it is made of.

1. A run is no older than the run that started it; a version no older than the one before it; a
   collection no older than its members and its run.
2. A transform is no younger than its first run, nor than the version after it.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping

from ledger.bridges.lamindb.read import Instance, Row
from ledger.bridges.lamindb.whole import ById
from ledger.errors import InvalidValueError

At = dict[tuple[str, int], dt.datetime]


def moment(instance: Instance, table: str, row: Row, column: str = "created_at") -> dt.datetime:
    """Return a time of a row; one without a zone is UTC, by LaminDB's rule.

    Raises:
        InvalidValueError: It is no time.
    """
    value = row.get(column)
    try:
        found = dt.datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(found, dt.datetime):
            return found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found
    except ValueError:
        pass
    raise InvalidValueError(
        f"lamindb {instance.where}: {instance.name(table)} {row.get('uid') or row['id']}: expected "
        f"a time as {column}, got {value!r:.60}; nothing was recorded"
    )


def begun(instance: Instance, row: Row) -> dt.datetime:
    """Return when a run began, as LaminDB says."""
    return moment(instance, "run", row, "created_at" if row["started_at"] is None else "started_at")


class Dates:
    """The time of each row that comes in; `moved` counts those that are not LaminDB's own."""

    def __init__(self, instance: Instance, by_id: ById) -> None:
        self._instance = instance
        self._by_id = by_id
        self.at: At = {}
        self.moved = 0

    def _set(self, table: str, row: Row, own: dt.datetime, at: dt.datetime) -> dt.datetime:
        self.at[table, row["id"]] = at
        self.moved += at != own
        return at

    def runs(self, ids: Iterable[int]) -> None:
        """Date runs, each after the one that started it."""
        runs = self._by_id["run"]
        for run in sorted(ids):
            path: list[int] = []
            here: int | None = run
            while here is not None and ("run", here) not in self.at and here not in path:
                path.append(here)
                here = runs[here]["initiated_by_run_id"]
            for one in reversed(path):
                row = runs[one]
                own = begun(self._instance, row)
                parent = self.at.get(("run", row["initiated_by_run_id"]), own)
                self._set("run", row, own, max(own, parent))

    def transforms(self, members: Iterable[list[Row]], ids: Iterable[int]) -> None:
        """Date transforms, each before its first run and the version after it."""
        first: dict[int, dt.datetime] = {}
        for run in ids:
            transform, at = self._by_id["run"][run]["transform_id"], self.at["run", run]
            first[transform] = min(at, first.get(transform, at))
        for family in members:
            later: dt.datetime | None = None
            for row in reversed(family):
                own = moment(self._instance, "transform", row)
                known = [it for it in (first.get(row["id"]), later) if it is not None]
                later = self._set("transform", row, own, min(own, *known, own))

    def versions(
        self, table: str, members: Iterable[list[Row]], parts: Mapping[int, list[tuple[str, int]]]
    ) -> None:
        """Date versions, each after the one before it and after its parts."""
        for family in members:
            before: dt.datetime | None = None
            for row in family:
                own = moment(self._instance, table, row)
                known = [self.at[it] for it in parts.get(row["id"], [])]
                known += [] if before is None else [before]
                before = self._set(table, row, own, max(own, *known, own))

    def others(self, table: str, rows: Iterable[Row]) -> None:
        """Date rows that are made of nothing."""
        for row in rows:
            self.at[table, row["id"]] = moment(self._instance, table, row)
