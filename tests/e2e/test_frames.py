"""Tables as artifacts, and content that is loaded by the name under which it was asked for."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import ledger as ln
from ledger.errors import InvalidValueError, MissingDependencyError, UnreadableContentError
from ledger.registries.local_content import suffix_of
from tests.support.door import artifact, file

pytestmark = pytest.mark.usefixtures("here")


def frame():
    return pd.DataFrame({"a": [1, 2], "b": ["x", None]}, index=["one", "two"])


@pytest.mark.parametrize(
    "table",
    [frame(), pl.DataFrame({"a": [1]}), pa.table({"a": [1.5, None]})],
    ids=["pandas", "polars", "arrow"],
)
def test_a_table_is_an_artifact_and_equal_tables_are_one(table):
    made = ln.Artifact.from_df(table, key="frames/t.parquet", description="a table").save()
    assert (made.suffix, made.key, made.description) == (".parquet", "frames/t.parquet", "a table")
    kind = {"pandas": "pandas", "polars": "polars"}.get(
        type(table).__module__.partition(".")[0], "arrow"
    )
    assert made.load(as_=kind).equals(table)
    head = ln.head()
    copied = table.copy() if kind == "pandas" else table[:]
    assert ln.Artifact.from_df(copied, key="frames/t.parquet").save() == made
    assert ln.head() == head


def test_chunks_make_no_other_artifact():
    whole = pa.table({"a": list(range(10))})
    parts = pa.concat_tables([whole[:3], whole[3:]])
    assert ln.Artifact.from_df(whole).save() == ln.Artifact.from_df(parts)


def test_a_table_where_a_path_belongs_is_told_the_way():
    with pytest.raises(InvalidValueError, match="from_df"):
        ln.Artifact(frame(), key="t.parquet")
    with pytest.raises(
        InvalidValueError,
        match=r"expected a table of pandas, polars or pyarrow, got builtins\.list",
    ):
        ln.Artifact.from_df([1, 2])
    with pytest.raises(InvalidValueError, match="expected a key such as"):
        ln.Artifact.from_df(frame(), key="t.csv")
    with pytest.raises(InvalidValueError, match="cannot hold this one"):
        ln.Artifact.from_df(pd.DataFrame({"a": [1, "x", object()]}))


def test_a_table_loads_as_the_frame_that_is_asked_for():
    for suffix, text in (("csv", "a,b\n1,x\n"), ("tsv", "a\tb\n1\tx\n")):
        made = artifact(f"t.{suffix}", text)
        assert list(made.load().columns) == ["a", "b"]
        assert made.load(as_="polars").rows() == [(1, "x")]
        assert made.load(as_="arrow").to_pylist() == [{"a": 1, "b": "x"}]
    Path("t.csv.gz").write_bytes(gzip.compress(b"a\n1\n"))
    assert ln.Artifact("t.csv.gz").save().load(as_="arrow").to_pylist() == [{"a": 1}]
    with pytest.raises(InvalidValueError, match="expected one of pandas, polars, arrow"):
        artifact("t.csv", "a,b\n1,x\n").load(as_="numpy")
    with pytest.raises(InvalidValueError, match="expected a table"):
        artifact("n.txt").load(as_="pandas")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.csv", b""),
        ("empty.json", b" "),
        ("latin.csv", "a\nGr\xfc\xdfe\n".encode("latin-1")),
        ("latin.txt", "Gr\xfc\xdfe".encode("latin-1")),
        ("broken.parquet", b"PAR1 no"),
        ("half.csv.gz", gzip.compress(b"a\n" * 99, mtime=0)[:-12]),
        ("t.jsonl", b"{"),
        ("t.feather", b"none"),
    ],
)
def test_content_that_is_not_what_its_suffix_says_is_one_error_with_its_name(name, content):
    Path(name).write_bytes(content)
    made = ln.Artifact(name, key=f"raw/{name}").save()
    with pytest.raises(UnreadableContentError, match=rf"artifact {made.uid} \(raw/{name}\)"):
        made.load()
    assert made.cache().read_bytes() == content


def test_a_missing_package_is_named_with_its_extra():
    with pytest.raises(MissingDependencyError, match=r"metaledger\[anndata\]"):
        artifact("cells.h5ad").load()


def test_an_archive_of_files_stays_as_it_is():
    packed = gzip.compress(b"not really a tar")
    Path("pack.tar.gz").write_bytes(packed)
    assert ln.Artifact("pack.tar.gz").save().load() == packed


def test_content_is_read_by_the_name_under_which_it_was_asked_for(capfd):
    text = artifact("table.txt", "a,b\n1,x\n")
    capfd.readouterr()
    ln.Artifact("table.txt", key="raw/export.csv").save()
    assert "ends in '.csv', and the file in '.txt'" in capfd.readouterr().err
    asked = ln.Artifact.get(key="raw/export.csv")
    assert asked == text
    assert list(asked.load().columns) == ["a", "b"]
    assert asked.cache().suffix == ".csv"
    assert asked.cache().read_text() == "a,b\n1,x\n"
    assert ln.Artifact.get(text.uid).load() == "a,b\n1,x\n"
    assert ln.Artifact(file("other.csv", "a,b\n1,x\n")).load().shape == (1, 2)
    for lookups in ({"suffix": ".csv"}, {"suffix": ".txt"}, {"suffix__in": [".csv", ".x"]}):
        assert ln.Artifact.filter(**lookups).one() == text
    assert ln.Artifact.filter(suffix=".x").count() == 0
    bare = ln.Artifact(file("bare", "c\n1\n"), key="tables/bare.csv").save()
    assert list(ln.Artifact.get(bare.uid).load().columns) == ["c"]


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("x__3.78.0__Factor", ""),
        ("g.2024-01-05", ""),
        ("g.2024-01-05.csv.gz", ".csv.gz"),
        ("a.7z", ".7z"),
        ("part.001", ".001"),
        ("a.tar.gz", ".tar.gz"),
    ],
)
def test_the_rest_of_a_number_is_no_suffix(name, suffix):
    assert suffix_of(Path(name)) == suffix
