"""Making a ledger, and taking one away."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

from ledger import config, files
from ledger.canonical import Json
from ledger.config import DATABASE, Configuration, Place
from ledger.database import FORMAT, SqliteDatabase
from ledger.errors import (
    ConfigurationError,
    InvalidValueError,
    LedgerExistsError,
    LedgerNotFoundError,
    StorageNotEmptyError,
)
from ledger.events import Draft, LedgerInitialized
from ledger.ids import command_id, stream_id
from ledger.times import now_micros
from ledger.tracking.actor import current_actor

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def initialize(
    storage: str | os.PathLike[str],
    *,
    database: str | None = None,
    name: str | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Place:
    """Make a ledger in a folder and return its place.

    Args:
        storage: Where content is kept: a folder, made if need be, or a URL that fsspec knows.
        database: Where log and read models are; a SQLite file below `.metaledger/` by default.
        name: What people call it; the last part of the storage by default.
        root: The folder; the working directory by default.

    Raises:
        LedgerExistsError: The folder holds a ledger already.
        InvalidValueError: The name is not made of letters, digits, dots and hyphens.
        ConfigurationError: The database is of a kind that this program does not know.
    """
    folder = Path.cwd() if root is None else Path(root).absolute()
    if (folder / config.FOLDER / config.FILE).exists():
        raise LedgerExistsError(
            f"{folder}: there is a ledger in this folder already; use it ('metaledger info'), or "
            "choose another folder"
        )
    if database is not None:
        raise ConfigurationError(
            f"database '{database.split('://')[0]}://…': this version keeps a ledger in a SQLite "
            "file; leave --db out"
        )
    where: object = os.fspath(storage) if isinstance(storage, os.PathLike) else storage
    if not isinstance(where, str) or not where.strip() or not where.isprintable():
        raise InvalidValueError(f"ledger storage: expected a folder or a URL, got {storage!r}")
    name = _name(where) if name is None else name
    if not _is_name(name):
        raise InvalidValueError(
            f"ledger name {name!r}: expected 1 to 64 letters, digits, dots, hyphens, underscores"
        )
    if "://" not in where:
        files.make_folders((folder / where).absolute())
    configuration = Configuration(id=secrets.token_hex(16), name=name, storage=where)
    files.make_folders(folder / config.FOLDER)
    path = folder / config.FOLDER / DATABASE
    if path.exists():
        raise LedgerExistsError(
            f"{path}: a ledger's database without its configuration; restore "
            f"{config.FOLDER}/{config.FILE}, or move the database away"
        )
    # The configuration comes last: a ledger is there only when it is whole.
    _first_event(SqliteDatabase.create(path, now_micros), configuration)
    files.sync_folder(path.parent)
    return config.write(folder, configuration)


def delete(place: Place, name: str, *, force: bool) -> None:
    """Take a ledger away: its configuration and its database, never its content.

    Args:
        place: The ledger.
        name: Its name, said again so that it is meant.
        force: Whether to take it away although it has events.

    Raises:
        LedgerNotFoundError: It has another name.
        StorageNotEmptyError: Its storage holds content, or it has events and `force` is not set.
    """
    from ledger.content.store import open_store  # noqa: PLC0415

    configuration = place.configuration
    if name not in {configuration.name, configuration.storage}:
        raise LedgerNotFoundError(
            f"ledger '{name}': the ledger in {place.root} is called '{configuration.name}'"
        )
    held = sorted(item.name for item in open_store(place.storage_root).list())
    if held:
        shown = "\n  ".join(held[:20])
        more = f"\n  and {len(held) - 20:,} more" if len(held) > 20 else ""  # noqa: PLR2004 (rows shown)
        raise StorageNotEmptyError(
            f"ledger '{configuration.name}' is kept: its storage {place.storage_root} holds "
            f"{len(held):,} items; delete the artifacts for good with their content, or move it "
            f"away\n  {shown}{more}",
            items=held,
        )
    if not force:
        raise StorageNotEmptyError(
            f"ledger '{configuration.name}' in {place.root}: deleting takes its whole history; "
            "say --force if that is meant"
        )
    database = place.database_path
    files.remove_durably(place.folder / config.FILE)
    for path in (
        database,
        Path(f"{database}-wal"),
        Path(f"{database}-shm"),
        place.folder / "cache",
    ):
        files.remove_durably(path)
    if not any(place.folder.iterdir()):
        place.folder.rmdir()


def _first_event(database: SqliteDatabase, configuration: Configuration) -> None:
    identity: list[Json] = ["initialize", configuration.id]
    event = LedgerInitialized(
        at=now_micros(),
        actor=current_actor(),
        command=identity,
        ledger=configuration.id,
        name=configuration.name,
        format=FORMAT,
        program="metaledger",
    )
    with database.write() as session:
        session.append(command_id(identity), [Draft(stream=stream_id(identity), event=event)])
    database.close()


def _is_name(value: object) -> bool:
    return isinstance(value, str) and _NAME.fullmatch(value) is not None


def _name(storage: str) -> str:
    last = storage.rstrip("/").rsplit("/", 1)[-1]
    cleaned = re.sub(r"[^A-Za-z0-9._-]+", "-", last).strip("-._")
    return cleaned[:64] or "ledger"
