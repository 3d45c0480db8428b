"""Processes that belong to a pass which another process began: workers, started scripts, steps.

1. Such a process finds the pass in `METALEDGER_RUN`, or is handed its token (`ln.join`). It enters
   at its first save or read.
2. Where the pass has a run of its own, the process records into that. Else it goes through the run
   that the pass goes through.
3. A run that it begins says what the run it goes through says: transform, parameters, environment,
   task. Computer, git state and the run that it was started from are those of now.
4. A token that is unknown, of another ledger, or of a pass that has ended: one warning, and what
   the process saves belongs to no run.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import gethostname
from typing import TYPE_CHECKING, Any

from ledger import forks
from ledger.decisions import runs
from ledger.decisions.facts import Facts, Row
from ledger.display.messages import say
from ledger.engine import pass_token
from ledger.engine.database import Session, WriteSession
from ledger.engine.pass_token import INITIATOR, VARIABLE, Announced, PassToken
from ledger.engine.tracked import Tracked, taking_part
from ledger.errors import InvalidValueError, NotTrackingError
from ledger.model.events import RunStarted
from ledger.model.ids import StreamId
from ledger.model.schema import WITHDRAWN
from ledger.places import instance
from ledger.tracking.git import start_git_query

if TYPE_CHECKING:
    from ledger.places.instance import Ledger


def entered(ledger: Ledger, offer: str) -> Tracked | None:
    """Return the pass that the environment offers; None where it cannot be entered, which is said.

    Args:
        ledger: The ledger in use.
        offer: Value of the variable.
    """
    try:
        return _entered(ledger, pass_token.parse(offer), offer=pass_token.offered(INITIATOR))
    except NotTrackingError as error:
        say("warning", f"{VARIABLE}: {error}; what this process saves belongs to no run")
        return None


@contextmanager
def join(token: str) -> Iterator[None]:
    """Take part in a pass that another process began; see `ledger.join`."""
    if not isinstance(token, str):
        raise InvalidValueError(f"join(): expected ln.context.token, a text, got {token!r}")
    ledger = instance.current()
    with _lock:
        tracked = ledger.handler.tracked
        asked = _parsed(token)
        if tracked is not None and tracked.plan.token != asked.token:
            raise InvalidValueError(
                f"join(): run {tracked.passage.run} is tracked here; finish() it first"
            )
        block = _blocks.get(token)
        if tracked is None:
            try:
                ledger.handler.tracked = _entered(ledger, asked, offer=None)
            except NotTrackingError as error:
                raise NotTrackingError(f"join(): {error}") from None
            block = _blocks[token] = _Block(Announced({VARIABLE: str(asked)}))
        if block is not None:
            block.depth += 1
    try:
        yield
    finally:
        if block is not None:
            with _lock:
                block.depth -= 1
                if not block.depth:
                    del _blocks[token]
                    block.announced.withdraw()
                    ledger.handler.tracked = None


class _Block:
    """The threads that take part in a pass by `join`: the last one to leave ends it."""

    def __init__(self, announced: Announced) -> None:
        self.announced = announced
        self.depth = 0


_blocks: dict[str, _Block] = {}
_lock: threading.RLock


def _renew() -> None:
    global _lock  # noqa: PLW0603 (one for all)
    _lock = threading.RLock()


forks.made_anew(_renew)


def _parsed(token: str) -> PassToken:
    try:
        return pass_token.parse(token)
    except NotTrackingError as error:
        raise InvalidValueError(f"join(): {error}") from None


def pass_folder(ledger: Ledger, token: str) -> Path:
    """Return the folder in which the processes of a pass tell what they did; disposable."""
    return ledger.cache_folder / "passes" / token


def initiator(ledger: Ledger, facts: Facts, offer: str | None) -> str | None:
    """Return the run from which a script was started; None where it was started from none."""
    if offer is None:
        return None
    try:
        told = pass_token.parse(offer)
        found = runs.run_of_pass(facts, told.token)
        return str(_run(ledger, facts, told)["uid"] if found is None else found["run"])
    except NotTrackingError as error:
        say("warning", f"{VARIABLE}: {error}; the run that started this one is not recorded")
        return None


def _entered(ledger: Ledger, told: PassToken, *, offer: str | None) -> Tracked:
    """Return a pass to take part in.

    Raises:
        NotTrackingError: There is no such pass, or none any more.
    """
    with ledger.reading() as session:
        facts = session.models
        run = _run(ledger, facts, told)
        started = _started(session, run)
        return taking_part(
            facts,
            run,
            runs.RunPlan(identity=started.natural[1], fields=_fields(started), token=told.token),
            lambda session: _at_present(ledger, session, started, offer),
            pass_folder(ledger, told.token),
        )


def _run(ledger: Ledger, facts: Facts, told: PassToken) -> Row:
    own = ledger.place.configuration.id
    if told.ledger != own:
        raise NotTrackingError(f"it names a run of ledger {told.ledger}, and this is ledger {own}")
    for run in facts.find("run", uid=told.run):
        if run["state"] < WITHDRAWN:
            return run
    raise NotTrackingError(f"there is no run {told.run} in this ledger")


def _started(session: Session | WriteSession, run: Row) -> RunStarted:
    for recorded in session.log.stream(StreamId(run["stream"])):
        if isinstance(recorded.event, RunStarted):
            return recorded.event
    raise NotTrackingError(f"the start of run {run['uid']} is not in the log")


_SAME = ("transform", "name", "params", "arguments", "environment", "task", "modules")


def _fields(started: RunStarted) -> dict[str, Any]:
    return {name: getattr(started, name) for name in _SAME} | {"host": gethostname()}


def _at_present(
    ledger: Ledger, session: WriteSession, started: RunStarted, offer: str | None
) -> dict[str, Any]:
    """Return the fields of a run that a process of the pass begins, as they are now."""
    state = start_git_query(_folder()).result()
    by = started.initiated_by if offer is None else initiator(ledger, session.models, offer)
    return {
        "git_commit": None if state is None else state.commit,
        "git_is_dirty": None if state is None else state.is_dirty,
        "initiated_by": by,
    }


def _folder() -> Path | None:
    """Return the folder of the script: spawned workers know it by another name."""
    for name in ("__mp_main__", "__main__"):
        path = getattr(sys.modules.get(name), "__file__", None)
        if path:
            return Path(path).absolute().parent
    try:
        return Path.cwd()
    except OSError:
        return None
