"""What happened: events as people read them, the history of a record, what differs between points.

A change of a field is `(before, after)`. Everything here is read from the log; nothing writes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from ledger.canonical import Json
from ledger.errors import InvalidValueError
from ledger.events import InputRecorded, LinkAdded, LinkRemoved, RecordedEvent, as_json, tag_of
from ledger.ids import StreamId
from ledger.points import resolve
from ledger.present import cell, html_table
from ledger.schema import LIVE, REGISTRIES, TRASHED, WITHDRAWN
from ledger.times import to_datetime
from projections.fold import Amended, Closed, Opened, fold, outcome_of, registry_of
from projections.select import Select, Test

if TYPE_CHECKING:
    from ledger.instance import Ledger

Changes = dict[str, tuple[Any, Any]]

_BOOKKEEPING = {
    "uid", "stream", "natural", "n", "created_position", "created_at", "created_by", "updated_at",
    "changed_by", "from_position", "to_position",
}  # fmt: skip
_STATES = {LIVE: None, TRASHED: "in the trash", WITHDRAWN: "withdrawn"}
_SHOWN = 20


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One event as people read it.

    Attributes:
        position: Its place in the log.
        recorded_at: When the log took it.
        occurred_at: When the client says it happened.
        type: Its type, such as `record-changed.v1`.
        actor: Who caused it.
        run: Uid of the run it happened in; None outside a run.
        registry: Registry of the record it is about; "" where it is about none.
        uid: Uid of that record.
        command_id: Id of the command that caused it.
        event: The event as plain data.
    """

    position: int
    recorded_at: dt.datetime
    occurred_at: dt.datetime
    type: str
    actor: str
    run: str | None
    registry: str
    uid: str
    command_id: str
    event: dict[str, Any]

    def as_json(self) -> dict[str, Json]:
        """Return it as plain data, times as ISO 8601."""
        data: dict[str, Json] = msgspec.to_builtins(self)
        return data


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a record: where, when, by whom, and every field before and after."""

    position: int
    version: int
    recorded_at: dt.datetime
    occurred_at: dt.datetime
    type: str
    actor: str
    run: str | None
    changes: Changes


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One record that differs between two points; `changes` holds each field before and after."""

    registry: str
    uid: str
    name: str | None
    change: str
    changes: Changes


T = TypeVar("T")


class Listing(Sequence[T], Generic[T]):
    """Several of something, which is also a table."""

    _title = ""

    def __init__(self, items: Sequence[T]) -> None:
        self._items = list(items)

    def __getitem__(self, index: Any) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def rows(self) -> list[dict[str, Any]]:
        """Return it as rows of a table."""
        raise NotImplementedError

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        raise NotImplementedError

    def to_arrow(self) -> Any:
        """Return it as a `pyarrow.Table`; values before and after are text."""
        from projections.arrow import rows_to_arrow  # noqa: PLC0415 (loads pyarrow)

        return rows_to_arrow(self.columns(), self.rows())

    def df(self) -> Any:
        """Return it as a pandas `DataFrame`."""
        from projections.arrow import to_pandas  # noqa: PLC0415

        return to_pandas(self.to_arrow())

    def __repr__(self) -> str:
        lines = ["  ".join(cell("text", value) for value in row.values()) for row in self.rows()]
        more = f"\n… and {len(lines) - _SHOWN:,} more" if len(lines) > _SHOWN else ""
        return f"<{self._title}: {len(self):,}>\n" + "\n".join(lines[:_SHOWN]) + more

    def _repr_html_(self) -> str:
        rows = self.rows()
        shown = [[cell("text", value) for value in row.values()] for row in rows[:_SHOWN]]
        return html_table(self._title, self.columns(), shown, max(0, len(rows) - _SHOWN))


class History(Listing[HistoryEntry]):
    """Every change of a record, oldest first."""

    _title = "History"

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        return ["position", "recorded_at", "actor", "run", "type", "field", "before", "after"]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a changed field; an event that changes none has one row too."""
        return [
            {
                "position": entry.position,
                "recorded_at": entry.recorded_at,
                "actor": entry.actor,
                "run": entry.run,
                "type": entry.type,
                "field": field,
                "before": before,
                "after": after,
            }
            for entry in self
            for field, (before, after) in (entry.changes or {"": (None, None)}).items()
        ]


class Diff(Listing[Difference]):
    """What differs between two points: `added`, `changed`, `removed`."""

    _title = "Diff"

    @property
    def added(self) -> list[Difference]:
        """Records that are there at the later point only."""
        return [item for item in self if item.change == "added"]

    @property
    def changed(self) -> list[Difference]:
        """Records that are there at both points and differ."""
        return [item for item in self if item.change == "changed"]

    @property
    def removed(self) -> list[Difference]:
        """Records that are there at the earlier point only: in the trash since, or withdrawn."""
        return [item for item in self if item.change == "removed"]

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        return ["registry", "uid", "name", "change", "field", "before", "after"]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a field that differs."""
        return [
            {
                "registry": item.registry,
                "uid": item.uid,
                "name": item.name,
                "change": item.change,
                "field": field,
                "before": before,
                "after": after,
            }
            for item in self
            for field, (before, after) in item.changes.items()
        ]


def happening(recorded: RecordedEvent) -> Happening:
    """Return a recorded event as people read it."""
    event = recorded.event
    return Happening(
        position=recorded.position,
        recorded_at=to_datetime(recorded.recorded_at),
        occurred_at=to_datetime(event.at),
        type=tag_of(event),
        actor=event.actor,
        run=event.run,
        registry=registry_of(event),
        uid=event.uid if isinstance(event, InputRecorded) else outcome_of(event),
        command_id=recorded.command_id,
        event=as_json(event),
    )


def since(ledger: Ledger, point: Any) -> Iterator[Happening]:
    """Yield every event after a point, oldest first."""
    yield from happenings(ledger, after=resolve(ledger, point).position)


def happenings(  # noqa: PLR0913 (each narrows the log in its own way)
    ledger: Ledger,
    *,
    after: int = 0,
    until: int | None = None,
    registry: str | None = None,
    uid: str | None = None,
    run: str | None = None,
    actor: str | None = None,
) -> Iterator[Happening]:
    """Yield the events with `after` < position <= `until` that match, oldest first."""
    limit = 1_000
    while True:
        with ledger.handler.reading() as session:
            batch = list(session.log.read_batch(after=after, until=until, limit=limit))
        for recorded in batch:
            found = happening(recorded)
            if (
                (registry is None or found.registry == registry)
                and (uid is None or found.uid == uid)
                and (run is None or found.run == run)
                and (actor is None or found.actor == actor)
            ):
                yield found
        if len(batch) < limit:
            return
        after = batch[-1].position


def history(ledger: Ledger, row: dict[str, Any], *, at: int | None = None) -> History:
    """Return every change of a record up to a position; reads its stream, one statement."""
    with ledger.handler.reading() as session:
        events = session.log.stream(StreamId(row["stream"]), until=at)
    entries = []
    state: dict[str, Any] = {}
    for recorded in events:
        changes = _changes_of(recorded, row["uid"], state)
        entries.append(
            HistoryEntry(
                position=recorded.position,
                version=recorded.version,
                recorded_at=to_datetime(recorded.recorded_at),
                occurred_at=to_datetime(recorded.event.at),
                type=tag_of(recorded.event),
                actor=recorded.event.actor,
                run=recorded.event.run,
                changes=changes,
            )
        )
    return History(entries)


def diff(ledger: Ledger, a: Any, b: Any) -> Diff:
    """Return what differs between two points; reads the events between them, and both states.

    Raises:
        InvalidValueError: The first point is after the second.
    """
    first, second = resolve(ledger, a).position, resolve(ledger, b).position
    if first > second:
        raise InvalidValueError(
            f"diff: expected the earlier point first, got {first} and {second}; exchange them"
        )
    touched: dict[str, dict[str, None]] = {}
    links: dict[tuple[str, str], Changes] = {}
    with ledger.handler.reading() as session:
        for recorded in session.log.read(after=first, until=second):
            event = recorded.event
            registry, uid = registry_of(event), outcome_of(event)
            if registry in REGISTRIES and not isinstance(event, InputRecorded):
                touched.setdefault(registry, {})[uid] = None
            if isinstance(event, LinkAdded | LinkRemoved):
                _note_link(links.setdefault((registry, uid), {}), event)
        items = [
            item
            for registry, uids in touched.items()
            for item in _differences(session.models, registry, list(uids), first, second, links)
        ]
    return Diff(items)


def _differences(  # noqa: PLR0913, PLR0917 (the state of one comparison)
    models: Any,
    registry: str,
    uids: list[str],
    first: int,
    second: int,
    links: dict[tuple[str, str], Changes],
) -> Iterator[Difference]:
    def states(at: int) -> dict[str, dict[str, Any]]:
        where = Test(("uid",), "in", tuple(uids))
        select = Select(registry=registry, where=where, at=at)
        return {row["uid"]: row for row in models.select(select)}

    before, after = states(first), states(second)
    for uid in uids:
        old, new = before.get(uid), after.get(uid)
        shown = new or old
        if shown is None:
            continue
        changes = _compared(old, new) | links.get((registry, uid), {})
        if not changes:
            continue
        change = "added" if old is None else "removed" if new is None else "changed"
        yield Difference(
            registry=registry,
            uid=uid,
            name=shown.get("name") or shown.get("key"),
            change=change,
            changes=changes,
        )


def _compared(old: dict[str, Any] | None, new: dict[str, Any] | None) -> Changes:
    names = [name for name in (new or old or {}) if name not in _BOOKKEEPING and name != "state"]
    changes: Changes = {}
    for name in names:
        before = None if old is None else old.get(name)
        after = None if new is None else new.get(name)
        if before != after:
            changes[name] = (before, after)
    return changes


def _note_link(changes: Changes, event: LinkAdded | LinkRemoved) -> None:
    before, after = changes.get(event.field, ((), ()))
    if isinstance(event, LinkAdded):
        gone = event.target in before
        changes[event.field] = (
            tuple(uid for uid in before if uid != event.target),
            after if gone else (*after, event.target),
        )
    else:
        new = event.target in after
        changes[event.field] = (
            before if new else (*before, event.target),
            tuple(uid for uid in after if uid != event.target),
        )
    if changes[event.field] == ((), ()):
        del changes[event.field]


def _changes_of(recorded: RecordedEvent, uid: str, state: dict[str, Any]) -> Changes:
    """Return what an event changes of a record, and bring `state` up to date."""
    changes: Changes = {}
    for change in fold(recorded):
        match change:
            case Opened(table, values) if table in REGISTRIES and values.get("uid") == uid:
                new = values
            case Amended(table, key, values) if table in REGISTRIES and key.get("uid") == uid:
                new = values
            case Opened("link", values) if values["source"] == uid:
                changes[values["field"].split(".")[1]] = (None, values["target"])
                continue
            case Closed("link", matching) if matching.get("source") == uid:
                changes[matching["field"].split(".")[1]] = (matching["target"], None)
                continue
            case _:
                continue
        for name, value in new.items():
            before = state.get(name)
            state[name] = value
            if name == "state":
                if before is not None and before != value:
                    changes["state"] = (_STATES[before], _STATES[value])
            elif name not in _BOOKKEEPING and before != value:
                changes[name] = (before, value)
    return changes
