"""Events as people read them: what happened, when, by whom, to what."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.display.rows import cell
from ledger.display.tabular import TableList, attributes
from ledger.model.canonical import Json
from ledger.model.events import InputRecorded, LedgerEvent, RecordedEvent, tag_of
from ledger.model.ids import StreamId
from ledger.model.payloads import as_json, left_as_json
from ledger.model.times import to_datetime
from ledger.model.values import untagged
from projections.fold import outcome_of, registry_of

if TYPE_CHECKING:
    from ledger.places.instance import Ledger

_BATCH = 1_000


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
        event: The event as plain data; of an erased one, what is left of it.
        is_erased: Whether what it said was erased.
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
    is_erased: bool = False

    def as_json(self) -> dict[str, Json]:
        """Return it as plain data, times as ISO 8601."""
        data: dict[str, Json] = msgspec.to_builtins(self)
        return data

    @property
    def summary(self) -> str:
        """Its content in a few words."""
        return summary(self)


class Log(TableList[Happening]):
    """Events as people read them, in an order."""

    _title = "Log"
    _columns = attributes(
        "position", "recorded_at", "actor", "type", "registry", "uid", "summary", "run"
    )


class Which(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are asked for; those with `after` < position <= `until` that match.

    Attributes:
        stream: Only events of this stream.
        registry: Only events about records of this registry.
        run: Only events of this run, those about itself included.
        actor: Only events that this user caused.
    """

    after: int = 0
    until: int | None = None
    stream: str | None = None
    registry: str | None = None
    run: str | None = None
    actor: str | None = None

    def matches(self, found: Happening) -> bool:
        """Return whether registry, run and actor of an event are those asked for."""
        return (
            (self.registry is None or found.registry == self.registry)
            and (self.run is None or self.run in (found.run, found.uid))
            and (self.actor is None or found.actor == self.actor)
        )


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
        uid=subject_of(event),
        command_id=recorded.command_id,
        event=left_as_json(event) if recorded.is_erased else as_json(event),
        is_erased=recorded.is_erased,
    )


def subject_of(event: LedgerEvent) -> str:
    """Return the uid of the record that an event is about; "" where it is about none."""
    return event.uid if isinstance(event, InputRecorded) else outcome_of(event)


def happenings(ledger: Ledger, which: Which) -> Iterator[Happening]:
    """Yield the events asked for, oldest first."""
    if which.stream is not None:
        yield from _of_stream(ledger, which, which.stream)
        return
    after = which.after
    while True:
        with ledger.reading() as session:
            batch = session.log.read_batch(after=after, until=which.until, limit=_BATCH)
        yield from filter(which.matches, map(happening, batch))
        if len(batch) < _BATCH:
            return
        after = batch[-1].position


def newest_first(ledger: Ledger, which: Which) -> Iterator[Happening]:
    """Yield the events asked for, newest first; a batch is read once it is needed."""
    if which.stream is not None:
        yield from reversed(list(_of_stream(ledger, which, which.stream)))
        return
    until = which.until
    if until is None:
        with ledger.reading() as session:
            until = session.log.head()
    while until > which.after:
        after = max(which.after, until - _BATCH)
        with ledger.reading() as session:
            batch = session.log.read_batch(after=after, until=until, limit=_BATCH)
        yield from filter(which.matches, map(happening, reversed(batch)))
        until = after


def _of_stream(ledger: Ledger, which: Which, stream: str) -> Iterator[Happening]:
    with ledger.reading() as session:
        events = session.log.stream(StreamId(stream), until=which.until)
    found = map(happening, (it for it in events if it.position > which.after))
    yield from filter(which.matches, found)


def summary(event: Happening) -> str:  # noqa: PLR0911 (one a kind)
    """Return the content of an event in a few words."""
    data = event.event
    if event.is_erased:
        return "[erased]"
    fields = data.get("fields")
    if isinstance(fields, dict):
        shown = (f"{name}={untagged(value)!r}" for name, value in fields.items())
        return cell("text", ", ".join(shown))
    match event.type:
        case "values-set.v1":
            given = [
                f"{name}={untagged(value)!r}" for name, value in data.get("values", {}).items()
            ]
            return cell(
                "text", ", ".join([*given, *(f"{it} removed" for it in data.get("removed", ()))])
            )
        case "artifact-reproduced.v1":
            return "made again"
        case "artifact-relocated.v1":
            return cell("text", f"its content lies at {data['storage']}/{data['storage_key']}")
        case "link-added.v1":
            return f"{data['field']} + {data['target']}"
        case "link-removed.v1":
            return f"{data['field']} - {data['target']}"
        case "records-merged.v1":
            return f"into {data['into']}"
        case "position-tagged.v1":
            return f"position {data['position']:,}"
        case _:
            names = (
                "key",
                "name",
                "alias",
                "artifact",
                "reason",
                "status",
                "media_type",
                "transform",
            )
            return next(
                (cell("text", f"{name}={data[name]!r}") for name in names if data.get(name)), ""
            )


__all__ = ["Happening", "Which", "happening", "happenings", "newest_first", "subject_of", "summary"]
