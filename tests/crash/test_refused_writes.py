"""Every write is refused once: by a limit on the size of files, or by a disk that is full.

The same writer runs again and again on a copy of one ledger, each time with a little more room,
from none at all to enough; so every place where it writes is the first to be refused in some run.
What is refused is a `StorageError`, and nothing of it is there; what was acknowledged is; and once
there is room again, all that was refused succeeds in the same process.

A limit on the size of files refuses by the place in the file; a small disk by the sum of all files,
and their names. The disk needs the right to mount one: where it is missing, the run says so.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

import ledger as ln
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.upkeep import doctor
from tests.support.judge import assert_audit_passes, judge
from tests.support.processes import environment

# Waits for lines `folder room`; a child does everything with so much room, says what was refused,
# then has room, and does what was refused. For a disk, the room is made by the size of a file.
FILLING = r"""
import json, os, resource, shutil, signal, sys
import ledger as ln
from ledger.places import instance
from ledger.transfer import archive_export as exporting
from ledger.transfer import archive_import as importing
from ledger.upkeep import rebuild as rebuilding
from tests.support.saving import KINDS, MAKING, UPKEEP, prepare, save

means = sys.argv[1]
ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
DEEDS = [(kind, n) for n, kind in enumerate((*KINDS, *UPKEEP, *MAKING, "label", "many"), 100)]

def fill(room):
    if means == "limit":
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, resource.RLIM_INFINITY))
    else:
        free = os.statvfs(".").f_bavail * os.statvfs(".").f_frsize
        with open("ballast", "wb") as stream:
            stream.write(bytes(max(0, free - room)))

def empty():
    if means == "limit":
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
    else:
        os.unlink("ballast")

def work(room):
    for deed in DEEDS:
        prepare(*deed)
    ln.ULabel(name="opens the ledger").save()
    saved, refused, faults = [], [], []
    fill(room)
    for kind, n in DEEDS:
        try:
            claim = save(kind, n)
            saved.append((kind, n, claim))
        except ln.errors.StorageError as error:
            refused.append((kind, n))
        except BaseException as error:
            refused.append((kind, n))
            faults.append(f"{kind}: {type(error).__name__}: {error}")
    empty()
    again = [(kind, n, save(kind, n)) for kind, n in refused]
    return {"saved": saved, "refused": refused, "faults": faults, "again": again}

for line in sys.stdin:
    folder, room = line.split()
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.environ["METALEDGER_KEY_DIR"] = f"{folder}/keys"
        try:
            said = work(int(room))
        except BaseException as error:
            said = {"died": repr(error)}
        os.write(writing, json.dumps(said).encode() + b"\n")
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        said = stream.readline() or json.dumps({"died": "silently"})
    os.waitpid(child, 0)
    print(said, end="", flush=True)
"""


class Outcome(NamedTuple):
    """How one run went: what it said, and whether everything had room."""

    refused: list[list]
    is_enough: bool


class Filler:
    """The warm process whose children run out of room."""

    def __init__(self, means: str, template: Path) -> None:
        self._template = template
        self._process = subprocess.Popen(
            [sys.executable, "-c", FILLING, means],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, place: Path, room: int) -> Outcome:
        """Run once in a copy of the ledger, and judge it."""
        shutil.copytree(self._template, place, dirs_exist_ok=True)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{place} {room}\n")
        self._process.stdin.flush()
        said = json.loads(self._process.stdout.readline())
        assert "died" not in said, (room, said["died"])
        assert said["faults"] == [], room
        os.chdir(place)
        os.environ["METALEDGER_KEY_DIR"] = str(place / "keys")
        ln.connect(".")
        try:
            acknowledged = [*said["saved"], *said["again"]]
            judge([(kind, n) for kind, n, _ in acknowledged])
            kept = [claim for kind, _, claim in acknowledged if kind == "checkpoint"]
            assert_audit_passes(kept, content=True)
            # What was refused left at worst something temporary behind.
            orphans = doctor.orphans(instance.current())
            assert all(orphan.is_temporary for orphan in orphans), room
        finally:
            ln.close()
            instance._current = None
        return Outcome(said["refused"], not said["refused"])

    def end(self) -> None:
        self._process.communicate()


@contextmanager
def filler(means: str, folder: Path) -> Iterator[Filler]:
    template = folder / "template"
    template.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(template)
        patch.setenv("METALEDGER_KEY_DIR", str(template / "keys"))
        ln.init("storage")
        export("archives/0")
        ln.close()
        instance._current = None
        running = Filler(means, template)
        try:
            yield running
        finally:
            running.end()


def limits(folder: Path, step: int, *, first: int = 0) -> list[int]:
    """Raise the limit on the size of files from nothing to enough; return refusals per run."""
    counts = []
    with filler("limit", folder) as running:
        for number in range(10_000):
            place = folder / "run"
            place.mkdir()
            outcome = running.run(place, first + number * step)
            counts.append(len(outcome.refused))
            shutil.rmtree(place)
            if outcome.is_enough:
                return counts
    pytest.fail("never enough")


def rooms(folder: Path, step: int) -> list[int]:
    """Raise the room on a small disk from nothing to enough; return refusals per run."""
    counts = []
    disk = folder / "disk"
    disk.mkdir()
    with filler("disk", folder) as running:
        for number in range(10_000):
            mount(disk)
            try:
                outcome = running.run(disk, number * step)
            finally:
                os.chdir(folder)
                subprocess.run([shutil.which("umount") or "umount", "-l", disk], check=True)
            counts.append(len(outcome.refused))
            if outcome.is_enough:
                return counts
    pytest.fail("never enough")


def mount(disk: Path) -> None:
    found = shutil.which("mount")
    options = ["-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)]
    done = found and subprocess.run([found, *options], capture_output=True, check=False)
    if not done or done.returncode:
        pytest.skip("no small disk can be mounted here (mount -t tmpfs needs the right to)")


def assert_swept(counts: list[int], *, at_least: int) -> None:
    """Claim that there was too little room for almost everything, then for less and less."""
    assert len(counts) >= at_least
    assert counts[0] > 10
    assert counts[-1] == 0
    assert len(set(counts)) > 3


def test_a_limit_on_files_at_some_sizes_loses_nothing(tmp_path):
    assert_swept(limits(tmp_path, 190_000), at_least=4)


@pytest.mark.slow
@pytest.mark.parametrize("share", range(4))
def test_a_limit_on_files_at_every_size_loses_nothing(tmp_path, share, figure):
    counts = limits(tmp_path, 4 * 1024, first=share * 1024)
    assert_swept(counts, at_least=100)
    figure(f"{len(counts)} limits, {sum(counts)} deeds refused")


@pytest.mark.slow
def test_a_disk_that_is_full_at_every_block_loses_nothing(tmp_path, figure):
    counts = rooms(tmp_path, 4096)
    assert_swept(counts, at_least=150)
    figure(f"{len(counts)} sizes of what is free, {sum(counts)} deeds refused")
