"""Stores of MLflow brought in: runs with their dates and people, from a folder or a database."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.bridges import import_mlflow
from ledger.errors import InvalidValueError, MissingDependencyError
from tests.e2e.command import metaledger

pytestmark = pytest.mark.usefixtures("here")

BEGUN = 1_767_600_000_000
ONE, TWO = "546fc2661ec840b9b65d1d0de85a2591", "9a0fc2661ec840b9b65d1d0de85a2592"


TABLES = """
CREATE TABLE experiments (experiment_id INTEGER, name TEXT, lifecycle_stage TEXT);
CREATE TABLE runs (run_uuid TEXT, name TEXT, user_id TEXT, status TEXT, start_time BIGINT,
    end_time BIGINT, lifecycle_stage TEXT, artifact_uri TEXT, experiment_id INTEGER);
CREATE TABLE params (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE tags (key TEXT, value TEXT, run_uuid TEXT);
CREATE TABLE latest_metrics (key TEXT, value DOUBLE, is_nan BOOLEAN, run_uuid TEXT);
CREATE TABLE datasets (dataset_uuid TEXT, name TEXT, digest TEXT, dataset_source TEXT);
CREATE TABLE inputs (source_type TEXT, source_id TEXT, destination_type TEXT, destination_id TEXT);
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def moment(millis: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(millis / 1_000, dt.UTC)


class Made:
    """A store with two runs of one name: one that finished, and its child, which failed."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.runs: dict[str, dict[str, Any]] = {
            ONE: {
                "name": "train", "status": 3, "start": BEGUN, "end": BEGUN + 1_000,
                "params": {"lr": "0.1", "net/depth": "3"},
                "tags": {"mlflow.user": "ada", "mlflow.source.name": "src/train.py", "team": "b"},
                "metrics": {"val/acc": 0.9, "loss": 0.5},
                "files": {"model.txt": "m", "plots/a.txt": "a"},
            },
            TWO: {
                "name": "train", "status": 4, "start": BEGUN + 500, "end": BEGUN + 900,
                "params": {}, "metrics": {"loss": float("nan")}, "files": {"model.txt": "n"},
                "tags": {"mlflow.user": "bob", "mlflow.parentRunId": ONE},
            },
        }  # fmt: skip

    def as_folder(self) -> Path:
        root = self.root / "mlruns"
        write(root / "7/meta.yaml", "experiment_id: '7'\nname: plates\nlifecycle_stage: active\n")
        for uid, run in self.runs.items():
            folder = root / "7" / uid
            write(
                folder / "meta.yaml",
                f"artifact_uri: file://{folder}/artifacts\nrun_id: {uid}\nrun_name: {run['name']}\n"
                f"status: {run['status']}\nstart_time: {run['start']}\nend_time: {run['end']}\n"
                "lifecycle_stage: active\nuser_id: root\nexperiment_id: '7'\n",
            )
            for name, value in run["params"].items():
                write(folder / "params" / name, value)
            for name, value in run["tags"].items():
                write(folder / "tags" / name, value)
            for name, value in run["metrics"].items():
                write(folder / "metrics" / name, f"{BEGUN} 0.1 1\n{BEGUN} {value} 2\n")
            for name, text in run["files"].items():
                write(folder / "artifacts" / name, text)
        write(root / "7" / TWO / "inputs/i1/meta.yaml", "source_id: d1\nsource_type: DATASET\n")
        write(root / "7/datasets/d1/meta.yaml", "name: iris\ndigest: 'abc1'\nsource: '{}'\n")
        return root

    def as_database(self) -> Path:
        self.as_folder()
        path = self.root / "mlflow.db"
        connection = sqlite3.connect(path)
        connection.executescript(TABLES)
        connection.execute("INSERT INTO experiments VALUES (7, 'plates', 'active')")
        connection.execute("INSERT INTO datasets VALUES ('d1', 'iris', 'abc1', '{}')")
        connection.execute("INSERT INTO inputs VALUES ('DATASET', 'd1', 'RUN', ?)", (TWO,))
        words = {3: "FINISHED", 4: "FAILED"}
        for uid, run in self.runs.items():
            uri = f"{self.root}/mlruns/7/{uid}/artifacts"
            connection.execute(
                "INSERT INTO runs VALUES (?, ?, 'root', ?, ?, ?, 'active', ?, 7)",
                (uid, run["name"], words[run["status"]], run["start"], run["end"], uri),
            )
            for table in ("params", "tags"):
                connection.executemany(
                    f"INSERT INTO {table} VALUES (?, ?, ?)",  # noqa: S608
                    [(name, value, uid) for name, value in run[table].items()],
                )
            for name, value in run["metrics"].items():
                is_nan = value != value  # noqa: PLR0124
                connection.execute(
                    "INSERT INTO latest_metrics VALUES (?, ?, ?, ?)",
                    (name, 0.0 if is_nan else value, is_nan, uid),
                )
        connection.commit()
        connection.close()
        return path


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return Made(tmp_path / "there")


@pytest.fixture(params=["folder", "database"])
def store(made: Made, request: pytest.FixtureRequest) -> Path:
    return made.as_folder() if request.param == "folder" else made.as_database()


def test_runs_come_in_with_dates_people_parameters_and_artifacts(store):
    planned = import_mlflow(store, dry_run=True)
    done = import_mlflow(store)
    assert done.adds_up
    assert done.events == planned.events
    run = ln.Run.get(f"mlflow:{ONE}")
    assert (run.started_at, run.finished_at) == (moment(BEGUN), moment(BEGUN + 1_000))
    assert (run.status, run.created_by, run.name) == ("finished", "ada", "train")
    assert run.params == {"lr": "0.1", "net/depth": "3"}
    assert run.transform.name == "train.py"
    assert sorted(it.key for it in run.outputs) == [
        "mlflow/plates/train/model.txt",
        "mlflow/plates/train/plots/a.txt",
    ]
    assert run.features.get_values() == {"val_acc": 0.9, "loss": 0.5, "team": "b"}
    child = ln.Run.get(f"mlflow:{TWO}")
    assert (child.status, child.created_by, child.initiated_by) == ("failed", "bob", run)
    assert [it.key for it in child.outputs] == [f"mlflow/plates/train-{TWO[:8]}/model.txt"]
    (dataset,) = child.inputs
    assert dataset.is_declared
    assert dataset.key == "mlflow/datasets/iris"
    assert done.left_out == {"metric: a value that is no number": 1}
    assert ln.audit(content=True).ok


def test_the_same_runs_again_add_nothing_also_out_of_another_form(made):
    import_mlflow(made.as_folder())
    assert import_mlflow(made.root).events == 0
    assert import_mlflow(f"sqlite:///{made.as_database()}").events == 0


def test_runs_that_are_new_in_the_store_come_in(made):
    import_mlflow(made.as_folder())
    made.runs["c" * 32] = {**made.runs[TWO], "start": BEGUN + 5_000, "end": BEGUN + 6_000}
    done = import_mlflow(made.as_folder())
    assert done.counts["run"].imported == 1
    assert ln.Run.get(f"mlflow:{'c' * 32}").status == "failed"


def test_a_deleted_run_lies_in_the_trash(made):
    root = made.as_folder()
    meta = root / "7" / TWO / "meta.yaml"
    meta.write_text(meta.read_text().replace("lifecycle_stage: active", "lifecycle_stage: deleted"))
    assert import_mlflow(root).adds_up
    assert ln.Run.filter().count() == 1
    assert ln.Run.get(f"mlflow:{TWO}").is_trashed


def test_a_link_that_leads_out_of_a_runs_folder_is_never_followed(made):
    (made.root / "secret.txt").parent.mkdir(parents=True, exist_ok=True)
    (made.root / "secret.txt").write_text("abc")
    root = made.as_folder()
    (root / "7" / ONE / "artifacts" / "link.txt").symlink_to(made.root / "secret.txt")
    import_mlflow(root)
    assert len(ln.Run.get(f"mlflow:{ONE}").outputs) == 2


def test_two_metrics_of_like_names_are_two_features(made):
    made.runs[ONE]["metrics"] = {"a/b": 1.0, "a_b": 2.0, "9": 3.0}
    made.runs[ONE]["tags"] = {"a-b": "text"}
    import_mlflow(made.as_folder())
    assert ln.Run.get(f"mlflow:{ONE}").features.get_values() == {
        "a_b": 1.0, "a_b_2": 2.0, "n_9": 3.0, "a_b_3": "text",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (f"start_time: {BEGUN}", "start_time: soon", "expected a time in milliseconds"),
        (f"start_time: {BEGUN}", f"start_time: {10**20}", "is no time in milliseconds"),
        (f"start_time: {BEGUN}", f"start_time: {BEGUN * 3}", "future"),
        ("run_id: ", "run_id: [", "expected YAML"),
    ],
)
def test_what_mlflow_did_not_write_is_one_error_and_nothing_is_recorded(made, old, new, told):
    root = made.as_folder()
    meta = root / "7" / ONE / "meta.yaml"
    meta.write_text(meta.read_text().replace(old, new))
    with pytest.raises(InvalidValueError, match=told):
        import_mlflow(root)
    assert ln.head() == 1


@pytest.mark.parametrize("where", ["nothing", "http://ada:secret@host/"])
def test_what_is_no_store_is_refused_without_a_password(tmp_path, where):
    with pytest.raises(InvalidValueError, match="expected a folder") as refused:
        import_mlflow(where if "://" in where else tmp_path / where)
    assert "secret" not in str(refused.value)


def test_a_database_of_others_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "x.db") as connection:
        connection.execute("CREATE TABLE other (n INTEGER)")
    connection.close()
    with pytest.raises(InvalidValueError, match=r"found the tables other"):
        import_mlflow(tmp_path / "x.db")


def test_a_missing_library_names_the_extra(made, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingDependencyError, match=r"metaledger\[mlflow\]"):
        import_mlflow(made.as_folder())


def test_the_command_tells_the_counts(store, here):
    told = json.loads(metaledger(here, "import", "mlflow", str(store), "--json").out)
    assert told["counts"]["run"] == {"read": 2, "imported": 2, "known": 0, "left_out": 0}
    assert "0 events recorded" in metaledger(here, "import", "mlflow", str(store)).err
