"""What a pass begins with: its transform, the identity of its run, and what it records once."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledger.decisions.decide import decide
from ledger.decisions.facts import Stamp, refuse_erased
from ledger.decisions.runs import RunPlan
from ledger.decisions.transforms import find_transform
from ledger.display.messages import say
from ledger.engine.database import WriteSession
from ledger.engine.handler import identity_outside
from ledger.engine.pass_token import (
    new_token,
)
from ledger.errors import InvalidValueError
from ledger.model.canonical import Json
from ledger.model.commands import SaveTransform
from ledger.model.events import BlobRecorded, Draft
from ledger.model.ids import command_id, digest, stream_id
from ledger.model.parameters import canonical_params
from ledger.model.schema import LIVE, TRANSFORM, FieldSpec
from ledger.model.secret_names import REDACTED, without_secrets
from ledger.model.tasks import task_of
from ledger.registries.checks import check_text
from ledger.registries.transform import Transform, stem_of
from ledger.tracking.environment import (
    capture_environment,
    environment_hash,
    environment_text,
)
from ledger.tracking.git import GitQuery
from ledger.tracking.imports import imported_modules
from ledger.tracking.joining import initiator
from ledger.tracking.project import project_key
from ledger.tracking.source_code import SourceCode, key_below
from ledger.user_settings import settings

if TYPE_CHECKING:
    from ledger.places.instance import Ledger


class Start:
    """What is found out before a pass begins."""

    def __init__(
        self, ledger: Ledger, source: SourceCode, git: GitQuery, initiated_by: str | None
    ) -> None:
        self._initiated_by = initiated_by
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
        # Without a key a notebook is told apart by its cells, and anything else by its user.
        cells = self._source.source_hash if self._source.kind == "notebook" else None
        stem = settings.transform.stem_uid or stem_of(
            suggested or f"{self._source.name}/{cells or self._ledger.handler.actor}"
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
        if key_below(path, root_of(self._ledger)) is not None:
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

    def plan(
        self, command: SaveTransform, name: str | None, params: object, argv: Sequence[str]
    ) -> RunPlan:
        """Return the identity of the run.

        Raises:
            InvalidValueError: A parameter cannot be recorded.
            VersionPinnedError: The transform's version is pinned and its source has changed.
            RecordErasedError: The transform was erased.
        """
        given = without_named_secrets(canonical_params(params, argv))
        with self._ledger.reading() as session:
            if command.target is None:
                refuse_erased(session.models, "transform", command.natural)
                find_transform(session.models, command)
                self._tell_of_twin(session.models, command)
        environment = environment_hash(self._environment)
        task: dict[str, Any] = task_of(os.environ, settings.task_variables)
        identity: list[Json] = [
            ["transform", command.stem, command.source_hash or command.version],
            given,
            self._ledger.handler.actor,
            environment,
        ]
        if task:
            # A run without a task has the identity that it had before there were tasks.
            identity.append(["task", task])
        return RunPlan(
            identity=digest(identity).hex(),
            fields={
                "transform": "",
                "name": name,
                "params": given["params"],
                "arguments": given["argv"],
                "task": task,
                "environment": environment,
                "host": socket.gethostname(),
            },
            token=new_token(),
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
            None if self._source.kind == "command" else self._source.text,
            folder=folder_of(self._source),
        )
        return {
            "transform": decision.outcome,
            "modules": {
                package.module: package.version or "" for package in packages if package.version
            },
            "git_commit": None if state is None else state.commit,
            "git_is_dirty": None if state is None else state.is_dirty,
            "initiated_by": initiator(self._ledger, session.models, self._initiated_by),
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


def without_named_secrets(given: dict[str, Any]) -> dict[str, Any]:
    """Return parameters and arguments without what their names call secret, and say so."""
    kept, places = without_secrets(given, settings.secret_names)
    if places:
        say(
            "warning",
            f"{', '.join(places)}: recorded as {REDACTED}, as the name says secret; "
            "settings.secret_names holds these names",
        )
    return kept


def root_of(ledger: Ledger) -> Path | None:
    """Return the folder below which a path is a key; None for a ledger that has no folder."""
    return None if ledger.place.is_joined else ledger.place.root


def folder_of(source: SourceCode) -> Path | None:
    """Return the folder of a source file; None where it is in no file."""
    return None if source.path is None else Path(source.path).parent


def _text(field: str, value: object) -> str:
    spec = TRANSFORM.field(field)
    assert isinstance(spec, FieldSpec)  # noqa: S101 (for the type checker)
    return str(check_text(f"track: {field}", value, spec, required=True))
