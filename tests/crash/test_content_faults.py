"""A fault at every durable step of storing content, and a writer killed at any moment.

After each: the content is whole and right or it is absent; what else is left bears a temporary
name. What was acknowledged is there. A second attempt succeeds.
"""

from __future__ import annotations

import errno
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger import files
from ledger.content.backends import open_store
from ledger.content.hashing import hash_path
from ledger.content.tree import HashedContent
from ledger.errors import StorageError
from tests.support import warm
from tests.support.chance import bytes_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.content.store import ContentStore

NAME = "AbCdEfGhIjKl00000000"
PROJECT = Path(__file__).parents[2]
BOUND = 200


@pytest.fixture(params=["file", "folder"])
def source(request, tmp_path) -> Path:
    path = tmp_path / "source"
    if request.param == "file":
        path.write_bytes(bytes_of(2 * files.BLOCK + 5))
    else:
        for name in ("a", "x/b", "x/c", "z/y/d"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(name.encode() * 1000)
    return path


class Fault:
    """Does something at the step of a given number, counted from 0, and only there."""

    def __init__(self, number: int, strike: Callable[[], None]) -> None:
        self.number = number
        self.strike = strike
        self.met = False
        self._count = itertools.count()
        self._lock = threading.Lock()

    def __call__(self, _what: str, _path: str) -> None:
        with self._lock:
            struck = next(self._count) == self.number
        if struck:
            self.met = True
            self.strike()


def judge(store: ContentStore, name: str, expected: HashedContent) -> bool:
    """Tell whether the content is there, after asserting that it is then whole and right."""
    strangers = {item.name for item in store.list() if not item.is_temporary} - {name}
    assert strangers == set()
    if not store.exists(name):
        return False
    store.verify(name, expected.digest, expected.is_folder)
    return True


def disk_full() -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def disk_broken() -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("strike", [disk_full, disk_broken])
def test_refused_step_leaves_the_content_whole_or_absent(tmp_path, source, monkeypatch, strike):
    expected = hash_path(source)
    for number in range(BOUND):
        store = open_store(str(tmp_path / f"root{number}"))
        fault = Fault(number, strike)
        with monkeypatch.context() as patch:
            patch.setattr(files, "step", fault)
            if not fault_raises(lambda store=store: store.put(source, NAME, expected)):
                assert not fault.met
                break
        judge(store, NAME, expected)
        # The process lived on and could clean up.
        assert not any(item.is_temporary for item in store.list())
        store.put(source, NAME, expected)
        assert judge(store, NAME, expected)
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number > 5


def fault_raises(work: Callable[[], None]) -> bool:
    try:
        work()
    except StorageError as error:
        return error.__cause__ is not None
    return False


def test_refused_step_of_a_removal_leaves_the_content_whole_or_absent(
    tmp_path, source, monkeypatch
):
    expected = hash_path(source)
    store = open_store(str(tmp_path / "root"))
    for number in range(BOUND):
        store.put(source, NAME, expected)
        fault = Fault(number, disk_broken)
        with monkeypatch.context() as patch:
            patch.setattr(files, "step", fault)
            if not fault_raises(lambda: store.remove(NAME)):
                assert not fault.met
                break
        judge(store, NAME, expected)
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number >= 2
    assert not store.exists(NAME)


def test_refused_step_of_a_remote_store_is_made_good_by_the_next_put(source, monkeypatch, tmp_path):
    expected = hash_path(source)
    for number in range(BOUND):
        store = open_store(f"memory://{tmp_path.name}/{number}")
        fault = Fault(number, disk_full)
        with monkeypatch.context() as patch:
            patch.setattr(files, "step", fault)
            if not fault_raises(lambda store=store: store.put(source, NAME, expected)):
                assert not fault.met
                break
        assert {item.name for item in store.list()} <= {NAME}
        if not expected.is_folder:
            judge(store, NAME, expected)
        store.put(source, NAME, expected)
        assert judge(store, NAME, expected)
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number > 3


# Each fault needs a process of its own that ends without cleaning up; a fork of one that has
# everything loaded is a hundred times cheaper than a new one. Exit 0: no fault was met.
DYING = """
import os, sys, threading, itertools
from pathlib import Path
from ledger import files
from ledger.content.hashing import hash_path
from ledger.content.backends import open_store

source, roots, name, bound = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
lock = threading.Lock()

def attempt(number):
    count = itertools.count()
    def die(what, path):
        with lock:
            if next(count) == number:
                os._exit(9)
    files.step = die
    open_store(f"{roots}/{number}").put(source, name, hash_path(source))

for number in range(bound):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            attempt(number)
            code = 0
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    print(number, code, flush=True)
    if code != 9:
        break
"""


def test_process_that_dies_at_any_step_leaves_the_content_whole_or_absent(tmp_path, source):
    expected = hash_path(source)
    done = run(DYING, source, tmp_path / "roots", NAME, BOUND)
    outcomes = [tuple(map(int, line.split())) for line in done.splitlines()]
    assert outcomes[-1][1] == 0
    assert len(outcomes) > 6
    states = []
    for number, code in outcomes:
        store = open_store(str(tmp_path / "roots" / str(number)))
        states.append(judge(store, NAME, expected))
        assert states[-1] or code == 9
        store.put(source, NAME, expected)
        assert judge(store, NAME, expected)
    # Once it is there it stays: the steps after its name was given do not take it away.
    assert states == sorted(states)


def run(program: str, *arguments: object) -> str:
    done = warm.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        check=True,
        capture_output=True,
        text=True,
        cwd=PROJECT,
    )
    return done.stdout


# Says one byte at every step and one line after every acknowledgement, and never ends by itself.
STORING = """
import os, sys
from pathlib import Path
from ledger import files
from ledger.content.hashing import hash_path
from ledger.content.backends import open_store

sources, root, begin = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = open_store(root)
hashed = {path: hash_path(path) for path in sorted(sources.iterdir())}
files.step = lambda what, path: os.write(1, b".")
for number in range(begin, begin + 10**6):
    for path, expected in hashed.items():
        store.put(path, f"n{number}-{path.name}", expected)
        os.write(1, f"\\n{number}-{path.name}\\n".encode())
"""


def test_killed_writer_loses_nothing_it_acknowledged_and_leaves_nothing_half(tmp_path):
    sources = tmp_path / "sources"
    (sources / "folder" / "deep").mkdir(parents=True)
    for seed, name in enumerate(("a", "b", "deep/c")):
        (sources / "folder" / name).write_bytes(bytes_of(5000, seed))
    (sources / "file").write_bytes(bytes_of(files.BLOCK + 100))
    expected = {path.name: hash_path(path) for path in sources.iterdir()}
    store = open_store(str(tmp_path / "root"))
    chance = random.Random(20)  # noqa: S311  (not a secret)
    acknowledged: set[str] = set()
    for kill in range(30):
        heard = kill_after(chance.randrange(1, 120), sources, store.root, kill * 10**6)
        acknowledged |= {f"n{line}" for line in heard.split("\n") if "-" in line}
    found = [item.name for item in store.list() if not item.is_temporary]
    for name in found:
        hashed = expected[name.rpartition("-")[2]]
        store.verify(name, hashed.digest, hashed.is_folder)
    assert acknowledged
    assert acknowledged <= set(found)
    for item in list(store.list()):
        if item.is_temporary:
            store.remove(item.name)
    assert {item.name for item in store.list()} == set(found)


def kill_after(steps: int, *arguments: object) -> str:
    """Let a writer take some steps, kill it wherever it then is, and return all it said."""
    with warm.Program(
        [sys.executable, "-c", STORING, *map(str, arguments)], stdout=subprocess.PIPE, cwd=PROJECT
    ) as writer:
        assert writer.stdout is not None
        heard = bytearray()
        while heard.count(b".") < steps:
            said = os.read(writer.stdout.fileno(), 64)
            assert said, "the writer ended by itself"
            heard += said
        writer.send_signal(signal.SIGKILL)
        heard += writer.stdout.read()
    # The last line may be cut short by the kill; then it was never said.
    return heard[: heard.rfind(b"\n") + 1].replace(b".", b"").decode()
