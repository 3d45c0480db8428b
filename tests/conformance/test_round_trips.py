"""What saving over a network costs, counted in round trips and statements, not in seconds."""

from __future__ import annotations

from contextlib import closing

import psycopg
import pytest
from psycopg.pq import PipelineStatus

import ledger as ln
from ledger.decisions.runs import RunPlan
from ledger.engine.postgres_database import PostgresDatabase
from ledger.errors import NameTakenError
from ledger.model.events import Draft
from ledger.model.ids import command_id, stream_id
from ledger.places import instance
from projections.sql.trips import Statement, Trips
from tests.support import builders as b
from tests.support.servers import in_new_schema

MANY = 20


class Counted:
    """Round trips and statements of this process; several statements may share a trip."""

    def __init__(self, monkeypatch) -> None:
        self.trips = self.statements = 0
        execute, pipeline = psycopg.Cursor.execute, psycopg.Connection.pipeline

        def counted(cursor, *args, **kwargs):
            self.statements += 1
            self.trips += cursor.connection.info.pipeline_status == PipelineStatus.OFF
            return execute(cursor, *args, **kwargs)

        def shared(connection):
            self.trips += 1
            return pipeline(connection)

        monkeypatch.setattr(psycopg.Cursor, "execute", counted)
        monkeypatch.setattr(psycopg.Connection, "pipeline", shared)

    def of(self, work) -> tuple[int, int]:
        """Return the round trips and statements of some work."""
        before = self.trips, self.statements
        work()
        return self.trips - before[0], self.statements - before[1]


@pytest.fixture
def counted(postgres, ledger_folder, monkeypatch):
    del ledger_folder
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    ln.init("storage", database=str(postgres))
    ln.connect()
    ln.ULabel("before").save()
    yield Counted(monkeypatch)
    ln.close()


def test_what_a_new_label_costs(counted):
    # Constructed 1; begun, with the lock and the end of the log, 1; asked 1; recorded and read back
    # 1; committed 1.
    assert counted.of(lambda: ln.ULabel("outside").save()) == (5, 11)
    ln.track(key="script.py", new_run=True)
    # Within a run no more: whether another process of the pass took the number of this intent is
    # asked together with the rest.
    assert counted.of(lambda: ln.ULabel("inside").save()) == (5, 14)
    ln.finish()


def test_what_a_replay_costs(counted):
    def script() -> None:
        for number in range(MANY):
            ln.ULabel(f"label {number}").save()

    handler = instance.current().handler
    plan = RunPlan(identity="script", fields={})
    for costs in (5 * MANY, MANY):
        handler.track(plan, new_run=False, before=lambda _: {"transform": "T"})
        # What is recorded already is read once: when it is constructed.
        assert counted.of(script)[0] == costs
        handler.finish("finished")


def test_what_labels_cost_in_one_transaction(counted):
    ln.track(key="script.py", new_run=True)
    labels = [ln.ULabel(f"label {number}") for number in range(MANY)]
    trips, statements = counted.of(lambda: ln.save(labels))
    # Begun and committed; asked together, and written together.
    assert trips <= 8
    assert statements <= 24
    ln.finish()


def test_what_a_change_costs(counted):
    label = ln.ULabel("x").save()
    label.description = "new"
    # Looked at 1, begun 1, asked 1, recorded and read back 1, committed 1.
    assert counted.of(label.save)[0] == 5
    assert label.description == "new"


# --- how they travel ------------------------------------------------------------------------------


@pytest.fixture
def trips(postgres, monkeypatch):
    with in_new_schema(postgres) as connection:
        connection.execute("CREATE TABLE t (number int UNIQUE, text text)")
        made = Trips(connection)
        made.counted = Counted(monkeypatch)
        yield made


INSERT = b"INSERT INTO t VALUES (%s, %s)"
NUMBERS = b"SELECT number FROM t ORDER BY number"


def test_what_waits_comes_before_what_is_asked(trips):
    trips.post(Statement(INSERT, (1, "x")), Statement(INSERT, (2, "x")))
    assert trips.counted.of(lambda: None) == (0, 0)
    assert trips.ask(NUMBERS).fetchall() == [(1,), (2,)]
    assert trips.counted.of(lambda: None) == (0, 0)
    assert (trips.counted.trips, trips.counted.statements) == (1, 3)


def test_what_is_large_goes_alone_and_in_order(trips):
    texts = ["x" * size for size in (1, 10_000_000, 1, 1)]
    trips.post(*[Statement(INSERT, (at, text)) for at, text in enumerate(texts)])
    trips.send()
    assert trips.counted.trips == 3
    assert trips.ask(b"SELECT number FROM t ORDER BY ctid").fetchall() == [(0,), (1,), (2,), (3,)]


def test_many_go_in_portions(trips):
    trips.post(*[Statement(INSERT, (number, "")) for number in range(100)])
    trips.send()
    assert trips.counted.trips == 4
    assert len(trips.ask(NUMBERS).fetchall()) == 100


def test_what_followed_an_error_is_not_carried_out_later(trips):
    trips.post(Statement(INSERT, (1, "")), Statement(INSERT, (1, "")), Statement(INSERT, (2, "")))
    with pytest.raises(psycopg.errors.UniqueViolation):
        trips.send()
    # One round trip is one transaction where none is open.
    assert trips.ask(NUMBERS).fetchall() == []


def test_what_matters_only_to_what_follows_stays_behind(trips):
    trips.post(Statement(b"SAVEPOINT nowhere", is_idle=True))
    trips.send()
    assert trips.counted.trips == 0
    with pytest.raises(psycopg.errors.NoActiveSqlTransaction):
        trips.settled()


# --- savepoints that travel along -----------------------------------------------------------------


def append(session, name: str, n: int = 1) -> None:
    identity = ["create", "ulabel", name, n]
    draft = Draft(stream=stream_id(identity), event=b.label_created(name, n=n))
    session.append(command_id(identity), [draft])


def names(session) -> list[str]:
    return [row["name"] for row in session.models.find("ulabel")]


def fail_after(session, *them: str) -> None:
    for name in them:
        append(session, name)
    raise ZeroDivisionError


def test_parts_within_parts_are_undone_alone(postgres):
    with closing(PostgresDatabase.create(postgres)) as database:
        with database.write() as session:
            append(session, "one")
            with database.savepoint(session):
                append(session, "two")
                with pytest.raises(ZeroDivisionError), database.savepoint(session):
                    fail_after(session, "never")
                with database.savepoint(session):
                    pass
                with database.savepoint(session):
                    append(session, "three")
            with pytest.raises(ZeroDivisionError), database.savepoint(session):  # noqa: PT012
                with database.savepoint(session):
                    append(session, "nor this")
                with database.savepoint(session):
                    append(session, "nor that")
                raise ZeroDivisionError
            with pytest.raises(ZeroDivisionError), database.savepoint(session):
                fail_after(session)
            append(session, "four")
            assert names(session) == ["one", "two", "three", "four"]
        with database.read() as session:
            assert names(session) == ["one", "two", "three", "four"]
            assert [it.position for it in session.log.read()] == [1, 2, 3, 4]


def test_a_part_that_the_database_refuses_is_undone_alone(postgres):
    with closing(PostgresDatabase.create(postgres)) as database:
        with database.write() as session:
            append(session, "one")
            with pytest.raises(NameTakenError, match="'one'"), database.savepoint(session):
                append(session, "one", n=2)
            append(session, "two")
        with database.read() as session:
            assert names(session) == ["one", "two"]
            assert [it.position for it in session.log.read()] == [1, 2]
