"""Where a person stands: the last run, what came after it, and files here that differ from it.

Nothing is run and nothing is recorded. The rules:

1. A file is compared with what its key points at, where its key is its path below the ledger's
   folder; content that was left in place is compared where it lies. Keys that are no such path say
   nothing about a file.
2. A script is compared with the latest source that was tracked under its key.
3. A result is outdated where the last run that made it used a script or an input that changed on
   the disk, or an input whose key points at other content by now; or where a result that is
   outdated itself was among its inputs. A file that is older than that run was not written by it:
   it was data, and is never outdated.
4. Only what lies in the working folder and below is told.
"""

from __future__ import annotations

import datetime as dt
import os
from collections import Counter
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from ledger.content.hashing import hash_path
from ledger.display.tabular import Listing, attributes
from ledger.errors import LedgerError, MissingFileError
from ledger.model.events import tag_of
from ledger.model.times import to_datetime
from ledger.past.points import resolve
from ledger.places import instance
from ledger.places.source import Source
from ledger.tracking.source_code import hash_of_source
from ledger.tracking.starting import root_of
from projections.select import Order, Select, Test
from projections.store import ReadModels

_PORTION = 500  # records that are asked for at once


class FileState(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is not as the ledger knows it.

    Attributes:
        state: "changed", "missing", "unreadable" or "outdated".
        key: Its key, or its path where it has none.
        registry: "artifact", or "transform" for a script.
        uid: The record that the ledger knows.
        reason: What is other, in a few words.
    """

    state: str
    key: str
    registry: str
    uid: str
    reason: str


class FileStates(Listing[FileState]):
    """Files that are not as the ledger knows them."""

    _title = "Files"
    _columns = attributes("state", "key", "registry", "uid", "reason")


class RunState(msgspec.Struct, frozen=True, kw_only=True):
    """A run at a glance.

    Attributes:
        uid: Its uid.
        script: Key or name of its transform.
        status: Its status.
        started_at: When it began.
        finished_at: When it ended; None if it has not.
        created_by: Who began it.
    """

    uid: str
    script: str
    status: str
    started_at: dt.datetime
    finished_at: dt.datetime | None
    created_by: str


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """Where a person stands in a ledger.

    Attributes:
        ledger: Name of the ledger.
        root: Its folder, or where it is.
        folder: The working folder; only files in it and below are compared.
        head: Position of the last event.
        last_run: The run that began last; None if there is none.
        since: Numbers of events after the last one of that run, by type.
        open_runs: Runs that began and have no end: at work, or killed.
        compared: How many files were compared.
        files: Those that are not as the ledger knows them.
    """

    ledger: str
    root: str
    folder: str
    head: int
    last_run: RunState | None
    since: dict[str, int]
    open_runs: tuple[RunState, ...]
    compared: int
    files: tuple[FileState, ...]

    def _repr_html_(self) -> str:
        return FileStates(self.files)._repr_html_()


def status() -> Status:
    """Return where you stand: the last run, what came after it, and which files here changed.

    Files whose key is their path below the ledger's folder (below the working folder, for a ledger
    that a URL names) are compared with what the key points at; those that are unchanged since they
    were hashed are not read again.

    Raises:
        MissingFileError: The working folder is gone.
    """
    ledger = instance.current()
    source = Source(ledger)
    try:
        folder = Path.cwd()
    except FileNotFoundError as error:
        raise MissingFileError(
            "status: the working folder is gone; change to another one"
        ) from error
    last = _runs(source, limit=1)
    comparison = _Comparison(source, folder)
    comparison.compare()
    return Status(
        ledger=ledger.place.configuration.name,
        root=str(ledger.place.root),
        folder=str(folder),
        head=ledger.head(),
        last_run=last[0] if last else None,
        since=_since(source, last[0].uid) if last else {},
        open_runs=tuple(_runs(source, where=Test(("status",), "exact", "started"))),
        compared=comparison.compared,
        files=tuple(comparison.files),
    )


def _runs(source: Source, *, where: Any = None, limit: int | None = None) -> list[RunState]:
    """Return runs, the latest first."""
    given = {} if where is None else {"where": where}
    select = Select(registry="run", order=(Order("id", descending=True),), limit=limit, **given)
    rows = source.ask(lambda models: models.select(select))
    scripts = _rows(source, "transform", {row["transform"] for row in rows})
    return [
        RunState(
            uid=row["uid"],
            script=_called(scripts.get(row["transform"])),
            status=row["status"],
            started_at=to_datetime(row["started_at"]),
            finished_at=None if row["finished_at"] is None else to_datetime(row["finished_at"]),
            created_by=row["created_by"],
        )
        for row in rows
    ]


def _called(transform: dict[str, Any] | None) -> str:
    return "" if transform is None else transform["key"] or transform["name"] or transform["uid"]


def _since(source: Source, run: str) -> dict[str, int]:
    after = resolve(source.ledger, run).position
    with source.ledger.reading() as session:
        counts = Counter(
            tag_of(recorded.event).removesuffix(".v1") for recorded in session.log.read(after=after)
        )
    return dict(counts.most_common())


def _rows(source: Source, registry: str, uids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return the rows of records by uid."""
    wanted = sorted({uid for uid in uids if uid})
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(wanted), _PORTION):
        where = Test(("uid",), "in", tuple(wanted[start : start + _PORTION]))
        select = Select(registry=registry, where=where, trash="with")
        found |= {row["uid"]: row for row in source.ask(partial(_selected, select))}
    return found


def _selected(select: Select, models: ReadModels) -> list[dict[str, Any]]:
    return models.select(select)


def _linked(field: str, uids: list[str], models: ReadModels) -> list[dict[str, Any]]:
    return models.links([field], uids, onward=True)


class _Comparison:
    """The files of a folder against the ledger."""

    def __init__(self, source: Source, folder: Path) -> None:
        self._source = source
        # A ledger that a URL names has no folder: keys are paths below the working folder then.
        self._root = Path(os.path.realpath(root_of(source.ledger) or folder))
        self._folder = Path(os.path.realpath(folder))
        self._keys = {row["key"]: row["uid"] for row in self._find("artifact_key")}
        self._pointed_at = set(self._keys.values())
        self._reasons: dict[
            str, str
        ] = {}  # uid of a record: what is other, for what was made of it
        self.files: list[FileState] = []
        self.compared = 0

    def compare(self) -> None:
        """Compare all files."""
        keys = {key: uid for key, uid in self._keys.items() if self._is_here(self._root / key)}
        artifacts = _rows(self._source, "artifact", keys.values())
        in_place = self._in_place()
        for key, uid in sorted(keys.items()):
            row = artifacts.get(uid)
            if row is None or uid in in_place or row["is_declared"]:
                continue
            path = self._root / key
            if os.path.lexists(path):
                self._compare_file(key, row, path)
        for _, (row, path) in sorted(in_place.items()):
            self._compare_file(row["key"] or str(path), row, path)
        self._compare_scripts()
        self._follow({key: uid for key, uid in keys.items() if uid in artifacts})

    def _find(self, table: str, **equals: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._source.ask(lambda models: models.find(table, **equals))
        return found

    def _is_here(self, path: Path) -> bool:
        normal = Path(os.path.normpath(path))
        return normal == self._folder or self._folder in normal.parents

    def _in_place(self) -> dict[str, tuple[dict[str, Any], Path]]:
        """Return the artifacts whose content was left where it is, below the folder."""
        select = Select(registry="artifact", where=Test(("in_place",), "exact", value=True))
        rows = self._source.ask(lambda models: models.select(select))
        found = {}
        for row in rows:
            path = self._source.ledger.content(row).path
            if isinstance(path, Path) and self._is_here(Path(os.path.realpath(path))):
                found[row["uid"]] = (row, path)
        return found

    def _compare_file(self, key: str, row: dict[str, Any], path: Path) -> None:
        self.compared += 1
        try:
            content = hash_path(path, cache=self._source.ledger.hash_cache)
        except MissingFileError:
            self._tell("missing", key, "artifact", row["uid"], "nothing is there any more")
        except LedgerError as error:
            self._tell("unreadable", key, "artifact", row["uid"], str(error))
        else:
            if content.digest != row["digest"]:
                now = f"it has other content now, {content.size:,} bytes"
                self._tell("changed", key, "artifact", row["uid"], now)

    def _compare_scripts(self) -> None:
        where = Test(("key",), "isnull", value=False)
        select = Select(registry="transform", where=where, order=(Order("id"),))
        rows = self._source.ask(lambda models: models.select(select))
        latest = {row["key"]: row for row in rows if row["source_hash"] is not None}
        for key, row in sorted(latest.items()):
            path = self._root / key
            if not self._is_here(path) or not path.is_file():
                continue
            self.compared += 1
            found = hash_of_source(path, is_notebook=row["kind"] == "notebook")
            if found is not None and found != row["source_hash"]:
                self._tell("changed", key, "transform", row["uid"], "edited since it last ran")

    def _follow(self, keys: dict[str, str]) -> None:
        """Tell the results that the last run would make anew from what changed."""
        made = self._links("artifact.runs", keys.values())
        runs = _rows(self._source, "run", (run for found in made.values() for run in found))
        last = {
            uid: max((runs[it] for it in found if it in runs), key=_created, default=None)
            for uid, found in made.items()
        }
        inputs = self._links("run.inputs", runs)
        known = _rows(self._source, "artifact", (it for found in inputs.values() for it in found))
        names = {uid: key for key, uid in keys.items()}
        told = {state.uid for state in self.files}
        is_growing = True
        while is_growing:
            is_growing = False
            for uid, run in last.items():
                if run is None or uid in self._reasons or self._is_older(names[uid], run):
                    continue
                used = [run["transform"], *inputs.get(run["uid"], ())]
                reason = next(filter(None, (self._other(it, known.get(it)) for it in used)), None)
                if reason is None:
                    continue
                is_growing = True
                self._reasons[uid] = f"'{names[uid]}' is outdated"
                if uid not in told:
                    self._add("outdated", names[uid], "artifact", uid, reason)

    def _is_older(self, key: str, run: dict[str, Any]) -> bool:
        """Return whether the file of a key lay there, as it is, before a run began."""
        try:
            written = (self._root / key).stat().st_mtime_ns // 1_000
        except OSError:
            return False
        return bool(written < run["started_at"])

    def _other(self, uid: str, row: dict[str, Any] | None) -> str | None:
        """Return what is other about a script or an input by now; None if nothing is."""
        if uid in self._reasons or row is None or row["key"] is None:
            return self._reasons.get(uid)
        is_moved = row["key"] in self._keys and uid not in self._pointed_at
        return f"'{row['key']}' has newer content" if is_moved else None

    def _links(self, field: str, uids: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        wanted = sorted(set(uids))
        for start in range(0, len(wanted), _PORTION):
            some = wanted[start : start + _PORTION]
            rows = self._source.ask(partial(_linked, field, some))
            for row in rows:
                found.setdefault(row["source"], []).append(row["target"])
        return found

    def _tell(self, state: str, key: str, registry: str, uid: str, reason: str) -> None:
        self._reasons[uid] = f"'{key}' {_VERBS[state]}"
        self._add(state, key, registry, uid, reason)

    def _add(self, state: str, key: str, registry: str, uid: str, reason: str) -> None:
        self.files.append(
            FileState(state=state, key=key, registry=registry, uid=uid, reason=reason)
        )


_VERBS = {"changed": "changed", "missing": "is gone", "unreadable": "cannot be read"}


def _created(run: dict[str, Any]) -> int:
    return int(run["created_position"])


__all__ = ["FileState", "RunState", "Status", "status"]
