"""A transaction that several threads fill, and how it ends for each of them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable
from contextlib import ExitStack

from ledger.engine.database import WriteSession
from ledger.errors import StorageError
from ledger.model.events import RecordedEvent

Undo = Callable[[], None]


class SharedCommit:
    """An append transaction that threads fill one after another.

    Attributes:
        session: It is filled through this session.
        last: The last event so far. The log ends in it once a failed part is undone.
        is_sound: Whether everything in it is to be recorded.
        n_members: How many threads have done their part and wait for the end.
    """

    def __init__(self, session: WriteSession, last: RecordedEvent, undo: Undo) -> None:
        self.session = session
        self.last = last
        self.transaction = ExitStack()
        self.is_sound = True
        self.n_members = 0
        self._undo = undo
        self._error: Exception | None = None
        self._closer: int | None = None
        self._over = threading.Event()

    def end(self, error: Exception | None) -> None:
        """Let the members know how it ended; where it failed, take back their common memory."""
        self._closer = threading.get_ident()
        self._error = error
        if error is not None:
            self._undo()
        self._over.set()

    def wait(self) -> None:
        """Wait for the end.

        Raises:
            LedgerError: Nothing was recorded; each thread has an error of its own.
        """
        self._over.wait()
        if self._error is None:
            return
        if self._closer == threading.get_ident():
            raise self._error
        raise copy.copy(self._error) from self._error


def ends_in(session: WriteSession, last: RecordedEvent) -> bool:
    """Return whether the log, as a transaction sees it, ends in an event; not if it is broken."""
    try:
        found = session.log.entries(after=last.position - 1, limit=2)
    except Exception:  # noqa: BLE001 (whatever it is: nothing can be said of the transaction)
        return False
    return [(it.envelope.command_id, it.envelope.number) for it in found] == [
        (last.command_id, last.number)
    ]


def unknown_outcome() -> StorageError:
    """Return the error where nobody can say whether a shared transaction was recorded."""
    return StorageError(
        "save: the thread that committed was interrupted, and it is not known whether it did; "
        "run the same again, which records only what is missing"
    )


def ended(group: SharedCommit) -> Exception | None:
    """Commit all of a group, or undo it where it is not sound; return why it is not recorded."""
    try:
        if group.is_sound:
            group.transaction.close()
            return None
        reason = StorageError(
            "save: another thread's part of a shared transaction could not be undone alone; "
            "nothing was recorded, try again"
        )
        group.transaction.__exit__(type(reason), reason, None)
    except Exception as error:  # noqa: BLE001 (each member raises it)
        return error
    return reason
