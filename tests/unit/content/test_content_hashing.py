"""What a hash is made of, and what cannot be hashed."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.content import hashing
from ledger.content.hashing import (
    folder_digest,
    folder_hash,
    hash_many,
    hash_members,
    hash_path,
    is_unchanged,
)
from ledger.errors import (
    FileChangedError,
    InvalidValueError,
    MissingFileError,
    UnreadableFileError,
    UnsupportedFileError,
)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def md5(data: bytes) -> str:
    return b64(hashlib.md5(data, usedforsecurity=False).digest())


def net(text: str) -> bytes:
    return f"{len(text.encode())}:".encode() + text.encode() + b","


def write(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_file_has_md5_and_a_sha256_digest_of_all_bytes(tmp_path):
    hashed = hash_path(write(tmp_path / "a", b"abc"))
    assert hashed.hash == md5(b"abc")
    assert len(hashed.hash) == 22
    assert hashed.hash_type == "md5"
    assert hashed.digest == "sha256:" + hashlib.sha256(b"abc").hexdigest()
    assert (hashed.size, hashed.n_files, hashed.is_folder) == (3, None, False)


def test_empty_file_is_hashed_like_any_other(tmp_path):
    assert hash_path(write(tmp_path / "a", b"")).hash == md5(b"")


def test_file_of_exactly_the_limit_is_md5_and_one_byte_more_is_sha256(tmp_path):
    path = tmp_path / "big"
    data = bytes(hashing.MD5_LIMIT)
    path.write_bytes(data)
    at_limit = hash_path(path)
    assert (at_limit.hash_type, at_limit.hash) == ("md5", md5(data))
    data += b"x"
    path.write_bytes(data)
    above = hash_path(path)
    assert (above.hash_type, len(above.hash)) == ("sha256", 43)
    assert above.hash == b64(hashlib.sha256(data).digest())
    assert above.digest == "sha256:" + hashlib.sha256(data).hexdigest()


def test_folder_formula_is_the_one_of_the_docstring(tmp_path):
    write(tmp_path / "d" / "b.txt", b"bb")
    write(tmp_path / "d" / "a" / "c.txt", b"")
    parts = [
        ("a/c.txt", hash_path(tmp_path / "d/a/c.txt")),
        ("b.txt", hash_path(tmp_path / "d/b.txt")),
    ]
    text = b"metaledger folder v1\n" + b"".join(
        net(name) + net(part.hash_type) + net(part.hash) for name, part in parts
    )
    proof = b"metaledger folder v1\n" + b"".join(
        net(name) + net(str(part.size)) + net(part.digest) for name, part in parts
    )
    hashed = hash_path(tmp_path / "d")
    assert hashed.hash == md5(text)
    assert hashed.digest == "sha256:" + hashlib.sha256(proof).hexdigest()
    assert (hashed.hash_type, hashed.n_files, hashed.size) == ("md5-d", 2, 2)
    assert hashed.is_folder


def test_folder_hash_of_a_known_folder_never_changes(tmp_path):
    write(tmp_path / "d" / "x" / "a.csv", b"1,2\n")
    write(tmp_path / "d" / "é.txt", b"hello")
    hashed = hash_path(tmp_path / "d")
    assert hashed.hash == "EWViE4j2E4uo-5QRNNf3sQ"
    assert (
        hashed.digest == "sha256:216722123b7199370969a685c854892167224ce0331c185237971c32005fdf04"
    )


def test_empty_folder_is_not_an_empty_file(tmp_path):
    (tmp_path / "d").mkdir()
    folder, file = hash_path(tmp_path / "d"), hash_path(write(tmp_path / "f", b""))
    assert folder.n_files == 0
    assert folder.hash != file.hash
    assert folder.digest != file.digest


def test_empty_sub_folders_do_not_count(tmp_path):
    write(tmp_path / "d" / "a", b"1")
    before = hash_path(tmp_path / "d")
    (tmp_path / "d" / "empty" / "deeper").mkdir(parents=True)
    assert hash_path(tmp_path / "d") == before


def test_renaming_a_file_in_a_folder_changes_hash_and_digest(tmp_path):
    write(tmp_path / "d" / "a", b"1")
    before = hash_path(tmp_path / "d")
    (tmp_path / "d" / "a").rename(tmp_path / "d" / "b")
    after = hash_path(tmp_path / "d")
    assert after.hash != before.hash
    assert after.digest != before.digest


def test_names_are_compared_as_bytes_without_normalisation(tmp_path):
    write(tmp_path / "nfc" / "\u00e9", b"1")
    write(tmp_path / "nfd" / "e\u0301", b"1")
    assert hash_path(tmp_path / "nfc").hash != hash_path(tmp_path / "nfd").hash


_TREES = st.dictionaries(
    st.text("ab:,/1", min_size=1, max_size=5),
    st.tuples(st.just("md5"), st.text("xy1:,", max_size=4)),
    max_size=4,
)


@given(_TREES, _TREES)
def test_two_different_trees_never_have_the_same_encoding(one, other):
    hashes = [folder_hash((name, *rest) for name, rest in tree.items()) for tree in (one, other)]
    assert (hashes[0] == hashes[1]) == (one == other)


def test_order_of_files_does_not_matter_to_a_folder():
    rows = [("b", 1, "sha256:2"), ("a", 1, "sha256:1")]
    assert folder_digest(rows) == folder_digest(reversed(rows))


def test_collection_hash_ignores_order_unless_ordered():
    one, two = "a" * 22, "b" * 22
    assert hash_members([one, two], ordered=False) == hash_members([two, one], ordered=False)
    assert hash_members([one, two], ordered=True) != hash_members([two, one], ordered=True)
    assert hash_members([one, two], ordered=False) == md5(f"{one}:{two}".encode())


def test_ordered_collection_is_not_the_unordered_one_of_the_same_members():
    members = ["a" * 22, "b" * 22]
    assert hash_members(members, ordered=True) != hash_members(members, ordered=False)


@pytest.mark.parametrize("member", ["", "a:b", "a b", "é"])
def test_member_hash_of_other_characters_is_refused(member):
    with pytest.raises(InvalidValueError, match="expected base64url"):
        hash_members([member], ordered=False)


def test_many_paths_come_back_in_their_order(tmp_path):
    paths = [write(tmp_path / f"{i}", str(i).encode()) for i in range(300)]
    write(tmp_path / "d" / "x", b"folder")
    paths.insert(7, tmp_path / "d")
    assert hash_many(paths, threads=4) == [hash_path(path) for path in paths]


def test_the_same_path_twice_gives_the_same_answer_twice(tmp_path):
    path = write(tmp_path / "a", b"1")
    one, two = hash_many([path, path])
    assert one == two


def test_progress_adds_up_to_the_size(tmp_path):
    for i in range(200):
        write(tmp_path / "d" / str(i), bytes(i))
    counts: list[int] = []
    hashed = hash_path(tmp_path / "d", progress=counts.append)
    assert sum(counts) == hashed.size == sum(range(200))


def test_missing_path_is_named(tmp_path):
    with pytest.raises(MissingFileError, match=r"nowhere\.csv: no such file"):
        hash_path(tmp_path / "nowhere.csv")


def test_dangling_link_is_unsupported_and_not_missing(tmp_path):
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(UnsupportedFileError, match="link: a symbolic link that leads nowhere"):
        hash_path(tmp_path / "link")


def test_link_in_a_circle_is_unsupported(tmp_path):
    (tmp_path / "link").symlink_to("link")
    with pytest.raises(UnsupportedFileError, match="link"):
        hash_path(tmp_path / "link")


def test_link_given_by_the_caller_is_followed(tmp_path):
    (tmp_path / "link").symlink_to(write(tmp_path / "a", b"1"))
    assert hash_path(tmp_path / "link").hash == hash_path(tmp_path / "a").hash


def test_path_with_nul_is_an_invalid_value(tmp_path):
    with pytest.raises(InvalidValueError, match="not a path"):
        hash_path(f"{tmp_path}/a\0b")


def test_dots_after_a_link_mean_what_the_system_means(tmp_path, monkeypatch):
    write(tmp_path / "far" / "data", b"right")
    (tmp_path / "far" / "deep").mkdir()
    (tmp_path / "link").symlink_to("far/deep")
    write(tmp_path / "data", b"wrong")
    monkeypatch.chdir(tmp_path)
    assert hash_path("link/../data").hash == hash_path("far/data").hash


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(("make", "words"), [(make_pipe, "named pipe"), (make_socket, "socket")])
@pytest.mark.parametrize("inside", [False, True])
def test_what_is_no_file_is_refused_by_name(make, words, inside, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # The path of a socket must be short.
    (tmp_path / "d").mkdir()
    make("d/odd")
    with pytest.raises(UnsupportedFileError, match=f"odd: expected a regular file.*{words}"):
        hash_path("d" if inside else "d/odd")


def test_device_is_refused():
    with pytest.raises(UnsupportedFileError, match="a device"):
        hash_path("/dev/null")


def test_link_to_a_file_of_the_same_tree_is_followed(tmp_path):
    write(tmp_path / "d" / "a" / "x", b"1")
    (tmp_path / "d" / "y").symlink_to("a/x")
    linked = hash_path(tmp_path / "d")
    (tmp_path / "d" / "y").unlink()
    write(tmp_path / "d" / "y", b"1")
    assert hash_path(tmp_path / "d").hash == linked.hash


@pytest.mark.parametrize(
    ("target", "words"),
    [("../out", "leads out of the folder"), ("gone", "leads nowhere"), (".", "link to a folder")],
)
def test_other_links_in_a_folder_are_refused_by_name(target, words, tmp_path):
    write(tmp_path / "out", b"secret")
    write(tmp_path / "d" / "a", b"1")
    (tmp_path / "d" / "sly").symlink_to(target)
    with pytest.raises(UnsupportedFileError, match=f"sly: .*{words}"):
        hash_path(tmp_path / "d")


def test_name_that_is_not_utf8_is_refused_in_printable_words(tmp_path):
    (tmp_path / "d").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/d/\xff.csv")).touch()
    with pytest.raises(UnsupportedFileError, match=r"\\xff\.csv: expected a name in UTF-8") as info:
        hash_path(tmp_path / "d")
    assert str(info.value).encode()


def test_file_that_cannot_be_opened_is_unreadable(tmp_path, monkeypatch):
    path = write(tmp_path / "a", b"1")

    def refuse(*_args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ledger.input_files.os.open", refuse)
    with pytest.raises(UnreadableFileError, match=r"a: cannot be read \(Permission denied\)"):
        hash_path(path)


def test_file_that_changes_once_while_it_is_hashed_is_read_again(tmp_path):
    path = write(tmp_path / "a", b"old")
    changes = iter([b"newer"])

    def meddle(_count):
        for data in changes:
            path.write_bytes(data)

    assert hash_path(path, progress=meddle).hash == md5(b"newer")


def test_file_that_keeps_changing_is_refused(tmp_path):
    path = write(tmp_path / "a", b"x")

    def grow(_count):
        with path.open("ab") as writer:
            writer.write(b"x" * 10)

    with pytest.raises(FileChangedError, match="a: changed while it was hashed"):
        hash_path(path, progress=grow)


def test_file_exchanged_for_another_of_the_same_size_is_noticed(tmp_path):
    path = write(tmp_path / "a", b"old")
    others = iter([write(tmp_path / "b", b"new")])

    def exchange(_count):
        for other in others:
            other.replace(path)

    assert hash_path(path, progress=exchange).hash == md5(b"new")


def test_file_removed_while_it_is_hashed_is_missing(tmp_path):
    path = write(tmp_path / "a", b"old")
    with pytest.raises(MissingFileError, match="a: no such file"):
        hash_path(path, progress=lambda _count: path.unlink(missing_ok=True))


def test_unchanged_file_and_folder_are_told_by_their_stamps(tmp_path):
    path = write(tmp_path / "d" / "a", b"1")
    file, folder = hash_path(path), hash_path(tmp_path / "d")
    assert is_unchanged(path, file)
    assert is_unchanged(tmp_path / "d", folder)
    path.write_bytes(b"22")
    assert not is_unchanged(path, file)
    assert not is_unchanged(tmp_path / "d", folder)


def test_folder_with_one_more_file_is_changed(tmp_path):
    write(tmp_path / "d" / "a", b"1")
    folder = hash_path(tmp_path / "d")
    write(tmp_path / "d" / "b", b"")
    assert not is_unchanged(tmp_path / "d", folder)


def test_what_is_gone_is_changed(tmp_path):
    path = write(tmp_path / "a", b"1")
    hashed = hash_path(path)
    path.unlink()
    assert not is_unchanged(path, hashed)
