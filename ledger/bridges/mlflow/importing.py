"""`import_mlflow`: runs of a tracking store of MLflow are brought into the ledger in use.

1. An experiment and the script of its runs are a transform. A run keeps its id as an alias, its
   dates, user, parameters (texts, as in MLflow) and status.
2. The last value of each metric, and each tag of a person's own, are features of the run. A name is
   made one of letters, digits and `_`: `val/acc` becomes `val_acc`.
3. Artifacts are read and hashed where they lie. A dataset that a run read is declared, as MLflow
   keeps its digest alone.
4. A run is known by its id, whether it comes from a folder or from a database.
"""

from __future__ import annotations

import datetime as dt
import math
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ledger.bridges.imported import Imported
from ledger.bridges.mlflow.store import Experiment, StoredRun, read_store
from ledger.bridges.plan import carry_out
from ledger.bridges.steps import (
    AnyStep,
    ContentSeen,
    FeatureSeen,
    FieldSeen,
    Input,
    LeftOut,
    RunEnded,
    RunSeen,
    Source,
    TransformVersion,
    Trash,
    ValuesSeen,
)
from ledger.errors import InvalidValueError, printable
from ledger.model.ids import uid

_STEM = 12  # digits of a transform's stem
_ENDS = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "ended"}
_PARENT, _SCRIPT, _USER, _NAME = (
    "mlflow.parentRunId",
    "mlflow.source.name",
    "mlflow.user",
    "mlflow.runName",
)


def import_mlflow(
    where: str | os.PathLike[str], *, dry_run: bool = False, declare: bool = False
) -> Imported:
    """Bring a tracking store of MLflow into the ledger in use, and return what was done.

    The store is only read, and artifacts stay where they lie. The same store again adds what is
    new in it.

    Args:
        where: Folder `mlruns` or the folder around it, the SQLite database, or `sqlite:///PATH`.
        dry_run: Whether to count what would be recorded, and to record nothing.
        declare: Whether to declare all contents, and to read none.

    Raises:
        InvalidValueError: There is no store, or a file of it is not as MLflow writes it; nothing
            was recorded.
        MissingDependencyError: PyYAML is not installed, and the store is a folder.
        StorageError: The database cannot be read, or that of the ledger refused.
        CommandRejectedError: A run is tracked here.
    """
    experiments = read_store(where)
    source = Source(tool="mlflow", instance="mlflow", where=printable(os.fspath(where)))
    steps = list(Reader(experiments).steps())
    notes = ["MLflow keeps the history of metrics; their last values came in"]
    return carry_out(source, steps, declare=declare, dry_run=dry_run, notes=notes)


class Reader:
    """Turns experiments into steps."""

    def __init__(self, experiments: list[Experiment]) -> None:
        self._experiments = experiments
        self._starts = {run.id: _start(run) for it in experiments for run in it.runs}
        self._transforms: set[str] = set()
        self._datasets: set[str] = set()
        # Name of a feature here: the name and the type that it stands for.
        self._features: dict[str, tuple[str, str]] = {}
        self._defined: set[str] = set()

    def steps(self) -> Iterator[AnyStep]:
        """Yield what happened, run by run in the order in which they began."""
        for experiment in self._experiments:
            names: set[str] = set()
            for run in sorted(experiment.runs, key=lambda it: (_start(it), it.id)):
                yield from self._run(experiment, run, names)

    def _run(self, experiment: Experiment, run: StoredRun, names: set[str]) -> Iterator[AnyStep]:
        if run.start is None and run.end is None:
            yield LeftOut(table="run", row=run.id, why="it never began")
            return
        told: dict[str, Any] = {
            "table": "run",
            "row": run.id,
            "by": run.tags.get(_USER) or run.user or None,
        }
        begun = _start(run)
        ended = max(begun, _time(run.end, run.id)) if run.end is not None else begun
        script = run.tags.get(_SCRIPT) or experiment.name
        transform = f"experiment/{experiment.id}/{experiment.name}/{script}"
        if transform not in self._transforms:
            self._transforms.add(transform)
            yield TransformVersion(
                table="experiment",
                row=transform,
                at=begun,
                by=told["by"],
                ref=transform,
                stem=uid(["mlflow", experiment.id, experiment.name, script], _STEM),
                key=f"{experiment.name}/{script}",
                name=script.rsplit("/", 1)[-1],
            )
        called = run.tags.get(_NAME) or run.name
        yield RunSeen(
            **told,
            at=begun,
            ref=run.id,
            transform=transform,
            name=called or None,
            params=dict(sorted(run.params.items())),
            initiated_by=self._parent(run),
        )
        yield from self._inputs(run, told, begun)
        # A second run of one name in an experiment gets a part of its id, so that keys stay apart.
        folder = called or run.id
        folder = f"{folder}-{run.id[:8]}" if folder in names else folder
        names.add(folder)
        yield from self._artifacts(run, f"mlflow/{experiment.name}/{folder}", told, ended)
        yield from self._values(run, told, begun, ended)
        if run.status in _ENDS:
            yield RunEnded(**told, at=ended, run=run.id, status=_ENDS[run.status])
        if run.is_deleted:
            yield Trash(**told, ref=run.id)

    def _parent(self, run: StoredRun) -> str | None:
        parent = run.tags.get(_PARENT)
        start = self._starts.get(parent or "")
        # One that began later, or is not there, is none.
        is_before = start is not None and (start, parent or "") < (_start(run), run.id)
        return parent if is_before else None

    def _inputs(
        self, run: StoredRun, told: dict[str, Any], begun: dt.datetime
    ) -> Iterator[AnyStep]:
        for dataset in run.datasets:
            ref = f"dataset/{dataset.name}@{dataset.digest}"
            if ref not in self._datasets:
                self._datasets.add(ref)
                yield ContentSeen(
                    table="dataset",
                    row=ref,
                    at=begun,
                    by=told["by"],
                    ref=ref,
                    key=f"mlflow/datasets/{dataset.name}",
                    claimed=(("mlflow-digest", dataset.digest),),
                )
            yield Input(**told, at=begun, artifact=ref, run=run.id)

    def _artifacts(
        self, run: StoredRun, folder: str, told: dict[str, Any], ended: dt.datetime
    ) -> Iterator[AnyStep]:
        for path in _files(run.artifacts):
            assert run.artifacts is not None  # noqa: S101 (it has files)
            inner = path.relative_to(run.artifacts).as_posix()
            yield ContentSeen(
                table="artifact",
                row=f"{run.id}/{inner}",
                at=ended,
                by=told["by"],
                ref=f"{run.id}/{inner}",
                path=str(path),
                storage=str(run.artifacts),
                key=f"{folder}/{inner}",
                suffix=path.suffix,
                run=run.id,
            )

    def _values(
        self, run: StoredRun, told: dict[str, Any], begun: dt.datetime, ended: dt.datetime
    ) -> Iterator[AnyStep]:
        values: dict[str, Any] = {}
        own = {name: text for name, text in run.tags.items() if not name.startswith("mlflow.")}
        for found, kind in ((run.metrics, "float"), (own, "str")):
            for name, value in sorted(found.items()):
                if isinstance(value, float) and not math.isfinite(value):
                    yield LeftOut(
                        table="metric", row=f"{run.id}/{name}", why="a value that is no number"
                    )
                    continue
                feature = self._feature(name, kind)
                values[feature] = value
                if feature not in self._defined:
                    self._defined.add(feature)
                    yield FeatureSeen(
                        table="feature",
                        row=feature,
                        at=begun,
                        by=told["by"],
                        ref=f"feature/{feature}",
                        feature=FieldSeen(name=feature, type=kind),
                    )
        if values:
            yield ValuesSeen(**told, at=ended, ref=run.id, values=values)

    def _feature(self, name: str, kind: str) -> str:
        """Return the name of the feature for a metric or a tag: one for each name and type."""
        plain = re.sub(r"\W", "_", name, flags=re.ASCII).strip("_") or "unnamed"
        plain = plain if plain[0].isalpha() else f"n_{plain}"
        for number in range(1, 1_000):
            tried = plain if number == 1 else f"{plain}_{number}"
            if self._features.setdefault(tried, (name, kind)) == (name, kind):
                return tried
        raise InvalidValueError(f"mlflow: more than 1,000 names are like '{printable(name)}'")


def _files(folder: Path | None) -> Iterator[Path]:
    """Yield the files of a run; a link that leads out of its folder is none of them."""
    if folder is None:
        return
    root = folder.resolve()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.resolve().is_relative_to(root):
            yield path


def _start(run: StoredRun) -> dt.datetime:
    first = run.start if run.start is not None else run.end
    return _time(first or 0, run.id)


def _time(millis: int, where: str) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(millis / 1_000, dt.UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise InvalidValueError(
            f"mlflow run {printable(where)}: {millis} is no time in milliseconds"
        ) from error
