"""The runs of a ledger as events of OpenLineage: a fold over the log, one JSON object a line.

1. A run is told by its START and by its end, which carries all inputs and outputs: COMPLETE where
   it finished, FAIL where it failed, ABORT where nobody says how it ended or where it was
   abandoned. A run that was continued is RUNNING again. What it read or made after its end
   repeats the end.
2. The id of a run is made of ledger and uid: sent again, it is the same run.
3. Content that lies where people keep it is named by its path or URL, other content by its key.
   Its digest is the version of the dataset; its key is a link of it.
4. A run that came in as OpenLineage is not told again: whoever told of it knows it. Of what was
   erased nothing is told.
5. The same log gives the same bytes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote
from uuid import UUID

import msgspec

from ledger import files
from ledger.bridges.folders import free_path
from ledger.bridges.openlineage.read import TOOL
from ledger.model.events import (
    AliasAdded,
    ArtifactDeclared,
    ArtifactKeyed,
    ArtifactRegistered,
    ArtifactRelocated,
    ArtifactReproduced,
    InputRecorded,
    LedgerEvent,
    RecordChanged,
    RecordedEvent,
    RunAbandoned,
    RunFinished,
    RunResumed,
    RunStarted,
    TransformRegistered,
)
from ledger.model.times import to_datetime
from ledger.past.points import resolve
from ledger.past.tables import json_text
from ledger.places import instance
from ledger.places.instance import Ledger

PRODUCER = "https://metaledger.local/"
_SPEC = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_FACETS = "https://openlineage.io/spec/facets/"
# The end of a run, by its status; where nobody says how it ended, COMPLETE would claim too much.
_ENDS = {"finished": "COMPLETE", "failed": "FAIL"}
_ALIAS = f"{TOOL}:"
_JOB = "job:"

Json = dict[str, Any]


class ExportedEvents(msgspec.Struct, frozen=True, kw_only=True):
    """What an export of events holds.

    Attributes:
        position: As of which position of the log.
        events: How many events it has.
        runs: Of how many runs they tell.
    """

    position: int
    events: int
    runs: int


def export_openlineage(where: str | os.PathLike[str], *, since: Any = 0) -> ExportedEvents:
    """Write the runs of the ledger in use into a new file, as events of OpenLineage.

    Each line is an event in JSON. The same ledger at the same position gives the same bytes.

    Args:
        where: Path of the file, which must not exist.
        since: A point: only what was recorded after it is told; by default everything.

    Raises:
        InvalidValueError: The point is in the future, or the path is a URL.
        NotFoundError: No tag and no run has the name of the point.
        PathTakenError: Something is at the path already; it is untouched.
        MissingFileError: The folder above does not exist.
        StorageError: The disk or the database refused.
    """
    ledger = instance.current()
    path = free_path(where, kind="file")
    after = resolve(ledger, since).position
    with ledger.reading() as session:
        head = session.log.head()
        told = Teller(ledger).tell(session.log.read(until=head))
    told = [it for it in told if it.position > after]
    data = b"".join(msgspec.json.encode(it.event) + b"\n" for it in told)
    files.write_durably(path, data, replace=False)
    return ExportedEvents(position=head, events=len(told), runs=len({it.run for it in told}))


class Message(msgspec.Struct, frozen=True):
    """An event of OpenLineage, the run that it tells of, and the position that it comes from."""

    position: int
    run: str
    event: Json


class _Dataset(msgspec.Struct):
    """What is known of an artifact."""

    uid: str
    key: str | None
    version: str | None = None
    size: int | None = None
    n_files: int | None = None
    place: str | None = None
    said: tuple[str, str] | None = None


class _Run(msgspec.Struct):
    """What is known of a run."""

    uid: str
    started: RunStarted
    inputs: dict[str, None] = {}
    outputs: dict[str, None] = {}
    end: LedgerEvent | None = None
    later: int = 0


class Teller:
    """Folds the log of a ledger into events of OpenLineage."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._space = f"metaledger:{ledger.place.configuration.id}"
        self._runs: dict[str, _Run] = {}
        self._datasets: dict[str, _Dataset] = {}
        self._jobs: dict[str, tuple[str, str, str]] = {}
        self._elsewhere: dict[str, str] = {}
        self._told: list[Message] = []

    def tell(self, events: Iterable[RecordedEvent]) -> list[Message]:
        """Return the events of all runs, in the order of the log."""
        for recorded in events:
            if not recorded.is_erased:
                self._fold(recorded.event, recorded.position)
        for run in self._runs.values():
            if run.later and run.end is not None:
                self._end(run, run.end, run.later)
        told = [it for it in self._told if it.run not in self._elsewhere]
        return sorted(told, key=lambda it: it.position)

    # --- the fold -----------------------------------------------------------------------------

    def _fold(self, event: LedgerEvent, position: int) -> None:
        match event:
            case TransformRegistered():
                name = event.key or event.name
                self._jobs[event.uid] = self._space, name, event.kind
            case ArtifactRegistered() | ArtifactDeclared():
                self._datasets[event.uid] = self._dataset(event)
                self._link(event.run, event.uid, position, is_output=True)
            case ArtifactReproduced():
                self._link(event.run, event.uid, position, is_output=True)
            case InputRecorded():
                self._link(event.uid, event.artifact, position, is_output=False)
            case AliasAdded() if event.alias.startswith(_ALIAS):
                self._alias(event, event.alias.removeprefix(_ALIAS))
            case RunStarted() | RunResumed() | RunFinished() | RunAbandoned():
                self._step(event, position)
            case _:
                self._move(event)

    def _move(self, event: LedgerEvent) -> None:
        """Follow an artifact to its new key or place."""
        match event:
            case ArtifactKeyed(uid=uid, key=key) if uid in self._datasets:
                self._datasets[uid].key = key
            case ArtifactRelocated(uid=uid) if uid in self._datasets:
                self._datasets[uid].place = self._place(event)
            case RecordChanged(uid=uid, fields={"key": key}) if uid in self._datasets:
                self._datasets[uid].key = key
            case _:
                pass

    def _step(
        self, event: RunStarted | RunResumed | RunFinished | RunAbandoned, position: int
    ) -> None:
        if isinstance(event, RunStarted):
            self._runs[event.uid] = _Run(event.uid, event)
        run = self._runs.get(event.uid)
        if run is None:
            return
        run.later = 0
        match event:
            case RunStarted():
                self._say(run, "START", event, position)
            case RunResumed():
                run.end = None
                self._say(run, "RUNNING", event, position)
            case RunFinished() | RunAbandoned():
                run.end = event
                self._end(run, event, position)

    def _end(self, run: _Run, event: LedgerEvent, position: int) -> None:
        kind, error = "ABORT", None
        if isinstance(event, RunFinished):
            kind, error = _ENDS.get(event.status, kind), event.error
        self._say(run, kind, event, position, error=error)

    def _link(self, uid: str | None, artifact: str, position: int, *, is_output: bool) -> None:
        run = None if uid is None else self._runs.get(uid)
        if run is None:
            return
        held = run.outputs if is_output else run.inputs
        if artifact not in held:
            held[artifact] = None
            run.later = position if run.end is not None else 0

    def _alias(self, event: AliasAdded, name: str) -> None:
        """Take the words of OpenLineage for what came in as such."""
        if event.registry == "run":
            self._elsewhere[event.uid] = name
        elif event.registry == "transform" and name.startswith(_JOB):
            space, _, job = name.removeprefix(_JOB).partition("/")
            _, _, kind = self._jobs[event.uid]
            self._jobs[event.uid] = unquote(space), job, kind
        elif event.registry == "artifact" and event.uid in self._datasets:
            held = self._datasets[event.uid]
            if held.key is not None and name.startswith(held.key):
                held.said = _parted(held.key)
                held.version = held.version or name.removeprefix(held.key).removeprefix("@") or None

    # --- what is said -------------------------------------------------------------------------

    def _say(
        self,
        run: _Run,
        kind: str,
        event: LedgerEvent,
        position: int,
        *,
        error: str | None = None,
    ) -> None:
        facets = {"metaledger": _facet(None, ledger=self._space, run=run.uid, position=position)}
        if params := run.started.params:
            given = [{"key": key, "name": key, "value": _text(it)} for key, it in params.items()]
            facets["executionParameters"] = _facet(
                "1-0-0/ExecutionParametersRunFacet", parameters=given
            )
        if run.started.initiated_by is not None:
            facets |= self._parent(run.started.initiated_by)
        if error is not None:
            facets["errorMessage"] = _facet(
                "1-0-1/ErrorMessageRunFacet", message=error, programmingLanguage="Python"
            )
        space, name, of = self._job(run)
        job_type = _facet(
            "2-0-4/JobTypeJobFacet",
            processingType="BATCH",
            integration="METALEDGER",
            jobType=of.upper(),
        )
        ended = kind not in ("START", "RUNNING")
        said = {
            "eventType": kind,
            "eventTime": _moment(event.at),
            "producer": PRODUCER,
            "schemaURL": _SPEC,
            "run": {"runId": self._id(run.uid), "facets": facets},
            "job": {"namespace": space, "name": name, "facets": {"jobType": job_type}},
            "inputs": list(self._said(run.inputs, is_output=False)) if ended else [],
            "outputs": list(self._said(run.outputs, is_output=True)) if ended else [],
        }
        self._told.append(Message(position, run.uid, said))

    def _job(self, run: _Run) -> tuple[str, str, str]:
        uid = run.started.transform
        return self._jobs.get(uid, (self._space, uid, "script"))

    def _id(self, run: str) -> str:
        return self._elsewhere.get(run) or run_id(self._space, run)

    def _parent(self, uid: str) -> Json:
        if uid not in self._runs:
            return {}
        space, name, _ = self._job(self._runs[uid])
        run, job = {"runId": self._id(uid)}, {"namespace": space, "name": name}
        return {"parent": _facet("1-2-0/ParentRunFacet", run=run, job=job)}

    def _said(self, uids: Iterable[str], *, is_output: bool) -> Iterator[Json]:
        for uid in uids:
            held = self._datasets.get(uid)
            if held is not None:
                yield self._told_of(held, is_output=is_output)

    def _told_of(self, held: _Dataset, *, is_output: bool) -> Json:
        own = self._space, held.key or held.uid
        space, name = held.said or (own if held.place is None else _parted(held.place) or own)
        facets: Json = {}
        if (space, name) != own:
            link = {"namespace": own[0], "name": own[1], "type": "FILE"}
            facets["symlinks"] = _facet("1-0-1/SymlinksDatasetFacet", identifiers=[link])
        if held.version is not None:
            facets["version"] = _facet(
                "1-0-1/DatasetVersionDatasetFacet", datasetVersion=held.version
            )
        said: Json = {"namespace": space, "name": name, "facets": facets}
        if is_output and held.size is not None:
            counted = {"size": held.size, "fileCount": held.n_files or 1}
            said["outputFacets"] = {
                "outputStatistics": _facet("1-0-2/OutputStatisticsOutputDatasetFacet", **counted)
            }
        return said

    def _dataset(self, event: ArtifactRegistered | ArtifactDeclared) -> _Dataset:
        found = _Dataset(event.uid, event.key, size=event.size, n_files=event.n_files)
        if isinstance(event, ArtifactRegistered):
            found.version, found.place = event.digest, self._place(event)
        else:
            claims: Mapping[str, str] = dict(event.claimed)
            digits = claims.get("sha256", "").removeprefix("sha256:")
            found.version = f"sha256:{digits}" if digits else None
            found.place = event.where
        return found

    def _place(self, event: ArtifactRegistered | ArtifactRelocated) -> str | None:
        """Return where content lies that people keep in a place of theirs."""
        if not event.in_place:
            return None
        root = self._ledger.place.resolved(event.storage)
        if "://" in root:
            return f"{root.rstrip('/')}/{event.storage_key}"
        return str(Path(root, event.storage_key))


def run_id(space: str, run: str) -> str:
    """Return the id of a run in events: a UUID of version 8, the same each time."""
    raw = bytearray(hashlib.sha256(f"{space} {run}".encode()).digest()[:16])
    raw[6] = raw[6] & 0x0F | 0x80
    raw[8] = raw[8] & 0x3F | 0x80
    return str(UUID(bytes=bytes(raw)))


def _parted(place: str) -> tuple[str, str] | None:
    """Return namespace and name of a path or URL, as OpenLineage parts them; None for others."""
    if place.startswith("/"):
        return "file", place
    if place.startswith("file//"):
        return "file", place.removeprefix("file/")
    scheme, colon, rest = place.partition("://")
    authority, slash, name = rest.partition("/")
    if not (colon and authority and slash and name):
        return None
    return f"{scheme}://{authority}", name


def _facet(schema: str | None, **said: Any) -> Json:
    if schema is None:
        return {"_producer": PRODUCER, "_schemaURL": f"{PRODUCER}openlineage.json", **said}
    name = schema.rpartition("/")[2]
    url = f"{_FACETS}{schema}.json#/$defs/{name}"
    return {"_producer": PRODUCER, "_schemaURL": url, **said}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else str(json_text(value))


def _moment(micros: int) -> str:
    return to_datetime(micros).isoformat(timespec="microseconds").replace("+00:00", "Z")
