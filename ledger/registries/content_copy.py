"""Verified copies of content, out of the ledger.

A copy appears whole or not at all, and replaces nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from ledger.errors import DamagedContentError, MissingFileError, printable
from ledger.input_files import named_path
from ledger.places.config import outside_of_ledgers
from ledger.registries.artifact import Artifact


def file_name(artifact: Artifact) -> str:
    """Return a file name for the content: the last part of its key, else its uid."""
    keys = artifact.keys
    key = keys[-1] if keys else artifact.key
    return str(key).rsplit("/", 1)[-1] if key else f"{artifact.uid}{artifact.suffix or ''}"


def copy_content(artifact: Artifact, destination: str | os.PathLike[str] = ".") -> Path:
    """Copy the content of an artifact to a path, verified, and return the path.

    Args:
        artifact: A saved artifact, of a file or a folder.
        destination: Path of the copy, or an existing folder, in which it gets its own file name.

    Raises:
        PathTakenError: The path is taken; it stays untouched.
        MissingFileError: The folder above does not exist.
        RecordErasedError: The artifact was erased.
        DamagedContentError: The content is missing or has changed.
        StorageError: The store or the disk refused.
    """
    target = named_path(destination)
    outside_of_ledgers(target)
    if target.is_dir():
        target /= file_name(artifact)
    if not target.parent.is_dir():
        raise MissingFileError(
            f"{printable(target.parent)}: no such folder to copy to; make it first",
            path=printable(target.parent),
        )
    try:
        artifact._located().fetch(target)
    except DamagedContentError as error:
        raise DamagedContentError(
            f"content of artifact {artifact.uid}: {error}", uid=artifact.uid
        ) from error
    return target
