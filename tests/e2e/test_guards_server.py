"""What guards a ledger on a server is what this program would make, and no role gets around it."""

from __future__ import annotations

from contextlib import contextmanager

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import ledger as ln
from ledger.auditing.audit import audit
from ledger.eventlog.database_url import parse
from ledger.places import instance
from ledger.upkeep import doctor
from ledger.upkeep.rebuild import rebuild
from projections.sql import casefold
from tests.support.door import artifact, label

DEEDS = {
    "a body was emptied": (
        "function refuse()",
        ("CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql"
        " SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN NULL; END $$"),
    ),
    "a condition within a body is another one": (
        "function residue_of(bigint)",
        ("CREATE OR REPLACE FUNCTION residue_of(erased bigint) RETURNS text LANGUAGE sql STABLE"
        " SET search_path = pg_catalog, pg_temp AS $$ SELECT '' $$"),
    ),
    "a setting of a function was taken away": (
        "function refuse_gap()", "ALTER FUNCTION refuse_gap() RESET search_path",
    ),
    "a setting of a function is another one": (
        "function append_lock()", "ALTER FUNCTION append_lock() SET search_path = public",
    ),
    "a function has its owner's rights": (
        "function refuse_state()", "ALTER FUNCTION refuse_state() SECURITY DEFINER",
    ),
    "a function belongs to somebody else": (
        "function refuse()", "ALTER FUNCTION refuse() OWNER TO CURRENT_USER",
    ),
    "a function was added": (
        "function lower(bigint)",
        "CREATE FUNCTION lower(bigint) RETURNS text LANGUAGE sql AS 'SELECT 1::text'",
    ),
    "an operator was added": (
        "operator <>",
        "CREATE FUNCTION never(uuid, bigint) RETURNS boolean LANGUAGE sql AS 'SELECT false'",
        "CREATE OPERATOR <> (LEFTARG = uuid, RIGHTARG = bigint, FUNCTION = never)",
    ),
    "a trigger is out of force": (
        "trigger entries_refuse_update",
        "ALTER TABLE entries DISABLE TRIGGER entries_refuse_update",
    ),
    "a trigger is out of force in replication": (
        "trigger entries_refuse_update",
        "ALTER TABLE entries ENABLE TRIGGER entries_refuse_update",
    ),
    "a trigger got a condition": (
        "trigger entries_refuse_delete",
        "DROP TRIGGER entries_refuse_delete ON entries",
        ("CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries FOR EACH ROW"
        " WHEN (OLD.position < 0) EXECUTE FUNCTION refuse()"),
        "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_delete",
    ),
    "a trigger is of another event": (
        "trigger entries_refuse_delete",
        "DROP TRIGGER entries_refuse_delete ON entries",
        ("CREATE TRIGGER entries_refuse_delete BEFORE UPDATE OF leaf ON entries FOR EACH ROW"
        " EXECUTE FUNCTION refuse()"),
        "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_delete",
    ),
    "a trigger calls another function": (
        "trigger entries_refuse_delete",
        ("CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN OLD; END'"),
        "DROP TRIGGER entries_refuse_delete ON entries",
        ("CREATE TRIGGER entries_refuse_delete BEFORE DELETE ON entries FOR EACH ROW"
        " EXECUTE FUNCTION public.refuse()"),
        "ALTER TABLE entries ENABLE ALWAYS TRIGGER entries_refuse_delete",
    ),
    "a trigger was taken away": (
        "trigger stored_events_refuse_truncate",
        "DROP TRIGGER stored_events_refuse_truncate ON stored_events",
    ),
    "a trigger was added": (
        "trigger evil",
        "CREATE TRIGGER evil BEFORE INSERT ON meta FOR EACH ROW EXECUTE FUNCTION refuse()",
    ),
    "a unique key was taken away": (
        "constraint on entries",
        "ALTER TABLE entries DROP CONSTRAINT entries_command_id_number_key",
    ),
    "a condition was added": (
        "constraint on entries", "ALTER TABLE entries ADD CHECK (position < 10) NOT VALID",
    ),
    "an index was taken away": (
        "index ulabel_live_name", "DROP INDEX ulabel_live_name",
    ),
    "an index guards other rows": (
        "index ulabel_live_name",
        "DROP INDEX ulabel_live_name",
        "CREATE UNIQUE INDEX ulabel_live_name ON ulabel (name) WHERE to_position < 0",
    ),
    "an index forbids a second row": (
        "index evil", "CREATE UNIQUE INDEX evil ON tag ((1))",
    ),
    "a column may be empty": (
        "column entries.leaf", "ALTER TABLE entries ALTER leaf DROP NOT NULL",
    ),
    "a column has another value by default": (
        "column meta.value", "ALTER TABLE meta ALTER value SET DEFAULT 'x'",
    ),
    "a column was added": ("column entries.evil", "ALTER TABLE entries ADD COLUMN evil text"),
    "a rule does nothing instead": (
        "rule evil", "CREATE RULE evil AS ON DELETE TO tag DO INSTEAD NOTHING",
    ),
    "a policy hides rows": ("policy evil", "CREATE POLICY evil ON entries USING (position < 3)"),
    "rows are hidden by policies": (
        "table entries", "ALTER TABLE entries ENABLE ROW LEVEL SECURITY",
    ),
    "rows are hidden from the owner": (
        "table entries", "ALTER TABLE entries FORCE ROW LEVEL SECURITY",
    ),
    "a table belongs to somebody else": (
        "table entries", "ALTER TABLE entries OWNER TO CURRENT_USER",
    ),
    "a table was added": ("table evil", "CREATE TABLE evil (x int)"),
    "a view was added": ("table evil", "CREATE VIEW evil AS SELECT 1"),
    "a table has a child elsewhere": (
        "inheritance of entries", "CREATE TABLE public.child () INHERITS (entries)",
    ),
    "rights are given by default": (
        "default privileges",
        "ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT UPDATE ON TABLES TO PUBLIC",
    ),
    "a role is a member of the owner": (
        "member of {schema}_owner", "GRANT {schema}_owner TO {schema}_writer",
    ),
    "a role is above all rights": (
        "role {schema}_writer", "ALTER ROLE {schema}_writer SUPERUSER",
    ),
}  # fmt: skip

GRANTS = {
    "the writer may change entries": (
        "role {schema}_writer", "GRANT UPDATE (leaf) ON entries TO {schema}_writer",
    ),
    "the reader may write a column of meta": (
        "role {schema}_reader", "GRANT INSERT (name, value) ON meta TO {schema}_reader",
    ),
    "the reader may not read": (
        "role {schema}_reader", "REVOKE SELECT ON entries FROM {schema}_reader",
    ),
    "everybody may make things": ("role public", "GRANT CREATE ON SCHEMA {schema} TO PUBLIC"),
}  # fmt: skip


@pytest.fixture
def server(ledger_folder, postgres):  # noqa: ARG001 (the working folder)
    """A ledger on a server, and a way to do something behind the program's back."""
    ln.init(storage="./storage", database=str(postgres))
    artifact("a.txt", key="a").labels.add(label("one"))
    schema = parse(instance.current().place.configuration.database).schema
    ln.close()

    @contextmanager
    def connected():
        with psycopg.connect(str(postgres).partition("?")[0], autocommit=True) as connection:
            connection.execute(SQL("SET search_path TO {}").format(Identifier(schema)))
            yield lambda text: connection.execute(text.format(schema=schema).encode())

    connected.schema = schema
    yield connected
    ln.close()
    with connected() as do:
        do("DROP TABLE IF EXISTS public.child")
        do("DROP FUNCTION IF EXISTS public.refuse() CASCADE")
        do("ALTER ROLE {schema}_writer NOSUPERUSER")
        do("DROP SCHEMA IF EXISTS evil CASCADE")


def told_by_audit() -> set[object]:
    return {it.subject for it in audit().findings if it.kind == "schema"}


def told_by_doctor() -> set[str]:
    kinds = {"schema", "missing-guard", "missing-grant", "excessive-grant"}
    try:
        return {it.subject for it in doctor.examine(instance.current()) if it.kind in kinds}
    finally:
        ln.close()


@pytest.mark.usefixtures("server")
def test_nothing_is_told_of_what_nobody_touched():
    assert told_by_audit() == told_by_doctor() == set()
    rebuild()  # which makes the read models anew, under other names first
    assert told_by_audit() == told_by_doctor() == set()


@pytest.mark.parametrize("deed", [*DEEDS, *GRANTS])
def test_audit_and_doctor_name_what_guards_otherwise(server, deed):
    subject, *statements = (DEEDS | GRANTS)[deed]
    with server() as do:
        for statement in statements:
            do(statement)
    subject = subject.format(schema=server.schema)
    assert subject in told_by_audit()
    assert subject in told_by_doctor()


FOLDINGS = {
    "a letter is folded to another": casefold._statement(casefold._case_table() | {"Ä": "o"}),
    "a letter is folded that has no case": casefold._statement(
        dict(sorted((casefold._case_table() | {"ä": "a"}).items()))
    ),
    "a letter is not folded": casefold._statement(
        {it: to for it, to in casefold._case_table().items() if it != "Ä"}
    ),
    "several letters are others": casefold.folded_statement().replace("'ß', 'ss'", "'ß', 's'"),
    "nothing is folded": casefold.folded_statement().replace("BEGIN", "BEGIN RETURN text_;"),
    "a name is not qualified": casefold.folded_statement().replace("pg_catalog.lower", "lower"),
}


@pytest.mark.parametrize("forged", FOLDINGS.values(), ids=FOLDINGS)
def test_case_that_is_folded_otherwise_is_told_and_mended_by_a_rebuild(server, forged):
    with server() as do:
        do(forged.replace("{", "{{").replace("}", "}}"))
    assert "function folded(text)" in told_by_audit()
    assert "function folded(text)" in told_by_doctor()
    rebuild()
    assert told_by_audit() == told_by_doctor() == set()


def test_a_table_of_another_unicode_is_as_good(server):
    table = casefold._case_table()
    newer = casefold._statement(dict(sorted((table | {"\ua7cb": "\u0264"}).items())))
    older = casefold._statement({it: to for it, to in table.items() if it != "\ua7cb"})
    for made_elsewhere in (newer, older):
        with server() as do:
            do(made_elsewhere)
        assert told_by_audit() == told_by_doctor() == set()


def test_entries_before_the_first_position_are_told_and_events_counted(server):
    copied = "recorded_at, gen_random_uuid(), version, gen_random_uuid(), number, salt, leaf"
    with server() as do:
        do("ALTER TABLE entries DISABLE TRIGGER ALL")
        do(f"INSERT INTO entries SELECT -1, {copied} FROM entries WHERE position = 1")  # noqa: S608
        do("ALTER TABLE entries ENABLE TRIGGER ALL")
    told = {(it.kind, it.position or it.subject) for it in audit().findings}
    assert {("position", -1), ("count", "stored_events")} <= told


# --- roles ----------------------------------------------------------------------------------------


@contextmanager
def misled(server, kind):
    """Lend the connection of a role that has made operators of its own for its session."""
    with server() as do:
        do("CREATE SCHEMA evil")
        do(f"GRANT USAGE, CREATE ON SCHEMA evil TO {{schema}}_{kind}")
        do(f"SET ROLE {{schema}}_{kind}")
        for operator, of, said in (
            ("<>", "bigint", False), ("=", "text", True), ("=", "jsonb", True),
            ("=", "bytea", True), ("=", "integer", True), (">", "integer", True),
            ("@>", "jsonb", True),
        ):  # fmt: skip
            name = f"evil.said_{of}_{str(said).lower()}"
            do(
                f"CREATE OR REPLACE FUNCTION {name}({of}, {of}) RETURNS boolean LANGUAGE sql"
                f" IMMUTABLE AS 'SELECT {said}'"
            )
            do(f"CREATE OPERATOR evil.{operator} (LEFTARG={of}, RIGHTARG={of}, FUNCTION={name})")
        do("CREATE FUNCTION evil.octet_length(bytea) RETURNS integer LANGUAGE sql AS 'SELECT 32'")
        do("CREATE TEMP TABLE entries (position bigint)")
        do("SET search_path = evil, pg_temp, pg_catalog")
        yield do


def test_a_writer_with_operators_of_its_own_makes_no_hole(server):
    stream = "'00000000-0000-8000-8000-000000000000'"
    with misled(server, "writer") as do:
        do(
            "INSERT INTO {schema}.stored_events (originator_id, originator_version, topic, state,"  # noqa: S608
            f" notification_id) VALUES ({stream}, 1, 'x', '\\x00', 999)"
        )
        with pytest.raises(psycopg.errors.RestrictViolation, match="the log is dense"):
            do(
                f"INSERT INTO {{schema}}.entries VALUES (50, 1, {stream}, 1, gen_random_uuid(), 1,"  # noqa: S608
                " sha256('a'), sha256('b'))"
            )


def test_case_is_folded_alike_for_a_role_with_functions_of_its_own(server):
    with misled(server, "writer") as do:
        for made in (
            "lower(text)", "translate(text, text, text)", "replace(text, text, text)",
        ):  # fmt: skip
            do(f"CREATE FUNCTION evil.{made} RETURNS text LANGUAGE sql AS $$ SELECT 'evil' $$")
        do("CREATE FUNCTION evil.never(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true'")
        do("CREATE OPERATOR evil.!~ (LEFTARG=text, RIGHTARG=text, FUNCTION=evil.never)")
        assert do("SELECT {schema}.folded('AÄß')").fetchone() == ("aäss",)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE {schema}.stored_events SET state = convert_to('{{}}', 'UTF8')",
        "UPDATE {schema}.stored_events SET state = state || '\\x20'",
        "UPDATE {schema}.entries SET salt = pg_catalog.sha256(salt)",
    ],
)
def test_an_eraser_with_operators_of_its_own_changes_nothing(server, change):
    refused = pytest.raises(psycopg.errors.RestrictViolation, match="append-only")
    with misled(server, "eraser") as do, refused:
        do(change)


def test_every_function_of_the_log_has_a_search_path_of_its_own(server):
    with server() as do:
        found = do(
            "SELECT proname, proconfig FROM pg_proc"
            " WHERE pronamespace = '{schema}'::regnamespace AND proname <> 'folded'"
        ).fetchall()
    assert len(found) == 6
    assert {tuple(settings) for _, settings in found} == {("search_path=pg_catalog, pg_temp",)}
