"""Who may read and write when: sessions, batches, and one thread of a process at a time.

1. A batch belongs to its block (see `ledger.engine.blocks`). Code beside the block reads what is
   committed. Where it would wait for the batch and the batch for it, it is refused; other threads
   wait for the end of the batch.
2. Within a batch each write can fail alone, and so can a batch within it.
3. One thread at a time writes.
4. Threads that meet share a commit. A thread that has written hands the open transaction to the
   next one that waits; a thread after which none waits commits for all of them. Each of them can
   fail alone, and returns when everything that it wrote or saw is durable.
5. While a transaction is shared, the thread that has the turn is part of it, or ends it first:
   where it fails, the common memory of the threads is taken back for all of them.
6. A child that is forked begins without batches. Its parent's are the parent's alone: whatever they
   changed in memory is taken back in the child.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

from ledger import forks
from ledger.display.messages import say
from ledger.engine.awaited_turns import await_turn
from ledger.engine.batches import Batch, Level, require_not_lost
from ledger.engine.blocks import Block
from ledger.engine.clocks import ahead, jumped
from ledger.engine.database import Database, Session, WriteSession
from ledger.engine.gathered import GatheredSession
from ledger.engine.interruption import entered_whole
from ledger.engine.shared_commit import SharedCommit, Undo, ended, ends_in, unknown_outcome
from ledger.engine.turns import Turns
from ledger.engine.waiting import Watch, refused
from ledger.errors import ConfigurationError, LedgerError, StorageError
from ledger.model.events import LedgerInitialized

PATIENCE = 60.0  # seconds a thread waits for another one of the process
MOST_MEMBERS = 64  # threads that share a commit: bounds how long the first of them waits


class _Part(threading.local):
    """The part of a thread in a shared transaction.

    Attributes:
        session: Reading and writing goes through it; None before anybody wrote.
        way_back: As given to `sharing`; None where the thread shares no transaction.
    """

    session: WriteSession | None = None
    way_back: Callable[[], Undo] | None = None


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
        # Called before anything is written or waited for; what it raises refuses that.
        self.guard: Callable[[], None] = _pass
        self._is_told_ahead = False
        self._part = _Part()
        self._batch: Batch | None = None
        self._lost: list[Level] = []
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
        block = self._open_block()
        # A batch of this thread, in it or left by it, is between two steps.
        if self._turns.is_mine() or (
            block is not None and (block.thread == threading.get_ident() or block.is_here())
        ):
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
        undo = [] if self._batch is None else self._batch.undo
        self._is_torn = self._is_torn or not self._is_at_rest
        self._batch, self._group, self._forking = None, None, None
        self._part, self._lost = _Part(), []
        for step in reversed(undo):
            step()

    def reading(self) -> AbstractContextManager[Session | WriteSession]:
        """Lend log and read models; inside a batch they show what the batch appended."""
        batch, session = self._around(), self._part.session
        if batch is not None:
            session = batch.session
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

    @entered_whole
    def _gathered(self) -> Iterator[GatheredSession]:
        """As `_opened`, for a batch: what it records is written together."""
        with self._opened() as session:
            gathered = GatheredSession(session, self.database.savepoint)
            yield gathered
            gathered.settle()
            session.log.met = gathered.log.met

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
        """Lend an append transaction; inside a batch, a part of it that can fail alone.

        Raises:
            CommandRejectedError: As for `turn`.
        """
        part = self._part
        if part.way_back is not None:
            with self._shared(part.way_back) as session:
                yield session
            return
        batch = self._mine()
        if batch is None:
            with self.turn(), self._opened() as session:
                yield session
            return
        session = batch.write(self._gathered)
        with session.part():
            yield session

    @entered_whole
    def batch(self, given: Batch | None = None) -> Iterator[None]:
        """Group everything in the block into one transaction: all of it is recorded, or nothing.

        From the first effect on the append lock is held to the end of the block: other writers
        wait. Without any effect nothing is locked. A batch inside a batch is a part of it, and is
        undone alone where it fails and the outer one goes on.

        Args:
            given: What `awaited` returned.

        Raises:
            CommandRejectedError: As for `turn`; or a batch inside this one is still open.
        """
        batch = self._mine() if given is None else None
        if batch is not None:
            with batch.inside():
                yield
            return
        batch = given or Batch(self._lost)
        with self._kept(batch, is_given=given is not None), batch.inside():
            yield

    @entered_whole
    def _kept(self, batch: Batch, *, is_given: bool) -> Iterator[None]:
        """Have the turn for a batch, and pass it on after that."""
        is_inside_a_turn = self._turns.is_mine()
        try:
            if not is_given and not is_inside_a_turn:
                self._wait_for_turn(batch)
            if self._group is not None:
                self._close(self._group)
            self._batch = batch
            yield
        finally:
            self._batch = None
            if self._turns.is_mine(batch):
                self._pass_on()

    async def awaited(self) -> Batch | None:
        """Return a batch that has the turn, for `batch`; None inside a batch, which goes on.

        Other tasks go on meanwhile.

        Raises:
            CommandRejectedError: An open batch waits for the caller.
            StorageError: Another thread or task has been in for too long.
        """
        self.guard()
        if self._lost:
            require_not_lost(self._lost)
        now, block = self._batch, self._open_block()
        if now is not None and block is not None:
            if block.is_here():
                return None
            if now.is_around() or now.is_ancestor():
                raise refused(block)
        batch = Batch(self._lost)
        batch.wait()

        def given() -> None:
            self._batch = batch

        try:
            came = await await_turn(
                self._turns,
                batch,
                given=given,
                look=Watch(self._open_block).look,
                patience=PATIENCE,
            )
        except BaseException:
            if self._turns.is_mine(batch):
                self._batch = None
                self._pass_on()
            raise
        if not came:
            raise _impatient()
        return batch

    def _open_block(self) -> Block | None:
        batch = self._batch
        block = None if batch is None else batch.block
        return None if block is None or block.process != os.getpid() else block

    def _around(self) -> Batch | None:
        """Return the open batch if the code that asks is inside it, however deep."""
        batch = self._batch
        return batch if batch is not None and batch.is_around() else None

    def _mine(self) -> Batch | None:
        """Return the open batch if the code that asks may write to it; None if it may wait.

        Raises:
            CommandRejectedError: It may not, and the batch would wait for it: it is beside the
                block in the same thread, or was begun from inside.
        """
        self.guard()
        if self._lost:
            require_not_lost(self._lost)
        batch, block = self._batch, self._open_block()
        if batch is None or block is None:
            return None
        if block.is_here():
            return batch
        if block.thread == threading.get_ident() or batch.is_around() or batch.is_ancestor():
            raise refused(block)
        return None

    def foresee(self, look: Callable[[GatheredSession], None]) -> None:
        """Have `look` ask ahead, under the lock, when the batch around the caller writes."""
        batch = self._around()
        if batch is not None:
            batch.foresee(look)

    def on_undo(self, step: Undo) -> None:
        """Have `step` called if the batch around the caller fails; nothing without a batch."""
        batch = self._around()
        if batch is not None:
            batch.undo.append(step)

    @property
    def is_batching(self) -> bool:
        """Whether the caller is inside an open batch, or beside one in its thread."""
        batch, block = self._batch, self._open_block()
        if batch is None or block is None:
            return False
        return block.thread == threading.get_ident() or batch.is_around()

    @property
    def is_locking(self) -> bool:
        """Whether the caller is inside a batch that holds the append lock."""
        batch = self._around()
        return self._part.session is not None or (batch is not None and batch.session is not None)

    @property
    def is_kept_out(self) -> bool:
        """Whether a batch is open elsewhere, and what it did may be taken back."""
        return self._batch is not None and self._around() is None

    # --- turns ----------------------------------------------------------------------------------

    @entered_whole
    def turn(self) -> Iterator[None]:
        """Keep the other threads of the process out, and end the transaction that they share first.

        Raises:
            CommandRejectedError: A batch is open, and would wait for the caller as the caller for
                it; nothing was recorded.
            StorageError: Another thread has been in for too long: it may wait for this one.
        """
        if self.has_turn():
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
        if self.has_turn() or not self.database.can_share:
            with self.turn():
                yield
            return
        part, group = self._part, None
        try:
            with self.passing():
                part.way_back = way_back
                part.session = None if self._group is None else self._group.session
                try:
                    yield
                finally:
                    part.way_back = part.session = None
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
        if self.has_turn():
            yield
            return
        if self._is_torn:
            raise StorageError(
                "save: this process was forked while another thread had a batch open for more than "
                f"{forks.PATIENCE:.0f} s, and knows half of it; nothing was recorded, fork before "
                "or after the batch, or begin a new process"
            )
        try:
            self._wait_for_turn(None)
            yield
        finally:
            # Also where waiting was interrupted at the moment at which the turn came.
            if self._turns.is_mine():
                self._pass_on()

    def has_turn(self) -> bool:
        """Return whether the caller has the turn already, or is inside an open batch.

        Raises:
            CommandRejectedError: As for `turn`.
        """
        return self._turns.is_mine() or self._mine() is not None

    def _wait_for_turn(self, batch: Batch | None) -> None:
        if not self._turns.take(PATIENCE, batch, look=Watch(self._open_block).look):
            raise _impatient()

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
    def _shared(self, way_back: Callable[[], Undo]) -> Iterator[WriteSession]:
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
            group.is_sound = ends_in(group.session, group.last)
            raise
        group.last = group.session.last or group.last
        group.is_sound = True

    def _close(self, group: SharedCommit) -> None:
        """Commit the shared transaction, or undo all of it, and tell its members."""
        self._group = None
        outcomes: list[Exception | None] = []
        try:
            outcomes.append(ended(group))
        except BaseException as error:
            if group.n_members > 1:
                # Perhaps it was committed all the same: the others are told the truth.
                outcomes.append(self._missing(group, error))
            raise
        finally:
            group.end(outcomes[-1] if outcomes else unknown_outcome())

    def _missing(self, group: SharedCommit, reason: BaseException) -> StorageError | None:
        """Return the error for the members of a group that is not in the log; None if it is."""
        what = f"save: the thread that committed was interrupted ({type(reason).__name__})"
        try:
            # Under the append lock: waiting for it is waiting for the end of that commit.
            with self._opened() as session:
                if ends_in(session, group.last):
                    return None
        except LedgerError as error:
            return StorageError(
                f"{what}, and the database cannot be asked whether it did ({error}); run the same "
                "again, which records only what is missing"
            )
        return StorageError(f"{what}; nothing was recorded, try again")


def _pass() -> None:
    """Refuse nothing."""


def _impatient() -> StorageError:
    return StorageError(
        f"save: another thread of this process has kept the ledger for {PATIENCE:.0f} s; save "
        "within the thread that opened the batch, or end the batch first"
    )
