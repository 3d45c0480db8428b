"""Rules for runs: how one starts, forks, resumes and ends.

1. A run is identified by transform, source, parameters, user, environment and an ordinal; a new run
   takes the next free ordinal.
2. A fork abandons the run it came from where that one is still open, and takes over the artifacts
   that the pass has read or made again.
3. Each resumption of a run counts, so that its start and its end happen once.
4. What was withdrawn for good is not gone through again.
5. Of several passes that record into one run at once the first to end ends it. A later one adds,
   as a resumption, only what is new: that the run finished, and intents without effect. A run that
   finished stays finished.
6. The token of a pass leads to the run that the pass began or continued last: all processes of a
   pass find the same run by it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.decisions.facts import (
    Birth,
    Facts,
    Row,
    Stamp,
    birth,
    erased_error,
    namesakes,
    refuse_erased,
)
from ledger.errors import NotTrackingError
from ledger.model.canonical import Json
from ledger.model.events import (
    ArtifactReproduced,
    InputRecorded,
    LedgerEvent,
    Noted,
    RunAbandoned,
    RunFinished,
    RunResumed,
    RunStarted,
)
from ledger.model.ids import StreamId, command_id, derive
from ledger.model.schema import ERASED, WITHDRAWN

FINISHED = "finished"
ENDS = frozenset({FINISHED, "ended", "failed"})


class RunPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The identity and the fields of a run that is yet to start.

    Attributes:
        identity: Hash of transform, source, parameters, user and environment.
        fields: Fields of `RunStarted` that are the same for every run of this plan.
        token: Names the pass; None for a pass that no other process can join.
    """

    identity: str
    fields: dict[str, Any]
    token: str | None = None

    @property
    def natural(self) -> list[Json]:
        """Natural key of its runs; their `n` is the ordinal."""
        return ["run", self.identity]

    @property
    def key(self) -> str:
        """Value of the column `natural` of its runs."""
        return derive(self.natural)

    def naming(self, fields: dict[str, Any]) -> RunPlan:
        """Return the plan with further fields."""
        return msgspec.structs.replace(self, fields={**self.fields, **fields})


class RunStep(msgspec.Struct, frozen=True, kw_only=True):
    """An event on a stream, with the identity of its command."""

    stream: StreamId
    identity: list[Json]
    event: LedgerEvent


def latest_run(facts: Facts, plan: RunPlan) -> Row | None:
    """Return the run with the highest ordinal; None where there is none, or it was withdrawn.

    Raises:
        RecordErasedError: It was erased.
    """
    rows = namesakes(facts, "run", plan.natural)
    if not rows:
        return None
    run = rows[-1]
    if run["state"] == ERASED:
        raise erased_error("run", run)
    return None if run["state"] == WITHDRAWN else run


def run_to_pass(facts: Facts, plan: RunPlan) -> Row | None:
    """Return the run that a pass begins to go through; None where it begins a new one.

    A run that was withdrawn for good, or whose transform was, is not gone through again: the pass
    begins a new run, and where need be a new transform.

    Raises:
        RecordErasedError: The run was erased.
    """
    run = latest_run(facts, plan)
    if run is None:
        return None
    transforms = facts.find("transform", uid=run["transform"])
    return None if transforms and transforms[0]["state"] == WITHDRAWN else run


def gone_error(run: Row) -> NotTrackingError:
    """Return the error for a run that was withdrawn or erased while a pass recorded into it."""
    what = "erased" if run["state"] == ERASED else "withdrawn for good"
    return NotTrackingError(
        f"run {run['uid']}: it was {what} by {run['changed_by']} while it was tracked; nothing was "
        "recorded, and it is tracked no more; track() begins a new run"
    )


def known_intents(facts: Facts, run: str, *, before: int | None = None) -> list[Noted]:
    """Return the intents that a run knows, in the order in which they were recorded.

    With `before`, those that it knew before this position.
    """
    rows = facts.find("intent", run=run)
    if before is not None:
        rows = [row for row in rows if row["from_position"] < before]
    rows.sort(key=lambda row: (row["from_position"], row["ordinal"]))
    return [(row["intent"], row["subject"], row["outcome"]) for row in rows]


def run_of_pass(facts: Facts, token: str | None) -> Row | None:
    """Return the row of the table `pass` for a pass; None where it has no run of its own."""
    rows = [] if token is None else facts.find("pass", token=token)
    return rows[0] if rows else None


def is_of_pass_alone(facts: Facts, run: str, token: str | None) -> bool:
    """Return whether no other pass than this one has recorded into a run."""
    tokens = [] if token is None else [it["token"] for it in facts.find("pass", run=run)]
    return tokens == [token] and all(not it["resumptions"] for it in facts.find("run", uid=run))


def is_last_pass(facts: Facts, run: str, token: str | None) -> bool:
    """Return whether this pass was the last one to begin or continue a run."""
    rows = [] if token is None else facts.find("pass", run=run)
    return bool(rows) and max(rows, key=lambda it: it["from_position"])["token"] == token


def start(facts: Facts, plan: RunPlan, stamp: Stamp) -> tuple[Birth, RunStep]:
    """Decide on a new run.

    Raises:
        RecordErasedError: One of its identity was erased.
    """
    refuse_erased(facts, "run", plan.natural)
    born = birth(facts, "run", plan.natural)
    return born, _started(born, plan, stamp, ())


def fork(  # noqa: PLR0913 (each is a thing of its own)
    facts: Facts,
    plan: RunPlan,
    stamp: Stamp,
    *,
    origin: str,
    noted: tuple[Noted, ...],
    inputs: list[str],
    remade: list[str],
) -> tuple[Birth, list[RunStep]]:
    """Decide on a new run that begins in the middle of a pass through the run `origin`.

    The start of the run causes the rest.

    Raises:
        RecordErasedError: A run of its identity was erased.
    """
    refuse_erased(facts, "run", plan.natural)
    born = birth(facts, "run", plan.natural)
    steps = [_started(born, plan, stamp, noted, forked_from=origin)]
    stamp = msgspec.structs.replace(stamp, causation=command_id(born.identity))
    for row in facts.find("run", uid=origin):
        if row["status"] == "started":
            event: LedgerEvent = RunAbandoned(uid=origin, by=born.uid, **_in(stamp, born.uid))
            steps.append(_step(row["stream"], ["abandon", origin, born.uid], event))
    steps += _taken_over(facts, born.uid, born.stream, stamp, inputs=inputs, remade=remade)
    return born, steps


def take_over(
    facts: Facts, run: str, stamp: Stamp, *, inputs: list[str], remade: list[str]
) -> list[RunStep]:
    """Decide on what a process of the pass has read and made again before it met the pass's run.

    What the run has read or made already leaves no second event.
    """
    (row,) = facts.find("run", uid=run)
    made = {it["source"] for it in facts.find("link", field="artifact.runs", target=run)}
    read = {it["target"] for it in facts.find("link", field="run.inputs", source=run)}
    return _taken_over(
        facts,
        run,
        row["stream"],
        stamp,
        inputs=[it for it in inputs if it not in read | made],
        remade=[it for it in remade if it not in made],
    )


def _taken_over(  # noqa: PLR0913 (each is a thing of its own)
    facts: Facts, run: str, stream: str, stamp: Stamp, *, inputs: list[str], remade: list[str]
) -> list[RunStep]:
    steps: list[RunStep] = []
    for artifact in inputs:
        event: LedgerEvent = InputRecorded(artifact=artifact, **_in(stamp, run), uid=run)
        steps.append(_step(stream, ["fork-input", run, artifact], event))
    for artifact in remade:
        for row in facts.find("artifact", uid=artifact):
            if row["state"] >= WITHDRAWN:
                continue
            event = ArtifactReproduced(uid=artifact, **_in(stamp, run))
            steps.append(_step(row["stream"], ["fork-remade", run, artifact], event))
    return steps


def resume(
    facts: Facts, run: str, stamp: Stamp, noted: tuple[Noted, ...], token: str | None = None
) -> RunStep:
    """Decide on continuing an unfinished run."""
    (row,) = facts.find("run", uid=run)
    return _resumed(row, int(row["resumptions"]) + 1, stamp, noted, token)


def finish(  # noqa: PLR0913 (each is a thing of its own)
    facts: Facts,
    run: str,
    stamp: Stamp,
    *,
    status: str,
    noted: tuple[Noted, ...],
    error: str | None = None,
    is_consecutive: bool | None = None,
) -> list[RunStep]:
    """Decide on the end of a pass that recorded into a run."""
    (row,) = facts.find("run", uid=run)
    times = int(row["resumptions"])
    steps = []
    if row["status"] in ENDS:
        says_more = status == FINISHED and row["status"] != FINISHED
        if not noted and not says_more:
            return []
        if row["status"] == FINISHED:
            status, error = FINISHED, None
        times += 1
        steps.append(_resumed(row, times, stamp, ()))
    event = RunFinished(
        uid=run,
        status=status,
        error=error,
        is_consecutive=is_consecutive,
        noted=noted,
        **_in(stamp, run),
    )
    steps.append(_step(row["stream"], ["finish", run, times], event))
    return steps


def _resumed(
    row: Row, times: int, stamp: Stamp, noted: tuple[Noted, ...], token: str | None = None
) -> RunStep:
    run = str(row["uid"])
    event = RunResumed(uid=run, resumption=times, noted=noted, token=token, **_in(stamp, run))
    return _step(row["stream"], ["resume", run, times], event)


def _started(
    born: Birth,
    plan: RunPlan,
    stamp: Stamp,
    noted: tuple[Noted, ...],
    forked_from: str | None = None,
) -> RunStep:
    event = RunStarted(
        uid=born.uid,
        natural=plan.natural,
        natural_id=born.natural_id,
        n=born.n,
        forked_from=forked_from,
        noted=noted,
        token=plan.token,
        **plan.fields,
        **_in(stamp, born.uid),
    )
    return _step(born.stream, born.identity, event)


def _in(stamp: Stamp, run: str) -> dict[str, Any]:
    return {**stamp.fields(), "run": run}


def _step(stream: str, identity: list[Json], event: LedgerEvent) -> RunStep:
    return RunStep(
        stream=StreamId(stream),
        identity=identity,
        event=msgspec.structs.replace(event, command=identity),
    )
