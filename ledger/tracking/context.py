"""`track()` and `finish()`: the current run, from its first line to its receipt.

1. `track()` finds out source, parameters, environment and actor, and begins a pass: through the
   latest run of the same identity, or through a new run. It writes only if a run is new.
2. `finish()` ends the pass as successful. A process that exits without it claims no success: the
   pass's own run is `ended`, or `failed` after an uncaught exception, an exit with an error, or
   SIGTERM (`ledger.tracking.exits`).
3. A pass gives one receipt, whichever way it ends.
4. Only the process that called `track()` ends the pass; the exit of a forked child changes nothing.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.decisions.decide import decide
from ledger.decisions.facts import Stamp, refuse_erased
from ledger.decisions.replay import Case, Passage
from ledger.decisions.runs import RunPlan
from ledger.decisions.transforms import find_transform
from ledger.display.messages import say
from ledger.engine.database import WriteSession
from ledger.engine.handler import identity_outside
from ledger.errors import InvalidValueError, LedgerError, NotTrackingError, printable, washed
from ledger.model.canonical import Json
from ledger.model.commands import SaveTransform
from ledger.model.events import BlobRecorded, Draft
from ledger.model.ids import command_id, digest, stream_id
from ledger.model.parameters import canonical_params
from ledger.model.schema import LIVE, TRANSFORM, FieldSpec
from ledger.model.secret_names import REDACTED, without_secrets
from ledger.places import instance
from ledger.places.source import row_of
from ledger.registries.checks import check_text
from ledger.registries.run import AwaitedRun, Run
from ledger.registries.transform import Transform, stem_of
from ledger.tracking.environment import (
    capture_environment,
    environment_hash,
    environment_text,
)
from ledger.tracking.exits import ExitWatch, exit_error, hear_termination
from ledger.tracking.git import GitQuery, start_git_query
from ledger.tracking.imports import imported_modules
from ledger.tracking.notebook import (
    active_shell,
    is_consecutive,
    read_notebook,
    shell_kind,
)
from ledger.tracking.project import project_key
from ledger.tracking.receipt import receipt, transform_name
from ledger.tracking.source_code import SourceCode, command_line, find_source, key_below
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

    @property
    def is_tracking(self) -> bool:
        """Whether a run is tracked."""
        return self._ledger is not None and self._ledger.handler.has_run

    @property
    def run(self) -> Run | None:
        """The current run; None before `track()` and after `finish()`."""
        if self._ledger is None or self._ledger.handler.tracked is None:
            return None
        return _run(self._ledger, self._ledger.handler.tracked.passage.run)

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
        ledger = instance.current()
        if self.is_tracking:
            self._end("ended")
        source = find_source(root=_root(ledger))
        self._ledger, self._source, self._pid = ledger, source, os.getpid()
        self._error = None
        self._hook()
        named = self._named(name, key, transform)
        given = canonical_params(params, command_line(source.kind))

        def begin() -> Run:
            return self._begin(ledger, named, name, given, new_run=new_run)

        is_nameless = source.kind == "notebook" and source.path is None and source.text is not None
        if not is_nameless or settings.transform.stem_uid or any(named.get(it) for it in _NAMES):
            return begin()
        say("warning", _NAMELESS)
        return self._await(ledger, begin)

    def _begin(
        self,
        ledger: Ledger,
        named: Mapping[str, Any],
        name: str | None,
        given: dict[str, Any],
        *,
        new_run: bool,
    ) -> Run:
        # A notebook without a name may have run further cells since it was tracked.
        self._source = source = find_source(root=_root(ledger))
        start = _Start(ledger, source, start_git_query(_folder(source)))
        command = start.transform_command(named)
        plan = start.plan(command, name, given)
        is_new = new_run or source.text is None
        tracked = ledger.handler.track(
            plan, new_run=is_new, before=lambda session: start.record(session, command)
        )
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
        self._end("finished")

    def _named(
        self, name: str | None, key: str | None, transform: Transform | None
    ) -> dict[str, Any]:
        """Return the names that identify the transform; a bare `track()` keeps the last ones."""
        if name is None and key is None and transform is None:
            return self._request
        self._request = {"name": name, "key": key, "transform": transform}
        return self._request

    def _end(self, status: str) -> None:
        ledger = self._ledger
        if ledger is None or ledger.handler.tracked is None:
            return
        passage = ledger.handler.finish(
            status,
            error=self._error if status == "failed" else None,
            is_consecutive=self._is_consecutive(),
        )
        ledger.keep_hashes()
        self._last = None if passage is None else (ledger, passage.run)
        if passage is not None:
            self._say_receipt(ledger, passage, status)

    def _say_receipt(self, ledger: Ledger, passage: Passage, status: str) -> None:
        run = _run(ledger, passage.run)
        say("success" if status == "finished" else "warning", receipt(run, passage, status))

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
        """Whether a run is tracked, by this process and no parent of it."""
        return self.is_tracking and self._pid == os.getpid()

    def leave(self) -> None:
        """End the pass as at the process's exit: `ended`, or `failed` after an error."""
        if not self._is_ours():
            return
        left = None if self._exits is None else self._exits.error()
        if self._error is None and left is not None:
            self._error = _told(SystemExit, left)
        try:
            self._end("ended" if self._error is None else "failed")
        except LedgerError as error:
            say("error", f"the end of the run could not be recorded: {error}")


class _Start:
    def __init__(self, ledger: Ledger, source: SourceCode, git: GitQuery) -> None:
        self._ledger = ledger
        self._source = source
        self._git = git
        self._environment = capture_environment()

    def transform_command(self, named: Mapping[str, Any]) -> SaveTransform:
        """Return the command that saves the running transform."""
        given = named.get("transform")
        if given is not None:
            return self._given_transform(given)
        name, key = named.get("name"), named.get("key")
        fields: dict[str, Any] = {}
        if name is not None:
            fields["name"] = _text("name", name)
        if key is not None:
            key = _text("key", key)
        suggested = key or self._own_key()
        # Without a key it is told apart by its source, and without a source by its user.
        told_apart_by = self._source.source_hash or self._ledger.handler.actor
        stem = settings.transform.stem_uid or stem_of(
            suggested or f"{self._source.name}/{told_apart_by}"
        )
        return SaveTransform(
            stem=stem,
            version=settings.transform.version,
            source_hash=self._source.source_hash,
            source=None if self._source.text is None else self._source.source_hash,
            defaults={
                "name": name or key or self._source.name,
                "key": suggested,
                "kind": "script" if self._source.kind == "module" else self._source.kind,
            },
            fields=fields,
        )

    def _own_key(self) -> str | None:
        """Return the key of the source: outside of the ledger's folder, its project tells it apart.

        A source that is known under its mere file name, as keys once were, keeps that.
        """
        source = self._source
        if source.kind == "module" or source.path is None or source.key is None:
            return source.key
        path = Path(source.path)
        if key_below(path, _root(self._ledger)) is not None:
            return source.key
        key = project_key(path)
        with self._ledger.reading() as session:
            if session.models.find("transform", stem=stem_of(key)):
                return key
            known = session.models.find("transform", stem=stem_of(source.key), state=LIVE)
        is_known = any(row["source_hash"] == source.source_hash for row in known)
        return source.key if is_known else key

    @staticmethod
    def _given_transform(transform: object) -> SaveTransform:
        if not isinstance(transform, Transform) or not transform.is_saved:
            raise InvalidValueError(f"track: expected a saved Transform, got {transform!r}")
        return SaveTransform(
            stem=transform.uid[: TRANSFORM.uid_length],
            version=transform.version,
            source_hash=transform.source_hash,
            target=transform.uid,
        )

    def plan(self, command: SaveTransform, name: str | None, canonical: dict[str, Any]) -> RunPlan:
        """Return the identity of the run.

        Raises:
            VersionPinnedError: The transform's version is pinned and its source has changed.
            RecordErasedError: The transform was erased.
        """
        given = self._without_secrets(canonical)
        with self._ledger.reading() as session:
            if command.target is None:
                refuse_erased(session.models, "transform", command.natural)
                find_transform(session.models, command)
                self._tell_of_twin(session.models, command)
        environment = environment_hash(self._environment)
        identity: list[Json] = [
            ["transform", command.stem, command.source_hash or command.version],
            given,
            self._ledger.handler.actor,
            environment,
        ]
        return RunPlan(
            identity=digest(identity).hex(),
            fields={
                "transform": "",
                "name": name,
                "params": given["params"],
                "arguments": given["argv"],
                "environment": environment,
                "host": socket.gethostname(),
            },
        )

    @staticmethod
    def _tell_of_twin(models: Any, command: SaveTransform) -> None:
        """Say under which key the same source is known, where it is tracked under a new one."""
        if command.source_hash is None or models.find("transform", stem=command.stem):
            return
        twins = models.find("transform", source_hash=command.source_hash, state=LIVE)
        keys = [row["key"] for row in twins if row["key"] is not None]
        if keys:
            say(
                "hint",
                f"this source is known as transform '{keys[-1]}' ({twins[-1]['uid']}); if the file "
                f"was renamed or moved, track(key={keys[-1]!r}) goes on with that transform",
            )

    @staticmethod
    def _without_secrets(given: dict[str, Any]) -> dict[str, Any]:
        """Return parameters and arguments without what their names call secret, and say so."""
        kept, places = without_secrets(given, settings.secret_names)
        if places:
            say(
                "warning",
                f"{', '.join(places)}: recorded as {REDACTED}, as the name says secret; "
                "settings.secret_names holds these names",
            )
        return kept

    def record(self, session: WriteSession, command: SaveTransform) -> dict[str, Any]:
        """Record transform, source and environment if they are new; return fields of the run."""
        stamp = self._ledger.handler.stamp()
        text = environment_text(self._environment)
        self._record_blob(session, stamp, environment_hash(self._environment), text)
        if command.source is not None and self._source.text is not None:
            self._record_blob(session, stamp, command.source, self._source.text)
        decision = decide(command, session.models, stamp)
        if decision.events:
            identity = identity_outside(session, command, decision)
            session.append(command_id(identity), decision.drafts(identity))
        state = self._git.result()
        packages = imported_modules(
            self._source.text,
            folder=_folder(self._source),
        )
        return {
            "transform": decision.outcome,
            "modules": {
                package.module: package.version or "" for package in packages if package.version
            },
            "git_commit": None if state is None else state.commit,
            "git_is_dirty": None if state is None else state.is_dirty,
        }

    @staticmethod
    def _record_blob(session: WriteSession, stamp: Stamp, blob: str, text: str) -> None:
        identity: list[Json] = ["blob", blob]
        if session.log.command(command_id(identity)):
            return
        event = BlobRecorded(
            blob=blob, media_type="text/plain", text=text, **{**stamp.fields(), "command": identity}
        )
        session.append(command_id(identity), [Draft(stream=stream_id(identity), event=event)])


def _told(kind: type[BaseException], error: BaseException) -> str:
    """Return what an exception says, in a form that can be stored, whatever it does when asked."""
    try:
        text = str(error)
    except BaseException:  # noqa: BLE001 (the script's own code, which may do anything)
        text = "its text could not be made"
    # Washed before it is cut: half a URL would hide its password from the eye of the rule.
    return printable(washed(f"{kind.__name__}: {text}"))[:500]


def _root(ledger: Ledger) -> Path | None:
    """Return the folder below which a path is a key; None for a ledger that has no folder."""
    return None if ledger.place.is_joined else ledger.place.root


def _folder(source: SourceCode) -> Path | None:
    return None if source.path is None else Path(source.path).parent


def _text(field: str, value: object) -> str:
    spec = TRANSFORM.field(field)
    assert isinstance(spec, FieldSpec)  # noqa: S101 (for the type checker)
    return str(check_text(f"track: {field}", value, spec, required=True))


def _run(ledger: Ledger, uid: str) -> Run:
    from ledger.places.source import Source as Rows  # noqa: PLC0415

    row = row_of(Rows(ledger), "run", uid)
    if row is None:
        raise NotTrackingError(f"run {uid}: not in the ledger")
    return Run._from_row(row, Rows(ledger))


context = Context()

__all__ = ["Context", "context"]
