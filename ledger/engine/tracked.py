"""The run in hand: a pass, the plan of a fork, and the runs that other processes have begun."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from ledger.decisions import runs
from ledger.decisions.facts import Facts, Row
from ledger.decisions.replay import Case, Intent, Passage
from ledger.engine.database import WriteSession
from ledger.engine.journal import Journal
from ledger.errors import NotTrackingError

Before = Callable[[WriteSession], dict[str, Any]]


class Tracked(msgspec.Struct):
    """The run in hand: its passage, and the plan of a fork.

    Attributes:
        folder: Where the processes of the pass tell what they did; None where only one can be.
        joined: Of a process that another one lets take part: its file there. None in the process
            that began the pass.
    """

    passage: Passage
    plan: runs.RunPlan
    before: Before
    read: set[str] = msgspec.field(default_factory=set)
    folder: Path | None = None
    joined: Journal | None = None


def passage_through(facts: Facts, run: Row) -> Passage:
    """Return a new passage through a run that is there."""
    return Passage(case_of(run), run["uid"], runs.known_intents(facts, run["uid"]))


def taking_part(
    facts: Facts, run: Row, plan: runs.RunPlan, before: Before, folder: Path
) -> Tracked:
    """Return a pass that another process began, for a process that takes part in it.

    Args:
        facts: Of the ledger.
        run: The run that the pass went through, or was, when it began.
        plan: As that of the pass, with its token.
        before: As for `RunTracker.track`.
        folder: Where the processes of the pass tell what they did.

    Raises:
        NotTrackingError: The pass has ended.
    """
    found = runs.run_of_pass(facts, plan.token)
    passage = passage_through(facts, run) if found is None else Passage(Case.NEW, run["uid"])
    tracked = Tracked(passage, plan, before, folder=folder, joined=Journal(folder))
    if found is not None:
        (own,) = facts.find("run", uid=found["run"])
        if own["status"] in runs.ENDS:
            raise NotTrackingError(f"run {own['uid']} has ended ({own['status']})")
        join_run(facts, tracked)
    return tracked


def join_run(facts: Facts, tracked: Tracked) -> None:
    """Record from now on into the run that another process of the pass has begun or continued."""
    found = runs.run_of_pass(facts, tracked.plan.token)
    assert found is not None  # noqa: S101 (for the type checker)
    (run,) = facts.find("run", uid=found["run"])
    known = runs.known_intents(facts, run["uid"])
    before = runs.known_intents(facts, run["uid"], before=found["from_position"])
    case = Case.NEW if run["forked_from"] is None else Case.FORK
    if run["resumptions"]:
        case = Case.CONTINUED
    tracked.passage.join(case, run["uid"], before, known)
    tracked.passage.heard = max(tracked.passage.heard, int(found["from_position"]))


def run_now(facts: Facts, tracked: Tracked) -> str:
    """Return the run that the pass goes through: others may have begun a later one."""
    if not tracked.passage.is_own:
        of_pass = runs.run_of_pass(facts, tracked.plan.token)
        if of_pass is not None:
            return str(of_pass["run"])
        latest = runs.latest_run(facts, tracked.plan)
        if latest is not None:
            return str(latest["uid"])
    return tracked.passage.run


def recorded_outcome(facts: Facts, tracked: Tracked, intent: Intent) -> str | None:
    """Return the outcome of an intent that the run as it is now holds; None if it does not."""
    return outcome_in(facts, run_now(facts, tracked), intent)


def outcome_in(facts: Facts, run: str, intent: Intent) -> str | None:
    """Return the outcome of an intent that a run holds; None if it does not."""
    rows = facts.find("intent", run=run, intent=intent.key)
    return str(rows[0]["outcome"]) if rows else None


def case_of(run: Row) -> Case:
    """Return the kind of a pass that goes through a run."""
    return Case.REPLAY if run["status"] == runs.FINISHED else Case.RESUMABLE
