"""Registries that a ledger defines: their fields as data, and the catalogue that they make.

1. A field has a name for good, under which events, rows and links hold its values, and a name for
   people, which may change; a former name goes on meaning it.
2. A retired field stays, and its names stay taken.
3. A reference of a registry gives the other one a way back: `donor.samples`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from ledger.errors import UnknownFieldError, nearest
from ledger.model.events import DefinedField
from ledger.model.schema import (
    REGISTRIES,
    Catalogue,
    FieldSpec,
    RegistrySpec,
    RelationSpec,
)
from ledger.model.values import FIELD_KINDS, Bounds, ValueType, read_type

# Registries whose records bear features.
FEATURED = tuple(spec.name for spec in REGISTRIES.values() if spec.bears_features)

Row = Mapping[str, Any]


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a registry, or a feature.

    Attributes:
        name: Its name for people.
        held: Its name in events, for good.
        type: Its type.
        unit: Unit of its numbers.
        bounds: What its values are held to.
        default: In the form of events; None for none.
        is_required: Whether a record must have a value.
        description: What a person says of it.
        uid: Its uid; None before it is recorded.
        former: Its names before.
        is_retired: Whether it takes no values any more.
    """

    name: str
    held: str
    type: ValueType
    unit: str | None = None
    bounds: Bounds = Bounds()
    default: Any = None
    is_required: bool = False
    description: str | None = None
    uid: str | None = None
    former: tuple[str, ...] = ()
    is_retired: bool = False

    @property
    def names(self) -> set[str]:
        """Every name that means it."""
        return {self.name, self.held, *self.former}

    def stated(self, uid: str) -> DefinedField:
        """Return the field as an event states it."""
        return DefinedField(
            uid=uid,
            name=self.held,
            type=self.type.text,
            unit=self.unit,
            bounds=msgspec.to_builtins(self.bounds),
            default=self.default,
            is_required=self.is_required,
            description=self.description,
        )


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A registry that a ledger defines, or that a class would define.

    Attributes:
        name: Name of the registry.
        title: Name of its class.
        key: Fields that identify a record; `("name",)` where a name does.
        description: What a person says of it.
        fields: Its fields in order, without the name.
        uid: Its uid; None before it is recorded.
        stream: Stream of its events.
    """

    name: str
    title: str
    key: tuple[str, ...] = ("name",)
    description: str | None = None
    fields: tuple[Field, ...] = ()
    uid: str | None = None
    stream: str | None = None

    @property
    def is_named(self) -> bool:
        """Whether a name identifies its records."""
        return self.key == ("name",)

    def field(self, name: str) -> Field | None:
        """Return the field that a name means now; None if none does."""
        found = [it for it in self.fields if it.name == name]
        return next(iter(found or (it for it in self.fields if name in it.names)), None)

    def require(self, name: str) -> Field:
        """Return the field that a name means.

        Raises:
            UnknownFieldError: None does; the message suggests the nearest.
        """
        found = self.field(name)
        if found is None:
            names = [*(["name"] if self.is_named else []), *(it.name for it in self.fields)]
            near = nearest(name, names)
            way_out = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(names)}"
            raise UnknownFieldError(
                f"{self.title} has no field '{name}'; {way_out}", field=name, registry=self.name
            )
        return found


def read_definition(row: Row, fields: Iterable[Row]) -> Definition:
    """Return the definition that rows of the tables `registry` and `field` hold."""
    return Definition(
        name=row["name"],
        title=row["title"],
        key=tuple(msgspec.json.decode(row["key"])),
        description=row["description"],
        fields=tuple(_read_field(it) for it in sorted(fields, key=lambda it: int(it["ordinal"]))),
        uid=row["uid"],
        stream=row["stream"],
    )


def _read_field(row: Row) -> Field:
    return Field(
        name=row["shown"],
        held=row["name"],
        type=read_type(row["type"]),
        unit=row["unit"],
        bounds=msgspec.json.decode(row["bounds"], type=Bounds),
        default=msgspec.json.decode(row["initial"]),
        is_required=bool(row["is_required"]),
        description=row["description"],
        uid=row["uid"],
        former=tuple(msgspec.json.decode(row["former"])),
        is_retired=bool(row["is_retired"]),
    )


def read_feature(row: Row) -> Field:
    """Return the feature that a row of the table `feature` holds."""
    return Field(
        name=row["name"],
        held=row["name"],
        type=read_type(row["type"]),
        unit=row["unit"],
        description=row["description"],
        uid=row["uid"],
    )


# --- the catalogue --------------------------------------------------------------------------------


def catalogue_of(
    definitions: Iterable[Definition], features: Iterable[Field], *, at: int | None = None
) -> Catalogue:
    """Return the registries that there are: the built-in ones, and those that are defined."""
    definitions, features = list(definitions), list(features)
    if not definitions and not features:
        return REGISTRIES
    found = Catalogue()
    ways_back = _ways_back(definitions, features)
    for spec in REGISTRIES.values():
        own: dict[str, FieldSpec | RelationSpec] = {}
        if spec.name in FEATURED:
            own = {it.name: described(it, f"{spec.name}.features.{it.held}") for it in features}
        found[spec.name] = msgspec.structs.replace(
            spec,
            relations=_with_back(spec.name, spec.relations, spec.fields, ways_back),
            features=own,
            columns=_columns(definitions) if spec.name == "artifact" else {},
            at=at,
            catalogue=found,
        )
    for definition in definitions:
        found[definition.name] = _spec(definition, ways_back, at, found)
    return found


def _columns(definitions: Iterable[Definition]) -> dict[str, FieldSpec | RelationSpec]:
    """Return the columns by which a table is found: references, choices and names."""
    found: dict[str, FieldSpec | RelationSpec] = {}
    for definition in definitions:
        named = Field(name="name", held="name", type=ValueType("str"))
        for field in (*([named] if definition.is_named else ()), *definition.fields):
            if is_categorical(field):
                kind = msgspec.structs.replace(field.type, is_list=True)
                listed = msgspec.structs.replace(field, type=kind)
                column = described(listed, f"artifact.features.columns.{field.held}")
                found.setdefault(field.name, column)
    return found


def is_categorical(field: Field) -> bool:
    """Return whether a table is found by what a column of this field holds."""
    choices = field.bounds.choices is not None
    return field.held == "name" or choices or field.type.target is not None


def _ways_back(
    definitions: Iterable[Definition], features: Iterable[Field]
) -> dict[str, dict[str, list[str]]]:
    """Return the links that lead to each registry, by the registry of their holders."""
    found: dict[str, dict[str, list[str]]] = {}
    held = [
        (field.type.target, definition.name, f"{definition.name}.{field.held}")
        for definition in definitions
        for field in definition.fields
    ]
    held += [
        (field.type.target, name, f"{name}.features.{field.held}")
        for name in FEATURED
        for field in features
    ]
    for target, holder, link in held:
        if target is not None:
            found.setdefault(target, {}).setdefault(holder, []).append(link)
    return found


def _spec(
    definition: Definition,
    ways_back: dict[str, dict[str, list[str]]],
    at: int | None,
    catalogue: Catalogue,
) -> RegistrySpec:
    base = REGISTRIES[definition.name]
    stated: list[FieldSpec | RelationSpec] = [
        described(field, f"{definition.name}.{field.held}") for field in definition.fields
    ]
    fields: list[FieldSpec] = [*(base.fields if definition.is_named else ())]
    fields += [it for it in stated if isinstance(it, FieldSpec)]
    relations: list[RelationSpec] = [
        *base.relations,
        *(it for it in stated if isinstance(it, RelationSpec)),
    ]
    former = {
        name: field.name
        for field in definition.fields
        for name in field.names - {field.name}
        if definition.field(name) is field
    }
    return msgspec.structs.replace(
        base,
        title=definition.title,
        fields=tuple(fields),
        relations=_with_back(definition.name, tuple(relations), tuple(fields), ways_back),
        key=definition.key,
        is_named=definition.is_named,
        searched=("name",) if definition.is_named else (),
        former=former,
        at=at,
        catalogue=catalogue,
    )


def described(field: Field, values: str) -> FieldSpec | RelationSpec:
    """Return a field as questions see it, whose values or links bear this name."""
    if field.type.target is not None:
        return RelationSpec(
            name=field.name,
            target=field.type.target,
            link=values,
            column=field.held,
            is_reference=True,
            is_single=not field.type.is_list,
        )
    return FieldSpec(
        name=field.name,
        held_by=field.held,
        kind=FIELD_KINDS[field.type.kind],
        values=values,
        is_list=field.type.is_list,
        is_editable=not field.is_retired,
        unit=field.unit,
        max_length=4_096,
        help=field.description or "",
    )


def _with_back(
    registry: str,
    relations: tuple[RelationSpec, ...],
    fields: tuple[FieldSpec, ...],
    ways_back: dict[str, dict[str, list[str]]],
) -> tuple[RelationSpec, ...]:
    """Return relations, and a way back from each reference to the registry where a name is free."""
    taken = {it.name for it in relations} | {it.name for it in fields}
    back = []
    for holder, links in ways_back.get(registry, {}).items():
        name = holder if holder.endswith("s") else f"{holder}s"
        if name not in taken:
            back.append(
                RelationSpec(
                    name=name,
                    target=holder,
                    link=links[0],
                    links=tuple(links),
                    is_reverse=True,
                    is_reference=True,
                )
            )
    return (*relations, *back)
