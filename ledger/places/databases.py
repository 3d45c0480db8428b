"""The database of a ledger: a SQLite file beside its configuration, or a schema on a server."""

from __future__ import annotations

import re

from ledger.engine.database import Database
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import ConfigurationError
from ledger.eventlog.database_url import DatabaseUrl, is_database_url, parse
from ledger.model.times import now_micros
from ledger.places.config import DATABASE, Configuration, Place

# From a URL without secrets, as a place has it, to the URL with the secrets that were given.
_remembered: dict[DatabaseUrl, DatabaseUrl] = {}

_MOST_OF_A_NAME = 40  # most characters of a ledger's name in the name of its schema


def is_on_server(place: Place) -> bool:
    """Return whether a ledger's log and read models are on a server."""
    return is_database_url(place.configuration.database)


def open_database(place: Place) -> Database:
    """Return the database of a ledger; nothing is opened yet.

    Raises:
        ConfigurationError: The configuration names a database of an unknown kind.
    """
    named = place.configuration.database
    if is_database_url(named):
        url = parse(named)
        return database_at(_remembered.get(url, url))
    if "://" in named:
        raise _unknown(named)
    return SqliteDatabase(place.database_path, now_micros)


def database_at(url: DatabaseUrl) -> Database:
    """Return the database in a schema of a server; nothing is opened yet."""
    from ledger.engine.postgres_database import PostgresDatabase  # noqa: PLC0415 (only for a server)

    return PostgresDatabase(url)


def remember(url: DatabaseUrl) -> None:
    """Use the secrets of a URL whenever this process opens that database."""
    _remembered[url] = url


def name_of(place: Place) -> str:
    """Return the name of a ledger's database in messages: its path, or its URL without secrets."""
    return place.configuration.database if is_on_server(place) else str(place.database_path)


def schema_of(place: Place) -> str | None:
    """Return the schema of a ledger on a server; None if its database is a file."""
    return parse(place.configuration.database).schema if is_on_server(place) else None


def size_of(place: Place, database: Database) -> int:
    """Return the bytes of a ledger's database, its write-ahead log included."""
    if is_on_server(place):
        return database.size()  # type: ignore[attr-defined, no-any-return]
    path = place.database_path
    files = (path, path.with_name(f"{path.name}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())


def requested(database: str | None, *, name: str, ledger: str) -> tuple[DatabaseUrl | None, str]:
    """Return the URL of a new ledger's database, and its text for the configuration.

    Args:
        database: The URL that the user asked for; None for a SQLite file.
        name: Name of the ledger; the schema gets its name from it unless the URL names a schema.
        ledger: Id of the ledger.

    Raises:
        ConfigurationError: The text is no URL of a database of a known kind.
    """
    if database is None:
        return None, DATABASE
    if not is_database_url(database):
        raise _unknown(database)
    url = parse(database)
    if url.schema is None:
        words = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:_MOST_OF_A_NAME]
        # Many ledgers of one name may share a database, as many storages are called "storage".
        url = url.in_schema(f"{words if words[:1].isalpha() else 'ledger_' + words}_{ledger[:6]}")
    return url, str(url)


def create_on_server(url: DatabaseUrl) -> Database:
    """Make the schema of a new ledger on a server and return it.

    Raises:
        LedgerExistsError: The schema exists already.
        StorageError: The server cannot be reached, or refused.
    """
    from ledger.engine.postgres_database import PostgresDatabase  # noqa: PLC0415

    return PostgresDatabase.create(url)


def drop_from_server(configuration: Configuration) -> None:
    """Remove a ledger's schema with all its contents.

    Raises:
        StorageError: The server cannot be reached, or the user does not own the schema.
    """
    from ledger.engine.postgres_database import PostgresDatabase  # noqa: PLC0415

    PostgresDatabase(parse(configuration.database)).drop()


def _unknown(database: str) -> ConfigurationError:
    kind = database.partition("://")[0] if "://" in database else "…"
    return ConfigurationError(
        f"database '{kind}://…': expected postgresql://…, or nothing for a SQLite file"
    )
