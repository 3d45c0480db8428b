"""Opening the store or the folder at a place: a path or a URL."""

from __future__ import annotations

import os

from ledger.content.folder import Folder, LocalFolder, RemoteFolder
from ledger.content.local import LocalStore, path_of
from ledger.content.store import ContentStore, is_local


def open_store(root: str) -> ContentStore:
    """Return the store under `root`: a path, a `file://` URL, or any URL that fsspec knows.

    Nothing is made or reached until its first use.

    Raises:
        InvalidValueError: No file system has this protocol.
        MissingDependencyError: The protocol needs a package that is not installed.
    """
    if is_local(root):
        return LocalStore(root)
    from ledger.content.remote import RemoteStore  # noqa: PLC0415  (loads fsspec)

    return RemoteStore(root)


def open_folder(where: str | os.PathLike[str]) -> Folder:
    """Return the folder at a path, a `file://` URL, or any URL that fsspec knows.

    Nothing is made or reached until its first use.

    Raises:
        InvalidValueError: No file system has this protocol.
        MissingDependencyError: The protocol needs a package that is not installed.
    """
    named = os.fspath(where)
    if not is_local(named):
        return RemoteFolder(named)
    return LocalFolder(path_of(named))
