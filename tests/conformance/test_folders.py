"""Folders of files by name: one suite for a folder here, in memory and in an object store."""

from __future__ import annotations

import pytest

from ledger.content.backends import open_folder
from ledger.errors import InvalidValueError, LedgerError, MissingFileError, PathTakenError
from tests.support.chance import new_name

KINDS = ("local", "memory", "s3")


@pytest.fixture(params=KINDS)
def folder(request, tmp_path):
    """A folder that is not there yet."""
    if request.param == "s3":
        return open_folder(request.getfixturevalue("s3_root"))
    if request.param == "memory":
        return open_folder(f"memory://{new_name()}/folder")
    return open_folder(tmp_path / "folder")


def test_what_is_put_is_there(folder, tmp_path):
    assert folder.names() == []
    folder.put("b", b"two")
    folder.put("a", b"")
    file = tmp_path / "file"
    file.write_bytes(b"three")
    folder.put_file("c", file)
    assert folder.names() == ["a", "b", "c"]
    assert [folder.size(name) for name in "abcd"] == [0, 3, 5, None]
    assert [folder.read(name, most=5) for name in "abc"] == [b"", b"two", b"three"]
    with folder.open("c") as reader:
        reader.seek(2)
        assert reader.read() == b"ree"


def test_nothing_is_overwritten(folder, tmp_path):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    folder.put("a", b"one")
    folder.put("a", b"one")
    folder.put_file("a", file)
    file.write_bytes(b"two")
    for put in (lambda: folder.put("a", b"two"), lambda: folder.put_file("a", file)):
        with pytest.raises(PathTakenError, match="left as it is"):
            put()
    assert folder.read("a", most=3) == b"one"


def test_only_replace_replaces(folder):
    folder.replace("a", b"one")
    folder.replace("a", b"two")
    assert folder.read("a", most=3) == b"two"


def test_what_is_removed_is_gone(folder):
    folder.put("a", b"one")
    folder.remove("a")
    folder.remove("a")
    assert folder.names() == []
    with pytest.raises(MissingFileError):
        folder.read("a", most=3)
    with pytest.raises(MissingFileError):
        folder.open("a")


def test_a_folder_below_is_another_folder(folder):
    folder.below("log").put("a", b"one")
    folder.put("b", b"two")
    assert folder.names() == ["b"]
    assert folder.below("log").names() == ["a"]


def test_what_is_too_large_is_not_read(folder):
    folder.put("a", b"four")
    with pytest.raises(InvalidValueError, match="expected up to 3 bytes"):
        folder.read("a", most=3)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "/a", ".hidden", "a\\b", "a\nb"])
def test_a_name_stays_in_its_folder(folder, name):
    for do in (lambda: folder.put(name, b""), lambda: folder.open(name)):
        with pytest.raises(LedgerError):
            do()
