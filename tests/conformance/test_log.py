"""What every log promises, wherever it is kept, bare and inside a ledger's database."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    CorruptLogError,
    LedgerError,
    UnknownEventError,
    WrongExpectedVersionError,
)
from ledger.eventlog import base, postgres_connections, postgres_log
from ledger.eventlog.entry import Entry, Envelope, erased, leaf_of, seal
from ledger.eventlog.sqlite_connections import Datastore
from ledger.eventlog.sqlite_log import Recorder, SqliteAppender, SqliteReader
from ledger.model.events import Draft, RecordChanged
from ledger.model.ids import CommandId, Position, StreamId, command_id, stream_id
from ledger.model.times import UNSAID
from tests.support.builders import EPOCH, label_created
from tests.support.memory_database import MemoryDatabase
from tests.support.memory_log import MemoryLog
from tests.support.servers import new_schema

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.eventlog.base import Appender, LogReader
    from ledger.eventlog.database_url import DatabaseUrl

NOON = 1_700_000_000_000_000
A, B = stream_id(["a"]), stream_id(["b"])


class Clock:
    """A clock that shows what it is told to, and stands still."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now


class BareMemory:
    def __init__(self, clock: Clock, folder: Path) -> None:  # noqa: ARG002 (as its siblings)
        self.log = MemoryLog(clock)

    @contextmanager
    def write(self) -> Iterator[Appender]:
        length = self.log.head()
        try:
            yield self.log
        except BaseException:
            self.log.rollback(length)
            raise

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        yield self.log

    def close(self) -> None:
        pass


class BareSqlite:
    def __init__(self, clock: Clock, folder: Path) -> None:
        self.clock = clock
        self.store = Datastore(str(folder / "log.sqlite3"), is_new=True)
        self.recorder = Recorder(self.store)
        self.recorder.create_table()

    @contextmanager
    def write(self) -> Iterator[Appender]:
        with self.store.connection(write=True) as connection:
            yield SqliteAppender(connection, self.recorder, self.clock)

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.store.connection(write=False) as connection:
            yield SqliteReader(connection)

    def close(self) -> None:
        self.store.close()


class InDatabase:
    @contextmanager
    def write(self) -> Iterator[Appender]:
        with self.database.write() as session:
            yield session.log

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.database.read() as session:
            yield session.log

    def close(self) -> None:
        self.database.close()


class InMemoryDatabase(InDatabase):
    def __init__(self, clock: Clock, folder: Path) -> None:  # noqa: ARG002 (as its siblings)
        self.database = MemoryDatabase(clock)


class InSqliteDatabase(InDatabase):
    def __init__(self, clock: Clock, folder: Path) -> None:
        self.database = SqliteDatabase.create(folder / "ledger.sqlite3", clock)


class BarePostgres:
    def __init__(self, clock: Clock, url: DatabaseUrl) -> None:
        self.clock = clock
        self.store = postgres_connections.Datastore(url)
        self.recorder = postgres_log.Recorder(self.store)
        self.recorder.create_table()

    @contextmanager
    def write(self) -> Iterator[Appender]:
        with self.store.appending() as transaction:
            yield postgres_log.PostgresAppender(transaction, self.recorder, self.clock)

    @contextmanager
    def read(self) -> Iterator[LogReader]:
        with self.store.reading() as connection:
            yield postgres_log.PostgresReader(connection)

    def close(self) -> None:
        self.store.close()


class InPostgresDatabase(InDatabase):
    def __init__(self, clock: Clock, url: DatabaseUrl) -> None:
        self.database = PostgresDatabase.create(url, clock)


@pytest.fixture
def clock():
    return Clock()


ON_SERVER = (BarePostgres, InPostgresDatabase)


@pytest.fixture(params=[BareMemory, BareSqlite, InMemoryDatabase, InSqliteDatabase, *ON_SERVER])
def place(request, clock, tmp_path):
    where = request.getfixturevalue("postgres") if request.param in ON_SERVER else tmp_path
    opened = request.param(clock, where)
    yield opened
    opened.close()


def drafts(*streams: StreamId) -> list[Draft]:
    return [
        Draft(
            stream=stream,
            event=RecordChanged(
                at=NOON,
                actor="ada",
                command=["test"],
                registry="ulabel",
                uid="u",
                fields={"description": f"{number} naïve 🧬"},
            ),
        )
        for number, stream in enumerate(streams)
    ]


def append(place, command: int, *streams: StreamId):
    with place.write() as log:
        return log.append(command_id([command]), drafts(*streams))


def append_and_fail(place, *commands: int) -> None:
    with place.write() as log:
        for command in commands:
            log.append(command_id([command]), drafts(A, B))
        raise ZeroDivisionError


def positions(recorded) -> list[int]:
    return [event.position for event in recorded]


# --- an empty log ---------------------------------------------------------------------------------


def test_an_empty_log_has_head_zero_and_nothing_to_read(place):
    with place.read() as log:
        assert log.head() == 0
        assert log.last() == (0, 0)
        assert list(log.read()) == []
        assert log.entries(limit=10) == []
        assert log.stream(A) == []
        assert log.command(command_id([1])) == []


def test_a_command_without_events_leaves_nothing(place):
    assert append(place, 1) == []
    with place.read() as log:
        assert log.head() == 0
        assert log.command(command_id([1])) == []


# --- places ---------------------------------------------------------------------------------------


def test_positions_are_dense_from_one_in_commit_order(place):
    append(place, 1, A)
    append(place, 2, B, A)
    append(place, 3, A)
    with place.read() as log:
        assert positions(log.read()) == [1, 2, 3, 4]
        assert [recorded.stream for recorded in log.read()] == [A, B, A, A]
        assert log.head() == 4


def test_versions_count_from_one_within_each_stream(place):
    append(place, 1, A, A, B)
    append(place, 2, B, A)
    with place.read() as log:
        assert [(it.position, it.version) for it in log.stream(A)] == [(1, 1), (2, 2), (5, 3)]
        assert [(it.position, it.version) for it in log.stream(B)] == [(3, 1), (4, 2)]
    with place.write() as log:
        assert (log.stream_version(A), log.stream_version(B)) == (3, 2)
        assert log.stream_version(stream_id(["unknown"])) == 0


def test_events_are_numbered_from_one_within_their_command(place):
    append(place, 1, A)
    append(place, 2, A, B, A)
    with place.read() as log:
        assert [(it.position, it.number) for it in log.command(command_id([2]))] == [
            (2, 1),
            (3, 2),
            (4, 3),
        ]


def test_what_append_returns_is_what_is_read(place):
    returned = append(place, 1, A, B)
    with place.read() as log:
        assert list(log.read()) == returned


def test_what_a_transaction_appended_it_reads_before_its_end(place):
    with place.write() as log:
        returned = log.append(command_id([1]), drafts(A, B))
        returned += log.append(command_id([2]), drafts(A))
        assert list(log.read()) == returned
        assert log.head() == 3
        assert log.stream_version(A) == 2


def test_the_stored_leaf_is_the_hash_of_what_is_stored(place):
    append(place, 1, A, B)
    with place.read() as log:
        for entry in log.entries(limit=10):
            assert len(entry.salt) == 32
            assert entry.leaf == leaf_of(entry.envelope, entry.payload, entry.salt)


def test_every_salt_is_another_one(place):
    append(place, 1, A, A, A)
    with place.read() as log:
        assert len({entry.salt for entry in log.entries(limit=10)}) == 3


# --- recorded time --------------------------------------------------------------------------------


def test_recorded_time_is_the_clock_s(place, clock):
    (first,) = append(place, 1, A)
    clock.now += 1_000_000
    (second,) = append(place, 2, A)
    assert (first.recorded_at, second.recorded_at) == (NOON, NOON + 1_000_000)
    with place.read() as log:
        assert log.last() == (2, NOON + 1_000_000)


def test_recorded_time_increases_by_a_microsecond_while_the_clock_stands(place):
    assert [it.recorded_at for it in append(place, 1, A, A, B)] == [NOON, NOON + 1, NOON + 2]


def test_recorded_time_increases_when_the_clock_goes_backwards(place, clock):
    append(place, 1, A)
    clock.now -= 3_600_000_000
    append(place, 2, A, B)
    clock.now += 1
    append(place, 3, A)
    with place.read() as log:
        assert [it.recorded_at for it in log.read()] == [NOON, NOON + 1, NOON + 2, NOON + 3]


def test_an_event_is_said_to_happen_when_it_is_recorded_unless_somebody_says_otherwise(
    place, clock
):
    unsaid = label_created("x", at=UNSAID)
    draft = Draft(stream=A, event=unsaid)
    with place.write() as log:
        log.append(command_id(["several"]), [draft, draft, Draft(stream=A, event=label_created())])
    # A clock that was put right by less than a second is none that was wrong.
    clock.now -= 999_000
    with place.write() as log:
        log.append(command_id(["put right"]), [draft])
    with place.read() as log:
        first, second, said, later = log.read()
    assert [first.event.at, second.event.at, later.event.at] == [NOON, NOON + 1, NOON + 3]
    assert said.event.at == EPOCH
    assert later.recorded_at == NOON + 3


def test_where_the_log_is_ahead_of_the_clock_an_event_happens_when_the_clock_says(place, clock):
    append(place, 1, A)
    clock.now -= 3_600_000_000
    with place.write() as log:
        draft = Draft(stream=A, event=label_created("x", at=UNSAID))
        (event,) = log.append(command_id(["later"]), [draft])
        assert log.met == (clock.now, NOON)
    assert (event.recorded_at, event.event.at) == (NOON + 1, NOON - 3_600_000_000)


def test_an_event_that_was_dated_is_recorded_at_that_time(place, clock):
    with place.write() as log:
        dated = log.dated(label_created("x", at=UNSAID))
        clock.now += 10
        (event,) = log.append(command_id(["dated"]), [Draft(stream=A, event=dated)])
    assert (event.event.at, event.recorded_at) == (NOON, NOON)


# --- once -----------------------------------------------------------------------------------------


def test_a_command_is_recorded_once(place):
    append(place, 1, A)
    with pytest.raises(WrongExpectedVersionError):
        append(place, 1, B)
    with place.read() as log:
        assert positions(log.read()) == [1]
        assert log.stream(B) == []


def test_a_version_of_a_stream_is_recorded_once(place, monkeypatch):
    append(place, 1, A, A)
    with place.write() as log:
        monkeypatch.setattr(
            type(log), "stream_versions", lambda _, streams: dict.fromkeys(streams, 1)
        )
    with pytest.raises(WrongExpectedVersionError):
        append(place, 2, A)
    monkeypatch.undo()
    with place.read() as log:
        assert positions(log.read()) == [1, 2]
        assert log.command(command_id([2])) == []


# --- all or nothing -------------------------------------------------------------------------------


def test_a_transaction_that_fails_leaves_nothing(place):
    append(place, 1, A)
    with pytest.raises(ZeroDivisionError):
        append_and_fail(place, 2, 3)
    with place.read() as log:
        assert positions(log.read()) == [1]
        assert log.stream(B) == []
        assert log.command(command_id([2])) == []
    with place.write() as log:
        assert (log.stream_version(A), log.stream_version(B)) == (1, 0)


def test_what_failed_can_be_appended_again_at_the_same_places(place):
    with pytest.raises(ZeroDivisionError):
        append_and_fail(place, 1)
    assert positions(append(place, 1, A, B)) == [1, 2]
    with place.read() as log:
        assert [it.version for it in log.read()] == [1, 1]


def test_a_refused_append_inside_a_transaction_undoes_all_of_it(place):
    append(place, 1, A)
    with pytest.raises(WrongExpectedVersionError):
        append_and_fail(place, 2, 1)
    with place.read() as log:
        assert positions(log.read()) == [1]


# --- reading --------------------------------------------------------------------------------------


def test_ranges_are_open_on_the_left_and_closed_on_the_right(place):
    append(place, 1, A, B, A, B, A)
    with place.read() as log:
        assert positions(log.read(after=1, until=3)) == [2, 3]
        assert positions(log.read(after=3)) == [4, 5]
        assert positions(log.read(until=2)) == [1, 2]
        assert positions(log.read(after=5)) == []
        assert positions(log.read(after=3, until=3)) == []
        assert positions(log.read(after=4, until=2)) == []
        assert positions(log.read(until=0)) == []
        assert positions(log.read(after=99)) == []


def test_a_limit_ends_a_batch_and_not_a_range(place):
    append(place, 1, A, B, A, B, A)
    with place.read() as log:
        taken = log.entries(after=1, until=4, limit=2)
        assert [entry.envelope.position for entry in taken] == [2, 3]
        taken = log.entries(after=3, until=4, limit=2)
        assert [entry.envelope.position for entry in taken] == [4]


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8])
def test_reading_in_batches_of_any_size_is_reading(place, monkeypatch, batch):
    append(place, 1, A, B, A, B, A, B, A)
    monkeypatch.setattr(base, "READ_BATCH", batch)
    with place.read() as log:
        assert positions(log.read()) == [1, 2, 3, 4, 5, 6, 7]
        assert positions(log.read(after=2, until=6)) == [3, 4, 5, 6]


def test_a_stream_is_read_up_to_a_position(place):
    append(place, 1, A, B, A, B, A)
    with place.read() as log:
        assert positions(log.stream(A)) == [1, 3, 5]
        assert positions(log.stream(A, until=3)) == [1, 3]
        assert positions(log.stream(A, until=2)) == [1]
        assert positions(log.stream(B, until=1)) == []


def test_a_reader_goes_on_from_its_bookmark(place):
    append(place, 1, A)
    with place.read() as log:
        assert positions(log.read(after=0)) == [1]
    append(place, 2, B, A)
    with place.read() as log:
        assert positions(log.read(after=1)) == [2, 3]


def test_a_moment_is_the_last_position_recorded_by_then(place, clock):
    with place.read() as log:
        assert log.position_at(NOON) == 0
    append(place, 1, A, B)  # at noon and a microsecond later
    clock.now += 10
    append(place, 2, A)
    with place.read() as log:
        moments = (-1, 0, 1, 2, 9, 10, 11)
        assert [log.position_at(NOON + it) for it in moments] == [0, 1, 2, 2, 2, 3, 3]


def test_leaves_are_those_of_the_first_entries_in_order(place):
    append(place, 1, A, B)
    append(place, 2, A)
    with place.read() as log:
        leaves = [entry.leaf for entry in log.entries(limit=10)]
        assert [list(log.leaves(until=until)) for until in (0, 1, 3)] == [[], leaves[:1], leaves]


# --- adopting -------------------------------------------------------------------------------------


def elsewhere(*commands: tuple[StreamId, ...]) -> list[Entry]:
    """Entries that another log has recorded, one command after the other, the last one erased."""
    log = MemoryLog(Clock())
    for number, streams in enumerate(commands, start=1):
        log.append(command_id([number]), drafts(*streams))
    *kept, last = log.entries(limit=99)
    return [*kept, erased(last)]


COMMANDS = [(A, B), (A,), (B, B, A), (A,)]


@pytest.mark.parametrize("portion", [1, 2, 4, 7])
def test_adopted_entries_are_as_they_were_and_the_log_goes_on_after_them(place, portion):
    entries = elsewhere(*COMMANDS)
    with place.write() as log:
        for first in range(0, len(entries), portion):
            log.adopt(entries[first : first + portion])
    with place.read() as log:
        assert log.entries(limit=99) == entries
        assert list(log.leaves(until=7)) == [it.leaf for it in entries]
        assert positions(log.command(command_id([3]))) == [4, 5, 6]
    (more,) = append(place, 99, A)
    assert (more.position, more.version) == (8, 5)
    assert more.recorded_at > entries[-1].envelope.recorded_at


def test_a_log_adopts_what_another_one_recorded_after_the_same_beginning(place):
    entries = elsewhere(*COMMANDS)
    for some in (entries[:3], [], entries[3:]):
        with place.write() as log:
            log.adopt(some)
    with place.read() as log:
        assert log.entries(limit=99) == entries


def altered(entry: Entry, **changes: object) -> Entry:
    """The same entry with another envelope, and a leaf hash that fits it."""
    return seal(replace(entry.envelope, **changes), entry.payload, salt=entry.salt)


# Of entries 3 to 6, where 1 and 2 are here already.
MISPLACED = {
    "a gap at the beginning": lambda them: them[1:],
    "a gap within": lambda them: [them[0], *them[2:]],
    "an overlap": lambda them: [*elsewhere(*COMMANDS)[1:2], *them],
    "what is here already": lambda _: elsewhere(*COMMANDS)[:2],
    "one twice": lambda them: [them[0], *them],
    "another order": lambda them: [them[0], them[2], them[1], them[3]],
    "a version left out": lambda them: [altered(them[0], version=3), *them[1:]],
    "a version again": lambda them: [altered(them[0], version=1), *them[1:]],
    "a moment that is not later": lambda them: [altered(them[0], recorded_at=NOON + 1), *them[1:]],
    "an earlier moment": lambda them: [*them[:3], altered(them[3], recorded_at=NOON + 2)],
    "a command that is here already": lambda them: [
        altered(them[0], command_id=command_id([1])),
        *them[1:],
    ],
}


@pytest.mark.parametrize("deed", MISPLACED.values(), ids=MISPLACED.keys())
def test_entries_that_do_not_follow_are_not_adopted(place, deed):
    entries = elsewhere(*COMMANDS)
    refused(place, entries[:2], deed(entries[2:6]), WrongExpectedVersionError)


@pytest.mark.parametrize(
    "change",
    [
        {"payload": b"{}"},
        {"salt": b"\1" * 32},
        {"leaf": b"\1" * 32},
    ],
    ids=["payload", "salt", "leaf"],
)
@pytest.mark.parametrize("at", [0, 3])
def test_an_entry_that_does_not_hash_to_its_leaf_is_not_adopted(place, at, change):
    entries = elsewhere(*COMMANDS)
    more = entries[2:6]
    more[at] = replace(more[at], **change)
    error = refused(place, entries[:2], more, CorruptLogError)
    assert error.details["position"] == 3 + at


def refused(place, here: list[Entry], more: list[Entry], kind: type[LedgerError]) -> LedgerError:
    """Require that entries are refused, with nothing of them recorded; return the error."""
    with place.write() as log:
        log.adopt(here)
    with pytest.raises(kind) as caught, place.write() as log:
        log.adopt(more)
    with place.read() as log:
        assert log.entries(limit=99) == here
    return caught.value


# --- what this program does not know --------------------------------------------------------------


def put_raw(place, position: int, tag: str, payload: bytes) -> None:
    envelope = Envelope(
        position=Position(position),
        recorded_at=NOON + position,
        stream=stream_id(["raw", position]),
        version=1,
        tag=tag,
        command_id=command_id(["raw", position]),
        number=1,
    )
    with place.write() as log:
        log.adopt([seal(envelope, payload)])


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        (b'{"actor":"ada","at":1,"command":[],"type":"run-closed.v3","uid":"u"}', "run-closed.v3"),
        (b'{"actor":"ada","at":1,"command":[],"type":"run-abandoned.v1","uid":"u"}', "`by`"),
        (b'{"actor":"ada","at":1,"command":[],"uid":"u"}', "no type"),
        (b'{"actor":"ada",', "not an event"),
    ],
    ids=["unknown type", "field missing", "no type", "truncated"],
)
def test_an_event_of_an_unknown_kind_is_named_by_its_position(place, payload, said):
    append(place, 1, A)
    put_raw(place, 2, "run-closed.v3", payload)
    append(place, 3, A)
    with place.read() as log:
        reading = log.read()
        assert next(reading).position == 1
        with pytest.raises(UnknownEventError, match="at position 2 ") as caught:
            next(reading)
        assert caught.value.details["position"] == 2
        assert said in str(caught.value)


def test_an_event_of_an_unknown_kind_can_still_be_copied(place):
    put_raw(place, 1, "run-closed.v3", b'{"type":"run-closed.v3"}')
    with place.read() as log:
        (entry,) = log.entries(limit=10)
        assert (entry.envelope.tag, entry.payload) == ("run-closed.v3", b'{"type":"run-closed.v3"}')


def test_a_hole_in_the_log_stops_the_reader(place, monkeypatch):
    append(place, 1, A, B, A)
    with place.read() as log:
        whole = type(log).entries
        monkeypatch.setattr(
            type(log),
            "entries",
            lambda *given, **named: [
                entry for entry in whole(*given, **named) if entry.envelope.position != 2
            ],
        )
        with pytest.raises(CorruptLogError, match="expected position 2, found 3"):
            list(log.read())


# --- both the same --------------------------------------------------------------------------------

steps = st.lists(
    st.tuples(
        st.integers(0, 5),  # command
        st.lists(st.sampled_from([A, B]), max_size=3),
        st.integers(-2, 2),  # how the clock moves
        st.booleans(),  # whether the transaction fails at its end
    ),
    max_size=12,
)


@given(steps)
@settings(max_examples=settings().max_examples // 2)
def test_the_databases_tell_what_the_log_in_memory_tells(postgres_url, script):
    told = []
    with tempfile.TemporaryDirectory() as folder, new_schema(postgres_url) as url:
        for kind in (BareMemory, BareSqlite, BarePostgres):
            clock = Clock()
            place = kind(clock, url if kind is BarePostgres else Path(folder))
            outcomes = [_carry_out(place, clock, step) for step in script]
            with place.read() as log:
                told.append((outcomes, list(log.read()), log.stream(A), log.stream(B)))
                told[-1] += ([log.command(command_id([number])) for number in range(6)],)
            place.close()
    assert told[0] == told[1] == told[2]
    recorded = told[0][1]
    assert positions(recorded) == list(range(1, len(recorded) + 1))
    times = [it.recorded_at for it in recorded]
    assert times == sorted(set(times))


def _carry_out(place, clock, step) -> str:
    command, streams, moved, fails = step
    clock.now += moved
    try:
        with place.write() as log:
            log.append(CommandId(command_id([command])), drafts(*streams))
            _ = 1 // (not fails)
    except (WrongExpectedVersionError, ZeroDivisionError) as error:
        return type(error).__name__
    return "appended"
