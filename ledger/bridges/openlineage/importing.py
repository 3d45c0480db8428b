"""`import_openlineage`: events that other tools wrote are brought into the ledger in use."""

from __future__ import annotations

import datetime as dt
import io
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, cast

from ledger.bridges.imported import Imported
from ledger.bridges.openlineage.events import Line, lines
from ledger.bridges.openlineage.read import OWN, TOOL, Reader, Told, key_of, own_ref, version_of
from ledger.bridges.plan import carry_out
from ledger.bridges.steps import Ref, Source
from ledger.errors import printable
from ledger.input_files import named_path, open_regular, reading
from ledger.places import instance as here
from ledger.places.source import Source as Now
from ledger.registries.aliases import aliased
from ledger.registries.artifact import Artifact
from ledger.registries.run import Run

STDIN = "-"


def import_openlineage(where: str | os.PathLike[str], *, dry_run: bool = False) -> Imported:
    """Bring events of OpenLineage into the ledger in use, and return what was done.

    Events may come in any order, doubled or late. Runs have the times that the events say, and are
    found under their ids there. Datasets are declared: no content is read. The same events again
    add nothing, and further ones add what is new. Events that this ledger wrote add nothing.

    Args:
        where: File with one event in JSON a line; `-` for the standard input.
        dry_run: Whether to count what would be recorded, and to record nothing.

    Raises:
        InvalidValueError: A line is no event; nothing was recorded.
        MissingFileError: There is no such file.
        StorageError: The file cannot be read, or the database refused.
        CommandRejectedError: A run is tracked here.
    """
    ledger = here.current()
    shown = "standard input" if os.fspath(where) == STDIN else printable(where)
    found = _read(where, shown)
    told, own = _told(found, f"metaledger:{ledger.place.configuration.id}")
    source = Source(tool=TOOL, instance="events", where=shown)
    steps = list(Reader(found, told).steps())
    return carry_out(source, steps, declare=True, dry_run=dry_run, known=own)


def _read(where: str | os.PathLike[str], shown: str) -> list[Line]:
    now = dt.datetime.now(dt.UTC)
    if os.fspath(where) == STDIN:
        return list(lines(sys.stdin.buffer, shown, now=now))
    path = named_path(where)
    with open_regular(path) as raw, reading(path):
        stream: Any = io.BufferedReader(cast("Any", raw))
        return list(lines(stream, shown, now=now))


def _told(found: Iterable[Line], own: str) -> tuple[Told, dict[Ref, tuple[str, str]]]:
    """Return what this ledger knows of the runs and datasets of events, and its own artifacts."""
    now = Now(here.current())
    events = [it.event for it in found if it.event.run is not None]
    read = [it for event in events for it in event.inputs or ()]
    unversioned = {key_of(it): None for it in read if version_of(it) is None}
    mine: dict[Ref, tuple[str, str]] = {}
    for ref in {ref: None for it in read if (ref := own_ref(it, own)) is not None}:
        for artifact in Artifact.filter(digest=ref.removeprefix(OWN)):
            mine[ref] = ("artifact", artifact.uid)
    runs = {str(it.run.run_id): None for it in events if it.run is not None}
    told = Told(
        own=own,
        versions={key: _versions(key) for key in unversioned},
        inputs={(run, key): ref for run in runs for key, ref in _inputs(now, run)},
        has=lambda ref: ref in mine or bool(aliased(now, f"{TOOL}:{ref}")),
    )
    return told, mine


def _versions(key: str) -> list[tuple[dt.datetime, Ref]]:
    """Return when each version of a dataset was told of, and its ref."""
    found = Artifact.filter(key=key)
    return [(it.created_at, ref) for it in found for ref in _refs(it) if ref != key]


def _inputs(now: Now, run: str) -> Iterator[tuple[str, Ref]]:
    """Yield key and ref of the datasets that a run is known to have read."""
    for registry, uid in aliased(now, f"{TOOL}:{run}"):
        if registry == "run":
            for it in Run.get(uid).inputs:
                yield from ((it.key, ref) for ref in _refs(it))


def _refs(artifact: Artifact) -> list[Ref]:
    prefix = f"{TOOL}:"
    return [it.removeprefix(prefix) for it in artifact.aliases if it.startswith(prefix)]
