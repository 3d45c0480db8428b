"""A tracking store of MLflow, read as it stands: a folder `mlruns`, or a SQLite database.

1. Nothing of MLflow is loaded, and nothing of the store is written.
2. A store is read as experiments and runs, whichever form it has. Names of parameters, tags and
   metrics are those of MLflow; a slash in them is a folder in the folder form.
3. A run that cannot be read refuses the whole store, with its place.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import msgspec

from ledger.bridges.yaml_files import read_yaml
from ledger.errors import InvalidValueError, StorageError, printable
from ledger.input_files import open_regular, read_small

_MOST = 16 << 20  # bytes of one parameter, tag or metric
_HEADER = b"SQLite format 3\x00"
_TRASH = ".trash"
# Numbers that the folder form has for what the database says in words.
_STATUS = {"1": "RUNNING", "2": "SCHEDULED", "3": "FINISHED", "4": "FAILED", "5": "KILLED"}
_WAIT = 30.0  # seconds that MLflow may take to end its write


class Dataset(msgspec.Struct, frozen=True, kw_only=True):
    """A dataset that a run read, as MLflow names it."""

    name: str
    digest: str
    source: str = ""


class StoredRun(msgspec.Struct, kw_only=True):
    """A run of the store.

    Attributes:
        id: Its id in MLflow.
        name: What people call it; "" for none.
        user: Who ran it; "" if nobody says.
        status: `FINISHED`, `FAILED`, `KILLED`, `RUNNING` or `SCHEDULED`.
        start: Milliseconds since 1970, UTC; None if nobody says. Likewise `end`.
        is_deleted: Whether it lies in MLflow's trash.
        artifacts: Folder of its artifacts; None where it is not on this computer.
        params: Text by name; likewise `tags`.
        metrics: Last value by name.
        datasets: Datasets that it read.
    """

    id: str
    name: str = ""
    user: str = ""
    status: str = ""
    start: int | None = None
    end: int | None = None
    is_deleted: bool = False
    artifacts: Path | None = None
    params: dict[str, str] = msgspec.field(default_factory=dict)
    tags: dict[str, str] = msgspec.field(default_factory=dict)
    metrics: dict[str, float] = msgspec.field(default_factory=dict)
    datasets: list[Dataset] = msgspec.field(default_factory=list)


class Experiment(msgspec.Struct, kw_only=True):
    """An experiment and its runs."""

    id: str
    name: str
    runs: list[StoredRun]


def read_store(where: str | os.PathLike[str]) -> list[Experiment]:
    """Return the experiments of a store.

    Args:
        where: Folder of the store, a folder with `mlruns` or `mlflow.db` in it, the database, or
            `sqlite:///PATH`.

    Raises:
        InvalidValueError: There is no store, or a file of it is not as MLflow writes it.
        MissingDependencyError: PyYAML is not installed, and the store is a folder.
        StorageError: The database cannot be read.
    """
    text = os.fspath(where)
    path = Path(text.removeprefix("sqlite:///") if text.startswith("sqlite:///") else text)
    if "://" in text and not text.startswith("sqlite:///"):
        raise InvalidValueError(
            f"mlflow {printable(text.split('@')[-1])}: expected a folder or a SQLite database; "
            "export a server's store to one of them"
        )
    for found in (path, path / "mlruns", path / "mlflow.db"):
        if found.is_file() and _is_database(found):
            return list(_of_database(found.absolute()))
        if found.is_dir() and (folders := _experiments_in(found.absolute())):
            return list(_of_folders(folders))
    raise InvalidValueError(
        f"mlflow {printable(path)}: expected a folder `mlruns` with experiments, or a SQLite "
        "database of MLflow; found neither"
    )


# --- a folder -------------------------------------------------------------------------------------


def _experiments_in(root: Path) -> list[Path]:
    folders = [root, root / _TRASH]
    return sorted(it.parent for folder in folders for it in folder.glob("*/meta.yaml"))


def _of_folders(folders: list[Path]) -> Iterator[Experiment]:
    for folder in folders:
        told = _meta(folder)
        names = sorted(it.parent for it in folder.glob("*/meta.yaml"))
        yield Experiment(
            id=told.get("experiment_id") or folder.name,
            name=told.get("name") or folder.name,
            runs=[
                _run_of(it, is_deleted=folder.parent.name == _TRASH)
                for it in names
                if it.name not in {"datasets", "models", "traces", "tags"}
            ],
        )


def _meta(folder: Path) -> dict[str, str]:
    found = read_yaml(folder / "meta.yaml", extra="mlflow", is_text=True)
    return {name: value for name, value in found.items() if isinstance(value, str)}


def _run_of(folder: Path, *, is_deleted: bool) -> StoredRun:
    told = _meta(folder)
    where = printable(folder)
    status = told.get("status", "")
    return StoredRun(
        id=told.get("run_id") or told.get("run_uuid") or folder.name,
        name=told.get("run_name", ""),
        user=told.get("user_id", ""),
        status=_STATUS.get(status, status),
        start=_millis(told.get("start_time"), where),
        end=_millis(told.get("end_time"), where),
        is_deleted=is_deleted or told.get("lifecycle_stage") == "deleted",
        artifacts=_local(told.get("artifact_uri", ""), folder / "artifacts"),
        params=dict(_texts(folder / "params")),
        tags=dict(_texts(folder / "tags")),
        metrics=dict(_metrics(folder / "metrics")),
        datasets=list(_datasets(folder)),
    )


def _texts(folder: Path) -> Iterator[tuple[str, str]]:
    for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
        if path.is_file():
            text = read_small(path, most=_MOST).decode("utf-8", "replace")
            yield path.relative_to(folder).as_posix(), text


def _metrics(folder: Path) -> Iterator[tuple[str, float]]:
    for name, text in _texts(folder):
        # Each line: milliseconds, value, step; the last that was written is the value.
        last = (text.splitlines() or [""])[-1].split()
        try:
            yield name, float(last[1])
        except (IndexError, ValueError) as error:
            raise InvalidValueError(
                f"mlflow {printable(folder / name)}: expected lines of time, value and step"
            ) from error


def _datasets(folder: Path) -> Iterator[Dataset]:
    for path in sorted(folder.glob("inputs/*/meta.yaml")):
        source = _meta(path.parent).get("source_id", "")
        place = folder.parent / "datasets" / source
        # A name that leads elsewhere is none of the store's.
        if source and "/" not in source and (place / "meta.yaml").is_file():
            told = _meta(place)
            if told.get("name") and told.get("digest"):
                yield Dataset(
                    name=told["name"], digest=told["digest"], source=told.get("source", "")
                )


def _local(uri: str, usual: Path) -> Path | None:
    """Return the folder of a run's artifacts on this computer, if it is there."""
    named = Path(unquote(uri.removeprefix("file://"))) if uri.startswith("file:///") else None
    if named is None and uri and "://" not in uri and not uri.startswith("mlflow-artifacts:"):
        named = Path(uri)
    return next((it for it in (named, usual) if it is not None and it.is_dir()), None)


def _millis(value: Any, where: str) -> int | None:
    if value in (None, "", "null", "None"):
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise InvalidValueError(
            f"mlflow {where}: expected a time in milliseconds, found {value!r:.40}"
        ) from error


# --- a database -----------------------------------------------------------------------------------


def _is_database(path: Path) -> bool:
    with open_regular(path) as raw:
        return raw.read(len(_HEADER)) == _HEADER


def _of_database(path: Path) -> Iterator[Experiment]:
    where = printable(path)
    try:
        uri = f"{path.as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, timeout=_WAIT)) as connection:
            connection.row_factory = sqlite3.Row
            connection.execute("BEGIN")
            tables = {it[0] for it in connection.execute("SELECT name FROM sqlite_master")}
            if not {"experiments", "runs", "params", "tags", "latest_metrics"} <= tables:
                raise InvalidValueError(
                    f"mlflow {where}: expected a database of MLflow, found the tables "
                    f"{', '.join(sorted(map(printable, tables))[:8]) or 'of none'}"
                )
            runs = _runs_of_database(connection, where, has_inputs={"inputs", "datasets"} <= tables)
            for row in connection.execute("SELECT * FROM experiments ORDER BY experiment_id"):
                number = str(row["experiment_id"])
                yield Experiment(id=number, name=row["name"], runs=runs.get(number, []))
    except (sqlite3.Error, IndexError) as error:
        raise StorageError(f"mlflow {where}: {printable(str(error))}") from error


def _runs_of_database(
    connection: sqlite3.Connection, where: str, *, has_inputs: bool
) -> dict[str, list[StoredRun]]:
    found: dict[str, StoredRun] = {}
    by_experiment: dict[str, list[StoredRun]] = {}
    for row in connection.execute("SELECT * FROM runs ORDER BY start_time, run_uuid"):
        run = StoredRun(
            id=row["run_uuid"],
            name=row["name"] or "",
            user=row["user_id"] or "",
            status=row["status"] or "",
            start=_millis(row["start_time"], where),
            end=_millis(row["end_time"], where),
            is_deleted=row["lifecycle_stage"] == "deleted",
            artifacts=_local(row["artifact_uri"] or "", Path(os.devnull)),
        )
        found[run.id] = run
        by_experiment.setdefault(str(row["experiment_id"]), []).append(run)
    for table, name in (("params", "params"), ("tags", "tags")):
        for row in connection.execute(f"SELECT run_uuid, key, value FROM {table}"):  # noqa: S608
            if row["run_uuid"] in found:
                getattr(found[row["run_uuid"]], name)[row["key"]] = str(row["value"])
    for row in connection.execute("SELECT run_uuid, key, value, is_nan FROM latest_metrics"):
        if row["run_uuid"] in found:
            value = float("nan") if row["is_nan"] else float(row["value"])
            found[row["run_uuid"]].metrics[row["key"]] = value
    if has_inputs:
        statement = (
            "SELECT i.destination_id, d.name, d.digest, d.dataset_source FROM inputs AS i "
            "JOIN datasets AS d ON d.dataset_uuid = i.source_id "
            "WHERE i.destination_type = 'RUN' ORDER BY d.name, d.digest"
        )
        for row in connection.execute(statement):
            if row["destination_id"] in found:
                found[row["destination_id"]].datasets.append(
                    Dataset(name=row["name"], digest=row["digest"], source=row["dataset_source"])
                )
    return by_experiment
