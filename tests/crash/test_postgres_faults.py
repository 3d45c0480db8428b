"""What goes wrong between a program and its PostgreSQL server, and what the user is told then.

Whatever it is: nothing that was acknowledged is lost, nothing is there twice, no secret is shown.
"""

from __future__ import annotations

import random
import subprocess
import sys
import threading
from contextlib import closing, contextmanager, suppress

import psycopg
import pytest

import ledger as ln
from ledger.engine.postgres_database import PostgresDatabase
from ledger.errors import LedgerError, MissingDependencyError, StorageError
from ledger.eventlog.database_url import parse
from ledger.model.events import Draft
from ledger.model.ids import command_id, stream_id
from ledger.places.config import FILE, FOLDER
from ledger.places.databases import open_database
from ledger.places.initialization import initialize
from projections.select import Select
from tests.crash.killed import saver
from tests.support import builders as b
from tests.support.chance import bytes_of
from tests.support.judge import assert_audit_passes, assert_log_and_read_models_agree, judge
from tests.support.patience import PATIENCE
from tests.support.ports import free_port
from tests.support.servers import PostgresServer, leave, small_disk

KILLS = 20
SECRET = "correct horse"  # noqa: S105 (of a server that lives as long as these tests)
SCHEMA = "lab"
MIB = 1024**2


@pytest.fixture(scope="module")
def server():
    """A server of our own that asks everyone but its first user for a password."""
    made = PostgresServer()
    made.write(
        "pg_hba.conf",
        "host all postgres 127.0.0.1/32 trust\nhost all all 127.0.0.1/32 scram-sha-256\n",
    )
    made.start()
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE ada LOGIN SUPERUSER PASSWORD '{SECRET}'".encode())
    yield made
    made.remove()


@pytest.fixture
def url(server):
    """The ledger's URL on that server; its schema is taken away afterwards."""
    url = parse(server.url).in_schema(SCHEMA)
    yield url
    PostgresDatabase(url).drop()


@pytest.fixture
def database(url):
    with closing(PostgresDatabase.create(url)) as made:
        yield made


@contextmanager
def administrator(url):
    with psycopg.connect(url.text, autocommit=True) as connection:
        connection.execute(f"SET search_path = {url.schema}".encode())
        yield connection


def save(database, *names: str) -> None:
    """Append as the handler does: a command that is recorded already ends there."""
    for name in names:
        identity = ["create", "ulabel", name, 1]
        event = b.label_created(name)
        with database.write() as session:
            if not session.log.command(command_id(identity)):
                draft = Draft(stream=stream_id(identity), event=event)
                session.append(command_id(identity), [draft])


def names(database) -> list[str]:
    with database.read() as session:
        return [row["name"] for row in session.models.select(Select(registry="ulabel"))]


def refused(call, *words: str) -> str:
    """Claim that a call is refused with these words, without a secret, and return what was said."""
    with pytest.raises(StorageError) as caught:
        call()
    said = str(caught.value)
    for word in words:
        assert word in said, said
    error: BaseException | None = caught.value
    while error is not None:
        assert SECRET not in f"{error!r}{error}"
        error = error.__cause__
    assert said.isprintable()
    return said


# --- getting in -----------------------------------------------------------------------------------


def user_url(server, user: str = "ada", **options: str) -> str:
    asked = "&".join(f"{name}={value}" for name, value in {"schema": SCHEMA, **options}.items())
    return server.url.replace("//postgres@", f"//{user}@") + f"?{asked}"


@pytest.fixture
def ledger(database, url):
    save(database, "tabby")
    return url


@pytest.mark.usefixtures("ledger")
def test_a_wrong_or_missing_password_is_told_with_the_way_out(server, monkeypatch):
    of_ada = parse(user_url(server))
    refused(lambda: names(PostgresDatabase(of_ada)), "PGPASSFILE", "password")
    monkeypatch.setenv("PGPASSWORD", f"{SECRET} not")
    refused(lambda: names(PostgresDatabase(of_ada)), "wrong password or user", "PGPASSFILE")


@pytest.mark.usefixtures("ledger")
def test_passwords_and_services_are_given_as_to_psql(server, monkeypatch, tmp_path):
    of_ada = parse(user_url(server))
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSWORD", SECRET)
        assert names(PostgresDatabase(of_ada)) == ["tabby"]
    passwords = tmp_path / "pgpass"
    passwords.write_text(f"127.0.0.1:{server.port}:*:ada:{SECRET}\n")
    passwords.chmod(0o600)
    with monkeypatch.context() as patch:
        patch.setenv("PGPASSFILE", str(passwords))
        assert names(PostgresDatabase(of_ada)) == ["tabby"]
    services = tmp_path / "services"
    services.write_text(
        f"[lab]\nhost=127.0.0.1\nport={server.port}\nuser=ada\ndbname=postgres\npassword={SECRET}\n"
    )
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    assert names(PostgresDatabase(parse(f"postgresql:///?service=lab&schema={SCHEMA}"))) == [
        "tabby"
    ]


def test_a_password_in_the_url_of_init_is_used_and_not_kept(server, url, ledger_folder, capfd):
    given = user_url(server).replace("//ada@", f"//ada:{SECRET.replace(' ', '%20')}@")
    place = initialize("storage", database=given)
    kept = (ledger_folder / FOLDER / FILE).read_text()
    assert f"//ada@127.0.0.1:{server.port}/postgres?schema={SCHEMA}" in kept
    for shown in (kept, repr(place), repr(open_database(place)), "".join(capfd.readouterr())):
        assert SECRET not in shown
        assert "horse" not in shown
    refused(lambda: names(open_database(place)), "PGPASSFILE")
    assert names(PostgresDatabase(url)) == []


def test_tls_that_is_asked_for_and_not_there_is_told(server):
    asked = parse(user_url(server, "postgres", sslmode="require"))
    refused(lambda: names(PostgresDatabase(asked)), "sslmode")


def test_a_missing_database_server_or_host_is_told(server):
    nobody = f"postgresql://postgres@127.0.0.1:{free_port()}/db"
    for text, word in (
        (server.url.rsplit("/", 1)[0] + "/nowhere", "create it, or correct the URL"),
        (nobody, "start it, or correct host and port"),
        ("postgresql://postgres@no-such-host.invalid/db", "not known"),
    ):
        refused(lambda text=text: names(PostgresDatabase(parse(text).in_schema(SCHEMA))), word)


def test_a_driver_that_is_not_installed_names_the_extra(url, monkeypatch):
    PostgresDatabase.create(url).close()
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'metaledger\[postgres\]'"):
        names(PostgresDatabase(url))
    # A process that joins a ledger has imported nothing of the driver yet.
    script = (
        "import sys; sys.modules['psycopg'] = None; import ledger as ln; ln.connect(sys.argv[1])"
    )
    command = [sys.executable, "-c", script, "postgresql://host/database?schema=lab"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "pip install 'metaledger[postgres]'" in done.stderr.splitlines()[-1]


# --- while it works -------------------------------------------------------------------------------


def with_setting(url, setting: str):
    return parse(f"{url.text}?options=-c%20{setting}").in_schema(url.schema)


def with_patience(database, seconds: float) -> None:
    """Let a database that is open wait so long, for a lock or for a server that is gone."""
    database._open()[0].patience = seconds


def test_a_server_that_only_lets_read_is_read_and_named(database, url):
    save(database, "tabby")
    with closing(PostgresDatabase(with_setting(url, "default_transaction_read_only%3Don"))) as it:
        assert names(it) == ["tabby"]
        refused(lambda: save(it, "tom"), "only lets read", "nothing was recorded")
    assert names(database) == ["tabby"]


def test_a_statement_that_takes_too_long_is_told(database, url):
    with closing(PostgresDatabase(with_setting(url, "statement_timeout%3D200"))) as impatient:
        with database.write():
            refused(lambda: save(impatient, "tom"), "statement_timeout", "nothing was recorded")
        # On a busy computer that may take too long as well.
        while names(database) != ["tom"]:
            with suppress(StorageError):
                save(impatient, "tom")


def test_a_writer_that_keeps_the_lock_is_named(database, url):
    with closing(PostgresDatabase(url)) as other:
        save(other, "tabby")  # connects, which has its own patience
        with_patience(other, 0.2)
        with database.write():
            refused(lambda: save(other, "tom"), "another writer held it", "nothing was recorded")


def test_a_full_disk_is_told_and_leaves_nothing(database, url):
    save(database, "tabby")
    with administrator(url) as connection:
        # The server reports it as it would if it were so.
        connection.execute(
            "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'could not extend file' USING ERRCODE = 'disk_full'; END $$"
        )
        connection.execute(
            "CREATE TRIGGER full_disk AFTER INSERT ON ulabel EXECUTE FUNCTION full_disk()"
        )
        refused(lambda: save(database, "tom"), "disk of the server is full", "free some space")
        connection.execute("DROP TRIGGER full_disk ON ulabel")
    assert names(database) == ["tabby"]
    save(database, "tom")
    with database.read() as session:
        assert [it.position for it in session.log.read()] == [1, 2]


def until_refused(database) -> tuple[list[str], str]:
    """Save labels until one is refused; return the names of the others, and what was said."""
    saved: list[str] = []
    for number in range(10_000):
        name = f"label {number} {bytes_of(1_000, number).hex()}"
        try:
            save(database, name)
        except StorageError as error:
            return saved, str(error)
        saved.append(name)
    raise AssertionError("the disk never ran full")


def test_a_disk_that_runs_full_while_tables_grow_is_told_and_loses_nothing(server):
    with (
        small_disk(12 * MIB) as disk,
        psycopg.connect(server.url, autocommit=True) as connection,
    ):
        if disk is None:
            return  # Nothing may be mounted here: the test above stands for it.
        server.own(disk)
        connection.execute(f"CREATE TABLESPACE small LOCATION '{disk}'".encode())
        connection.execute("GRANT CREATE ON TABLESPACE small TO PUBLIC")
        setting = "?options=-c%20default_tablespace%3Dsmall"
        there = parse(server.url + setting).in_schema("small")
        try:
            with closing(PostgresDatabase.create(there)) as database:
                save(database, "tabby")
                ballast = leave(disk, MIB)
                saved, said = until_refused(database)
                assert "disk of the server is full" in said
                assert "nothing was recorded" in said
                assert names(database) == ["tabby", *saved]
                ballast.unlink()
                save(database, "tom")
                assert names(database) == ["tabby", *saved, "tom"]
                assert database.rebuild() == len(saved) + 2
        finally:
            PostgresDatabase(there).drop()
            connection.execute("DROP TABLESPACE small")


def test_a_disk_that_runs_full_under_the_servers_log_loses_nothing():
    with small_disk(12 * MIB) as disk:
        if disk is None:
            return  # As above.
        server = PostgresServer("max_wal_size=2MB", "wal_keep_size=64MB", log=disk)
        try:
            server.start()
            there = parse(server.url).in_schema(SCHEMA)
            with closing(PostgresDatabase.create(there)) as database:
                save(database, "tabby")
                ballast = leave(disk, MIB)
                with_patience(database, 1.0)
                # The server stops dead where it cannot write its log: it must not go on.
                saved, said = until_refused(database)
                assert "ledger database" in said
                server.kill()
                ballast.unlink()
                server.start()
                with_patience(database, PATIENCE)
                acknowledged = ["tabby", *saved]
                found = names(database)
                # What was refused may have been durable before the server fell, and is there once.
                assert found[: len(acknowledged)] == acknowledged
                assert len(found) <= len(acknowledged) + 1
                save(database, "tom")
                with database.read() as session:
                    positions = [it.position for it in session.log.read()]
                assert positions == [*range(1, len(found) + 2)]
        finally:
            server.remove()


def cut_all_others(connection) -> None:
    connection.execute(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
        " WHERE application_name = 'metaledger'"
    )


def test_a_connection_cut_in_the_middle_undoes_what_was_not_acknowledged(database, url):
    save(database, "tabby")

    def cut_off() -> None:
        with database.write() as session, administrator(url) as connection:
            identity = ["create", "ulabel", "tom", 1]
            draft = Draft(stream=stream_id(identity), event=b.label_created("tom"))
            session.append(command_id(identity), [draft])
            cut_all_others(connection)

    refused(cut_off, "nothing was recorded", "try again")
    assert names(database) == ["tabby"]
    save(database, "tom")
    assert names(database) == ["tabby", "tom"]


def test_a_connection_cut_between_two_saves_is_not_noticed(database, url):
    save(database, "tabby")
    with administrator(url) as connection:
        for name in ("tom", "patch", "tortie"):
            cut_all_others(connection)
            save(database, name)
            cut_all_others(connection)
            assert names(database)[-1] == name


def test_an_append_never_goes_into_the_schema_of_another_ledger(database, server):
    other = parse(server.url).in_schema("other")
    with closing(PostgresDatabase.create(other)) as stranger:
        try:
            with database.read() as session:
                # As a pooler does that lends a connection to another user between transactions.
                session.log.connection.execute("SET search_path = other")
            save(database, "tabby")
            with database.read() as session:
                session.log.connection.execute("SET search_path = lab")
            assert names(database) == ["tabby"]
            assert names(stranger) == []
        finally:
            stranger.drop()


def test_a_server_that_restarts_between_two_saves_is_not_noticed(database, server):
    save(database, "tabby")
    for name in ("tom", "patch"):
        server.kill()
        server.start()
        save(database, name)
    assert names(database) == ["tabby", "tom", "patch"]


@pytest.mark.parametrize("is_tracked", [False, True])
def test_a_writer_killed_at_any_moment_loses_nothing_it_acknowledged(
    postgres,
    ledger_folder,  # noqa: ARG001 (the working folder)
    is_tracked,
):
    ln.settings.verbosity = "error"
    ln.init("storage", database=str(postgres))
    chance = random.Random(7)  # noqa: S311 (not a secret)
    everything = []
    with saver(is_tracked=is_tracked) as saving:
        for kill in range(KILLS // 2):
            everything += saving.until_killed(1_000 * kill, steps=chance.randrange(20, 400))
            judge(everything)
            ln.close()
    assert len(everything) > KILLS
    assert_log_and_read_models_agree()
    assert_audit_passes(content=True)
    ln.close()


def test_killed_in_mid_append_nothing_acknowledged_is_lost_and_nothing_is_there_twice(
    database, server
):
    acknowledged: list[str] = []
    ticket = threading.Semaphore(0)
    is_over = threading.Event()

    def write() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            name = f"label {number}"
            while True:
                try:
                    save(database, name)
                except LedgerError:
                    continue  # As whoever runs the script again.
                acknowledged.append(name)
                ticket.release()
                break

    writer = threading.Thread(target=write)
    writer.start()
    for _ in range(KILLS):
        for _ in range(3):
            assert ticket.acquire(timeout=PATIENCE)
        server.kill()
        server.start()
    is_over.set()
    writer.join(PATIENCE)
    assert not writer.is_alive()
    assert len(acknowledged) >= 3 * KILLS
    assert names(database) == acknowledged
    with database.read() as session:
        assert [it.position for it in session.log.read()] == [*range(1, len(acknowledged) + 1)]
    assert database.rebuild() == len(acknowledged)
    assert names(database) == acknowledged
