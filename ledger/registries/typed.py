"""Records of registries that a ledger defines: each is a class under `Record`.

The first save of a class records its definition, in the same transaction; a later save records
what the class has more. A class that was never imported is made from the ledger (`registry()`).
"""

from __future__ import annotations

import inspect
import os
import weakref
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from ledger.decisions.records import whereabouts
from ledger.decisions.typed import found_by_key, wanted_values
from ledger.decisions.values import definition_of, given
from ledger.display.messages import tell
from ledger.errors import CommandRejectedError, InvalidValueError, NotFoundError
from ledger.model.canonical import Json
from ledger.model.commands import Command, DefineRegistry, SaveTyped
from ledger.model.definitions import Definition, Field
from ledger.model.schema import REGISTRIES, FieldSpec, RegistrySpec, RelationSpec
from ledger.model.values import untagged
from ledger.places import instance
from ledger.places.kinds import CLASSES, record_class
from ledger.places.source import Source, row_of
from ledger.registries.base import Record as AnyRecord
from ledger.registries.checks import check_text
from ledger.registries.definition import annotations_of, definition_of_class, registry_name
from ledger.registries.named import NamedRecord, show_similar

if TYPE_CHECKING:
    from ledger.registries.registry_schema import RegistrySchema
    from ledger.registries.table_check import TableReport


class _Spec:
    """The description of a class's registry: in its ledger, else as the class says."""

    def __get__(self, record: Any, owner: Any) -> RegistrySpec:
        source = None if record is None else vars(record).get("_source")
        return spec_in(owner, Source(instance.current()) if source is None else source)


def spec_in(kind: type[Any], source: Source) -> RegistrySpec:
    """Return the description of a class's registry in a ledger at a position."""
    found = source.catalogue.get(kind.registry)
    if found is None and source.ledger.catalogues.look():
        found = source.catalogue.get(kind.registry)
    return REGISTRIES[kind.registry] if found is None else found


class _Schema:
    """The definition of a class's registry, and its verbs."""

    def __get__(self, record: Any, owner: Any) -> RegistrySchema:
        from ledger.registries.registry_schema import RegistrySchema  # noqa: PLC0415 (few ask)

        source = None if record is None else vars(record).get("_source")
        return RegistrySchema(owner, Source(instance.current()) if source is None else source)


class Record(NamedRecord):
    """The base of every registry of your own: `class Donor(ln.Record): age: int | None = None`.

    A name identifies a record, unless the class says otherwise: `class Visit(ln.Record,
    key=("donor", "day"))`. Fields are the annotations of the class.
    """

    _key: ClassVar[tuple[str, ...]] = ("name",)
    _options: ClassVar[dict[str, Any]] = {}
    _of_ledger: ClassVar[bool] = False
    _defined_by: ClassVar[Definition | None] = None
    if not TYPE_CHECKING:
        spec = _Spec()
        schema = _Schema()
    else:
        schema: ClassVar[RegistrySchema]

    def __init_subclass__(
        cls, *, registry: str | None = None, key: Iterable[str] = ("name",)
    ) -> None:
        if any(base is not Record and issubclass(base, Record) for base in cls.__bases__):
            raise CommandRejectedError(
                f"{cls.__name__}: a registry inherits from ln.Record alone, not from another one"
            )
        cls.registry = registry_name(cls.__name__) if registry is None else registry
        cls._key = tuple(key)
        names = inspect.get_annotations(cls)
        # A value in the class would hide the value of a record.
        cls._options = {name: cls.__dict__[name] for name in names if name in cls.__dict__}
        for name in cls._options:
            delattr(cls, name)
        cls._defined_by = None
        if cls.registry not in REGISTRIES:
            CLASSES[cls.registry] = cls

    @classmethod
    def _named_nearby(cls) -> dict[str, Any]:
        """Return classes by their name, for annotations that are text."""
        return {kind.__name__: kind for kind in CLASSES.values()}

    @classmethod
    def _definition(cls) -> Definition:
        """Return what the class says of its registry; of a class of the ledger, what that says."""
        if cls._of_ledger:
            return cls._definition_in(Source(instance.current()))
        if cls._defined_by is None:
            cls._defined_by = definition_of_class(
                cls, cls._options, annotations_of(cls), taken_names()
            )
        return cls._defined_by

    @classmethod
    def _definition_in(cls, source: Source) -> Definition:
        found: Definition | None = source.ask(lambda it: definition_of(it, cls.registry))
        if found is None:
            raise NotFoundError(f"registry '{cls.registry}': not defined in this ledger")
        return found

    # --- making one -----------------------------------------------------------------------------

    def __init__(self, name: str | None = None, **fields: object) -> None:
        if type(self) is Record:
            raise CommandRejectedError(
                "Record(…): the base of registries; a class under it is one: "
                "class Sample(ln.Record): volume: float | None = None; then Sample(name=…)"
            )
        self._begin()
        definition = type(self)._definition()
        self._name = ""
        self._target: str | None = None
        if definition.is_named:
            if name is None:
                raise InvalidValueError(f"{definition.title}: expected a name, got none")
            self._name = _checked_name(f"{definition.title}.name", name)
        elif name is not None:
            raise InvalidValueError(
                f"{definition.title}: {', '.join(definition.key)} identify a record, which has no "
                f"name; got {name!r}"
            )
        values = {
            it: _given(_require(type(self), self._source, definition, it), value, definition)
            for it, value in fields.items()
        }
        if definition.is_named:
            self._key_given: Json = self._name
        else:
            self._key_given = [_key_part(definition, values, part) for part in definition.key]
        existing = self._row_there(definition, values)
        if existing is not None:
            self._row = existing
            self._target = existing["uid"]
        elif definition.is_named:
            self._row = {"name": self._name}
            if self._source.catalogue.get(self.registry) is not None:
                show_similar(self, self._name)
        self._assigned = values

    def _row_there(self, definition: Definition, values: dict[str, Json]) -> dict[str, Any] | None:
        """Return the row of the record that is there already, and tell where it has moved to."""
        recalled = self._source.ledger.handler.recall("save", [self.registry, self._key_given])
        if recalled is not None:
            row = row_of(self._source, self.registry, recalled)
            if row is not None:
                if definition.is_named:
                    moved = whereabouts(self.registry, self._name, self._told(row))
                    tell([] if moved is None else [moved])
                return row
        name = self._name if definition.is_named else None
        found = self._source.ask(lambda it: _found(it, definition, name, values))
        if found is None:
            return None
        if name is not None:
            moved = whereabouts(self.registry, name, found)
            tell([] if moved is None else [moved])
        return row_of(self._source, self.registry, found["uid"])

    # --- fields ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        assigned = vars(self).get("_assigned", {})
        if name in assigned:
            return self._of_given(assigned[name])
        spec = self.spec
        if spec.relation(name) is None and spec.field(name) is None and not self._of_ledger:
            field = type(self)._definition().field(name)
            if field is not None:
                return [] if field.type.is_list else None
        found = spec.require(name)
        if isinstance(found, RelationSpec) and found.is_reference and not found.is_reverse:
            return self._referred(found)
        if isinstance(found, FieldSpec) and found.values is not None:
            value = self._row.get(found.column)
            return self._shown(found, value)
        return super().__getattr__(name)

    def _referred(self, relation: RelationSpec) -> Any:
        held = self._row.get(str(relation.column))
        uids = [held] if isinstance(held, str) else (held or [])
        kind = record_class(relation.target)
        rows = [row_of(self._source, relation.target, uid) for uid in uids]
        found = [kind._from_row(row, self._source) for row in rows if row is not None]
        if relation.is_single:
            return found[0] if found else None
        return found

    def _of_given(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self._of_given(item) for item in value]
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in {"key", "ref"}:
            ((tag, (registry, text)),) = value.items()
            kind = record_class(registry)
            query = kind.filter(name=text) if tag == "key" else kind.filter(uid=text)
            return query.first()
        return untagged(value)

    @staticmethod
    def _shown(field: FieldSpec, value: Any) -> Any:
        if field.values is None:
            return AnyRecord._shown(field, value)
        if value is None:
            return [] if field.is_list else None
        return untagged(value)

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        definition = type(self)._definition()
        if name == "name" and definition.is_named:
            self._assigned[name] = _checked_name(f"{definition.title}.name", value)
            return
        field = _require(type(self), self._source, definition, name)
        self._assigned[name] = _given(field, value, definition)

    # --- saving ---------------------------------------------------------------------------------

    def save(self) -> Self:
        """Record the definition, where the class says more than the ledger, and the values.

        If nothing is new, nothing is appended.

        Raises:
            CommandRejectedError: The class or a value cannot be recorded; nothing was recorded.
            StorageError: The database refused; nothing was recorded.
        """
        self._refuse_view("save()")
        with self._source.ledger.handler.batch():
            define(type(self), self._source)
            if self._is_fresh:
                self._perform(self._creation(), is_save=True)
            elif self._assigned:
                self._perform(
                    SaveTyped(
                        registry=self.registry,
                        key=self._key_given if "_key_given" in vars(self) else "",
                        fields=dict(self._assigned),
                        target=self.uid,
                        is_change=True,
                        is_rename=True,
                    ),
                    is_save=True,
                )
        return self

    def _creation(self) -> Command:
        fields = dict(self._assigned)
        is_rename = "name" in fields and self._target is not None
        if type(self)._definition().is_named:
            if not is_rename:
                self._name = str(fields.get("name", self._name))
                self._key_given = self._name
            fields.setdefault("name", self._name)
        return SaveTyped(
            registry=self.registry,
            key=self._key_given,
            fields=fields,
            target=self._target,
            is_rename=is_rename,
        )

    # --- tables ---------------------------------------------------------------------------------

    @classmethod
    def check(cls, df: object) -> TableReport:
        """Return what is wrong in a table of such records: each fault with column, row and value.

        Args:
            df: A table of pandas, polars or pyarrow; its columns are fields, and the name.

        Raises:
            InvalidValueError: It is no table, or has a column twice.
        """
        from ledger.registries.table_check import check_table  # noqa: PLC0415 (loads pyarrow)

        return check_table(cls._definition(), Source(instance.current()), df)

    @classmethod
    def from_df(cls, df: object) -> list[Self]:
        """Return a record for each row of a table, unsaved; `ln.save()` saves them.

        Raises:
            InvalidTableError: The table has faults, as `check()` tells them.
        """
        from ledger.registries.table_check import rows_of  # noqa: PLC0415 (loads pyarrow)

        cls.check(df).require()
        return [cls(**row) for row in rows_of(cls._definition(), df)]

    @classmethod
    def import_obo(cls, path: str | os.PathLike[str]) -> list[Self]:
        """Record each term of an ontology file in the format OBO, and return the records.

        Parents are what a term is a kind of; exact synonyms are kept. Fields `ontology_id` and
        `definition`, and a list of the registry's own records such as `part_of`, are filled where
        the class has them. Everything is recorded, or nothing is; a second import adds nothing.

        Raises:
            InvalidValueError: It is no OBO file, or two terms have one name.
            MissingFileError: There is no such file.
        """
        from ledger.registries.ontology import import_terms  # noqa: PLC0415 (few import)

        return import_terms(cls, path)

    @classmethod
    def _own_source(cls) -> Source:
        return Source(instance.current())

    # --- vocabulary -----------------------------------------------------------------------------

    def add_synonym(self, *names: str) -> Self:
        """Have these texts mean the record, too, and return it.

        Raises:
            NameTakenError: One of them is a name or a synonym of another record.
        """
        now = self._synonyms()
        more = [_checked_name(f"{self.spec.title} synonym", it) for it in names]
        return self._set_synonyms([*now, *(it for it in dict.fromkeys(more) if it not in now)])

    def remove_synonym(self, *names: str) -> Self:
        """Have these texts mean the record no more, and return it."""
        return self._set_synonyms([it for it in self._synonyms() if it not in names])

    def _synonyms(self) -> list[str]:
        field, uid = f"{self.registry}.synonyms", self.uid
        rows = self._source.ask(
            lambda it: it.find("value", at=self._source.at, subject=uid, field=field)
        )
        return [row["t"] for row in sorted(rows, key=lambda row: str(row["place"]))]

    def _set_synonyms(self, names: list[str]) -> Self:
        self._refuse_view("add_synonym()")
        command = SaveTyped(
            registry=self.registry,
            key="",
            fields={"synonyms": names},
            target=self.uid,
            is_change=True,
        )
        self._perform(command)
        return self


def _checked_name(label: str, value: object) -> str:
    field = FieldSpec(name="name", max_length=255)
    return str(check_text(label, value, field, required=True))


def taken_names() -> frozenset[str]:
    """Return the names that no field may have: every record has these already."""
    return frozenset({
        *(name for name in dir(Record) if not name.startswith("_")),
        "id", "uid", "name", "created_at", "created_by", "updated_at", "is_trashed", "run",
        "history", "features", "parents", "children", "ancestors", "descendants", "synonyms",
    })  # fmt: skip


def _require(kind: type[Any], source: Source, definition: Definition, name: str) -> Field:
    """Return the field that a name means: of the class, else of the ledger.

    Raises:
        UnknownFieldError: There is none.
    """
    found = definition.field(name)
    if found is None and not kind._of_ledger:
        known = source.ask(lambda it: definition_of(it, kind.registry))
        found = None if known is None else known.field(name)
    return definition.require(name) if found is None else found


def _given(field: Field, value: Any, definition: Definition) -> Json:
    return given(field, value, f"{definition.title}.{field.name}")


def _key_part(definition: Definition, values: Mapping[str, Json], part: str) -> Json:
    value = values.get(part)
    if value is None:
        raise InvalidValueError(
            f"{definition.title}.{part}: required, as it identifies a record; got no value"
        )
    return value


def _found(
    facts: Any, definition: Definition, name: str | None, values: dict[str, Json]
) -> dict[str, Any] | None:
    known = definition_of(facts, definition.name) or definition
    _, wanted = wanted_values(facts, _joined(known, definition), values)
    return found_by_key(facts, known, name, wanted)


def _joined(known: Definition, other: Definition) -> Definition:
    """Return a definition with the fields of another one that it does not have."""
    import msgspec  # noqa: PLC0415 (loaded already)

    more = tuple(it for it in other.fields if known.field(it.name) is None)
    return msgspec.structs.replace(known, fields=(*known.fields, *more))


# --- definitions ----------------------------------------------------------------------------------

_DEFINED: weakref.WeakKeyDictionary[Any, set[type]] = weakref.WeakKeyDictionary()


def define(kind: type[Record], source: Source) -> None:
    """Record what a class says of its registry, once in each pass; first of all it refers to."""
    if kind._of_ledger:
        return
    tracked = source.ledger.handler.tracked
    place = source.ledger if tracked is None else tracked.passage
    done = _DEFINED.setdefault(place, set())
    _define(kind, source, done)


def _define(kind: type[Record], source: Source, done: set[type]) -> None:
    if kind in done:
        return
    done.add(kind)
    source.ledger.sessions.on_undo(lambda: done.discard(kind))
    try:
        definition = kind._definition()
        for field in definition.fields:
            target = field.type.target
            if target is not None and target not in REGISTRIES:
                _define(cast("type[Record]", record_class(target)), source, done)
        source.ledger.handler.perform(DefineRegistry(definition=definition))
    except BaseException:
        done.discard(kind)
        raise
