"""Durable file steps: their order, their refusals, and what they leave behind."""

from __future__ import annotations

import errno
import hashlib
import os
import resource
from pathlib import Path

import pytest

from ledger import files
from ledger.errors import (
    FileChangedError,
    MissingFileError,
    PathTakenError,
    StorageError,
    UnreadableFileError,
    UnsupportedFileError,
)
from ledger.files import Member, copy_file, copy_tree, make_folders, remove_durably, write_durably
from ledger.input_files import open_regular
from tests.support.chance import bytes_of


@pytest.fixture
def steps(monkeypatch) -> list[tuple[str, str]]:
    """Record the durable steps that are taken, by the last part of their paths."""
    taken: list[tuple[str, str]] = []

    def record(what: str, path: str) -> None:
        name = Path(path).name
        taken.append((what, "temporary" if files.is_temporary(name) else name))

    monkeypatch.setattr(files, "step", record)
    return taken


def members(folder: Path) -> list[Member]:
    return [
        Member(path.relative_to(folder).as_posix(), lambda path=path: open_regular(path))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


@pytest.fixture
def tree(tmp_path) -> Path:
    for name in ("a", "x/b", "x/y/c"):
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "tree"


def fail_at(monkeypatch, wanted: str, number: int) -> None:
    def fault(what: str, _path: str) -> None:
        if what == wanted:
            raise OSError(number, os.strerror(number))

    monkeypatch.setattr(files, "step", fault)


def test_bytes_are_on_the_disk_before_they_have_a_name(tmp_path, steps):
    write_durably(tmp_path / "a", b"1")
    assert steps == [
        ("create", "temporary"),
        ("write", "temporary"),
        ("sync", "temporary"),
        ("publish", "a"),
        ("sync-folder", tmp_path.name),
    ]


def test_every_fsync_reaches_the_system(tmp_path, monkeypatch):
    real, synced = os.fsync, []
    monkeypatch.setattr(
        files.os,
        "fsync",
        lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd)),
    )
    write_durably(tmp_path / "a", b"1")
    assert files.is_temporary(Path(synced[0]).name)
    assert synced[1:] == [str(tmp_path)]


def test_every_file_and_folder_of_a_tree_is_on_the_disk_before_it_has_a_name(tmp_path, tree, steps):
    copy_tree(members(tree), tmp_path / "copy")
    before = [step for step in steps if step[0] != "make-folder"]
    published = before.index(("publish", "copy"))
    assert {name for what, name in before[:published] if what == "sync"} == {"a", "b", "c"}
    assert [name for what, name in before[:published] if what == "sync-folder"] == [
        "y",
        "x",
        "temporary",
    ]
    assert before[published + 1 :] == [("sync-folder", tmp_path.name)]


def test_each_new_folder_is_on_the_disk_in_the_one_above(tmp_path, steps):
    make_folders(tmp_path / "a" / "b")
    assert steps == [
        ("make-folder", "a"),
        ("sync-folder", tmp_path.name),
        ("make-folder", "b"),
        ("sync-folder", "a"),
    ]


def test_folder_that_another_process_just_made_is_made_durable_too(tmp_path, steps):
    (tmp_path / "a").mkdir()
    make_folders(tmp_path / "a")
    assert steps == [("sync-folder", tmp_path.name)]


def test_file_in_the_way_of_a_folder_is_named(tmp_path):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(PathTakenError, match="a: something is there"):
        make_folders(tmp_path / "a")
    with pytest.raises(StorageError, match="cannot be written"):
        make_folders(tmp_path / "a" / "b")


def test_written_file_replaces_the_old_one_only_if_asked_to(tmp_path):
    write_durably(tmp_path / "a", b"1")
    write_durably(tmp_path / "a", b"2", mode=0o600)
    assert (tmp_path / "a").read_bytes() == b"2"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    with pytest.raises(PathTakenError):
        write_durably(tmp_path / "a", b"3", replace=False)
    assert (tmp_path / "a").read_bytes() == b"2"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
def test_file_system_without_links_is_written_to_all_the_same(tmp_path, monkeypatch, number):
    def refuse(*_args: object) -> None:
        raise OSError(number, "no links here")

    monkeypatch.setattr(files.os, "link", refuse)
    write_durably(tmp_path / "a", b"1", replace=False)
    assert (tmp_path / "a").read_bytes() == b"1"
    with pytest.raises(PathTakenError):
        write_durably(tmp_path / "a", b"2", replace=False)
    assert (tmp_path / "a").read_bytes() == b"1"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_file_system_that_cannot_fsync_a_folder_is_written_to_all_the_same(tmp_path, monkeypatch):
    real = files._flush_to_disk

    def refuse_folders(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").is_dir():
            raise OSError(errno.EINVAL, "not for folders")
        real(descriptor)

    monkeypatch.setattr(files, "step", lambda _what, _path: None)
    monkeypatch.setattr(files, "_flush_to_disk", refuse_folders)
    write_durably(tmp_path / "a", b"1")
    assert (tmp_path / "a").read_bytes() == b"1"


def test_copy_tells_size_and_digest_of_what_was_read(tmp_path):
    data = bytes_of(3 * files.BLOCK + 7)
    (tmp_path / "a").write_bytes(data)
    counts: list[int] = []
    copied = copy_file(tmp_path / "a", tmp_path / "b", mode=0o444, progress=counts.append)
    assert copied == ("", len(data), "sha256:" + hashlib.sha256(data).hexdigest())
    assert (tmp_path / "b").read_bytes() == data
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o444
    assert counts == [files.BLOCK] * 3 + [7]


def test_refused_copy_leaves_nothing(tmp_path, tree):
    def refuse(_copied: object) -> None:
        raise FileChangedError("not what was hashed")

    with pytest.raises(FileChangedError):
        copy_file(tree / "a", tmp_path / "b", accept=refuse)
    with pytest.raises(FileChangedError):
        copy_tree(members(tree), tmp_path / "b", accept=refuse)
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_copied_tree_is_the_same_and_comes_in_the_order_given(tmp_path, tree):
    copied = copy_tree(members(tree), tmp_path / "copy", mode=0o444)
    assert [each.name for each in copied] == ["a", "x/b", "x/y/c"]
    for each in copied:
        assert (tmp_path / "copy" / each.name).read_bytes() == each.name.encode()


@pytest.mark.parametrize("kind", ["file", "folder", "empty folder", "dangling link"])
def test_copy_never_takes_the_place_of_anything(tmp_path, tree, kind):
    target = tmp_path / "target"
    match kind:
        case "file":
            target.write_bytes(b"mine")
        case "dangling link":
            target.symlink_to("nowhere")
        case _:
            target.mkdir()
            if kind == "folder":
                (target / "mine").write_bytes(b"")
    for copy in (
        lambda: copy_file(tree / "a", target),
        lambda: copy_tree(members(tree), target),
    ):
        with pytest.raises(PathTakenError, match="target: something is there already"):
            copy()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target", "tree"]
    assert not (target / "a").exists()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("step", ["create", "write", "sync", "publish"])
def test_full_disk_is_said_to_be_so_and_leaves_nothing(tmp_path, tree, monkeypatch, step, number):
    fail_at(monkeypatch, step, number)
    for work in (
        lambda: write_durably(tmp_path / "b", b"1"),
        lambda: copy_file(tree / "a", tmp_path / "b"),
        lambda: copy_tree(members(tree), tmp_path / "b"),
    ):
        with pytest.raises(StorageError, match="free some space and try again") as info:
            work()
        assert isinstance(info.value.__cause__, OSError)
        assert info.value.__cause__.errno == number
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_write_cut_short_by_the_system_leaves_nothing(tmp_path):
    (tmp_path / "a").write_bytes(bytes(4 * files.BLOCK))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (files.BLOCK + 100, hard))
    try:
        with pytest.raises(StorageError, match="File too large"):
            copy_file(tmp_path / "a", tmp_path / "b")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_failed_fsync_is_not_tried_again(tmp_path, monkeypatch):
    calls: list[int] = []

    def fail(descriptor: int) -> None:
        calls.append(descriptor)
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files.os, "fsync", fail)
    with pytest.raises(StorageError, match="Input/output error"):
        write_durably(tmp_path / "a", b"1")
    assert len(calls) == 1
    assert list(tmp_path.iterdir()) == []


def test_interrupted_copy_leaves_nothing(tmp_path, tree, monkeypatch):
    def interrupt(what: str, _path: str) -> None:
        if what == "sync":
            raise KeyboardInterrupt

    monkeypatch.setattr(files, "step", interrupt)
    for work in (
        lambda: copy_file(tree / "a", tmp_path / "b"),
        lambda: copy_tree(members(tree), tmp_path / "b"),
    ):
        with pytest.raises(KeyboardInterrupt):
            work()
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_source_that_cannot_be_read_to_its_end_is_unreadable(tmp_path):
    class Broken:
        def read(self, _count: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    with pytest.raises(UnreadableFileError, match="far away: cannot be read"):
        files.copy_stream(Broken(), tmp_path / "b", source="far away")
    assert list(tmp_path.iterdir()) == []


def test_only_what_is_a_file_can_be_copied(tmp_path):
    with pytest.raises(MissingFileError):
        copy_file(tmp_path / "gone", tmp_path / "b")
    with pytest.raises(UnsupportedFileError, match="found a folder"):
        copy_file(tmp_path, tmp_path / "b")


def test_target_folder_that_is_not_there_is_named(tmp_path, tree):
    with pytest.raises(StorageError, match="cannot be written"):
        copy_file(tree / "a", tmp_path / "gone" / "b")


def test_read_only_files_and_whole_folders_are_removed(tmp_path, tree):
    copy_tree(members(tree), tmp_path / "copy", mode=0o444)
    (tmp_path / "copy" / "x").chmod(0o500)
    remove_durably(tmp_path / "copy")
    remove_durably(tree / "a")
    remove_durably(tree / "a")
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]
    assert not (tree / "a").exists()


def test_removing_a_link_leaves_what_it_leads_to(tmp_path, tree):
    (tmp_path / "link").symlink_to(tree)
    remove_durably(tmp_path / "link")
    assert (tree / "a").exists()
    assert not (tmp_path / "link").is_symlink()


def test_folder_vanishes_before_its_first_file_is_removed(tmp_path, tree, monkeypatch):
    def fail(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(files, "_delete", fail)
    with pytest.raises(StorageError):
        remove_durably(tree)
    (left,) = tmp_path.iterdir()
    assert files.is_temporary(left.name)
    assert (left / "a").read_bytes() == b"a"


def test_a_private_file_is_its_owners_alone_from_its_first_byte(tmp_path, monkeypatch):
    seen = []

    def look(what: str, path: str) -> None:
        if what == "write":
            seen.append(Path(path).stat().st_mode & 0o777)

    monkeypatch.setattr(files, "step", look)
    before = os.umask(0)
    try:
        write_durably(tmp_path / "key", b"secret", mode=0o600)
    finally:
        os.umask(before)
    assert seen == [0o600]
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
