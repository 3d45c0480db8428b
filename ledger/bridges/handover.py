"""A result with all that it was made from, as of one position: what a bridge hands over."""

from __future__ import annotations

import datetime as dt
import os
from typing import Any, NamedTuple

from ledger.errors import InvalidValueError
from ledger.past.graph import Edge
from ledger.past.lineage import lineage
from ledger.past.points import Point
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.places.source import Source
from ledger.registries.base import Record
from ledger.registries.finding import found

KINDS = ("artifact", "collection")


class Handover(NamedTuple):
    """A result, and the records that it was made from.

    Attributes:
        ledger: Id of the ledger.
        position: As of which position.
        recorded_at: Recorded time of the event at that position.
        result: The artifact or collection.
        artifacts: It, or its members, and what these were made from, in the order of creation.
        collections: Collections among them.
        runs: The runs that made them.
        transforms: The scripts of these runs.
        lost: Uids of withdrawn and erased records among them: nothing is known of these any more.
        edges: Which made, read, holds or revises which, in a fixed order.
    """

    ledger: str
    position: int
    recorded_at: dt.datetime
    result: Any
    artifacts: list[Any]
    collections: list[Any]
    runs: list[Any]
    transforms: list[Any]
    lost: list[str]
    edges: list[Edge]

    def ends(self, uid: str, *kinds: str, onward: bool) -> list[str]:
        """Return the uids at the other ends of edges of some kinds.

        Args:
            uid: One end.
            kinds: Kinds of edges.
            onward: Whether the edges begin at `uid`, else they end there.
        """
        if onward:
            return [it.target for it in self.edges if it.source == uid and it.kind in kinds]
        return [it.source for it in self.edges if it.target == uid and it.kind in kinds]


def handover(what: Any, point: Point, *, ledger: Ledger | None = None) -> Handover:
    """Return an artifact or a collection as of a point, with all that it was made from.

    Args:
        what: The record; or a text that means it, as `find()` takes it.
        point: The point.
        ledger: The ledger; by default the one in use.

    Raises:
        InvalidValueError: It is a record of another kind, or its lineage was cut off.
        NotFoundError: Nothing is called so, or it was not there yet.
        RecordErasedError: It was erased.
    """
    ledger = instance.current() if ledger is None else ledger
    source = Source(ledger, point.position)
    named = what.uid if isinstance(what, Record) else what
    if not isinstance(named, str | os.PathLike):
        raise InvalidValueError(f"expected a record, its uid, key or name, got {what!r}")
    record = found(source, named)
    if record.registry not in KINDS:
        raise InvalidValueError(
            f"{record.spec.title} {record.uid}: expected an artifact or a collection; name "
            "one that it made"
        )
    whole = lineage(record, direction="ancestors")
    if not whole.is_complete:
        raise InvalidValueError(f"{record.uid}: it was made from too much to hand it over whole")
    known = [*whole.artifacts, *whole.collections, *whole.runs]
    return Handover(
        ledger=ledger.place.configuration.id,
        position=point.position,
        recorded_at=point.recorded_at or dt.datetime.fromtimestamp(0, dt.UTC),
        result=record,
        artifacts=whole.artifacts,
        collections=whole.collections,
        runs=whole.runs,
        transforms=whole.transforms,
        lost=sorted(whole.uids - {it.uid for it in known}),
        edges=sorted(whole.edges),
    )
