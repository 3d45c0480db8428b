"""Several processes append to one log: every acknowledged event has a place of its own."""

from __future__ import annotations

import multiprocessing
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

import pytest

from ledger.errors import WrongExpectedVersionError
from ledger.eventlog import postgres_connections, postgres_log, sqlite_connections, sqlite_log
from ledger.eventlog.database_url import parse
from ledger.model.events import Draft, RecordCreated
from ledger.model.ids import command_id, stream_id, uid
from tests.support.patience import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.eventlog.base import Appender, LogReader

PROCESSES, THREADS, APPENDS = 4, 2, 50
WRITERS = PROCESSES * THREADS
ROUND = 10  # appends after which the writers wait for each other, so that none runs ahead
SHARED = stream_id(["shared"])

spawn = multiprocessing.get_context("spawn")


def clock() -> int:
    return time.time_ns() // 1_000


class OnSqlite:
    """A log in a file."""

    def __init__(self, path: str) -> None:
        self.store = sqlite_connections.Datastore(path, is_new=True)
        self.recorder = sqlite_log.Recorder(self.store)

    @contextmanager
    def write(self) -> Iterator[Appender]:
        with self.store.connection(write=True) as connection:
            yield sqlite_log.SqliteAppender(connection, self.recorder, clock)

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.store.connection(write=False) as connection:
            yield sqlite_log.SqliteReader(connection)

    def close(self) -> None:
        self.store.close()


class OnPostgres:
    """A log on a server."""

    def __init__(self, url: str) -> None:
        self.store = postgres_connections.Datastore(parse(url))
        self.recorder = postgres_log.Recorder(self.store)

    @contextmanager
    def write(self) -> Iterator[Appender]:
        with self.store.appending() as transaction:
            yield postgres_log.PostgresAppender(transaction, self.recorder, None)

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.store.reading() as connection:
            yield postgres_log.PostgresReader(connection)

    def close(self) -> None:
        self.store.close()


def append(log: OnSqlite | OnPostgres, writer: int, number: int) -> list[int]:
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
    with log.write() as appender:
        return [it.position for it in appender.append(command_id(identity), drafts)]


def write(kind: type[OnSqlite | OnPostgres], where: str, process: int, ready, results) -> None:
    """Run in a process of its own: append from threads, and tell what was acknowledged."""

    def as_writer(thread: int) -> tuple[int, list[list[int]]]:
        writer, acknowledged = process * THREADS + thread, []
        for number in range(APPENDS):
            if number % ROUND == 0:
                ready.wait(PATIENCE)
            acknowledged.append(append(log, writer, number))
        return writer, acknowledged

    with closing(kind(where)) as log, ThreadPoolExecutor(THREADS) as threads:
        results.put(dict(threads.map(as_writer, range(THREADS))))


def write_the_same(kind: type[OnSqlite | OnPostgres], where: str, process: int, ready, results):
    """Run in a process of its own: carry out the commands of all, and tell which were new."""

    def as_writer(_thread: int) -> list[int]:
        new = []
        for number in range(APPENDS):
            if number % ROUND == 0:
                ready.wait(PATIENCE)
            with suppress(WrongExpectedVersionError):
                append(log, 0, number)
                new.append(number)
        return new

    with closing(kind(where)) as log, ThreadPoolExecutor(THREADS) as threads:
        results.put((process, list(threads.map(as_writer, range(THREADS)))))


def tail(log: OnSqlite | OnPostgres, until: int) -> list[int]:
    """Read on from a bookmark, as a projection does, until `until` was seen."""
    seen: list[int] = []
    deadline = time.monotonic() + PATIENCE
    while (not seen or seen[-1] < until) and time.monotonic() < deadline:
        with log.read() as reader:
            after = seen[-1] if seen else 0
            seen += [it.position for it in reader.read(after=after)]
    return seen


@pytest.fixture(params=[OnSqlite, OnPostgres])
def place(request, tmp_path):
    """A kind of log, and where one is."""
    on_server = request.param is OnPostgres
    where = str(request.getfixturevalue("postgres") if on_server else tmp_path / "log.sqlite3")
    with closing(request.param(where)) as log:
        log.recorder.create_table()
    return request.param, where


def test_eight_writers_lose_nothing_and_a_reader_misses_nothing(place):
    kind, where = place
    ready, results = spawn.Barrier(WRITERS), spawn.Queue()
    processes = [
        spawn.Process(target=write, args=(kind, where, process, ready, results))
        for process in range(PROCESSES)
    ]
    for process in processes:
        process.start()

    total = WRITERS * APPENDS * 2
    with closing(kind(where)) as log:
        seen = tail(log, total)
        acknowledged = {}
        for _ in processes:
            acknowledged |= results.get(timeout=PATIENCE)
        for process in processes:
            process.join(PATIENCE)
            assert process.exitcode == 0

        assert seen == list(range(1, total + 1))
        with log.read() as reader:
            recorded = list(reader.read())
            assert [it.position for it in recorded] == seen
            times = [it.recorded_at for it in recorded]
            assert times == sorted(set(times))
            shared = [it.version for it in reader.stream(SHARED)]
            assert shared == list(range(1, WRITERS * APPENDS + 1))
            for writer, pairs in acknowledged.items():
                own = reader.stream(stream_id([writer]))
                assert [it.version for it in own] == list(range(1, APPENDS + 1))
                assert [it.event.actor for it in own] == [f"writer {writer}"] * APPENDS
                # The two events of one append stand side by side, whoever else wrote meanwhile.
                assert [[it.position, it.position + 1] for it in own] == pairs
            assert sorted(acknowledged) == list(range(WRITERS))


def test_eight_writers_of_the_same_commands_record_each_once(place):
    kind, where = place
    ready, results = spawn.Barrier(WRITERS), spawn.Queue()
    processes = [
        spawn.Process(target=write_the_same, args=(kind, where, process, ready, results))
        for process in range(PROCESSES)
    ]
    for process in processes:
        process.start()
    told = [results.get(timeout=PATIENCE) for _ in processes]
    for process in processes:
        process.join(PATIENCE)
        assert process.exitcode == 0
    # Of eight that were told the same, one was first, and it alone was acknowledged.
    acknowledged = [number for _, threads in told for new in threads for number in new]
    assert sorted(acknowledged) == list(range(APPENDS))
    with closing(kind(where)) as log, log.read() as reader:
        commands = [it.command_id for it in reader.read()]
        assert len(commands) == 2 * APPENDS
        assert len(set(commands)) == APPENDS
        assert [it.version for it in reader.stream(SHARED)] == list(range(1, APPENDS + 1))
