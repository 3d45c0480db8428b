"""Metadata registries: a name identifies each of their records.

A further registry of this kind is a `RegistrySpec` in `ledger.model.schema` and a class of three
lines.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Any, Self

from ledger.decisions.facts import Notice, Row
from ledger.decisions.records import find_named, whereabouts, with_merger
from ledger.display.messages import is_audible, say, table, tell
from ledger.display.rows import short_time
from ledger.engine.foresight import Foresight, of_name
from ledger.errors import InvalidValueError, NotFoundError
from ledger.model.canonical import asked
from ledger.model.commands import Command, MergeRecords, SaveRecord, UndoMerge
from ledger.model.schema import REGISTRIES, WITHDRAWN
from ledger.places import instance
from ledger.places.source import Source, row_of
from ledger.registries import vocabulary
from ledger.registries.base import Record
from ledger.registries.checks import check_reason
from ledger.registries.query import QuerySet
from ledger.registries.registry import registry_method
from ledger.user_settings import settings
from projections.names.normalise import look_alike
from projections.select import Select
from projections.store import ReadModels

SIMILAR_SHOWN = 5


class NamedRecord(Record):
    """A record that is identified by its name.

    Constructing one looks for a record of this name, as there is never a second one. If there is
    none and `settings.creation.search_names` is on, a table shows records with similar names:
    load one of those, or save the new record.
    """

    def __init__(self, name: str | None = None, **fields: object) -> None:
        self._begin()
        for field in fields:
            self.spec.require(field)
        if name is None:
            raise InvalidValueError(f"{self.spec.title}: expected a name, got none")
        self._name = self._checked("name", name)
        given = {field: self._checked(field, value) for field, value in fields.items()}
        existing = self._existing()
        if existing is not None:
            self._row = existing
            self._target: str | None = existing["uid"]
        else:
            self._target = None
            self._row = {"name": self._name}
        self._assigned = given

    def _existing(self) -> dict[str, Any] | None:
        """Return the row of the record with this name, and tell the user about it."""
        handler = self._source.ledger.handler
        recalled = handler.recall("save", [self.registry, self._name])
        if recalled is not None:
            row = row_of(self._source, self.registry, recalled)
            if row is not None:
                moved = whereabouts(self.registry, self._name, self._told(row))
                tell([] if moved is None else [moved])
                return row
        found = self._source.ask(self._find)
        if found is not None:
            moved = whereabouts(self.registry, self._name, found)
            if moved is not None:
                tell([moved])
            elif settings.creation.search_names:
                tell([_existing_notice(self.spec.title, self._name, found["uid"])])
            return row_of(self._source, self.registry, found["uid"])
        show_similar(self, self._name)
        return None

    def _told(self, row: Row) -> Row:
        """Return the row of a recalled record, with the merger that brought the name to it."""
        if row["name"] == self._name:
            return row
        told: Row = self._source.ask(lambda it: with_merger(it, self.registry, self._name, row))
        return told

    def _find(self, models: ReadModels) -> Row | None:
        facts = Foresight(models, of_name(self.registry, self._name) if models.is_far else ())
        return find_named(facts, self.registry, self._name)

    def _creation(self) -> Command:
        fields = {name: value for name, value in self._assigned.items() if name != "name"}
        if self._assigned.get("name", self._name) != self._name:
            if self._target is not None:
                fields["name"] = self._assigned["name"]
            else:
                self._name = self._assigned["name"]
        return SaveRecord(
            registry=self.registry, name=self._name, fields=fields, target=self._target
        )

    # --- as a vocabulary ------------------------------------------------------------------------

    @registry_method
    def validate(cls, values: Iterable[object]) -> list[bool]:
        """Return of each text whether a live record bears it as its name."""
        return cls._registry().validate(values)

    @registry_method
    def standardize(cls, values: Iterable[object]) -> list[str]:
        """Return each text, in the place of synonyms and other letter case the name they mean."""
        return cls._registry().standardize(values)

    @registry_method
    def inspect(cls, values: Iterable[object]) -> vocabulary.Inspection:
        """Return the texts sorted: names, synonyms, similar to names, unknown."""
        return cls._registry().inspect(values)

    def ancestors(self) -> QuerySet[Self]:
        """Return the records above this one, over its parents, at its position."""
        return self._followed(onward=True)

    def descendants(self) -> QuerySet[Self]:
        """Return the records below this one, over its children, at its position."""
        return self._followed(onward=False)

    def _followed(self, *, onward: bool) -> QuerySet[Self]:
        uids = vocabulary.followed(self._source, self.registry, [self.uid], onward=onward)
        query = QuerySet(type(self), self._source, Select(registry=self.registry))
        return query.filter(uid__in=uids)

    def merge_into(self, other: Self, *, reason: str | None = None) -> Self:
        """Merge this record into `other`, and return the survivor.

        From now on the name and the links of this record lead to `other`, in scripts too. In the
        past the two stay apart; `undo_merge()` separates them again. This object becomes the
        survivor.

        Raises:
            InvalidValueError: `other` is no saved record of this registry, or this one.
            CommandRejectedError: One of the two is in the trash.
        """
        self._refuse_view("merge_into()")
        if not isinstance(other, type(self)):
            raise InvalidValueError(f"merge_into: expected a {self.spec.title}, got {other!r}")
        why = None if reason is None else check_reason(reason, "merge_into")
        self._perform(
            MergeRecords(registry=self.registry, uid=self.uid, into=other.uid, reason=why)
        )
        return other

    @registry_method
    def undo_merge(cls, merged: str) -> Self:
        """Separate a merged record again, by its uid or its name, and return it.

        Its links lead to it again, except those that the survivor lost meanwhile.

        Raises:
            NotFoundError: No record of this uid or name was merged.
            NameTakenError: Another record took its name meanwhile.
        """
        source = Source(instance.current())
        uid = merged_uid(source, cls.registry, merged)
        outcome = source.ledger.handler.perform(UndoMerge(registry=cls.registry, uid=uid))
        row = row_of(source, cls.registry, outcome.uid)
        return cls._from_row(row or {}, source)


def merged_uid(source: Source, registry: str, merged: str) -> str:
    """Return the uid of the record that was merged away last under this uid or name.

    Raises:
        NotFoundError: There is none.
    """
    merged = asked("undo_merge", merged)
    rows = source.ask(
        lambda models: [
            row
            for equals in ({"uid": merged}, {"name": merged})
            for row in models.find(registry, **equals, state=WITHDRAWN)
            if models.find("merger", uid=row["uid"])
        ]
    )
    if not rows:
        raise NotFoundError(
            f"{REGISTRIES[registry].title} '{merged}': no record of this uid or name was merged",
            merged=merged,
        )
    return str(rows[-1]["uid"])


def _existing_notice(title: str, name: str, uid: str) -> Notice:
    return Notice("info", f"returning the existing {title} '{name}' ({uid})")


def show_similar(record: Record, name: str) -> None:
    """Show a table of records with similar names, most similar first, if the user wants it."""
    if not settings.creation.search_names or not is_audible("warning"):
        return
    search = record._source.ledger.name_search(record.registry)
    similar = search.similar(name, limit=SIMILAR_SHOWN)
    if not similar.hits:
        return
    title = record.spec.title
    several = len(similar.hits) + similar.more > 1
    noun = "records with similar names exist" if several else "a record with a similar name exists"
    say("warning", f"{noun}! did you mean to load {'one of them' if several else 'it'}?")
    rows = [similar_row(record._source, record.registry, hit.uid) for hit in similar.hits]
    table("warning", ["uid", "name", "description", "run", "created by", "created at"], rows)
    for hit in similar.hits:
        letter = look_alike(name, hit.name)
        if letter is not None:
            say(
                "warning",
                f"'{name}' and '{hit.name}' only look alike: {letter} is "
                f"{unicodedata.name(letter, 'another letter')}",
            )
    if similar.more:
        say("warning", f"and {similar.more:,} more; {title}.search('…') shows them")


def similar_row(source: Any, registry: str, uid: str) -> list[object]:
    """Return the cells by which a person recognises a record of a registry."""
    row = row_of(source, registry, uid) or {"uid": uid}
    return [
        row["uid"],
        row.get("name"),
        row.get("description"),
        row.get("run"),
        row.get("created_by"),
        short_time(row.get("created_at")),
    ]
