"""Where the caches of a ledger lie: the first of these folders that this process may write.

1. `cache/` in the ledger's own folder.
2. A folder of the ledger in the user's cache folder: a user may have the right to read alone.
3. A temporary folder, which ends with the process.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from ledger import files
from ledger.errors import ConfigurationError
from ledger.places.config import FOLDER, Place

_CACHE = "cache"


def cache_folder(place: Place) -> Path:
    """Return the folder of a ledger's caches, which need not be there yet."""
    own = place.folder / _CACHE
    if files.may_make(own):
        return own
    user = user_cache_folder()
    if user is not None:
        beside = user / place.configuration.id / FOLDER / _CACHE
        if files.may_make(beside):
            return beside
    return Path(_passing(os.getpid()).name, place.configuration.id)


def user_cache_folder() -> Path | None:
    """Return the folder for what may be lost of this user; None for a user without a home."""
    named = os.environ.get("XDG_CACHE_HOME")
    try:
        return (Path(named) if named else Path.home() / ".cache") / "metaledger"
    except RuntimeError:
        return None


def required_cache_folder() -> Path:
    """Return the folder for what may be lost of this user.

    Raises:
        ConfigurationError: The user has no home.
    """
    found = user_cache_folder()
    if found is None:
        raise ConfigurationError(
            "this user has no home folder; set XDG_CACHE_HOME to a folder for caches"
        )
    return found


@cache
def _passing(_process: int) -> TemporaryDirectory[str]:
    return TemporaryDirectory(prefix="metaledger-cache-", ignore_cleanup_errors=True)
