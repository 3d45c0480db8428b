"""Making and deleting a ledger."""

from __future__ import annotations

import os
import re
import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger import files
from ledger.display.messages import say
from ledger.engine.database import FORMAT, Database
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    ConfigurationError,
    InvalidValueError,
    LedgerError,
    LedgerExistsError,
    LedgerNotFoundError,
    PathTakenError,
    StorageNotEmptyError,
)
from ledger.input_files import absolute, read_small, working_folder
from ledger.model.canonical import Json
from ledger.model.events import Draft, LedgerInitialized
from ledger.model.ids import command_id, stream_id
from ledger.model.times import UNSAID, now_micros
from ledger.places import config
from ledger.places.actor import current_actor
from ledger.places.config import DATABASE, Configuration, Place
from ledger.places.databases import (
    create_on_server,
    drop_from_server,
    is_on_server,
    open_database,
    requested,
)
from ledger.places.discovery import VARIABLE, locate
from ledger.places.marks import Marks

_MOST_IGNORED = 1 << 20  # bytes of a `.gitignore`
_OF_LEDGER = f"*\n!/{config.IGNORED}\n!/{config.FILE}\n"
_OF_STORAGE = "*\n"
_STORAGE = f"./{config.FOLDER}/storage"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def initialize(
    storage: str | os.PathLike[str] | None = None,
    *,
    database: str | None = None,
    name: str | None = None,
    publish: str | None = None,
    root: str | os.PathLike[str] | None = None,
) -> Place:
    """Make a ledger in a folder and return its place.

    Args:
        storage: Folder for content, made if need be, or a URL that fsspec knows; by default
            `.metaledger/storage`.
        database: `postgresql://…` for a schema on a server; by default a SQLite file below
            `.metaledger/`. A password in it is used now and not stored.
        name: Name for people; by default the last part of the storage, or of the folder where no
            storage is named.
        publish: Folder, or URL that fsspec knows, for published checkpoints.
        root: Folder of the ledger; by default the working directory.

    Raises:
        LedgerExistsError: The folder holds a ledger already.
        InvalidValueError: The name holds other characters than letters, digits, dots and hyphens.
        ConfigurationError: The database is of an unknown kind.
        MissingDependencyError: The storage needs a package that is not installed.
        StorageError: The server or the storage cannot be reached, or refused.
    """
    folder = working_folder() if root is None else absolute(root)
    if (folder / config.FOLDER / config.FILE).exists():
        raise LedgerExistsError(
            f"{folder}: there is a ledger in this folder already; use it ('metaledger info'), or "
            "choose another folder"
        )
    if storage is None:
        storage = _STORAGE
        name = _name(str(folder)) if name is None else name
    where: object = os.fspath(storage) if isinstance(storage, os.PathLike) else storage
    if not isinstance(where, str) or not where.strip() or not where.isprintable():
        raise InvalidValueError(f"ledger storage: expected a folder or a URL, got {storage!r}")
    name = _name(where) if name is None else name
    if not _is_name(name):
        raise InvalidValueError(
            f"ledger name {name!r}: expected 1 to 64 letters, digits, dots, hyphens, underscores"
        )
    require_publishable(publish)
    ledger = secrets.token_hex(16)
    url, named = requested(database, name=name, ledger=ledger)
    _tell_of_others(folder)
    configuration = Configuration(
        id=ledger, name=name, storage=where, database=named, publish=publish
    )
    if "://" in where:
        _reach(where)
    else:
        files.make_folders((folder / where).absolute())
    files.make_folders(folder / config.FOLDER)
    _hide_from_git(folder, where)
    if url is not None:
        _first_event(create_on_server(url), configuration)
        return config.write(folder, configuration)
    path = folder / config.FOLDER / DATABASE
    if path.exists():
        raise _database_alone(path)
    # The database is made aside and gets its name when it is whole; if several processes do so at
    # once, one wins. The configuration comes last: with it, the folder is a ledger.
    with TemporaryDirectory(dir=path.parent, prefix=".new-", ignore_cleanup_errors=True) as aside:
        made = Path(aside, DATABASE)
        _first_event(SqliteDatabase.create(made, now_micros), configuration)
        try:
            files.give_name(made, path)
        except PathTakenError as error:
            raise _database_alone(path) from error
    return config.write(folder, configuration)


def _tell_of_others(folder: Path) -> None:
    """Say which ledger would be found here until now, and whether it still is."""
    named = os.environ.get(VARIABLE)
    if named:
        if named.removeprefix("file://") != str(folder):
            say("warning", f"variable {VARIABLE} names the ledger to use, whatever is made here")
        return
    with suppress(LedgerError):
        outer = locate(start=folder)
        say(
            "info",
            f"this ledger lies inside ledger '{outer.configuration.name}' ({outer.root}): in "
            f"{folder} and below, the new one is used from now on",
        )


def _hide_from_git(folder: Path, storage: str) -> None:
    """Have git ignore database, caches and stored content, now or when a repository is made here.

    Files of this program's own say so, beside what they hide: no file of the user is changed. The
    configuration stays visible, and so do files of the user that lie in the storage.
    """
    _write_once(folder / config.FOLDER / config.IGNORED, _OF_LEDGER)
    if "://" in storage:
        return
    beside = (folder / storage).resolve()
    if beside != folder.resolve() and (folder / config.FOLDER).resolve() not in beside.parents:
        files.make_folders(beside / config.FOLDER)
        _write_once(beside / config.FOLDER / config.IGNORED, _OF_STORAGE)


def _write_once(path: Path, text: str) -> None:
    with suppress(PathTakenError):  # it is the user's then
        files.write_durably(path, text.encode(), replace=False)


def _withdraw_ignored(place: Place) -> None:
    """Remove what `_hide_from_git` wrote, unless somebody wrote something else there."""
    beside = Path(place.storage_root, config.FOLDER, config.IGNORED)
    for path, text in ((place.folder / config.IGNORED, _OF_LEDGER), (beside, _OF_STORAGE)):
        with suppress(LedgerError):
            if read_small(path, most=_MOST_IGNORED) == text.encode():
                files.remove_durably(path)
                with suppress(OSError):  # it is not empty
                    path.parent.rmdir()


def _reach(storage: str) -> None:
    """Look once into a storage elsewhere: a wrong name is reported now, before the first save."""
    from ledger.content.backends import open_store  # noqa: PLC0415

    next(iter(open_store(storage).list()), None)


def require_publishable(where: str | None) -> None:
    """Look once at the place for published checkpoints.

    Raises:
        InvalidValueError: The place is neither a folder nor a URL.
        StorageError: The place cannot be reached.
    """
    if where is None:
        return
    if not where.strip() or not where.isprintable():
        raise InvalidValueError(f"publish: expected a folder or a URL, got {where!r}")
    if "://" in where:
        from ledger.content.backends import open_folder  # noqa: PLC0415

        open_folder(where).names()


def delete(place: Place, name: str, *, force: bool) -> None:
    """Delete the configuration and the database of a ledger, never its content.

    Args:
        place: The ledger.
        name: Its name once more, as a safeguard.
        force: Whether to delete it although it has events.

    Raises:
        ConfigurationError: A URL names it, and its configuration is elsewhere.
        LedgerNotFoundError: It has another name.
        StorageNotEmptyError: Its storage holds content, or it has events and `force` is not set.
    """
    from ledger.content.backends import open_store  # noqa: PLC0415

    configuration = place.configuration
    if not (place.folder / config.FILE).exists():
        # Only its configuration names the storage, so its content cannot be checked here.
        raise ConfigurationError(
            f"ledger '{configuration.name}' ({place.origin}): its configuration is not here; "
            "delete it from the folder that has it"
        )
    if name not in {configuration.name, configuration.storage}:
        raise LedgerNotFoundError(
            f"ledger '{name}': the ledger in {place.root} is called '{configuration.name}'"
        )
    # Ledger and storage may share a folder; the ledger's own files in it are no content.
    named = configuration.database
    own = {config.FILE, config.IGNORED, named, f"{named}-wal", f"{named}-shm", "cache"}
    is_shared = place.storage_root == str(place.root.resolve())
    listed = open_store(place.storage_root).list()
    held = sorted(item.name for item in listed if not (is_shared and item.name in own))
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
    _withdraw_marks(place)
    if is_on_server(place):
        drop_from_server(configuration)
    files.remove_durably(place.folder / config.FILE)
    for ending in ("", "-wal", "-shm") if not is_on_server(place) else ():
        files.remove_durably(place.folder / f"{named}{ending}")
    files.remove_durably(place.folder / "cache")
    _withdraw_ignored(place)
    own_storage = absolute(place.root / _STORAGE)
    for empty in (own_storage / config.FOLDER, own_storage, place.folder):
        with suppress(OSError):  # it is not there, or not empty
            empty.rmdir()


def _withdraw_marks(place: Place) -> None:
    """Take the marks of a ledger out of its storage, if its database tells which they are."""
    database = open_database(place)
    try:
        with suppress(LedgerError):
            Marks(database, ledger=place.configuration.id, shown="").withdraw(place.storage_root)
    finally:
        database.close()


def _database_alone(path: Path) -> LedgerExistsError:
    return LedgerExistsError(
        f"{path}: a ledger's database without its configuration; if nobody is making the ledger at "
        f"this moment, restore {config.FOLDER}/{config.FILE}, or move the database away"
    )


def _first_event(database: Database, configuration: Configuration) -> None:
    identity: list[Json] = ["initialize", configuration.id]
    event = LedgerInitialized(
        at=UNSAID,
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
