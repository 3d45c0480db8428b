"""Which store, or folder, a place takes: here or at a URL."""

from __future__ import annotations

import os

from ledger.content.folder import Folder, LocalFolder, RemoteFolder
from ledger.content.local import path_of
from ledger.content.store import ContentStore, is_local


def open_store(root: str) -> ContentStore:
    """Return the store under `root`: a path, a `file://` URL, or any URL that fsspec knows.

    Nothing is made or reached before it is needed.

    Raises:
        InvalidValueError: No file system answers to this protocol.
        MissingDependencyError: The protocol needs a package that is not installed.
    """
    if is_local(root):
        from ledger.content.local import LocalStore  # noqa: PLC0415  (it imports this module)

        return LocalStore(root)
    from ledger.content.remote import RemoteStore  # noqa: PLC0415  (fsspec only where needed)

    return RemoteStore(root)


def open_folder(where: str | os.PathLike[str]) -> Folder:
    """Return the folder at a path, a `file://` URL, or any URL that fsspec knows.

    Nothing is made or reached before it is needed.

    Raises:
        InvalidValueError: No file system answers to this protocol.
        MissingDependencyError: The protocol needs a package that is not installed.
    """
    named = os.fspath(where)
    if not is_local(named):
        return RemoteFolder(named)
    return LocalFolder(path_of(named))
