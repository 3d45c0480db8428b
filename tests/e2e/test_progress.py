"""A constructor shows how far hashing has come, where nothing else shows a bar."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from pathlib import Path

import pytest

import ledger as ln
from ledger.registries import local_content

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def bars(monkeypatch):
    """Every bar that was begun: its total, and the sum of its steps."""
    begun: list[list[int | None]] = []

    @contextmanager
    def progress(what, total, *, unit=""):
        assert (what, unit) == ("hashing", "bytes")
        bar = [total, 0]
        begun.append(bar)

        def step(amount):
            bar[1] += amount

        yield step

    monkeypatch.setattr(local_content, "progress", progress)
    return begun


def test_a_file_and_a_folder_are_hashed_under_a_bar(bars):
    Path("folder").mkdir()
    for name in ("one", "folder/a", "folder/b"):
        Path(name).write_bytes(name.encode() * 1_000)
    ln.Artifact("one", key="one")
    ln.Artifact("folder", key="folder")
    assert bars == [[3_000, 3_000], [None, 16_000]]


def test_other_threads_show_no_bar(bars):
    Path("one").write_bytes(b"one")
    thread = threading.Thread(target=lambda: ln.Artifact("one", key="one"))
    thread.start()
    thread.join()
    assert bars == []
