"""Several processes append to one log: every acknowledged event has a place of its own."""

from __future__ import annotations

import multiprocessing
import time
from typing import TYPE_CHECKING

from ledger.events import Draft, RecordCreated
from ledger.ids import command_id, stream_id, uid
from ledger.log.sqlite import Recorder, SqliteAppender, SqliteReader
from ledger.log.sqlite_connections import Datastore

if TYPE_CHECKING:
    from pathlib import Path

WRITERS, APPENDS = 4, 50
ROUND = 10  # appends after which the writers wait for each other, so that none runs ahead
TIMEOUT = 120  # seconds; only a writer that hangs takes so long
SHARED = stream_id(["shared"])

spawn = multiprocessing.get_context("spawn")


def clock() -> int:
    return time.time_ns() // 1_000


def append(store: Datastore, recorder: Recorder, writer: int, number: int) -> list[int]:
    """Append an event to the writer's own stream and one to the stream of all."""
    identity = ["create", "ulabel", f"label {number} of {writer}", 1]
    event = RecordCreated(
        at=clock(),
        actor=f"writer {writer}",
        command=identity,
        registry="ulabel",
        uid=uid(identity, 12),
        natural=identity[1:3],
        fields={"name": identity[2]},
    )
    drafts = [Draft(stream=stream, event=event) for stream in (stream_id([writer]), SHARED)]
    with store.connection(write=True) as connection:
        recorded = SqliteAppender(connection, recorder, clock).append(command_id(identity), drafts)
    return [it.position for it in recorded]


def write(path: str, writer: int, ready, results) -> None:
    """Run in a process of its own: append, and tell which positions were acknowledged."""
    store = Datastore(path)
    recorder = Recorder(store)
    acknowledged = []
    for number in range(APPENDS):
        if number % ROUND == 0:
            ready.wait(TIMEOUT)
        acknowledged.append(append(store, recorder, writer, number))
    store.close()
    results.put((writer, acknowledged))


def tail(store: Datastore, until: int, writers) -> list[int]:
    """Read on from a bookmark, as a projection does, until `until` was seen or a writer failed."""
    seen: list[int] = []
    deadline = time.monotonic() + TIMEOUT
    while (not seen or seen[-1] < until) and time.monotonic() < deadline:
        assert not any(process.exitcode for process in writers)
        with store.connection(write=False) as connection:
            after = seen[-1] if seen else 0
            seen += [it.position for it in SqliteReader(connection).read(after=after)]
    return seen


def test_four_processes_lose_nothing_and_a_reader_misses_nothing(tmp_path: Path):
    path = str(tmp_path / "log.sqlite3")
    store = Datastore(path)
    Recorder(store).create_table()
    ready, results = spawn.Barrier(WRITERS), spawn.Queue()
    writers = [
        # A daemon: if the test fails, it does not wait for the others.
        spawn.Process(target=write, args=(path, writer, ready, results), daemon=True)
        for writer in range(WRITERS)
    ]
    for process in writers:
        process.start()

    total = WRITERS * APPENDS * 2
    seen = tail(store, total, writers)
    acknowledged = dict(results.get(timeout=TIMEOUT) for _ in writers)
    for process in writers:
        process.join(TIMEOUT)
        assert process.exitcode == 0

    assert seen == list(range(1, total + 1))
    with store.connection(write=False) as connection:
        log = SqliteReader(connection)
        recorded = list(log.read())
        assert [it.position for it in recorded] == seen
        times = [it.recorded_at for it in recorded]
        assert times == sorted(set(times))
        assert [it.version for it in log.stream(SHARED)] == list(range(1, WRITERS * APPENDS + 1))
        for writer, pairs in acknowledged.items():
            own = log.stream(stream_id([writer]))
            assert [it.version for it in own] == list(range(1, APPENDS + 1))
            assert [it.event.actor for it in own] == [f"writer {writer}"] * APPENDS
            # The two events of one append stand side by side, whoever else wrote meanwhile.
            assert [[it.position, it.position + 1] for it in own] == pairs
    store.close()
