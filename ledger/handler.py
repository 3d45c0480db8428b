"""Carrying out commands: recorded already? decide, append, retry.

1. An intent that the run in hand knows ends at its recorded outcome; nothing is read or written.
   Where the pass has not heard of it, another pass of the same run may have recorded it since.
2. Else the rules are asked against the present. Without effect, nothing is written.
3. Else the append lock is taken and everything is asked again, so that what was decided on is
   still true when it is recorded: another process may have recorded the same command, or the whole
   run, in between.
4. What must come first (a fork, a resumption) is recorded in the same transaction.
5. A transaction that fails leaves neither the database nor the passage changed.
6. A run that several passes record into holds what each of them asks for, or is left by those that
   ask for something else.
7. Content is made durable before anything else, while other threads go on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ledger.canonical import Json
from ledger.commands import Command, assigned
from ledger.database import Database, Session, WriteSession
from ledger.decisions import runs
from ledger.decisions.decide import decide
from ledger.decisions.facts import Decision, Notice, Stamp
from ledger.decisions.replay import Case, Intent, Passage, Step
from ledger.events import Draft, Noted
from ledger.ids import command_id
from ledger.sessions import Sessions
from projections.fold import Opened, fold


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


class Handler(Sessions):
    """Carries out commands on one ledger, one at a time."""

    def __init__(self, database: Database, *, clock: Callable[[], int], actor: str) -> None:
        super().__init__(database)
        self.actor = actor
        self.tracked: Tracked | None = None
        self._clock = clock

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
        of, intent, has_effect = self.tracked, None, False
        if prepare is not None and not self.is_locking:
            # Content may be large: nobody waits for it, and no transaction is open meanwhile.
            with self._passing():
                of = self.tracked
                intent = None if of is None else _intent(of, command)
            has_effect = self._prepare_ahead(of, intent, command, prepare)
        with self.sharing():
            tracked = self.tracked
            if tracked is None:
                return self._outside(command, prepare, has_effect=has_effect)
            if intent is None or tracked is not of:
                intent = _intent(tracked, command)
            return self._within(tracked, intent, command, prepare, has_effect=has_effect)

    def _prepare_ahead(
        self, of: Tracked | None, intent: Intent | None, command: Command, prepare: Prepare
    ) -> bool:
        """Make durable what the events of a command would name now, and return whether any would.

        The rules are asked again under the lock, so that this need not be true any more then.
        """
        run = None
        with self.reading() as session:
            if of is not None and intent is not None:
                run = of.passage.run
                if of.passage.recall(intent) is not None or _recorded(session, of, intent):
                    return False
            first = decide(command, session.models, self._stamp(run))
        prepare(first)
        return bool(first.events)

    def _way_back(self) -> Callable[[], None]:
        tracked = self.tracked
        mark = None if tracked is None else tracked.passage.mark()

        def go_back() -> None:
            # A pass that began or ended in the block did not.
            self.tracked = tracked
            if tracked is not None and mark is not None:
                tracked.passage.return_to(mark)

        return go_back

    def recall(self, kind: str, subject: Json, *, exactly: bool = False) -> str | None:
        """Return what the next save of this subject ends at where the run in hand knows it.

        With `exactly`, only where it knows that very save; see `Passage.recall_subject`.
        """
        if self.tracked is None:
            return None
        return self.tracked.passage.recall_subject(kind, subject, exactly=exactly)

    def _outside(self, command: Command, prepare: Prepare | None, *, has_effect: bool) -> Outcome:
        stamp = self._stamp(None)
        if not self.is_locking and not has_effect:
            with self.reading() as session:
                first = decide(command, session.models, stamp)
            if not first.events:
                return _idle(first)
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

    def _within(
        self,
        tracked: Tracked,
        intent: Intent,
        command: Command,
        prepare: Prepare | None,
        *,
        has_effect: bool,
    ) -> Outcome:
        passage = tracked.passage
        known = passage.recall(intent)
        if known is not None:
            passage.pass_known(intent, known)
            return Outcome(uid=known)
        if not self.is_locking and not has_effect:
            with self.reading() as session:
                known = self._told(session, tracked, intent)
                if known is not None:
                    passage.pass_known(intent, known)
                    return Outcome(uid=known)
                first = decide(command, session.models, self._stamp(passage.run))
            if not first.events:
                passage.pass_idle(intent, first.outcome)
                return _idle(first)
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
        if self.is_locking or (
            tracked is not None and self.recall(command.kind, command.subject) is not None
        ):
            return None
        with self.reading() as session:
            stamp = self._stamp(None if tracked is None else tracked.passage.run)
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
        known = self._told(session, tracked, intent)
        if known is not None:
            passage.pass_known(intent, known)
            return Outcome(uid=known)
        self._hear(session, tracked)
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
        passage.heard = events[-1].position
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
        with self.turn():
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
                    passage.heard = session.log.head()
                    passage.n_events = passage.heard - head
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
        with self.turn():
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

    def _told(
        self, session: Session | WriteSession, tracked: Tracked, intent: Intent
    ) -> str | None:
        """Return the outcome of an intent that another pass recorded since this one began.

        Whatever the records are like by now: that pass may be far ahead of this one.
        """
        if _run_now(session, tracked) != tracked.passage.run:
            self._catch_up(session, tracked)
        return _outcome(session, tracked.passage.run, intent)

    def _hear(self, session: WriteSession, tracked: Tracked) -> None:
        """Hear what other passes did to the run: before an effect, under the append lock."""
        passage = tracked.passage
        if not passage.is_own:
            self._catch_up(session, tracked)
            return
        (run,) = session.models.find("run", uid=passage.run)
        if run["resumptions"] == 0:
            return
        # Somebody joined: this pass, or another one that may still be at work.
        for recorded in session.log.read(after=passage.heard):
            if recorded.event.run == passage.run:
                passage.hear(
                    (change.values["intent"], change.values["subject"], change.values["outcome"])
                    for change in fold(recorded)
                    if isinstance(change, Opened) and change.table == "intent"
                )

    def _catch_up(self, session: Session | WriteSession, tracked: Tracked) -> None:
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
                self._fork(session, tracked)
        return True

    def _resume(
        self, session: WriteSession, passage: Passage, *, causation: str | None = None
    ) -> None:
        stamp = self._stamp(passage.run, causation)
        noted = self._unrecorded(session, passage)
        self._append_step(session, runs.resume(session.models, passage.run, stamp, noted))
        passage.resume()
        passage.heard = session.log.head()

    def _fork(self, session: WriteSession, tracked: Tracked) -> None:
        passage = tracked.passage
        head = session.log.head()
        born, steps = runs.fork(
            session.models,
            tracked.plan.naming(tracked.before(session)),
            self._stamp(None),
            origin=passage.run,
            noted=tuple({passed.noted[0]: passed.noted for passed in passage.passed}.values()),
            inputs=passage.inputs(),
            remade=passage.remade(),
        )
        for step in steps:
            self._append_step(session, step)
        passage.heard = session.log.head()
        passage.fork(born.uid, passage.heard - head)

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


def _intent(tracked: Tracked, command: Command) -> Intent:
    return tracked.passage.intent(command.kind, command.subject, assigned(command))


def _run_now(session: Session | WriteSession, tracked: Tracked) -> str:
    """Return the run that the pass goes through: others may have begun a later one."""
    if not tracked.passage.is_own:
        latest = runs.latest_run(session.models, tracked.plan)
        if latest is not None:
            return str(latest["uid"])
    return tracked.passage.run


def _recorded(session: Session | WriteSession, tracked: Tracked, intent: Intent) -> str | None:
    """Return the outcome of an intent that the run as it is now holds; None if it does not."""
    return _outcome(session, _run_now(session, tracked), intent)


def _outcome(session: Session | WriteSession, run: str, intent: Intent) -> str | None:
    rows = session.models.find("intent", run=run, intent=intent.key)
    return str(rows[0]["outcome"]) if rows else None


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
