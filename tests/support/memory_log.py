"""The log in memory: eventsourcing's plain-object recorder, with our entries beside it.

It ends with the process. Tests compare the databases with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from eventsourcing.persistence import IntegrityError
from eventsourcing.popo import POPOApplicationRecorder

from ledger.errors import WrongExpectedVersionError
from ledger.eventlog.base import Appender
from ledger.eventlog.entry import Entry
from ledger.eventlog.framework import stored_events_of
from ledger.model.ids import CommandId, Position, StreamId


class Recorder(POPOApplicationRecorder):
    """eventsourcing's recorder, with a way to take back the events of a failed transaction."""

    def truncate(self, length: int) -> None:
        """Forget every stored event after the first `length`."""
        with self._database_lock:
            for stored in self._stored_events[length:]:
                del self._stored_events_index[str(stored.originator_id)][stored.originator_version]
            del self._stored_events[length:]

    def replace(self, at: int, state: bytes) -> None:
        """Give the stored event of an index another state."""
        with self._database_lock:
            self._stored_events[at] = replace(self._stored_events[at], state=state)


class MemoryLog(Appender):
    """Appends to and reads from lists; the caller holds a lock around every transaction."""

    def __init__(self, clock: Callable[[], int]) -> None:
        super().__init__(clock)
        self._recorder = Recorder()
        self._entries: list[Entry] = []
        self._streams: dict[StreamId, list[int]] = {}
        self._commands: dict[CommandId, list[int]] = {}
        # Erasures of an open transaction: the head then, and the entry as it was.
        self._erased: list[tuple[int, Entry]] = []

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry; (0, 0) if empty."""
        if not self._entries:
            return Position(0), 0
        envelope = self._entries[-1].envelope
        return envelope.position, envelope.recorded_at

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""
        after = max(after, 0)
        end = after + limit if until is None else min(until, after + limit)
        return self._entries[after:end] if end > after else []

    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order."""
        end = len(self._entries) if until is None else until
        return [self._entries[at] for at in self._streams.get(stream, ()) if at < end]

    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order."""
        return [self._entries[at] for at in self._commands.get(command_id, ())]

    def leaves(self, *, after: int = 0, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries with `after` < position <= `until`, in order."""
        for entry in self._entries[after:until]:
            yield entry.leaf

    def copy(self) -> MemoryLog:
        """Return another log with the same entries."""
        other = MemoryLog(self.clock)
        other._insert(self._entries)
        return other

    def rollback(self, length: int) -> None:
        """Forget every entry after the first `length`, and undo the erasures of these entries."""
        while self._erased and self._erased[-1][0] > length:
            self._put(self._erased.pop()[1])
        for entry in self._entries[length:]:
            self._streams[entry.envelope.stream].pop()
            self._commands[entry.envelope.command_id].pop()
        del self._entries[length:]
        self._recorder.truncate(length)

    def settle(self) -> None:
        """Forget the entries that were erased: the transaction has ended well."""
        self._erased.clear()

    def erase(self, entries: Sequence[Entry]) -> None:
        """Put erased entries in the place of those that they are made of."""
        for entry in entries:
            self._erased.append((len(self._entries), self._entries[entry.envelope.position - 1]))
            self._put(entry)

    def _put(self, entry: Entry) -> None:
        at = entry.envelope.position - 1
        self._entries[at] = entry
        self._recorder.replace(at, entry.payload)

    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""
        return len(self._streams.get(stream, ()))

    def _insert(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if len(self._commands.get(entry.envelope.command_id, ())) >= entry.envelope.number:
                raise WrongExpectedVersionError(
                    f"append refused: command {entry.envelope.command_id} is recorded already"
                )
        try:
            self._recorder.insert_events(stored_events_of(entries))
        except IntegrityError as error:
            raise WrongExpectedVersionError(f"append refused: {error}") from error
        for entry in entries:
            at = len(self._entries)
            self._entries.append(entry)
            self._streams.setdefault(entry.envelope.stream, []).append(at)
            self._commands.setdefault(entry.envelope.command_id, []).append(at)
