"""What the processes of a pass tell the one that began it: a file of each, in one folder.

1. A process that joins a pass writes a line for each intent that it came past, once that is
   durable. A pass without such processes has no folder.
2. The process that began the pass reads them all at its end, and removes the folder.
3. They are needed where nothing else holds what a process did: intents without effect, and known
   ones. A line that cannot be written, or was cut off, is left out: the next pass asks again.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ledger import forks
from ledger.decisions.replay import Passage, Passed, is_artifact
from ledger.model.events import Noted

Counts = tuple[int, int, int, int]


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a process came past since its last line.

    Attributes:
        passed: The intents, each with its outcome.
        made: Artifacts that it saved.
        read: Artifacts that it read.
        counts: Of all that it has done: intents, known ones, those without effect, events.
        new: How many records of each registry it has made in all.
        versions: How many of these are new versions.
    """

    passed: list[Noted]
    made: list[str]
    read: list[str]
    counts: Counts
    new: dict[str, int] = {}
    versions: dict[str, int] = {}


class Told(msgspec.Struct):
    """What all processes that joined a pass have told."""

    passed: list[Noted] = []
    made: list[str] = []
    read: list[str] = []
    counts: Counts = (0, 0, 0, 0)
    new: Counter[str] = msgspec.field(default_factory=Counter)
    versions: Counter[str] = msgspec.field(default_factory=Counter)


_decoder = msgspec.json.Decoder(Line)


class Journal:
    """The file of one process."""

    def __init__(self, folder: Path) -> None:
        """Begin without a file.

        Args:
            folder: Of the pass; made when it is first needed.
        """
        self._path = folder / f"{os.getpid()}-{os.urandom(4).hex()}.jsonl"
        forks.made_anew(self._renew)

    def _renew(self) -> None:
        self._lock = threading.Lock()

    def write(self, passage: Passage, passed: Iterable[Passed]) -> None:
        """Tell what was passed, and how much there was in all."""
        passed = list(passed)
        line = Line(
            passed=[it.noted for it in passed],
            made=[it.outcome for it in passed if is_artifact(it.intent)],
            read=[it.outcome for it in passed if it.intent.kind == "read"],
            counts=(passage.n_intents, passage.n_known, passage.n_idle, passage.n_events),
            new=dict(passage.n_new),
            versions=dict(passage.n_versions),
        )
        try:
            with self._lock:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._path.open("ab") as file:
                    file.write(msgspec.json.encode(line) + b"\n")
        except OSError:
            return


def read(folder: Path) -> Told:
    """Return what all processes that joined a pass have told."""
    told = Told()
    try:
        files = sorted(folder.glob("*.jsonl"))
    except OSError:
        return told
    for path in files:
        last: Line | None = None
        for last in _lines(path):
            told.passed += last.passed
            told.made += last.made
            told.read += last.read
        if last is None:
            continue
        counts = last.counts
        one, two, three, four = told.counts
        told.counts = (one + counts[0], two + counts[1], three + counts[2], four + counts[3])
        told.new += Counter(last.new)
        told.versions += Counter(last.versions)
    return told


def remove(folder: Path) -> None:
    """Remove the folder of a pass that is over."""
    shutil.rmtree(folder, ignore_errors=True)


def _lines(path: Path) -> Iterable[Line]:
    try:
        content = path.read_bytes()
    except OSError:
        return
    for line in content.split(b"\n"):
        try:
            yield _decoder.decode(line)
        except msgspec.MsgspecError:
            continue
