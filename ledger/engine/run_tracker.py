"""Passes through runs: how a pass begins, hears of other passes, forks, resumes and ends.

1. A fork or a resumption comes before the effect that needs it, in the same transaction.
2. Several passes may record into one run. A pass that asks for something else leaves the run.
3. A transaction that fails leaves database and passage as they were. A batch that fails gives the
   numbers of its intents back. A shared commit that fails keeps them: a thread may have counted an
   intent that it has yet to carry out.
4. A run that is withdrawn while a pass records into it ends the pass: the next effect is refused.
5. Where the log went back, because it was restored from a backup or its server fell back to a copy
   that lagged, the pass ends without a record. The command that notices it is refused.
6. Several processes can share a pass. Whichever of them meets something new looks for the run of
   the pass under the append lock, joins it where there is one, and else begins it: a pass has at
   most one run of its own. Only the process that began the pass ends it, with what all have told.
7. A process that belongs to a pass enters it when it first asks for the run in hand. A forked child
   is no longer the process that began the pass.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from ledger import forks
from ledger.decisions import runs
from ledger.decisions.facts import Facts, Row, Stamp
from ledger.decisions.replay import Case, Intent, NextStep, Passage, Passed
from ledger.display.messages import say
from ledger.engine import journal
from ledger.engine.batches import Batch
from ledger.engine.database import WriteSession
from ledger.engine.interruption import entered_whole
from ledger.engine.pass_token import VARIABLE, offered
from ledger.engine.said import refuse_said, said
from ledger.engine.sessions import Sessions
from ledger.engine.shared_commit import Undo
from ledger.engine.tracked import (
    Before,
    Tracked,
    case_of,
    join_run,
    outcome_in,
    passage_through,
    run_now,
)
from ledger.errors import CorruptLogError
from ledger.model.events import Draft, Noted
from ledger.model.ids import command_id
from ledger.model.schema import WITHDRAWN
from ledger.model.times import UNSAID
from projections.fold import Opened, fold


class PassOverError(Exception):
    """The pass that this process joined has ended: nothing more belongs to its run."""


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
        self.enter: Callable[[str], Tracked | None] | None = None
        self._judged: str | None = None
        self._tracked: Tracked | None = None
        self._awaited: Callable[[], object] | None = None
        self._gone: Tracked | None = None
        self._clock = clock
        self._process = os.getpid()
        self._untold = _Untold()
        forks.made_anew(self._renew)

    def _renew(self) -> None:
        self._entering = threading.RLock()

    @property
    def tracked(self) -> Tracked | None:
        """The run in hand; None where nothing is tracked.

        One that waits for the first question about it begins now. A process that belongs to a
        pass enters it here: `enter` says which pass that is.
        """
        if self._process != os.getpid():
            self._process = os.getpid()
            self._tracked = self._gone = self._judged = self._awaited = None
            self._untold = _Untold()
        if self._awaited is not None:
            begin, self._awaited = self._awaited, None
            begin()
        if self._tracked is None and self.enter is not None:
            self._consider(offered())
        return self._tracked

    @tracked.setter
    def tracked(self, tracked: Tracked | None) -> None:
        self._process = os.getpid()
        self._awaited, self._tracked = None, tracked

    def _consider(self, offer: str | None) -> None:
        """Enter the pass that the environment offers; each one is judged once."""
        if offer is None or offer == self._judged:
            return
        with self._entering:
            if offer != self._judged and self.enter is not None:
                self._tracked = self.enter(offer)
                self._judged = offer

    @property
    def is_tracking(self) -> bool:
        """Whether a run is in hand, begun or to come; nothing is entered to find out."""
        is_here = self._awaited is not None or self._tracked is not None
        return is_here and self._process == os.getpid()

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
    def batch(self, given: Batch | None = None) -> Iterator[None]:
        """Group everything in the block into one transaction; see `Sessions.batch`."""
        _ = self.tracked  # one that waits begins before the block, and stays if that fails
        with self.sessions.batch(given):
            self.sessions.on_undo(self._way_back())
            if self.tracked is not None:
                passage = self.tracked.passage
                self.sessions.on_undo(partial(passage.give_back, passage.n_counted))
            untold = self._untold.passed
            self.sessions.on_undo(partial(_cut, untold, len(untold)))
            yield
        self._tell()

    def decline(self, offer: str | None) -> None:
        """Take no part in the pass that the environment offers."""
        self._judged = offer

    def _leave(self) -> None:
        """Take no part any more in a pass that has ended."""
        tracked, self._tracked = self._tracked, None
        if tracked is not None:
            say(
                "warning",
                f"{VARIABLE}: run {tracked.passage.run} has ended; what this process saves from "
                "now on belongs to no run",
            )

    def _tell(self) -> None:
        """Tell the process that began the pass what this thread did and is durable."""
        passed, tracked = self._untold.passed, self._tracked
        if passed and not self.sessions.is_batching:
            if tracked is not None and tracked.joined is not None:
                tracked.joined.write(tracked.passage, passed)
            passed.clear()

    # --- runs -----------------------------------------------------------------------------------

    def track(
        self,
        plan: runs.RunPlan,
        *,
        new_run: bool,
        before: Before,
        folder: Path | None = None,
    ) -> Tracked:
        """Begin a pass: through the latest run of this identity, or a new run.

        Args:
            plan: The identity of the run, and its fields.
            new_run: Whether to start a new run even where there is one to go through.
            before: Records transform and environment in the transaction that starts the run, and
                returns the fields by which the run names them.
            folder: Where other processes of the pass tell what they did.
        """
        with self.sessions.turn():
            with self.sessions.reading() as session:
                latest = None if new_run else runs.run_to_pass(session.models, plan)
                if latest is not None:
                    passage = passage_through(session.models, latest)
                    return self._began(Tracked(passage, plan, before, folder=folder))
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
                    passage = passage_through(session.models, latest)
            return self._began(Tracked(passage, plan, before, folder=folder))

    def _began(self, tracked: Tracked) -> Tracked:
        self.tracked = tracked
        return tracked

    def finish(
        self, status: str, *, error: str | None = None, is_consecutive: bool | None = None
    ) -> Passage | None:
        """End the pass: where it recorded into a run, record its end; return the passage.

        A pass that came past every intent of an unfinished run continues that run by finishing.
        What other processes of the pass have told counts as passed.
        """
        with self.sessions.turn():
            tracked = self.tracked
            if tracked is None:
                return None
            passage = tracked.passage
            mark = passage.mark()
            told = journal.Told() if tracked.folder is None else journal.read(tracked.folder)
            passage.hear_others(told.passed, told.counts)
            passage.hear_records(told.new, told.versions)
            goes_on = status == runs.FINISHED and passage.step() is NextStep.RESUME
            if passage.is_own or goes_on or self._has_run(tracked):
                try:
                    with self.sessions.writing() as session:
                        self._end(
                            session, tracked, status, error, told, is_consecutive=is_consecutive
                        )
                except BaseException:
                    passage.return_to(mark)
                    raise
            if tracked.folder is not None:
                journal.remove(tracked.folder)
            self.tracked = None
            return passage

    def _has_run(self, tracked: Tracked) -> bool:
        """Return whether another process of the pass has begun or continued a run."""
        if tracked.folder is None:
            return False
        with self.sessions.reading() as session:
            return runs.run_of_pass(session.models, tracked.plan.token) is not None

    def _end(  # noqa: PLR0913 (each is a thing of its own)
        self,
        session: WriteSession,
        tracked: Tracked,
        status: str,
        error: str | None,
        told: journal.Told,
        *,
        is_consecutive: bool | None,
    ) -> None:
        passage = tracked.passage
        self._require_known(session, session.models, passage)
        if not passage.is_own:
            self._catch_up(session.models, tracked, told)
            if not passage.is_own:
                if passage.step() is not NextStep.RESUME or status != runs.FINISHED:
                    return
                self._resume(session, tracked)
        self._settle(session, tracked, told)
        passage.note(told.passed)
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

        The records may look different by now: the other pass may be far ahead of this one. An
        intent that another process of this same pass had is decided on anew.
        """
        passage = tracked.passage
        if not passage.is_own and (
            runs.run_of_pass(facts, tracked.plan.token) is not None
            or run_now(facts, tracked) != passage.run
        ):
            self._catch_up(facts, tracked)
        outcome = outcome_in(facts, passage.run, intent)
        if outcome is None or not passage.is_own:
            return outcome
        return None if runs.is_of_pass_alone(facts, passage.run, tracked.plan.token) else outcome

    @staticmethod
    def _numbered(facts: Facts, tracked: Tracked, intent: Intent) -> Intent:
        """Return an intent under a number that no other process of the pass has taken."""
        passage = tracked.passage
        if tracked.plan.token is not None:
            while outcome_in(facts, passage.run, intent) is not None:
                intent = passage.renumber(intent)
        return intent

    def _hear(self, session: WriteSession, facts: Facts, tracked: Tracked) -> None:
        """Hear of other passes through the run: before an effect, under the append lock."""
        passage = tracked.passage
        run = self._require_known(session, facts, passage)
        if not passage.is_own:
            self._catch_up(facts, tracked)
            return
        if tracked.joined is not None and run["status"] in runs.ENDS:
            raise PassOverError
        if run["resumptions"] == 0 or runs.is_last_pass(facts, passage.run, tracked.plan.token):
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

    def _catch_up(self, facts: Facts, tracked: Tracked, told: journal.Told | None = None) -> None:
        """Go through the latest run as it is now: it may have moved on since the pass began.

        Where another process of the pass has a run, join that.
        """
        if runs.run_of_pass(facts, tracked.plan.token) is not None:
            join_run(facts, tracked)
            return
        latest = runs.latest_run(facts, tracked.plan)
        if latest is not None:
            known = runs.known_intents(facts, latest["uid"])
            tracked.passage.rebase(case_of(latest), latest["uid"], known)
            if told is not None:
                tracked.passage.hear_others(told.passed, (0, 0, 0, 0))

    def _begin(self, session: WriteSession, tracked: Tracked, intent: Intent) -> bool:
        """Record the fork or resumption that an effect needs first; return whether it needs one."""
        passage = tracked.passage
        if passage.case is Case.RESUMABLE and passage.unpassed and tracked.folder is not None:
            passage.hear_others(journal.read(tracked.folder).passed, (0, 0, 0, 0))
        match passage.step():
            case NextStep.NOTHING:
                return self._settle(session, tracked)
            case NextStep.RESUME:
                cause = command_id(intent.identity(passage.run))
                self._resume(session, tracked, causation=cause)
            case NextStep.FORK:
                self._fork(session, tracked)
        return True

    def _resume(
        self, session: WriteSession, tracked: Tracked, *, causation: str | None = None
    ) -> None:
        passage = tracked.passage
        stamp = self._stamp(passage.run, causation)
        noted = self._unrecorded(session, passage)
        token = tracked.plan.token
        self._append_step(session, runs.resume(session.models, passage.run, stamp, noted, token))
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

    def _settle(
        self, session: WriteSession, tracked: Tracked, told: journal.Told | None = None
    ) -> bool:
        """Record what was read and made again before the run of the pass was met.

        Returns whether there was anything.
        """
        passage = tracked.passage
        inputs = passage.inputs() if passage.owes else []
        remade = passage.remade() if passage.owes else []
        if told is not None:
            remade = list(dict.fromkeys([*remade, *told.made]))
            inputs = [it for it in dict.fromkeys([*inputs, *told.read]) if it not in set(remade)]
        passage.owes = False
        if not inputs and not remade:
            return False
        steps = runs.take_over(
            session.models, passage.run, self._stamp(passage.run), inputs=inputs, remade=remade
        )
        for step in steps:
            self._append_step(session, step)
        passage.n_events += len(steps)
        return bool(steps)

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
        told = said()
        if told is None:
            return Stamp(at=self._clock(), actor=self.actor, run=run, causation=causation)
        if run is not None:
            refuse_said("save in a run")
        at = self._clock() if told.at is None else told.at
        return Stamp(at=at, actor=told.by or self.actor, run=None, causation=causation)

    def stamp(self) -> Stamp:
        """Return the stamp of an event of the ledger itself: it happens when it is recorded."""
        return Stamp(at=self._clock(), actor=self.actor, run=None)


class _Untold(threading.local):
    """What a thread did and has yet to tell the process that began the pass."""

    def __init__(self) -> None:
        self.passed: list[Passed] = []


def _cut(entries: list[Any], length: int) -> None:
    del entries[length:]
