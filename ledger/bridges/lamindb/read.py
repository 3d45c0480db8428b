"""An instance of LaminDB, read as it stands: its tables as rows, from SQLite or PostgreSQL.

1. The database is opened for reading alone. Nothing is written beside it.
2. All tables are read in one transaction, so that an import during somebody's work sees one moment.
3. A database that is none of LaminDB is refused by what was found in it; one that lacks a column
   that is needed, by that column.
4. No message repeats a password.
"""

from __future__ import annotations

import datetime as dt
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from ledger.bridges.lamindb.columns import DULL, OWN_NAMES, OWN_TABLES, PREFIXES, SHAPES, Shape
from ledger.errors import InvalidValueError, MissingDependencyError, StorageError, printable
from ledger.eventlog.database_url import DatabaseUrl, is_database_url, parse
from ledger.input_files import open_regular

Row: TypeAlias = dict[str, Any]
# Answers a statement with rows, each column in order.
Ask: TypeAlias = Callable[[str], Iterable[tuple[Any, ...]]]

_DEFAULT_NAMES = ("lamin.db", ".lamindb/lamin.db")
_WAIT = 30.0  # seconds that LaminDB may take to end its write
_WAL = b"\x02\x02"  # the two bytes of SQLite's header that say: with a write-ahead log
_HEADER, _HEAD = b"SQLite format 3\x00", 20


class Instance(msgspec.Struct, kw_only=True):
    """What an instance holds.

    Attributes:
        where: Where it is, as people are told: without a password.
        prefix: First part of the names of its tables.
        tables: Rows of each table of `columns.SHAPES` that it has, in order of their ids.
        names: Full name of each of these tables there.
        others: Rows of each further table that is not empty, by its full name.
    """

    where: str
    prefix: str
    tables: dict[str, list[Row]]
    names: dict[str, str]
    others: dict[str, list[Row]]

    def rows(self, table: str) -> list[Row]:
        """Return the rows of a table; none where the instance does not have it."""
        return self.tables.get(table, [])

    def name(self, table: str) -> str:
        """Return the full name of a table there."""
        return self.names.get(table, self.prefix + table)


def read(
    where: str | os.PathLike[str], *, check: Callable[[Path], None] = lambda _: None
) -> Instance:
    """Return what an instance holds: the folder of one, its database, or a URL of PostgreSQL.

    `check` sees the path of a SQLite database before it is opened, and may refuse it.

    Raises:
        InvalidValueError: There is no instance, or it lacks a column that is needed.
        StorageError: It cannot be read.
        MissingDependencyError: The driver of PostgreSQL is not installed.
    """
    if is_database_url(where):
        return _read_server(parse(str(where)))
    path = find_database(where)
    check(path)
    with _sqlite(path) as ask:
        tables = [str(name) for (name,) in ask("SELECT name FROM sqlite_master WHERE type='table'")]

        def columns(table: str) -> list[str]:
            return [str(it[1]) for it in ask(f"PRAGMA table_info({_quoted(table)})")]

        return _collect(ask, tables, columns, str(path), is_text=True)


def find_database(where: str | os.PathLike[str]) -> Path:
    """Return the path of the SQLite database of an instance.

    Raises:
        InvalidValueError: There is none, or there are several.
    """
    given = os.fspath(where)
    if not given or "\x00" in given:
        raise InvalidValueError(
            "lamindb: expected the folder of an instance, its database, or postgresql://…, got "
            f"{printable(given)!r:.80}"
        )
    path = Path(given).expanduser().absolute()
    if path.is_file():
        return path.resolve()
    if not path.is_dir():
        raise InvalidValueError(
            f"lamindb {printable(given)}: there is no such file or folder; give the folder of an "
            "instance, its database (lamin.db), or postgresql://…"
        )
    found = [path / name for name in _DEFAULT_NAMES if (path / name).is_file()]
    if not found:
        found = sorted({*path.glob("*.lndb"), *path.glob(".lamindb/*.lndb")})
    if not found:
        held = sorted(it.name for it in path.iterdir())[:5]
        raise InvalidValueError(
            f"lamindb {printable(given)}: expected .lamindb/lamin.db or a file *.lndb in this "
            f"folder, found {', '.join(map(printable, held)) or 'nothing'}"
        )
    if len(found) > 1:
        raise InvalidValueError(
            f"lamindb {printable(given)}: the folder holds several databases "
            f"({', '.join(printable(it.name) for it in found)}); name one of them"
        )
    return found[0].resolve()


# --- SQLite -----------------------------------------------------------------------------------


@contextmanager
def _sqlite(path: Path) -> Iterator[Ask]:
    way, before = f"{path.as_uri()}?mode=ro", _state(path)
    # Closing it drops the locks that this process has on the file: the caller sees to it that this
    # is no database of the ledger in use.
    with open_regular(path) as file:
        head = file.read(_HEAD)
    if head[:16] != _HEADER:
        raise InvalidValueError(
            f"lamindb {path}: expected a SQLite database, found a file that is none"
        )
    # SQLite would make the files of a write-ahead log anew, and leave them beside the database.
    is_still = head[18:20] == _WAL and not Path(f"{path}-wal").exists()
    try:
        connection = sqlite3.connect(
            way + ("&immutable=1" if is_still else ""), uri=True, timeout=_WAIT
        )
        with closing(connection):
            connection.isolation_level = None
            connection.execute("PRAGMA query_only = ON")
            connection.execute("BEGIN")
            yield connection.execute
    except sqlite3.Error as error:
        raise StorageError(
            f"lamindb {path}: SQLite says '{error}'; end the programs that write to it, see that "
            "this user may read it, and import again"
        ) from error
    if is_still and (_state(path) != before or Path(f"{path}-wal").exists()):
        raise StorageError(
            f"lamindb {path}: somebody wrote to it while it was read; import it again"
        )


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_size, found.st_mtime_ns


# --- PostgreSQL -------------------------------------------------------------------------------


def _read_server(url: DatabaseUrl) -> Instance:
    try:
        import psycopg  # noqa: PLC0415 (loads when it is needed)
    except ImportError as error:
        raise MissingDependencyError(
            "an instance on PostgreSQL needs psycopg: pip install 'metaledger[postgres]'"
        ) from error
    where = str(url)
    try:
        secrets: dict[str, Any] = dict(url.secrets())
        with psycopg.connect(url.text, autocommit=True, **secrets) as connection:
            connection.execute("SET default_transaction_read_only = on")
            connection.execute("SET TIME ZONE 'UTC'")
            connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            schema = url.schema or connection.execute("SELECT current_schema()").fetchone()[0]  # type: ignore[index]
            told: dict[str, list[str]] = {}
            question = (
                "SELECT c.table_name, c.column_name FROM information_schema.columns c "
                "JOIN information_schema.tables t USING (table_schema, table_name) WHERE "
                "c.table_schema = %s AND t.table_type = 'BASE TABLE' ORDER BY c.ordinal_position"
            )
            for table, column in connection.execute(question, [schema]):
                told.setdefault(table, []).append(column)

            def ask(statement: str) -> Iterable[tuple[Any, ...]]:
                return connection.execute(statement.encode())

            quoted = f"{_quoted(str(schema))}."
            return _collect(ask, list(told), told.__getitem__, where, is_text=False, schema=quoted)
    except psycopg.Error as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise StorageError(
            f"lamindb {where}: the server says '{_without(said[0], url)}'; check the URL and the "
            "rights of its user (reading is enough)"
        ) from None


def _without(text: str, url: DatabaseUrl) -> str:
    for secret in url.secrets().values():
        text = text.replace(secret, "…") if secret else text
    return printable(text)


# --- rows -------------------------------------------------------------------------------------


def _collect(  # noqa: PLR0913 (what two kinds of databases have in common)
    ask: Ask,
    tables: list[str],
    columns: Callable[[str], list[str]],
    where: str,
    *,
    is_text: bool,
    schema: str = "",
) -> Instance:
    prefix = next((it for it in PREFIXES if it + "artifact" in tables), None)
    if prefix is None:
        held = ", ".join(map(printable, sorted(tables)[:5]))
        raise InvalidValueError(
            f"lamindb {where}: expected tables of LaminDB (lamindb_artifact or "
            f"lnschema_core_artifact), found {held or 'no table'}"
        )
    found = Instance(where=where, prefix=prefix, tables={}, names={}, others={})
    for name, shape in SHAPES.items():
        table = next((prefix + it for it in shape.tables if prefix + it in tables), None)
        if table is None:
            if shape.is_needed:
                raise InvalidValueError(
                    f"lamindb {where}: the table {prefix}{shape.tables[0]} is missing; this "
                    "version of LaminDB is not known, or the copy is not whole"
                )
            continue
        there = columns(table)
        wanted = _wanted(shape, there, f"lamindb {where}: table {table}")
        found.names[name] = table
        found.tables[name] = [
            _row(it, wanted, shape, is_text=is_text) for it in _all(ask, schema, table, there)
        ]
    mapped = set(found.names.values())
    for table in sorted(tables):
        if table in mapped or table.startswith(OWN_TABLES) or _short(table) in OWN_NAMES:
            continue
        if rows := [_plain(it) for it in _all(ask, schema, table, columns(table))]:
            found.others[table] = rows
    return found


def _short(table: str) -> str:
    return table.rsplit("_", 1)[-1]


def _wanted(shape: Shape, there: list[str], where: str) -> dict[str, str]:
    """Return the name here of each column there that has one.

    Raises:
        InvalidValueError: A column that is needed is missing.
    """
    found = {}
    for name, names in (shape.needed | shape.further).items():
        column = next((it for it in names if it in there), None)
        if column is not None:
            found[column] = name
        elif name in shape.needed:
            raise InvalidValueError(
                f"{where}: the column {' or '.join(names)} is missing, which every known version "
                "of LaminDB has; this one is newer than known, or the copy is not whole"
            )
    return found


def _all(ask: Ask, schema: str, table: str, columns: list[str]) -> Iterator[Row]:
    order = " ORDER BY id" if "id" in columns else ""
    names = ", ".join(map(_quoted, columns))
    for values in ask(f"SELECT {names} FROM {schema}{_quoted(table)}{order}"):  # noqa: S608 (names of the catalogue)
        yield dict(zip(columns, values, strict=True))


def _row(raw: Row, wanted: dict[str, str], shape: Shape, *, is_text: bool) -> Row:
    row: Row = dict.fromkeys((*shape.needed, *shape.further))
    rest: Row = {}
    for column, value in raw.items():
        name = wanted.get(column)
        if name is None:
            if shape.is_read_in_part or column in DULL:
                continue
            if value not in (None, "", "{}", "[]", 0, {}, []):
                rest[column] = _kept(column, value)
        elif name in shape.json and is_text:
            row[name] = _decoded(value)
        else:
            row[name] = value
    row["rest"] = rest
    return row


def _decoded(value: Any) -> Any:
    if not isinstance(value, str | bytes):
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _plain(row: Row) -> Row:
    return {name: _kept(name, value) for name, value in row.items() if value is not None}


def _kept(column: str, value: Any) -> Any:
    """Return a value as JSON can hold it, the same of every kind of database."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str):
        return _kept_text(column, value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, int | float | dict | list) else str(value)


def _kept_text(column: str, value: str) -> Any:
    if column.endswith("_at"):
        try:
            found = dt.datetime.fromisoformat(value)
        except ValueError:
            return value
        return (found if found.tzinfo else found.replace(tzinfo=dt.UTC)).isoformat()
    return _decoded(value) if value[:1] in {"{", "["} else value


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
