"""The same work for everyone who is measured: data from a fixed seed, tasks, and one clock.

A worker (`product.py`, `floor.py`, `peer_lamindb.py`) is a program of its own. It reads one task
from standard input, does it in a process of its own, and writes what it measured to a file. Making
the data, importing packages and opening the database are never part of the time.
"""

from __future__ import annotations

import json
import os
import random
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

SEED = 20_240_229
GROUP = 500  # records that `ln.save()` puts into one transaction; the floor groups alike
SMALLEST, LARGEST = 1_000, 10_000  # bytes of a file

_SYLLABLES = [first + vowel for first in "bdfghjklmnprstvz" for vowel in ("a", "e", "i", "o", "u")]


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a worker is asked to do.

    Attributes:
        work: "labels" or "files".
        how: "one": a commit a record; "save": a commit a group; "batch": one commit for all.
        is_replay: Whether the records are there already.
        search: Whether constructing a label looks for similar names.
        count: Number of records.
        folder: Where the ledger is or goes, with the files in `data/` below it.
        result: File for what was measured.
        is_timed: Whether it is the measured pass, or the one that prepares a replay.
    """

    work: str
    how: str
    is_replay: bool
    search: bool
    count: int
    folder: str
    result: str
    is_timed: bool = True

    def to_json(self) -> str:
        """Return it as a worker reads it."""
        return json.dumps(asdict(self))


def read_task() -> Task:
    """Return the task on standard input, with its folder as the working directory."""
    task = Task(**json.load(sys.stdin))
    os.chdir(task.folder)
    return task


def label_names(count: int) -> list[str]:
    """Return distinct names of three made-up words, most of them like no other."""
    chance = random.Random(SEED)  # noqa: S311 (data for a measurement)
    names: dict[str, None] = {}
    while len(names) < count:
        words = ["".join(chance.choices(_SYLLABLES, k=chance.randint(2, 4))) for _ in range(3)]
        names[" ".join(words)] = None
    return list(names)


def make_files(folder: Path, count: int) -> None:
    """Fill a folder with distinct files of 1 to 10 KB, their sizes spread evenly."""
    chance = random.Random(SEED)  # noqa: S311
    folder.mkdir(parents=True)
    for number in range(count):
        content = chance.randbytes(chance.randint(SMALLEST, LARGEST))
        (folder / f"file_{number:05}.bin").write_bytes(content)


def data_files(task: Task) -> list[Path]:
    """Return the files of a task, in order."""
    return sorted(Path(task.folder, "data").iterdir())


class Clock:
    """Measures one stretch of work."""

    def __init__(self) -> None:
        self.seconds = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what the block takes."""
        started = time.perf_counter()
        yield
        self.seconds += time.perf_counter() - started


def report(task: Task, clock: Clock, **more: object) -> None:
    """Write down what was measured."""
    measured = {"seconds": clock.seconds, "peak_mib": peak_mib(), **more}
    Path(task.result).write_text(json.dumps(measured), encoding="utf-8")


def peak_mib() -> float:
    """Return the most memory that this process has had resident, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():
        # What getrusage() says includes the parent's memory at the moment of the fork.
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1024**2 if sys.platform == "darwin" else peak / 1024


def groups(items: list[T], how: str) -> Iterator[list[T]]:
    """Yield the items that one transaction takes."""
    size = {"one": 1, "save": GROUP, "batch": max(len(items), 1)}[how]
    for first in range(0, len(items), size):
        yield items[first : first + size]


Worker = Callable[[Task, Clock], dict[str, object]]


def work(worker: Worker) -> None:
    """Do the task on standard input."""
    task = read_task()
    clock = Clock()
    more = worker(task, clock)
    report(task, clock, **more)
