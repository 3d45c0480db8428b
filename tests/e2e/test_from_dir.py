"""`from_dir` leaves no file out in silence: each one gets its own key, or all are refused."""

from __future__ import annotations

import os
import unicodedata
from pathlib import Path

import pytest

import ledger as ln
from tests.e2e.command import metaledger
from tests.support.door import file

COMPOSED, DECOMPOSED = (unicodedata.normalize(form, "Übung é.csv") for form in ("NFC", "NFD"))


def keys(folder: str = "d", **given: object) -> list[str]:
    """Return the keys that the files of a folder would have."""
    return [each.key for each in ln.Artifact.from_dir(folder, **given)]


pytestmark = pytest.mark.usefixtures("here")


@pytest.mark.parametrize("leads_to", ["../elsewhere", ".", "..", "sub", "linked"], ids=ascii)
def test_a_link_to_a_folder_is_refused(refuses, leads_to: str):
    file("d/sub/x.txt")
    file("elsewhere/y.txt")
    Path("d/linked").symlink_to(leads_to)
    refuses(lambda: ln.Artifact.from_dir("d"), "UnsupportedFileError", "d/linked")
    refuses(lambda: ln.Artifact("d"), "UnsupportedFileError", "d/linked")


def test_the_command_refuses_it_too(here: Path):
    file("d/x.txt")
    file("elsewhere/y.txt")
    Path("d/linked").symlink_to("../elsewhere")
    assert "d/linked" in metaledger(here, "artifact", "add", "d", "--each", status=1).err
    assert ln.Artifact.filter().count() == 0


def test_a_link_to_a_file_is_that_file_wherever_it_is(here: Path):
    file("d/x.txt", "x")
    file("elsewhere/y.txt", "y")
    Path("d/a.txt").symlink_to("x.txt")
    Path("d/b.txt").symlink_to(here / "elsewhere" / "y.txt")
    found = {each.key: each for each in ln.save(ln.Artifact.from_dir("d"))}
    assert sorted(found) == ["d/a.txt", "d/b.txt", "d/x.txt"]
    assert found["d/b.txt"].load() == "y"
    Path("to-d").symlink_to("d")
    assert len(keys("to-d", key="d")) == len(found)


def test_files_that_differ_by_the_unicode_form_of_their_name_are_refused(refuses):
    file(f"d/{COMPOSED}", "composed")
    file(f"d/{DECOMPOSED}", "decomposed")
    if len(list(Path("d").iterdir())) == 1:
        return  # This file system takes both for one.
    words = (ascii(COMPOSED), ascii(DECOMPOSED), "rename")
    refuses(lambda: ln.Artifact.from_dir("d"), "InvalidValueError", *words)


def test_folders_that_differ_so_are_refused_where_a_key_would_be_shared(refuses):
    file(f"d/{COMPOSED}/one.txt", "1")
    file(f"d/{DECOMPOSED}/two.txt", "2")
    assert len(keys()) == 2
    file(f"d/{DECOMPOSED}/one.txt", "3")
    refuses(lambda: ln.Artifact.from_dir("d"), "InvalidValueError", "one.txt", "rename")


def test_a_folder_that_nobody_may_list_is_refused(refuses, monkeypatch: pytest.MonkeyPatch):
    file("d/open/x.txt")
    file("d/closed/y.txt")
    scandir = os.scandir

    def closed(path: str) -> object:
        if os.fspath(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)
    refuses(lambda: ln.Artifact.from_dir("d"), "UnreadableFileError", "d/closed")


def test_what_belongs_to_ledgers_and_storages_is_left_out(here: Path):
    ln.Artifact(file("x.txt", "x"), key="x.txt").save()
    file("storage/raw/y.txt", "y")
    file("storage/raw/.metaledger/z.txt", "z")
    assert keys("storage") == ["storage/raw/y.txt"]
    assert "x.txt" in keys(str(here), key="")


def test_files_come_in_the_order_of_their_paths():
    for name in ("b.txt", "a/c.txt", "a.txt", "a/b/d.txt"):
        file(f"d/{name}")
    assert keys() == ["d/a/b/d.txt", "d/a/c.txt", "d/a.txt", "d/b.txt"]
