"""Values as they are given, and as they are recorded.

1. `given` turns a value of Python into plain data: what an intent holds. A reference that was
   given as text stays the text, so that a script means the same thing after a rename.
2. `resolved` finds the record that a text names now, and keeps bounds; only this is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ledger.decisions.facts import Facts, require, survivor
from ledger.decisions.records import find_named
from ledger.errors import InvalidValueError, NotFoundError, nearest
from ledger.model.canonical import Json, nfc
from ledger.model.definitions import Definition, Field, read_definition, read_feature
from ledger.model.schema import LIVE, REGISTRIES
from ledger.model.values import (
    MAX_ITEMS,
    as_items,
    is_missing,
    kind_of,
    of_columns,
    reference,
    shown,
    tagged,
    within,
)

_NEAREST_OF = 1_000  # names among which the nearest is looked for


def definition_of(facts: Facts, registry: str) -> Definition | None:
    """Return the definition of a registry as the facts have it; None where there is none."""
    rows = facts.find("registry", name=registry)
    if not rows:
        return None
    return read_definition(rows[0], facts.find("field", registry=registry))


def feature_of(facts: Facts, name: str) -> Field | None:
    """Return the feature of that name; None where there is none."""
    rows = facts.find("feature", name=name, state=LIVE)
    return read_feature(rows[0]) if rows else None


# --- given ----------------------------------------------------------------------------------------


def given(field: Field, value: Any, label: str) -> Json:
    """Return a value as an intent holds it; None for a missing one.

    Raises:
        InvalidValueError: It is of another type, or breaks a bound.
    """
    if is_missing(value):
        return None
    if not field.type.is_list:
        return _item(field, value, label)
    if hasattr(value, "tolist") and not isinstance(value, list | tuple):
        value = value.tolist()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, list | tuple):
        raise InvalidValueError(
            f"{label}: expected a list of {_wanted(field)}, got {kind_of(value)} {shown(value)}"
        )
    if len(value) > MAX_ITEMS:
        raise InvalidValueError(
            f"{label}: expected at most {MAX_ITEMS:,} items, got {len(value):,}"
        )
    items = [_item(field, item, f"{label}[{place}]") for place, item in enumerate(value)]
    if field.type.target is None:
        return items
    return [item for place, item in enumerate(items) if item not in items[:place]]


def _wanted(field: Field) -> str:
    kind = field.type
    return kind.kind if kind.target is None else f"{REGISTRIES[kind.target].title} records"


def _item(field: Field, value: Any, label: str) -> Json:
    target = field.type.target
    if target is None:
        found = tagged(field.type.kind, value, label)
        within(field.bounds, found, label)
        return found
    if isinstance(value, str):
        return {"key": [target, nfc(value)]}
    registry, title = getattr(value, "registry", None), REGISTRIES[target].title
    if registry != target or not isinstance(registry, str):
        got = REGISTRIES[registry].title if isinstance(registry, str) else kind_of(value)
        raise InvalidValueError(
            f"{label}: expected a {title}, or its name, got {got} {shown(value)}"
        )
    return {"ref": [target, str(value.uid)]}


# --- resolved -------------------------------------------------------------------------------------


def resolved(facts: Facts, value: Json, label: str) -> Any:
    """Return a given value in the form of events: texts that name records have become their uids.

    Raises:
        NotFoundError: Nothing bears the name; the message suggests the nearest.
    """
    if isinstance(value, list):
        items = [resolved(facts, item, label) for item in value]
        return [item for place, item in enumerate(items) if _is_new(item, items[:place])]
    if isinstance(value, dict) and value.keys() == {"key"}:
        pair: Any = value["key"]
        registry, name = pair
        return {"ref": [registry, _named(facts, str(registry), str(name), label)]}
    found = reference(value)
    if found is not None:
        registry, uid = found
        return {"ref": [registry, str(require(facts, registry, survivor(facts, uid))["uid"])]}
    return value


def _is_new(item: Any, before: list[Any]) -> bool:
    return reference(item) is None or item not in before


def _named(facts: Facts, registry: str, name: str, label: str) -> str:
    spec = REGISTRIES[registry]
    if spec.is_versioned or registry == "run":
        return str(require(facts, registry, name)["uid"])
    row = find_named(facts, registry, name)
    if row is None and (synonym := of_synonym(facts, registry, name)):
        row = synonym
    if row is None:
        definition = definition_of(facts, registry)
        title = spec.title if definition is None else definition.title
        names = [
            it["name"]
            for it in facts.find(registry, state=LIVE)[:_NEAREST_OF]
            if it["name"] is not None
        ]
        near = nearest(name, names)
        hint = f"nearest: {', '.join(map(repr, near))}; or " if near else ""
        raise NotFoundError(
            f"{label}: no {title} is called '{name}'; {hint}{title}(name={name!r}).save() makes it",
            name=name,
        )
    return str(row["uid"])


def of_synonym(facts: Facts, registry: str, name: str) -> dict[str, Any] | None:
    """Return the row of the record with a synonym; None if there is none."""
    for value in facts.find("value", field=f"{registry}.synonyms", t=name):
        rows = facts.find(registry, uid=value["subject"])
        if rows and rows[0]["state"] == LIVE:
            return rows[0]
    return None


# --- now ------------------------------------------------------------------------------------------


def present(facts: Facts, uid: str, prefix: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    """Return the present values of a record in the form of events, by their name in events.

    Args:
        facts: The read models.
        uid: Of the record.
        prefix: Of the names of its values, such as `sample.` or `artifact.features.`.
        fields: Its fields by their name in events.
    """
    found: dict[str, Any] = {}
    kinds = {f"{prefix}{held}": field for held, field in fields.items()}
    for row in facts.find("value", subject=uid):
        field = kinds.get(row["field"])
        if field is not None and field.type.target is None:
            found.setdefault(field.held, []).append(_of_row(field, row))
    links = facts.find("link", source=uid)
    for row in sorted(links, key=lambda it: int(it["ordinal"])):
        field = kinds.get(row["field"])
        if field is not None and field.type.target is not None:
            item = {"ref": [field.type.target, row["target"]]}
            found.setdefault(field.held, []).append(item)
    return {held: value if fields[held].type.is_list else value[0] for held, value in found.items()}


def _of_row(field: Field, row: Mapping[str, Any]) -> Any:
    try:
        return of_columns(field.type.kind, dict(row))
    except (TypeError, ValueError):
        return None  # of the type before


def changed(now: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are otherwise now; an empty list counts as missing."""
    return {
        name: value for name, value in wanted.items() if as_items(now.get(name)) != as_items(value)
    }
