"""The existing record that a constructor asks for, recalled or found.

1. If the current run recorded this same save before, that record is returned without a message.
2. Else a record is looked for. If one is found, the mode decides: return it with a message, refuse,
   or make a further one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ledger.decisions.artifacts import exists_error
from ledger.decisions.facts import Facts, Notice, Row
from ledger.display.messages import tell
from ledger.model.commands import Mode, SaveArtifact, SaveCollection, SaveTransform
from ledger.places.source import row_of
from ledger.registries.base import Record
from ledger.user_settings import check_mode, settings

C = TypeVar("C", bound=SaveArtifact | SaveCollection | SaveTransform)


def mode_of(if_hash_exists: str | None) -> Mode:
    """Return the mode for content that is registered already: the given one, else the setting."""
    if if_hash_exists is None:
        return settings.creation.artifact_if_hash_exists
    return check_mode("if_hash_exists", if_hash_exists)


def requested(
    record: Record,
    command: C,
    find: Callable[[Facts, C], Row | None],
    *,
    existing: Callable[[Row], str],
    another: Callable[[Row], str] | None = None,
) -> Row | None:
    """Return the row of the record that a command asks for; None if it will be a new one.

    Args:
        record: The record under construction.
        command: The command of its `save()`; without a mode the existing record is returned.
        find: Looks for the record.
        existing: Makes the message that the found record is returned.
        another: Makes the message that a further record is made beside the found one.

    Raises:
        ContentExistsError: A record is found, and the mode is "error".
    """
    source, registry = record._source, record.registry
    mode = "warn_return_existing" if isinstance(command, SaveTransform) else command.mode
    # Only a mode that returns the existing record may reuse the result of another save.
    recalled = source.ledger.handler.recall(
        command.kind, command.subject, exactly=mode != "warn_return_existing"
    )
    if recalled is not None:
        return row_of(source, registry, recalled)
    found = source.ask(lambda models: find(models, command))
    if found is None:
        return None
    if mode == "error" and not isinstance(command, SaveTransform):
        raise exists_error(command, found)
    if mode == "warn_create_new" and another is not None:
        tell([Notice("warning", f"{another(found)}: creating a new one")])
        return None
    tell([Notice("info", f"returning the existing {existing(found)}")])
    return row_of(source, registry, found["uid"])
