"""What a text names: a file URL names one path of this computer, or nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import ledger as ln
from ledger.content.backends import open_store
from tests.support.door import file

NAMES = [
    "plain.csv",
    "sp ace.csv",
    "plus+.csv",
    "ha#sh.csv",
    "que?ry.csv",
    "pct%41.csv",
    "tab\t.csv",
]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_the_url_of_a_path_is_that_file(here: Path, name: str):
    assert ln.Artifact(file(name, name).absolute().as_uri()).path == here / name


def test_a_url_may_say_localhost_and_be_written_in_capitals(here: Path):
    file("a.csv", "a")
    for beginning in ("file://", "FILE://", "file://localhost", "file://LOCALHOST"):
        assert ln.Artifact(f"{beginning}{here}/a.csv").path == here / "a.csv"


@pytest.mark.parametrize("host", ["nohost", "127.0.0.1", "[::1]", "[", "ada@localhost", "C:", "."])
def test_a_file_url_of_another_host_is_not_read_from_this_computer(refuses, here: Path, host: str):
    file("a.csv", "a")
    refuses(lambda: ln.Artifact(f"file://{host}{here}/a.csv"), "InvalidValueError", "host")
    refuses(
        lambda: ln.Artifact("a.csv", storage=f"file://{host}{here}/s").save(),
        "InvalidValueError", "host",
    )  # fmt: skip
    with pytest.raises(ln.errors.InvalidValueError, match=re.escape(repr(host))):
        ln.connect(f"file://{host}{here}")
    with pytest.raises(ln.errors.InvalidValueError, match=re.escape(repr(host))):
        open_store(f"FILE://{host}{here}")


@pytest.mark.parametrize("name", ["ha#sh.csv", "que?ry.csv"])
def test_a_mark_that_is_not_encoded_never_means_another_file(refuses, here: Path, name: str):
    file(name, "meant")
    file(re.split("[?#]", name)[0], "another")
    refuses(lambda: ln.Artifact(f"file://{here}/{name}"), "InvalidValueError", "write %")


@pytest.mark.parametrize("url", ["file://", "file://localhost", "file:///a%00b", "file:///a\0b"])
def test_a_file_url_without_a_possible_path_is_one_error(refuses, url: str):
    refuses(lambda: ln.Artifact(url), "InvalidValueError", "expected")


def test_a_path_that_looks_like_a_url_is_a_path(here: Path):
    (here / "file:").mkdir()
    file("file:/a.csv", "a")
    # A path has no two slashes beside each other.
    assert ln.Artifact(Path("file:///a.csv")).path == here / "file:" / "a.csv"


def test_a_ledger_and_a_storage_are_named_by_their_url(tmp_path: Path):
    folder = tmp_path / "my ledger ü #1"
    folder.mkdir()
    ln.init((folder / "con tent").as_uri(), root=folder)
    found = ln.connect(folder.as_uri())
    assert found.place.root == folder
    saved = ln.Artifact(file(tmp_path / "a.csv", "a"), key="a.csv").save()
    assert saved.path.is_relative_to(folder / "con tent")
    other = ln.Artifact(file(tmp_path / "b.csv", "b"), storage=f"FILE://{tmp_path}/s%20t").save()
    assert other.path.is_relative_to(tmp_path / "s t")
    ln.close()
