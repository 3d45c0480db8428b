"""The log of a bulk: entries wait in memory until they are written together.

Positions, recorded times and versions go on from the entries that wait. A question about the log
has them written first. `mark` tells how many wait, and `return_to` takes back those after a mark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from ledger.eventlog.base import Appender
from ledger.eventlog.entry import Entry
from ledger.model.ids import CommandId, Position, StreamId


class PendingLog(Appender):
    """Appends to a log whose entries wait until they are written."""

    def __init__(self, log: Appender, settle: Callable[[], None]) -> None:
        """Begin without entries.

        Args:
            log: The log.
            settle: Writes what waits, of the log and of the read models.
        """
        super().__init__(log.clock)
        self.log = log
        self._settle = settle
        self._entries: list[Entry] = []
        self._commands: Counter[CommandId] = Counter()  # of what waits
        self._versions: dict[StreamId, int] = {}
        self._last: tuple[Position, int] | None = None

    @property
    def connection(self) -> Any:
        """The connection of the log, with everything written that waits."""
        self._settle()
        return self.log.connection  # type: ignore[attr-defined]

    @property
    def is_waiting(self) -> bool:
        """Whether any entry waits."""
        return bool(self._entries)

    # --- reading ------------------------------------------------------------------------------

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry; (0, 0) if empty."""
        if self._last is None:
            self._last = self.log.last()
        return self._last

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""
        self._settle()
        return self.log.entries(after=after, until=until, limit=limit)

    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order."""
        self._settle()
        return self.log.stream_entries(stream, until=until)

    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order; they are written first if they wait."""
        if self._commands[command_id]:
            self._settle()
        return self.log.command_entries(command_id)

    def leaves(self, *, after: int = 0, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries with `after` < position <= `until`, in order."""
        self._settle()
        return self.log.leaves(after=after, until=until)

    # --- appending ----------------------------------------------------------------------------

    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""
        return self.stream_versions([stream])[stream]

    def stream_versions(self, streams: Iterable[StreamId]) -> dict[StreamId, int]:
        """Return the versions of the last events of several streams, unknown ones asked at once."""
        wanted = list(streams)
        unknown = [stream for stream in wanted if stream not in self._versions]
        if unknown:
            self._versions.update(self.log.stream_versions(unknown))
        return {stream: self._versions[stream] for stream in wanted}

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Learn the versions of streams that will be appended to, where asking costs a trip."""
        self.log.expect([stream for stream in streams if stream not in self._versions])

    def erase(self, entries: Sequence[Entry]) -> None:
        """Put erased entries in the place of those that they are made of."""
        self._settle()
        self.log.erase(entries)

    def _insert(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            envelope = entry.envelope
            self._versions[envelope.stream] = envelope.version
            self._last = (envelope.position, envelope.recorded_at)
            self._commands[envelope.command_id] += 1
        self._entries.extend(entries)

    # --- waiting ------------------------------------------------------------------------------

    def mark(self) -> int:
        """Return how many entries wait."""
        return len(self._entries)

    def return_to(self, mark: int) -> list[Entry]:
        """Take back the entries after the first `mark`, and return them in their order."""
        tail = self._entries[mark:]
        if not tail:
            return []
        del self._entries[mark:]
        for entry in reversed(tail):
            self._versions[entry.envelope.stream] = entry.envelope.version - 1
            self._commands[entry.envelope.command_id] -= 1
        self._last = None
        if self._entries:
            envelope = self._entries[-1].envelope
            self._last = (envelope.position, envelope.recorded_at)
        return tail

    def put_back(self, entries: Sequence[Entry]) -> None:
        """Have entries wait again that were taken back."""
        self._insert(entries)

    def write(self) -> None:
        """Have the log record the entries that wait, at the latest with what follows."""
        self.log._hold(self._entries)  # noqa: SLF001 (of the same seam)

    def wrote(self) -> None:
        """Let go of the entries: the log holds them."""
        self._entries = []
        self._commands.clear()

    def forget(self) -> None:
        """Let go of everything: the log is not as it was when it answered."""
        self._entries = []
        self._commands.clear()
        self._versions.clear()
        self._last = None
