"""Carrying out commands: recorded already? decide, append, retry.

1. An intent that the run in hand knows ends at its recorded outcome; nothing is read or written.
   Where the pass has not heard of it, another pass of the same run may have recorded it since.
2. Else the rules are asked against the present. Without effect, nothing is written.
3. Else the append lock is taken and everything is asked again, so that the facts of the decision
   are still true when it is recorded: another process may have recorded the same command, or the
   whole run, in between.
4. A fork or a resumption that must come first (see `ledger.engine.run_tracker`) is recorded in the
   same transaction.
5. A transaction that fails leaves neither the database nor the passage changed.
6. Content is made durable before anything else, while other threads go on.
7. Where a question costs a round trip, all expected questions are asked at once.
8. An intent is known only while its key leads where it led (see `ledger.engine.standing`); else
   it is carried out anew, in a fork.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import NamedTuple

import msgspec

from ledger.decisions.decide import decide
from ledger.decisions.facts import Decision, Facts, Notice, Row
from ledger.decisions.replay import Intent, Made
from ledger.engine.database import Session, WriteSession
from ledger.engine.foresight import Foresight, Question, expected, expected_stream
from ledger.engine.gathered import GatheredSession
from ledger.engine.run_tracker import PassOverError, RunTracker
from ledger.engine.standing import may_fall, standing
from ledger.engine.tracked import Tracked, recorded_outcome
from ledger.errors import WrongExpectedVersionError
from ledger.model.canonical import Json
from ledger.model.commands import Command, SaveRecord, assigned
from ledger.model.events import PositionTagged
from ledger.model.ids import StreamId, command_id, stream_id
from projections.select import Select, shown_row


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How a command ended.

    Attributes:
        uid: The record it ended at.
        n_events: How many events it appended; 0 where it had no effect.
        is_new: Whether it created the record.
        notices: Sentences to tell the user.
        row: The record as it is shown then, where that was asked for and there were events.
    """

    uid: str
    n_events: int = 0
    is_new: bool = False
    notices: tuple[Notice, ...] = ()
    row: Row | None = None


Prepare = Callable[[Decision], None]


class Request(NamedTuple):
    """A command, and the other arguments of `Handler.perform`."""

    command: Command
    prepare: Prepare | None
    shown: str | None


class Handler(RunTracker):
    """Carries out commands on one ledger, one at a time."""

    def perform(
        self, command: Command, *, prepare: Prepare | None = None, shown: str | None = None
    ) -> Outcome:
        """Carry out a command and return how it ended; durable when this returns.

        Args:
            command: The command.
            prepare: Called with the decision before it is recorded, to make durable the content
                that its events will name; called again inside the transaction, with the decision
                that is made there.
            shown: Registry whose record to show.

        Raises:
            CommandRejectedError: The command cannot be carried out as it stands.
            NotFoundError: It names a record that is not there.
            StorageError: The database refused; nothing was recorded.
        """
        request = Request(command, prepare, shown)
        of, intent = self.tracked, None
        # A record that did not exist when it was constructed will almost certainly be created, so
        # the look without a lock is skipped.
        has_effect = isinstance(command, SaveRecord) and command.target is None
        if prepare is not None and not self.sessions.is_locking:
            # Content may be large: no thread waits for it, and no transaction is open meanwhile.
            with self.sessions.passing():
                of = self.tracked
                intent = None if of is None else _intent(of, command)
            has_effect = self._prepare_ahead(of, intent, command, prepare)
        # Within a batch there is nothing to share, and no turn to wait for.
        has_turn = self.sessions.has_turn()
        with nullcontext() if has_turn else self.sessions.sharing(self._way_back):
            tracked = self.tracked
            if tracked is None:
                return self._outside(request, has_effect=has_effect)
            if intent is None or tracked is not of:
                intent = _intent(tracked, command)
            try:
                outcome = self._within(tracked, intent, request, has_effect=has_effect)
            except PassOverError:
                self._leave()
                return self._outside(request, has_effect=has_effect)
            if tracked.joined is not None:
                self._untold.passed.append(tracked.passage.passed[-1])
        self._tell()
        return outcome

    def _prepare_ahead(
        self, of: Tracked | None, intent: Intent | None, command: Command, prepare: Prepare
    ) -> bool:
        """Make durable the content that the events of a command would name now.

        Returns whether there would be any event. The answer may be out of date under the lock,
        where the rules are asked again.
        """
        run = None
        if of is not None and intent is not None:
            run = of.passage.run
        with self.sessions.reading() as session:
            if (
                of is not None
                and intent is not None
                and _stands(session, of, command, of.passage.recall(intent)) is not None
            ):
                return False
            facts = _foreseen(session, command, of, intent)
            if (
                of is not None
                and intent is not None
                and _stands(session, of, command, recorded_outcome(facts, of, intent)) is not None
            ):
                return False
            first = decide(command, facts, self._stamp(run))
        prepare(first)
        return bool(first.events)

    def foresee(self, commands: Sequence[Command]) -> None:
        """Have the facts of many commands asked at once, when the batch around the caller writes.

        The commands follow in this order. Another order, or another command, costs a question.
        """
        self.sessions.foresee(lambda session: self._ask_ahead(session, commands))

    def _ask_ahead(self, session: GatheredSession, commands: Sequence[Command]) -> None:
        questions = [question for command in commands for question in expected(command)]
        tracked = self.tracked
        if tracked is not None:
            run = tracked.passage.run
            intents = tracked.passage.expect(
                (command.kind, command.subject, assigned(command)) for command in commands
            )
            questions += [Question("intent", {"run": run, "intent": it.key}) for it in intents]
        streams = map(expected_stream, commands)
        session.foresee(questions, [stream for stream in streams if stream is not None])

    def recall(self, kind: str, subject: Json, *, exactly: bool = False) -> str | None:
        """Return the record that the next save of a subject ends at, if the run in hand knows it.

        With `exactly`, only if the run knows that very save; see `Passage.recall_subject`.
        """
        if self.tracked is None or self.sessions.is_kept_out:
            return None
        return self.tracked.passage.recall_subject(kind, subject, exactly=exactly)

    def _outside(self, request: Request, *, has_effect: bool) -> Outcome:
        command, stamp = request.command, self._stamp(None)
        stream = None
        if not self.sessions.is_locking and not has_effect:
            with self.sessions.reading() as session:
                first = decide(command, _foreseen(session, command), stamp)
            if not first.events:
                return _idle(first)
            stream = first.stream
        with self.sessions.writing() as session:
            _expect(session, command, stream)
            decision = decide(command, _foreseen(session, command), stamp)
            if not decision.events:
                return _idle(decision)
            if request.prepare is not None:
                request.prepare(decision)
            _require_past(session, decision)
            identity = identity_outside(session, command, decision)
            shown = _shown(request, decision)
            events = session.append(command_id(identity), decision.drafts(identity), shown=shown)
            return _done(decision, len(events), session)

    def _within(
        self, tracked: Tracked, intent: Intent, request: Request, *, has_effect: bool
    ) -> Outcome:
        passage, command = tracked.passage, request.command
        known = passage.recall(intent)
        if known is not None and not may_fall(command):
            passage.pass_known(intent, known)
            return Outcome(uid=known)
        if known is not None:
            with self.sessions.reading() as session:
                outcome = _pass_known(session, tracked, command, intent, known)
            if outcome is not None:
                return outcome
        stream = None
        if not self.sessions.is_locking and not has_effect:
            with self.sessions.reading() as session:
                facts = _foreseen(session, command, tracked, intent)
                known = self._told(facts, tracked, intent)
                outcome = _pass_known(session, tracked, command, intent, known)
                if outcome is not None:
                    return outcome
                first = decide(command, facts, self._stamp(passage.run))
            if not first.events:
                passage.pass_idle(intent, first.outcome)
                return _idle(first)
            stream = first.stream
        mark = passage.mark()
        try:
            with self.sessions.writing() as session:
                _expect(session, command, stream)
                return self._record(session, tracked, intent, request)
        except BaseException:
            passage.return_to(mark)
            raise

    def first_look(self, command: Command) -> Decision | None:
        """Return the decision on a command; None inside a batch, or where the run knows it."""
        tracked = self.tracked
        if self.sessions.is_locking or (
            tracked is not None and self.recall(command.kind, command.subject) is not None
        ):
            return None
        with self.sessions.reading() as session:
            stamp = self._stamp(None if tracked is None else tracked.passage.run)
            return decide(command, _foreseen(session, command), stamp)

    def _record(
        self, session: WriteSession, tracked: Tracked, intent: Intent, request: Request
    ) -> Outcome:
        passage, command = tracked.passage, request.command
        facts = _foreseen(session, command, tracked, intent)
        known = self._told(facts, tracked, intent)
        outcome = _pass_known(session, tracked, command, intent, known)
        if outcome is not None:
            return outcome
        self._hear(session, facts, tracked)
        # An effect at the first look may be none now, and then begins no run.
        decision = decide(command, facts, self._stamp(passage.run))
        if not decision.events:
            passage.pass_idle(intent, decision.outcome)
            return _idle(decision)
        asked: Facts = facts
        if self._begin(session, tracked, intent):
            asked = session.models
            decision = decide(command, session.models, self._stamp(passage.run))
            if not decision.events:
                passage.pass_idle(intent, decision.outcome)
                return _idle(decision)
        if request.prepare is not None:
            request.prepare(decision)
        _require_past(session, decision)
        noted = self._unrecorded(session, passage)
        # What was asked under the lock is true until this transaction writes.
        intent = self._numbered(asked, tracked, intent)
        identity = intent.identity(passage.run)
        shown = _shown(request, decision)
        drafts = decision.drafts(identity, noted, (intent.key, intent.subject_key))
        events = session.append(command_id(identity), drafts, shown=shown)
        passage.pass_effect(intent, decision.outcome, len(events), _made(decision))
        passage.heard = events[-1].position
        return _done(decision, len(events), session)


def identity_outside(session: WriteSession, command: Command, decision: Decision) -> list[Json]:
    """Return the identity of a command outside a run, under which its events are recorded."""
    if decision.natural is not None:
        return decision.natural
    subject = command.subject
    natural = getattr(command, "natural", None)
    # A natural key that was given up may have led to another record, which had the same versions.
    if natural is not None and decision.stream != stream_id(["create", *natural, 1]):
        subject = decision.outcome
    version = session.log.stream_version(decision.stream)
    return [command.kind, subject, assigned(command), version]


def _intent(tracked: Tracked, command: Command) -> Intent:
    return tracked.passage.intent(command.kind, command.subject, assigned(command))


def _stands(
    session: Session | WriteSession, tracked: Tracked, command: Command, known: str | None
) -> tuple[Notice, ...] | None:
    """Return the notices with which a known outcome stands; None for none that stands."""
    if known is None:
        return None
    return standing(session, tracked.passage, tracked.plan, command, known)


def _pass_known(
    session: Session | WriteSession,
    tracked: Tracked,
    command: Command,
    intent: Intent,
    known: str | None,
) -> Outcome | None:
    """Pass an intent by its known outcome; None where there is none, or it does not stand."""
    notices = _stands(session, tracked, command, known)
    if known is None or notices is None:
        return None
    tracked.passage.pass_known(intent, known)
    return Outcome(uid=known, notices=notices)


def _foreseen(
    session: Session | WriteSession,
    command: Command,
    tracked: Tracked | None = None,
    intent: Intent | None = None,
) -> Facts:
    """Return the facts that a command is decided on, with the expected questions asked at once."""
    gathered = session.models if isinstance(session, GatheredSession) else None
    is_locked = isinstance(session, WriteSession)
    if not session.models.is_far:
        return gathered or Foresight(session.models, is_locked=is_locked)
    questions = expected(command)
    if tracked is not None and intent is not None:
        run = tracked.passage.run
        questions.append(Question("intent", {"run": run, "intent": intent.key}))
        of_run = {"uid": run} if tracked.passage.is_own else {"natural": tracked.plan.key}
        questions.append(Question("run", of_run))
    if gathered is not None:
        # They remember answers themselves.
        gathered.foresee(questions)
        return gathered
    return Foresight(session.models, questions, is_locked=is_locked)


def _expect(session: WriteSession, command: Command, stream: StreamId | None) -> None:
    if session.models.is_far:
        found = expected_stream(command) if stream is None else stream
        session.log.expect([] if found is None else [found])


def _require_past(session: WriteSession, decision: Decision) -> None:
    """Make sure that a position that is named was reached: it was looked up without the lock."""
    for event in decision.events:
        if isinstance(event, PositionTagged) and event.position > (head := session.log.head()):
            raise WrongExpectedVersionError(
                f"tag '{event.name}': expected position {event.position} in the log, found that it "
                f"ends at {head}: it went back meanwhile; nothing was recorded, try again"
            )


def _idle(decision: Decision) -> Outcome:
    return Outcome(uid=decision.outcome, notices=decision.notices)


def _made(decision: Decision) -> Made | None:
    """Return the registry of the record that a decision creates; None for none."""
    if not decision.is_new or decision.natural is None:
        return None
    event = decision.events[0]
    return Made(str(decision.natural[1]), getattr(event, "revises", None) is not None)


def _shown(request: Request, decision: Decision) -> Select | None:
    return None if request.shown is None else shown_row(request.shown, decision.outcome)


def _done(decision: Decision, n_events: int, session: WriteSession) -> Outcome:
    return Outcome(
        uid=decision.outcome,
        n_events=n_events,
        is_new=decision.is_new,
        notices=decision.notices,
        row=session.shown[0] if session.shown else None,
    )
