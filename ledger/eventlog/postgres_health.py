"""The state of a PostgreSQL server and of a ledger's schema on it.

1. Looking keeps no one waiting, and needs only the right to read: catalogs and settings are open to
   every user of a database.
2. Rights are asked of the server, role by role: grants of the past prove nothing.
3. Other modules judge the state; this one knows only the triggers and rights of a new ledger.

Nothing here loads the driver, so that a state can be held without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, LiteralString

import msgspec

if TYPE_CHECKING:
    from psycopg import Connection

SUPPORTED = (14, 18)  # major versions of the server, both inclusive

_SETTINGS = (
    "data_checksums",
    "default_transaction_isolation",
    "default_transaction_read_only",
    "fsync",
    "full_page_writes",
    "max_connections",
    "statement_timeout",
    "synchronous_commit",
    "synchronous_standby_names",
)


class TableSize(msgspec.Struct, frozen=True, kw_only=True):
    """Room that a table takes.

    Attributes:
        name: Its name.
        rows: About how many it holds, as the server's statistics have it; None before the first.
        table_bytes: Its rows, with long values that are stored out of line.
        index_bytes: Its indexes.
        is_unlogged: Whether a crash of the server empties it.
    """

    name: str
    rows: int | None
    table_bytes: int
    index_bytes: int
    is_unlogged: bool


class Right(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """A right of a role on something in the schema."""

    role: str
    right: str
    subject: str

    def __str__(self) -> str:
        return f"{self.right} on {self.subject}"


class ServerState(msgspec.Struct, frozen=True, kw_only=True):
    """A server and a ledger's schema on it.

    Attributes:
        version: Of the server, such as `18.6`.
        user: The user that asked.
        is_superuser: Whether the server lets this user do everything.
        owner: Role that the schema belongs to.
        roles: Which of the ledger's roles the user has: `owner`, `writer`, …
        has_roles: Whether the ledger has roles of its own at all.
        may_append: Whether the user has the rights to append.
        is_standby: Whether it follows another server, and only lets read.
        is_following: Whether a standby is connected to the server that it follows.
        replay_lag: Seconds by which a standby is behind the transactions that it received; 0 where
            it shows all of them.
        connections: How many the server has at this moment.
        settings: Values in force for this session, by name.
        usual_synchronous_commit: Value that sessions of this user begin with.
        tables: Every table of the schema, the largest first.
        guards: State of each trigger on the log, by `table trigger`: `always`, `origin`, …
        missing: Rights that a role lacks.
        excessive: Rights that a role should not have.
    """

    version: str
    user: str
    is_superuser: bool
    owner: str
    roles: tuple[str, ...]
    has_roles: bool
    may_append: bool
    is_standby: bool
    is_following: bool
    replay_lag: float
    connections: int
    settings: dict[str, str]
    usual_synchronous_commit: str
    tables: tuple[TableSize, ...]
    guards: dict[str, str]
    missing: tuple[Right, ...]
    excessive: tuple[Right, ...]

    @property
    def is_supported(self) -> bool:
        """Whether the program is made for this version of the server."""
        first, last = SUPPORTED
        return first <= int(self.version.partition(".")[0]) <= last


def wanted_guards() -> set[str]:
    """Return the triggers that a new ledger has on its log, as `table trigger`."""
    from ledger.eventlog.postgres_schema import (  # noqa: PLC0415 (loads the driver)
        TRIGGERS,
        trigger_name,
    )

    return {f"{table} {trigger_name(table, verb)}" for table, verb, *_ in TRIGGERS}


def server_clock(connection: Connection[dict[str, Any]]) -> int:
    """Return the time of the server's clock, in microseconds since 1970 UTC."""
    sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now"
    return int(_ask(connection, sql)[0]["now"])


def look(connection: Connection[dict[str, Any]], schema: str) -> ServerState:
    """Return the state of a server and of a ledger's schema on it."""
    from ledger.eventlog.postgres_schema import KINDS, role  # noqa: PLC0415 (loads the driver)

    server = _ask(connection, _SERVER, schema=schema)[0]
    names = {kind: role(schema, kind) for kind in KINDS}
    found = _ask(connection, _ROLES, names=[*names.values()])
    is_member = {row["name"]: row["is_member"] for row in found}
    settings = {row["name"]: row for row in _ask(connection, _VALUES, names=[*_SETTINGS])}
    # Roles of the ledger's own, not of others that bear the same names.
    has_roles = server["owner"] == names["owner"] and is_member.keys() >= {
        names["writer"],
        names["reader"],
    }
    none = dict.fromkeys(KINDS, "")
    return ServerState(
        version=server["version"].split()[0],
        user=server["user"],
        is_superuser=server["is_superuser"],
        owner=server["owner"],
        roles=tuple(kind for kind in KINDS if has_roles and is_member.get(names[kind])),
        has_roles=has_roles,
        may_append=server["may_append"],
        is_standby=server["is_standby"],
        is_following=server["is_following"],
        replay_lag=float(server["replay_lag"]),
        connections=server["connections"],
        settings={name: row["setting"] for name, row in settings.items()},
        usual_synchronous_commit=settings["synchronous_commit"]["reset_val"],
        tables=tuple(
            msgspec.convert(row, TableSize) for row in _ask(connection, _TABLES, schema=schema)
        ),
        guards={row["name"]: row["state"] for row in _ask(connection, _GUARDS, schema=schema)},
        missing=_missing(connection, schema, names) if has_roles else (),
        excessive=_excessive(
            connection, schema, names if has_roles else {**none, "owner": server["owner"]}
        ),
    )


def _ask(
    connection: Connection[dict[str, Any]], sql: LiteralString, **params: Any
) -> list[dict[str, Any]]:
    return connection.execute(sql, params).fetchall()


_SERVER = """
SELECT current_setting('server_version') AS version, current_user::text AS user,
    (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) AS is_superuser,
    (SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = %(schema)s) AS owner,
    coalesce(has_table_privilege(to_regclass(%(schema)s || '.stored_events'), 'INSERT')
        AND has_table_privilege(to_regclass(%(schema)s || '.entries'), 'INSERT')
        AND has_function_privilege(to_regprocedure(%(schema)s || '.append_lock()'), 'EXECUTE'),
        false) AS may_append,
    pg_is_in_recovery() AS is_standby,
    EXISTS (SELECT FROM pg_stat_wal_receiver) AS is_following,
    (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend') AS connections,
    CASE WHEN NOT pg_is_in_recovery()
            OR pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0
        ELSE coalesce(extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()), 0)
    END AS replay_lag
"""
_ROLES = """
SELECT rolname::text AS name, pg_has_role(oid, 'MEMBER') AS is_member
FROM pg_roles WHERE rolname = ANY (%(names)s)
"""
_VALUES = """
SELECT name, current_setting(name) AS setting, reset_val FROM pg_settings
WHERE name = ANY (%(names)s)
"""
_TABLES = """
SELECT relname::text AS name, nullif(reltuples, -1)::bigint AS rows,
    pg_table_size(oid) AS table_bytes, pg_indexes_size(oid) AS index_bytes,
    relpersistence = 'u' AS is_unlogged
FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = %(schema)s) AND relkind = 'r'
ORDER BY pg_total_relation_size(oid) DESC, relname
"""
_GUARDS = """
SELECT c.relname || ' ' || t.tgname AS name, CASE t.tgenabled
    WHEN 'A' THEN 'always' WHEN 'O' THEN 'origin' WHEN 'R' THEN 'replica' ELSE 'disabled'
    END AS state
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND n.nspname = %(schema)s AND c.relname IN ('stored_events', 'entries')
"""

# --- rights ---------------------------------------------------------------------------------------

# Rights that the roles must have, as granted in a new ledger.
_MISSING = """
WITH held AS (
    SELECT c.oid, c.relname::text AS name,
        c.relname IN ('stored_events', 'entries') AS is_log, c.relname = 'meta' AS is_meta
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relkind = 'r'
), wanted AS (
    SELECT %(writer)s AS role, r.name AS right, held.* FROM held,
        (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS r (name)
    WHERE r.name = 'SELECT' OR NOT is_meta AND (r.name = 'INSERT' OR NOT is_log)
    UNION ALL SELECT %(reader)s, 'SELECT', held.* FROM held
)
SELECT role, wanted.right, name AS subject FROM wanted
WHERE NOT has_table_privilege(role, oid, wanted.right)
UNION ALL SELECT role, 'USAGE', 'schema ' || %(schema)s
FROM (VALUES (%(writer)s), (%(reader)s)) AS r (role)
WHERE NOT has_schema_privilege(role, %(schema)s, 'USAGE')
UNION ALL SELECT %(writer)s, 'EXECUTE', p.proname || '()'
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = 'append_lock'
    AND NOT has_function_privilege(%(writer)s, p.oid, 'EXECUTE')
UNION ALL SELECT %(eraser)s::text, 'UPDATE', c.relname::text || '.' || a.attname::text
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s
    AND (c.relname, a.attname) IN (('stored_events', 'state'), ('entries', 'salt'))
    AND NOT has_column_privilege(%(eraser)s::text, c.oid, a.attnum, 'UPDATE')
"""

# Rights that only superusers and members of the owner may have; of two columns, the eraser too. A
# right of everybody is told once, and so is a right that members of a role have by their role.
_EXCESSIVE = """
WITH held AS (
    SELECT c.oid, c.relname::text AS name,
        c.relname IN ('stored_events', 'entries', 'meta') AS is_kept, c.relname = 'meta' AS is_meta
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relkind = 'r'
), who AS (
    SELECT 'public' AS name, true AS only_reads, false AS may_erase
    UNION ALL SELECT r.rolname::text, r.rolname = %(reader)s,
        e.oid IS NOT NULL AND pg_has_role(r.oid, e.oid, 'MEMBER')
    FROM pg_roles r JOIN pg_roles o ON o.rolname = %(owner)s
        LEFT JOIN pg_roles e ON e.rolname = %(eraser)s
    WHERE NOT r.rolsuper AND r.rolname !~ '^pg_' AND NOT pg_has_role(r.oid, o.oid, 'MEMBER')
), asked AS (
    SELECT who.name AS role, may_erase, r.name AS right, held.name AS subject, held.oid
    FROM who, held,
        (VALUES ('INSERT'), ('UPDATE'), ('DELETE'), ('TRUNCATE'), ('TRIGGER')) AS r (name)
    WHERE only_reads OR r.name = 'TRIGGER' OR (is_kept AND (r.name <> 'INSERT' OR is_meta))
), found AS (
    SELECT role, asked.right, subject FROM asked
    WHERE CASE asked.right WHEN 'UPDATE' THEN EXISTS (
        SELECT FROM pg_attribute a WHERE a.attrelid = asked.oid AND a.attnum > 0
            AND has_column_privilege(role, asked.oid, a.attnum, 'UPDATE') AND NOT (may_erase
                AND (subject, a.attname) IN (('stored_events', 'state'), ('entries', 'salt')))
        ) WHEN 'INSERT' THEN has_any_column_privilege(role, oid, 'INSERT')
        ELSE has_table_privilege(role, oid, asked.right) END
    UNION ALL SELECT who.name, 'CREATE', 'schema ' || %(schema)s FROM who
    WHERE has_schema_privilege(who.name, %(schema)s, 'CREATE')
    UNION ALL SELECT who.name, 'EXECUTE', p.proname || '()'
    FROM who, pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE n.nspname = %(schema)s AND p.proname = 'append_lock' AND who.only_reads
        AND has_function_privilege(who.name, p.oid, 'EXECUTE')
)
SELECT * FROM found f
WHERE NOT EXISTS (
    SELECT FROM found g
    WHERE (g.right, g.subject) = (f.right, f.subject) AND g.role <> f.role AND f.role <> 'public'
        AND CASE g.role WHEN 'public' THEN true ELSE pg_has_role(f.role, g.role, 'MEMBER') END
)
"""


def _missing(
    connection: Connection[dict[str, Any]], schema: str, names: dict[str, str]
) -> tuple[Right, ...]:
    return _rights(_ask(connection, _MISSING, schema=schema, **names))


def _excessive(
    connection: Connection[dict[str, Any]], schema: str, names: dict[str, str]
) -> tuple[Right, ...]:
    return _rights(_ask(connection, _EXCESSIVE, schema=schema, **names))


def _rights(rows: list[dict[str, Any]]) -> tuple[Right, ...]:
    return tuple(sorted(msgspec.convert(row, Right) for row in rows))
