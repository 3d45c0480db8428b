"""A cache that may be lost, locked or full of garbage, and never gives a wrong answer."""

from __future__ import annotations

import contextlib
import os
import random
import sqlite3
import subprocess
import sys
import time
from mmap import mmap
from pathlib import Path

import msgspec
import pytest

from ledger.content import hash_cache, hashing
from ledger.content.hash_cache import HashCache
from ledger.content.hashing import hash_many, hash_path
from ledger.content.tree import HashedContent
from ledger.errors import FileChangedError
from ledger.user_settings import settings

LATER = time.time_ns() + 10**15


def content(path: Path) -> HashedContent:
    return hash_path(path)


def filled(tmp_path: Path, count: int = 20) -> tuple[Path, list[Path]]:
    """Return the file of a cache that knows `count` files, and these files."""
    paths = []
    for i in range(count):
        paths.append(tmp_path / f"file{i}")
        paths[-1].write_bytes(b"%d" % i)
    where = tmp_path / "cache" / "hashes.sqlite3"
    with contextlib.closing(HashCache(where)) as cache:
        for path in paths:
            cache.put(path, content(path), hashed_at=LATER)
    return where, paths


def answers(where: Path, paths: list[Path]) -> list[HashedContent | None]:
    with contextlib.closing(HashCache(where)) as cache:
        return [cache.get(path, content(path).stamp) for path in paths]


def test_unchanged_file_is_remembered_across_processes(tmp_path):
    where, paths = filled(tmp_path)
    assert answers(where, paths) == [content(path) for path in paths]


def test_entry_answers_before_it_is_written(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        cache.put(path, content(path), hashed_at=LATER)
        assert cache.get(path, content(path).stamp) == content(path)
        assert cache.get(path, (0, 0, 0, 0, 0)) is None


@pytest.mark.parametrize("part", range(5))
def test_any_other_stamp_is_a_stranger(tmp_path, part):
    where, paths = filled(tmp_path, 1)
    stamp = list(content(paths[0]).stamp)
    stamp[part] = int(stamp[part]) + 1
    with contextlib.closing(HashCache(where)) as cache:
        assert cache.get(paths[0], tuple(stamp)) is None


def test_inode_beyond_63_bits_is_remembered(tmp_path):
    path = tmp_path / "a"
    stamp = (2**64 - 1, 2**64 - 1, 1, 5, 5)
    hashed = HashedContent(hash="h", hash_type="md5", digest="d", size=1, stamp=stamp)
    for _ in range(2):
        with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
            cache.put(path, hashed, hashed_at=LATER)
            cache.flush()
            assert cache.get(path, stamp) == hashed


@pytest.mark.parametrize(("mtime", "ctime"), [(100, 0), (0, 100)])
def test_file_changed_just_before_it_was_hashed_is_not_remembered(tmp_path, mtime, ctime):
    second = 10**9
    stamp = (1, 1, 1, mtime * second, ctime * second)
    hashed = HashedContent(hash="h", hash_type="md5", digest="d", size=1, stamp=stamp)
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        for age in (-1, 0, 2):
            cache.put("/a", hashed, hashed_at=(100 + age) * second)
            assert cache.get("/a", stamp) is None
        cache.put("/a", hashed, hashed_at=104 * second)
        assert cache.get("/a", stamp) == hashed


def test_change_that_keeps_size_and_times_of_a_fresh_file_is_seen(tmp_path, monkeypatch):
    # A file system with a coarse clock: every stamp of this file looks the same.
    now = time.time_ns()
    real = hashing.stamp_of
    monkeypatch.setattr(hashing, "stamp_of", lambda status: (*real(status)[:3], now, now))
    path = tmp_path / "a"
    path.write_bytes(b"one")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        before = hash_path(path, cache=cache)
        with path.open("r+b") as writer:
            writer.write(b"two")
        after = hash_path(path, cache=cache)
    assert before.stamp == after.stamp
    assert before.digest != after.digest


def aged(path: Path, data: bytes) -> Path:
    """Write a file that is old enough to be remembered, as far as the hashing code can tell."""
    path.write_bytes(data)
    return path


@pytest.fixture
def old_files(monkeypatch):
    """Let every moment of hashing be far later than every file."""
    monkeypatch.setattr(hashing.time, "time_ns", lambda: LATER)


@pytest.mark.usefixtures("old_files")
def test_remembered_file_is_not_read_again(tmp_path, monkeypatch):
    paths = [aged(tmp_path / str(i), b"%d" % i) for i in range(5)]
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        first = hash_many(paths, cache=cache)
        monkeypatch.setattr(hashing, "open_regular", None)
        counts: list[int] = []
        assert hash_many(paths, cache=cache, progress=counts.append) == first
        assert sum(counts) == 5


@pytest.mark.usefixtures("old_files")
def test_folder_is_put_together_from_remembered_files(tmp_path, monkeypatch):
    (tmp_path / "d").mkdir()
    aged(tmp_path / "d" / "a", b"1")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        first = hash_path(tmp_path / "d", cache=cache)
        monkeypatch.setattr(hashing, "open_regular", None)
        assert hash_path(tmp_path / "d", cache=cache) == first


@pytest.mark.usefixtures("old_files")
def test_rehash_reads_every_byte_and_corrects_what_is_remembered(tmp_path):
    path = aged(tmp_path / "a", b"1")
    truth = hash_path(path)
    lie = HashedContent(hash="lie", hash_type="md5", digest="lie", size=1, stamp=truth.stamp)
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        cache.put(path, lie, hashed_at=LATER)
        assert hash_path(path, cache=cache) == lie
        assert hash_path(path, cache=cache, rehash=True) == truth
        assert hash_path(path, cache=cache) == truth


def test_file_that_failed_to_hash_is_not_remembered(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"1")

    def grow(_count):
        with path.open("ab") as writer:
            writer.write(b"11")

    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        with pytest.raises(FileChangedError):
            hash_path(path, cache=cache, progress=grow)
        assert cache.get(path, content(path).stamp) is None


@pytest.mark.parametrize(
    "garbage", [b"", b"not a database at all" * 100, b"SQLite format 3\0" * 64]
)
def test_garbage_for_a_cache_is_replaced_by_a_working_one(tmp_path, garbage):
    where, paths = filled(tmp_path)
    where.write_bytes(garbage)
    assert answers(where, paths) == [None] * len(paths)
    with contextlib.closing(HashCache(where)) as cache:
        cache.put(paths[0], content(paths[0]), hashed_at=LATER)
    assert answers(where, paths[:1]) == [content(paths[0])]


def test_flipped_bytes_anywhere_never_give_a_wrong_answer(tmp_path):
    where, paths = filled(tmp_path, 60)
    truth = [content(path) for path in paths]
    whole = where.read_bytes()
    chance = random.Random(7)  # noqa: S311  (not a secret)
    answered = 0
    for _ in range(60):
        broken = bytearray(whole)
        for _ in range(chance.choice((1, 5, 40))):
            broken[chance.randrange(len(broken))] = chance.randrange(256)
        where.write_bytes(broken)
        for found, right in zip(answers(where, paths), truth, strict=True):
            assert found in (None, right)
            answered += found is not None
    assert answered > 0


def test_truncated_cache_never_gives_a_wrong_answer(tmp_path):
    where, paths = filled(tmp_path, 60)
    whole = where.read_bytes()
    for length in range(0, len(whole), 997):
        where.write_bytes(whole[:length])
        for found, path in zip(answers(where, paths), paths, strict=True):
            assert found in (None, content(path))


def test_row_with_another_hash_in_it_is_not_believed(tmp_path):
    where, paths = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(where)) as database, database:
        database.execute("UPDATE hashes SET hash = 'x'")
    assert answers(where, paths) == [None] * len(paths)


def test_cache_of_a_newer_program_is_made_anew(tmp_path):
    where, paths = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(where)) as database:
        database.execute("PRAGMA user_version = 99")
    assert answers(where, paths) == [None] * len(paths)
    with contextlib.closing(HashCache(where)) as cache:
        cache.put(paths[0], content(paths[0]), hashed_at=LATER)
    assert answers(where, paths[:1]) == [content(paths[0])]


def test_cache_in_the_hands_of_another_is_not_waited_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(hash_cache, "_LOCK_SECONDS", 0.0)
    where, paths = filled(tmp_path)
    with contextlib.closing(sqlite3.connect(where, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode = EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        with contextlib.closing(HashCache(where)) as cache:
            assert [cache.get(path, content(path).stamp) for path in paths] == [None] * len(paths)
            cache.put(paths[0], content(paths[0]), hashed_at=LATER)
            cache.flush()
            assert cache.stale_count() == 0
            assert cache.prune() == 0
    # What the other one holds was not taken for damage and removed.
    assert answers(where, paths) == [content(path) for path in paths]


def test_cache_deleted_while_it_is_open_costs_only_what_it_held(tmp_path):
    where, paths = filled(tmp_path)
    with contextlib.closing(HashCache(where)) as cache:
        assert cache.get(paths[0], content(paths[0]).stamp) is not None
        where.unlink()
        cache.put(paths[0], content(paths[0]), hashed_at=LATER)
    assert set(answers(where, paths)) <= {None, *map(content, paths)}


def test_cache_where_no_file_can_be_is_off(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    path = tmp_path / "file"
    with contextlib.closing(HashCache(tmp_path / "file" / "c.sqlite3")) as cache:
        cache.put(path, content(path), hashed_at=LATER)
        cache.flush()
        assert cache.get(path, content(path).stamp) is None
        assert cache.stale_count() == 0


def test_stale_entries_are_counted_and_pruned(tmp_path):
    where, paths = filled(tmp_path, 10)
    paths[0].unlink()
    paths[1].write_bytes(b"changed")
    with contextlib.closing(HashCache(where)) as cache:
        assert cache.stale_count() == 2
        assert cache.prune() == 2
        assert cache.stale_count() == 0
    assert answers(where, paths[2:]) == [content(path) for path in paths[2:]]


def test_number_of_entries_is_bounded(tmp_path):
    where = tmp_path / "c.sqlite3"
    paths = [aged(tmp_path / f"f{i}", b"1") for i in range(30)]
    with contextlib.closing(HashCache(where, max_entries=10)) as cache:
        for path in paths:
            cache.put(path, content(path), hashed_at=LATER)
    assert sum(found is not None for found in answers(where, paths)) == 10


def test_longest_unused_entries_go_first(tmp_path, monkeypatch):
    where, paths = filled(tmp_path, 4)
    monkeypatch.setattr(hash_cache, "_today", lambda: 10**6)
    assert answers(where, paths[2:]) == [content(path) for path in paths[2:]]
    with contextlib.closing(HashCache(where, max_entries=2)) as cache:
        assert cache.prune() == 2
    assert [found is not None for found in answers(where, paths)] == [False, False, True, True]


def test_entries_are_written_in_batches(tmp_path, monkeypatch):
    monkeypatch.setattr(hash_cache, "_BATCH", 10)
    batches: list[int] = []
    real = hash_cache._write
    monkeypatch.setattr(
        hash_cache,
        "_write",
        lambda c, rows, touched: (batches.append(len(rows)), real(c, rows, touched)),
    )
    filled(tmp_path, 25)
    assert batches == [10, 10, 5]


def test_large_files_are_written_at_once_so_that_a_killed_process_keeps_them(tmp_path, monkeypatch):
    monkeypatch.setattr(hash_cache, "_BATCH_BYTES", 10)
    where, paths = tmp_path / "cache" / "hashes.sqlite3", [tmp_path / "a", tmp_path / "b"]
    cache = HashCache(where)
    for path, size in zip(paths, (10, 9), strict=True):
        path.write_bytes(b"x" * size)
        cache.put(path, content(path), hashed_at=LATER)
    assert answers(where, paths) == [content(paths[0]), None]


ENDS = """
import sys
from ledger.content.hash_cache import HashCache
from ledger.content.hashing import hash_path
cache = HashCache(sys.argv[1])
cache.put(sys.argv[2], hash_path(sys.argv[2]), hashed_at=10**20)
"""


def test_what_is_left_is_written_when_the_process_ends(tmp_path):
    path, where = tmp_path / "a", tmp_path / "ledger" / "cache" / "hashes.sqlite3"
    path.write_bytes(b"1")
    where.parent.parent.mkdir()
    program = [sys.executable, "-c", ENDS, where, path]
    subprocess.run(program, check=True, cwd=Path(hash_cache.__file__).parents[2])
    assert answers(where, [path]) == [content(path)]


def test_the_end_of_a_process_makes_no_folder_where_a_ledger_was(tmp_path):
    path, where = tmp_path / "a", tmp_path / "gone" / "cache" / "hashes.sqlite3"
    path.write_bytes(b"1")
    program = [sys.executable, "-c", ENDS, where, path]
    subprocess.run(program, check=True, cwd=Path(hash_cache.__file__).parents[2])
    assert not (tmp_path / "gone").exists()


def test_path_that_is_not_utf8_is_remembered(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    path.write_bytes(b"1")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        cache.put(path, hash_path(path), hashed_at=LATER)
        cache.flush()
        assert cache.get(path, hash_path(path).stamp) == hash_path(path)


# --- files that change without a new time ---------------------------------------------------------


def old(path: Path, data: bytes) -> Path:
    """Return a file that was written long ago, by its times as far as they can be set."""
    path.write_bytes(data)
    os.utime(path, ns=(10**18, 10**18))
    return path


@pytest.fixture
def long_since(monkeypatch):
    """Times are compared as if every file had been written long before it was hashed."""
    monkeypatch.setattr(hashing.time, "time_ns", lambda: LATER)


@pytest.mark.usefixtures("long_since")
@pytest.mark.parametrize("way", ["mapped", "opened"])
def test_a_file_that_this_process_may_be_writing_is_always_read(tmp_path, way):
    path = old(tmp_path / "values.csv", b"1")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        first = hash_path(path, cache=cache)
        assert cache.get(path, first.stamp) == first
        with path.open("r+b", buffering=0) as file, mmap(file.fileno(), 0) as view:
            if way == "mapped":
                file.close()
                view[0:1] = b"2"
            else:
                file.write(b"2")
            # As a map leaves it: nothing tells of the change.
            os.utime(path, ns=(10**18, 10**18))
            cache.put(path, first_again(first, path), hashed_at=LATER)
            assert hash_path(path, cache=cache).digest != first.digest


def first_again(hashed: HashedContent, path: Path) -> HashedContent:
    """Return what was hashed with the stamp that the file has now."""
    return msgspec.structs.replace(hashed, stamp=content(path).stamp)


@pytest.mark.parametrize(
    ("name", "is_known"), [("a.csv", True), ("a.npy", False), ("A.DAT", False)]
)
def test_kinds_that_are_written_through_a_map_wait_until_pages_are_on_the_disk(
    tmp_path, name, is_known
):
    path = old(tmp_path / name, b"1")
    hashed = content(path)
    written = max(hashed.stamp[3:])
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        cache.put(path, hashed, hashed_at=written + 50 * 10**9)
        assert (cache.get(path, hashed.stamp) is not None) == is_known
        cache.put(path, hashed, hashed_at=written + 61 * 10**9)
        assert cache.get(path, hashed.stamp) == hashed


@pytest.mark.usefixtures("long_since")
@pytest.mark.parametrize("way", ["rehash", "settings"])
def test_every_byte_is_read_where_that_is_asked_for(tmp_path, monkeypatch, way):
    path = old(tmp_path / "a", b"1")
    wrong = msgspec.structs.replace(content(path), digest="wrong")
    with contextlib.closing(HashCache(tmp_path / "c.sqlite3")) as cache:
        cache.put(path, wrong, hashed_at=LATER)
        assert hash_path(path, cache=cache).digest == "wrong"
        monkeypatch.setitem(settings._values, "rehash", way == "settings")
        found = hash_path(path, cache=cache, rehash=way == "rehash")
        assert found == content(path)


def test_forgetting_reaches_other_caches_over_the_same_file(tmp_path):
    where, paths = filled(tmp_path)
    with contextlib.closing(HashCache(where)) as other:
        assert other.get(paths[0], content(paths[0]).stamp) is not None
        with contextlib.closing(HashCache(where)) as cache:
            cache.forget()
        assert other.get(paths[0], content(paths[0]).stamp) is None
