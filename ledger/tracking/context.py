"""`track()` and `finish()`: the current run, from its first line to its receipt.

1. `track()` finds out source, parameters, environment and actor, and begins a pass: through the
   latest run of the same identity, or through a new run. It writes only if a run is new.
2. `finish()` ends the pass as successful. A process that exits without it claims no success: the
   pass's own run is `ended`, or `failed` after an uncaught exception, an exit with an error, or
   SIGTERM (`ledger.tracking.exits`).
3. A pass gives one receipt, whichever way it ends.
4. Only the process that called `track()` ends the pass; the exit of a forked child changes nothing.
   Processes that it starts belong to the pass (see `ledger.tracking.joining`), unless they call
   `track()` themselves: then their run says which run they were started from.
"""

from __future__ import annotations

import atexit
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.decisions.replay import Case, Passage
from ledger.display.messages import say
from ledger.engine.pass_token import (
    INITIATOR,
    VARIABLE,
    Announced,
    PassToken,
    offered,
)
from ledger.engine.said import refuse_said
from ledger.engine.tracked import Tracked
from ledger.errors import LedgerError, NotTrackingError, printable, washed
from ledger.model.parameters import canonical_params
from ledger.places import instance
from ledger.places.source import row_of
from ledger.places.stand_ins import require_none_beside
from ledger.registries.run import AwaitedRun, Run
from ledger.registries.transform import Transform
from ledger.tracking.endings import tell_of_end
from ledger.tracking.exits import ExitWatch, exit_error, hear_termination
from ledger.tracking.git import start_git_query
from ledger.tracking.joining import pass_folder
from ledger.tracking.notebook import (
    active_shell,
    injected_parameters,
    is_consecutive,
    read_notebook,
    shell_kind,
)
from ledger.tracking.receipt import receipt, transform_name
from ledger.tracking.source_code import SourceCode, command_line, find_source
from ledger.tracking.starting import Start, folder_of, root_of
from ledger.user_settings import settings

if TYPE_CHECKING:
    from ledger.places.instance import Ledger


# Said before anything is saved, so it tells nothing that a later fork would contradict.
_BEGINNINGS = {
    Case.NEW: "new run",
    Case.REPLAY: "known run",
    Case.RESUMABLE: "unfinished run",
}


_NAMES = ("key", "transform")
_NAMELESS = (
    "nobody tells the path of this notebook: it is known by the cells that ran before its first "
    "save; pass key= to track(), and its versions belong together"
)


class Context:
    """The current run: `ln.context`."""

    def __init__(self) -> None:
        self._ledger: Ledger | None = None
        self._source: SourceCode | None = None
        self._pid: int | None = None
        self._last: tuple[Ledger, str] | None = None
        self._error: str | None = None
        self._exits: ExitWatch | None = None
        # The names given to the first `track()` of the process hold for later calls.
        self._request: dict[str, Any] = {}
        self._announced: Announced | None = None

    @property
    def is_tracking(self) -> bool:
        """Whether a run is tracked."""
        ledger = self._ledger
        # To look for it otherwise would begin a run that waits for its first save.
        return (ledger is not None and ledger.handler.is_tracking) or self._held() is not None

    @property
    def run(self) -> Run | None:
        """The current run; None before `track()` and after `finish()`."""
        held = self._held()
        return None if held is None else _run(held[0], held[1].passage.run)

    @property
    def token(self) -> str | None:
        """The pass, as a text that `ln.join()` takes in another process; None outside of a run."""
        held = self._held()
        if held is None or held[1].plan.token is None:
            return None
        ledger, tracked = held
        place = ledger.place.configuration.id
        return str(PassToken(place, tracked.passage.run, tracked.plan.token or ""))

    def _held(self) -> tuple[Ledger, Tracked] | None:
        """Return the ledger and the run in hand, also where another process began the pass."""
        ledger = self._ledger
        if ledger is None or ledger.handler.tracked is None:
            if offered() is None and not instance.is_open():
                return None
            try:
                ledger = instance.current()
            except LedgerError:
                return None
        tracked = ledger.handler.tracked
        return None if tracked is None else (ledger, tracked)

    @property
    def _is_own(self) -> bool:
        """Whether this process began the pass, and so is the one to end it."""
        held = self._held()
        return held is not None and held[1].joined is None

    @property
    def transform(self) -> Transform | None:
        """The transform of the current run."""
        run = self.run
        return None if run is None else run.transform

    @property
    def last_run(self) -> Run | None:
        """The current run, or the one that ended last in this process."""
        return self.run or (None if self._last is None else _run(*self._last))

    def __repr__(self) -> str:
        return f"<Context run={self.run!r}>"

    def track(
        self,
        name: str | None = None,
        key: str | None = None,
        params: object = None,
        *,
        new_run: bool = False,
        transform: Transform | None = None,
    ) -> Run:
        """Begin a pass; see `ledger.track`."""
        require_none_beside("track()")
        ledger = instance.current()
        source = find_source(root=root_of(ledger))
        named = self._named(name, key, transform)
        argv = command_line(source.kind)
        return self._track(ledger, source, argv, named, name=name, params=params, new_run=new_run)

    def track_command(self, source: SourceCode, argv: Sequence[str], name: str | None) -> Run:
        """Begin a pass of a command that this process starts, with all of its arguments."""
        named = {"name": name, "key": name, "transform": None}
        return self._track(instance.current(), source, argv, named, name=name)

    def _track(  # noqa: PLR0913 (each is a thing of its own)
        self,
        ledger: Ledger,
        source: SourceCode,
        argv: Sequence[str],
        named: Mapping[str, Any],
        *,
        name: str | None,
        params: object = None,
        new_run: bool = False,
    ) -> Run:
        refuse_said("track()")
        if self._is_own:
            self._end("ended")
        elif self.is_tracking:
            ledger.handler.tracked = None
        self._put_back()
        initiated_by = offered()
        ledger.handler.decline(initiated_by)
        self._ledger, self._source, self._pid = ledger, source, os.getpid()
        self._error = None
        self._hook()
        given = canonical_params(params, argv)
        injected = injected_parameters(active_shell()) if source.kind == "notebook" else None
        if injected is not None:
            # Those given here come on top, mostly the very same.
            own: Any = given["params"]
            given["params"] = {**_canonical(injected), **own}

        def begin() -> Run:
            return self._begin(ledger, named, name, given, initiated_by, new_run=new_run)

        is_nameless = source.kind == "notebook" and source.path is None and source.text is not None
        if not is_nameless or settings.transform.stem_uid or any(named.get(it) for it in _NAMES):
            return begin()
        say("warning", _NAMELESS)
        return self._await(ledger, begin)

    def _begin(  # noqa: PLR0913 (each is a thing of its own)
        self,
        ledger: Ledger,
        named: Mapping[str, Any],
        name: str | None,
        given: dict[str, Any],
        initiated_by: str | None,
        *,
        new_run: bool,
    ) -> Run:
        source = self._source
        if source is None or source.kind == "notebook":
            # One without a name may have run further cells since it was tracked.
            self._source = source = find_source(root=root_of(ledger))
        git = start_git_query(folder_of(source))
        start = Start(ledger, source, git, initiated_by)
        command = start.transform_command(named)
        plan = start.plan(command, name, given)
        is_new = new_run or source.text is None
        tracked = ledger.handler.track(
            plan,
            new_run=is_new,
            before=lambda session: start.record(session, command),
            folder=pass_folder(ledger, str(plan.token)),
        )
        self._announced = Announced({VARIABLE: self.token, INITIATOR: initiated_by})
        run = _run(ledger, tracked.passage.run)
        begins = _BEGINNINGS[tracked.passage.case]
        say("hint", f"{begins}: {transform_name(run)} ({run._row['transform']}), run {run.uid}")
        return run

    @staticmethod
    def _await(ledger: Ledger, begin: Callable[[], Run]) -> Run:
        """Return a run that begins when it is first needed: its cells identify it by then."""
        begun: list[Run] = []
        ledger.handler.track_later(lambda: begun.append(begin()))

        def needed() -> Run:
            if ledger.handler.tracked is None or not begun:
                raise NotTrackingError("this run never began; call track() again")
            return begun[0]

        return AwaitedRun(needed)

    def finish(self) -> None:
        """End the pass as successful; see `ledger.finish`."""
        if not self.is_tracking:
            raise NotTrackingError("finish(): no run is tracked; call track() first")
        if not self._is_own:
            raise NotTrackingError(
                "finish(): another process began this run and finishes it; leave it out here, or "
                "call track() for a run of this process"
            )
        require_none_beside("finish()")
        self._end("finished")

    def fail(self, error: str) -> None:
        """End the pass as failed, for this reason."""
        self._error = error
        self._end("failed")

    def _named(
        self, name: str | None, key: str | None, transform: Transform | None
    ) -> dict[str, Any]:
        """Return the names that identify the transform; a bare `track()` keeps the last ones."""
        if name is None and key is None and transform is None:
            return self._request
        self._request = {"name": name, "key": key, "transform": transform}
        return self._request

    def _end(self, status: str) -> None:
        held = self._held()
        if held is None:
            return
        ledger = held[0]
        passage = ledger.handler.finish(
            status,
            error=self._error if status == "failed" else None,
            is_consecutive=self._is_consecutive(),
        )
        self._put_back()
        ledger.keep_hashes()
        self._last = None if passage is None else (ledger, passage.run)
        if passage is not None:
            self._say_receipt(ledger, passage, status)
            if passage.n_events:
                tell_of_end(ledger, passage.run)

    def _put_back(self) -> None:
        """Let the processes that are started from now on belong to no pass of this process."""
        if self._announced is not None:
            self._announced.withdraw()
            self._announced = None

    def _say_receipt(self, ledger: Ledger, passage: Passage, status: str) -> None:
        run = _run(ledger, passage.run)
        say(
            "success" if status == "finished" else "warning",
            receipt(run, passage, status, run._source.spec),
        )

    def _is_consecutive(self) -> bool | None:
        source = self._source
        if source is None or source.kind != "notebook" or source.path is None:
            return None
        notebook = read_notebook(Path(source.path))
        return None if notebook is None else is_consecutive(notebook)

    # --- leaving --------------------------------------------------------------------------------

    def _hook(self) -> None:
        if self._exits is not None:
            return
        self._exits = ExitWatch()
        atexit.register(self.leave)
        previous = sys.excepthook

        def remember(kind: type[BaseException], error: BaseException, trace: Any) -> None:
            self._error = _told(kind, error)
            previous(kind, error, trace)

        sys.excepthook = remember
        if shell_kind(active_shell()) != "kernel":  # A kernel is ended so when its notebook closes.
            hear_termination(self._note_termination)

    def _note_termination(self) -> bool:
        if self._is_ours():
            self._error = "SIGTERM: the process was told to end"
        return self._is_ours()

    def note_exit(self, code: object) -> None:
        """Remember that the script exited with this value: with any but None and 0, it failed."""
        if (error := exit_error(code)) is not None:
            self._error = _told(SystemExit, error)

    def _is_ours(self) -> bool:
        """Whether this very process tracks a run, and began its pass."""
        return self._pid == os.getpid() and self._is_own

    def leave(self, ledger: Ledger | None = None) -> None:
        """End the pass as at the process's exit: `ended`, or `failed` after an error.

        With a ledger, a pass through a run of another ledger goes on.
        """
        if not self._is_ours() or (ledger is not None and ledger is not self._ledger):
            return
        left = None if self._exits is None else self._exits.error()
        if self._error is None and left is not None:
            self._error = _told(SystemExit, left)
        try:
            self._end("ended" if self._error is None else "failed")
        except LedgerError as error:
            say("error", f"the end of the run could not be recorded: {error}")


def _canonical(params: Mapping[str, object]) -> dict[str, Any]:
    canonical: Any = canonical_params(params)["params"]
    return dict(canonical)


def _told(kind: type[BaseException], error: BaseException) -> str:
    """Return what an exception says, in a form that can be stored, whatever it does when asked."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 (the script's own code, which may do anything)
        text = "its text could not be made"
    # Washed before it is cut: half a URL would hide its password from the eye of the rule.
    return printable(washed(f"{kind.__name__}: {text}"))[:500]


def _run(ledger: Ledger, uid: str) -> Run:
    from ledger.places.source import Source as Rows  # noqa: PLC0415

    row = row_of(Rows(ledger), "run", uid)
    if row is None:
        raise NotTrackingError(f"run {uid}: not in the ledger")
    return Run._from_row(row, Rows(ledger))


context = Context()

__all__ = ["Context", "context"]
