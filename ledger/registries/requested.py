"""The record that a constructor asks for, where there is one: recalled, or looked for and told of.

1. What the run in hand recorded of this very save comes first; nothing is told of it.
2. Else a record is looked for, and the mode says what happens where one is found: it is returned
   and told of, it is refused, or a further one is made.
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
    """Return what to do where the content is registered: what was asked for, else what is set."""
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
    """Return the row of the record that a command asks for; None where it will be a new one.

    Args:
        record: What is constructed.
        command: What `save()` will ask for; without a mode the existing record is returned.
        find: Looks for the record.
        existing: Says that the found record is returned.
        another: Says that there is one and that a further one is made.

    Raises:
        ContentExistsError: There is one, and the mode is "error".
    """
    source, registry = record._source, record.registry
    mode = "warn_return_existing" if isinstance(command, SaveTransform) else command.mode
    # Only a mode that returns the existing one may go on with what an earlier save ended at.
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
