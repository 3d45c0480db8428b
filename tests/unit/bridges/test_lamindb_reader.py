"""The reader of LaminDB: rows of any shape become neutral steps, or the instance is refused."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from ledger.bridges import steps as st
from ledger.bridges.lamindb.read import read
from ledger.bridges.lamindb.steps import Reader
from ledger.errors import InvalidValueError, LedgerError, StorageError
from tests.support.lamindb import Made, story


@pytest.fixture(params=["new", "old"])
def shape(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def made(tmp_path: Path, shape: str) -> Made:
    return story(tmp_path / "lamin", shape)


@pytest.fixture
def new(tmp_path: Path) -> Made:
    return story(tmp_path / "lamin")


def reader_of(made: Made, **options: Any) -> Reader:
    return Reader(read(made.write()), roots=options.pop("roots", {}), **options)


def steps_of(made: Made, **options: Any) -> list[st.AnyStep]:
    return list(reader_of(made, **options).steps())


def of(kind: type[Any], steps: list[st.AnyStep]) -> list[Any]:
    return [it for it in steps if isinstance(it, kind)]


def refused(made: Made, *words: str, **options: Any) -> None:
    with pytest.raises(InvalidValueError) as caught:
        steps_of(made, **options)
    assert all(word in str(caught.value) for word in words), str(caught.value)


# --- both shapes say the same --------------------------------------------------------------------


def test_every_shape_tells_the_same_story(made):
    steps = steps_of(made)
    assert [it.ref for it in of(st.TransformVersion, steps)] == [
        "inGestScript0000", "cLeanScript00000", "cLeanScript00001"
    ]  # fmt: skip
    runs = of(st.RunSeen, steps)
    assert [it.transform for it in runs] == [
        "inGestScript0000", "cLeanScript00000", "cLeanScript00001", "cLeanScript00001"
    ]  # fmt: skip
    contents = {it.ref: it for it in of(st.ContentSeen, steps)}
    assert contents["cLeanArtifactxxx0001"].revises == "cLeanArtifactxxx0000"
    assert contents["cLeanArtifactxxx0001"].run == "rUnOfClean000002"
    (again,) = of(st.Reproduced, steps)
    assert (again.artifact, again.run) == ("cLeanArtifactxxx0001", "rUnOfClean000003")
    assert [it.ref for it in of(st.Trash, steps)] == ["tRashArtifactxxx0000"]
    assert {(it.ref, it.target) for it in of(st.Link, steps) if it.field == "labels"} == {
        ("rAwArtifact0xxxx0000", "stUdy001"), ("rAwArtifact0xxxx0000", "lUng0001")
    }  # fmt: skip
    assert [it.artifacts[-1] for it in of(st.CollectionSeen, steps)] == [
        "cLeanArtifactxxx0000", "cLeanArtifactxxx0001"
    ]  # fmt: skip


def test_times_are_utc_and_people_are_their_handles(made):
    steps = steps_of(made)
    timed = [it for it in steps if isinstance(it, st.Step) and it.at is not None]
    assert all(it.at.utcoffset() == dt.timedelta(0) for it in timed)
    assert {it.by for it in timed} == {"ada"}
    (raw,) = [it for it in of(st.ContentSeen, steps) if it.ref == "rAwArtifact0xxxx0000"]
    said = made.row("artifact", 1)["created_at"]
    assert raw.at == dt.datetime.fromisoformat(said).replace(tzinfo=dt.UTC)


def test_nothing_is_named_before_it_happened(made):
    known: set[str] = set()
    timed = [it for it in steps_of(made) if isinstance(it, st.Step) and it.at is not None]
    for step in sorted(timed, key=lambda it: it.at):
        named = [getattr(step, name, None) for name in ("transform", "run", "artifact", "revises")]
        assert {it for it in named if it} <= known, step
        if ref := getattr(step, "ref", None):
            known.add(ref)


def test_the_database_and_its_folder_stay_as_they_are(made):
    root = made.write()
    before = {it: it.read_bytes() for it in root.rglob("*") if it.is_file()}
    list(Reader(read(root), roots={}).steps())
    assert {it: it.read_bytes() for it in root.rglob("*") if it.is_file()} == before


def test_a_log_beside_the_database_is_read_and_none_is_left(new):
    path = new.write() / ".lamindb" / "lamin.db"
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode = WAL")
    before = sorted(os.listdir(path.parent))  # noqa: PTH208 (names alone)
    assert read(path).rows("artifact")
    assert sorted(os.listdir(path.parent)) == before  # noqa: PTH208


def test_a_writer_in_the_middle_of_a_change_is_not_seen(new):
    path = new.write() / ".lamindb" / "lamin.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("DELETE FROM lamindb_run")
        assert len(read(path).rows("run")) == 4
        other.execute("ROLLBACK")


# --- what is special of each ---------------------------------------------------------------------


def test_ends_of_runs_are_what_their_codes_say(new):
    codes = {0: "finished", 1: "failed", 2: "ended", -1: "ended", -3: "ended"}
    for number, code in enumerate(codes):
        run = new.run(f"rUnWithCode{number:05}", 1, _status_code=code)
        new.row("run", run)["finished_at"] = new.at()
    ended = {it.run: it.status for it in of(st.RunEnded, steps_of(new))}
    assert [ended[f"rUnWithCode{it:05}"] for it in range(5)] == list(codes.values())
    assert "rUnOfClean000001" not in ended


def test_parameters_of_old_runs_are_rows_of_their_own(tmp_path):
    made = story(tmp_path / "lamin", "old")
    param = made.add("param", name="threshold")
    value = made.add("paramvalue", value=3, param_id=param)
    made.add("runparamvalue", run_id=1, paramvalue_id=value)
    assert of(st.RunSeen, steps_of(made))[0].params == {"threshold": 3}


def test_the_text_of_an_old_transform_is_a_file_of_its_own(tmp_path):
    made = story(tmp_path / "lamin", "old")
    source = made.artifact("sOurceOfIngest0000xy", None, "# text\n", visibility=0)
    made.row("transform", 1)["source_code_id"] = source
    steps = steps_of(made)
    assert of(st.TransformVersion, steps)[0].source == "# text\n"
    (left,) = of(st.LeftOut, steps)
    assert left.row == "sOurceOfIngest0000xy"
    assert "LaminDB's own" in left.why


def test_features_and_records_have_types(new):
    steps = steps_of(new)
    assert {it.feature.name: it.feature.type for it in of(st.FeatureSeen, steps)} == {
        "temperature": "float", "study": "record[ULabel]", "donor": "record[Donor]"
    }  # fmt: skip
    assert [(it.name, [f.name for f in it.fields]) for it in of(st.RegistrySeen, steps)] == [
        ("Donor", []), ("RNASample", ["temperature", "donor"])
    ]  # fmt: skip
    records = {it.name: it for it in of(st.RecordSeen, steps)}
    assert records["S1"].values == {"temperature": 4.0, "donor": ("dOnorOne00000001",)}
    values: dict[str, Any] = {}
    for it in of(st.ValuesSeen, steps):
        values |= it.values
    assert values == {
        "temperature": 37.2, "study": ("stUdy001",), "donor": ("dOnorOne00000001",)
    }  # fmt: skip


def test_a_feature_that_a_record_bears_twice_is_a_list(new):
    value = new.add("jsonvalue", value=38, feature_id=1)
    new.add("artifactjsonvalue", artifact_id=1, jsonvalue_id=value, run_id=1)
    steps = steps_of(new)
    assert {it.feature.name: it.feature.type for it in of(st.FeatureSeen, steps)}[
        "temperature"
    ] == "list[float]"
    assert {"temperature": [37.2, 38.0]} in [it.values for it in of(st.ValuesSeen, steps)]


def test_records_that_lead_to_one_another_lose_no_record(new):
    new.add("recordrecord", record_id=3, feature_id=3, value_id=4)
    steps = steps_of(new)
    assert {it.name for it in of(st.RecordSeen, steps)} == {"D1", "S1"}
    assert any(it.table == "lamindb_recordrecord" for it in of(st.Unmapped, steps))


def test_what_has_no_place_is_counted_and_kept(new):
    new.row("artifact", 1)["otype"] = "DataFrame"
    steps = steps_of(new)
    told = {it.table: it.rows for it in of(st.Unmapped, steps)}
    assert told["lamindb_project"] == told["lamindb_schema"] == told["lamindb_artifact.otype"] == 1
    (kept,) = of(st.Kept, steps)
    assert kept.key == "lamindb/1nstanceUid1/unmapped.jsonl"
    assert '"otype":"DataFrame"' in kept.text
    assert "Lovelace" not in kept.text
    assert of(st.Kept, steps_of(new)) == [kept]


def test_other_branches_and_the_archive_are_left_out(new):
    new.row("artifact", 5)["branch_id"] = 0
    new.artifact("oNaBranchxxxxxxx0000", "trial.txt", "t", branch_id=2)
    left = {it.row: it.why for it in of(st.LeftOut, steps_of(new))}
    assert "'archive'" in left["bIgArtifactxxxxx0000"]
    assert "'trial'" in left["oNaBranchxxxxxxx0000"]
    assert "oNaBranchxxxxxxx0000" in {
        it.ref for it in of(st.ContentSeen, steps_of(new, branch="trial"))
    }
    refused(new, "nosuch", "trial", branch="nosuch")


def test_what_something_needs_comes_in_from_any_branch(new):
    new.row("run", 3)["branch_id"] = new.row("transform", 3)["branch_id"] = 2
    assert not of(st.LeftOut, steps_of(new))


def test_the_order_of_versions_is_that_of_uids_that_count(new):
    one, two = new.row("artifact", 2), new.row("artifact", 3)
    one["created_at"], two["created_at"] = two["created_at"], one["created_at"]
    reader = reader_of(new)
    contents = {it.ref: it for it in of(st.ContentSeen, list(reader.steps()))}
    assert contents["cLeanArtifactxxx0001"].revises == "cLeanArtifactxxx0000"
    assert contents["cLeanArtifactxxx0001"].at >= contents["cLeanArtifactxxx0000"].at
    assert any("another time than in LaminDB" in it for it in reader.notes)


def test_uids_that_are_drawn_by_chance_are_ordered_by_their_dates(tmp_path):
    made = story(tmp_path / "lamin", "old")
    made.artifact("fAmilyByChancexxzzzz", "c.csv", "1")
    made.artifact("fAmilyByChancexxaaaa", "c.csv", "2")
    contents = {it.ref: it for it in of(st.ContentSeen, steps_of(made))}
    assert contents["fAmilyByChancexxaaaa"].revises == "fAmilyByChancexxzzzz"


def test_another_latest_version_is_told(new):
    new.row("artifact", 2)["is_latest"] = True
    reader = reader_of(new)
    list(reader.steps())
    assert any("LaminDB says cLeanArtifactxxx0000 and" in it for it in reader.notes)


def test_runs_that_start_one_another_in_a_circle_are_runs(new):
    new.row("run", 2)["initiated_by_run_id"] = 1
    new.row("run", 4)["initiated_by_run_id"], new.row("run", 3)["initiated_by_run_id"] = 3, 4
    runs = {it.ref: it.initiated_by for it in of(st.RunSeen, steps_of(new))}
    assert runs["rUnOfClean000001"] == "rUnOfIngest00001"
    assert runs["rUnOfClean000002"] is runs["rUnOfClean000003"] is None


# --- where content lies --------------------------------------------------------------------------


def test_content_lies_by_key_by_uid_or_by_the_uid_of_its_family(new):
    new.artifact("oNpLacexxxxxxxxx0000", "sub/a.txt", "a", _key_is_virtual=False)
    folder = new.artifact("fOlderxxxxxxxxxx0001", "plates", None, suffix="", n_files=2)
    new.row("artifact", folder)["_overwrite_versions"] = True
    contents = {it.ref: it for it in of(st.ContentSeen, steps_of(new))}
    assert contents["oNpLacexxxxxxxxx0000"].path == str(new.root / "sub/a.txt")
    assert contents["rAwArtifact0xxxx0000"].path == str(
        new.root / ".lamindb/rAwArtifact0xxxx0000.csv"
    )
    assert contents["fOlderxxxxxxxxxx0001"].path == str(new.root / ".lamindb/fOlderxxxxxxxxxx")


def test_a_storage_that_moved_is_found_by_its_new_root(new):
    old = str(new.root)
    moves = {old: "s3://lab/store"}
    paths = [it.path for it in of(st.ContentSeen, steps_of(new, roots=moves))]
    assert all(it.startswith("s3://lab/store/.lamindb/") for it in paths)
    refused(new, "/no/such", old, roots={"/no/such": "/x"})
    refused(new, "no storage", roots={old + "x": "/x"})


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "../../etc/passwd", "a/../../b", "a\nb", "x" * 2_000, "a\\b"]
)
@pytest.mark.parametrize("is_virtual", [True, False])
def test_a_key_that_leads_out_of_the_storage_is_never_followed(new, key, is_virtual):
    row = new.row("artifact", 1)
    row["key"], row["_key_is_virtual"] = key, is_virtual
    contents = {it.ref: it for it in of(st.ContentSeen, steps_of(new))}
    assert contents["rAwArtifact0xxxx0000"].path is None


@pytest.mark.parametrize("suffix", ["/../../x", "\\x", ".a\n", "." + "x" * 100])
def test_a_suffix_that_leads_elsewhere_is_never_followed(new, suffix):
    new.row("artifact", 1)["suffix"] = suffix
    contents = {it.ref: it for it in of(st.ContentSeen, steps_of(new))}
    assert contents["rAwArtifact0xxxx0000"].path is None


# --- refused whole -------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["user", "storage", "run", "transform", "ulabel", "artifact"])
def test_a_row_that_is_gone_refuses_the_instance(made, table):
    made.rows[table].pop(0)
    refused(made, table, "nothing was recorded")


def test_a_storage_that_is_named_by_nobody_refuses_the_row(made):
    made.row("artifact", 1)["storage_id"] = None
    refused(made, "rAwArtifact0xxxx0000", "storage")


@pytest.mark.parametrize("uid", ["../../x", "", None, 7, "a b c d e f", "x" * 100])
def test_a_uid_that_is_none_refuses_the_instance(made, uid):
    made.row("artifact", 1)["uid"] = uid
    refused(made, "artifact", "uid")


def test_a_uid_that_is_there_twice_refuses_the_instance(made):
    made.row("artifact", 1)["uid"] = made.row("artifact", 2)["uid"]
    refused(made, "twice", "cLeanArtifactxxx0000")


@pytest.mark.parametrize("time", ["yesterday", "", None, 7, "2025-13-01 00:00:00"])
def test_a_time_that_is_none_refuses_the_instance(made, time):
    made.row("artifact", 1)["created_at"] = time
    refused(made, "rAwArtifact0xxxx0000", "created_at")


def test_a_time_with_a_zone_is_that_moment(made):
    made.row("artifact", 1)["created_at"] = "2025-03-01T13:00:00+02:00"
    made.row("run", 1)["started_at"] = "2025-03-01T10:00:00Z"
    contents = {it.ref: it for it in of(st.ContentSeen, steps_of(made))}
    assert contents["rAwArtifact0xxxx0000"].at == dt.datetime(2025, 3, 1, 11, tzinfo=dt.UTC)


def test_a_column_that_is_missing_is_named(made):
    made.columns["artifact"].remove("storage_id")
    refused(made, "artifact", "storage_id", "newer than known")


def test_a_table_that_is_missing_is_named(made):
    del made.columns["run"]
    refused(made, "run", "missing")


def test_columns_and_tables_that_are_new_refuse_nothing(made):
    made.columns["artifact"].append("something_new")
    for row in made.rows["artifact"]:
        row["something_new"] = "x"
    told = {it.table.removeprefix(made.prefix): it.rows for it in of(st.Unmapped, steps_of(made))}
    assert told["artifact.something_new"] == len(made.rows["artifact"])


def test_a_place_without_an_instance_is_told(tmp_path):
    def told(where: object, *words: str) -> None:
        with pytest.raises(InvalidValueError) as caught:
            read(where)  # type: ignore[arg-type]
        assert all(it in str(caught.value) for it in words), str(caught.value)

    told("no-such", "no-such", "no such file")
    told("", "expected the folder")
    told("a\x00b", "expected the folder")
    told(tmp_path, "nothing")
    (tmp_path / "notes.txt").write_text("x")
    told(tmp_path, "notes.txt")
    told(tmp_path / "notes.txt", "SQLite", "none")
    with closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE plates (id)")
    told(tmp_path / "other.db", "plates", "lamindb_artifact")
    for name in ("one.lndb", "two.lndb"):
        (tmp_path / name).write_bytes((tmp_path / "other.db").read_bytes())
    told(tmp_path, "one.lndb", "two.lndb")


def test_a_database_that_is_locked_or_cut_off_is_told(new):
    path = new.write() / ".lamindb" / "lamin.db"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 3])
    with pytest.raises(StorageError, match="SQLite says"):
        read(path)


ODD = (None, "", 7, -1, 2**62, 1.5, float("inf"), "x", "a\x00b", b"\xff\x00", "2025-01-01", "../x")


@pytest.mark.parametrize("odd", ODD, ids=range(len(ODD)))
def test_an_odd_value_anywhere_becomes_steps_or_an_error_of_ours(made, odd):
    instance = read(made.write())
    for rows in instance.tables.values():
        for column in list(rows[0]) if rows else []:
            if column == "rest":
                continue
            for row in (rows[0], rows[-1]):
                was = row[column]
                row[column] = odd
                with contextlib.suppress(LedgerError):
                    for step in Reader(instance, roots={}).steps():
                        msgspec.json.encode(step, enc_hook=str)
                row[column] = was
