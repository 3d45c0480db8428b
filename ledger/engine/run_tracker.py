"""Passes through runs: how a pass begins, hears of other passes, forks, resumes and ends.

1. A fork or a resumption comes before the effect that needs it, in the same transaction.
2. Several passes may record into one run. A pass that asks for something else leaves the run.
3. A transaction that fails leaves database and passage as they were. A batch that fails gives the
   numbers of its intents back. A shared commit that fails keeps them: a thread may have counted an
   intent that it has yet to carry out.
4. A run that is withdrawn while a pass records into it ends the pass: the next effect is refused.
5. Where the log went back, because it was restored from a backup or its server fell back to a copy
   that lagged, the pass ends without a record. The command that notices it is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import msgspec

from ledger.decisions import runs
from ledger.decisions.facts import Facts, Row, Stamp
from ledger.decisions.replay import Case, Intent, NextStep, Passage
from ledger.engine.database import WriteSession
from ledger.engine.interruption import entered_whole
from ledger.engine.sessions import Sessions, Undo
from ledger.errors import CorruptLogError
from ledger.model.events import Draft, Noted
from ledger.model.ids import command_id
from ledger.model.schema import WITHDRAWN
from ledger.model.times import UNSAID
from projections.fold import Opened, fold

Before = Callable[[WriteSession], dict[str, Any]]


class Tracked(msgspec.Struct):
    """The run in hand: its passage, and the plan of a fork."""

    passage: Passage
    plan: runs.RunPlan
    before: Before
    read: set[str] = msgspec.field(default_factory=set)


class RunTracker:
    """The run in hand, on one ledger."""

    def __init__(
        self, sessions: Sessions, *, actor: str, clock: Callable[[], int] = lambda: UNSAID
    ) -> None:
        """Track nothing yet.

        Args:
            sessions: On the ledger.
            actor: Who causes what happens.
            clock: Says when it happens; by default nobody says, and it happens when it is recorded.
        """
        self.sessions = sessions
        self.actor = actor
        self._tracked: Tracked | None = None
        self._awaited: Callable[[], object] | None = None
        self._gone: Tracked | None = None
        self._clock = clock

    @property
    def tracked(self) -> Tracked | None:
        """The run in hand; one that waits for the first question about it begins now."""
        if self._awaited is not None:
            begin, self._awaited = self._awaited, None
            begin()
        return self._tracked

    @tracked.setter
    def tracked(self, tracked: Tracked | None) -> None:
        self._awaited, self._tracked = None, tracked

    @property
    def has_run(self) -> bool:
        """Whether there is a run in hand, begun or to come."""
        return self._awaited is not None or self._tracked is not None

    def track_later(self, begin: Callable[[], object]) -> None:
        """Have a run begin, by `begin`, when it is first needed: by a save, a read, or its end."""
        self.tracked = None
        self._awaited = begin

    def _way_back(self) -> Undo:
        tracked = self.tracked
        mark = None if tracked is None else tracked.passage.mark()

        def go_back() -> None:
            # A pass that began in the block has not begun, and one that ended has not ended.
            # One whose run is gone stays so, whatever else is taken back.
            self.tracked = None if tracked is self._gone else tracked
            if tracked is not None and mark is not None:
                tracked.passage.return_to(mark)

        return go_back

    @entered_whole
    def batch(self) -> Iterator[None]:
        """Group everything in the block into one transaction; see `Sessions.batch`."""
        tracked = self.tracked  # one that waits begins before the block, and stays if that fails
        with self.sessions.batch():
            self.sessions.on_undo(self._way_back())
            if tracked is not None:
                passage = tracked.passage
                self.sessions.on_undo(partial(passage.give_back, passage.n_intents))
            yield

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
            plan: The identity of the run, and its fields.
            new_run: Whether to start a new run even where there is one to go through.
            before: Records transform and environment in the transaction that starts the run, and
                returns the fields by which the run names them.
        """
        with self.sessions.turn():
            with self.sessions.reading() as session:
                latest = None if new_run else runs.run_to_pass(session.models, plan)
                if latest is not None:
                    passage = Passage(
                        _case_of(latest),
                        latest["uid"],
                        runs.known_intents(session.models, latest["uid"]),
                    )
                    self.tracked = Tracked(passage, plan, before)
                    return self.tracked
            with self.sessions.writing() as session:
                # Another process may have started the same run since we looked.
                latest = None if new_run else runs.run_to_pass(session.models, plan)
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

        A pass that came past every intent of an unfinished run continues that run by finishing.
        """
        with self.sessions.turn():
            tracked = self.tracked
            if tracked is None:
                return None
            passage = tracked.passage
            goes_on = status == runs.FINISHED and passage.step() is NextStep.RESUME
            if passage.is_own or goes_on:
                mark = passage.mark()
                try:
                    with self.sessions.writing() as session:
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
        self._require_known(session, session.models, passage)
        if not passage.is_own:
            self._catch_up(session.models, tracked)
            if passage.step() is not NextStep.RESUME:
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

    def _told(self, facts: Facts, tracked: Tracked, intent: Intent) -> str | None:
        """Return the outcome of an intent that another pass recorded since this one began.

        The records may look different by now: the other pass may be far ahead of this one.
        """
        if run_now(facts, tracked) != tracked.passage.run:
            self._catch_up(facts, tracked)
        return _outcome(facts, tracked.passage.run, intent)

    def _hear(self, session: WriteSession, facts: Facts, tracked: Tracked) -> None:
        """Hear of other passes through the run: before an effect, under the append lock."""
        passage = tracked.passage
        run = self._require_known(session, facts, passage)
        if not passage.is_own:
            self._catch_up(facts, tracked)
            return
        if run["resumptions"] == 0:
            return
        # This pass joined the run, or another one did that may still be at work.
        for recorded in session.log.read(after=passage.heard):
            if recorded.event.run == passage.run:
                passage.hear(
                    (change.values["intent"], change.values["subject"], change.values["outcome"])
                    for change in fold(recorded)
                    if isinstance(change, Opened) and change.table == "intent"
                )

    def _require_known(self, session: WriteSession, facts: Facts, passage: Passage) -> Row:
        """Return the run of a pass; end the pass where the log lost what it has heard of.

        Raises:
            CorruptLogError: The log went back; nothing was recorded.
            NotTrackingError: The run of this pass was withdrawn or erased; nothing was recorded.
        """
        rows, head = facts.find("run", uid=passage.run), session.log.head()
        is_there = bool(rows) and head >= passage.heard
        if is_there and (not passage.is_own or rows[0]["state"] < WITHDRAWN):
            return rows[0]
        tracked, self.tracked = self.tracked, None
        if is_there:
            self._gone = tracked
            raise runs.gone_error(rows[0])
        raise CorruptLogError(
            f"log: it went back to position {head} while run {passage.run} was tracked, which had "
            f"come to position {passage.heard}: a backup was restored, or the server fell back to "
            "a copy that lagged; nothing was recorded, and the run is tracked no more; audit the "
            "ledger, then run the script again, or call track()",
            position=head,
        )

    def _catch_up(self, facts: Facts, tracked: Tracked) -> None:
        """Go through the latest run as it is now: it may have moved on since the pass began."""
        latest = runs.latest_run(facts, tracked.plan)
        if latest is not None:
            known = runs.known_intents(facts, latest["uid"])
            tracked.passage.rebase(_case_of(latest), latest["uid"], known)

    def _begin(self, session: WriteSession, tracked: Tracked, intent: Intent) -> bool:
        """Record the fork or resumption that an effect needs first; return whether it needs one."""
        passage = tracked.passage
        match passage.step():
            case NextStep.NOTHING:
                return False
            case NextStep.RESUME:
                cause = command_id(intent.identity(passage.run))
                self._resume(session, passage, causation=cause)
            case NextStep.FORK:
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
        """Return the intents that travel with the next event and that no other pass recorded."""
        pending = passage.take_pending()
        known = session.models.find_all(
            [("intent", {"run": passage.run, "intent": noted[0]}) for noted in pending]
        )
        return tuple(noted for noted, rows in zip(pending, known, strict=True) if not rows)

    def _append_step(self, session: WriteSession, step: runs.RunStep) -> None:
        session.append(command_id(step.identity), [Draft(stream=step.stream, event=step.event)])

    def _stamp(self, run: str | None, causation: str | None = None) -> Stamp:
        return Stamp(at=self._clock(), actor=self.actor, run=run, causation=causation)

    def stamp(self) -> Stamp:
        """Return the stamp of an event that belongs to no run."""
        return self._stamp(None)


def run_now(facts: Facts, tracked: Tracked) -> str:
    """Return the run that the pass goes through: others may have begun a later one."""
    if not tracked.passage.is_own:
        latest = runs.latest_run(facts, tracked.plan)
        if latest is not None:
            return str(latest["uid"])
    return tracked.passage.run


def recorded_outcome(facts: Facts, tracked: Tracked, intent: Intent) -> str | None:
    """Return the outcome of an intent that the run as it is now holds; None if it does not."""
    return _outcome(facts, run_now(facts, tracked), intent)


def _outcome(facts: Facts, run: str, intent: Intent) -> str | None:
    rows = facts.find("intent", run=run, intent=intent.key)
    return str(rows[0]["outcome"]) if rows else None


def _case_of(run: dict[str, Any]) -> Case:
    return Case.REPLAY if run["status"] == runs.FINISHED else Case.RESUMABLE
