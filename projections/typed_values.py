"""The rows of typed values, of the registries that a ledger defines, and of their records.

1. Values carry their kind, so that no schema is needed here: see `ledger.model.values`.
2. A reference is a link `<registry>.<field>`, every other value a row of the table `value`.
3. A value that is set ends all rows of its field before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ledger.model.canonical import encode
from ledger.model.events import (
    DefinedField,
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    RecordChanged,
    RecordCreated,
    RecordedEvent,
    RegistryDefined,
    ValuesSet,
)
from ledger.model.values import as_items, columns_of, reference
from projections.row_changes import Amended, Change, Closed, Opened, link


def defined(
    recorded: RecordedEvent, event: RegistryDefined | FieldAdded | FieldChanged | FieldRetyped
) -> list[Change]:
    """Return the rows of a definition."""
    values: dict[str, Any]
    match event:
        case RegistryDefined():
            values = {
                "name": event.name,
                "uid": event.uid,
                "stream": recorded.stream,
                "title": event.title,
                "key": encode(event.key).decode(),
                "description": event.description,
                "created_position": recorded.position,
                "created_at": event.at,
                "created_by": event.actor,
                "changed_at": event.at,
            }
            return [
                Opened("registry", values),
                *(
                    _field(event.name, field, place * 1_000)
                    for place, field in enumerate(event.fields, start=1)
                ),
            ]
        case FieldAdded():
            return [_stamped(event.of, event.at), _field(event.of, event.field, recorded.position)]
        case FieldChanged():
            values = {
                name: encode(value).decode() if name in {"bounds", "default"} else value
                for name, value in event.changes.items()
            }
            if "default" in values:
                values["initial"] = values.pop("default")
            if "name" in values:
                values["shown"] = values.pop("name")
                values["former"] = encode(event.changes.get("former", [event.was])).decode()
        case FieldRetyped():
            values = {"type": event.becomes, "types": encode([event.was]).decode()}
    key = {"registry": event.of, "name": event.field}
    return [_stamped(event.of, event.at), Amended("field", key, values)]


def _stamped(registry: str, at: int) -> Amended:
    return Amended("registry", {"name": registry}, {"changed_at": at})


def _field(registry: str, field: DefinedField, ordinal: int) -> Opened:
    return Opened(
        "field",
        {
            "registry": registry,
            "name": field.name,
            "uid": field.uid,
            "shown": field.name,
            "former": "[]",
            "type": field.type,
            "types": "[]",
            "unit": field.unit,
            "bounds": encode(field.bounds).decode(),
            "initial": encode(field.default).decode(),
            "is_required": field.is_required,
            "is_retired": False,
            "description": field.description,
            "ordinal": ordinal,
        },
    )


def record_values(event: RecordCreated | RecordChanged) -> Iterator[Change]:
    """Yield the changes of the values of a record of a registry that the ledger defines."""
    is_new = isinstance(event, RecordCreated)
    for name, value in event.fields.items():
        if name != "name":
            field = f"{event.registry}.{name}"
            yield from _set(field, event.uid, value, event.run, is_new=is_new)


def feature_values(event: ValuesSet) -> Iterator[Change]:
    """Yield the changes of the features of a record."""
    for name, value in event.values.items():
        field = f"{event.registry}.features.{name}"
        yield from _set(field, event.uid, value, event.run, is_new=False)
    for name in event.removed:
        field = f"{event.registry}.features.{name}"
        yield from _set(field, event.uid, None, event.run, is_new=False)


def _set(field: str, uid: str, value: Any, run: str | None, *, is_new: bool) -> Iterator[Change]:
    if not is_new:
        yield Closed("value", {"subject": uid, "field": field})
        yield Closed("link", {"source": uid, "field": field})
    for place, item in enumerate(as_items(value)):
        found = reference(item)
        if found is not None:
            yield link(field, uid, found[1], run, place)
            continue
        columns = {"i": None, "r": None, "t": None, "x": None} | columns_of(item)
        at = {"subject": uid, "field": field, "place": f"{place:04d}"}
        yield Opened("value", at | columns)
