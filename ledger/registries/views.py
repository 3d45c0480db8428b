"""The read-only past: every registry and every query of the present, as of a point.

A view resolves its point once and shows its date; it stays the same while others write. It is
read-only.
"""

from __future__ import annotations

import datetime as dt
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.display.tabular import TableList, attributes
from ledger.errors import InvalidValueError, NotFoundError
from ledger.model.canonical import asked, nfc
from ledger.model.commands import TagPosition
from ledger.model.schema import REGISTRIES
from ledger.model.times import to_datetime
from ledger.past.changes import Diff, diff
from ledger.past.points import Point, reads_as_other, resolve
from ledger.past.readable_events import Happening, Log, Which, happenings
from ledger.past.readable_events import newest_first as backwards
from ledger.past.said_points import resolve_said
from ledger.places import instance
from ledger.places.kinds import record_class
from ledger.places.source import Source
from ledger.registries.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.places.instance import Ledger
    from ledger.registries.base import Record

_NAME = 255  # most characters of a tag


def _by_title() -> dict[str, str]:
    return {spec.title: name for name, spec in REGISTRIES.items()}


class View:
    """The ledger as of a point, for reading: `view.Artifact.filter(...)`, `view.ULabel.get(...)`.

    Attributes:
        position: The position that the point resolved to; inclusive.
        recorded_at: Recorded time of the event at that position; None for position 0.
    """

    def __init__(self, ledger: Ledger, point: Point) -> None:
        self._source = Source(ledger, point.position)
        self.position: int = point.position
        self.recorded_at: dt.datetime | None = point.recorded_at

    def __getattr__(self, name: str) -> Registry:
        registry = _by_title().get(name)
        if registry is None:
            raise AttributeError(f"a view has no '{name}'; it has {', '.join(_by_title())}")
        return Registry(record_class(registry), self._source)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_by_title()})

    def registry(self, name: str) -> Any:
        """Return a registry of the ledger as it was at this point: its records and its schema.

        Raises:
            NotFoundError: There was no such registry then.
        """
        from ledger.registries.classes import registry_at  # noqa: PLC0415 (few ask)

        return registry_at(name, self._source)

    def lineage(self, record: Record, **options: Any) -> Any:
        """Return the lineage of a record as it was at this point; see `Record.lineage`."""
        return record.lineage(as_of=self.position, **options)

    def tables(self, *, history: bool = False) -> dict[str, Any]:
        """Return the ledger at this point as tables by name, each a `pyarrow.Table`.

        One table a registry, with a row a record that is not in the trash, and the tables `link`,
        `artifact_key`, `alias`, `value`, `tag` and `event`; docs/analysts.md names their columns.

        Args:
            history: Whether a row is what was so between two positions, `from_position` and
                `to_position`, instead: then the tables answer for every point up to this one.

        Raises:
            StorageError: Something was erased meanwhile, or the database refused.
        """
        from ledger.past.tables import each_table  # noqa: PLC0415 (loads pyarrow)

        found = each_table(self._source.ledger, self.position, has_history=history)
        return {name: table for name, _, table in found}

    def __repr__(self) -> str:
        when = "the beginning" if self.recorded_at is None else self.recorded_at.isoformat()
        return f"<View as of position {self.position} ({when})>"


class Tag(msgspec.Struct, frozen=True, kw_only=True):
    """A named position."""

    name: str
    position: int
    tagged_at: dt.datetime
    actor: str


class Tags(TableList[Tag]):
    """Tags, oldest first."""

    _title = "Tags"
    _columns = attributes("name", "position", "tagged_at", "actor")


def as_of(point: Any, *, clock: str = "recorded") -> View:
    """Return the ledger as of a point, for reading.

    Args:
        point: A position, "now", a datetime with a time zone, a run (its last event), the name of
            a tag, or the text of a checkpoint. Inclusive; a time means the end of its last digit.
        clock: "recorded": a time means what the log held then. "said": it means what is said to
            have happened by then, whenever that was recorded.

    Raises:
        InvalidValueError: The point is in the future, or a datetime without a time zone. With the
            clock "said": it is no time, or said time goes back past it.
        NotFoundError: No tag and no run has this name.
    """
    ledger = instance.current()
    if clock == "said":
        return View(ledger, resolve_said(ledger, point))
    if clock != "recorded":
        raise InvalidValueError(f"as_of(clock=): expected 'recorded' or 'said', got {clock!r:.60}")
    return View(ledger, resolve(ledger, point))


def tag(name: str, at: Any = None) -> Tag:
    """Name a position, by default the present one, and return the tag.

    A tag points before its own event, and never moves: tagging the same position again changes
    nothing, tagging another one is refused.

    Raises:
        NameTakenError: The tag is at another position.
        InvalidValueError: The name could be read as a position or a time.
    """
    _require_tag_name(name)
    ledger = instance.current()
    name = nfc(name)
    with ledger.reading() as session:
        if session.models.find("run", uid=name):
            raise InvalidValueError(f"tag '{name}': it is the uid of a run; choose another name")
    position = ledger.head() if at is None else resolve(ledger, at).position
    ledger.handler.perform(TagPosition(name=name, position=position, is_given=at is not None))
    return next(found for found in tags() if found.name == name)


def _require_tag_name(name: object) -> None:
    """Refuse a name that could be taken for another kind of point."""
    if not isinstance(name, str) or not name.strip() or len(name) > _NAME:
        raise InvalidValueError(f"tag: expected a name of 1 to {_NAME} characters, got {name!r}")
    if not name.isprintable() or name != name.strip():
        raise InvalidValueError(f"tag {name!r}: expected a name on one line, without spaces around")
    other = reads_as_other(name)
    if other is not None:
        raise InvalidValueError(f"tag '{name}': it reads as {other}; put a letter before it")


def tags() -> Tags:
    """Return every tag, oldest first."""
    ledger = instance.current()
    with ledger.reading() as session:
        rows = session.models.find("tag")
    return Tags(
        Tag(
            name=row["name"],
            position=row["position"],
            tagged_at=to_datetime(row["tagged_at"]),
            actor=row["actor"],
        )
        for row in rows
    )


def events_since(point: Any) -> Iterator[Happening]:
    """Yield every event after a point (exclusive), oldest first."""
    ledger = instance.current()
    return happenings(ledger, Which(after=resolve(ledger, point).position))


def log(  # noqa: PLR0913 (each narrows the log in its own way)
    *,
    registry: str | None = None,
    record: Any = None,
    run: Any = None,
    actor: str | None = None,
    since: Any = None,
    until: Any = None,
    newest_first: bool = False,
    limit: Any = None,
) -> Log:
    """Return the events that match every condition, by default oldest first.

    Args:
        registry: Only events about records of this registry.
        record: Only events about this record, given as the record, or as `find()` takes it.
        run: Only events of this run, given as the run, its uid, its name, or its script's key.
        actor: Only events that this user caused.
        since: Only events after this point; exclusive.
        until: Only events up to this point; inclusive.
        newest_first: Whether to reverse the order.
        limit: The most events to return.

    Raises:
        NotFoundError: There is no such registry, record or point.
        InvalidValueError: `since` is after `until`, or the limit is negative.
    """
    ledger = instance.current()
    if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
        raise InvalidValueError(f"log(limit=): expected 0 or more, got {limit!r}")
    which = narrowed(
        ledger, registry=registry, record=record, run=run, actor=actor, since=since, until=until
    )
    found = backwards(ledger, which) if newest_first else happenings(ledger, which)
    return Log(islice(found, limit))


def narrowed(  # noqa: PLR0913 (as above)
    ledger: Ledger,
    *,
    registry: str | None = None,
    record: Any = None,
    run: Any = None,
    actor: str | None = None,
    since: Any = None,
    until: Any = None,
) -> Which:
    """Return the selection of events for `log()`; records are found as by `find()`.

    Raises:
        NotFoundError: There is no such registry, record or point.
        InvalidValueError: `since` is after `until`.
    """
    if registry is not None and registry not in REGISTRIES:
        raise NotFoundError(f"registry '{registry}': there are {', '.join(REGISTRIES)}")
    if actor is not None:
        actor = asked("log(actor=)", actor)
    after = 0 if since is None else resolve(ledger, since).position
    end = None if until is None else resolve(ledger, until).position
    if end is not None and after > end:
        raise InvalidValueError(
            f"log: expected the earlier point first, got since {after} until {end}; exchange them"
        )
    stream = uid = None
    if record is not None:
        stream = _found(ledger, record)._row["stream"]
    if run is not None:
        found = _found(ledger, run, registry="run")
        uid = found.uid
        after = max(after, found._row["created_position"] - 1)
    return Which(after=after, until=end, stream=stream, registry=registry, run=uid, actor=actor)


def _found(ledger: Ledger, record: Any, *, registry: str | None = None) -> Record:
    from ledger.registries.finding import found  # noqa: PLC0415 (few narrow the log)

    what = getattr(record, "uid", record)
    if not isinstance(what, str | os.PathLike):
        raise InvalidValueError(f"log: expected a record, its uid, key or name, got {record!r}")
    return found(Source(ledger), what, registry=registry, which="ever")


def difference(a: Any, b: Any) -> Diff:
    """Return which records were added, changed or removed between two points.

    Raises:
        InvalidValueError: The first point is after the second.
    """
    return diff(instance.current(), a, b)
