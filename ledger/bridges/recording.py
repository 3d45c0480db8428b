"""Runs that happened elsewhere, recorded with their own times and people.

A bridge records through this module alone: `record_run` for people, `Recorder` for the plan.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from ledger.bridges.recorder import Recorder
from ledger.decisions.runs import ENDS, FINISHED
from ledger.engine.said import saying
from ledger.errors import InvalidValueError, washed
from ledger.model.canonical import identity_bytes
from ledger.model.outside_commands import DeclareArtifact
from ledger.model.parameters import canonical_params
from ledger.model.schema import ARTIFACT, RUN, TRANSFORM, FieldSpec
from ledger.model.times import now_micros, to_micros
from ledger.places import instance
from ledger.places.actor import checked_actor
from ledger.registries.aliases import checked_alias
from ledger.registries.artifact import Artifact
from ledger.registries.checks import check_text, check_version
from ledger.registries.local_content import suffix_of_key
from ledger.registries.run import Run
from ledger.tracking.starting import without_named_secrets

STARTED = "started"
STATUSES = (FINISHED, "failed", "ended", STARTED)


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


def declare(  # noqa: PLR0913 (all that is said of content)
    *,
    namespace: str,
    name: str,
    edition: str | None = None,
    key: str | None = None,
    description: str | None = None,
    version: str | None = None,
    revises: Artifact | None = None,
    size: int | None = None,
    n_files: int | None = None,
    claimed: Iterable[tuple[str, str]] = (),
    where: str | None = None,
    aliases: Sequence[str] = (),
) -> Artifact:
    """Record an artifact that another tool knows, and whose content was never seen here.

    It takes part in lineage, differences, impact and every question. Reading its content says how
    to bring it. Declared again, it is the same artifact. Nothing of it is hashed or made up: what
    is said of its content stands as `claimed`.

    Args:
        namespace: The other tool, or a part of it.
        name: What it is called there.
        edition: What tells its content from other content of that name there.
        key: Its key, a relative path or a URL.
        description: A text for people.
        version: Version within its family, as text.
        revises: The artifact that this one is a new version of.
        size: Bytes of all content, as it is said.
        n_files: Files of a folder, as it is said.
        claimed: Algorithm and value of each hash that its content is said to have.
        where: Path or URL where it is said to lie.
        aliases: Names that it has in other tools.

    Raises:
        InvalidValueError: A text is none, or a number is negative.
        CommandRejectedError: A run is tracked here.
        NameTakenError: An alias leads to another record.
    """
    recorder = Recorder(instance.current())
    recorder.require_no_run("declare")
    if revises is not None and not isinstance(cast("object", revises), Artifact):
        raise InvalidValueError(f"declare(revises=): expected an Artifact, got {revises!r:.80}")
    command = declaration(
        namespace=namespace,
        name=name,
        edition=edition,
        key=key,
        description=description,
        version=version,
        revises=None if revises is None else revises.uid,
        size=size,
        n_files=n_files,
        claimed=claimed,
        where=where,
    )
    others = [checked_alias(it) for it in aliases]
    return Artifact.get(recorder.perform(command, "artifact", aliases=others).uid)


def declaration(  # noqa: PLR0913 (as `declare`)
    *,
    namespace: str,
    name: str,
    edition: str | None = None,
    key: str | None = None,
    description: str | None = None,
    version: str | None = None,
    revises: str | None = None,
    size: int | None = None,
    n_files: int | None = None,
    claimed: Iterable[tuple[str, str]] = (),
    where: str | None = None,
    suffix: str | None = None,
) -> DeclareArtifact:
    """Return the command that declares an artifact; see `declare`.

    Raises:
        InvalidValueError: A text is none, or a number is negative.
    """
    said: dict[str, Any] = {}
    for label, number in (("size", size), ("n_files", n_files)):
        if number is not None:
            said[label] = _count_of(label, number)
    if where is not None:
        said["where"] = washed(_said("where", where, 4_096))
    claims = tuple((_said("claimed", a, 64), _said("claimed", b, 256)) for a, b in claimed)
    if claims:
        said["claimed"] = claims
    if key is not None:
        key = _said("key", key, 1_024)
        said["suffix"] = suffix_of_key(key)
    if suffix is not None:
        said["suffix"] = suffix
    fields: dict[str, Any] = {}
    if description is not None:
        spec = _field(ARTIFACT.field("description"))
        fields["description"] = check_text("declare(description=)", description, spec)
    return DeclareArtifact(
        namespace=_said("namespace", namespace, 1_024),
        name=_said("name", name, 4_096),
        edition=None if edition is None else _said("edition", edition, 1_024),
        key=key,
        version=check_version("declare", version),
        revises=revises,
        said=said,
        fields=fields,
    )


def _count_of(label: str, number: object) -> int:
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise InvalidValueError(f"declare({label}=): expected 0 or more, got {number!r:.60}")
    return int(number)


def _said(label: str, value: object, longest: int) -> str:
    spec = FieldSpec(name=label, max_length=longest)
    return str(check_text(f"declare({label}=)", value, spec, required=True))


@contextmanager
def said_by(at: dt.datetime | None, by: str | None) -> Iterator[None]:
    """Say of what is recorded in the block when it happened, and by whom; None says nothing."""
    actor = None if by is None else checked_actor(by, "actor")
    with saying(None if at is None else to_micros(at), actor):
        yield


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
