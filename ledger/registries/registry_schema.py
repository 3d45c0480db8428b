"""The schema of a registry that a ledger defines: its fields, its past, and the verbs on it.

Verbs of the schema stand here, so that they take no names from fields.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

from ledger.decisions.values import given
from ledger.errors import InvalidValueError, NotFoundError, ReadOnlyViewError
from ledger.model.commands import ChangeField, RetypeField, SaveTyped
from ledger.model.definitions import Definition, Field, read_definition
from ledger.model.events import FieldAdded, FieldChanged, FieldRetyped, RegistryDefined
from ledger.model.ids import StreamId
from ledger.model.times import to_datetime
from ledger.model.values import ValueType, of_columns, untagged
from ledger.places.source import Source
from ledger.registries.definition import check_field_name, value_type

MAX_CONVERTED = 1_000_000
_NAMED = 10  # records that cannot be converted, in an error


class SchemaField(msgspec.Struct, frozen=True, kw_only=True):
    """A field of a registry, as people read it."""

    name: str
    type: str
    unit: str | None = None
    bounds: dict[str, Any] = {}
    default: Any = None
    is_required: bool = False
    is_retired: bool = False
    description: str | None = None
    uid: str | None = None
    former: tuple[str, ...] = ()


class SchemaChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a schema: what, when, by whom, in which run."""

    what: str
    field: str | None
    position: int
    recorded_at: dt.datetime
    actor: str
    run: str | None
    before: Any = None
    after: Any = None


class RegistrySchema:
    """The definition of one registry, now or as of a position."""

    def __init__(self, kind: type[Any], source: Source) -> None:
        self._kind = kind
        self._source = source
        self.name: str = kind.registry

    def _found(self) -> Definition | None:
        def read(models: Any) -> Definition | None:
            rows = models.find("registry", at=self._source.at, name=self.name)
            fields = models.find("field", at=self._source.at, registry=self.name)
            return read_definition(rows[0], fields) if rows else None

        found: Definition | None = self._source.ask(read)
        return found

    @property
    def definition(self) -> Definition:
        """The definition in the ledger; what the class says, where nothing was saved yet.

        Raises:
            NotFoundError: There was none at this position.
        """
        found = self._found()
        if found is None and self._source.at is None:
            return self._kind._definition()  # type: ignore[no-any-return]
        if found is None:
            raise NotFoundError(
                f"registry '{self.name}': not defined as of position {self._source.at}"
            )
        return found

    @property
    def title(self) -> str:
        """Name of its class."""
        return self.definition.title

    @property
    def key(self) -> tuple[str, ...]:
        """Fields that identify a record."""
        return self.definition.key

    @property
    def fields(self) -> list[SchemaField]:
        """Its fields in order, the name first where a name identifies a record."""
        definition = self.definition
        own = [_shown(it) for it in definition.fields]
        name = SchemaField(name="name", type="str", is_required=True)
        return [name, *own] if definition.is_named else own

    def history(self) -> list[SchemaChange]:
        """Return every change of the schema, oldest first."""
        definition = self.definition
        if definition.stream is None:
            return []
        with self._source.ledger.reading() as session:
            events = session.log.stream(StreamId(definition.stream), until=self._source.at)
        found = []
        for recorded in events:
            event = recorded.event
            field: str | None = None
            before: Any = None
            after: Any = None
            match event:
                case RegistryDefined():
                    what, after = "defined", [it.name for it in event.fields]
                case FieldAdded():
                    what, field, after = "field added", event.field.name, event.field.type
                case FieldRetyped():
                    what, field = "field retyped", event.field
                    before, after = event.was, event.becomes
                case FieldChanged() if "name" in event.changes:
                    what, field = "field renamed", event.field
                    before, after = event.was, event.changes["name"]
                case FieldChanged() if event.changes.get("is_retired"):
                    what, field = "field retired", event.field
                case FieldChanged():
                    what, field, after = "field changed", event.field, event.changes
                case _:
                    continue
            found.append(
                SchemaChange(
                    what=what,
                    field=field,
                    position=recorded.position,
                    recorded_at=to_datetime(recorded.recorded_at),
                    actor=event.actor,
                    run=event.run,
                    before=before,
                    after=after,
                )
            )
        return found

    # --- verbs ----------------------------------------------------------------------------------

    def rename(self, field: str, name: str) -> None:
        """Give a field another name; the former one goes on meaning it.

        Raises:
            UnknownFieldError: There is no such field.
            CommandRejectedError: The name is taken.
        """
        self._refuse_view("rename")
        check_field_name(f"{self.definition.title}.{name}", name)
        self._perform(ChangeField(registry=self.name, field=field, name=name))

    def retire(self, field: str) -> None:
        """Have a field take no values any more; those that it has stay, and its name stays taken.

        Raises:
            UnknownFieldError: There is no such field.
        """
        self._refuse_view("retire")
        self._perform(ChangeField(registry=self.name, field=field, is_retired=True))

    def retype(
        self, field: str, dtype: Any, *, convert: Callable[[Any], Any] | None = None
    ) -> None:
        """Give a field another type.

        Without `convert` a type only widens (int to float, a type to a list of it), and stored
        values stay. With it, each present value is converted and recorded, in one transaction.

        Args:
            field: The field.
            dtype: Its type from now on.
            convert: From an old value to a new one.

        Raises:
            InvalidValueError: A value cannot be converted; the first ten are named.
            CommandRejectedError: The new type is not a wider one, and there is no `convert`.
        """
        self._refuse_view("retype")
        definition = self.definition
        there = definition.require(field)
        label = f"{definition.title}.{there.name}"
        kind, _, _ = value_type(dtype, label)
        wanted = msgspec.structs.replace(there, type=kind, bounds=type(there.bounds)())
        handler = self._source.ledger.handler
        with handler.batch():
            outcome = handler.perform(
                RetypeField(
                    registry=self.name,
                    field=there.held,
                    type=kind.text,
                    values=None if convert is None else True,
                )
            )
            if convert is None or not outcome.n_events:
                return
            converted = self._converted(there, wanted, convert, label)
            for uid, value in converted.items():
                command = SaveTyped(
                    registry=self.name,
                    key="",
                    fields={there.held: value},
                    target=uid,
                    is_change=True,
                )
                handler.perform(command)

    def _converted(
        self, there: Field, wanted: Field, convert: Callable[[Any], Any], label: str
    ) -> dict[str, Any]:
        held = f"{self.name}.{there.held}"
        if there.type.target is not None or wanted.type.target is not None:
            raise InvalidValueError(f"{label}: a reference cannot be converted; add a field")
        rows = self._source.ask(lambda it: it.find("value", field=held))
        if len(rows) > MAX_CONVERTED:
            raise InvalidValueError(
                f"{label}: expected at most {MAX_CONVERTED:,} values to convert, got {len(rows):,}"
            )
        old: dict[str, list[Any]] = {}
        for row in rows:
            old.setdefault(row["subject"], []).append(untagged(of_columns(there.type.kind, row)))
        found: dict[str, Any] = {}
        failed: list[str] = []
        for uid, values in old.items():
            value = values if there.type.is_list else values[0]
            try:
                found[uid] = given(wanted, convert(value), label)
            except Exception as error:  # noqa: BLE001 (a function of the user)
                if len(failed) < _NAMED:
                    failed.append(f"{self._called(uid)} ({value!r}: {error})")
        if failed:
            raise InvalidValueError(
                f"{label}: cannot be {wanted.type.text} in {', '.join(failed)}; nothing was changed"
            )
        return found

    def _called(self, uid: str) -> str:
        rows = self._source.ask(lambda it: it.find(self.name, uid=uid))
        return str(rows[0]["name"] or uid) if rows else uid

    def _perform(self, command: ChangeField) -> None:
        self._source.ledger.handler.perform(command)

    def _refuse_view(self, verb: str) -> None:
        if self._source.at is not None:
            raise ReadOnlyViewError(
                f"{verb}: the schema as of position {self._source.at} cannot be changed"
            )

    # --- ways out -------------------------------------------------------------------------------

    def to_json_schema(self) -> dict[str, Any]:
        """Return a JSON Schema of one record."""
        definition = self.definition
        found: dict[str, Any] = {}
        if definition.is_named:
            found["name"] = {"type": "string", "minLength": 1, "maxLength": 255}
        for it in definition.fields:
            one = dict(_JSON[it.type.kind])
            for bound, word in _BOUNDS.items():
                if getattr(it.bounds, bound) is not None:
                    one[word] = untagged(getattr(it.bounds, bound))
            if it.bounds.choices is not None:
                one["enum"] = list(it.bounds.choices)
            shown = {"type": "array", "items": one} if it.type.is_list else one
            found[it.name] = shown | ({"description": it.description} if it.description else {})
        required = ["name"] if definition.is_named else []
        required += [it.name for it in definition.fields if it.is_required]
        return {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": definition.title,
            "type": "object",
            "properties": found,
            "required": required,
            "additionalProperties": False,
        }

    def to_arrow(self) -> Any:
        """Return a `pyarrow.Schema` of its fields; a reference is the name of a record."""
        from projections.arrow import schema_of  # noqa: PLC0415 (loads pyarrow)

        definition = self.definition
        return schema_of(definition.fields, is_named=definition.is_named)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RegistrySchema):
            return NotImplemented
        return self.name == other.name and self._source.ledger is other._source.ledger

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        names = ", ".join(f"{it.name}: {it.type}" for it in self.fields)
        return f"<schema of {self.title} ({names})>"


_JSON: dict[str, dict[str, Any]] = {
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "str": {"type": "string"},
    "bool": {"type": "boolean"},
    "date": {"type": "string", "format": "date"},
    "datetime": {"type": "string", "format": "date-time"},
    "dict": {"type": "object"},
    "record": {"type": "string"},
}
_BOUNDS = {
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "max_length": "maxLength",
}


def _shown(field: Field) -> SchemaField:
    kind: ValueType = field.type
    return SchemaField(
        name=field.name,
        type=kind.text,
        unit=field.unit,
        bounds={name: untagged(value) for name, value in msgspec.to_builtins(field.bounds).items()},
        default=untagged(field.default),
        is_required=field.is_required,
        is_retired=field.is_retired,
        description=field.description,
        uid=field.uid,
        former=field.former,
    )
