"""Who holds the write lock of a SQLite file: as the system tells it, and as people read it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ledger.errors import StorageError
from ledger.eventlog import sqlite_connections, sqlite_waits
from ledger.eventlog.sqlite_connections import Datastore
from ledger.eventlog.sqlite_waits import who_writes

HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""

on_linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="only Linux tells who holds a lock"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


def opened(path: Path) -> Datastore:
    """Return a store over a database in which something was written."""
    store = Datastore(str(path), is_new=True)
    with store.connection(write=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS something (n INTEGER)")
    return store


@pytest.fixture
def holder(path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process within a transaction that writes."""
    store = opened(path)
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()
    store.close()


@on_linux
def test_who_holds_the_file_is_named(holder, path, monkeypatch, tmp_path):
    program = Path(f"/proc/{holder.pid}/comm").read_text().strip()
    assert who_writes(str(path)) == f'process {holder.pid} ("{program}")'
    link = tmp_path / "link.db"
    link.symlink_to(path)
    assert who_writes(str(link)) == who_writes(str(path))
    monkeypatch.setattr(sqlite_connections, "LOCK_TIMEOUT", 0.01)
    impatient = Datastore(str(path))
    told = rf"recorded, it is process {holder.pid} \(.*try again"
    with pytest.raises(StorageError, match=told), impatient.connection(write=True):
        pass
    holder.kill()
    holder.wait()
    assert who_writes(str(path)) == ""
    with impatient.connection(write=True):
        pass
    impatient.close()


@on_linux
def test_a_stopped_process_that_holds_the_file_is_told_as_such(holder, path):
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
    told = who_writes(str(path))
    assert f'"), which is stopped: let it go on by `kill -CONT {holder.pid}`' in told
    holder.send_signal(signal.SIGCONT)


@on_linux
def test_this_process_itself_is_told_as_such(path):
    store = opened(path)
    with store.connection(write=True):
        assert who_writes(str(path)) == "this process itself, in another transaction"
    assert who_writes(str(path)) == ""
    store.close()


def test_nobody_is_told_where_the_system_tells_nothing(holder, path, monkeypatch, tmp_path):
    assert holder.poll() is None
    monkeypatch.setattr(sqlite_waits, "_PROCESSES", tmp_path / "nothing")
    assert who_writes(str(path)) == ""


LINES = """\
1: POSIX  ADVISORY  READ  11 fe:01:{inode} 123 123
2: POSIX  ADVISORY  WRITE 12 fe:01:{inode} 121 121
3: FLOCK  ADVISORY  WRITE 13 fe:01:{inode} 0 EOF
4: OFDLCK ADVISORY  WRITE -1 fe:01:{inode} 120 120
5: POSIX  ADVISORY  WRITE 14 fe:01:7{inode} 120 120
6: POSIX  ADVISORY  WRITE 15 fe:01:{inode} 120 120
6: -> POSIX  ADVISORY  WRITE 16 fe:01:{inode} 120 120
7: POSIX  ADVISORY  WRITE 0 fe:01:{inode} 120 120
8: POSIX  ADVISORY  WRITE 17 fe:02:{inode} 120 EOF

something else
"""


def test_only_the_lock_of_writers_on_this_file_counts(path, monkeypatch, tmp_path):
    shared = Path(f"{path}-shm")
    shared.touch()
    (tmp_path / "locks").write_text(LINES.format(inode=shared.stat().st_ino))
    monkeypatch.setattr(sqlite_waits, "_PROCESSES", tmp_path)
    assert who_writes(str(path)) == "a process of another container, process 15"
    # Another file system may have a file of the same number.
    (tmp_path / "15" / "fd").mkdir(parents=True)
    (tmp_path / "15" / "fd" / "3").symlink_to("/elsewhere/ledger.db-shm")
    assert who_writes(str(path)) == "a process of another container"
    (tmp_path / "15" / "fd" / "4").symlink_to(shared)
    (tmp_path / "15" / "stat").write_text("15 (a (b) c) t 1 15")
    assert who_writes(str(path)).endswith(
        'process 15 ("a (b) c"), which is stopped: let it go on by `kill -CONT 15`, or end it'
    )
