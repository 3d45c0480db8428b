"""The power fails at any moment: what was acknowledged is there, and nothing is there by half.

What a writer asks of the file system is recorded; then states of the disk are made that may follow
when the power fails after any of it (`tests/crash/disk.py` says which), and each is judged as any
other ledger, by `tests/support/judge.py`: nothing that was acknowledged is missing, the audit
passes with the checkpoints that were given away, and the next script goes on.

The sweep can find fault: with less fsync than there is, it reports losses.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import tempfile
import traceback
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import ledger as ln
from ledger.errors import LedgerError
from ledger.places import instance
from tests.crash.disk import Disk, Loss, State, states
from tests.crash.recording import STRACE, Operation, record
from tests.support.judge import assert_audit_passes, judge

needs_strace = pytest.mark.skipif(
    STRACE is None, reason="strace is not installed (Debian: apt install strace)"
)

# Says `made` when there is a ledger, and one line for each thing it has done. SQLite writes its log
# back after every few pages, so that this, too, is under way at many moments.
WRITER = r"""
import os, sqlite3, sys
weaker, rounds = sys.argv[1], int(sys.argv[2])
connect = sqlite3.connect
def eager(*args, **kwargs):
    connection = connect(*args, **kwargs)
    connection.execute("PRAGMA wal_autocheckpoint=60")
    return connection
sqlite3.connect = eager

import ledger as ln
from ledger import files
from ledger.eventlog import sqlite_connections
from tests.support.saving import KINDS, UPKEEP, save

if weaker == "normal":
    sqlite_connections._PRAGMAS += ("PRAGMA synchronous=NORMAL",)
said = os.open("../said", os.O_CREAT | os.O_WRONLY)
ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
ln.init("storage")
os.write(said, b"made")
if weaker == "no fsync of content":
    files._flush_to_disk = lambda descriptor: None
n = 0
for turn in range(rounds):
    for kind in (*KINDS, *UPKEEP):
        n += 1
        os.write(said, f"{kind} {n} {save(kind, n)}".encode())
ln.close()
os.write(said, b"close 0 ")
"""


@contextmanager
def in_memory() -> Iterator[Path]:
    """A folder where a thousand ledgers can be laid out and removed without wearing a disk."""
    memory = Path("/dev/shm")  # noqa: S108 (with a name of its own below it)
    where = memory if os.access(memory, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=where) as folder:
        yield Path(folder)


def matters(path: str) -> bool:
    """Leave out what belongs to the user: files that are only read."""
    return path != "in" and not path.startswith("in/")


# --- which states ---------------------------------------------------------------------------------


def drawn(recording: list[Operation], count: int, chance: random.Random) -> Callable:
    """Return losses to be tried after each operation: the worst first, then any."""
    wanted: dict[int, list[Loss]] = defaultdict(list)
    said = [number for number, it in enumerate(recording) if it.kind == "say"]
    syncs = [number for number, it in enumerate(recording) if it.kind in {"sync", "rename"}]
    # Nothing survives but what was promised; or names survive, and bytes do not.
    plain = [(number, Loss(0, 0, 0, 0)) for number in said]
    plain += [(number, Loss(1, 0, 0, 0)) for number in said]
    plain += [(number, Loss(0, 0, 0, 1)) for number in syncs]
    plain += [(number, Loss(1, 0, 1, 1)) for number in syncs]
    for number, loss in plain[: count // 2]:
        wanted[number].append(loss)
    for _ in range(count - min(len(plain), count // 2)):
        shares = [chance.choice([0, 0.2, 0.5, 0.8, 1]) for _ in range(2)]
        loss = Loss(*shares, chance.choice([0, 0.5, 1]), chance.getrandbits(32))
        wanted[chance.randrange(len(recording))].append(loss)
    return lambda number, _: wanted.get(number, ())


def fingerprint(state: State) -> bytes:
    digest = hashlib.blake2b(repr(len(state.said)).encode())
    for path, content in state.files.items():
        if not path.endswith("-shm"):
            digest.update(f"{path} {content is None}".encode())
            digest.update(b"" if content is None else hashlib.blake2b(content).digest())
    return digest.digest()


# --- judging --------------------------------------------------------------------------------------


def lay_out(state: State, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir(mode=0o700)
    for path, content in state.files.items():
        if content is None:
            (folder / path).mkdir(mode=0o700)
        else:
            (folder / path).touch(mode=0o600)
            (folder / path).write_bytes(content)


def judge_state(state: State) -> None:
    """Claim of what lies in the working folder that nothing was lost."""
    words = [it.decode().split(" ", 2) for it in state.said]
    try:
        ln.connect(".")
    except LedgerError:
        assert not words, "the ledger is gone"
        return
    acknowledged = [(kind, int(n)) for kind, n, _ in words[1:]]
    kept = [text for kind, _, text in words[1:] if kind == "checkpoint"]
    assert_audit_passes(kept, content=True)
    judge(acknowledged)
    # Whatever was on its way, the next script goes on from there.
    ln.ULabel(name="after").save()
    if kept:
        assert ln.checkpoint().size == ln.head()


def losses_among(found: Iterable[State], folder: Path) -> tuple[int, list[str]]:
    """Judge states, each distinct one once; return how many these are, and what was lost."""
    seen: set[bytes] = set()
    lost = []
    for state in found:
        mark = fingerprint(state)
        if mark in seen:
            continue
        seen.add(mark)
        lay_out(state, folder)
        os.chdir(folder)
        try:
            judge_state(state)
        except Exception:  # noqa: BLE001 (whatever goes wrong is a loss)
            lost.append(f"{state.after} {state.loss}\n{traceback.format_exc(limit=-3)}")
        ln.close()
        instance._current = instance._found_from = None
    return len(seen), lost


def sweep(weaker: str, count: int, *, rounds: int, seed: int) -> tuple[int, list[str]]:
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    with in_memory() as folder, pytest.MonkeyPatch.context() as patch:
        place = folder / "work"
        patch.chdir(folder)
        patch.setenv("METALEDGER_KEY_DIR", str(place / "keys"))
        recording = record(place, WRITER, weaker, str(rounds))
        chance = random.Random(seed)  # noqa: S311 (not a secret)
        losses = drawn(recording, count, chance)
        return losses_among(states(recording, losses, is_kept=matters), place)


@needs_strace
def test_power_lost_at_some_moments_loses_nothing_that_was_acknowledged():
    judged, lost = sweep("", 350, rounds=1, seed=1)
    assert lost == [], lost[0]
    assert judged > 200


@needs_strace
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_power_lost_at_many_moments_loses_nothing_that_was_acknowledged(seed, figure):
    judged, lost = sweep("", 3_200, rounds=2, seed=seed)
    assert lost == [], lost[0]
    assert judged >= 2_000
    figure(f"{judged} distinct states")


@needs_strace
@pytest.mark.parametrize("weaker", ["normal", "no fsync of content"])
def test_the_sweep_tells_when_less_is_synced(weaker, figure):
    judged, lost = sweep(weaker, 60, rounds=1, seed=2)
    assert len(lost) > 3
    figure(f"{len(lost)} of {judged} states lose something")


# --- the disk itself ------------------------------------------------------------------------------


def after(loss: Loss, *operations: tuple) -> dict[str, bytes | None]:
    disk = Disk()
    for kind, *given in operations:
        names = dict(zip(("path", "other", "at", "data"), given, strict=False))
        disk.do(Operation(kind, **names))
    return disk.after(loss)


NOTHING, EVERYTHING = Loss(0, 0, 0, 0), Loss(1, 1, 0, 0)
SYNCED = (("begin", "f", "1"), ("sync", "f", "1"))
NAMED = (("begin", "", "1"), ("sync", "", "1"))
MADE = (("create", "f"), ("write", "f", "", 0, b"one"))


def test_only_what_was_synced_survives_the_worst():
    assert after(NOTHING, *MADE) == {}
    assert after(EVERYTHING, *MADE) == {"f": b"one"}
    assert after(NOTHING, *MADE, *SYNCED) == {}
    assert after(NOTHING, *MADE, *NAMED) == {"f": b""}
    assert after(NOTHING, *MADE, *SYNCED, *NAMED) == {"f": b"one"}
    later = ("write", "f", "", 3, b"two")
    assert after(NOTHING, *MADE, *SYNCED, *NAMED, later) == {"f": b"one"}
    assert after(NOTHING, *MADE, *SYNCED, *NAMED, later, *SYNCED) == {"f": b"onetwo"}


def test_a_sync_covers_what_had_returned_before_it_began():
    began, ended = SYNCED
    assert after(NOTHING, ("create", "f"), *NAMED, began, MADE[1], ended) == {"f": b""}


def test_names_that_were_not_synced_may_be_as_before():
    whole = (*MADE, *SYNCED, *NAMED)
    assert after(NOTHING, *whole, ("rename", "f", "g")) == {"f": b"one"}
    assert after(EVERYTHING, *whole, ("rename", "f", "g")) == {"g": b"one"}
    assert after(NOTHING, *whole, ("remove", "f")) == {"f": b"one"}
    assert after(NOTHING, *whole, ("remove", "f"), *NAMED) == {}
    assert after(EVERYTHING, *whole, ("link", "f", "g")) == {"f": b"one", "g": b"one"}
    below = (("make-folder", "d"), ("create", "d/f"), ("begin", "d", "1"), ("sync", "d", "1"))
    assert after(NOTHING, *below) == {}
    assert after(NOTHING, *below, *NAMED) == {"d": None, "d/f": b""}


def test_a_torn_write_has_each_sector_or_zeros():
    data = b"".join(bytes([number]) * 512 for number in range(1, 9))
    operations = (("create", "f"), *NAMED, ("write", "f", "", 0, data))
    for seed in range(50):
        torn = after(Loss(0, 0, 1, seed), *operations)["f"]
        sectors = [torn[it : it + 512] for it in range(0, len(torn), 512)]
        assert all(
            it in {bytes([number]) * 512, bytes(512)} for number, it in enumerate(sectors, 1)
        )
        assert len(torn) == len(data)
    # In any order: a later sector without an earlier one.
    assert bytes(512) in sectors
