"""Rules for registries that the ledger defines: a class against the ledger, and the verbs.

1. A class of an unknown name defines a registry.
2. A field that the ledger does not have is added; it may not be required where records exist.
3. A class with fewer fields changes nothing: it may be an older one.
4. Bounds, choices, description and optionality follow the class, and hold for later values.
5. Any other difference of type, unit or key is refused: which of two classes is the newer cannot
   be known, so a verb says it.
"""

from __future__ import annotations

from typing import Any

import msgspec

from ledger.decisions.facts import Decision, Facts, Row, Stamp, birth
from ledger.decisions.typed import require_definition
from ledger.decisions.values import definition_of
from ledger.errors import CommandRejectedError
from ledger.model.commands import ChangeField, DefineRegistry, RetypeField
from ledger.model.definitions import Definition, Field
from ledger.model.events import (
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    LedgerEvent,
    RegistryDefined,
)
from ledger.model.ids import StreamId, uid
from ledger.model.schema import REGISTRIES, WITHDRAWN
from ledger.model.values import read_type

MAX_FIELDS, MAX_REGISTRIES = 500, 2_000
RESERVED = frozenset({*REGISTRIES, "link", "intent", "tag", "record", "registry", "field", "value"})


def define_registry(command: DefineRegistry, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on what a class says of its registry.

    Raises:
        CommandRejectedError: It says otherwise than the ledger, or the name is reserved.
    """
    wanted = command.definition
    if wanted.name in RESERVED:
        raise CommandRejectedError(
            f"registry '{wanted.name}': a built-in registry has this name; "
            "name the class otherwise, or give registry='…'"
        )
    if len(wanted.fields) > MAX_FIELDS:
        raise CommandRejectedError(
            f"{wanted.title}: expected at most {MAX_FIELDS} fields, got {len(wanted.fields)}"
        )
    known = definition_of(facts, wanted.name)
    if known is None:
        return _defined(wanted, facts, stamp)
    _require_alike(known, wanted)
    assert known.uid is not None  # noqa: S101 (it was read)
    about: dict[str, Any] = {"uid": known.uid, "of": known.name, **stamp.fields()}
    events: list[LedgerEvent] = []
    for field in wanted.fields:
        there = known.field(field.name)
        if there is None:
            if field.is_required and _n_without(facts, known, None):
                raise CommandRejectedError(
                    f"{wanted.title}.{field.name}: a new field cannot be required where records "
                    f"exist, which lack it; write {field.type.text} | None, or give a default"
                )
            events.append(FieldAdded(field=field.stated(_uid(wanted.name, field)), **about))
            continue
        changes = _changes(there, field)
        if changes:
            if changes.get("is_required") and (n := _n_without(facts, known, there)):
                raise CommandRejectedError(
                    f"{wanted.title}.{field.name}: {n:,} records lack a value; give them one "
                    "before it is required"
                )
            events.append(FieldChanged(field=there.held, changes=changes, **about))
    return Decision(events=tuple(events), outcome=known.uid, stream=StreamId(str(known.stream)))


def _defined(wanted: Definition, facts: Facts, stamp: Stamp) -> Decision:
    n_registries = len(facts.find("registry"))
    if n_registries >= MAX_REGISTRIES:
        raise CommandRejectedError(
            f"{wanted.title}: expected at most {MAX_REGISTRIES:,} registries in a ledger"
        )
    natural = ["registry", wanted.name]
    born = birth(_Unborn(), "registry", natural)
    event = RegistryDefined(
        uid=born.uid,
        natural=natural,
        natural_id=born.natural_id,
        name=wanted.name,
        key=wanted.key,
        title=wanted.title,
        description=wanted.description,
        fields=tuple(it.stated(_uid(wanted.name, it)) for it in wanted.fields),
        **stamp.fields(),
    )
    return Decision(
        events=(event,),
        outcome=born.uid,
        is_new=True,
        natural=born.identity,
        stream=born.stream,
    )


class _Unborn:
    """Facts of a registry of which there is nothing yet."""

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: Any
    ) -> list[Row]:
        """Return nothing."""
        del table, at, ever, equals
        return []


def _uid(registry: str, field: Field) -> str:
    return uid(["create", "field", registry, field.held, 1], 12)


def _require_alike(known: Definition, wanted: Definition) -> None:
    if known.key != wanted.key:
        raise CommandRejectedError(
            f"{wanted.title}: its records are identified by {', '.join(known.key)}, and the class "
            f"says {', '.join(wanted.key)}; give the class another registry='…'"
        )
    for field in wanted.fields:
        there = known.field(field.name)
        if there is None:
            continue
        if there.type != field.type:
            raise CommandRejectedError(
                f"{wanted.title}.{field.name}: the ledger has {there.type.text}, the class says "
                f"{field.type.text}; {wanted.title}.schema.retype('{field.name}', "
                f"{field.type.text}) changes it, or mend the class"
            )
        if there.unit != field.unit:
            raise CommandRejectedError(
                f"{wanted.title}.{field.name}: the ledger has unit {there.unit}, the class says "
                f"{field.unit}; values would mean something else: name the field otherwise"
            )


def _changes(there: Field, field: Field) -> dict[str, Any]:
    """Return what a class says otherwise of a field that is there."""
    found: dict[str, Any] = {}
    for name in ("default", "is_required", "description"):
        if getattr(there, name) != getattr(field, name):
            found[name] = getattr(field, name)
    if there.bounds != field.bounds:
        found["bounds"] = msgspec.to_builtins(field.bounds)
    return found


def _n_without(facts: Facts, definition: Definition, field: Field | None) -> int:
    """Return how many records lack a value of a field; all of them for a field that is new."""
    uids = {row["uid"] for row in facts.find(definition.name) if row["state"] < WITHDRAWN}
    if field is not None and uids:
        held = f"{definition.name}.{field.held}"
        uids -= {row["subject"] for row in facts.find("value", field=held)}
        uids -= {row["source"] for row in facts.find("link", field=held)}
    return len(uids)


# --- verbs ----------------------------------------------------------------------------------------


def change_field(command: ChangeField, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on renaming or retiring a field.

    Raises:
        CommandRejectedError: The new name is taken.
    """
    definition = require_definition(facts, command.registry)
    field = definition.require(command.field)
    stream = StreamId(str(definition.stream))
    assert definition.uid is not None  # noqa: S101 (it was read)
    changes: dict[str, Any] = {}
    was = None
    if command.name is not None and command.name != field.name:
        other = definition.field(command.name)
        if (other is not None and other is not field) or command.name == "name":
            raise CommandRejectedError(
                f"{definition.title}.{command.name}: the name is taken, for good; choose another"
            )
        was = field.name
        former = [it for it in (*field.former, field.name) if it != command.name]
        changes = {"name": command.name, "former": former}
    if command.is_retired and not field.is_retired:
        changes["is_retired"] = True
    events: tuple[LedgerEvent, ...] = ()
    if changes:
        events = (
            FieldChanged(
                uid=definition.uid,
                of=definition.name,
                field=field.held,
                changes=changes,
                was=was,
                **stamp.fields(),
            ),
        )
    return Decision(events=events, outcome=definition.uid, stream=stream)


def retype_field(command: RetypeField, facts: Facts, stamp: Stamp) -> Decision:
    """Decide on another type of a field.

    Raises:
        CommandRejectedError: It would not only widen, and no conversion is given.
    """
    definition = require_definition(facts, command.registry)
    field = definition.require(command.field)
    assert definition.uid is not None  # noqa: S101 (it was read)
    stream = StreamId(str(definition.stream))
    wanted = read_type(command.type)
    if wanted == field.type:
        return Decision(outcome=definition.uid, stream=stream)
    if command.values is None and not _widens(field, command.type):
        raise CommandRejectedError(
            f"{definition.title}.{field.name}: {field.type.text} does not widen to "
            f"{command.type}; give convert=, a function from an old value to a new one"
        )
    about: dict[str, Any] = {**stamp.fields()}
    event = FieldRetyped(
        uid=definition.uid,
        of=definition.name,
        field=field.held,
        becomes=command.type,
        was=field.type.text,
        **about,
    )
    return Decision(events=(event,), outcome=definition.uid, stream=stream)


def _widens(field: Field, text: str) -> bool:
    wanted, there = read_type(text), field.type
    if wanted.target != there.target:
        return False
    if there.is_list and not wanted.is_list:
        return False
    return wanted.kind == there.kind or (there.kind, wanted.kind) == ("int", "float")
