"""Rules for records of registries that the ledger defines, and for features of any record.

1. A record is found by its key: a name, as everywhere, or fields whose values are its natural key.
2. A new record has a value in each required field; a default stands in for a missing one.
3. A value that is there already is not recorded again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.decisions.facts import (
    Decision,
    Facts,
    Row,
    Stamp,
    birth,
    namesakes,
    refuse_erased,
    require,
    survivor,
)
from ledger.decisions.records import find_named, refuse_taken
from ledger.decisions.values import (
    changed,
    definition_of,
    feature_of,
    of_synonym,
    present,
    resolved,
)
from ledger.errors import (
    CommandRejectedError,
    InvalidValueError,
    NameTakenError,
    UnknownFieldError,
    nearest,
)
from ledger.model.canonical import Json
from ledger.model.commands import SaveTyped, SetFeatures
from ledger.model.definitions import FEATURED, Definition, Field
from ledger.model.events import LedgerEvent, RecordChanged, RecordCreated, ValuesSet
from ledger.model.ids import StreamId
from ledger.model.schema import LIVE, REGISTRIES, WITHDRAWN
from ledger.model.values import reference, untagged

_SYNONYMS = "synonyms"


def save_typed(command: SaveTyped, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on having a record of this key, with these values.

    Raises:
        InvalidValueError: A required value is missing, or a value of the key would change.
        NotFoundError: The registry is not defined, or a reference leads nowhere.
    """
    definition = require_definition(facts, command.registry)
    name, wanted = wanted_values(facts, definition, command.fields)
    row = (
        require(facts, command.registry, survivor(facts, command.target))
        if command.target is not None
        else found_by_key(facts, definition, name, wanted)
    )
    if row is not None:
        return _change(definition, row, name if command.is_rename else None, wanted, facts, stamp)
    fields = {it.held: it for it in definition.fields}
    for held, field in fields.items():
        if field.default is not None and wanted.get(held) is None:
            wanted[held] = field.default
        if field.is_required and wanted.get(held) is None:
            raise InvalidValueError(
                f"{definition.title}.{field.name}: required, and got no value; give {field.name}=…",
                field=field.name,
            )
    natural = natural_key(definition, name, wanted)
    refuse_erased(facts, command.registry, natural)
    born = birth(facts, command.registry, natural)
    values = {held: value for held, value in wanted.items() if value is not None and value != []}
    event = RecordCreated(
        registry=command.registry,
        uid=born.uid,
        natural=natural,
        natural_id=born.natural_id,
        n=born.n,
        fields=({} if name is None else {"name": name}) | values,
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
    )


def require_definition(facts: Facts, registry: str) -> Definition:
    """Return the definition of a registry.

    Raises:
        CommandRejectedError: It is not defined.
    """
    definition = definition_of(facts, registry)
    if definition is None:
        raise CommandRejectedError(
            f"registry '{registry}': not defined in this ledger; save a record of its class first"
        )
    return definition


def wanted_values(
    facts: Facts, definition: Definition, fields: Mapping[str, Any]
) -> tuple[str | None, dict[str, Any]]:
    """Return the name, and the values by their name in events, that a command asks for."""
    name: str | None = None
    wanted: dict[str, Any] = {}
    for given, value in fields.items():
        if given == "name" and definition.is_named:
            name = value
        elif given == _SYNONYMS:
            wanted[_SYNONYMS] = value
        else:
            field = definition.require(given)
            wanted[field.held] = resolved(facts, value, f"{definition.title}.{field.name}")
    return name, wanted


def natural_key(definition: Definition, name: str | None, values: Mapping[str, Any]) -> list[Json]:
    """Return the natural key of a record: registry and name, or registry and values."""
    if definition.is_named:
        return [definition.name, name]
    parts: list[Json] = []
    for key in definition.key:
        value = values.get(definition.require(key).held)
        found = reference(value)
        inner = next(iter(value.values())) if isinstance(value, dict) and found is None else value
        parts.append(inner if found is None else found[1])
    return [definition.name, parts]


def found_by_key(
    facts: Facts, definition: Definition, name: str | None, values: Mapping[str, Any]
) -> Row | None:
    """Return the record that a key means; None if there is none."""
    if definition.is_named:
        if name is None:
            return None
        return find_named(facts, definition.name, name) or of_synonym(facts, definition.name, name)
    if any(values.get(definition.require(key).held) is None for key in definition.key):
        return None
    rows = namesakes(facts, definition.name, natural_key(definition, None, values))
    there = [row for row in rows if row["state"] < WITHDRAWN]
    return there[-1] if there else None


def _change(  # noqa: PLR0913, PLR0917 (what it is about)
    definition: Definition,
    row: Row,
    name: str | None,
    wanted: dict[str, Any],
    facts: Facts,
    stamp: Stamp,
) -> Decision:
    fields = {it.held: it for it in definition.fields}
    now = present(facts, row["uid"], f"{definition.name}.", fields)
    if _SYNONYMS in wanted:
        _refuse_synonyms(facts, definition, row, wanted[_SYNONYMS])
        rows = facts.find("value", subject=row["uid"], field=f"{definition.name}.{_SYNONYMS}")
        now[_SYNONYMS] = [it["t"] for it in rows]
    changes: dict[str, Any] = changed(now, wanted)
    keys = set() if definition.is_named else {definition.require(it).held for it in definition.key}
    for held, value in changes.items():
        field = fields.get(held)
        if held in keys:
            raise InvalidValueError(
                f"{definition.title}.{held}: a part of the key, which identifies the record; "
                "save another record"
            )
        if field is not None and field.is_required and value is None:
            raise InvalidValueError(f"{definition.title}.{field.name}: required, and got None")
        if field is not None and field.is_retired:
            raise CommandRejectedError(
                f"{definition.title}.{field.name}: retired; it takes no new values"
            )
    if name is not None and name != row["name"]:
        if row["state"] == LIVE:
            refuse_taken(facts, definition.name, name, row["uid"])
        changes["name"] = name
    events: tuple[LedgerEvent, ...] = ()
    if changes:
        events = (
            RecordChanged(
                registry=definition.name, uid=row["uid"], fields=changes, **stamp.fields()
            ),
        )
    return Decision(events=events, outcome=row["uid"], stream=StreamId(row["stream"]))


def _refuse_synonyms(facts: Facts, definition: Definition, row: Row, names: list[str]) -> None:
    for name in names:
        others = list(facts.find(definition.name, name=name, state=LIVE))
        other = of_synonym(facts, definition.name, name)
        others += [] if other is None else [other]
        for it in others:
            if it["uid"] != row["uid"]:
                raise NameTakenError(
                    f"{definition.title} synonym '{name}': it means '{it['name']}' ({it['uid']}) "
                    "already; take it from that one first",
                    name=name,
                    uid=it["uid"],
                )


# --- features -------------------------------------------------------------------------------------


def set_features(command: SetFeatures, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on giving a record these features.

    Raises:
        CommandRejectedError: Records of this registry bear none.
        UnknownFieldError: A feature is not defined.
    """
    if command.registry not in FEATURED:
        raise CommandRejectedError(
            f"{REGISTRIES[command.registry].title}: expected an artifact, a collection or a run "
            "to bear features"
        )
    row = require(facts, command.registry, command.uid)
    fields = {
        name: require_feature(facts, name, value)
        for name, value in {**command.values, **dict.fromkeys(command.removed)}.items()
    }
    wanted = {
        name: resolved(facts, value, f"feature '{name}'") for name, value in command.values.items()
    }
    now = present(facts, command.uid, f"{command.registry}.features.", fields)
    changes = changed(now, wanted)
    removed = tuple(
        name
        for name in (*command.removed, *(it for it, value in changes.items() if not _is(value)))
        if name in now
    )
    values = {name: value for name, value in changes.items() if _is(value)}
    events: tuple[LedgerEvent, ...] = ()
    if values or removed:
        events = (
            ValuesSet(
                registry=command.registry,
                uid=command.uid,
                values=values,
                removed=removed,
                **stamp.fields(),
            ),
        )
    return Decision(events=events, outcome=command.uid, stream=StreamId(row["stream"]))


def _is(value: Any) -> bool:
    return value is not None and value != []


def require_feature(facts: Facts, name: str, value: Any = None) -> Field:
    """Return a feature.

    Raises:
        UnknownFieldError: It is not defined; the message suggests the nearest, or how to define it.
    """
    found = feature_of(facts, name)
    if found is None:
        names = [row["name"] for row in facts.find("feature", state=LIVE)]
        near = nearest(name, names)
        kind = type(untagged(value)).__name__ if value is not None else "float"
        way_out = (
            f"did you mean '{near[0]}'?"
            if near
            else f'ln.Feature(name="{name}", dtype={kind}).save() defines it'
        )
        raise UnknownFieldError(f"no feature is called '{name}'; {way_out}", field=name)
    return found
