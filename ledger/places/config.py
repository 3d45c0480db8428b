"""The configuration file of a ledger: `.metaledger/config.toml`.

It holds no secret. Paths in it are relative to the folder that holds `.metaledger/`.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from ledger import files
from ledger.errors import (
    ConfigurationError,
    LedgerError,
    LedgerExistsError,
    MissingFileError,
    PathTakenError,
    StorageError,
    printable,
)
from ledger.eventlog.database_url import is_database_url
from ledger.input_files import read_small

FOLDER = ".metaledger"
FILE = "config.toml"
DATABASE = "ledger.db"
IGNORED = ".gitignore"
MOST = 1 << 20  # bytes of a configuration
# The command that gets every checkpoint; a variable, as a secret in it belongs in no file.
PUBLISH_VARIABLE = "METALEDGER_PUBLISH_COMMAND"


class Configuration(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The contents of a ledger's configuration file.

    Attributes:
        id: Random name of the ledger, given once; also in its first event.
        name: Name for people.
        storage: Folder, or URL that fsspec knows, for content.
        database: Log and read models: a file below `.metaledger/`, or the URL of a schema.
        publish: Folder, or URL that fsspec knows, for published checkpoints.
    """

    id: str
    name: str
    storage: str
    database: str = DATABASE
    publish: str | None = None


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger that was found: its folder, its configuration, and the reason for choosing it.

    A ledger joined by the URL of a server has a folder of this computer. The folder of its real
    configuration, to which relative storages belong, is elsewhere.
    """

    root: Path
    configuration: Configuration
    origin: str
    is_joined: bool = False

    @property
    def folder(self) -> Path:
        """The folder `.metaledger/`."""
        return self.root / FOLDER

    @property
    def database_path(self) -> Path:
        """Path of the SQLite file."""
        return self.folder / self.configuration.database

    @property
    def storage_root(self) -> str:
        """Root of the default storage: an absolute path or a URL."""
        return self.resolved(self.configuration.storage)

    def resolved(self, storage: str) -> str:
        """Return a storage root as this computer reaches it; see `resolved()`."""
        return resolved(storage, None if self.is_joined else self.root)


def resolved(storage: str, folder: Path | None) -> str:
    """Return a storage root as this computer reaches it: an absolute path or a URL.

    Events name a storage as the configuration does: a ledger that is moved together with its
    storage still finds its content.

    Args:
        storage: The storage as an event or the configuration names it.
        folder: The ledger's folder, in which a relative path begins; None if it is elsewhere.

    Raises:
        ConfigurationError: The path is relative and the ledger's folder is elsewhere.
    """
    if "://" in storage:
        return storage
    if folder is None and not Path(storage).is_absolute():
        raise ConfigurationError(
            f"storage '{storage}': lies beside a configuration that is not here; work in the "
            "folder of that configuration",
            storage=storage,
        )
    return str(((folder or Path()) / storage).resolve())


def load(root: Path, *, origin: str) -> Place:
    """Return the ledger in a folder.

    Raises:
        MissingFileError: The folder has no configuration file.
        ConfigurationError: The file is not a configuration.
    """
    path = root / FOLDER / FILE
    import tomllib  # noqa: PLC0415 (needed once, to open a ledger)

    try:
        data = tomllib.loads(read_small(path, most=MOST).decode())
        configuration = msgspec.convert(data.get("ledger", {}), Configuration)
    except MissingFileError as error:
        raise MissingFileError(f"{path}: no such configuration file") from error
    # Errors of TOML, of msgspec, of huge numbers and of bytes that are no text are ValueErrors.
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"configuration {path}: {error}; mend or restore it") from error
    except LedgerError as error:
        raise ConfigurationError(f"configuration {path}: cannot be read: {error}") from error
    named = configuration.database
    # A configuration from elsewhere must not lead to a file outside its own folder.
    is_plain = named == Path(named).name and named not in {"", ".", ".."} and "\0" not in named
    if not is_plain and "://" not in named and not is_database_url(named):
        raise ConfigurationError(
            f"configuration {path}: expected the name of a file in {FOLDER}/ or a URL as database, "
            f"got {named!r}"
        )
    return Place(root=root, configuration=configuration, origin=origin)


def write(root: Path, configuration: Configuration) -> Place:
    """Write the configuration file of a new ledger, durably, and return the ledger.

    Raises:
        LedgerExistsError: There is a ledger in this folder already.
    """
    path = root / FOLDER / FILE
    if path.exists():
        raise _exists(path)
    files.make_folders(path.parent)
    try:
        files.write_durably(path, _text(configuration), replace=False)
    except PathTakenError as error:
        raise _exists(path) from error
    return Place(root=root, configuration=configuration, origin="new")


def change(place: Place, **settings: str | None) -> Place:
    """Write the configuration file with other settings, durably, and return the ledger."""
    changed = msgspec.structs.replace(place.configuration, **settings)
    files.write_durably(place.folder / FILE, _text(changed))
    return msgspec.structs.replace(place, configuration=changed)


def _text(configuration: Configuration) -> bytes:
    values = msgspec.to_builtins(configuration)
    lines = [f"{name} = {_toml(value)}" for name, value in values.items() if value is not None]
    text = "# A metaledger; see docs/format.md. It holds no secrets.\n[ledger]\n"
    return (text + "\n".join(lines) + "\n").encode()


def _exists(path: Path) -> LedgerExistsError:
    return LedgerExistsError(
        f"{path}: there is a ledger in this folder already; use it, or choose another folder"
    )


def _toml(value: str) -> str:
    # A JSON string is a TOML basic string, but TOML demands that DEL is escaped.
    return msgspec.json.encode(value).decode().replace("\x7f", "\\u007f")


def outside_of_ledgers(path: str | os.PathLike[str]) -> Path:
    """Return the absolute path at which a file may be written; links in it are followed.

    Raises:
        PathTakenError: It is inside the folder of a ledger, where only the program's own files are.
    """
    try:
        found = Path(path).expanduser().resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise StorageError(f"{printable(path)}: cannot be written ({error})") from error
    if FOLDER in map(str.lower, found.parts):
        shown = printable(found)
        raise PathTakenError(
            f"{shown}: inside {FOLDER}, where only the ledger's own files are; choose another path",
            path=shown,
        )
    return found
