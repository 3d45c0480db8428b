"""The lock that says that a file is in use: taken once, let go by the last, wherever that is."""

from __future__ import annotations

import gc
import threading

import pytest

from ledger.eventlog import sqlite_hold
from ledger.eventlog.sqlite_connections import Datastore
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.skipif(
    not hasattr(sqlite_hold.fcntl, "F_OFD_SETLK"), reason="this system has no such locks"
)


def n_users(identity):
    return sqlite_hold._descriptors[identity].n_users


@pytest.fixture
def files(tmp_path):
    paths = [tmp_path / "one.db", tmp_path / "two.db"]
    for path in paths:
        path.touch()
    return paths


def test_the_last_user_lets_a_file_go(files):
    one, two = files
    held = sqlite_hold.identity_of(one)
    assert sqlite_hold.hold(one) == sqlite_hold.hold(one) == held
    other = sqlite_hold.hold(two)
    sqlite_hold.let_go(held)
    assert (n_users(held), n_users(other)) == (1, 1)
    sqlite_hold.let_go(held)
    assert (n_users(held), n_users(other)) == (0, 1)
    sqlite_hold.let_go(other)
    sqlite_hold.let_go(None)


def test_a_ledger_that_is_collected_while_another_one_is_held_keeps_nobody_waiting(
    files, tmp_path, monkeypatch
):
    """Python collects what nobody closed at any allocation, in whatever thread."""
    abandoned = [Datastore(str(tmp_path / "abandoned.db"), is_new=True)]
    with abandoned[0].connection(write=True):
        pass
    held = sqlite_hold.identity_of(tmp_path / "abandoned.db")
    open_file = sqlite_hold._opened

    def collect(path):
        abandoned.clear()
        gc.collect()
        assert n_users(held) == 1  # not yet
        return open_file(path)

    monkeypatch.setattr(sqlite_hold, "_opened", collect)
    done = []
    thread = threading.Thread(target=lambda: done.append(sqlite_hold.hold(files[0])), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert done == [sqlite_hold.identity_of(files[0])]
    assert (n_users(held), n_users(done[0])) == (0, 1)
    sqlite_hold.let_go(done[0])


def test_threads_that_hold_and_let_go_at_once_leave_nothing_held(files):
    def use():
        for _ in range(200):
            held = [sqlite_hold.hold(path) for path in files]
            for identity in held:
                sqlite_hold.let_go(identity)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [n_users(sqlite_hold.identity_of(path)) for path in files] == [0, 0]
