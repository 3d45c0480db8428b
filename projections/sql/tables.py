"""Statements that make and change the interval tables, the same for every database.

1. A row begins with an INSERT. To amend it, one statement ends it and another copies it with the
   changed columns; so the event need not know the other columns.
2. A unique index is partial: it holds only rows that are valid and live. So is an index for
   questions about the present: it holds only rows that are valid.
3. Each text depends only on table and columns, and is built once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from ledger.model.schema import LIVE, REGISTRIES
from projections.redaction import Redaction
from projections.resolve import require_columns
from projections.sql.dialect import Dialect, quoted
from projections.tables import FOREVER, TABLES, Index, Table

_BOUNDS = ("from_position", "to_position")
NEW = "new_"  # prefix of tables that will replace others


def create_tables(dialect: Dialect) -> list[str]:
    """Return the statements that make every table, without its indexes."""
    return [create_table(dialect, table) for table in TABLES.values()]


def create_indexes(dialect: Dialect) -> list[str]:
    """Return the statements that make every index."""
    return [
        create_index(dialect, table, index) for table in TABLES.values() for index in table.indexes
    ]


def drop_tables() -> list[str]:
    """Return the statements that remove every existing table with its indexes."""
    return [f"DROP TABLE IF EXISTS {quoted(name)}" for name in TABLES]


def clear_tables() -> list[str]:
    """Return the statements that empty every table."""
    return [f"DELETE FROM {quoted(name)}" for name in TABLES]


@lru_cache(maxsize=1024)
def insert(dialect: Dialect, table: str, columns: tuple[str, ...]) -> str:
    """Return the INSERT of a new row: the values of `columns`, then its position.

    Raises:
        UnknownFieldError: The table has no such column.
    """
    require_columns(table, columns)
    names = ", ".join(map(quoted, (*columns, *_BOUNDS)))
    marks = ", ".join([dialect.placeholder] * (len(columns) + 1))
    return f"INSERT INTO {quoted(table)} ({names}) VALUES ({marks}, {FOREVER})"


@lru_cache(maxsize=1024)
def close(dialect: Dialect, table: str, columns: tuple[str, ...]) -> str:
    """Return the UPDATE that ends valid rows: a position, then the values of `columns` to match.

    Raises:
        UnknownFieldError: The table has no such column.
    """
    require_columns(table, columns)
    tests = " AND ".join(f"{quoted(name)} = {dialect.placeholder}" for name in columns)
    return (
        f"UPDATE {quoted(table)} SET to_position = {dialect.placeholder} "
        f"WHERE {tests} AND to_position = {FOREVER}"
    )


def reopen(dialect: Dialect, table: str, key: tuple[str, ...], columns: tuple[str, ...]) -> str:
    """Return the INSERT of the row that follows one just ended.

    Its parameters are the new values of `columns`, the position at which it begins, the values of
    `key`, and that position again.

    Raises:
        UnknownFieldError: The table has no such column.
    """
    return _reopen(dialect, TABLES[table], key, columns)


@lru_cache(maxsize=1024)
def _reopen(
    dialect: Dialect, described: Table, key: tuple[str, ...], columns: tuple[str, ...]
) -> str:
    table = described.name
    require_columns(table, (*key, *columns))
    mark = dialect.placeholder
    kept = [it.name for it in described.columns if it.name not in columns]
    names = ", ".join(map(quoted, (*columns, *_BOUNDS, *kept)))
    values = ", ".join((*[mark] * (len(columns) + 1), str(FOREVER), *map(quoted, kept)))
    tests = " AND ".join(f"{quoted(name)} = {mark}" for name in key)
    return (
        f"INSERT INTO {quoted(table)} ({names}) SELECT {values} "
        f"FROM {quoted(table)} WHERE {tests} AND to_position = {mark}"
    )


def load(dialect: Dialect, table: str, *, is_new: bool = False) -> str:
    """Return the INSERT of a finished row: values of all its columns, bounds included."""
    names = TABLES[table].column_names
    marks = ", ".join([dialect.placeholder] * len(names))
    into = quoted(named(table, is_new=is_new))
    return f"INSERT INTO {into} ({', '.join(map(quoted, names))}) VALUES ({marks})"


def close_all(dialect: Dialect, table: str) -> str:
    """Return the UPDATE that ends many valid rows: a list of ends, then one for each key column."""
    key = TABLES[table].key
    kinds = _arrays(dialect, table, ("to_position", *key))
    names = ", ".join(quoted(name) for name in ("end", *key))
    tests = " AND ".join(f"t.{quoted(name)} = e.{quoted(name)}" for name in key)
    return (
        f'UPDATE {quoted(table)} AS t SET to_position = e."end" FROM unnest({kinds}) AS e({names}) '
        f"WHERE {tests} AND t.to_position = {FOREVER}"
    )


def load_all(dialect: Dialect, table: str) -> str:
    """Return the INSERT of many finished rows: a list for each column, bounds included."""
    names = TABLES[table].column_names
    return (
        f"INSERT INTO {quoted(table)} ({', '.join(map(quoted, names))}) "
        f"SELECT * FROM unnest({_arrays(dialect, table, names)})"
    )


def _arrays(dialect: Dialect, table: str, names: Sequence[str]) -> str:
    kinds = {it.name: it.kind for it in TABLES[table].columns}
    types = [dialect.types[kinds.get(name, "integer")].partition(" COLLATE")[0] for name in names]
    return ", ".join(f"{dialect.placeholder}::{it}[]" for it in types)


def named(name: str, *, is_new: bool) -> str:
    """Return the name of a table or index, with the prefix `NEW` until it takes its place."""
    return f"{NEW}{name}" if is_new else name


def take_place(table: str) -> str:
    """Return the statement that gives a new table its own name."""
    return f"ALTER TABLE {quoted(named(table, is_new=True))} RENAME TO {quoted(table)}"


def redact(dialect: Dialect, redaction: Redaction) -> str:
    """Return the statement that empties rows: each blank that is a value, then the uid."""
    table, placeholder = quoted(redaction.table), dialect.placeholder
    if redaction.removes:
        where = f"{quoted(redaction.column)} = {placeholder}"
        if redaction.prefix is not None:
            # A prefix is made of the name of a registry: our own text.
            size, parents = len(redaction.prefix), f"{redaction.prefix}parents"
            where += (
                f" AND substr(field, 1, {size}) = '{redaction.prefix}' AND field <> '{parents}'"
                " AND from_position NOT IN (SELECT from_position FROM merger"
                " UNION SELECT to_position FROM merger)"
            )
        return f"DELETE FROM {table} WHERE {where}"
    values = ", ".join(
        f"{quoted(name)} = NULL"
        if blank is None
        else f"{quoted(name)} = CASE WHEN {quoted(name)} IS NOT NULL THEN {placeholder} END"
        for name, blank in redaction.values.items()
    )
    return f"UPDATE {table} SET {values} WHERE uid = {placeholder}"


def is_guarded(table: str) -> bool:
    """Return whether a unique index guards the live names of a table."""
    spec = REGISTRIES.get(table)
    return spec is not None and spec.is_named


def create_table(dialect: Dialect, table: Table, *, is_new: bool = False) -> str:
    """Return the statement that makes a table."""
    columns = [f"{quoted(it.name)} {dialect.types[it.kind]}" for it in table.columns]
    bounds = [f"{name} {dialect.types['integer']} NOT NULL" for name in _BOUNDS]
    key = dialect.primary_key(table)
    body = ", ".join((*columns, *bounds, *([] if key is None else [f"PRIMARY KEY ({key})"])))
    name = quoted(named(table.name, is_new=is_new))
    return f"CREATE TABLE {name} ({body}){dialect.table_suffix}"


def create_index(dialect: Dialect, table: Table, index: Index, *, is_new: bool = False) -> str:
    """Return the statement that makes an index."""
    columns = dialect.index_columns(index)
    on = quoted(named(table.name, is_new=is_new))
    if index.is_unique:
        name = f"{table.name}_live_{'_'.join(index.columns)}"
        return (
            f"CREATE UNIQUE INDEX {quoted(named(name, is_new=is_new))} ON {on} {columns} "
            f"WHERE to_position = {FOREVER} AND state = {LIVE}"
        )
    name = f"{table.name}_by_{'_'.join(index.columns)}"
    held = f" WHERE to_position = {FOREVER}" if index.is_present else ""
    return f"CREATE INDEX {quoted(named(name, is_new=is_new))} ON {on} {columns}{held}"


def rows_statement(table: str) -> str:
    """Return the question for all rows of a table, of all times, in the order of their key."""
    described = TABLES[table]
    columns = ", ".join(map(quoted, described.column_names))
    order = ", ".join(map(quoted, (*described.key, "from_position")))
    return f"SELECT {columns} FROM {quoted(table)} ORDER BY {order}"
