"""Carrying out commands: recorded already? decide, append, retry.

1. An intent that the run in hand knows ends at its recorded outcome; nothing is read or written.
2. Else the rules are asked against the present. Without effect, nothing is written.
3. Else the append lock is taken and everything is asked again, so that what was decided on is
   still true when it is recorded: another process may have recorded the same command, or the whole
   run, in between.
4. What must come first (a fork, a resumption) is recorded in the same transaction.
5. A transaction that fails leaves neither the database nor the passage changed.
6. One thread at a time: the others wait, also for the end of an open batch.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import msgspec

from ledger.canonical import Json
from ledger.commands import Command, assigned
from ledger.database import Database, Session, WriteSession
from ledger.decisions import runs
from ledger.decisions.decide import decide
from ledger.decisions.facts import Decision, Notice, Stamp
from ledger.decisions.replay import Case, Intent, Passage, Step
from ledger.errors import StorageError
from ledger.events import Draft, Noted
from ledger.ids import Position, command_id

PATIENCE = 60.0  # seconds a thread waits for another one of the process


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        uid: The record it ended at.
        n_events: How many events it appended; 0 where it had no effect.
        is_new: Whether it created the record.
        notices: What to tell the user.
    """

    uid: str
    n_events: int = 0
    is_new: bool = False
    notices: tuple[Notice, ...] = ()


Prepare = Callable[[Decision], None]
Before = Callable[[WriteSession], dict[str, Any]]


class Tracked(msgspec.Struct):
    """The run in hand: its passage, and what a fork of it would say of itself."""

    passage: Passage
    plan: runs.RunPlan
    before: Before
    read: set[str] = msgspec.field(default_factory=set)


class Batch(threading.local):
    """The open batch of a thread; its transaction begins with its first effect."""

    transaction: ExitStack | None = None
    session: WriteSession | None = None
    undo: list[Callable[[], None]] | None = None


class Handler:
    """Carries out commands on one ledger, one at a time."""

    def __init__(self, database: Database, *, clock: Callable[[], int], actor: str) -> None:
        self.database = database
        self.actor = actor
        self.tracked: Tracked | None = None
        self._clock = clock
        self._batch = Batch()
        self._lock = threading.RLock()

    # --- sessions -------------------------------------------------------------------------------

    @contextmanager
    def reading(self) -> Iterator[Session | WriteSession]:
        """Lend log and read models; inside a batch, those that see what the batch appended."""
        if self._batch.session is not None:
            yield self._batch.session
            return
        with self.database.read() as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[WriteSession]:
        """Lend an append transaction; inside a batch, a part of it that can fail alone."""
        batch = self._batch
        if batch.transaction is None:
            with self.database.write() as session:
                yield session
            return
        if batch.session is None:
            batch.session = batch.transaction.enter_context(self.database.write())
        session = batch.session
        with self.database.savepoint(session):
            yield session

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Group everything in the block into one transaction: all of it is recorded, or nothing.

        From the first effect on the append lock is held to the end of the block: other writers
        wait. Without any effect nothing is locked. A batch inside a batch is a part of it.
        """
        if self._batch.transaction is not None:
            yield
            return
        with self._turn():
            tracked = self.tracked
            mark = None if tracked is None else tracked.passage.mark()
            undo: list[Callable[[], None]] = []
            try:
                with ExitStack() as transaction:
                    self._batch.transaction, self._batch.undo = transaction, undo
                    try:
                        yield
                    finally:
                        self._batch.transaction = self._batch.session = self._batch.undo = None
            except BaseException:
                # A pass that began or ended in the block did not.
                self.tracked = tracked
                if tracked is not None and mark is not None:
                    tracked.passage.return_to(mark)
                for step in reversed(undo):
                    step()
                raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=PATIENCE):
            raise StorageError(
                f"save: another thread of this process has kept the ledger for {PATIENCE:.0f} s; "
                "save within the thread that opened the batch, or end the batch first"
            )
        try:
            yield
        finally:
            self._lock.release()

    def on_undo(self, step: Callable[[], None]) -> None:
        """Have `step` called if the open batch of this thread fails; nothing without a batch."""
        if self._batch.undo is not None:
            self._batch.undo.append(step)

    @property
    def is_batching(self) -> bool:
        """Whether this thread has an open batch."""
        return self._batch.transaction is not None

    def head(self) -> Position:
        """Return the position of the last recorded event; 0 for an empty log."""
        with self.reading() as session:
            return session.log.head()

    # --- commands -------------------------------------------------------------------------------

    def perform(self, command: Command, *, prepare: Prepare | None = None) -> Outcome:
        """Carry out a command and return how it ended; durable when this returns.

        Args:
            command: What is asked for.
            prepare: Called with the decision before it is recorded, to make durable what its
                events will name; and again inside the transaction, with what stands then.

        Raises:
            CommandRejectedError: The command cannot be carried out as it stands.
            NotFoundError: It names a record that is not there.
            StorageError: The database refused; nothing was recorded.
        """
        with self._turn():
            if self.tracked is None:
                return self._outside(command, prepare)
            return self._within(self.tracked, command, prepare)

    def recall(self, kind: str, subject: Json, *, exactly: bool = False) -> str | None:
        """Return what the next save of this subject ends at where the run in hand knows it.

        With `exactly`, only where it knows that very save; see `Passage.recall_subject`.
        """
        if self.tracked is None:
            return None
        return self.tracked.passage.recall_subject(kind, subject, exactly=exactly)

    def _outside(self, command: Command, prepare: Prepare | None) -> Outcome:
        stamp = self._stamp(None)
        first = self._first_look(command, stamp)
        if first is not None and not first.events:
            return _idle(first)
        if first is not None and prepare is not None:
            prepare(first)
        with self.writing() as session:
            decision = decide(command, session.models, stamp)
            if not decision.events:
                return _idle(decision)
            if prepare is not None:
                prepare(decision)
            identity = decision.natural
            if identity is None:
                version = session.log.stream_version(decision.stream)
                identity = [command.kind, command.subject, assigned(command), version]
            events = session.append(command_id(identity), decision.drafts(identity))
        return _done(decision, len(events))

    def _within(self, tracked: Tracked, command: Command, prepare: Prepare | None) -> Outcome:
        passage = tracked.passage
        intent = passage.intent(command.kind, command.subject, assigned(command))
        known = passage.recall(intent)
        if known is not None:
            passage.pass_known(intent, known)
            return Outcome(uid=known)
        first = self._first_look(command, self._stamp(passage.run))
        if first is not None and not first.events:
            passage.pass_idle(intent, first.outcome)
            return _idle(first)
        if first is not None and prepare is not None:
            prepare(first)
        mark = passage.mark()
        try:
            with self.writing() as session:
                return self._record(session, tracked, intent, command, prepare)
        except BaseException:
            passage.return_to(mark)
            raise

    def first_look(self, command: Command) -> Decision | None:
        """Return what would follow from a command; None inside a batch, or where it is known."""
        tracked = self.tracked
        if tracked is not None and self.recall(command.kind, command.subject) is not None:
            return None
        return self._first_look(command, self._stamp(tracked.passage.run if tracked else None))

    def _first_look(self, command: Command, stamp: Stamp) -> Decision | None:
        """Decide without the append lock; None inside a batch that holds it anyway."""
        if self._batch.session is not None:
            return None
        with self.reading() as session:
            return decide(command, session.models, stamp)

    def _record(
        self,
        session: WriteSession,
        tracked: Tracked,
        intent: Intent,
        command: Command,
        prepare: Prepare | None,
    ) -> Outcome:
        passage = tracked.passage
        if not passage.is_own:
            self._catch_up(session, tracked)
            known = passage.recall(intent)
            if known is not None:
                passage.pass_known(intent, known)
                return Outcome(uid=known)
        # Another pass of the same run may have come here first, whatever the records are like now.
        told = session.models.find("intent", run=passage.run, intent=intent.key)
        if told:
            passage.pass_known(intent, told[0]["outcome"])
            return Outcome(uid=told[0]["outcome"])
        # What was an effect at the first look may be none now, and must not begin a run then.
        decision = decide(command, session.models, self._stamp(passage.run))
        if not decision.events:
            passage.pass_idle(intent, decision.outcome)
            return _idle(decision)
        if self._begin(session, tracked, intent):
            decision = decide(command, session.models, self._stamp(passage.run))
            if not decision.events:
                passage.pass_idle(intent, decision.outcome)
                return _idle(decision)
        if prepare is not None:
            prepare(decision)
        noted = self._unrecorded(session, passage)
        identity = intent.identity(passage.run)
        events = session.append(command_id(identity), decision.drafts(identity, noted))
        passage.pass_effect(intent, decision.outcome, len(events))
        return _done(decision, len(events))

    # --- runs -----------------------------------------------------------------------------------

    def track(
        self,
        plan: runs.RunPlan,
        *,
        new_run: bool,
        before: Before,
    ) -> Tracked:
        """Begin a pass: through the latest run of this identity, or a new run.

        Args:
            plan: Who the run is.
            new_run: Whether to start a new run whatever there is.
            before: Records what a run will name (its transform, its environment), in the
                transaction that starts the run, and returns the fields of the run that name it.
        """
        with self._turn():
            with self.reading() as session:
                latest = None if new_run else runs.latest_run(session.models, plan)
                if latest is not None:
                    passage = Passage(
                        _case_of(latest),
                        latest["uid"],
                        runs.known_intents(session.models, latest["uid"]),
                    )
                    self.tracked = Tracked(passage, plan, before)
                    return self.tracked
            with self.writing() as session:
                # Another process may have started the same run since we looked.
                latest = None if new_run else runs.latest_run(session.models, plan)
                if latest is None:
                    head = session.log.head()
                    named = plan.naming(before(session))
                    born, step = runs.start(session.models, named, self._stamp(None))
                    self._append_step(session, step)
                    passage = Passage(Case.NEW, born.uid)
                    passage.n_events = session.log.head() - head
                else:
                    known = runs.known_intents(session.models, latest["uid"])
                    passage = Passage(_case_of(latest), latest["uid"], known)
            self.tracked = Tracked(passage, plan, before)
            return self.tracked

    def finish(
        self, status: str, *, error: str | None = None, is_consecutive: bool | None = None
    ) -> Passage | None:
        """End the pass: where it recorded into a run, record its end; return the passage.

        To finish a pass that came through all that an unfinished run knows continues that run.
        """
        with self._turn():
            tracked = self.tracked
            if tracked is None:
                return None
            passage = tracked.passage
            goes_on = status == runs.FINISHED and passage.step() is Step.RESUME
            if passage.is_own or goes_on:
                mark = passage.mark()
                try:
                    with self.writing() as session:
                        self._end(session, tracked, status, error, is_consecutive)
                except BaseException:
                    passage.return_to(mark)
                    raise
            self.tracked = None
            return passage

    def _end(
        self,
        session: WriteSession,
        tracked: Tracked,
        status: str,
        error: str | None,
        is_consecutive: bool | None,  # noqa: FBT001 (a value)
    ) -> None:
        passage = tracked.passage
        if not passage.is_own:
            self._catch_up(session, tracked)
            if passage.step() is not Step.RESUME:
                return
            self._resume(session, passage)
        steps = runs.finish(
            session.models,
            passage.run,
            self._stamp(passage.run),
            status=status,
            error=error,
            is_consecutive=is_consecutive,
            noted=self._unrecorded(session, passage),
        )
        for step in steps:
            self._append_step(session, step)
        passage.n_events += len(steps)

    def _catch_up(self, session: WriteSession, tracked: Tracked) -> None:
        """Go through the latest run as it is now: it may have moved on since the pass began."""
        latest = runs.latest_run(session.models, tracked.plan)
        if latest is not None:
            known = runs.known_intents(session.models, latest["uid"])
            tracked.passage.rebase(_case_of(latest), latest["uid"], known)

    def _begin(self, session: WriteSession, tracked: Tracked, intent: Intent) -> bool:
        """Record what must come before the effect of an intent; return whether anything had to."""
        passage = tracked.passage
        match passage.step():
            case Step.NOTHING:
                return False
            case Step.RESUME:
                cause = command_id(intent.identity(passage.run))
                self._resume(session, passage, causation=cause)
            case Step.FORK:
                self._fork(session, tracked, intent)
        return True

    def _resume(
        self, session: WriteSession, passage: Passage, *, causation: str | None = None
    ) -> None:
        stamp = self._stamp(passage.run, causation)
        noted = self._unrecorded(session, passage)
        self._append_step(session, runs.resume(session.models, passage.run, stamp, noted))
        passage.resume()

    def _fork(self, session: WriteSession, tracked: Tracked, intent: Intent) -> None:
        passage = tracked.passage
        head = session.log.head()
        born, steps = runs.fork(
            session.models,
            tracked.plan.naming(tracked.before(session)),
            self._stamp(None),
            origin=passage.run,
            cause=lambda run: command_id(intent.identity(run)),
            noted=tuple({passed.noted[0]: passed.noted for passed in passage.passed}.values()),
            inputs=passage.inputs(),
            remade=passage.remade(),
        )
        for step in steps:
            self._append_step(session, step)
        passage.fork(born.uid, session.log.head() - head)

    def _unrecorded(self, session: WriteSession, passage: Passage) -> tuple[Noted, ...]:
        """Return the intents that travel with the next event, less those another pass recorded."""
        return tuple(
            noted
            for noted in passage.take_pending()
            if not session.models.find("intent", run=passage.run, intent=noted[0])
        )

    def _append_step(self, session: WriteSession, step: runs.Step) -> None:
        session.append(command_id(step.identity), [Draft(stream=step.stream, event=step.event)])

    def _stamp(self, run: str | None, causation: str | None = None) -> Stamp:
        return Stamp(at=self._clock(), actor=self.actor, run=run, causation=causation)

    def stamp(self) -> Stamp:
        """Return the stamp of an event that belongs to no run."""
        return self._stamp(None)


def _case_of(run: dict[str, Any]) -> Case:
    return Case.REPLAY if run["status"] == runs.FINISHED else Case.RESUMABLE


def _idle(decision: Decision) -> Outcome:
    return Outcome(uid=decision.outcome, notices=decision.notices)


def _done(decision: Decision, n_events: int) -> Outcome:
    return Outcome(
        uid=decision.outcome,
        n_events=n_events,
        is_new=decision.is_new,
        notices=decision.notices,
    )


__all__ = ["Handler", "Outcome", "Prepare", "Tracked"]
