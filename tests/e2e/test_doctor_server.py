"""What `info` and `doctor` tell of a server: every harm is done to a real one.

The server keeps what it acknowledges, unlike that of other tests: on a whole one nothing is found.
"""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest

import ledger as ln
from ledger.eventlog import postgres_health
from ledger.places import instance
from ledger.upkeep import doctor, doctor_server
from tests.e2e.command import metaledger
from tests.support.door import artifact, label
from tests.support.servers import PostgresServer

SCHEMA = "lab"
USERS = ("ada", "rosa", "hand")  # one who writes, one who reads, one with rights of her own


@pytest.fixture(scope="module")
def server():
    made = PostgresServer()
    made.write("postgresql.auto.conf", "")  # nothing is switched off
    made.start()
    with administrator(made) as do:
        for user in USERS:
            do(f"CREATE ROLE {user} LOGIN")
    yield made
    made.remove()


@contextmanager
def administrator(server, schema="public"):
    """Lend a way to carry out statements on the server, behind the program's back."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"SET search_path = {schema}".encode())
        yield lambda statement: connection.execute(statement.encode())


@pytest.fixture
def made(server, ledger_folder):  # noqa: ARG001 (the working folder)
    """A ledger on that server with something in it, in use."""
    ln.init("storage", database=f"{server.url}?schema={SCHEMA}")
    artifact("a.txt").labels.add(label("one"))
    with administrator(server) as do:
        do(f"GRANT {SCHEMA}_writer TO ada")
        do(f"GRANT {SCHEMA}_reader TO rosa")
    place = instance.current().place
    yield place
    ln.close()
    with administrator(server) as do:
        for user in USERS:
            do(f"DROP OWNED BY {user}")
            do(f"ALTER ROLE {user} RESET ALL")
    instance.current().database.drop()


@pytest.fixture
def do(server, made):  # noqa: ARG001 (the schema)
    """Carry out a statement behind the program's back."""
    ln.close()
    with administrator(server, SCHEMA) as do:
        yield do


@contextmanager
def as_user(place, user):
    """Use the ledger as somebody else."""
    path = place.folder / "config.toml"
    before = path.read_text()
    path.write_text(before.replace("//postgres@", f"//{user}@"))
    try:
        yield
    finally:
        path.write_text(before)


def examine(user="postgres"):
    """Return what the doctor finds in the working folder for a user."""
    ln.close()
    with as_user(instance.current().place, user):
        instance._current = None
        try:
            return doctor.examine(instance.current())
        finally:
            ln.close()
            instance._current = None


def the_only(findings):
    (finding,) = findings
    assert finding.message.startswith(f"{finding.subject}: expected ")
    for part in ("expected", "found", "way_out"):
        assert finding.details[part] in finding.message
    return finding


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("user", ["postgres", "ada", "rosa"])
def test_a_healthy_server_has_no_findings_whoever_asks(user):
    assert examine(user) == []


# --- rights and guards ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statement", "kind", "subject", "found"),
    [
        (
            "ALTER TABLE entries DISABLE TRIGGER entries_refuse_update",
            "missing-guard", "trigger entries_refuse_update", "disabled",
        ),
        (
            "ALTER TABLE entries ENABLE TRIGGER entries_refuse_delete",
            "missing-guard", "trigger entries_refuse_delete", "outside replication only",
        ),
        (
            "DROP TRIGGER stored_events_refuse_truncate ON stored_events",
            "missing-guard", "trigger stored_events_refuse_truncate", "no such trigger",
        ),
        ("GRANT UPDATE ON entries TO lab_writer", "excessive-grant", "role lab_writer", "UPDATE"),
        ("GRANT DELETE ON stored_events TO lab_writer", "excessive-grant", "role lab_writer",
         "DELETE on stored_events"),
        ("GRANT UPDATE (state) ON stored_events TO lab_reader", "excessive-grant",
         "role lab_reader", "UPDATE on stored_events"),
        ("GRANT UPDATE (leaf) ON entries TO lab_eraser", "excessive-grant",
         "role lab_eraser", "UPDATE on entries"),
        ("GRANT DELETE ON entries TO lab_eraser", "excessive-grant",
         "role lab_eraser", "DELETE on entries"),
        ("GRANT TRUNCATE ON entries TO ada", "excessive-grant", "role ada", "TRUNCATE on entries"),
        ("GRANT TRIGGER ON ulabel TO ada", "excessive-grant", "role ada", "TRIGGER on ulabel"),
        ("GRANT INSERT ON meta TO lab_writer", "excessive-grant", "role lab_writer",
         "INSERT on meta"),
        ("GRANT INSERT ON ulabel TO lab_reader", "excessive-grant", "role lab_reader",
         "INSERT on ulabel"),
        ("GRANT DELETE ON entries TO PUBLIC", "excessive-grant", "role public",
         "DELETE on entries"),
        ("GRANT CREATE ON SCHEMA lab TO lab_writer", "excessive-grant", "role lab_writer",
         "CREATE on schema lab"),
        ("GRANT EXECUTE ON FUNCTION append_lock() TO lab_reader", "excessive-grant",
         "role lab_reader", "EXECUTE on append_lock()"),
        ("ALTER TABLE tag SET UNLOGGED", "unlogged-table", "tag", "unlogged"),
    ],
)  # fmt: skip
def test_what_lets_the_past_be_changed_or_lost_is_an_error(do, statement, kind, subject, found):
    do(statement)
    finding = the_only(examine())
    assert (finding.kind, finding.severity, finding.subject) == (kind, "error", subject)
    assert found in finding.details["found"]


@pytest.mark.parametrize(
    ("statement", "role", "rights"),
    [
        ("REVOKE SELECT ON link FROM lab_reader", "lab_reader", ["SELECT on link"]),
        ("REVOKE INSERT ON entries FROM lab_writer", "lab_writer", ["INSERT on entries"]),
        (
            "REVOKE UPDATE, DELETE ON ulabel FROM lab_writer",
            "lab_writer", ["DELETE on ulabel", "UPDATE on ulabel"],
        ),
        ("REVOKE USAGE ON SCHEMA lab FROM lab_reader", "lab_reader", ["USAGE on schema lab"]),
        (
            "REVOKE UPDATE (state) ON stored_events FROM lab_eraser",
            "lab_eraser", ["UPDATE on stored_events.state"],
        ),
        (
            "REVOKE EXECUTE ON FUNCTION append_lock() FROM lab_writer",
            "lab_writer", ["EXECUTE on append_lock()"],
        ),
    ],
)  # fmt: skip
def test_a_right_that_a_role_lacks_is_an_error(do, statement, role, rights):
    do(statement)
    finding = the_only(examine())
    assert (finding.kind, finding.severity) == ("missing-grant", "error")
    assert (finding.subject, finding.details["rights"]) == (f"role {role}", rights)


def test_who_was_made_an_eraser_may_erase(do):
    do("GRANT lab_eraser TO ada")
    assert examine() == []
    assert examine("ada") == []


def test_a_user_with_rights_of_her_own_is_told_of_the_roles(do):
    do("GRANT USAGE ON SCHEMA lab TO hand")
    do("GRANT SELECT ON ALL TABLES IN SCHEMA lab TO hand")
    finding = the_only(examine("hand"))
    assert (finding.kind, finding.severity) == ("user", "info")
    assert "GRANT lab_writer TO hand" in finding.message


# --- settings, version, clocks --------------------------------------------------------------------


@pytest.fixture
def setting(server):
    """Have the server's own settings otherwise, for all who come from now on."""
    with administrator(server) as do:

        def set_(name: str, value: str) -> None:
            do(f"ALTER SYSTEM SET {name} = {value}")
            reloaded(do, name, value)

        yield set_
        do("ALTER SYSTEM RESET ALL")
        reloaded(do, "fsync", "on")
        reloaded(do, "full_page_writes", "on")


def reloaded(do, name, value):
    do("SELECT pg_reload_conf()")
    while do(f"SHOW {name}").fetchone() != (value,):
        do("SELECT pg_reload_conf()")


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_server_that_may_lose_what_it_acknowledged_is_an_error(setting, name):
    setting(name, "off")
    finding = the_only(examine())
    assert (finding.kind, finding.severity, finding.subject) == ("server-setting", "error", name)
    assert f"ALTER SYSTEM SET {name} = on" in finding.message


@pytest.mark.parametrize(
    ("setting", "kind", "subject"),
    [
        ("synchronous_commit = off", "server-setting", "synchronous_commit"),
        ("statement_timeout = '5s'", "server-setting", "statement_timeout"),
        ("default_transaction_read_only = on", "server-read-only", "default_transaction_read_only"),
    ],
)
def test_a_setting_of_a_user_that_surprises_is_a_warning(do, setting, kind, subject):
    do(f"ALTER ROLE ada SET {setting}")
    finding = the_only(examine("ada"))
    assert (finding.kind, finding.severity, finding.subject) == (kind, "warning", subject)
    assert "ALTER ROLE ada" in finding.message
    assert examine("rosa") == []


def test_a_session_in_which_commits_do_not_wait_for_the_disk_is_an_error(do, monkeypatch):
    do("ALTER ROLE ada SET synchronous_commit = off")
    look = doctor_server.look

    def of_a_pooler(connection, schema):
        # What the program switched on is gone with the session that it had before.
        connection.execute("RESET synchronous_commit")
        return look(connection, schema)

    monkeypatch.setattr(doctor_server, "look", of_a_pooler)
    assert the_only(examine("ada")).severity == "error"


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize(
    ("seconds", "severity", "side"),
    [
        (60, "warning", "behind"),
        (-60, "warning", "ahead of"),
        (3600, "error", "behind"),
        (3, None, ""),
    ],
)
def test_clocks_that_differ_are_told(monkeypatch, seconds, severity, side):
    clock = doctor_server.now_micros
    monkeypatch.setattr(doctor_server, "now_micros", lambda: clock() + seconds * 1_000_000)
    if severity is None:
        assert examine() == []
        return
    finding = the_only(examine())
    assert (finding.kind, finding.severity) == ("clock", severity)
    assert side in finding.details["found"]
    assert abs(finding.details["difference"] + seconds) <= finding.details["uncertainty"] + 1


@pytest.mark.usefixtures("made")
def test_a_slow_answer_is_no_difference_of_clocks(monkeypatch):
    clock, asked = doctor_server.now_micros, []

    def slow():
        asked.append(0)
        return clock() + len(asked) * 20_000_000  # twenty seconds pass between two looks

    monkeypatch.setattr(doctor_server, "_CLOCK_LOOKS", 1)
    monkeypatch.setattr(doctor_server, "now_micros", slow)
    assert [finding.kind for finding in examine()] == ["clock"]
    asked.clear()
    monkeypatch.setattr(doctor_server, "now_micros", lambda: slow() - 30_000_000)
    assert examine() == []


@pytest.mark.usefixtures("made")
@pytest.mark.parametrize("supported", [(10, 11), (90, 99)])
def test_a_server_of_another_version_is_a_warning(monkeypatch, supported):
    monkeypatch.setattr(postgres_health, "SUPPORTED", supported)
    monkeypatch.setattr(doctor_server, "SUPPORTED", supported)
    finding = the_only(examine())
    assert (finding.kind, finding.severity) == ("server-version", "warning")


# --- read models ----------------------------------------------------------------------------------


def test_read_models_that_lack_events_are_told_with_how_many(do, made):
    do("DELETE FROM link")
    do("DELETE FROM ulabel")
    (finding,) = examine("rosa")
    assert (finding.kind, finding.severity, finding.details["lag"]) == ("read-models", "error", 2)
    assert metaledger(made.root, "info", "--json").json["lag"] == 2
    metaledger(made.root, "rebuild")
    assert examine() == []
    assert metaledger(made.root, "info", "--json").json["lag"] == 0


def test_after_a_rebuild_every_role_can_do_what_it_could_before(do, made):
    metaledger(made.root, "rebuild")
    owners = do("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'lab'").fetchall()
    assert owners == [("lab_owner",)]
    assert examine() == []
    with as_user(made, "ada"):
        metaledger(made.root, "label", "add", "after")
        refused = metaledger(made.root, "rebuild", status=1)
        assert "not a member of it" in refused.err
    with as_user(made, "rosa"):
        assert "after" in metaledger(made.root, "list", "ulabel").out


# --- a standby ------------------------------------------------------------------------------------


@pytest.fixture
def standby(server, made):  # noqa: ARG001 (what it copies)
    follows = PostgresServer(primary=server)
    follows.start()
    yield follows
    follows.remove()


def caught_up(standby, server):
    with administrator(server) as do:
        ((end,),) = do("SELECT pg_current_wal_lsn()::text").fetchall()
    with administrator(standby) as do:
        while not do(f"SELECT pg_last_wal_replay_lsn() >= '{end}'").fetchone()[0]:
            pass


def test_a_standby_is_read_and_told_as_what_it_is(server, standby, made):
    label("late")
    ln.close()
    caught_up(standby, server)
    path = made.folder / "config.toml"
    path.write_text(path.read_text().replace(f":{server.port}/", f":{standby.port}/"))
    try:
        assert metaledger(made.root, "list", "ulabel").out.count("late") == 1
        finding = the_only(examine())
        assert (finding.kind, finding.severity) == ("standby", "info")
        assert finding.details["is_following"]
        told = metaledger(made.root, "info", "--json").json["server"]
        assert told["is_standby"]
        assert told["replay_lag"] >= 0
        refused = metaledger(made.root, "label", "add", "never", status=1)
        assert "name the primary" in refused.err
        server.kill()  # from now on it shows the past
        with administrator(standby) as do:
            while do("SELECT 1 FROM pg_stat_wal_receiver").rowcount:
                pass
        finding = the_only(examine())
        assert (finding.kind, finding.severity) == ("standby", "warning")
        assert "not connected" in finding.message
        server.start()
    finally:
        path.write_text(path.read_text().replace(f":{standby.port}/", f":{server.port}/"))
        instance._current = None


# --- by command -----------------------------------------------------------------------------------


def test_info_tells_of_the_server(made):
    told = metaledger(made.root, "info", "--json").json
    server = told["server"]
    assert (server["owner"], server["user"], server["is_standby"]) == (
        "lab_owner", "postgres", False,
    )  # fmt: skip
    assert {"entries", "stored_events", "ulabel"} <= {table["name"] for table in server["tables"]}
    assert (
        sum(t["table_bytes"] + t["index_bytes"] for t in server["tables"]) == told["database_size"]
    )
    assert server["settings"]["fsync"] == "on"
    assert abs(told["clock"]["difference"]) <= told["clock"]["uncertainty"] + 1
    said = metaledger(made.root, "info").out
    assert f"PostgreSQL {server['version']}" in said
    assert "superuser" in said
    assert "fsync on" in said
    with as_user(made, "rosa"):
        said = metaledger(made.root, "info").out
    assert "rosa (reader)" in said
    assert "may only read" in said


def test_doctor_tells_of_the_server_as_json_and_by_its_status(do, made):
    assert metaledger(made.root, "doctor", "--json").json["is_healthy"]
    do("REVOKE INSERT ON entries FROM lab_writer")
    told = metaledger(made.root, "doctor", "--json", status=1).json
    assert not told["is_healthy"]
    (finding,) = told["findings"]
    assert finding["details"]["way_out"]
    assert "INSERT on entries" in metaledger(made.root, "doctor", status=1).out
