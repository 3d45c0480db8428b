"""The cache of fetched content: right, bounded, and rid of what was longest unused."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from ledger.content import download
from ledger.content.download import ContentCache
from ledger.content.hashing import hash_path
from ledger.errors import StorageError


class Source:
    """Content of a given size, and how often it was fetched."""

    def __init__(self, folder: Path, name: str, size: int = 1000) -> None:
        self.data = name.encode().ljust(size, b".")
        path = folder / name
        path.write_bytes(self.data)
        self.digest = hash_path(path).digest
        self.fetched = 0

    def fetch(self, target: Path) -> None:
        self.fetched += 1
        target.write_bytes(self.data)


def get(cache: ContentCache, source: Source, limit: int | None = None) -> Path:
    return cache.get(source.digest, ".txt", size=len(source.data), limit=limit, fetch=source.fetch)


def age(path: Path, seconds: float) -> None:
    moment = time.time() - seconds
    for each in (path, path.parent / ".used" / path.name):
        os.utime(each, (moment, moment))


@pytest.fixture
def sources(tmp_path) -> list[Source]:
    return [Source(tmp_path, f"source{number}") for number in range(4)]


@pytest.fixture
def cache(tmp_path) -> ContentCache:
    return ContentCache(tmp_path / "cache")


def test_content_is_fetched_once(cache, sources, tmp_path):
    for _ in range(2):
        assert get(cache, sources[0]).read_bytes() == sources[0].data
    assert get(ContentCache(tmp_path / "cache"), sources[0]).read_bytes() == sources[0].data
    assert sources[0].fetched == 1


def test_content_that_was_changed_or_removed_is_fetched_anew(cache, sources):
    path = get(cache, sources[0])
    path.write_bytes(b"other")
    assert get(cache, sources[0]).read_bytes() == sources[0].data
    path.unlink()
    assert get(cache, sources[0]).read_bytes() == sources[0].data
    assert sources[0].fetched == 3


def test_longest_unused_content_gives_way_first(cache, sources):
    paths = [get(cache, source) for source in sources[:3]]
    for path, seconds in zip(paths, (5000, 9000, 7000), strict=True):
        age(path, seconds)
    fourth = get(cache, sources[3], limit=2500)
    assert [path.exists() for path in (*paths, fourth)] == [True, False, False, True]


def test_use_counts_and_not_the_time_of_fetching(cache, sources):
    paths = [get(cache, source) for source in sources[:2]]
    for path in paths:
        age(path, 9000)
    get(cache, sources[0])
    get(cache, sources[2], limit=2500)
    assert [path.exists() for path in paths] == [True, False]


def test_what_was_just_used_stays_whatever_the_limit(cache, sources):
    paths = [get(cache, source, limit=0) for source in sources]
    assert all(path.exists() for path in paths)


def test_no_limit_keeps_everything(cache, sources):
    paths = [get(cache, source) for source in sources[:3]]
    for path in paths:
        age(path, 10**6)
    get(cache, sources[3], limit=None)
    assert all(path.exists() for path in paths)


def test_old_temporaries_are_removed_and_young_ones_left(cache, sources):
    folder = get(cache, sources[0]).parent
    for name, seconds in (("old", 2 * 86_400), ("young", 60)):
        path = folder / f".tmp-{name}"
        path.write_bytes(b"half")
        os.utime(path, (time.time() - seconds,) * 2)
    get(cache, sources[1])
    assert {path.name for path in folder.glob(".tmp-*")} == {".tmp-young"}


def test_failed_fetch_leaves_nothing_and_is_told(cache, sources, tmp_path):
    def fetch(_target: Path) -> None:
        raise StorageError("no answer")

    with pytest.raises(StorageError, match="no answer"):
        cache.get(sources[0].digest, ".txt", size=1, limit=None, fetch=fetch)
    assert list((tmp_path / "cache").iterdir()) == []


def test_time_in_use_is_longer_than_reading_takes_to_begin():
    assert download.IN_USE >= 60
