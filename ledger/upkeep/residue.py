"""What stays of an event when a record is erased: its place, its links, and nothing that it said.

1. A residue is an event of the same type that folds into rows of the same validity.
2. Every text that the record bore is replaced by one that tells its uid, so that two erased
   records do not bear one name; numbers become 0, structures become empty; who, when, which run
   and which other records stay.
3. The natural key and the identity of the command are replaced by what is computed of them: their
   id, and the keys of the intent. A replay of the script still meets the record.
4. An event that names other records and nothing else has no residue: it stays as it is.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from ledger.model.canonical import Json
from ledger.model.events import (
    ArtifactKeyed,
    ArtifactRegistered,
    BlobRecorded,
    LedgerEvent,
    RecordedEvent,
)
from ledger.model.ids import derive
from ledger.model.schema import REGISTRIES, FieldSpec, erased_text
from projections.fold import intents_of, registry_of

ERASED_COMMAND: list[Json] = ["erased"]

_T = TypeVar("_T")

# Commands that name records and say nothing else, by the kind that stands in their identity.
_BARE = frozenset(
    {
        "trash", "restore", "withdraw", "link", "unlink", "read", "unmerge",
        "resume", "finish", "abandon", "fork-input", "fork-remade", "blob",
    }
)  # fmt: skip


def residue_of(recorded: RecordedEvent, uid: str, *, displaced: int | None = None) -> LedgerEvent:
    """Return what stays of an event of a record; the event itself where it holds nothing else.

    Args:
        recorded: An event that is not erased, in the record's own stream, or a blob only it names.
        uid: Uid of the record.
        displaced: For an event that gave the record a key: from which position on that key had
            led to another one.
    """
    event = recorded.event
    mark = erased_text(uid)
    if isinstance(event, BlobRecorded):
        return msgspec.structs.replace(event, text=mark)
    registry = REGISTRIES[registry_of(event)]
    values: dict[str, Any] = {}
    for name in event.__struct_fields__:
        value = getattr(event, name)
        if name == "fields":
            values[name] = {
                key: _replaced(registry.field(key), each, mark) for key, each in value.items()
            }
        elif name == "natural":
            values[name] = ["erased", derive(value)]
        elif name == "reason":
            values[name] = None if value is None else mark
        elif (spec := _own_field(event, name)) is not None:
            values[name] = _replaced(spec, value, mark)
    says_more = any(getattr(event, name) != value for name, value in values.items())
    if not says_more and _is_bare(event.command):
        return event
    if isinstance(event, ArtifactRegistered | ArtifactKeyed):
        values["displaced"] = displaced
    return msgspec.structs.replace(
        event, **values, command=ERASED_COMMAND, noted=tuple(intents_of(recorded))
    )


def _own_field(event: LedgerEvent, name: str) -> FieldSpec | None:
    # `run` and the like are relations; `at` and `actor` are no fields of a record.
    registry = REGISTRIES[registry_of(event)]
    return next((spec for spec in registry.fields if spec.name == name), None)


def _replaced(spec: FieldSpec | None, value: _T, mark: str) -> Any:
    if spec is not None and spec.is_kept:
        return value
    match value:
        case None | bool():
            return value
        case str():
            return mark
        case int():
            return 0
        case list() | tuple():
            return []
        case _:
            return {}


def _is_bare(command: list[Any]) -> bool:
    kind = command[2] if command[0] == "intent" else command[0]
    return kind in _BARE


__all__ = ["ERASED_COMMAND", "erased_text", "residue_of"]
