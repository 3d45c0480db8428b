"""Who may read and write when: sessions, batches, and one thread of a process at a time.

1. A batch is one transaction, and begins it with its first effect: without any, nothing is locked.
2. Within a batch each write can fail alone, and so can a batch within it.
3. Where a batch fails, its changes in memory are taken back, the last one first.
4. One thread at a time writes: the others wait, also for the end of an open batch.
5. Threads that meet share a commit. A thread that has written hands the open transaction to the
   next one that waits; a thread after which none waits commits for all of them. Each of them can
   fail alone, and returns when everything that it wrote or saw is durable.
6. While a transaction is shared, the thread that has the turn is part of it, or ends it first:
   where it fails, the common memory of the threads is taken back for all of them.
7. A child that is forked begins without batches. Its parent's are the parent's alone: whatever they
   changed in memory is taken back in the child.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from ledger import forks
from ledger.display.messages import say
from ledger.engine.clocks import ahead, jumped
from ledger.engine.database import Database, Session, WriteSession
from ledger.engine.interruption import entered_whole
from ledger.engine.turns import Turns
from ledger.errors import ConfigurationError, LedgerError, StorageError
from ledger.model.events import LedgerInitialized, RecordedEvent

Undo = Callable[[], None]

PATIENCE = 60.0  # seconds a thread waits for another one of the process
MOST_MEMBERS = 64  # threads that share a commit: bounds how long the first of them waits


class Batch(threading.local):
    """The open batch of a thread, or its part in a shared transaction.

    Attributes:
        transaction: Of the batch; None outside of one.
        session: Reading and writing goes through it; None before the first effect of a batch.
        undo: Steps that take back the changes of the batch in memory.
        way_back: As given to `sharing`; None where the thread shares no transaction.
    """

    transaction: ExitStack | None = None
    session: WriteSession | None = None
    undo: list[Undo] | None = None
    way_back: Callable[[], Undo] | None = None


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


class Sessions:
    """Sessions on one database, for reading and for writing."""

    def __init__(self, database: Database, *, ledger: str | None = None) -> None:
        """Begin without any session.

        Args:
            database: Of the ledger.
            ledger: Id that its log must have before anything is written; None for any.
        """
        self.database = database
        # None once it was compared.
        self.expected = ledger
        self._is_told_ahead = False
        self._batch = Batch()
        self._turns = Turns()
        self._group: SharedCommit | None = None
        # Of the fork that is going on: the thread that forks, and whether all was at rest.
        self._forking: int | None = None
        self._is_at_rest = True
        # Whether a thread of the parent was within a batch when this process was forked.
        self._is_torn = False
        forks.wait_for_turn(self._stand_still, self._go_on)
        forks.in_child(self._begin_anew)

    def _stand_still(self) -> None:
        """Let no other thread write until the fork is over."""
        self._is_at_rest = True
        if self._turns.is_mine():
            return
        self._forking = threading.get_ident()
        self._is_at_rest = self._turns.take(forks.PATIENCE)
        if self._is_at_rest and self._group is not None:
            self._close(self._group)

    def _go_on(self) -> None:
        if self._forking == threading.get_ident():
            self._forking = None
            if self._turns.is_mine():
                self._turns.let_go()

    def _begin_anew(self) -> None:
        undo = self._batch.undo or []
        self._is_torn = self._is_torn or not self._is_at_rest
        self._batch, self._group, self._forking = Batch(), None, None
        for step in reversed(undo):
            step()

    def reading(self) -> AbstractContextManager[Session | WriteSession]:
        """Lend log and read models; inside a batch they show what the batch appended."""
        session = self._batch.session
        return self.database.read() if session is None else nullcontext(session)

    @entered_whole
    def _opened(self) -> Iterator[WriteSession]:
        """Lend an append transaction of its own, on the ledger that is expected."""
        with self.database.write() as session:
            session.log.met = None
            if self.expected is not None:
                first = next(session.log.read(until=1), None)
                if first is not None and isinstance(first.event, LedgerInitialized):
                    self._require(first.event.ledger)
            yield session
        self._tell_of_clocks(session)

    def _tell_of_clocks(self, session: WriteSession) -> None:
        """Tell of a jump each time, and once that the log's time is ahead of the clock."""
        if session.log.met is None:
            return
        clock, last = session.log.met
        is_ahead = ahead(clock, last)
        if is_ahead is not None and not self._is_told_ahead:
            self._is_told_ahead = True
            say("warning", is_ahead)
        jump = jumped(clock, last)
        if jump is not None:
            say("info", jump)

    def _require(self, found: str) -> None:
        if found != self.expected:
            raise ConfigurationError(
                f"ledger database: expected ledger {self.expected} as its configuration says, "
                f"found ledger {found}; nothing is saved, bring the right one of the two back"
            )
        self.expected = None

    @entered_whole
    def writing(self) -> Iterator[WriteSession]:
        """Lend an append transaction; inside a batch, a part of it that can fail alone."""
        batch = self._batch
        if batch.way_back is not None:
            with self._part(batch.way_back) as session:
                yield session
            return
        if batch.transaction is None:
            with self._opened() as session:
                yield session
            return
        if batch.session is None:
            batch.session = batch.transaction.enter_context(self._opened())
        session = batch.session
        with self.database.savepoint(session):
            yield session

    @entered_whole
    def batch(self) -> Iterator[None]:
        """Group everything in the block into one transaction: all of it is recorded, or nothing.

        From the first effect on the append lock is held to the end of the block: other writers
        wait. Without any effect nothing is locked. A batch inside a batch is a part of it, and is
        undone alone where it fails and the outer one goes on.
        """
        batch = self._batch
        if batch.transaction is not None and batch.undo is not None:
            with self._inner(batch.transaction, batch.undo):
                yield
            return
        with self.turn():
            undo: list[Undo] = []
            try:
                with ExitStack() as transaction:
                    batch.transaction, batch.undo = transaction, undo
                    try:
                        yield
                    finally:
                        batch.transaction = batch.session = batch.undo = None
            except BaseException:
                for step in reversed(undo):
                    step()
                raise

    @contextmanager
    def _inner(self, outer: ExitStack, undo: list[Undo]) -> Iterator[None]:
        batch = self._batch
        before = len(undo)
        try:
            if batch.session is not None:
                with self.database.savepoint(batch.session):
                    yield
            else:
                # The transaction, if the inner batch begins it, is its own until it ends well.
                with ExitStack() as inner:
                    batch.transaction = inner
                    try:
                        yield
                    except BaseException:
                        batch.session = None
                        raise
                    finally:
                        batch.transaction = outer
                    outer.enter_context(inner.pop_all())
        except BaseException:
            for step in reversed(undo[before:]):
                step()
            del undo[before:]
            raise

    def on_undo(self, step: Undo) -> None:
        """Have `step` called if the open batch of this thread fails; nothing without a batch."""
        if self._batch.undo is not None:
            self._batch.undo.append(step)

    @property
    def is_batching(self) -> bool:
        """Whether this thread has an open batch."""
        return self._batch.transaction is not None

    @property
    def is_locking(self) -> bool:
        """Whether this thread has an open batch that holds the append lock."""
        return self._batch.session is not None

    # --- turns ----------------------------------------------------------------------------------

    @entered_whole
    def turn(self) -> Iterator[None]:
        """Keep the other threads of the process out, and end the transaction that they share first.

        Raises:
            StorageError: Another thread has been in for too long: it may wait for this one.
        """
        if self._turns.is_mine():
            yield
            return
        with self.passing():
            if self._group is not None:
                self._close(self._group)
            yield

    @entered_whole
    def sharing(self, way_back: Callable[[], Undo]) -> Iterator[None]:
        """Keep the other threads out; writes of the block may share their commit.

        A block that meets a shared transaction ends when that is durable, even if the block only
        read: it may have seen the writes of other threads.

        Args:
            way_back: Called before the first thread writes; returns the step that takes the common
                memory of the threads back to its present state.

        Raises:
            StorageError: As for `turn`; or the commit failed, and nothing was recorded.
        """
        if self._turns.is_mine() or not self.database.can_share:
            with self.turn():
                yield
            return
        batch, group = self._batch, None
        try:
            with self.passing():
                batch.way_back = way_back
                batch.session = None if self._group is None else self._group.session
                try:
                    yield
                finally:
                    batch.way_back = batch.session = None
                    group = self._group
                    if group is not None:
                        group.n_members += 1
        except Exception:
            # A refusal may rest on events that were not recorded: then this error is the cause.
            if group is not None:
                group.wait()
            raise
        if group is not None:
            group.wait()

    @entered_whole
    def passing(self) -> Iterator[None]:
        """Have the turn; then pass it on, with the shared transaction, to the next that waits."""
        if self._turns.is_mine():
            yield
            return
        if self._is_torn:
            raise StorageError(
                "save: this process was forked while another thread had a batch open for more than "
                f"{forks.PATIENCE:.0f} s, and knows half of it; nothing was recorded, fork before "
                "or after the batch, or begin a new process"
            )
        try:
            if not self._turns.take(PATIENCE):
                raise StorageError(
                    f"save: another thread of this process has kept the ledger for {PATIENCE:.0f} "
                    "s; save within the thread that opened the batch, or end the batch first"
                )
            yield
        finally:
            # Also where waiting was interrupted at the moment at which the turn came.
            if self._turns.is_mine():
                self._pass_on()

    def _pass_on(self) -> None:
        group = self._group
        if group is None:
            self._turns.let_go()
            return
        if group.is_sound and group.n_members < MOST_MEMBERS and self._turns.hand_over():
            return
        try:
            self._close(group)
        finally:
            self._turns.let_go()

    # --- shared transactions --------------------------------------------------------------------

    @contextmanager
    def _part(self, way_back: Callable[[], Undo]) -> Iterator[WriteSession]:
        """Lend the shared transaction; without one, begin it."""
        group = self._group
        if group is None:
            undo = way_back()
            with ExitStack() as transaction:
                # Nobody else has written yet: where this fails, all of it is undone.
                session = transaction.enter_context(self._opened())
                yield session
                if session.last is not None:
                    group = SharedCommit(session, session.last, undo)
                    group.transaction = transaction.pop_all()
                    self._group = group
            return
        group.is_sound = False
        try:
            with self.database.savepoint(group.session):
                yield group.session
        except BaseException:
            group.session.last = group.last
            group.is_sound = _ends_in(group.session, group.last)
            raise
        group.last = group.session.last or group.last
        group.is_sound = True

    def _close(self, group: SharedCommit) -> None:
        """Commit the shared transaction, or undo all of it, and tell its members."""
        self._group = None
        outcomes: list[Exception | None] = []
        try:
            outcomes.append(_ended(group))
        except BaseException as error:
            if group.n_members > 1:
                # Perhaps it was committed all the same: the others are told the truth.
                outcomes.append(self._missing(group, error))
            raise
        finally:
            group.end(outcomes[-1] if outcomes else _unknown())

    def _missing(self, group: SharedCommit, reason: BaseException) -> StorageError | None:
        """Return the error for the members of a group that is not in the log; None if it is."""
        what = f"save: the thread that committed was interrupted ({type(reason).__name__})"
        try:
            # Under the append lock: waiting for it is waiting for the end of that commit.
            with self._opened() as session:
                if _ends_in(session, group.last):
                    return None
        except LedgerError as error:
            return StorageError(
                f"{what}, and the database cannot be asked whether it did ({error}); run the same "
                "again, which records only what is missing"
            )
        return StorageError(f"{what}; nothing was recorded, try again")


def _ends_in(session: WriteSession, last: RecordedEvent) -> bool:
    """Return whether the log, as a transaction sees it, ends in an event; not if it is broken."""
    try:
        found = session.log.entries(after=last.position - 1, limit=2)
    except Exception:  # noqa: BLE001 (whatever it is: nothing can be said of the transaction)
        return False
    return [(it.envelope.command_id, it.envelope.number) for it in found] == [
        (last.command_id, last.number)
    ]


def _unknown() -> StorageError:
    return StorageError(
        "save: the thread that committed was interrupted, and it is not known whether it did; "
        "run the same again, which records only what is missing"
    )


def _ended(group: SharedCommit) -> Exception | None:
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
