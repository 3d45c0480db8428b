"""A ledger's schema on a PostgreSQL server: tables, triggers, the append lock, and roles.

1. Triggers refuse UPDATE, DELETE and TRUNCATE of the log, and every position but the next one. They
   refuse every user, also where replication has switched other triggers off. They let one UPDATE
   through: of an entry that the last event erases.
2. `append_lock()` takes the append lock and returns the formats of the schema. LOCK TABLE needs
   rights that only the owner shall have (they go with UPDATE and DELETE), so the function lends
   just this one.
3. Four roles that nobody logs in as, to be granted to people and services: `…_owner` holds all
   tables; `…_writer` may read and append, and maintain the read models; `…_eraser` may erase
   besides; `…_reader` may read.
   Where the user that makes the ledger may not make roles, that user is the owner of it all.
"""

from __future__ import annotations

from typing import Any, LiteralString

from psycopg import Connection
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Composed, Identifier

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

_TRIGGERED = ("refuse", "refuse_gap", "refuse_salt", "refuse_state")

KINDS = ("owner", "writer", "reader", "eraser")

# `search_path` is fixed in every function: whoever writes has no say in whose operators are meant.
_REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$"""

# Where the last event erases a position: the SHA-256 of its residue in hexadecimal, which an entry
# of format 1 has, else an empty text. NULL where it does not.
_RESIDUE = """CREATE FUNCTION residue_of(erased bigint) RETURNS text LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce((SELECT residue ->> 1 FROM jsonb_array_elements(told -> 'residues') AS residue
            WHERE (residue ->> 0)::bigint = erased), '')
        FROM {schema}.entries AS last
        JOIN {schema}.stored_events AS erasure ON erasure.originator_id = last.stream
            AND erasure.originator_version = last.version
        CROSS JOIN LATERAL (SELECT convert_from(erasure.state, 'UTF8')::jsonb AS told) AS event
    WHERE last.position = (SELECT max(position) FROM {schema}.entries)
        AND erasure.topic = 'entries-erased.v2' AND told -> 'entries' @> to_jsonb(erased)
$$"""

# First the salt makes place for what the leaf hash needs of what goes, then that part goes:
# all after the first line. An entry of format 1 has one line; a residue takes its place.
_REFUSE_SALT = """CREATE FUNCTION refuse_salt() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    payload CONSTANT bytea := (SELECT state FROM {schema}.stored_events
        WHERE originator_id = OLD.stream AND originator_version = OLD.version);
    kept CONSTANT int := position('\\x0a'::bytea IN payload);
BEGIN
    IF to_jsonb(NEW) - 'salt' = to_jsonb(OLD) - 'salt' AND octet_length(OLD.salt) = 32
        AND NEW.salt = (CASE kept WHEN 0 THEN '\\x00'::bytea || sha256(OLD.salt || payload)
            ELSE sha256('kept'::bytea || OLD.salt)
                || sha256(OLD.salt || substring(payload FROM kept + 1)) END)
        AND {schema}.residue_of(OLD.position) IS NOT NULL
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$"""

_REFUSE_STATE = """CREATE FUNCTION refuse_state() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    erased CONSTANT bigint := (SELECT position FROM {schema}.entries
        WHERE stream = OLD.originator_id AND version = OLD.originator_version
        AND octet_length(salt) > 32);
    kept CONSTANT int := position('\\x0a'::bytea IN OLD.state);
BEGIN
    IF to_jsonb(NEW) - 'state' = to_jsonb(OLD) - 'state' AND octet_length(NEW.state) > 0
        AND (CASE kept WHEN 0
            THEN encode(sha256(NEW.state), 'hex') = {schema}.residue_of(erased)
            ELSE NEW.state = substring(OLD.state FROM 1 FOR kept)
                AND {schema}.residue_of(erased) IS NOT NULL END)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the log is append-only: % on %', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation';
END $$"""

# A volatile function sees the rows that its own statement has inserted so far.
_REFUSE_GAP = """CREATE FUNCTION refuse_gap() RETURNS trigger LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    expected CONSTANT bigint := (SELECT coalesce(max(position), 0) + 1 FROM {schema}.entries);
BEGIN
    IF NEW.position <> expected THEN
        RAISE EXCEPTION 'the log is dense: position % follows, not %', expected, NEW.position
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$"""

_APPEND_LOCK = """CREATE FUNCTION append_lock(OUT format text, OUT read_models text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    LOCK TABLE {schema}.stored_events IN EXCLUSIVE MODE;
    SELECT max(m.value) FILTER (WHERE m.name = 'format'),
        max(m.value) FILTER (WHERE m.name = 'read_models')
        INTO format, read_models FROM {schema}.meta AS m;
END $$"""


# Table, verb, level and function of each.
TRIGGERS = (
    ("entries", "INSERT", "ROW", "refuse_gap"),
    ("entries", "UPDATE", "ROW", "refuse_salt"),
    ("stored_events", "UPDATE", "ROW", "refuse_state"),
    *((table, "DELETE", "ROW", "refuse") for table in LOG_TABLES),
    *((table, "TRUNCATE", "STATEMENT", "refuse") for table in LOG_TABLES),
)


def functions(schema: str) -> list[Composed]:
    """Return the statements that make the functions of the log, each after those that it calls."""
    made = (_REFUSE, _REFUSE_GAP, _RESIDUE, _REFUSE_SALT, _REFUSE_STATE, _APPEND_LOCK)
    return [SQL(function).format(schema=Identifier(schema)) for function in made]


def trigger_name(table: str, verb: str) -> str:
    """Return the name of the trigger that guards a table against a verb."""
    return f"{table}_refuse_{verb.lower()}"


def create_guards(connection: Connection[Any], schema: str) -> None:
    """Make the triggers, and the function that takes the append lock; renew those of before."""
    for function in (*_TRIGGERED, "residue_of", "append_lock"):
        connection.execute(SQL("DROP FUNCTION IF EXISTS {} CASCADE").format(Identifier(function)))
    for made in functions(schema):
        connection.execute(made)
    connection.execute("REVOKE ALL ON FUNCTION append_lock() FROM PUBLIC")
    for table, verb, level, function in TRIGGERS:
        name = trigger_name(table, verb)
        what = f"BEFORE {verb} ON {table} FOR EACH {level} EXECUTE FUNCTION {function}()"
        connection.execute(f"CREATE TRIGGER {name} {what}".encode())
        connection.execute(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}".encode())


def role(schema: str, kind: str) -> str:
    """Return the name of a role of a ledger; `kind` is one of `KINDS`."""
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
        for kind in KINDS:
            _create_role(connection, role(schema, kind))
        connection.execute(
            SQL("GRANT {} TO {}").format(
                Identifier(role(schema, "writer")), Identifier(role(schema, "eraser"))
            )
        )
        # A user that makes roles is not yet a member of them.
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
    """Give the roles their rights on the schema; do nothing where the ledger has no roles."""
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
    names |= {"reader": Identifier(reader), "eraser": Identifier(role(schema, "eraser"))}
    for statement in (
        "GRANT USAGE ON SCHEMA {schema} TO {writer}, {reader}",
        "GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {writer}, {reader}",
        # The log and `meta` are taken out again below: this is for the read models.
        "GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {writer}",
        "REVOKE UPDATE, DELETE ON stored_events, entries FROM {writer}",
        "REVOKE INSERT, UPDATE, DELETE ON meta FROM {writer}",
        "GRANT EXECUTE ON FUNCTION append_lock() TO {writer}",
        # The triggers say which UPDATE.
        "GRANT UPDATE (state) ON stored_events TO {eraser}",
        "GRANT UPDATE (salt) ON entries TO {eraser}",
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


# Columns of a table of which the planner keeps values: name, type, collation.
_WITH_STATISTICS: LiteralString = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
    CASE WHEN c.oid IS NOT NULL THEN ARRAY[n.nspname::text, c.collname::text] END
FROM pg_attribute a LEFT JOIN pg_collation c ON c.oid = a.attcollation
    LEFT JOIN pg_namespace n ON n.oid = c.collnamespace
    JOIN pg_class t ON t.oid = a.attrelid
    JOIN pg_stats s ON s.schemaname = %s AND s.tablename = t.relname AND s.attname = a.attname
WHERE t.relnamespace = quote_ident(s.schemaname)::regnamespace AND t.relname = %s
    AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""


def scrub(connection: Connection[Any], schema: str) -> bool:
    """Write every table anew, without overwritten rows; return whether the user may do so.

    The statistics of the planner hold values of rows, so they are taken anew too. Those of a table
    that is empty now would stay: to state a column's type again removes them.
    Others wait meanwhile. Write-ahead logs, replicas that lag and backups are not reached.
    """
    ((owner, is_member),) = _ask(
        connection,
        "SELECT pg_get_userbyid(nspowner), pg_has_role(nspowner, 'MEMBER') FROM pg_namespace"
        " WHERE nspname = %s",
        schema,
    )
    if not is_member:
        return False
    connection.commit()
    connection.autocommit = True
    connection.execute(SQL("SET ROLE {}").format(Identifier(owner)))
    for (table,) in _ask(
        connection,
        "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace AND relkind = 'r'",
        schema,
    ):
        name = Identifier(schema, table)
        connection.execute(SQL("VACUUM (FULL, ANALYZE) {}").format(name))
        if connection.execute(SQL("SELECT FROM {} LIMIT 1").format(name)).fetchone() is None:
            for column, kind, collation in _ask(connection, _WITH_STATISTICS, schema, table):
                connection.execute(
                    SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {}{}").format(
                        name,
                        Identifier(column),
                        SQL(kind),
                        SQL(" COLLATE {}").format(Identifier(*collation)) if collation else SQL(""),
                    )
                )
    return True


def drop_schema(connection: Connection[Any], schema: str) -> None:
    """Remove the schema with all it holds, and its roles, inside a transaction."""
    connection.execute(SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(Identifier(schema)))
    for kind in reversed(KINDS):
        name = role(schema, kind)
        if _ask(connection, "SELECT 1 FROM pg_roles WHERE rolname = %s", name):
            connection.execute(SQL("DROP ROLE {}").format(Identifier(name)))


def _ask(connection: Connection[Any], sql: LiteralString, *params: object) -> list[tuple[Any, ...]]:
    # The connection may give rows of another kind.
    return connection.cursor(row_factory=tuple_row).execute(sql, params).fetchall()
