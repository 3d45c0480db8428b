"""Runs that happened elsewhere, recorded with their own times and people.

A bridge records through this module alone: `record_run` for people, `Recorder` for the plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ledger.decisions.runs import ENDS, FINISHED, RunPlan
from ledger.engine.elsewhere import Elsewhere, RunElsewhere
from ledger.engine.handler import Outcome
from ledger.engine.said import saying
from ledger.errors import InvalidValueError
from ledger.model.canonical import Json, identity_bytes
from ledger.model.commands import Command, SaveTransform
from ledger.model.ids import digest
from ledger.model.parameters import canonical_params
from ledger.model.schema import RUN, TRANSFORM, FieldSpec
from ledger.model.times import now_micros, to_micros
from ledger.places import instance
from ledger.places.actor import checked_actor
from ledger.places.instance import Ledger
from ledger.registries.aliases import checked_alias
from ledger.registries.artifact import Artifact
from ledger.registries.checks import check_text
from ledger.registries.run import Run
from ledger.registries.transform import stem_of
from ledger.tracking.source_code import text_hash
from ledger.tracking.starting import without_named_secrets

STARTED = "started"
STATUSES = (FINISHED, "failed", "ended", STARTED)


class Recorder:
    """Records what happened elsewhere, and counts the events that it took."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.n_events = 0
        self._elsewhere = Elsewhere(ledger.handler)

    def require_no_run(self, what: str) -> None:
        """See to it that no run is tracked; see `Elsewhere.require_no_run`."""
        self._elsewhere.require_no_run(what)

    def known(self, identity: list[Json]) -> str | None:
        """Return the record that a command of this identity ended at; None if it is not known."""
        return self._elsewhere.known(identity)

    def perform(self, command: Command, registry: str, **options: Any) -> Outcome:
        """Carry out a command; see `Elsewhere.perform`."""
        outcome = self._elsewhere.perform(command, registry, **options)
        self.n_events += outcome.n_events
        return outcome

    def text(self, text: str) -> str:
        """Keep a text, and return its hash."""
        blob = text_hash(text)
        self.n_events += self._elsewhere.blob(blob, _lines(text))
        return blob

    def transform(  # noqa: PLR0913 (all of a version)
        self,
        key: str,
        source: str | None = None,
        *,
        stem: str | None = None,
        name: str | None = None,
        kind: str = "script",
        version: str | None = None,
        description: str | None = None,
        **options: Any,
    ) -> str:
        """Have a version of a transform, and return its uid.

        Args:
            key: What identifies its family.
            source: Text of its source.
            stem: First 12 digits of the uids of its family; None to make them of the key.
            name: What people call it; None for the key's.
            kind: What it is.
            version: Version that a person gave it.
            description: A text for people.
            options: As for `perform`.
        """
        blob = None if source is None else self.text(source)
        defaults: dict[str, Any] = {"name": name or key, "key": key, "kind": kind}
        if description is not None:
            defaults["description"] = description
        command = SaveTransform(
            stem=stem or stem_of(key),
            version=version,
            source_hash=blob,
            source=blob,
            defaults=defaults,
        )
        return self.perform(command, "transform", **options).uid

    def begin(
        self, identity: Sequence[Any], fields: Mapping[str, Any], aliases: Sequence[str] = ()
    ) -> Outcome:
        """Have a run, and return how that ended.

        Args:
            identity: What identifies it for good: plain data.
            fields: Fields of its start.
            aliases: Names that it has elsewhere.
        """
        plan = RunPlan(identity=digest(list(identity)).hex(), fields=dict(fields))
        outcome = self._elsewhere.begin(RunElsewhere(plan=plan, aliases=tuple(aliases)))
        self.n_events += outcome.n_events
        return outcome

    def end(self, run: str, status: str, error: str | None = None) -> int:
        """Record the end of a run; return how many events that took."""
        return self._count(self._elsewhere.end(run, status, error))

    def read(self, run: str, artifact: str) -> int:
        """Record an input of a run; return how many events that took."""
        return self._count(self._elsewhere.read(run, artifact))

    def made(self, run: str, artifact: str) -> int:
        """Record an output of a run; return how many events that took."""
        return self._count(self._elsewhere.made(run, artifact))

    def _count(self, events: int) -> int:
        self.n_events += events
        return events


def run_fields(  # noqa: PLR0913 (all of a start)
    transform: str,
    *,
    params: Mapping[str, Any] | None = None,
    arguments: Sequence[str] = (),
    name: str | None = None,
    environment: str | None = None,
    initiated_by: str | None = None,
) -> dict[str, Any]:
    """Return the fields of the start of a run; what a name calls secret is left out, and said."""
    given = without_named_secrets(canonical_params(params, arguments))
    return {
        "transform": transform,
        "name": name,
        "params": given["params"],
        "arguments": given["argv"],
        "environment": environment,
        "initiated_by": initiated_by,
    }


def record_run(  # noqa: PLR0913 (all of a run)
    *,
    identity: Sequence[Any],
    key: str,
    started_at: dt.datetime,
    finished_at: dt.datetime | None = None,
    status: str | None = None,
    actor: str | None = None,
    params: Mapping[str, Any] | None = None,
    source: str | None = None,
    inputs: Iterable[Artifact] = (),
    outputs: Iterable[Artifact] = (),
    initiated_by: Run | None = None,
    name: str | None = None,
    arguments: Sequence[str] = (),
    environment: str | None = None,
    error: str | None = None,
    aliases: Sequence[str] = (),
) -> Run:
    """Record a run that happened elsewhere, and return it.

    The same run again adds what is new: its end, further inputs and outputs, further aliases. A
    script that is tracked never goes through it. All of it is recorded, or nothing.

    Args:
        identity: What identifies the run for good, such as `["slurm", "cluster", 4711]`: a list of
            plain data. Whoever records it again gives the same.
        key: Path or name of what ran; with the source it is the transform.
        started_at: When it began: a datetime with a time zone, not in the future.
        finished_at: When it ended; None where it has not, or nobody knows.
        status: `finished`, `failed`, `ended` (nobody says how), `started`. By default `finished`
            with an end, and `started` without one.
        actor: Who ran it; by default the present user.
        params: Its parameters, a mapping.
        source: Text of its source.
        inputs: Saved artifacts that it read.
        outputs: Saved artifacts that it made.
        initiated_by: The run that started it.
        name: What people call it.
        arguments: Command-line arguments.
        environment: Text that describes the environment.
        error: What a failed run said.
        aliases: Names that it has in other tools, such as `slurm:4711`.

    Raises:
        InvalidValueError: A time has no zone, is in the future or ends before it begins; a status
            is none, or says of an end that is not given; an artifact is not saved.
        CommandRejectedError: A run is tracked here.
        NameTakenError: An alias leads to another record.
    """
    where = "record_run"
    recorder = Recorder(instance.current())
    recorder.require_no_run(where)
    begun, ended = _moment(where, "started_at", started_at), None
    if finished_at is not None:
        ended = _moment(where, "finished_at", finished_at)
        if ended < begun:
            raise InvalidValueError(
                f"{where}: it began at {started_at.isoformat()}, and ended before, at "
                f"{finished_at.isoformat()}"
            )
    status = checked_status(where, status, has_end=ended is not None)
    by = None if actor is None else checked_actor(actor, f"{where}(actor=)")
    named = checked_identity(where, identity)
    path = check_text(f"{where}(key=)", key, _field(TRANSFORM.field("key")), required=True)
    read = [_saved(where, "inputs", it) for it in inputs]
    made = [_saved(where, "outputs", it) for it in outputs]
    others = [checked_alias(it) for it in aliases]
    parent: object = initiated_by
    if parent is not None and not isinstance(parent, Run):
        raise InvalidValueError(f"{where}(initiated_by=): expected a Run, got {parent!r:.80}")
    if name is not None:
        name = check_text(f"{where}(name=)", name, _field(RUN.field("name")), required=True)
    for label, text in (("source", source), ("environment", environment), ("error", error)):
        if text is not None and not isinstance(text, str):
            raise InvalidValueError(f"{where}({label}=): expected text, got {text!r:.60}")
    with recorder.ledger.handler.batch():
        with saying(begun, by):
            fields = run_fields(
                recorder.transform(path, source),
                params=params,
                arguments=arguments,
                name=name,
                environment=None if environment is None else recorder.text(environment),
                initiated_by=None if initiated_by is None else initiated_by.uid,
            )
            run = recorder.begin(named, fields, others).uid
            for uid in read:
                recorder.read(run, uid)
        with saying(begun if ended is None else ended, by):
            for uid in made:
                recorder.made(run, uid)
            if status != STARTED:
                recorder.end(run, status, error)
    return Run.get(run)


def checked_status(where: str, status: object, *, has_end: bool) -> str:
    """Return the status of a run.

    Raises:
        InvalidValueError: It is none, or says of an end that is not there.
    """
    if status is None:
        return FINISHED if has_end else STARTED
    if status not in STATUSES:
        raise InvalidValueError(
            f"{where}: expected a status of {', '.join(STATUSES)}, got {status!r:.60}"
        )
    if has_end != (status in ENDS):
        told = "an end was given" if has_end else "no end was given"
        raise InvalidValueError(f"{where}: the status is {status!r}, and {told}; give both")
    return str(status)


def checked_identity(where: str, identity: object) -> list[Any]:
    """Return an identity: a list of plain data that is not empty.

    Raises:
        InvalidValueError: It is something else.
    """
    try:
        if isinstance(identity, str | bytes) or not isinstance(identity, Sequence) or not identity:
            raise TypeError  # noqa: TRY301 (told below)
        found = list(identity)
        identity_bytes(found)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"{where}(identity=): expected a list of text and whole numbers that names the run for "
            f"good, such as ['slurm', 'cluster', 4711], got {identity!r:.80}"
        ) from error
    return found


def _moment(where: str, name: str, moment: object) -> int:
    if not isinstance(moment, dt.datetime):
        raise InvalidValueError(
            f"{where}({name}=): expected a datetime with a time zone, got {moment!r:.60}"
        )
    micros = to_micros(moment)
    if micros > now_micros():
        raise InvalidValueError(f"{where}({name}=): {moment.isoformat()} is in the future")
    return micros


def _saved(where: str, name: str, artifact: object) -> str:
    if not isinstance(artifact, Artifact) or not artifact.is_saved:
        raise InvalidValueError(
            f"{where}({name}=): expected saved artifacts, got {artifact!r:.80}; save() it first"
        )
    return artifact.uid


def _field(spec: FieldSpec | None) -> FieldSpec:
    assert spec is not None  # noqa: S101 (for the type checker)
    return spec


def _lines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")
