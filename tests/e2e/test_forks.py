"""A child forked at any moment: nothing that threads of its parent held keeps it waiting.

Its parent's batch is its parent's: the child neither ends it nor saves into it. On SQLite a child
forked within a transaction is refused at once, on a server it saves apart.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest

import ledger as ln
from ledger import forks
from ledger.errors import StorageError
from ledger.places import instance
from tests.support.door import artifact, label, names
from tests.support.forking import begun_in_child, in_child, with_threads
from tests.support.judge import assert_log_and_read_models_agree
from tests.support.processes import environment

pytestmark = [with_threads, pytest.mark.usefixtures("here")]


def all_names() -> list[str]:
    return sorted(names(ln.ULabel.filter()))


def is_on_server() -> bool:
    return instance.current().place.configuration.database.startswith("postgres")


@contextlib.contextmanager
def in_thread(
    begin: Callable[[], contextlib.AbstractContextManager[object]],
) -> Iterator[threading.Event]:
    """Have a thread within a block; it leaves it when the event is set, or at the end."""
    inside, leave = threading.Event(), threading.Event()

    def stay() -> None:
        with begin():
            inside.set()
            leave.wait()

    thread = threading.Thread(target=stay)
    thread.start()
    inside.wait()
    try:
        yield leave
    finally:
        leave.set()
        thread.join()


@contextlib.contextmanager
def batch(*saved: str) -> Iterator[None]:
    with ln.batch():
        for name in saved:
            label(name)
        yield


# --- threads that save ----------------------------------------------------------------------------


def test_a_fork_waits_until_no_other_thread_is_within_a_batch():
    label("before")
    turns, is_over = instance.current().sessions._turns, threading.Event()
    with in_thread(lambda: batch("of the thread", "and another")) as leave:

        def let_go_once_waited_for() -> None:
            while not turns.n_waiting and not is_over.is_set():
                pass
            leave.set()

        helper = threading.Thread(target=let_go_once_waited_for)
        helper.start()
        in_child(lambda: label("of the child"))
        is_over.set()
        helper.join()
    label("after")
    assert all_names() == ["after", "and another", "before", "of the child", "of the thread"]
    assert_log_and_read_models_agree()


def test_children_forked_while_threads_save_save_too():
    is_over = threading.Event()

    def save(who: int) -> None:
        number = 0
        while not is_over.is_set():
            label(f"{who} {number}")
            number += 1
        counts[who] = number

    counts: dict[int, int] = {}
    threads = [threading.Thread(target=save, args=(who,)) for who in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(8):
            in_child(lambda number=number: [label(f"child {number} {it}") for it in range(2)])
    finally:
        is_over.set()
        for thread in threads:
            thread.join()
    expected = [f"{who} {it}" for who, count in counts.items() for it in range(count)]
    assert all_names() == sorted(
        [*expected, *(f"child {number} {it}" for number in range(8) for it in range(2))]
    )
    assert_log_and_read_models_agree()


def test_locks_that_threads_hold_are_free_in_a_child(monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    ln.settings.creation.search_names = True
    artifact("one.txt")
    label("CD8 T cell")
    ledger = instance.current()
    search = ledger.name_search("ulabel")
    search.similar("CD8 T cells", limit=1)
    with contextlib.ExitStack() as held:
        for lock in (
            *(instance._finding, ledger._lock, ledger.hash_cache._lock, search._lock),
            ledger.database._connections._lock,
        ):
            held.enter_context(in_thread(lambda lock=lock: lock))

        def claim() -> None:
            artifact("two.txt")
            label("CD4 T cell")
            assert [
                it.name for it in ledger.name_search("ulabel").similar("CD8 T cells", limit=1).hits
            ]

        in_child(claim)
    assert all_names() == ["CD4 T cell", "CD8 T cell"]


def test_a_child_forked_out_of_a_thread_hears_the_stop_button(monkeypatch):
    """The main thread of the parent, which puts it off while it waits, is not there."""
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    ledger, failed = instance.current(), []
    ledger.head()

    def claim() -> None:
        reached = []
        with contextlib.suppress(KeyboardInterrupt), ledger.reading():
            signal.raise_signal(signal.SIGINT)
            reached.append("the line after it")
        assert not reached

    with in_thread(ledger.sessions.passing) as leave:

        def fork() -> None:
            while not ledger.sessions._turns.n_waiting:
                pass
            try:
                in_child(claim)
            except BaseException as error:  # noqa: BLE001 (raised below)
                failed.append(error)
            leave.set()

        thread = threading.Thread(target=fork)
        thread.start()
        with ledger.sessions.passing():
            thread.join()
    assert not failed, failed


# --- batches --------------------------------------------------------------------------------------


def test_a_child_forked_within_a_batch_saves_apart_or_is_refused():
    label("before")
    with ln.batch():
        own = label("of the batch")

        def claim() -> None:
            assert not own.is_saved  # by this process
            if is_on_server():
                label("of the child")
                return
            for deed in (lambda: label("of the child"), ln.head):
                with pytest.raises(StorageError, match=r"forked in the middle.*nothing was"):
                    deed()

        ended = begun_in_child(claim)
        label("more of the batch")
    ended()
    expected = ["before", "more of the batch", "of the batch"]
    assert all_names() == sorted([*expected, *(["of the child"] if is_on_server() else [])])
    assert_log_and_read_models_agree()


PROGRAM = """
import os, sys
import ledger as ln
ln.settings.verbosity = "error"
how = sys.argv[1]
try:
    with ln.batch():
        ln.ULabel(name="of the batch").save()
        with ln.batch():
            ln.ULabel(name="of the batch within").save()
            child = os.fork()
            if not child and how == "raise":
                raise RuntimeError("of the child")
            if not child and how == "exit":
                sys.exit(3)
        ln.ULabel(name="later " + ("in the parent" if child else "in the child")).save()
except (RuntimeError, ln.errors.StorageError) as error:
    sys.exit(4)
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.parametrize(("how", "status"), [("raise", 4), ("exit", 3), ("go on", None)])
def test_a_child_that_leaves_the_batch_of_its_parent_ends_nothing(how, status):
    label("before")
    ln.close()
    if status is None:
        # Outside of the inner batch it saves on its own, or is refused.
        status = 0 if is_on_server() else 4
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, how],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == str(status), done.stderr
    expected = ["before", "later in the parent", "of the batch", "of the batch within"]
    more = ["later in the child"] if how == "go on" and is_on_server() else []
    assert all_names() == sorted(expected + more)
    assert_log_and_read_models_agree()


def test_a_child_forked_beside_a_batch_that_does_not_end_is_told(monkeypatch):
    monkeypatch.setattr(forks, "PATIENCE", 0.01)
    label("before")
    with in_thread(lambda: batch("of the thread")):

        def claim() -> None:
            with pytest.raises(StorageError, match=r"forked .* nothing was recorded"):
                label("of the child")

        in_child(claim)
    label("after")
    assert all_names() == ["after", "before", "of the thread"]
