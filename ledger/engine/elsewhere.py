"""What happened elsewhere is recorded: commands, and runs that no pass of this ledger carried out.

1. Nothing here touches the run in hand: none may be tracked.
2. When it happened, and by whom, is what `happened()` says (`ledger.engine.said`).
3. A command may have an identity of its own. It is then recorded once, whatever became of the
   record since: asked for again, it ends at the record of the first time.
4. A command may belong to a run that happened elsewhere. It is no intent, so that no pass ever goes
   through it.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from ledger.decisions import runs
from ledger.decisions.aliases import is_new_alias
from ledger.decisions.decide import decide
from ledger.decisions.facts import Decision, Facts, Stamp, namesakes, require
from ledger.engine.database import WriteSession
from ledger.engine.foresight import Foresight, expected
from ledger.engine.handler import Handler, Outcome, Prepare, identity_outside
from ledger.engine.said import Said, said
from ledger.errors import CommandRejectedError
from ledger.model.canonical import Json
from ledger.model.commands import Command
from ledger.model.events import BlobRecorded, Draft, InputRecorded, LedgerEvent, RecordChanged
from ledger.model.ids import StreamId, command_id, stream_id
from ledger.model.outside_events import AliasAdded
from ledger.model.schema import ERASED
from projections.fold import outcome_of


class RunElsewhere(msgspec.Struct, frozen=True, kw_only=True):
    """A run that happened elsewhere: its identity, and the fields of its start."""

    plan: runs.RunPlan
    aliases: tuple[str, ...] = ()


class Elsewhere:
    """Records what happened elsewhere, on one ledger."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def require_no_run(self, what: str) -> None:
        """See to it that no run is tracked.

        Raises:
            CommandRejectedError: One is.
        """
        if self._handler.tracked is not None:
            raise CommandRejectedError(
                f"{what}: it happened elsewhere, and run {self._handler.tracked.passage.run} is "
                "tracked here; finish() it first"
            )

    def _stamp(self, run: str | None = None) -> Stamp:
        told = said() or Said()
        at = self._handler.stamp().at if told.at is None else told.at
        return Stamp(at=at, actor=told.by or self._handler.actor, run=run)

    def known(self, identity: list[Json]) -> str | None:
        """Return the record that a command of this identity ended at; None if it is not known."""
        with self._handler.sessions.reading() as session:
            found = session.log.command(command_id(identity))
        return outcome_of(found[0].event) if found else None

    def perform(  # noqa: PLR0913 (each is a thing of its own)
        self,
        command: Command,
        registry: str,
        *,
        identity: list[Json] | None = None,
        run: str | None = None,
        aliases: Sequence[str] = (),
        prepare: Prepare | None = None,
        keeps: bool = False,
    ) -> Outcome:
        """Carry out a command, and give its record these aliases, in one transaction.

        Args:
            command: The command.
            registry: Registry of its record.
            identity: What it is recorded under; None for that of any command outside of a run.
            run: Uid of the run that it happened in.
            aliases: Names that the record has elsewhere.
            prepare: As for `Handler.perform`.
            keeps: Whether a record that is there already keeps its fields.

        Raises:
            CommandRejectedError: It cannot be carried out as it stands.
            NotFoundError: It names a record that is not there.
        """
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            if identity is not None and (found := session.log.command(command_id(identity))):
                return Outcome(uid=outcome_of(found[0].event))
            stamp = self._stamp(run)
            # Under the append lock each question needs to be asked only once.
            facts = Foresight(session.models, expected(command), is_locked=True)
            decision = decide(command, facts, stamp)
            if keeps and not decision.is_new:
                kept = tuple(it for it in decision.events if not isinstance(it, RecordChanged))
                decision = msgspec.structs.replace(decision, events=kept)
            decision = with_aliases(facts, decision, registry, aliases, stamp)
            if not decision.events:
                return Outcome(uid=decision.outcome, notices=decision.notices)
            if prepare is not None:
                prepare(decision)
            named = identity
            if named is None:
                named = identity_outside(session, command, decision)
            events = session.append(command_id(named), decision.drafts(named))
            return Outcome(
                uid=decision.outcome,
                n_events=len(events),
                is_new=decision.is_new,
                notices=decision.notices,
            )

    # --- runs -----------------------------------------------------------------------------------

    def begin(self, run: RunElsewhere) -> Outcome:
        """Have a run that happened elsewhere, and return how that ended.

        Raises:
            RecordErasedError: It was erased.
        """
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            known = namesakes(session.models, "run", run.plan.natural)
            if known and known[0]["state"] != ERASED:
                uid, stream = str(known[0]["uid"]), StreamId(known[0]["stream"])
                decision = Decision(outcome=uid, stream=stream)
                return self._also(session, decision, run.aliases)
            born, step = runs.start(session.models, run.plan, self._stamp())
            decision = Decision(
                events=(step.event,), outcome=born.uid, stream=born.stream, is_new=True
            )
            decision = with_aliases(
                session.models, decision, "run", run.aliases, self._stamp(born.uid)
            )
            events = session.append(command_id(step.identity), decision.drafts(step.identity))
            return Outcome(uid=born.uid, n_events=len(events), is_new=True)

    def _also(self, session: WriteSession, decision: Decision, aliases: Sequence[str]) -> Outcome:
        stamp = self._stamp(decision.outcome)
        decision = with_aliases(session.models, decision, "run", aliases, stamp)
        if decision.events:
            identity: list[Json] = ["alias", [decision.outcome, list(aliases)]]
            session.append(command_id(identity), decision.drafts(identity))
        return Outcome(uid=decision.outcome, n_events=len(decision.events))

    def end(self, run: str, status: str, error: str | None = None) -> int:
        """Record that a run ended, and return how many events that took: none if it is known.

        A run that finished stays finished.
        """
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            require(session.models, "run", run)
            stamp = self._stamp(run)
            steps = runs.finish(session.models, run, stamp, status=status, error=error, noted=())
            for step in steps:
                self._append(session, step)
            return len(steps)

    def read(self, run: str, artifact: str) -> int:
        """Record that a run read an artifact; return how many events that took."""
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            row = require(session.models, "run", run)
            require(session.models, "artifact", artifact)
            if session.models.find("link", field="run.inputs", source=run, target=artifact):
                return 0
            stamp = self._stamp(run)
            event = InputRecorded(uid=run, artifact=artifact, **stamp.fields())
            identity: list[Json] = ["fork-input", run, artifact]
            self._append(
                session,
                runs.RunStep(
                    stream=StreamId(row["stream"]),
                    identity=identity,
                    event=msgspec.structs.replace(event, command=identity),
                ),
            )
            return 1

    def made(self, run: str, artifact: str) -> int:
        """Record that a run made an artifact that is there; return how many events that took."""
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            require(session.models, "run", run)
            require(session.models, "artifact", artifact)
            steps = runs.take_over(
                session.models, run, self._stamp(run), inputs=[], remade=[artifact]
            )
            for step in steps:
                self._append(session, step)
            return len(steps)

    def blob(self, blob: str, text: str) -> int:
        """Keep a text under its hash; return how many events that took."""
        identity: list[Json] = ["blob", blob]
        with self._handler.sessions.turn(), self._handler.sessions.writing() as session:
            if session.log.command(command_id(identity)):
                return 0
            event = BlobRecorded(
                blob=blob,
                media_type="text/plain",
                text=text,
                **{**self._stamp().fields(), "command": identity},
            )
            draft = Draft(stream=stream_id(identity), event=event)
            session.append(command_id(identity), [draft])
            return 1

    @staticmethod
    def _append(session: WriteSession, step: runs.RunStep) -> None:
        session.append(command_id(step.identity), [Draft(stream=step.stream, event=step.event)])


def with_aliases(
    facts: Facts, decision: Decision, registry: str, aliases: Sequence[str], stamp: Stamp
) -> Decision:
    """Return a decision after which its record has these aliases, too.

    Raises:
        NameTakenError: One of them leads to another record.
    """
    more: list[LedgerEvent] = [
        AliasAdded(registry=registry, uid=decision.outcome, alias=alias, **stamp.fields())
        for alias in dict.fromkeys(aliases)
        if is_new_alias(facts, decision.outcome, alias)
    ]
    return msgspec.structs.replace(decision, events=(*decision.events, *more)) if more else decision
