"""Events of registries that a ledger defines, and of typed values.

Values are in the form of `ledger.model.values`: they tell their kind, so that whoever folds an
event needs no schema.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.model.event import Event


class DefinedField(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A field of a registry that a ledger defines.

    Attributes:
        uid: Its uid.
        name: Name under which events and links hold its values, for good.
        type: Its type, as `ledger.model.values` writes it.
        unit: Unit of its numbers.
        bounds: What its values are held to.
        default: Value of a record that is created without one.
        is_required: Whether a record must have a value.
        description: What a person says of it.
    """

    uid: str
    name: str
    type: str
    unit: str | None = None
    bounds: dict[str, Any] = {}
    default: Any = None
    is_required: bool = False
    description: str | None = None


class RegistryDefined(Event, frozen=True, kw_only=True, tag="registry-defined.v1"):
    """A registry of the ledger's own came into being; `natural` is `["registry", name]`.

    Attributes:
        name: Its name in events and commands.
        key: Fields that identify a record: `["name"]`, or others.
        title: Name of its class.
        fields: Its fields in order, without the name.
    """

    uid: str
    natural: list[Any]
    natural_id: str | None = None
    n: int = 1
    name: str
    key: tuple[str, ...] = ("name",)
    title: str
    description: str | None = None
    fields: tuple[DefinedField, ...] = ()


class FieldAdded(Event, frozen=True, kw_only=True, tag="field-added.v1"):
    """The registry `of`, whose uid is `uid`, has one more field."""

    uid: str
    of: str
    field: DefinedField


class FieldChanged(Event, frozen=True, kw_only=True, tag="field-changed.v1"):
    """A field is described otherwise, renamed or retired; its values stay.

    Attributes:
        uid: Uid of the registry.
        of: Name of the registry.
        field: Name under which events hold the field's values.
        changes: What is otherwise now: `name` (for people), `unit`, `bounds`, `default`,
            `is_required`, `is_retired`, `description`.
        was: The name for people before, where that changed.
    """

    uid: str
    of: str
    field: str
    changes: dict[str, Any]
    was: str | None = None


class FieldRetyped(Event, frozen=True, kw_only=True, tag="field-retyped.v1"):
    """A field has another type from now on; values of the old one read as the new one, or follow.

    Attributes:
        uid: Uid of the registry.
        of: Name of the registry.
        field: Name under which events hold the field's values.
        becomes: Its type from now on.
        was: Its type before.
    """

    uid: str
    of: str
    field: str
    becomes: str
    was: str


class ValuesSet(Event, frozen=True, kw_only=True, tag="values-set.v1"):
    """Features of a record took these values, and those in `removed` have none any more."""

    registry: str
    uid: str
    values: dict[str, Any] = msgspec.field(default_factory=dict)
    removed: tuple[str, ...] = ()
