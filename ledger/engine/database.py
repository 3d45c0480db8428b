"""Log and read models as one thing: appended events are folded in the same transaction.

No other module knows both. A read session sees the present. A write session holds the append lock
from its first statement to its commit, so that the facts of a decision stay true until its events
are recorded.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import ClassVar

from ledger.errors import ReadOnlyLedgerError
from ledger.eventlog.base import Appender, LogReader
from ledger.model.events import Draft, RecordedEvent
from ledger.model.ids import CommandId
from projections.fold import fold
from projections.select import Select
from projections.store import ReadModels, Row, WritableModels

FORMAT = 2  # of the log; raised only when today's program could not read tomorrow's log


class Session:
    """Log and read models for reading."""

    def __init__(self, log: LogReader, models: ReadModels) -> None:
        self.log = log
        self.models = models


class WriteSession:
    """Log and read models inside one append transaction.

    Attributes:
        last: The last event that was appended through it; None before the first.
        shown: The rows that the last append was asked to show.
    """

    def __init__(self, log: Appender, models: WritableModels) -> None:
        self.log = log
        self.models = models
        self.last: RecordedEvent | None = None
        self.shown: list[Row] = []

    def append(
        self, command_id: CommandId, drafts: Sequence[Draft], *, shown: Select | None = None
    ) -> list[RecordedEvent]:
        """Record the events of one command and fold them into the read models.

        Args:
            command_id: Of the command.
            drafts: Its events, in order.
            shown: A question to ask then; the answer is left in the attribute of this name.

        Raises:
            NameTakenError: Two live records would bear one name; nothing was recorded.
            WrongExpectedVersionError: Somebody wrote past the append lock.
        """
        events = self.log.append(command_id, drafts, is_held=True)
        self.shown = self.models.apply_all(
            ((recorded.position, fold(recorded)) for recorded in events), shown=shown
        )
        self.last = events[-1]
        return events


class Database(ABC):
    """Where a ledger's log and read models are.

    Attributes:
        can_share: Whether a write session may pass from thread to thread before it ends.
    """

    can_share: ClassVar[bool] = True

    def require_writable(self) -> None:  # noqa: B027 (most are told by the database itself)
        """Let pass, unless this process is known to lack the right to write.

        Raises:
            ReadOnlyLedgerError: It is.
            StorageError: The database cannot be opened.
        """

    def identity(self) -> str | None:
        """Return what tells this database from its copies; None where nothing does."""
        return None

    def is_read_only(self) -> bool:
        """Return whether this process is known to lack the right to write.

        Raises:
            StorageError: The database cannot be opened.
        """
        try:
            self.require_writable()
        except ReadOnlyLedgerError:
            return True
        return False

    @abstractmethod
    def read(self) -> AbstractContextManager[Session]:
        """Lend log and read models for reading."""

    @abstractmethod
    def write(self) -> AbstractContextManager[WriteSession]:
        """Lend log and read models for appending; durable at the end, undone if it raises."""

    @abstractmethod
    def savepoint(self, session: WriteSession) -> AbstractContextManager[None]:
        """Undo what the block did to an open write session if it raises; the session goes on."""

    @abstractmethod
    def rebuild(self) -> int:
        """Fold the whole log anew into empty read models and return how many events it holds."""

    @abstractmethod
    def copy_to(self, path: Path) -> Database:
        """Return a copy as it is now, at a path where nothing is; the original is left alone."""

    @abstractmethod
    def scrub(self) -> bool:
        """Write the database anew, without the bytes that were overwritten or removed in it.

        Returns:
            Whether all of those bytes are gone; the user is told what else to do.
        """

    @abstractmethod
    def close(self) -> None:
        """Give connections back; the ledger can be opened again."""


def refold(log: LogReader, models: WritableModels) -> int:
    """Empty the read models, fold the whole log into them, and return how many events it holds."""
    models.clear()
    count = 0
    for recorded in log.read():
        models.apply(recorded.position, fold(recorded))
        count += 1
    return count
