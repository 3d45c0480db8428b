"""Readers by ranges read what a file would read, whatever is asked of them."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.content import ranged
from tests.support.chance import bytes_of
from tests.support.patience import PATIENCE

DATA = bytes(range(256)) * 40


def reader_of(data: bytes, asked: list[tuple[int, int]] | None = None):
    def read(start: int, end: int) -> bytes:
        assert 0 <= start < end <= len(data)
        if asked is not None:
            asked.append((start, end))
        return data[start:end]

    return read


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(-1, 3000), st.just(0)),
        st.tuples(st.just("seek"), st.integers(0, 12_000), st.just(os.SEEK_SET)),
        st.tuples(st.just("seek"), st.integers(-50, 0), st.just(os.SEEK_END)),
    ),
    max_size=20,
)


@given(STEPS)
def test_seekable_reader_is_like_a_file(steps):
    ours, theirs = ranged.seekable(reader_of(DATA), len(DATA)), io.BytesIO(DATA)
    for what, number, whence in steps:
        if what == "read":
            assert ours.read(number) == theirs.read(number)
        else:
            assert ours.seek(number, whence) == theirs.seek(number, whence)
        assert ours.tell() == theirs.tell()


def test_nothing_is_asked_before_it_is_read_and_only_what_is_near():
    asked: list[tuple[int, int]] = []
    data = bytes(10 * 1024**2)
    reader = ranged.seekable(reader_of(data, asked), len(data))
    reader.seek(-100, os.SEEK_END)
    assert asked == []
    assert len(reader.read()) == 100
    assert asked == [(len(data) - 100, len(data))]


def test_reading_straight_on_asks_for_more_at_once():
    asked: list[tuple[int, int]] = []
    data = bytes(30 * 1024**2)
    reader = ranged.seekable(reader_of(data, asked), len(data))
    while reader.read(8192):
        pass
    assert len(asked) < 20
    assert sum(end - start for start, end in asked) == len(data)


@pytest.mark.parametrize("size", [0, 1, 1000, ranged.CHUNK, ranged.CHUNK + 1, 3 * ranged.CHUNK + 7])
def test_straight_reader_reads_all_of_it_in_order(size):
    data = bytes_of(size)
    with ranged.straight(reader_of(data), size) as reader:
        assert b"".join(iter(lambda: reader.read(1024**2), b"")) == data


def test_straight_reader_has_several_requests_on_their_way():
    together = threading.Barrier(2, timeout=PATIENCE)
    size = 2 * ranged.CHUNK

    def read(start: int, end: int) -> bytes:
        together.wait()
        return bytes(end - start)

    with ranged.straight(read, size) as reader:
        assert len(reader.read()) == size


def test_fault_of_a_request_is_the_readers():
    def read(_start: int, _end: int) -> bytes:
        raise OSError("gone")

    for make in (ranged.straight, ranged.seekable):
        reader = make(read, 2 * ranged.CHUNK)
        with pytest.raises(OSError, match="gone"):
            reader.read(10)
