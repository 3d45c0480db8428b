"""The reader of OpenLineage: events in any order, doubled or late, become the steps of their runs.

1. A run is what its id says. It began with the first event that tells of it.
2. Its events only add to it. A run that is said to have completed did; else it failed if that is
   said, else it ended.
3. A dataset in one version is an artifact: the version that the event says, else the run that
   wrote it.
4. An input of no version is the latest version that was told of before, by another run. Where none
   was, it is the dataset in no version that is known.
5. Events that this ledger wrote come back as nothing new.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from ledger.bridges.openlineage.events import ENDS, DatasetSaid, EventSaid, Line, facet, text_of
from ledger.bridges.steps import (
    AnyStep,
    ContentSeen,
    Input,
    LeftOut,
    Ref,
    Reproduced,
    RunEnded,
    RunSeen,
    TransformVersion,
)
from ledger.model.ids import BASE62, digest

TOOL = "openlineage"
OWN = "own:"  # before the digest of an artifact of this ledger
_STEM = 12  # digits of a transform's stem
_LONGEST = 900  # characters of a ref
_VERSION = 64  # characters of a version that people see
_SHA256 = "sha256:"


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a ledger knows already of the datasets and runs of a stream.

    Attributes:
        own: Namespace of this ledger in events that it writes.
        versions: By dataset, when each of its versions was told of, and its ref.
        inputs: By run and dataset, the ref of the version that the run read.
        has: Whether a ref is known.
    """

    own: str
    versions: Mapping[str, list[tuple[dt.datetime, Ref]]] = {}
    inputs: Mapping[tuple[str, str], Ref] = {}
    has: Callable[[Ref], bool] = lambda _: False


class _Seen(msgspec.Struct):
    """What a run says of a dataset."""

    dataset: DatasetSaid
    at: dt.datetime


class _Run(msgspec.Struct):
    """All that the events of a run say."""

    id: str
    job: Ref
    began: dt.datetime
    inputs: dict[tuple[str, str | None], _Seen] = {}
    outputs: dict[tuple[str, str | None], _Seen] = {}
    params: dict[str, Any] = {}
    parent: str | None = None
    ends: dict[str, tuple[dt.datetime, str | None]] = {}


class Reader:
    """The steps of a stream of events."""

    def __init__(self, lines: Iterable[Line], told: Told) -> None:
        self._told = told
        self._runs: dict[str, _Run] = {}
        self._jobs: dict[Ref, tuple[dt.datetime, str, str]] = {}
        self._left: list[LeftOut] = []
        # By ref: when it is first told of, the dataset, its version, and the run that wrote it.
        self._datasets: dict[Ref, tuple[dt.datetime, DatasetSaid, str | None, Ref | None]] = {}
        self._versions: dict[str, list[tuple[dt.datetime, Ref]]] = {}
        # Equal events are equal in any order, and so is what is taken of unequal ones.
        for line in sorted(lines, key=_order):
            self._line(line)

    def _line(self, line: Line) -> None:
        event = line.event
        if event.run is None or event.job is None:
            why = "it tells of a job or a dataset alone, and of no run"
        elif event.job.namespace == self._told.own:
            why = "this ledger wrote it, and knows it"
        else:
            self._event(event)
            return
        self._left.append(LeftOut(table="event", row=f"line {line.number}", why=why))

    def _event(self, event: EventSaid) -> None:
        assert event.run is not None  # noqa: S101 (as above)
        assert event.job is not None  # noqa: S101 (as above)
        at, job = event.event_time, job_ref(event.job.namespace, event.job.name)
        name = str(event.run.run_id)
        run = self._runs.setdefault(name, _Run(id=name, job=job, began=at))
        run.began, run.job = min((run.began, run.job), (at, job))
        first = min(at, self._jobs[job][0]) if job in self._jobs else at
        self._jobs[job] = (first, event.job.namespace, event.job.name)
        for into, datasets in ((run.inputs, event.inputs), (run.outputs, event.outputs)):
            for dataset in datasets or ():
                said = key_of(dataset), version_of(dataset)
                if said not in into or at < into[said].at:
                    into[said] = _Seen(dataset, at)
        given = facet(event.run.facets, "executionParameters", "parameters")
        for it in given if isinstance(given, list) else ():
            if isinstance(it, dict) and isinstance(it.get("key"), str):
                run.params[it["key"]] = it.get("value")
        parent = facet(event.run.facets, "parent", "run")
        if isinstance(parent, dict) and isinstance(parent.get("runId"), str):
            run.parent = parent["runId"].lower()
        kind = (event.event_type or "").upper()
        if kind in ENDS and (kind not in run.ends or at < run.ends[kind][0]):
            run.ends[kind] = at, text_of(event.run.facets, "errorMessage", "message")

    # --- steps --------------------------------------------------------------------------------

    def steps(self) -> Iterator[AnyStep]:
        """Yield the steps of all runs."""
        runs = sorted(self._runs.values(), key=lambda it: (it.began, it.id))
        for run in runs:
            self._versioned(run)
        for ref, (at, dataset, _, _) in self._datasets.items():
            self._versions.setdefault(key_of(dataset), []).append((at, ref))
        links = [step for run in runs for step in self._links(run)]
        for ref, (at, namespace, name) in self._jobs.items():
            yield TransformVersion(
                table="job",
                row=ref,
                at=at,
                ref=ref,
                stem=_stem(namespace, name),
                key=name,
                type="pipeline",
            )
        for run in runs:
            yield self._began(run)
        for ref, (at, dataset, version, writer) in self._datasets.items():
            yield _content(ref, at, dataset, version, writer)
        yield from links
        for run in runs:
            for kind, status in ENDS.items():
                if kind in run.ends:
                    at, error = run.ends[kind]
                    error = error if status == "failed" else None
                    yield RunEnded(
                        table="run", row=run.id, at=at, run=run.id, status=status, error=error
                    )
                    break
        yield from self._left

    def _began(self, run: _Run) -> RunSeen:
        parent = run.parent
        if parent is not None and not self._is_before(parent, run):
            parent = None
        return RunSeen(
            table="run",
            row=run.id,
            at=run.began,
            ref=run.id,
            transform=run.job,
            params=run.params,
            initiated_by=parent,
        )

    def _is_before(self, parent: str, run: _Run) -> bool:
        """Return whether the run that started another one is known when that one begins."""
        if parent in self._runs:
            held = self._runs[parent]
            return (held.began, held.id) < (run.began, run.id)
        return self._told.has(parent)

    def _versioned(self, run: _Run) -> None:
        for (key, version), seen in _said(run.outputs):
            self._see(dataset_ref(key, version or run.id), seen, version, run.id)
        for (key, version), seen in _said(run.inputs):
            if version is not None and self._own(seen.dataset) is None:
                self._see(dataset_ref(key, version), seen, version)

    def _see(self, ref: Ref, seen: _Seen, version: str | None, writer: Ref | None = None) -> None:
        known = self._datasets.get(ref)
        if known is None or seen.at < known[0]:
            self._datasets[ref] = (seen.at, seen.dataset, version, writer)

    def _links(self, run: _Run) -> Iterator[AnyStep]:
        for (key, version), seen in _said(run.inputs):
            if own := self._own(seen.dataset):
                ref = own
            elif version is not None:
                ref = dataset_ref(key, version)
            else:
                ref = self._latest(run, key, seen)
            row = f"{run.id} {ref}"
            yield Input(table="input", row=row, at=seen.at, artifact=ref, run=run.id)
        for (key, version), seen in _said(run.outputs):
            ref = dataset_ref(key, version or run.id)
            row = f"{run.id} {ref}"
            yield Reproduced(table="output", row=row, at=seen.at, artifact=ref, run=run.id)

    def _own(self, dataset: DatasetSaid) -> Ref | None:
        found = own_ref(dataset, self._told.own)
        return found if found is not None and self._told.has(found) else None

    def _latest(self, run: _Run, key: str, seen: _Seen) -> Ref:
        """Return the version of a dataset that a run read."""
        if (run.id, key) in self._told.inputs:
            return self._told.inputs[run.id, key]
        mine = dataset_ref(key, run.id)
        told = [*self._versions.get(key, []), *self._told.versions.get(key, [])]
        before = [it for it in told if it[0] <= seen.at and it[1] != mine]
        if before:
            return max(before)[1]
        ref = dataset_ref(key, None)
        self._see(ref, seen, None)
        return ref


def _order(line: Line) -> tuple[dt.datetime, bytes]:
    return line.event.event_time, msgspec.json.encode(line.event, order="deterministic")


def _said(found: dict[tuple[str, str | None], _Seen]) -> list[tuple[tuple[str, str | None], _Seen]]:
    """Return datasets of a run; one that is said in a version is not said again without."""
    versioned = {key for key, version in found if version is not None}
    return [it for it in found.items() if it[0][1] is not None or it[0][0] not in versioned]


def _content(
    ref: Ref, at: dt.datetime, dataset: DatasetSaid, version: str | None, writer: Ref | None
) -> ContentSeen:
    size = facet(dataset.output_facets, "outputStatistics", "size")
    is_digest = version is not None and version.startswith(_SHA256)
    return ContentSeen(
        table="dataset",
        row=ref,
        at=at,
        ref=ref,
        path=_place(dataset),
        key=key_of(dataset),
        version=None if version is None or is_digest or len(version) > _VERSION else version,
        size=size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None,
        claimed=(("sha256", version),) if version is not None and is_digest else (),
        run=writer,
    )


def _place(dataset: DatasetSaid) -> str | None:
    if "://" in dataset.namespace:
        return key_of(dataset)
    return dataset.name if dataset.namespace == "file" else None


def key_of(dataset: DatasetSaid) -> str:
    """Return the key of a dataset: its namespace and name as one URL or path."""
    return f"{dataset.namespace.rstrip('/')}/{dataset.name.lstrip('/')}"


def version_of(dataset: DatasetSaid) -> str | None:
    """Return the version that an event says of a dataset."""
    return text_of(dataset.facets, "version", "datasetVersion")


def own_ref(dataset: DatasetSaid, own: str) -> Ref | None:
    """Return the ref of an artifact of this ledger; None for another dataset."""
    version = version_of(dataset)
    if version is None or not version.startswith(_SHA256):
        return None
    linked = facet(dataset.facets, "symlinks", "identifiers")
    named = linked if isinstance(linked, list) else []
    spaces = [it.get("namespace") for it in named if isinstance(it, dict)]
    return f"{OWN}{version}" if own in (dataset.namespace, *spaces) else None


def job_ref(namespace: str, name: str) -> Ref:
    """Return the ref of a job."""
    parted = namespace.replace("%", "%25").replace("/", "%2F")
    return _short(f"job:{parted}/{name}")


def dataset_ref(key: str, version: str | None) -> Ref:
    """Return the ref of a dataset in a version."""
    return _short(key if version is None else f"{key}@{version}")


def _short(ref: str) -> Ref:
    if len(ref) <= _LONGEST:
        return ref
    return f"{ref[:_LONGEST]}~{hashlib.sha256(ref.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _stem(namespace: str, name: str) -> str:
    number, digits = int.from_bytes(digest([TOOL, "job", namespace, name])), ""
    for _ in range(_STEM):
        number, rest = divmod(number, len(BASE62))
        digits += BASE62[rest]
    return digits
