"""The abilities of every record and every registry.

A record is the row that was read of one subject, and the fields assigned since. Constructing one
never writes; `save()` writes once. A method builds a command and gives it to the handler, or asks
a query; `ledger.decisions` holds the rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import msgspec

from ledger.decisions.records import whereabouts
from ledger.display.messages import say_once, tell
from ledger.display.rows import one_line, record_html
from ledger.engine.handler import Outcome, Prepare
from ledger.errors import (
    CorruptLogError,
    InvalidValueError,
    NotSavedError,
    ReadOnlyViewError,
    UnknownFieldError,
)
from ledger.model.commands import ChangeRecord, Command, LinkRecords, MoveRecord
from ledger.model.definitions import FEATURED
from ledger.model.parameters import plain_fields
from ledger.model.schema import LIVE, REGISTRIES, WITHDRAWN, FieldSpec, RegistrySpec, RelationSpec
from ledger.model.times import to_datetime
from ledger.past.merged_labels import survivor_uid
from ledger.places import instance
from ledger.places.kinds import CLASSES, record_class
from ledger.places.source import Source, row_of
from ledger.registries.aliases import RecordAliases
from ledger.registries.checks import check_flag, check_text
from ledger.registries.description import Description, describe
from ledger.registries.kind import Kind
from ledger.registries.lookups import Q
from ledger.registries.query import Lookup, QuerySet
from ledger.registries.registry import Registry, registry_method
from ledger.registries.results import RecordList, Results
from ledger.registries.ways_back import inverse, references
from projections.select import Select

if TYPE_CHECKING:
    from ledger.registries.features import Features

NO_RUN = "saved outside of any run, so no run is known to have made it; ln.track() begins one"


def _features(record: Record) -> Features:
    """Return the features of a record, a mapping: `record.features["temperature"] = 37.2`."""
    from ledger.registries.features import Features  # noqa: PLC0415 (few records bear any)

    return Features(record)


class Record(RecordAliases, metaclass=Kind):
    """A record of a registry.

    Two records are equal if registry and uid are equal. Fields and relations of the registry are
    attributes; changeable ones can be assigned, and `save()` records the change.
    """

    registry: ClassVar[str]
    spec: ClassVar[RegistrySpec]
    if TYPE_CHECKING:
        features: Features

    def __init_subclass__(cls) -> None:
        if not hasattr(cls, "registry"):
            return  # a class of records of several registries
        cls.spec = REGISTRIES[cls.registry]
        if cls.registry in FEATURED:
            cls.features = property(_features)  # type: ignore[assignment]  # a property, later
        if cls.__name__ == cls.spec.title:
            CLASSES[cls.registry] = cls

    def _begin(self) -> None:
        self._source = Source(instance.current())
        self._row: dict[str, Any] = {}
        self._assigned: dict[str, Any] = {}
        self._is_fresh = True
        self._borne: tuple[Mapping[str, Any], str | None, dict[str, Any]] | None = None

    def _bear(self, features: Mapping[str, Any] | None) -> None:
        """Take features that the first save sets, after checking them."""
        if features:
            self.features.checked(features)
            self._borne = (features, None, {})

    @classmethod
    def _from_row(cls, row: dict[str, Any], source: Source) -> Self:
        record = cls.__new__(cls)
        # Assigning one by one would treat each name as a field.
        vars(record).update(_source=source, _row=row, _assigned={}, _is_fresh=False)
        return record

    # --- asking the registry --------------------------------------------------------------------

    @classmethod
    def _registry(cls) -> Registry:
        return Registry(cls, Source(instance.current()))

    @registry_method
    def filter(cls, *queries: Q, **lookups: object) -> QuerySet[Self]:
        """Return the records that pass every condition, in Django's spelling, as a lazy query.

        `ULabel.filter(name__icontains="x")`, `Artifact.filter(labels__name="y", size__gt=10)`.

        Raises:
            UnknownFieldError: A lookup names no field or relation.
            InvalidValueError: A value is not of its field's kind.
        """
        return cls._registry().filter(*queries, **lookups)

    @registry_method
    def get(cls, uid: str | int | None = None, **lookups: object) -> Self:
        """Return the one record with this uid, unique beginning of a uid, id, or these fields.

        Raises:
            NotFoundError: There is none.
            MultipleResultsError: There are several.
        """
        found: Self = cls._registry().get(uid, **lookups)
        return found

    @registry_method
    def search(cls, text: str, *, limit: int = 20) -> RecordList[Self]:
        """Return the best matches of a text, best first: by words, beginnings and similarity."""
        return cls._registry().search(text, limit=limit)

    @registry_method
    def lookup(cls, field: str | None = None) -> Lookup:
        """Return an object with one attribute a record, for tab completion."""
        return cls._registry().lookup(field)

    @registry_method
    def df(cls, *, limit: int | None = None, features: bool = False) -> Any:
        """Return the registry, or its first `limit` records, as a pandas `DataFrame`.

        With `features`, each feature that any record has is a column.
        """
        return cls._registry().df(limit=limit, features=features)

    # --- fields ---------------------------------------------------------------------------------

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        found = self.spec.require(name)
        if isinstance(found, RelationSpec):
            return self._related(found)
        if name in self._assigned:
            return self._assigned[name]
        return self._shown(found, self._row.get(found.column))

    def __setattr__(self, name: str, value: object) -> None:
        if name.startswith("_"):
            object.__setattr__(self, name, value)
            return
        self._assigned[name] = self._checked(name, value)

    def __delattr__(self, name: str) -> None:
        if name.startswith("_"):
            object.__delattr__(self, name)
            return
        raise UnknownFieldError(f"{self.spec.title}.{name} cannot be deleted; assign None")

    def __dir__(self) -> list[str]:
        fields = {spec.name for spec in self.spec.fields}
        relations = {spec.name for spec in self.spec.relations}
        return sorted({*super().__dir__(), *fields, *relations, "id", "created_at", "created_by"})

    @property
    def uid(self) -> str:
        """Its uid, the same in every ledger.

        Raises:
            NotSavedError: The record is not saved yet.
        """
        uid = self._row.get("uid")
        if uid is None:
            raise NotSavedError(f"this {self.spec.title} has no uid yet: save() it first")
        return str(uid)

    @staticmethod
    def _shown(field: FieldSpec, value: Any) -> Any:
        if value is None:
            return None
        match field.kind:
            case "time":
                return to_datetime(value)
            case "json":
                return plain_fields(msgspec.json.decode(value))
            case "boolean":
                return bool(value)
            case _:
                return value

    @classmethod
    def _checked(cls, name: str, value: object) -> Any:
        """Return a value in the form in which it may be assigned to a field.

        Raises:
            UnknownFieldError: There is no such field.
            InvalidValueError: The field takes no assignment, or not this value.
        """
        field = cls.spec.require(name)
        if not isinstance(field, FieldSpec) or not field.is_editable:
            assignable = ", ".join(spec.name for spec in cls.spec.fields if spec.is_editable)
            raise InvalidValueError(
                f"{cls.spec.title}.{name} cannot be assigned; assignable: {assignable or 'nothing'}"
            )
        return check_text(f"{cls.spec.title}.{name}", value, field, required=name == "name")

    @property
    def is_saved(self) -> bool:
        """Whether it is in the ledger."""
        return "uid" in self._row

    # --- changing -------------------------------------------------------------------------------

    def save(self) -> Self:
        """Record the assigned fields durably, and return the record.

        If nothing is new, nothing is appended.

        Raises:
            CommandRejectedError: The record cannot be saved as it stands; nothing was recorded.
            StorageError: The database refused; nothing was recorded.
        """
        self._refuse_view("save()")
        if borne := vars(self).get("_borne"):
            self._borne = None
            with self._source.ledger.handler.batch():
                self.save().features.bear(*borne)
            return self
        if self._is_fresh:
            self._perform(self._creation(), prepare=self._prepare(), is_save=True)
        elif self._assigned:
            command = ChangeRecord(
                registry=self.registry, uid=self.uid, fields=dict(self._assigned)
            )
            self._perform(command, is_save=True)
        return self

    def delete(self, *, permanent: bool = False) -> None:
        """Move the record to the trash; with `permanent`, withdraw it for good.

        Its events stay, and the past keeps it. A withdrawn record's name is free again.
        """
        self._refuse_view("delete()")
        move: Literal["withdraw", "trash"] = "trash"
        if check_flag("delete(permanent=)", permanent):
            move = "withdraw"
        self._perform(MoveRecord(registry=self.registry, uid=self.uid, move=move))

    def restore(self) -> Self:
        """Take the record out of the trash and return it.

        Raises:
            NameTakenError: Another record took its name meanwhile.
        """
        self._refuse_view("restore()")
        self._perform(MoveRecord(registry=self.registry, uid=self.uid, move="restore"))
        return self

    # --- inside ----------------------------------------------------------------------------------

    def _creation(self) -> Command:
        """Return the command that saves a constructed record."""
        raise UnknownFieldError(f"{self.spec.title} records are made by track()")

    def _next_command(self) -> Command | None:
        """Return the command of the next save; None for none, or for several."""
        if vars(self).get("_borne") or self._source.at is not None:
            return None
        if self._is_fresh:
            return self._creation()
        if self._assigned:
            return ChangeRecord(registry=self.registry, uid=self.uid, fields=dict(self._assigned))
        return None

    def _prepare(self) -> Prepare | None:
        """Return the step that makes content durable before an event names it."""
        return None

    def _perform(
        self, command: Command, *, prepare: Prepare | None = None, is_save: bool = False
    ) -> Outcome:
        ledger = self._source.ledger
        before = (self._row, self._assigned, self._is_fresh)
        # The description of a registry of the ledger's own may change with the command.
        shown = self.registry if self.registry in REGISTRIES else None
        outcome: Outcome = ledger.handler.perform(command, prepare=prepare, shown=shown)
        tell(outcome.notices)
        ledger.sessions.on_undo(lambda: self._return_to(*before))
        if is_save and outcome.n_events and ledger.handler.tracked is None:
            say_once("hint", NO_RUN)
        if is_save:
            # Any other command, a link or a move, leaves the assigned fields for the next save.
            self._assigned = {}
            self._is_fresh = False
        if outcome.row is not None:
            self._row = outcome.row
        elif outcome.n_events or self._row.get("uid") != outcome.uid:
            self._reload(outcome.uid)
        if is_save and self._row.get("state", LIVE) >= WITHDRAWN:
            moved = whereabouts(self.registry, self._row.get("name") or outcome.uid, self._row)
            tell([] if moved is None else [moved])
        return outcome

    def _return_to(
        self,
        row: dict[str, Any],
        assigned: dict[str, Any],
        is_fresh: bool,  # noqa: FBT001 (state)
    ) -> None:
        self._row, self._assigned, self._is_fresh = row, assigned, is_fresh

    def _reload(self, uid: str) -> None:
        row = row_of(self._source, self.registry, uid)
        if row is None and (
            other := survivor_uid(self._source, self.registry, field="uid", value=uid)
        ):
            row = row_of(self._source, self.registry, other)
        if row is None:
            # A record withdrawn for good answers no query, but a run may still lead to it.
            rows = self._source.ask(lambda models: models.find(self.registry, uid=uid))
            if not rows:
                raise CorruptLogError(
                    f"{self.spec.title} {uid}: the tracked run recorded it and it is not in the "
                    "log, which went back (restored from a backup, perhaps); call track() again"
                )
            row = rows[0]
        self._row = row

    def _refuse_view(self, verb: str) -> None:
        if self._source.at is not None:
            raise ReadOnlyViewError(
                f"{verb} on {self.spec.title} {self._row.get('uid')}: it is a view as of position "
                f"{self._source.at}; get() the record itself to change it"
            )

    # --- relations ------------------------------------------------------------------------------

    def _family(self) -> QuerySet[Self]:
        """Return every version of its family, oldest first, as of where it was read."""
        stem = self.uid[: self.spec.uid_length]
        return Registry(type(self), self._source).filter(uid__startswith=stem)

    def _related(self, relation: RelationSpec) -> Any:
        if relation.is_many:
            return Related(self, relation)
        uid = self._row.get(str(relation.column))
        if uid is None:
            return None
        row = row_of(self._source, relation.target, uid)
        return None if row is None else record_class(relation.target)._from_row(row, self._source)

    # --- looks ----------------------------------------------------------------------------------

    def describe(self) -> Description:
        """Return what there is to know of it: its fields, its run, and the records it is linked to.

        The answer prints as text, and is a table in a notebook. Nothing is recorded.
        """
        return describe(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Record):
            return NotImplemented
        if not (self.is_saved and other.is_saved):
            return self is other
        return self.registry == other.registry and self.uid == other.uid

    def __hash__(self) -> int:
        return hash((self.registry, self._row.get("uid") or id(self)))

    def __repr__(self) -> str:
        text = one_line(self.spec, {**self._row, **self._assigned})
        return text if self.is_saved else text.replace("(", "(not saved, ", 1).replace(", )", ")")

    def _repr_html_(self) -> str:
        return record_html(self.spec, {**self._row, **self._assigned})


class Related(Results[Any]):
    """The records at the end of a relation to many; the side that holds the links changes them."""

    def __init__(self, record: Record, relation: RelationSpec) -> None:
        self._record = record
        self._relation = relation
        self.registry = relation.target

    @property
    def _spec(self) -> RegistrySpec:
        """The description of its registry, at the position of the record."""
        return self._record._source.spec(self.registry)

    def filter(self, *queries: Q, **lookups: object) -> QuerySet[Any]:
        """Return the records that pass every condition; those in the trash are marked so.

        A link leads to its end wherever that lies, as a condition over a relation does.
        """
        kind = record_class(self.registry)
        query: QuerySet[Any] = QuerySet(kind, self._record._source, Select(registry=self.registry))
        if self._relation.is_reference and self._relation.is_reverse:
            ways = [f"{name}__uid" for name in references(self._relation, self._spec)]
            by_any = reduce(or_, [Q(**{it: self._record.uid}) for it in ways])
            return query.with_trash().filter(by_any, *queries, **lookups)
        back = inverse(self._record.registry, self._relation, self._spec)
        return query.with_trash().filter(*queries, **{back: self._record.uid}, **lookups)

    def add(self, *records: Record) -> None:
        """Link these saved records; existing links stay as they are.

        Raises:
            NotSavedError: One of them is not saved yet.
            InvalidValueError: One of them is of another registry, or the link is held elsewhere.
        """
        self._change(records, is_present=True)

    def remove(self, *records: Record) -> None:
        """Remove the links to these records."""
        self._change(records, is_present=False)

    def count(self) -> int:
        """Return the number of records."""
        return self.filter().count()

    def __getitem__(self, index: Any) -> Any:
        return self._fetch()[index]

    def _fetch(self, limit: int | None = None) -> list[Any]:
        if self._relation.link is None or self._relation.is_reverse:
            return self.filter()._fetch(limit)
        source = self._record._source
        links = source.ask(
            lambda models: models.find(
                "link", at=source.at, field=self._relation.link, source=self._record.uid
            )
        )
        links.sort(key=lambda link: (link["from_position"], link["ordinal"]))
        by_uid = {record.uid: record for record in self.filter()._fetch()}
        ordered = [by_uid[link["target"]] for link in links if link["target"] in by_uid]
        return ordered[:limit]

    def _newest(self, limit: int) -> list[Any]:
        known_by_another = self._spec.called_by is not None
        return self.filter()._newest(limit) if known_by_another else self._fetch(limit)

    def _change(self, records: tuple[object, ...], *, is_present: bool) -> None:
        holder, relation = self._record, self._relation
        holder._refuse_view(f"{relation.name}.add()")
        if relation.link is None or relation.is_reverse:
            raise InvalidValueError(
                f"{holder.spec.title}.{relation.name}: held by the other side; "
                f"change it on {_with_article(self._spec.title)}"
            )
        if not relation.is_editable:
            # Its members identify a collection; inputs and outputs of a run are history.
            raise InvalidValueError(
                f"{holder.spec.title}.{relation.name}: cannot be changed by hand; "
                "labels are the links that can"
            )
        # Every record is checked before the first is linked: a bad one leaves all unlinked.
        commands = []
        for record in records:
            if not isinstance(record, Record) or record.registry != relation.target:
                raise InvalidValueError(
                    f"{holder.spec.title}.{relation.name}: expected "
                    f"{self._spec.title} records, got {record!r}"
                )
            command = LinkRecords(
                registry=holder.registry,
                uid=holder.uid,
                field=relation.name,
                target=record.uid,
                is_present=is_present,
            )
            commands.append(command)
        handler = holder._source.ledger.handler
        with handler.batch() if len(commands) > 1 else nullcontext():
            for command in commands:
                holder._perform(command)


def _with_article(title: str) -> str:
    return f"an {title}" if title[0] in "AEIO" else f"a {title}"
