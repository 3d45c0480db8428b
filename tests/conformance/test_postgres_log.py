"""What a ledger on a PostgreSQL server promises beyond what every ledger does.

Three of these hold where the framework's recorder, used as it comes, does not: a tail misses
nothing, an append of megabytes returns, and an append whose acknowledgement was lost is one.
"""

from __future__ import annotations

import random
import sys
import threading
import uuid
from contextlib import closing, contextmanager, suppress
from dataclasses import replace

import psycopg
import pytest
from eventsourcing.persistence import IntegrityError, PersistenceError, StoredEvent
from eventsourcing.postgres import PostgresApplicationRecorder, PostgresDatastore
from psycopg.conninfo import conninfo_to_dict

from ledger.engine.postgres_database import PostgresDatabase
from ledger.errors import (
    ConfigurationError,
    LedgerExistsError,
    NameTakenError,
    StorageError,
    UnknownEventError,
)
from ledger.eventlog.database_url import parse
from ledger.eventlog.entry import erased
from ledger.eventlog.postgres_connections import Datastore, set_meta
from ledger.eventlog.postgres_log import Recorder
from ledger.eventlog.postgres_schema import role
from ledger.model.events import BlobRecorded, Draft, EntriesErased
from ledger.model.ids import command_id, stream_id
from ledger.model.times import now_micros
from projections.fold import fold
from projections.select import Select
from projections.select import Test as Is
from projections.sql.postgres import PostgresModels, plain, spelled
from tests.support import builders as b
from tests.support.chance import new_name
from tests.support.patience import PATIENCE
from tests.support.servers import Wire, in_new_schema, new_schema

STREAM, OTHER_STREAM = uuid.UUID(int=1), uuid.UUID(int=2)
MEGABYTE = 1_000_000
COMMIT = b"COMMIT\0"  # as it is sent; the level of isolation at the beginning has the word too


@pytest.fixture
def database(postgres):
    made = PostgresDatabase.create(postgres)
    yield made
    made.close()


@contextmanager
def administrator(url):
    """A bare connection of a superuser, in the ledger's schema."""
    with psycopg.connect(url.text, autocommit=True) as connection:
        connection.execute(f"SET search_path = {url.schema}".encode())
        yield connection


def save(database, *names: str) -> None:
    for name in names:
        with database.write() as session:
            append(session, name)


def append(session, name: str, n: int = 1) -> None:
    event = b.label_created(name, n=n)
    identity = ["create", "ulabel", name, n]
    session.append(command_id(identity), [Draft(stream=stream_id(identity), event=event)])


def names(database) -> list[str]:
    with database.read() as session:
        return [row["name"] for row in session.models.select(Select(registry="ulabel"))]


def positions(database) -> list[int]:
    with database.read() as session:
        return [it.position for it in session.log.read()]


def blob(size: int) -> Draft:
    event = BlobRecorded(
        at=0, actor="ada", command=["blob"], blob="x", media_type="text/plain", text="x" * size
    )
    return Draft(stream=stream_id(["blob", size]), event=event)


def within(seconds: float, call):
    """Return what a call returns; fail where it does not return in time."""
    answer = []
    thread = threading.Thread(target=lambda: answer.append(call()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert not thread.is_alive(), "it hangs"
    (found,) = answer
    return found


# --- what the framework alone would not keep ------------------------------------------------------


def test_a_tail_misses_nothing_although_a_later_writer_is_faster(database, postgres):
    save(database, "before")
    seen = []
    faster = threading.Thread(target=save, args=(PostgresDatabase(postgres), "faster"))
    with administrator(postgres) as watch:
        with database.write() as session:
            append(session, "slower")
            faster.start()
            # Without the table lock the faster one would end now, and never wait.
            until(watch, "wait_event_type = 'Lock' AND query LIKE '%append_lock%'")
            seen += positions(database)
            assert seen == [1]
        faster.join(PATIENCE)
    with database.read() as session:
        seen += [it.position for it in session.log.read(after=seen[-1])]
        told = [it.event.fields["name"] for it in session.log.read()]
    assert seen == [1, 2, 3]
    assert told == ["before", "slower", "faster"]


def until(watch, condition: str) -> None:
    """Wait until a session of the server is like this; a test that waits in vain fails."""
    sql = f"SELECT count(*) FROM pg_stat_activity WHERE {condition}"  # noqa: S608 (our own words)
    for _ in range(int(PATIENCE) * 100):
        if watch.execute(sql.encode()).fetchone()[0]:
            return
        watch.execute("SELECT pg_sleep(0.01)")
    raise AssertionError(condition)


def test_the_mode_without_the_lock_cannot_be_switched_on(postgres, monkeypatch):
    monkeypatch.setenv("POSTGRES_ENABLE_DB_FUNCTIONS", "yes")
    with closing(PostgresDatabase.create(postgres)) as database:
        store, _ = database._open()
        assert not store.enable_db_functions
        with administrator(postgres) as connection:
            made = connection.execute(
                "SELECT proname FROM pg_proc WHERE pronamespace = %s::regnamespace",
                (postgres.schema,),
            ).fetchall()
        assert {name for (name,) in made} == {
            "append_lock", "folded", "refuse", "refuse_gap", "refuse_salt", "refuse_state",
            "residue_of",
        }  # fmt: skip


@pytest.mark.parametrize("size", [MEGABYTE, 32 * MEGABYTE])
def test_an_append_of_megabytes_returns(database, size):
    def one() -> int:
        with database.write() as session:
            return len(session.append(command_id([size]), [blob(size)]))

    assert within(PATIENCE, one) == 1
    with database.read() as session:
        (found,) = session.log.read()
    assert len(found.event.text) == size


def test_an_append_of_megabytes_in_many_events_returns(database):
    drafts = [blob(1_000 + number) for number in range(3_000)]

    def all_at_once() -> int:
        with database.write() as session:
            return len(session.append(command_id(["many"]), drafts))

    assert within(PATIENCE, all_at_once) == 3_000
    assert positions(database) == list(range(1, 3_001))


@pytest.mark.parametrize(("n", "size"), [(1, MEGABYTE), (20_000, 400), (1, 32 * MEGABYTE)])
def test_megabytes_through_the_frameworks_own_door_return(postgres, n, size):
    with closing(Datastore(postgres)) as store:
        recorder = Recorder(store)
        recorder.create_table()
        assert within(PATIENCE, lambda: recorder.insert_events(stored(n, size))) == [
            *range(1, n + 1)
        ]


def stored(n: int, size: int) -> list[StoredEvent]:
    return [StoredEvent(STREAM, number + 1, "topic", b"x" * size) for number in range(n)]


@pytest.fixture
def wire(postgres):
    port = conninfo_to_dict(postgres.text)["port"]
    with closing(Wire(int(port))) as wire:
        yield wire


def over(wire: Wire, url):
    return parse(url.text.replace(f":{wire.target}/", f":{wire.port}/")).in_schema(url.schema)


def test_an_append_whose_acknowledgement_was_lost_is_recorded_once(database, postgres, wire):
    away = PostgresDatabase(over(wire, postgres))
    save(away, "first")
    wire.lose_the_answer_to(COMMIT)
    save(away, "second")
    assert wire.n_lost == 1
    save(away, "third")
    assert names(away) == names(database) == ["first", "second", "third"]
    assert positions(database) == [1, 2, 3]
    away.close()


def test_an_append_whose_commit_never_arrived_is_refused_and_not_recorded(database, postgres, wire):
    away = PostgresDatabase(over(wire, postgres))
    save(away, "first")
    wire.lose(COMMIT)
    with pytest.raises(StorageError, match="nothing was recorded, try again"):
        save(away, "second")
    assert wire.n_lost == 1
    assert names(database) == ["first"]
    save(away, "second")
    assert names(away) == ["first", "second"]
    away.close()


def test_a_connection_that_breaks_at_the_beginning_is_replaced(database, postgres, wire):
    away = PostgresDatabase(over(wire, postgres))
    save(away, "first")
    wire.lose(b"append_lock")
    save(away, "second")
    assert wire.n_lost == 1
    assert names(database) == ["first", "second"]
    away.close()


def test_the_frameworks_own_door_acknowledges_what_was_recorded(postgres, wire):
    with closing(Datastore(over(wire, postgres))) as store:
        recorder = Recorder(store)
        recorder.create_table()
        events = stored(3, 10)
        wire.lose_the_answer_to(COMMIT)
        assert recorder.insert_events(events) == [1, 2, 3]
        assert wire.n_lost == 1
        assert recorder.max_notification_id() == 3


def test_a_commit_that_undid_everything_is_not_taken_for_one(database):
    def goes_on_after_an_error() -> None:
        taken = fold(b.recorded(b.label_created("tabby", n=2), 2))
        with database.write() as session:
            append(session, "tabby")
            with pytest.raises(NameTakenError):
                session.models.apply(2, taken)

    with pytest.raises(StorageError, match="nothing was recorded"):
        goes_on_after_an_error()
    assert positions(database) == []


# --- who may do what ------------------------------------------------------------------------------

TAMPERING = (
    "UPDATE stored_events SET topic = 'x'",
    "UPDATE entries SET number = 7",
    "DELETE FROM stored_events",
    "DELETE FROM entries",
    "TRUNCATE stored_events",
    "TRUNCATE entries",
)


@pytest.mark.parametrize("statement", TAMPERING)
@pytest.mark.parametrize("role_of_replication", ["origin", "replica"])
def test_not_even_a_superuser_changes_what_is_recorded(
    database, postgres, statement, role_of_replication
):
    save(database, "tabby")
    with administrator(postgres) as connection:
        connection.execute(f"SET session_replication_role = {role_of_replication}".encode())
        with pytest.raises(psycopg.errors.RestrictViolation, match="append-only"):
            connection.execute(statement.encode())
    assert names(database) == ["tabby"]


@pytest.mark.parametrize("position", [1, 3])
def test_a_position_that_is_not_the_next_one_is_refused(database, postgres, position):
    save(database, "tabby")
    with (
        administrator(postgres) as connection,
        pytest.raises(psycopg.errors.RestrictViolation, match="position 2 follows"),
    ):
        connection.execute(
            "INSERT INTO entries"
            " VALUES (%s, 1, gen_random_uuid(), 1, gen_random_uuid(), 1, '', '')",
            (position,),
        )


@contextmanager
def user(url, *roles: str, rights: str = "", password: str = ""):
    """Lend the ledger's URL as a new user sees it who is a member of these roles."""
    name = f"user_{new_name()}"
    with administrator(url) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN {rights} PASSWORD '{password}'".encode())
        for it in roles:
            connection.execute(f"GRANT {it} TO {name}".encode())
        try:
            yield parse(url.text.replace("//postgres@", f"//{name}@")).in_schema(url.schema)
        finally:
            connection.execute(f"DROP OWNED BY {name}".encode())
            connection.execute(f"DROP ROLE {name}".encode())


def test_a_writer_appends_and_reads_but_changes_nothing_recorded(database, postgres):
    with user(postgres, role(postgres.schema, "writer")) as url:
        writer = PostgresDatabase(url)
        save(writer, "tabby", "tom")
        assert names(writer) == ["tabby", "tom"]
        assert writer.rebuild() == 2
        for statement in (*TAMPERING, "UPDATE meta SET value = '9'", "DROP TABLE ulabel"):
            with (
                administrator(url) as connection,
                pytest.raises(psycopg.errors.InsufficientPrivilege),
            ):
                connection.execute(statement.encode())
        writer.close()
    assert names(database) == ["tabby", "tom"]


def test_only_an_eraser_erases_and_nothing_else(database, postgres):
    def erase(session, name: str) -> None:
        (entry,) = [it for it in session.log.entries(limit=9) if name.encode() in it.payload]
        event = EntriesErased(
            at=1,
            actor="ada",
            command=["erase", name],
            registry="ulabel",
            uid="x",
            reason="a request",
            entries=(entry.envelope.position,),
        )
        draft = Draft(stream=stream_id(["erasing", name]), event=event)
        session.log.append(command_id(["erase", name]), [draft])
        session.log.erase([erased(entry)])

    save(database, "tabby", "tom")
    with user(postgres, role(postgres.schema, "writer")) as url:
        writer = PostgresDatabase(url)
        with (
            pytest.raises(StorageError, match=f"grant it the role '{postgres.schema}_eraser'"),
            writer.write() as session,
        ):
            erase(session, "tabby")
        assert names(writer) == ["tabby", "tom"]
        writer.close()
    with user(postgres, role(postgres.schema, "eraser")) as url:
        eraser = PostgresDatabase(url)
        with eraser.write() as session:
            erase(session, "tabby")
        with eraser.read() as session:
            assert [it.is_erased for it in session.log.entries(limit=9)] == [True, False, False]
        assert not eraser.scrub()
        eraser.close()
        # Named by the last event, and yet neither once more nor with other hashes.
        again = "UPDATE entries SET salt = decode(repeat('00', 64), 'hex') WHERE position = "
        state = "UPDATE stored_events SET state = '{}' WHERE notification_id = 1"
        for statement in (*TAMPERING, f"{again} 1", f"{again} 2", state):
            with (
                administrator(url) as connection,
                pytest.raises(
                    (
                        psycopg.errors.InsufficientPrivilege,
                        psycopg.errors.RestrictViolation,
                    )
                ),
            ):
                connection.execute(statement.encode())
    assert database.scrub()


def test_a_reader_reads_and_is_told_what_it_lacks_to_write(database, postgres):
    save(database, "tabby")
    with user(postgres, role(postgres.schema, "reader")) as url:
        reader = PostgresDatabase(url)
        assert names(reader) == ["tabby"]
        select = Select(registry="ulabel", where=Is(("name",), "iexact", "TABBY"))
        with reader.read() as session:
            assert session.models.count(select) == 1
        with pytest.raises(StorageError, match="grant it the ledger's writer or reader role"):
            save(reader, "tom")
        reader.close()


def test_a_stranger_sees_nothing(database, postgres):
    save(database, "tabby")
    with user(postgres) as url, pytest.raises(StorageError, match="writer or reader role"):
        names(PostgresDatabase(url))


def test_a_user_who_may_not_make_roles_owns_the_ledger(postgres):
    with administrator(postgres) as connection:
        connection.execute("GRANT CREATE ON DATABASE postgres TO PUBLIC")
    with user(postgres) as url:
        with closing(PostgresDatabase.create(url)) as database:
            save(database, "tabby")
            assert names(database) == ["tabby"]
        PostgresDatabase(url).drop()


def test_a_user_who_makes_roles_can_make_use_and_remove_a_ledger(postgres):
    with administrator(postgres) as connection:
        connection.execute("GRANT CREATE ON DATABASE postgres TO PUBLIC")
    with user(postgres, rights="CREATEROLE") as url:
        with closing(PostgresDatabase.create(url)) as database:
            save(database, "tabby")
        PostgresDatabase(url).drop()
        with administrator(postgres) as connection:
            left = connection.execute(
                "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", (url.schema,)
            )
            assert left.fetchall() == []


# --- schemas --------------------------------------------------------------------------------------


def test_ledgers_of_one_database_know_nothing_of_each_other(postgres_url):
    with new_schema(postgres_url) as one, new_schema(postgres_url) as other:
        first, second = PostgresDatabase.create(one), PostgresDatabase.create(other)
        with first.write() as session:
            append(session, "tabby")
            # The append lock is one of the ledger, not of the database.
            save(second, "tom")
        assert (names(first), names(second)) == (["tabby"], ["tom"])
        first.close()
        second.close()


def test_a_schema_that_exists_is_left_alone(database, postgres):
    save(database, "tabby")
    with pytest.raises(LedgerExistsError, match="choose another"):
        PostgresDatabase.create(postgres)
    assert names(database) == ["tabby"]


def test_a_failed_making_leaves_nothing(postgres, monkeypatch):
    monkeypatch.setattr(PostgresModels, "create", lambda _: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        PostgresDatabase.create(postgres)
    monkeypatch.undo()
    with closing(PostgresDatabase.create(postgres)) as database:
        assert positions(database) == []


def test_a_database_of_another_encoding_is_refused(postgres_url):
    name = f"latin_{new_name()}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'".encode()
        )
        try:
            url = parse(postgres_url.rsplit("/", 1)[0] + f"/{name}").in_schema("lab")
            with pytest.raises(
                ConfigurationError, match="expected the encoding UTF8, found LATIN1"
            ):
                PostgresDatabase.create(url)
        finally:
            connection.execute(f"DROP DATABASE {name}".encode())


@pytest.mark.usefixtures("database")
def test_a_ledger_in_a_newer_format_is_refused_with_the_way_out(postgres):
    with administrator(postgres) as connection:
        set_meta(connection, {"format": "3"})
    with pytest.raises(UnknownEventError, match="format 3, this program knows up to 2; upgrade"):
        names(PostgresDatabase(postgres))


def test_a_schema_that_is_no_ledger_is_refused(postgres):
    with in_new_schema(postgres), pytest.raises(StorageError, match="right schema"):
        names(PostgresDatabase(postgres))


def test_read_models_of_another_version_are_rebuilt_by_the_owner_only(database, postgres):
    save(database, "tabby", "tom")
    with administrator(postgres) as connection:
        set_meta(connection, {"read_models": "1"})
        connection.execute("DROP TABLE ulabel")
    with user(postgres, role(postgres.schema, "writer")) as url:
        with pytest.raises(StorageError, match="have its owner do this once"):
            names(PostgresDatabase(url))
        owner = PostgresDatabase(postgres)
        assert names(owner) == ["tabby", "tom"]
        owner.close()
        # The rights of the roles are given anew with the tables.
        writer = PostgresDatabase(url)
        save(writer, "patch")
        assert names(writer) == ["tabby", "tom", "patch"]
        writer.close()


def test_a_program_at_work_does_not_write_into_read_models_of_another_version(database, postgres):
    save(database, "tabby")
    with administrator(postgres) as connection:
        set_meta(connection, {"read_models": "1"})
    with pytest.raises(StorageError, match="use the same version everywhere"):
        save(database, "tom")
    assert positions(database) == [1]


def test_a_ledger_that_is_copied_into_a_file_has_the_same_entries(database, tmp_path):
    save(database, "tabby", "tom")
    with closing(database.copy_to(tmp_path / "copy.db")) as copy:
        assert names(copy) == ["tabby", "tom"]
        with database.read() as source, copy.read() as target:
            assert source.log.entries(limit=9) == target.log.entries(limit=9)


# --- time and durability --------------------------------------------------------------------------


def test_recorded_time_is_the_servers(database, postgres):
    with administrator(postgres) as connection:
        now = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
        before = connection.execute(now).fetchone()[0]
        save(database, "tabby", "tom")
        after = connection.execute(now).fetchone()[0]
    with database.read() as session:
        first, second = (it.recorded_at for it in session.log.read())
    assert before <= first < second <= after
    assert abs(first - now_micros()) < 600_000_000


@pytest.mark.usefixtures("database")
def test_what_is_acknowledged_is_on_the_disk_whatever_the_server_is_set_to(postgres):
    lax = parse(f"{postgres.text}?options=-c%20synchronous_commit%3Doff").in_schema(postgres.schema)
    with closing(PostgresDatabase(lax)) as other, other.write() as session:
        ((found,),) = session.log._ask("SHOW synchronous_commit")
    assert found == "on"


def test_a_save_of_a_batch_that_fails_is_undone_alone(database):
    with database.write() as session:
        append(session, "tabby")
        with pytest.raises(NameTakenError, match="'tabby'"), database.savepoint(session):
            append(session, "tabby", n=2)
        append(session, "tom")
    assert names(database) == ["tabby", "tom"]
    assert positions(database) == [1, 2]


# --- text -----------------------------------------------------------------------------------------


def test_every_character_folds_as_in_python(postgres):
    characters = [
        chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code <= 0xDFFF
    ]
    with in_new_schema(postgres) as connection:
        PostgresModels(connection).create()
        portion = 50_000
        for begin in range(0, len(characters), portion):
            asked = characters[begin : begin + portion]
            found = connection.execute(
                "SELECT array_agg(folded(c) ORDER BY i) FROM unnest(%s::text[])"
                " WITH ORDINALITY AS t(c, i)",
                (asked,),
            ).fetchone()[0]
            assert found == [it.casefold() for it in asked]


def test_spelling_keeps_the_order_of_texts_and_can_be_undone():
    letters = ["", "\0", "\x01", "\x02", "a"]
    texts = [x + y + z for x in letters for y in letters for z in letters]
    assert sorted(texts) == [plain(it) for it in sorted(map(spelled, texts))]
    assert [plain(spelled(it)) for it in texts] == texts
    assert not any("\0" in spelled(it) for it in texts)


def test_parts_are_found_at_characters_and_not_within_their_spelling(postgres):
    letters = ["\0", "\x01", "\x02", "a"]
    texts = [x + y + z for x in letters for y in letters for z in letters]
    with in_new_schema(postgres) as connection:
        models = PostgresModels(connection)
        models.create()
        b.feed(models, b.log(*(b.label_created(it) for it in texts)))
        for part in [*letters, *(x + y for x in letters for y in letters)]:
            for operator, holds in (("contains", str.__contains__), ("endswith", str.endswith)):
                select = Select(registry="ulabel", where=Is(("name",), operator, part))
                found = [row["name"] for row in models.select(select)]
                assert found == [it for it in texts if holds(it, part)]


def test_a_key_may_be_as_long_as_keys_may_be(postgres):
    # Each character takes four bytes, and nothing of it can be compressed.
    chance = random.Random(1024)  # noqa: S311 (not a secret)
    key = "".join(chr(chance.randrange(0x10000, 0xF0000)) for _ in range(1024))
    with in_new_schema(postgres) as connection:
        models = PostgresModels(connection)
        models.create()
        b.feed(models, b.log(b.artifact_registered("a", key=key)))
        for operator, value in (("exact", key), ("startswith", key[:700]), ("icontains", key)):
            select = Select(registry="artifact", where=Is(("key",), operator, value))
            assert [row["key"] for row in models.select(select)] == [key]
        assert len(models.find("artifact_key", key=key)) == 1
        taken = (b.artifact_registered("b"), b.artifact_keyed(b.artifact_uid("b"), key))
        b.feed(models, b.log(*taken, after=1))
        assert [row["uid"] for row in models.find("artifact_key", key=key)] == [b.artifact_uid("b")]


# --- why all this ---------------------------------------------------------------------------------


@contextmanager
def as_it_comes(url, *, is_locking: bool = True):
    """The framework's own recorder in the same database."""
    asked = conninfo_to_dict(url.text)
    place = (asked["dbname"], asked["host"], asked["port"], asked["user"], "")
    with closing(
        PostgresDatastore(
            *place, schema=url.schema, enable_db_functions=not is_locking, pool_size=2
        )
    ) as store:
        recorder = PostgresApplicationRecorder(store)
        recorder.create_table()
        yield recorder


# Not ours to mend; where one of these is mended upstream, our own way of it may go.


def test_the_framework_as_it_comes_loses_the_acknowledgement(postgres, wire):
    with in_new_schema(postgres), as_it_comes(over(wire, postgres)) as recorder:
        wire.lose_the_answer_to(COMMIT)
        with pytest.raises(IntegrityError):
            recorder.insert_events(stored(1, 10))


@pytest.mark.slow
def test_the_framework_as_it_comes_hangs_on_large_appends(postgres, monkeypatch):
    # From about a megabyte on now and then, with this much each time.
    monkeypatch.setenv("PGAPPNAME", postgres.schema)
    with in_new_schema(postgres), as_it_comes(postgres) as recorder:
        ended = threading.Event()

        def insert() -> None:
            with suppress(PersistenceError):
                recorder.insert_events(stored(1, 32 * MEGABYTE))
            ended.set()

        threading.Thread(target=insert, daemon=True).start()
        assert not ended.wait(5)
        with psycopg.connect(postgres.text, application_name="", autocommit=True) as connection:
            while not ended.wait(0.5):
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = %s",
                    (postgres.schema,),
                )


def test_the_framework_without_its_lock_lets_a_tail_miss_events(postgres):
    with in_new_schema(postgres) as slower, as_it_comes(postgres, is_locking=False) as recorder:
        (event,) = stored(1, 1)
        with slower.transaction():
            slower.execute(
                "INSERT INTO stored_events VALUES (%s, 1, 'slower', '')", (event.originator_id,)
            )
            recorder.insert_events([replace(event, originator_id=OTHER_STREAM, topic="faster")])
            seen = recorder.select_notifications(start=1, limit=10)
            assert [it.topic for it in seen] == ["faster"]
        seen = recorder.select_notifications(start=seen[-1].id + 1, limit=10)
        assert seen == []
