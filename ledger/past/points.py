"""Points in the ledger's past: a position, a time, a run, a tag or a checkpoint, made a position.

1. A point is inclusive and resolves once.
2. As text, `now` is the present, digits are a position, ISO 8601 is a time, else it is a tag, else
   a run.
3. A datetime without time zone is refused, and so is a point in the future: one after both now
   and the last recorded time.
4. A datetime after the last recorded time resolves under the append lock, so that no append that
   is under way can fall before it afterwards.
"""

from __future__ import annotations

import base64
import datetime as dt
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import CorruptLogError, InvalidValueError, NotFoundError, nearest
from ledger.eventlog.base import LogReader
from ledger.model.merkle import root_hash
from ledger.model.times import to_datetime, to_micros

if TYPE_CHECKING:
    from ledger.places.instance import Ledger


NOW = "now"
_CHECKPOINT_LINES = 3
_DIGITS = 19  # digits of the largest possible position


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """A point that was resolved.

    Attributes:
        position: Its place in the log; 0 is before the first event.
        recorded_at: When the event at that position was recorded; None for 0.
    """

    position: int
    recorded_at: dt.datetime | None


def resolve(ledger: Ledger, point: Any) -> Point:
    """Return the position that a point means.

    Raises:
        InvalidValueError: It is in the future, has no time zone, or is no point at all.
        NotFoundError: No tag and no run has this name.
        CorruptLogError: It is a checkpoint that contradicts this log.
    """
    with ledger.reading() as session:
        head, last = session.log.last()
    if isinstance(point, dt.datetime):
        return _at_time(ledger, point, last)
    if isinstance(point, str):
        return _of_text(ledger, point)
    if isinstance(point, int) and not isinstance(point, bool):
        return _at_position(ledger, point, head)
    uid = getattr(point, "uid", None)
    if getattr(point, "registry", None) == "run" and uid is not None:
        return _of_run(ledger, uid)
    raise InvalidValueError(
        "point: expected a position, a datetime with a time zone, a run or the name of a tag, "
        f"got {type(point).__name__} {point!r}"
    )


def reads_as_other(text: str) -> str | None:
    """Return "a position", "a time" or "the present"; None if a text can name a tag."""
    if text == NOW:
        return "the present"
    if text.isdecimal():
        return "a position"
    if _moment(text) is not None:
        return "a time"
    return None


def _of_text(ledger: Ledger, text: str) -> Point:
    if text == NOW:
        return resolve(ledger, ledger.head())
    if "\n" in text:
        return _of_checkpoint(ledger, text)
    if text.isdecimal():
        if len(text) > _DIGITS:
            raise InvalidValueError(f"position {text[:_DIGITS]}…: in the future")
        return resolve(ledger, int(text))
    moment = _moment(text)
    if moment is not None:
        return resolve(ledger, moment)
    with ledger.reading() as session:
        tags = session.models.find("tag", name=text)
        if tags:
            return _dated(session.log, tags[0]["position"])
        runs = session.models.find("run", uid=text)
    if runs:
        return _of_run(ledger, text)
    with ledger.reading() as session:
        known = [row["name"] for row in session.models.find("tag")]
    near = nearest(text, known)
    way_out = f"nearest tags: {', '.join(near)}" if near else "'metaledger tag' lists the tags"
    raise NotFoundError(f"point '{text}': no tag and no run has this name; {way_out}", point=text)


def _moment(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _at_position(ledger: Ledger, position: int, head: int) -> Point:
    if position < 0:
        raise InvalidValueError(f"position {position}: expected 0 or more")
    if position > head:
        raise InvalidValueError(f"position {position}: in the future, the log ends at {head}")
    with ledger.reading() as session:
        return _dated(session.log, position)


def _at_time(ledger: Ledger, moment: dt.datetime, last: int) -> Point:
    micros = to_micros(moment)
    if micros <= last:
        with ledger.reading() as session:
            return _dated(session.log, session.log.position_at(micros))
    if micros > max(ledger.now(), last):
        raise InvalidValueError(
            f"point {moment.isoformat()}: in the future, the last event was recorded at "
            f"{to_datetime(last).isoformat()}"
        )
    # Under the lock: every append is complete by now, or gets a later recorded time.
    with ledger.writing() as writing:
        return _dated(writing.log, writing.log.position_at(micros))


def _of_run(ledger: Ledger, uid: str) -> Point:
    with ledger.reading() as session:
        rows = session.models.find("run", uid=uid)
        if not rows:
            raise NotFoundError(f"run {uid}: not in this ledger", uid=uid)
        own = session.log.stream_entries(rows[0]["stream"])[-1].envelope.position
        # Records made in a run have streams of their own; each save in a run is an intent.
        saved = session.models.find("intent", ever=True, run=uid)
        last = max([own, *(row["from_position"] for row in saved)])
        return _dated(session.log, last)


def _of_checkpoint(ledger: Ledger, note: str) -> Point:
    lines = note.splitlines()
    if len(lines) < _CHECKPOINT_LINES or not lines[1].isdecimal() or len(lines[1]) > _DIGITS:
        raise InvalidValueError("point: expected a checkpoint (origin, size, root), got other text")
    if not lines[0].endswith(ledger.place.configuration.id):
        raise InvalidValueError(
            f"checkpoint of {lines[0]}: expected one of this ledger, "
            f"{ledger.place.configuration.id}"
        )
    size = int(lines[1])
    point = resolve(ledger, size)
    with ledger.reading() as session:
        found = base64.b64encode(root_hash(session.log.leaves(until=size))).decode()
    if found != lines[2]:
        raise CorruptLogError(
            f"checkpoint for size {size} claims root {lines[2]}, recomputed {found}; "
            "stop writing and audit the ledger"
        )
    return point


def _dated(log: LogReader, position: int) -> Point:
    if position == 0:
        return Point(position=0, recorded_at=None)
    (entry,) = log.entries(after=position - 1, until=position, limit=1)
    return Point(position=position, recorded_at=to_datetime(entry.envelope.recorded_at))
