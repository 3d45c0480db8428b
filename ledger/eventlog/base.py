"""The seam of the log: append, read, head. Every implementation passes one conformance suite.

1. `position` is dense from 1, in commit order, never reused.
2. `recorded_at` is given under the append lock and strictly increases, even if the clock does not.
3. A stream has one event a version; a command has one event a number. The database says so.
4. An event for which nobody says a time is said to happen when it is recorded. Where the log's time
   is ahead of the clock, because a clock was wrong once, it is said to happen when the clock says.
5. Events that `append` returned are durable when the transaction around it has ended.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec

from ledger.errors import CorruptLogError, WrongExpectedVersionError
from ledger.eventlog.entry import Entry, Pending, entry_for, recorded
from ledger.model.events import Draft, Event, RecordedEvent
from ledger.model.ids import CommandId, Position, StreamId
from ledger.model.merkle import leaf_hash
from ledger.model.payloads import from_payload
from ledger.model.times import UNSAID

E = TypeVar("E", bound=Event)

READ_BATCH = 1_000
AHEAD = 1_000_000  # microseconds: clocks are put right by less every day


class LogReader(ABC):
    """Reads the log; bound to a connection by whoever made it."""

    @abstractmethod
    def last(self) -> tuple[Position, int]:
        """Return position and recorded time (microseconds) of the last entry; (0, 0) if empty."""

    @abstractmethod
    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""

    @abstractmethod
    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order; empty where there is none."""

    @abstractmethod
    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order; empty where it was never recorded."""

    def head(self) -> Position:
        """Return the position of the last entry; 0 for an empty log."""
        return self.last()[0]

    def read(self, *, after: int = 0, until: int | None = None) -> Iterator[RecordedEvent]:
        """Yield events with `after` < position <= `until`, in order, reading ahead in batches.

        Raises:
            UnknownEventError: An event's type or shape is not known to this program.
            CorruptLogError: A position is missing.
        """
        after = max(after, 0)
        while batch := self.entries(after=after, until=until, limit=READ_BATCH):
            for entry in batch:
                after += 1
                if entry.envelope.position != after:
                    raise CorruptLogError(
                        f"log: expected position {after}, found {entry.envelope.position}; "
                        "stop writing and audit the ledger",
                        position=after,
                    )
                yield decode(entry)

    def position_at(self, micros: int) -> Position:
        """Return the last position recorded at or before a moment; 0 where there is none.

        Recorded times increase with positions: a search by halves, about twenty rows per million.
        """
        low, high = 0, int(self.head())
        while low < high:
            middle = (low + high + 1) // 2
            (entry,) = self.entries(after=middle - 1, until=middle, limit=1)
            if entry.envelope.recorded_at <= micros:
                low = middle
            else:
                high = middle - 1
        return Position(low)

    @abstractmethod
    def leaves(self, *, after: int = 0, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries with `after` < position <= `until`, in order."""

    def read_batch(
        self, *, after: int = 0, until: int | None = None, limit: int = READ_BATCH
    ) -> list[RecordedEvent]:
        """Return up to `limit` events with `after` < position <= `until`, in order."""
        return [decode(entry) for entry in self.entries(after=after, until=until, limit=limit)]

    def stream(self, stream: StreamId, *, until: int | None = None) -> list[RecordedEvent]:
        """Return the events of a stream, in order."""
        return [decode(entry) for entry in self.stream_entries(stream, until=until)]

    def command(self, command_id: CommandId) -> list[RecordedEvent]:
        """Return the events that a command left, in order; empty where it was never recorded."""
        return [decode(entry) for entry in self.command_entries(command_id)]


class Appender(LogReader):
    """Appends to the log inside a transaction that holds the append lock.

    Attributes:
        clock: What recorded times are taken from, in microseconds since 1970 UTC.
        met: At the first append, the clock and the recorded time of the event before; None until
            then, and in an empty log.

    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self.clock = clock
        self.met: tuple[int, int] | None = None
        self._upcoming: tuple[int, int] | None = None

    def append(
        self, command_id: CommandId, drafts: Sequence[Draft], *, is_held: bool = False
    ) -> list[RecordedEvent]:
        """Record the events of one command, at consecutive positions, and return them.

        Args:
            command_id: Of the command.
            drafts: Its events, in order.
            is_held: Whether another statement follows at once. Where a statement costs a round
                trip, the events travel with that one, and are recorded or refused with it.

        Raises:
            WrongExpectedVersionError: A stream or the command was written meanwhile: another
                program wrote without the append lock.
        """
        position, last_time = self.last()
        versions = self.stream_versions(dict.fromkeys(draft.stream for draft in drafts))
        entries = []
        events = []
        for number, draft in enumerate(drafts, start=1):
            stream = draft.stream
            version = versions[stream] = versions[stream] + 1
            position = Position(position + 1)
            last_time, clock = self._upcoming or self._times(last_time)
            self._upcoming = None
            event = _dated(draft.event, last_time, clock)
            pending = Pending(stream=stream, command_id=command_id, number=number, event=event)
            entry = entry_for(pending, position=position, version=version, recorded_at=last_time)
            entries.append(entry)
            events.append(recorded(entry, event))
        if is_held:
            self._hold(entries)
        else:
            self._insert(entries)
        return events

    def dated(self, event: E) -> E:
        """Return an event with the time at which it is said to happen, if it is appended next."""
        if self._upcoming is None:
            self._upcoming = self._times(self.last()[1])
        return _dated(event, *self._upcoming)

    def _times(self, last: int) -> tuple[int, int]:
        """Return the recorded time of an event after the one recorded at `last`, and the clock."""
        clock = self.clock()
        if self.met is None and last:
            self.met = clock, last
        return max(clock, last + 1), clock

    def adopt(self, entries: Sequence[Entry]) -> None:
        """Record entries that exist elsewhere already: byte for byte, at their own positions.

        They continue this log, and all of them are checked before the first is stored: positions
        follow the head without a gap, recorded times increase, versions follow those of their
        streams, and each entry hashes to its leaf. Ids, times and salts stay as they are, so that
        the tree grows by the same leaves.

        Two things are left to the caller: to compare root hashes, so that this log is the beginning
        of the other one, and to fold the events into read models.

        Raises:
            WrongExpectedVersionError: They do not follow the last entry here, or one of their
                commands is recorded already; nothing was recorded.
            CorruptLogError: An entry is not what its leaf hash says; nothing was recorded.
        """
        position, last_time = self.last()
        versions = self.stream_versions(dict.fromkeys(it.envelope.stream for it in entries))
        for entry in entries:
            envelope = entry.envelope
            position = Position(position + 1)
            version = versions[envelope.stream] = versions[envelope.stream] + 1
            expected = f"position {position}, version {version}, recorded after {last_time}"
            if (envelope.position, envelope.version) != (position, version) or (
                envelope.recorded_at <= last_time
            ):
                raise WrongExpectedVersionError(
                    f"stream {envelope.stream}: expected an entry at {expected}, found position "
                    f"{envelope.position}, version {envelope.version}, recorded at "
                    f"{envelope.recorded_at}"
                )
            if leaf_hash(entry.hashed) != entry.leaf:
                raise CorruptLogError(
                    f"entry at position {position}: it is not what its leaf hash says",
                    position=position,
                )
            last_time = envelope.recorded_at
        self._insert(entries)

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Learn the versions of streams that will be appended to, where asking costs a trip."""

    @abstractmethod
    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""

    def stream_versions(self, streams: Iterable[StreamId]) -> dict[StreamId, int]:
        """Return the versions of the last events of several streams."""
        return {stream: self.stream_version(stream) for stream in streams}

    @abstractmethod
    def erase(self, entries: Sequence[Entry]) -> None:
        """Put erased entries in the place of those that they are made of.

        The last event has to be the erasure that names them: the database refuses it otherwise.
        """

    @abstractmethod
    def _insert(self, entries: Sequence[Entry]) -> None:
        """Store entries that follow the last one."""

    def _hold(self, entries: Sequence[Entry]) -> None:
        """Store entries that follow the last one, at the latest with what follows."""
        self._insert(entries)


def _dated(event: E, recorded_at: int, clock: int) -> E:
    if event.at != UNSAID:
        return event
    at = recorded_at if recorded_at - clock <= AHEAD else clock
    return msgspec.structs.replace(event, at=at)


def decode(entry: Entry) -> RecordedEvent:
    """Return the event of a stored entry; of an erased one, what is left of it.

    Raises:
        UnknownEventError: Its type or shape is not known to this program.
    """
    event = from_payload(entry.payload, position=entry.envelope.position, is_erased=entry.is_erased)
    return recorded(entry, event)
