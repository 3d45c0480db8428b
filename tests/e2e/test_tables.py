"""Tables for analysts: other programs read in them what the ledger answers, at any point."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather

import ledger as ln
from ledger.bridges.tables import export_tables
from ledger.errors import (
    InvalidValueError,
    MissingFileError,
    NotFoundError,
    PathTakenError,
    StorageError,
)
from ledger.past import tables as tables_module
from ledger.upkeep.erasure import erase
from tests.e2e.command import metaledger
from tests.support.door import artifact, begin_as_script, file, label

PAGE = Path(__file__).resolve().parents[2] / "docs/analysts.md"
BUILT_IN = {"ulabel", "artifact", "collection", "transform", "run", "feature"}
OTHERS = {"link", "artifact_key", "alias", "value", "tag", "event"}


def told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have happen what the questions of the page are about."""
    begin_as_script(monkeypatch, str(file("ingest.py", "ingest").absolute()))
    ln.Feature(name="volume", dtype=float, unit="ul").save()
    ln.track()
    for name, volume in (("a", 25.0), ("b", 37.5)):
        made = artifact(f"raw/{name}.csv", key=f"raw/{name}.csv", description=f"plate {name}")
        made.features["volume"] = volume
    made.labels.add(label("treated"))
    ln.finish()
    ln.tag("paper")
    begin_as_script(monkeypatch, str(file("train.py", "train").absolute()))
    ln.track(params={"rate": 0.1, "layers": [1, 2]})
    for name in ("a", "b"):
        ln.Artifact.get(key=f"raw/{name}.csv").cache()
    artifact("model.txt", key="model.txt")
    ln.finish()
    begin_as_script(monkeypatch, str(file("report.py", "report").absolute()))
    ln.track(params={"rate": 0.9})
    ln.Artifact.get(key="model.txt").cache()
    artifact("figure.txt", key="figure.txt")
    ln.context.fail("ValueError: no axis")
    changed = ln.Artifact.get(key="raw/a.csv")
    changed.description = "plate a, spilt"
    changed.save()
    ln.Artifact.get(key="raw/b.csv").delete()


class Donor(ln.Record):
    age: int | None = None
    weight: float | None = None
    born: dt.date | None = None
    tissue: ln.ULabel | None = None
    kin: list[ln.ULabel]
    notes: list[str]


def typed() -> None:
    """Have records of a registry of one's own change."""
    for name in ("lung", "liver"):
        label(name)
    donor = Donor("D1", age=5, tissue="lung", notes=["a", "b"], born=dt.date(2020, 1, 2)).save()
    Donor("D2", weight=0.5, kin=["lung", "liver"]).save()
    donor.age, donor.tissue, donor.notes = 6, "liver", ["c"]
    donor.save()
    ln.ULabel.get(name="lung").merge_into(ln.ULabel.get(name="liver"))
    donor.age = None
    donor.save()
    donor.delete()
    donor.restore()
    donor.add_alias("lab:D-1")
    Donor.schema.rename("age", "years")


def questions() -> dict[str, tuple[str, str]]:
    """The questions of the page by their number: the mark of the block, and its SQL."""
    text = PAGE.read_text("utf-8")
    found = re.findall(
        r"^### (\d+)\. .*?```sql\n(?:-- (\w+)\n)?(.*?)```", text, re.MULTILINE | re.DOTALL
    )
    return {number: (mark, sql) for number, mark, sql in found}


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "1": [(".csv", 1, 9), (".txt", 2, 19)],
    "2": [
        ("figure.txt", "ada", "report.py", "failed"),
        ("model.txt", "ada", "train.py", "finished"),
        ("raw/a.csv", "ada", "ingest.py", "finished"),
    ],
    "3": [("raw/a.csv",)],
    "4": [("figure.txt",), ("model.txt",)],
    "5": [],
    "6": [],
    "7": [("train.py", 0.1, "finished")],
    "8": [("report.py", "ValueError: no axis")],
    "9": [],
    "10": [("raw/a.csv", "plate a"), ("raw/b.csv", "plate b")],
}
# What is in the trash answers as of before.
BEFORE = {"5": [("raw/b.csv",)], "6": [("raw/b.csv", 37.5)]}


@pytest.fixture
def ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """The user, whoever runs the tests."""
    monkeypatch.setenv("METALEDGER_USER", "ada")


@pytest.fixture
def asked(ada: None, here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ARG001
    """A ledger in which the questions of the page have answers, on both databases."""
    told(monkeypatch)
    return here


def by_duckdb(tables: dict[str, pa.Table], sql: str) -> list[tuple[Any, ...]]:
    with duckdb.connect() as db:
        for name, table in tables.items():
            db.register(name, table)
        return db.execute(sql).fetchall()


def by_polars(tables: dict[str, pa.Table], sql: str) -> list[tuple[Any, ...]]:
    frames = {name: pl.from_arrow(table) for name, table in tables.items()}
    return pl.SQLContext(frames).execute(sql, eager=True).rows()


@pytest.mark.usefixtures("asked")
def test_the_ten_questions_of_the_page_have_their_answers_in_duckdb_and_polars():
    assert sorted(questions()) == sorted(ANSWERS)
    view = ln.as_of("now")
    events = [it.actor for it in ln.log()]
    runs = {it.run for it in ln.log()} - {None}
    answers = ANSWERS | {"9": [("ada", len(events), len(runs))]}
    for number, (mark, sql) in questions().items():
        tables = view.tables(history=mark == "history")
        assert by_duckdb(tables, sql) == answers[number], number
        if mark != "DuckDB":
            assert by_polars(tables, sql) == answers[number], number
    before = ln.as_of("paper").tables()
    for number, answer in BEFORE.items():
        assert by_duckdb(before, questions()[number][1]) == answer
        assert by_polars(before, questions()[number][1]) == answer


def test_both_ways_of_the_page_to_open_a_folder_read_it(asked):
    metaledger(asked, "export", "tables", "./tables")
    opened = re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    names: dict[str, Any] = {}
    for block in opened:
        exec(block, names)  # noqa: S102 (the page's own code)
    question = questions()["2"][1]
    assert names["db"].execute(question).fetchall() == ANSWERS["2"]
    assert names["sql"].execute(question).collect().rows() == ANSWERS["2"]
    names["db"].close()


@pytest.mark.usefixtures("asked")
def test_a_table_holds_what_filter_finds_and_columns_of_one_kind():
    typed()
    tables = ln.as_of("now").tables()
    assert set(tables) == {*BUILT_IN, *OTHERS, "donor"}
    for kind in (ln.Artifact, ln.Run, ln.Transform, ln.ULabel, ln.Feature, Donor):
        found = tables[kind.registry]
        assert found["uid"].to_pylist() == [it.uid for it in kind.filter()]
        assert found["created_at"].type == pa.timestamp("us", tz="UTC")
        assert found["created_at"].to_pylist() == [it.created_at for it in kind.filter()]
    first = ln.Artifact.get(key="raw/a.csv")
    row = tables["artifact"].to_pylist()[0]
    assert (row["storage_key"], row["digest"], row["run"]) == (
        first.storage_key,
        first.digest,
        first.run.uid,
    )
    run = ln.Run.get(row["run"])
    assert row["id"] == first.id
    by_uid = {it["uid"]: it for it in tables["run"].to_pylist()}
    assert json.loads(by_uid[run.uid]["params"]) == {}
    assert [json.loads(it["params"]) for it in by_uid.values()][1] == {
        "rate": 0.1,
        "layers": [1, 2],
    }
    donors = {it["name"]: it for it in tables["donor"].to_pylist()}
    liver = ln.ULabel.get(name="liver").uid
    assert (donors["D1"]["years"], donors["D1"]["notes"]) == (None, ["c"])
    assert donors["D1"]["born"] == dt.date(2020, 1, 2)
    assert (donors["D1"]["tissue"], donors["D2"]["weight"]) == (liver, 0.5)
    assert tables["alias"].to_pylist() == [
        {"alias": "lab:D-1", "registry": "donor", "uid": donors["D1"]["uid"]}
    ]
    said = [json.loads(it) for it in tables["event"]["fields"].to_pylist()]
    assert said == [it.event for it in ln.log()]
    assert tables["event"].num_rows == ln.head()
    assert tables["event"]["position"].to_pylist() == list(range(1, ln.head() + 1))


@pytest.mark.usefixtures("asked")
def test_columns_are_the_same_with_rows_and_without():
    typed()
    now, long_ago = ln.as_of("now").tables(), ln.as_of(0).tables()
    assert set(long_ago) == {*BUILT_IN, *OTHERS}
    for name, table in long_ago.items():
        assert table.num_rows == 0
        assert table.schema == now[name].schema


def test_history_answers_for_every_point_as_the_tables_of_that_point_do(asked):
    typed()
    metaledger(asked, "export", "tables", "all", "--history")
    kept = {path.stem: pq.read_table(path).to_pylist() for path in Path("all").glob("*.parquet")}
    for position in range(ln.head() + 1):
        for name, table in ln.as_of(position).tables().items():
            if name in {"tag", "event"}:
                continue
            rows = [
                row
                for row in kept[name]
                if row["from_position"] <= position
                and (row["to_position"] is None or row["to_position"] > position)
                and not row.get("is_trashed")
            ]
            # A field has its last name there, and what is computed for a point is left out.
            shared = [it for it in table.column_names if it in (kept[name] or [{}])[0]]
            assert {"is_latest", "age"} >= {*table.column_names} - {*shared} or not kept[name]
            then = [{it: row[it] for it in shared} for row in table.to_pylist()]
            found = [{it: row[it] for it in shared} for row in rows]
            if name == "value":
                then, found = ([it | {"field": ""} for it in some] for some in (then, found))
            assert sorted(found, key=repr) == sorted(then, key=repr), (name, position)


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("history", [False, True])
def test_erased_and_withdrawn_records_are_in_no_table(history):
    typed()
    gone = [ln.Artifact.get(key="model.txt"), Donor.get(name="D1")]
    plain = ln.ULabel.get(name="treated")
    plain.delete(permanent=True)
    for record in gone:
        erase(record, reason="asked for")
    tables = ln.as_of("now").tables(history=history)
    for record in (*gone, plain):
        rows = [it for it in tables[record.registry].to_pylist() if it["uid"] == record.uid]
        # A history keeps that they were there; what they said is gone from it too.
        assert history or not rows
        assert all(row["to_position"] for row in rows)
        assert record.uid not in tables["value"]["uid"].to_pylist()
    assert "model.txt" not in json.dumps(
        [table.to_pylist() for table in tables.values()], default=str
    )


def test_what_is_erased_while_tables_are_read_is_told(asked, monkeypatch):
    record = ln.Artifact.get(key="model.txt")
    read = tables_module._keys

    def erasing(*args, **given):
        erase(record, reason="asked for")
        return read(*args, **given)

    monkeypatch.setattr(tables_module, "_keys", erasing)
    with pytest.raises(StorageError, match="erased while"):
        export_tables("now")
    assert not Path("now").exists()
    assert not list(asked.glob(".tmp-*"))


def test_the_manifest_names_files_digests_and_the_root_of_the_log(asked):
    said = metaledger(asked, "export", "tables", "then", "--as-of", "paper", "--json").json
    text = Path("then/manifest.json").read_text()
    assert json.loads(text) == said
    view = ln.as_of("paper")
    assert (said["position"], said["recorded_at"]) == (
        view.position,
        view.recorded_at.isoformat(),
    )
    assert {it["file"] for it in said["tables"]} == {
        path.name for path in Path("then").iterdir()
    } - {"manifest.json"}
    for it in said["tables"]:
        data = Path("then", it["file"]).read_bytes()
        assert (it["size"], it["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert it["rows"] == pq.read_metadata(Path("then", it["file"])).num_rows
    now = metaledger(asked, "export", "tables", "now", "--json").json
    assert ln.checkpoint().size >= now["position"]
    assert metaledger(asked, "export", "tables", "again", "--as-of", "paper", "--json").json == said
    assert Path("again/manifest.json").read_text() == text


@pytest.mark.usefixtures("asked")
def test_the_root_is_that_of_a_checkpoint_of_this_size():
    signed = ln.checkpoint()
    assert export_tables("now", as_of=signed.size).root == signed.root


@pytest.mark.parametrize("kind", ["arrow", "csv"])
def test_other_formats_hold_the_same(asked, kind):
    typed()
    metaledger(asked, "export", "tables", "now", "--format", kind)
    for name, table in ln.as_of("now").tables().items():
        path = Path(f"now/{name}.{kind}")
        if kind == "arrow":
            assert feather.read_table(path).equals(table)
            continue
        with duckdb.connect() as db:
            found = db.read_csv(str(path), all_varchar=True, header=True)
            assert found.columns == table.column_names
            assert len(found.fetchall()) == table.num_rows
    if kind == "csv":
        assert '"[""c""]"' in Path("now/donor.csv").read_text()


@pytest.mark.parametrize(
    ("given", "error", "word"),
    [
        ({"where": "raw"}, PathTakenError, "raw"),
        ({"where": "report.py"}, PathTakenError, "report.py"),
        ({"where": "storage/.metaledger/now"}, PathTakenError, ".metaledger"),
        ({"where": "no/such/now"}, MissingFileError, "no such folder"),
        ({"where": "s3://bucket/now"}, InvalidValueError, "got a URL"),
        ({"where": "now", "format": "xlsx"}, InvalidValueError, "parquet, arrow, csv"),
        ({"where": "now", "as_of": 10**6}, InvalidValueError, "future"),
        ({"where": "now", "as_of": "nobody"}, NotFoundError, "nobody"),
    ],
)
def test_what_cannot_be_written_is_one_error_and_leaves_nothing(asked, given, error, word):
    before = sorted(asked.rglob("*"))
    with pytest.raises(error, match=re.escape(word)):
        ln.bridges.export_tables(**given)
    assert sorted(asked.rglob("*")) == before


@pytest.mark.usefixtures("here")
def test_a_registry_that_is_called_as_another_table_has_a_table_of_its_own():
    class Event(ln.Record):
        day: dt.date

    Event("birth", day=dt.date(2020, 1, 2)).save()
    tables = ln.as_of("now").tables()
    assert tables["event_record"]["name"].to_pylist() == ["birth"]
    assert tables["event"].num_rows == ln.head()


def test_an_export_without_a_verb_is_an_archive(asked):
    assert metaledger(asked, "export", "--json", "./tables").json["events"] == ln.head()
    assert Path("tables/log").is_dir()
    assert "FOLDER" in metaledger(asked, "export", "tables", status=2).err
    said = metaledger(asked, "export", "--help").out
    assert "tables" in said
    assert "archive  " not in said


def test_the_door_loads_no_bridge_until_one_is_used():
    assert "export_tables" in dir(ln.bridges)
    with pytest.raises(AttributeError, match="no attribute 'export_nothing'"):
        ln.bridges.export_nothing  # noqa: B018 (the look-up is the claim)
