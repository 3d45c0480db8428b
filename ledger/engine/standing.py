"""Whether the outcome of an intent that a run knows still stands: a key follows the pass.

1. It stands while the key of the save leads to that content, or where a run of the same identity
   led it.
2. Where a person led the key elsewhere, outside of any run, it stands too, and the user is told.
3. Where a run of another identity led the key elsewhere, it does not: the save is carried out anew.
4. A pass with a run of its own has led its keys itself.
5. Where the content of the save is gone from its place, it does not stand: the save heals it. A run
   of its own saved it already, and the user is told.
"""

from __future__ import annotations

from ledger.decisions.artifacts import is_gone, led_away
from ledger.decisions.facts import Notice, Row
from ledger.decisions.replay import Passage
from ledger.decisions.runs import RunPlan
from ledger.engine.database import Session, WriteSession
from ledger.model.commands import Command
from ledger.model.events import RecordedEvent
from ledger.model.times import to_datetime


def standing(
    session: Session | WriteSession, passage: Passage, plan: RunPlan, command: Command, outcome: str
) -> tuple[Notice, ...] | None:
    """Return the notices with which a known outcome stands; None where it does not stand."""
    if _is_gone(session, command, outcome):
        return (_gone(outcome),) if passage.is_own else None
    pointer = None if passage.is_own else led_away(command, outcome, session.models)
    if pointer is None:
        return ()
    position = int(pointer["from_position"])
    for recorded in session.log.read(after=position - 1, until=position):
        if recorded.event.run is None:
            return (_by_hand(pointer, recorded, outcome),)
        runs = session.models.find("run", uid=recorded.event.run)
        if runs and runs[0]["natural"] == plan.key:
            return ()
    return None


def may_fall(command: Command) -> bool:
    """Return whether a known outcome of a command has to be looked at: whether it still stands."""
    return any(getattr(command, name, None) is not None for name in ("key", "gone"))


def _is_gone(session: Session | WriteSession, command: Command, outcome: str) -> bool:
    return getattr(command, "gone", None) is not None and any(
        is_gone(command, row) for row in session.models.find("artifact", uid=outcome)
    )


def _gone(outcome: str) -> Notice:
    return Notice(
        "warning",
        f"content of artifact {outcome} is gone from its place since this run saved it; "
        "save it again outside of this run",
    )


def _by_hand(pointer: Row, recorded: RecordedEvent, outcome: str) -> Notice:
    when = f"{to_datetime(recorded.recorded_at):%Y-%m-%d %H:%M:%S} UTC"
    return Notice(
        "warning",
        f"key '{pointer['key']}' was led to artifact {pointer['uid']} by {recorded.event.actor} at "
        f"{when}, outside of any run, and stays there; this script's content is artifact {outcome}",
    )
