"""What a ledger's schema on a PostgreSQL server holds beside the framework's table, and for whom.

1. Triggers refuse UPDATE, DELETE and TRUNCATE of what is recorded, and a position that is not the
   next one: whoever asks, also where replication has switched other triggers off.
2. `append_lock()` takes the append lock and tells what the schema holds. LOCK TABLE needs rights
   that nobody but the owner shall have (it goes with UPDATE and DELETE), so the function lends
   just this one.
3. Three roles that nobody logs in as, to be granted to people and services: `…_owner` holds all
   tables; `…_writer` may read and append, and maintain the read models; `…_reader` may read.
   Where the user that makes the ledger may not make roles, that user is the owner of it all.
"""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from ledger.errors import ConfigurationError, LedgerExistsError, StorageError

LOG_TABLES = ("stored_events", "entries")

TABLES = (
    """CREATE TABLE entries (
        position bigint PRIMARY KEY,
        recorded_at bigint NOT NULL,
        stream uuid NOT NULL,
        version bigint NOT NULL,
        command_id uuid NOT NULL,
        number integer NOT NULL,
        salt bytea NOT NULL,
        leaf bytea NOT NULL,
        UNIQUE (command_id, number),
        UNIQUE (stream, version)
    )""",
    """CREATE TABLE meta (
        name text COLLATE "C" PRIMARY KEY,
        value text NOT NULL
    )""",
)

_REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$"""

# A volatile function sees the rows that its own statement has inserted so far.
_REFUSE_GAP = """CREATE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    expected CONSTANT bigint := (SELECT coalesce(max(position), 0) + 1 FROM {schema}.entries);
BEGIN
    IF NEW.position <> expected THEN
        RAISE EXCEPTION 'the log is dense: position % follows, not %', expected, NEW.position
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$"""

# `search_path` is fixed as for every function that runs with the rights of its owner.
_APPEND_LOCK = """CREATE FUNCTION append_lock(OUT format text, OUT read_models text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE {schema}.stored_events IN EXCLUSIVE MODE;
    SELECT max(m.value) FILTER (WHERE m.name = 'format'),
        max(m.value) FILTER (WHERE m.name = 'read_models')
        INTO format, read_models FROM {schema}.meta AS m;
END $$"""


def create_guards(connection: Connection[Any], schema: str) -> None:
    """Make the triggers, and the function that takes the append lock."""
    name = Identifier(schema)
    connection.execute(_REFUSE)
    connection.execute(SQL(_REFUSE_GAP).format(schema=name))
    connection.execute(SQL(_APPEND_LOCK).format(schema=name))
    connection.execute("REVOKE ALL ON FUNCTION append_lock() FROM PUBLIC")
    statements = _trigger("entries", "INSERT", "ROW", "refuse_gap")
    for table in LOG_TABLES:
        statements += _trigger(table, "UPDATE", "ROW", "refuse")
        statements += _trigger(table, "DELETE", "ROW", "refuse")
        statements += _trigger(table, "TRUNCATE", "STATEMENT", "refuse")
    for statement in statements:
        connection.execute(statement.encode())


def _trigger(table: str, verb: str, level: str, function: str) -> list[str]:
    name = f"{table}_refuse_{verb.lower()}"
    what = f"BEFORE {verb} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()"
    return [
        f"CREATE TRIGGER {name} {what}",
        f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}",
    ]


def role(schema: str, kind: str) -> str:
    """Return the name of a role of a ledger; `kind` is `owner`, `writer` or `reader`."""
    return f"{schema}_{kind}"


def create_schema(connection: Connection[Any], schema: str) -> None:
    """Make the schema and its roles, and go on as the owner to the end of the transaction.

    Raises:
        LedgerExistsError: There is a schema of this name.
        ConfigurationError: The database keeps text in another encoding than UTF-8.
    """
    ((encoding, exists, may_make_roles),) = _ask(
        connection,
        "SELECT current_setting('server_encoding'), to_regnamespace(quote_ident(%s)) IS NOT NULL,"
        " rolsuper OR rolcreaterole FROM pg_roles WHERE rolname = current_user",
        schema,
    )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"database: expected the encoding UTF8, found {encoding}; create one with "
            "ENCODING 'UTF8'"
        )
    if exists:
        raise LedgerExistsError(
            f"database schema '{schema}': it exists already; choose another with ?schema=…"
        )
    name = Identifier(schema)
    if not may_make_roles:
        connection.execute(SQL("CREATE SCHEMA {}").format(name))
    else:
        owner = Identifier(role(schema, "owner"))
        for kind in ("owner", "writer", "reader"):
            _create_role(connection, role(schema, kind))
        # The user who makes roles is not a member of them by that alone.
        connection.execute(SQL("GRANT {} TO CURRENT_USER").format(owner))
        connection.execute(SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name, owner))
        connection.execute(SQL("SET LOCAL ROLE {}").format(owner))
    connection.execute(SQL("SET LOCAL search_path = {}").format(name))


def _create_role(connection: Connection[Any], name: str) -> None:
    if _ask(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
        # Roles belong to the whole server: one of a like-named ledger, which nobody should join.
        raise LedgerExistsError(
            f"database role '{name}': it exists already, perhaps for a schema of the same name in "
            "another database of the server; choose another with ?schema=…"
        )
    connection.execute(SQL("CREATE ROLE {} NOLOGIN").format(Identifier(name)))


def grant(connection: Connection[Any], schema: str) -> None:
    """Give the roles their rights on all that the schema holds; nothing where there are none."""
    writer, reader = role(schema, "writer"), role(schema, "reader")
    # Roles of this name that are not the ledger's own (see rule 3) get nothing.
    ((owner,),) = _ask(
        connection,
        "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s",
        schema,
    )
    if owner != role(schema, "owner"):
        return
    names = {"schema": Identifier(schema), "writer": Identifier(writer)}
    names["reader"] = Identifier(reader)
    for statement in (
        "GRANT USAGE ON SCHEMA {schema} TO {writer}, {reader}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {writer}, {reader}",
        # All but the log and what is said of it: the read models.
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {writer}",
        "REVOKE UPDATE, DELETE ON stored_events, entries FROM {writer}",
        "REVOKE INSERT, UPDATE, DELETE ON meta FROM {writer}",
        "GRANT EXECUTE ON FUNCTION append_lock() TO {writer}",
    ):
        connection.execute(SQL(statement).format(**names))


def become_owner(connection: Connection[Any], schema: str) -> None:
    """Go on as the schema's owner to the end of the transaction.

    Raises:
        StorageError: The user is not a member of the owner.
    """
    found = _ask(
        connection,
        "SELECT pg_get_userbyid(nspowner), pg_has_role(nspowner, 'MEMBER') FROM pg_namespace"
        " WHERE nspname = %s",
        schema,
    )
    owner, is_member = found[0] if found else (None, False)
    if not is_member:
        raise StorageError(
            f"ledger database: the schema '{schema}' belongs to the role '{owner}', and the user "
            f"is not a member of it; have its owner do this once ('metaledger rebuild')"
        )
    connection.execute(SQL("SET LOCAL ROLE {}").format(Identifier(owner)))


def drop_schema(connection: Connection[Any], schema: str) -> None:
    """Remove the schema with all it holds, and its roles, inside a transaction."""
    connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))
    for kind in ("reader", "writer", "owner"):
        name = role(schema, kind)
        if _ask(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def _ask(connection: Connection[Any], sql: LiteralString, *params: object) -> list[tuple[Any, ...]]:
    # Whatever kind of rows the connection gives by itself.
    return connection.cursor(row_factory=tuple_row).execute(sql, params).fetchall()
