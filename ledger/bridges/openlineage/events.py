"""Events of OpenLineage as they are read: one JSON object a line, each checked before any is used.

1. A line that is no event refuses the whole stream, with its number.
2. What the standard does not ask for may be missing; what is not named here is not looked at.
3. The time of an event has a zone, and does not lie in the future.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from typing import Annotated, Any
from uuid import UUID

import msgspec

from ledger.errors import InvalidValueError

Text = Annotated[str, msgspec.Meta(min_length=1)]
Facets = dict[str, Any]

# The word for each type of event that ends a run, best first: nothing moves a run back.
ENDS = {"COMPLETE": "finished", "FAIL": "failed", "ABORT": "ended"}


class RunSaid(msgspec.Struct, frozen=True, rename="camel"):
    """The run of an event."""

    run_id: UUID
    facets: Facets = {}


class JobSaid(msgspec.Struct, frozen=True):
    """The job that ran."""

    namespace: Text
    name: Text
    facets: Facets = {}


class DatasetSaid(msgspec.Struct, frozen=True, rename="camel"):
    """A dataset that was read or written."""

    namespace: Text
    name: Text
    facets: Facets | None = None
    output_facets: Facets | None = None


class EventSaid(msgspec.Struct, frozen=True, rename="camel"):
    """An event; without a run it speaks of a job or a dataset alone."""

    event_time: Annotated[dt.datetime, msgspec.Meta(tz=True)]
    event_type: str | None = None
    run: RunSaid | None = None
    job: JobSaid | None = None
    dataset: DatasetSaid | None = None
    inputs: list[DatasetSaid] | None = None
    outputs: list[DatasetSaid] | None = None


class Line(msgspec.Struct, frozen=True):
    """An event, and the number of its line."""

    number: int
    event: EventSaid


_decoder: msgspec.json.Decoder[EventSaid] = msgspec.json.Decoder(EventSaid)


def lines(stream: Iterable[bytes], where: str, *, now: dt.datetime) -> Iterator[Line]:
    """Yield the events of a stream; empty lines are none.

    Args:
        stream: Its lines.
        where: What the user named it by, for messages.
        now: The present: no event is later.

    Raises:
        InvalidValueError: A line is no event.
    """
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        told = f"openlineage {where}, line {number}"
        try:
            event = _decoder.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise InvalidValueError(
                f"{told}: expected an event of OpenLineage as one JSON object, and {error}; "
                "nothing was recorded"
            ) from error
        if rb"\u0000" in line and _has_nul(msgspec.to_builtins(event)):
            raise InvalidValueError(
                f"{told}: a text in it has the character NUL, which no database here keeps; "
                "nothing was recorded"
            )
        if event.run is not None and event.job is None:
            raise InvalidValueError(f"{told}: a run event needs a `job`; nothing was recorded")
        if event.run is None and event.job is None and event.dataset is None:
            raise InvalidValueError(
                f"{told}: expected `run` and `job`, or `job`, or `dataset`; nothing was recorded"
            )
        if event.event_time > now:
            raise InvalidValueError(
                f"{told}: {event.event_time.isoformat()} is in the future; nothing was recorded"
            )
        yield Line(number, event)


def _has_nul(value: Any) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(it) for pair in value.items() for it in pair)
    if isinstance(value, list):
        return any(_has_nul(it) for it in value)
    return isinstance(value, str) and "\0" in value


def facet(facets: Facets | None, name: str, key: str) -> Any:
    """Return a value of a facet; None where the event does not have it."""
    held = (facets or {}).get(name)
    return held.get(key) if isinstance(held, dict) else None


def text_of(facets: Facets | None, name: str, key: str) -> str | None:
    """Return a text of a facet; None where the event does not have it."""
    found = facet(facets, name, key)
    return found if isinstance(found, str) and found else None
