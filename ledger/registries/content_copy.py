"""Content out of the ledger: a copy that was compared with what the ledger states.

The copy appears whole or not at all, and never in the place of something else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from ledger import files
from ledger.content import tree
from ledger.content.hashing import folder_digest
from ledger.content.store import name_in_store
from ledger.errors import DamagedContentError, MissingFileError, printable
from ledger.input_files import open_regular
from ledger.places.instance import Ledger
from ledger.registries.artifact import Artifact


def file_name(artifact: Artifact) -> str:
    """Return what the content would be called as a file: the end of its key, else its uid."""
    keys = artifact.keys
    key = keys[-1] if keys else artifact.key
    return str(key).rsplit("/", 1)[-1] if key else f"{artifact.uid}{artifact.suffix or ''}"


def copy_content(
    ledger: Ledger, artifact: Artifact, destination: str | os.PathLike[str] = "."
) -> Path:
    """Copy the content of an artifact to a path, verified, and return the path.

    Args:
        ledger: The ledger that holds it.
        artifact: A saved artifact, of a file or a folder.
        destination: Where to; in a folder that exists, it gets its own file name.

    Raises:
        PathTakenError: Something is there already; it is untouched.
        MissingFileError: The folder above does not exist.
        DamagedContentError: The content is missing, or is not what was registered.
        StorageError: The store or the disk refused.
    """
    target = Path(destination).expanduser().absolute()
    if target.is_dir():
        target /= file_name(artifact)
    if not target.parent.is_dir():
        raise MissingFileError(
            f"{printable(target.parent)}: no such folder to copy to; make it first",
            path=printable(target.parent),
        )
    digest, place = str(artifact.digest), artifact.path
    if not artifact.in_place:
        store = ledger.store(artifact.storage)
        store.fetch(name_in_store(str(artifact.storage_key)), target, digest)
        return target
    if isinstance(place, str):
        from ledger.content.content_at_url import ContentAtUrl  # noqa: PLC0415 (only where it is)

        ContentAtUrl(place).fetch(target, digest)
        return target
    source = place
    if not source.exists():
        raise _differs(artifact, source, "nothing")
    if artifact.n_files is None:
        files.copy_file(
            source,
            target,
            accept=lambda copied: _compare(artifact, source, copied.digest),
        )
        return target

    def accept(copied: Sequence[files.Copied]) -> None:
        _compare(artifact, source, folder_digest(copied))

    members = [
        files.Member(file.name, partial(open_regular, file.path)) for file in tree.walk(source)
    ]
    files.copy_tree(members, target, accept=accept)
    return target


def _compare(artifact: Artifact, source: Path, found: str) -> None:
    if found != artifact.digest:
        raise _differs(artifact, source, found)


def _differs(artifact: Artifact, source: Path, found: str) -> DamagedContentError:
    return DamagedContentError(
        f"content of artifact {artifact.uid} at {printable(source)}: expected {artifact.digest}, "
        f"found {found}; restore it from a backup",
        uid=artifact.uid,
    )
