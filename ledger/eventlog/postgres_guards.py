"""All that a ledger's schema on a PostgreSQL server holds, compared with what this program makes.

1. Every object is compared, and none may be there besides: tables, columns, constraints, indexes,
   triggers, functions with their bodies and settings, rules, policies, inheritance, operators,
   types, privileges by default, owners, and what the ledger's roles may do by themselves.
2. Looking needs no rights, and keeps no one waiting: it reads catalogs only.
3. Catalogs give texts in words of the server; those of ours are alike in all supported versions.
4. `folded` folds as Python does here; characters whose case Unicode told late may be missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ledger.eventlog.evidence import differences
from ledger.eventlog.postgres_schema import KINDS, TRIGGERS, functions, role, trigger_name
from projections.sql.casefold import as_made_here, folded_statement
from projections.sql.postgres import POSTGRES, long_columns
from projections.sql.tables import create_index
from projections.tables import TABLES, Index

if TYPE_CHECKING:
    from psycopg import Connection

_LOG_COLUMNS = {
    "stored_events": (
        "originator_id uuid NOT NULL", "originator_version bigint NOT NULL", "topic text",
        "state bytea", ("notification_id bigint NOT NULL DEFAULT"
        " nextval('stored_events_notification_id_seq'::regclass)"),
    ),
    "entries": (
        "position bigint NOT NULL", "recorded_at bigint NOT NULL", "stream uuid NOT NULL",
        "version bigint NOT NULL", "command_id uuid NOT NULL", "number integer NOT NULL",
        "salt bytea NOT NULL", "leaf bytea NOT NULL",
    ),
    "meta": ("name text COLLATE C NOT NULL", "value text NOT NULL"),
}  # fmt: skip
_LOG_KEYS = {
    "stored_events": ("PRIMARY KEY (originator_id, originator_version)",),
    "entries": (
        "PRIMARY KEY (position)",
        "UNIQUE (command_id, number)",
        "UNIQUE (stream, version)",
    ),
    "meta": ("PRIMARY KEY (name)",),
}
_LOG_INDEX = (
    "CREATE UNIQUE INDEX stored_events_notification_id_idx ON stored_events"
    " USING btree (notification_id)"
)
_TABLE = "r, row security off"
_SET = "search_path=pg_catalog, pg_temp"
# Language, result, arguments, volatility, parallel safety, rights, and more where there is more.
_TRIGGER = f"plpgsql f trigger () v u invoker {_SET}"
_HEADERS = {
    "residue_of(bigint)": f"sql f text (erased) s u invoker {_SET}",
    "append_lock()": f"plpgsql f record (format,read_models) v u definer {_SET}",
    "folded(text)": "plpgsql f text (text_) i s invoker strict",
}

_FOUND = """
WITH home AS (
    SELECT oid, nspowner, quote_ident(nspname) || '.' AS prefix FROM pg_namespace
    WHERE nspname = %(schema)s
), held AS (
    SELECT c.* FROM pg_class c JOIN home ON c.relnamespace = home.oid
), ours AS (
    SELECT oid, rolname FROM pg_roles WHERE rolname = ANY (%(roles)s)
)
SELECT 'table ' || relname AS name, relkind::text || ', row security '
    || CASE WHEN relrowsecurity OR relforcerowsecurity THEN 'on' ELSE 'off' END
    || CASE WHEN relowner <> nspowner THEN ', owned by ' || pg_get_userbyid(relowner) ELSE '' END
    AS text
FROM held, home WHERE relkind NOT IN ('i', 'I', 't')
UNION ALL SELECT 'column ' || relname || '.' || attname, attname || ' '
    || format_type(atttypid, atttypmod)
    || coalesce(' COLLATE ' || CASE WHEN collname <> 'default' THEN collname END, '')
    || CASE WHEN attnotnull THEN ' NOT NULL' ELSE '' END
    || coalesce(' DEFAULT ' || replace(pg_get_expr(adbin, adrelid), prefix, ''), '')
    || attgenerated::text || attidentity::text
FROM home, held JOIN pg_attribute a ON attrelid = held.oid
    LEFT JOIN pg_collation k ON k.oid = attcollation
    LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
WHERE relkind = 'r' AND attnum > 0 AND NOT attisdropped
UNION ALL SELECT 'constraint on ' || relname,
    replace(replace(pg_get_constraintdef(c.oid), prefix, ''), '"', '')
    || CASE WHEN NOT (i.indisvalid AND i.indisready) THEN ' not in force' ELSE '' END
FROM home, pg_constraint c JOIN held ON held.oid = conrelid
    LEFT JOIN pg_index i ON i.indexrelid = conindid
WHERE contype <> 'n'
UNION ALL SELECT 'index ' || held.relname,
    replace(replace(pg_get_indexdef(indexrelid), prefix, ''), '"', '')
    || CASE WHEN indisvalid AND indisready THEN '' ELSE ' not in force' END
FROM home, pg_index JOIN held ON held.oid = indexrelid
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
    AND EXISTS (SELECT FROM held h WHERE h.oid = indrelid)
UNION ALL SELECT 'trigger ' || tgname, replace(pg_get_triggerdef(t.oid), prefix, '')
    || CASE tgenabled WHEN 'A' THEN ' always' WHEN 'D' THEN ' never' ELSE ' sometimes' END
    || CASE WHEN pronamespace <> home.oid THEN ', of another schema' ELSE '' END
FROM home, pg_trigger t JOIN held ON held.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
WHERE NOT tgisinternal
UNION ALL SELECT 'function ' || proname || '(' || oidvectortypes(proargtypes) || ')',
    concat_ws(' ', lanname, prokind, replace(pg_get_function_result(p.oid), prefix, ''),
        '(' || coalesce(array_to_string(proargnames, ','), '') || ')', provolatile, proparallel,
        CASE WHEN prosecdef THEN 'definer' ELSE 'invoker' END,
        CASE WHEN proisstrict THEN 'strict' END, CASE WHEN proleakproof THEN 'leakproof' END,
        array_to_string(proconfig, '; '),
        CASE WHEN proowner <> nspowner THEN 'owned by ' || pg_get_userbyid(proowner) END)
    || ':' || coalesce(prosrc, '')
FROM home, pg_proc p JOIN pg_language l ON l.oid = prolang WHERE pronamespace = home.oid
UNION ALL SELECT 'rule ' || rulename, replace(pg_get_ruledef(r.oid), prefix, '')
FROM home, pg_rewrite r JOIN held ON held.oid = ev_class WHERE rulename <> '_RETURN'
UNION ALL SELECT 'policy ' || polname, 'on ' || relname
FROM pg_policy JOIN held ON held.oid = polrelid
UNION ALL SELECT 'inheritance of ' || inhparent::regclass::text, inhrelid::regclass::text
FROM pg_inherits JOIN held ON held.oid IN (inhparent, inhrelid) WHERE relkind <> 'i'
UNION ALL SELECT 'operator ' || oprname, o.oid::regoperator::text
FROM home, pg_operator o WHERE oprnamespace = home.oid
UNION ALL SELECT 'type ' || typname, typtype::text
FROM home, pg_type WHERE typnamespace = home.oid AND typtype NOT IN ('c', 'b')
UNION ALL SELECT 'default privileges', pg_get_userbyid(defaclrole) || ': ' || defaclacl::text
FROM home, pg_default_acl
WHERE defaclnamespace = home.oid OR defaclnamespace = 0 AND defaclrole = nspowner
UNION ALL SELECT 'role ' || r.rolname, 'no attributes'
FROM pg_roles r JOIN ours USING (oid)
WHERE r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls
    OR r.rolcanlogin
UNION ALL SELECT 'member of ' || pg_get_userbyid(roleid), ours.rolname
FROM pg_auth_members JOIN ours ON ours.oid = member
"""


def schema_faults(connection: Connection[Any], schema: str) -> Iterator[tuple[str, str, str]]:
    """Yield each object that this program would make otherwise: name, expected, found.

    Args:
        connection: Gives rows as dictionaries.
        schema: Name of the ledger's schema.
    """
    names = {kind: role(schema, kind) for kind in KINDS}
    owner = connection.execute(
        "SELECT pg_get_userbyid(nspowner)::text AS owner FROM pg_namespace WHERE nspname = %s",
        (schema,),
    ).fetchone()
    has_roles = owner is not None and owner["owner"] == names["owner"]
    found: dict[str, list[str]] = {}
    params = {"schema": schema, "roles": [*names.values()] if has_roles else []}
    for row in connection.execute(_FOUND.encode(), params).fetchall():
        name, text = row["name"], row["text"]
        if name == "function folded(text)":
            header, colon, body = text.partition(":")
            text = header + colon + as_made_here(body)
        elif name.startswith("role "):
            text = "attributes of its own"
        found.setdefault(name, []).append(text)
    wanted = _wanted(schema)
    if has_roles:
        wanted[f"member of {names['writer']}"] = [names["eraser"]]
    yield from differences(wanted, found)


def _wanted(schema: str) -> dict[str, list[str]]:
    """Return the texts of all objects of a new ledger, by kind and name."""
    wanted = {
        "table stored_events_notification_id_seq": ["S, row security off"],
        "index stored_events_notification_id_idx": [_LOG_INDEX],
    }
    for name, columns in _LOG_COLUMNS.items():
        wanted[f"table {name}"] = [_TABLE]
        wanted[f"constraint on {name}"] = [*_LOG_KEYS[name]]
        wanted |= {f"column {name}.{it.partition(' ')[0]}": [it] for it in columns}
    for table in TABLES.values():
        wanted[f"table {table.name}"] = [_TABLE]
        key = POSTGRES.primary_key(table)
        kept = {"from_position", "to_position", *(table.key if key else ())}
        types = {it.name: POSTGRES.types[it.kind].replace('"', "") for it in table.columns}
        for name in table.column_names:
            text = f"{name} {types.get(name, 'bigint')}{' NOT NULL' if name in kept else ''}"
            wanted[f"column {table.name}.{name}"] = [text]
        indexes = [create_index(POSTGRES, table, index) for index in table.indexes]
        if key:
            wanted[f"constraint on {table.name}"] = [f"PRIMARY KEY ({key})".replace('"', "")]
        else:
            hashed = ", ".join(f"hashtextextended({it}, (0)::bigint)" for it in table.key)
            indexes.append(
                f"CREATE UNIQUE INDEX {table.name}_key ON {table.name} ({hashed}, from_position)"
            )
            indexes += [
                create_index(POSTGRES, table, Index(columns=(it,)))
                for it in sorted(long_columns().intersection(table.key))
            ]
        for text in map(_as_told, indexes):
            wanted[f"index {text.partition(' INDEX ')[2].partition(' ')[0]}"] = [text]
    for table_name, verb, level, function in TRIGGERS:
        name = trigger_name(table_name, verb)
        wanted[f"trigger {name}"] = [
            (
                f"CREATE TRIGGER {name} BEFORE {verb} ON {table_name} FOR EACH {level}"
                f" EXECUTE FUNCTION {function}() always"
            )
        ]
    for statement in (*(it.as_string() for it in functions(schema)), folded_statement()):
        head, body, _ = statement.split("$$")
        name = head.partition("FUNCTION ")[2].partition("(")[0]
        called = next((it for it in _HEADERS if it.startswith(f"{name}(")), f"{name}()")
        wanted[f"function {called}"] = [f"{_HEADERS.get(called, _TRIGGER)}:{body}"]
    return wanted


# A number that needs more than 32 bits.
_LARGE = re.compile(r"\b\d{10,}\b")
_CAST = r"'\g<0>'::bigint"


def _as_told(statement: str) -> str:
    """Return the statement that makes an index as the server tells it, without quotation marks."""
    text = statement.replace('"', "")
    if " USING " not in text:
        text = text.replace(" (", " USING btree (", 1)
    head, where, condition = text.partition(" WHERE ")
    tests = [f"({_LARGE.sub(_CAST, it)})" for it in condition.split(" AND ")]
    return head + where + (f"({' AND '.join(tests)})" if len(tests) > 1 else tests[0] * bool(where))
