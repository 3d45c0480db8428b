"""Rows of artifacts: as they are before the first save, and what is said of their content."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from ledger.errors import ContentUnknownError, printable, washed
from ledger.model.commands import SaveArtifact
from ledger.model.schema import TRASHED


def unknown_content(row: Mapping[str, Any]) -> ContentUnknownError:
    """Return the error for content that was never seen here."""
    key, place = row["key"], row["whereabouts"]
    named = f" ({printable(key)})" if key else ""
    said = f", and is said to lie at {printable(washed(place))}" if place else ""
    way = f" --key {printable(shlex.quote(key))}" if key else ""
    return ContentUnknownError(
        f"content of artifact {row['uid']}{named}: it was never seen here{said}; "
        f"'metaledger artifact add FILE{way}' brings it, as the next version",
        uid=row["uid"],
    )


def with_same_content(row: dict[str, Any]) -> str:
    """Return how an artifact is called that has the content which is asked for."""
    where = " (in the trash: restore() brings it back)" if row["state"] == TRASHED else ""
    return f"artifact {row['uid']} with the same content{where}"


def described(request: SaveArtifact) -> dict[str, Any]:
    """Return the row of an artifact that is not saved yet."""
    content = request.content
    return {
        "key": request.key,
        "version": request.version,
        "revises": request.revises,
        "suffix": content.suffix,
        "size": content.size,
        "n_files": content.n_files,
        "hash": content.hash,
        "hash_type": content.hash_type,
        "digest": content.digest,
        "storage": content.storage,
    }
