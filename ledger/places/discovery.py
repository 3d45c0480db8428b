"""Finding the ledger, as git finds a repository.

The first of these that applies decides:

1. The argument of `ln.connect(place)`: a folder, or the URL of a schema on a server.
2. The variable `METALEDGER_URL`, with the same values.
3. The nearest folder, upward from the working directory, whose `.metaledger/` holds a
   configuration file.
4. There is no ledger, and the error names `metaledger init`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from ledger.errors import ConfigurationError, InvalidValueError, LedgerNotFoundError
from ledger.eventlog.database_url import is_database_url
from ledger.input_files import absolute, is_file_url, path_of_url, working_folder
from ledger.places.config import FILE, FOLDER, Place, load

VARIABLE = "METALEDGER_URL"


def locate(place: str | os.PathLike[str] | None = None, *, start: Path | None = None) -> Place:
    """Return the ledger that this process should use.

    Args:
        place: Folder of a ledger, its `file://` URL, or `postgresql://…?schema=…`; None to find it.
        start: Folder from which to look upward; the working directory by default.

    Raises:
        LedgerNotFoundError: There is none.
        InvalidValueError: `place` is neither path nor text.
        ConfigurationError: Its configuration cannot be read, or a server's log is not enough.
        StorageError: The server cannot be reached.
    """
    if place is not None:
        text: object = os.fspath(place) if isinstance(place, os.PathLike) else place
        if not isinstance(text, str) or not text.strip() or "\0" in text:
            raise InvalidValueError(f"connect: expected the folder of a ledger, got {place!r}")
        return _named(text, origin="connect()")
    named = os.environ.get(VARIABLE)
    if named:
        return _named(named, origin=f"variable {VARIABLE}")
    start = working_folder() if start is None else start
    for folder in (start, *start.parents):
        # A folder above that lets nobody look through it holds no ledger of this user.
        with suppress(PermissionError):
            if _is_ledger(folder):
                return load(folder, origin=f"found from {start}")
    raise LedgerNotFoundError(
        f"{start}: not inside a ledger, nor is any folder above it; "
        "make one with 'metaledger init'",
        start=str(start),
    )


def _named(place: str, *, origin: str) -> Place:
    if is_file_url(place):
        place = str(path_of_url(place))
    elif is_database_url(place):
        from ledger.places.server_ledger import joined  # noqa: PLC0415 (only for a server)

        return joined(place, origin=origin)
    elif "://" in place:
        raise ConfigurationError(
            f"ledger {place.split('://')[0]}://…: expected a folder, a file:// URL, or "
            "postgresql://…?schema=…"
        )
    try:
        root = absolute(Path(place).expanduser())
        if root.name == FOLDER:
            root = root.parent
        is_there = _is_ledger(root)
    except (OSError, RuntimeError, ValueError) as error:
        # A name that is too long, a folder without permission, or `~` of an unknown user.
        raise LedgerNotFoundError(
            f"{place}: there is no ledger in this folder ({origin}): {error}", start=place
        ) from error
    if not is_there:
        raise LedgerNotFoundError(
            f"{root}: there is no ledger in this folder ({origin}); "
            "make one with 'metaledger init'",
            start=str(root),
        )
    return load(root, origin=origin)


def _is_ledger(root: Path) -> bool:
    """Return whether a folder is that of a ledger.

    Raises:
        ConfigurationError: It is one of another user, who lets nobody look.
    """
    path = root / FOLDER / FILE
    try:
        return path.is_file()
    except PermissionError as error:
        if not os.path.lexists(root / FOLDER):
            raise
        raise ConfigurationError(
            f"ledger in {root}: this user may not look into {root / FOLDER}; ask its owner for the "
            "right to read it, or name another ledger",
            root=str(root),
        ) from error
