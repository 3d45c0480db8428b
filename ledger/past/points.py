"""Points in the ledger's past: a position, a time, a run, a tag or a checkpoint, made a position.

1. A point is inclusive and resolves once.
2. As text, digits are a position, "now" is the last position, ISO 8601 is a time, also with "UTC"
   for its zone, "2 days ago" is a time by this computer's clock; else it is a tag, else a run.
3. A time means the end of what it names: `12:30` of the minute, `12:30:05` of the second. A
   datetime without a fraction of a second means the end of the second.
4. A datetime without time zone is refused, and so is a point in the future: one after both now
   and the last recorded time.
5. Recorded times decide, whatever events say of themselves. Where a wrong clock put the log's time
   ahead of the present, a warning tells which events a time leaves out.
6. A datetime after the last recorded time resolves under the append lock, so that no append that
   is under way can fall before it afterwards.
"""

from __future__ import annotations

import base64
import datetime as dt
import re
from numbers import Integral
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.display.messages import say
from ledger.engine.clocks import lead
from ledger.errors import (
    CorruptLogError,
    InvalidValueError,
    NotFoundError,
    ReadOnlyLedgerError,
    nearest,
)
from ledger.eventlog.base import LogReader
from ledger.model.canonical import asked
from ledger.model.merkle import root_hash
from ledger.model.times import ago, moment_text, to_datetime, to_micros

if TYPE_CHECKING:
    from ledger.places.instance import Ledger


NOW = "now"
# No tag bears these: they are read as points, here or on the command line of a later program.
_WORDS = frozenset({NOW, "head", "today", "tomorrow", "yesterday"})
_AGO = re.compile(r".*\bago", re.DOTALL)
_CLOCK = re.compile(r"[T ]\d\d(?P<minute>:?\d\d)?(?P<second>:?\d\d)?(?P<fraction>[.,]\d+)?")
_SECOND = 1_000_000  # microseconds
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
        return _at_time(ledger, point, last, span=1 if point.microsecond else _SECOND)
    if isinstance(point, str):
        return _of_text(ledger, point, head, last)
    if _is_whole(point):
        return _at_position(ledger, int(point), head)
    uid = getattr(point, "uid", None)
    if getattr(point, "registry", None) == "run" and uid is not None:
        return _of_run(ledger, uid)
    raise InvalidValueError(
        "point: expected a position, a datetime with a time zone, a run or the name of a tag, "
        f"got {type(point).__name__} {point!r}"
    )


def moment_of(ledger: Ledger, point: Any) -> tuple[int, int]:
    """Return the first microsecond of a time, and how many microseconds long it is.

    Raises:
        InvalidValueError: It is no time, or has no time zone.
    """
    if isinstance(point, dt.datetime):
        return to_micros(point), 1 if point.microsecond else _SECOND
    if isinstance(point, str):
        text = asked("point", point)
        moment = None if text.isdecimal() else _moment(text)
        if moment is not None:
            return to_micros(moment), _span(text)
        if (past := ago(text, ledger.now())) is not None:
            return past, 1
    raise InvalidValueError(
        f"point: expected a time with its zone, as the clock is 'said', got {point!r:.60}"
    )


def _is_whole(point: Any) -> bool:
    """Return whether a point is a whole number, of numpy or pandas too."""
    return not isinstance(point, bool) and isinstance(point, Integral)


def reads_as_other(text: str) -> str | None:
    """Return "a position", "a time" or "the present"; None if a text can name a tag."""
    word = text.casefold()
    if word == NOW:
        return "the present"
    if text.isdecimal():
        return "a position"
    if word in _WORDS or _AGO.fullmatch(word) or _moment(text) is not None:
        return "a time"
    return None


def _of_text(ledger: Ledger, text: str, head: int, last: int) -> Point:
    text = asked("point", text)
    if "\n" in text:
        return _of_checkpoint(ledger, text)
    if text.isdecimal():
        if len(text) > _DIGITS:
            raise InvalidValueError(f"position {text[:_DIGITS]}…: in the future")
        return resolve(ledger, int(text))
    if text.casefold() == NOW:
        return _at_position(ledger, head, head)
    moment, span = _moment(text), _span(text)
    if moment is None and (past := ago(text, ledger.now())) is not None:
        moment, span = to_datetime(past), 1
    if moment is not None:
        return _at_time(ledger, moment, last, span=span)
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
    """Return the time that a text names, as our tables show it or as ISO 8601; None if none."""
    try:
        return dt.datetime.fromisoformat(re.sub(r" ?UTC$", "+00:00", text))
    except ValueError:
        return None


def _span(text: str) -> int:
    """Return how many microseconds long the time that a text names is: to its last digit."""
    clock = _CLOCK.search(text)
    if clock is None or clock["minute"] is None:
        return 60 * 60 * _SECOND
    if clock["second"] is None:
        return 60 * _SECOND
    digits = 0 if clock["fraction"] is None else min(6, len(clock["fraction"]) - 1)
    return int(_SECOND // 10**digits)


def _at_position(ledger: Ledger, position: int, head: int) -> Point:
    if position < 0:
        raise InvalidValueError(f"position {position}: expected 0 or more")
    if position > head:
        raise InvalidValueError(f"position {position}: in the future, the log ends at {head}")
    with ledger.reading() as session:
        return _dated(session.log, position)


def _at_time(ledger: Ledger, moment: dt.datetime, last: int, *, span: int) -> Point:
    start = to_micros(moment)
    micros = start + span - 1
    if micros <= last:
        with ledger.reading() as session:
            found = session.log.position_at(micros)
            if lead(now := ledger.now(), last) and found == session.log.position_at(now):
                say(
                    "warning",
                    f"as of {moment_text(start)}: events from position {found + 1} on are left "
                    "out, as their recorded time is ahead of the clock; name a position, a run or "
                    "a tag instead ('metaledger doctor' tells more)",
                )
            return _dated(session.log, found)
    if start > max(ledger.now(), last):
        raise InvalidValueError(
            f"point {moment.isoformat()}: in the future, the last event was recorded at "
            f"{to_datetime(last).isoformat()}"
        )
    try:
        # Under the lock: every append is complete by now, or gets a later recorded time.
        with ledger.writing() as writing:
            return _dated(writing.log, writing.log.position_at(micros))
    except ReadOnlyLedgerError:
        # Without the right to write there is no lock: what is there now answers.
        with ledger.reading() as session:
            return _dated(session.log, session.log.position_at(micros))


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
