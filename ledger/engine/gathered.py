"""A write session that gathers: what a batch records is written together.

1. Events are made one by one, from facts as if each were recorded at once: positions, ids and
   order are those of saves without a batch. Log and read models are written together, some
   thousands of rows with a few statements.
2. A part of the session can fail alone. While nothing was written since it began, it is taken back
   in memory; else by a savepoint of the database, which then begins where the part began.
3. What is written is written whole: where that fails, it waits as before, or the session refuses
   everything that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from ledger.engine.database import WriteSession
from ledger.errors import StorageError
from ledger.eventlog.pending import PendingLog
from ledger.model.events import Draft, RecordedEvent
from ledger.model.ids import CommandId, StreamId
from projections.pending import PendingModels
from projections.select import Select

MOST_WAITING = 2_000  # events: bounds the memory of a batch


class _Part:
    """A part that can fail alone.

    Attributes:
        marks: How many entries and changes waited when it began.
        saved: The savepoint of the database, once there had to be one.
    """

    def __init__(self, marks: tuple[int, int], last: RecordedEvent | None) -> None:
        self.marks = marks
        self.last = last
        self.saved: ExitStack | None = None


class GatheredSession(WriteSession):
    """Log and read models inside one append transaction, written when they must be."""

    log: PendingLog
    models: PendingModels

    def __init__(
        self,
        session: WriteSession,
        savepoint: Callable[[WriteSession], AbstractContextManager[None]],
    ) -> None:
        """Gather for an open session; `savepoint` makes a part of it that can fail alone."""
        super().__init__(
            PendingLog(session.log, self.settle), PendingModels(session.models, self.settle)
        )
        self._session = session
        self._savepoint = savepoint
        self._parts: list[_Part] = []
        self._is_torn = False

    def append(
        self, command_id: CommandId, drafts: Sequence[Draft], *, shown: Select | None = None
    ) -> list[RecordedEvent]:
        """Record the events of one command; see `WriteSession.append`."""
        self._require_whole()
        return super().append(command_id, drafts, shown=shown)

    def foresee(
        self, questions: Sequence[tuple[str, dict[str, Any]]], streams: Sequence[StreamId]
    ) -> None:
        """Ask all of these questions, and for the versions of these streams, at once."""
        self.log.expect(streams)
        self.models.foresee(questions)
        self.log.stream_versions(streams)

    @contextmanager
    def part(self) -> Iterator[None]:
        """Undo what the block did if it raises; the session goes on."""
        self._require_whole()
        if self.log.mark() >= MOST_WAITING:
            self.settle()
        part = _Part((self.log.mark(), self.models.mark()), self.last)
        self._parts.append(part)
        try:
            yield
        except BaseException as error:
            self._parts.remove(part)
            self._take_back(part, error)
            raise
        self._parts.remove(part)
        if part.saved is not None:
            part.saved.close()

    def _take_back(self, part: _Part, error: BaseException) -> None:
        self.last = part.last
        if part.saved is None:
            self.log.return_to(part.marks[0])
            self.models.return_to(part.marks[1])
            return
        try:
            part.saved.__exit__(type(error), error, error.__traceback__)
        finally:
            self.log.forget()
            self.models.forget()

    def settle(self) -> None:
        """Write what waits.

        Raises:
            StorageError: The database refused.
            NameTakenError: Two live records would bear one name: somebody wrote past the lock.
        """
        self._require_whole()
        if not self.log.is_waiting:
            return
        self._is_torn = True
        for part in self._parts:
            if part.saved is None:
                self._save(part)
        self._write()
        self._is_torn = False

    def _save(self, part: _Part) -> None:
        """Begin the savepoint of a part, behind what had waited when the part began."""
        entries = self.log.return_to(part.marks[0])
        changes = self.models.return_to(part.marks[1])
        try:
            self._write()
            saved = ExitStack()
            saved.enter_context(self._savepoint(self._session))
            part.saved = saved
        finally:
            self.log.put_back(entries)
            for position, change in changes:
                self.models.apply(position, [change])
        for inner in self._parts:
            if inner.saved is None:
                inner.marks = (
                    inner.marks[0] - part.marks[0],
                    inner.marks[1] - part.marks[1],
                )

    def _write(self) -> None:
        if not self.log.is_waiting:
            return
        try:
            with self._savepoint(self._session):
                self.log.write()
                self.models.write()
        except BaseException:
            # The database is as it was before: all of it still waits.
            self._is_torn = False
            raise
        self.log.wrote()
        self.models.wrote()

    def _require_whole(self) -> None:
        if self._is_torn:
            raise StorageError(
                "batch: it was interrupted while it wrote to the database; nothing of the batch "
                "is recorded, leave it and begin another one"
            )
