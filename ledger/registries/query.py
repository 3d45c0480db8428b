"""Queries: `filter(...)` makes a `QuerySet`, and each question to it runs one statement.

A query set is lazy and immutable: every method that narrows or orders returns another one. It
asks the database each time it is iterated, counted or indexed; the database does all filtering.
Bound to a position, it answers as of that position.
"""

from __future__ import annotations

import keyword
import sys
import unicodedata
from collections.abc import Iterator
from typing import Any, SupportsIndex, overload

import msgspec

from ledger.decisions.facts import erased_error
from ledger.errors import (
    InvalidValueError,
    MultipleResultsError,
    NotFoundError,
    UnknownFieldError,
    nearest,
)
from ledger.model.canonical import asked
from ledger.model.schema import ERASED, FieldSpec, RegistrySpec
from ledger.places.source import Source
from ledger.registries.lookups import Q, conditions
from ledger.registries.results import R, RecordList, Results
from ledger.registries.vocabulary import expanded
from projections.select import EVERYTHING, And, Order, Select, Test, Where

NAMES = ("key", "name")  # by which a family is asked for as one record
_TELLING = 3  # characters that a mistyped uid or name shares with the right one
_LOOKED_AT = 200  # names among which the nearest are chosen
_LONGEST_SEARCHED = 4_096  # characters: no text that a search looks into is longer


class QuerySet(Results[R]):
    """Records of a registry that pass a condition, in an order."""

    def __init__(self, kind: type[R], source: Source, select: Select) -> None:
        self._kind = kind
        self._source = source
        self._select = select
        self.registry = select.registry
        self._listed: tuple[tuple[int, int], int] | None = None

    @property
    def _spec(self) -> RegistrySpec:
        """The description of its registry, at its position."""
        return self._source.spec(self.registry)

    # --- narrowing ------------------------------------------------------------------------------

    def filter(self, *queries: Q, **lookups: object) -> QuerySet[R]:
        """Return the records that pass every condition, in Django's spelling.

        Raises:
            UnknownFieldError: A lookup names no field or relation.
            InvalidValueError: A value is not of its field's kind.
        """
        if "is_trashed" in lookups and self._select.trash == "without":
            return self.with_trash().filter(*queries, **lookups)
        self._refuse_sliced("filter")
        try:
            lookups = expanded(self._source, self._spec, lookups)
            where = conditions(self._spec, queries, lookups)
        except UnknownFieldError:
            # It may have been defined since anybody asked.
            if not self._source.ledger.catalogues.look():
                raise
            lookups = expanded(self._source, self._spec, lookups)
            where = conditions(self._spec, queries, lookups)
        return self._narrowed(where)

    def exclude(self, *queries: Q, **lookups: object) -> QuerySet[R]:
        """Return the records that fail at least one of the conditions."""
        self._refuse_sliced("exclude")
        return self._narrowed((~Q(*queries, **lookups)).where(self._spec))

    def with_trash(self) -> QuerySet[R]:
        """Return the same query, with the records in the trash included."""
        return self._with(trash="with")

    def order_by(self, *fields: str) -> QuerySet[R]:
        """Return the records ordered by fields; `-name` for descending order.

        Records with equal values stay in the order of their creation.
        """
        self._refuse_sliced("order_by")
        spec = self._spec
        order = []
        for field in fields:
            if not isinstance(field, str):
                raise InvalidValueError(f"order_by: expected names of fields, got {field!r}")
            name = field.removeprefix("-")
            found = spec.require(name)
            if not isinstance(found, FieldSpec) or found.is_virtual:
                names = ", ".join(it.name for it in spec.fields if not it.is_virtual)
                raise InvalidValueError(
                    f"{spec.title}: cannot order by '{name}', which no column holds; "
                    f"there are {names}, created_at, updated_at"
                )
            order.append(Order(name, descending=field.startswith("-")))
        return self._with(order=tuple(order), reverse=False)

    def reverse(self) -> QuerySet[R]:
        """Return the records in the opposite order."""
        self._refuse_sliced("reverse")
        return self._with(reverse=not self._select.reverse)

    @overload
    def distinct(self) -> QuerySet[R]: ...
    @overload
    def distinct(self, field: str) -> list[Any]: ...
    def distinct(self, field: str | None = None) -> QuerySet[R] | list[Any]:
        """Return the distinct values of a field; without a field the query, always distinct."""
        if field is None:
            return self
        self._refuse_sliced("distinct")
        found = self._spec.require(field)
        if not isinstance(found, FieldSpec) or found.is_virtual:
            raise InvalidValueError(f"distinct: '{field}' is no plain field")
        values: list[Any] = self._source.ask(lambda models: models.distinct(self._asked(), field))
        return [self._kind._shown(found, value) for value in values]

    def search(self, text: str, *, limit: int = 20) -> RecordList[R]:
        """Return the records of this query that match a text best, best first."""
        from ledger.registries.text_search import search  # noqa: PLC0415

        self._refuse_sliced("search")
        if not isinstance(text, str):
            raise InvalidValueError(f"search: expected text, got {type(text).__name__} {text!r}")
        text = asked("search", text)
        if len(text) > _LONGEST_SEARCHED:
            raise InvalidValueError(
                f"search: expected at most {_LONGEST_SEARCHED:,} characters, got {len(text):,}"
            )
        if not _is_number(limit) or limit < 0:
            raise InvalidValueError(f"search(limit=): expected 0 or more, got {limit!r}")
        return RecordList(self.registry, search(self, text, limit=limit))

    # --- asking ---------------------------------------------------------------------------------

    def count(self) -> int:
        """Return the number of records."""
        total: int = self._source.ask(lambda models: models.count(self._asked()))
        if not self._is_sliced:
            return total
        left = max(0, total - self._select.offset)
        return left if self._select.limit is None else min(left, self._select.limit)

    def __iter__(self) -> Iterator[R]:
        records = self._fetch()
        self._listed = _asker(), len(records)
        return self._handed(records)

    def _handed(self, records: list[R]) -> Iterator[R]:
        self._listed = None
        yield from records

    def __len__(self) -> int:
        # `list(query)` iterates, and then asks for the length before it takes the first record.
        listed, self._listed = self._listed, None
        return listed[1] if listed is not None and listed[0] == _asker() else self.count()

    def exists(self) -> bool:
        """Return whether there is any record; reads one at most, and counts nothing."""
        select = msgspec.structs.replace(self._asked(), order=(), reverse=False)
        if select.limit != 0:
            select = msgspec.structs.replace(select, limit=1)
        return bool(self._source.ask(lambda models: models.select(select)))

    def last(self) -> R | None:
        """Return the last record; None if there is none."""
        if self._is_sliced:
            return super().last()
        return self.reverse().first()

    @overload
    def __getitem__(self, index: int) -> R: ...
    @overload
    def __getitem__(self, index: slice) -> QuerySet[R]: ...
    def __getitem__(self, index: int | slice) -> R | QuerySet[R]:
        if isinstance(index, slice):
            return self._sliced(index)
        if not _is_number(index):
            raise InvalidValueError(f"index of a query: expected a whole number, got {index!r}")
        if index < 0:
            return self.all()[index]
        found = self._sliced(slice(index, index + 1))._fetch()
        if not found:
            raise IndexError(f"{self.registry} query has {self.count()} records, none at {index}")
        return found[0]

    def get(self, uid: str | int | None = None, **lookups: object) -> R:
        """Return the one record with this uid, unique beginning of a uid, id, or these fields.

        Raises:
            NotFoundError: There is none; the message names the nearest.
            MultipleResultsError: The beginning of a uid, or the fields, match several records.
        """
        if uid is not None:
            if lookups:
                raise InvalidValueError(
                    f"get: expected a uid or fields, got both: {uid!r} and {', '.join(lookups)}"
                )
            given: object = uid
            # Text first: to ask for a protocol costs as much as a tenth of the answer.
            if isinstance(given, str) and given:
                return self._by_uid(given)
            if isinstance(given, bool) or not isinstance(given, SupportsIndex):
                raise InvalidValueError(
                    f"get: expected a uid or its beginning as text, or an id, got {given!r}"
                )
            return self.get(id=given)
        if not lookups:
            raise InvalidValueError("get: expected a uid or a field, got neither")
        if "key" in lookups and self._spec.has_keys:
            return self._by_key(lookups)
        return self._by_fields(lookups)

    def _by_fields(self, lookups: dict[str, object]) -> R:
        found = self.filter(**lookups)._fetch(2)
        if len(found) == 1:
            return found[0]
        if found and lookups.keys() <= {*NAMES} and (latest := self._one_family(lookups)):
            return latest
        title = self._spec.title
        shown = ", ".join(f"{name}={value!r}" for name, value in lookups.items())
        if not found:
            if lookups.keys() == {"name"} and (other := self._merged("name", lookups["name"])):
                return other
            raise NotFoundError(
                f"{title} with {shown}: not in this ledger{self._nearest(lookups)}", **lookups
            )
        raise MultipleResultsError(
            f"{title} with {shown}: {self.filter(**lookups).count()} records; "
            "use filter() for all of them"
        )

    def _by_uid(self, uid: str) -> R:
        self._refuse_sliced("filter")
        # A whole uid finds its record in the trash, too.
        exact = self._narrowed(Test(("uid",), "exact", asked("get", uid)), trash="with")._fetch(1)
        if exact:
            return exact[0]
        everywhere = self.with_trash()
        title = self._spec.title
        found = everywhere.filter(uid__startswith=uid)._fetch(4)
        if len(found) == 1:
            return found[0]
        if found:
            # A family counts as one record: its common beginning means the latest version.
            stems = {record.uid[: self._spec.uid_length] for record in found}
            if self._spec.is_versioned and len(stems) == 1 and len(uid) >= len(next(iter(stems))):
                return self._latest(uid__startswith=uid)
            raise MultipleResultsError(
                f"{title} '{uid}': several uids begin so: "
                f"{', '.join(record.uid for record in found[:3])}…; give more digits"
            )
        if other := self._merged("uid", uid) or self._aliased(uid):
            return other
        for row in self._source.ask(lambda it: it.find(self.registry, uid=uid, state=ERASED)):
            raise erased_error(self.registry, row)
        raise NotFoundError(f"{title} '{uid}': no record has this uid{self._way_out(uid)}", uid=uid)

    def _way_out(self, uid: str) -> str:
        """Return the end of the message for a uid that no record has."""
        everywhere = self.with_trash()
        for field in NAMES:
            if self._spec.field(field) is None:
                continue
            if everywhere.filter(**{field: uid})._fetch(1):
                return f"; it is a {field}: get({field}={uid!r})"
        if len(uid) >= _TELLING:
            near = everywhere.filter(uid__startswith=uid[:_TELLING])._fetch(3)
            if near:
                return f"; nearest: {', '.join(record.uid for record in near)}"
        return "; get(key=…) asks for a key" if self._spec.has_keys else ""

    def _nearest(self, lookups: dict[str, object]) -> str:
        """Return the end of the message for a key or name that no record has.

        Only names with the same beginning are looked at, so that it costs little to ask for many
        names of which few are there.
        """
        for field, value in lookups.items():
            if field in NAMES and isinstance(value, str) and len(value) >= _TELLING:
                begins = {f"{field}__startswith": asked("get", value)[:_TELLING]}
                records = self.filter(**begins)._fetch(_LOOKED_AT)
                names = dict.fromkeys(record._row[field] for record in records)
                near = nearest(value, [name for name in names if name])
                return f"; nearest: {', '.join(map(repr, near))}" if near else ""
        return ""

    def _latest(self, **lookups: object) -> R:
        """Return the latest version of those that pass: a live one, if there is any."""
        live = self._with(trash="without").filter(**lookups)
        for query in (live.filter(is_latest=True), live):
            found = query.last()
            if found is not None:
                return found
        return self.with_trash().filter(**lookups).reverse()[0]

    def _one_family(self, lookups: dict[str, object]) -> R | None:
        """Return the latest of the versions that pass; None if they are of several families."""
        spec = self._spec
        if not spec.is_versioned:
            return None
        self._refuse_sliced("get")
        stems = {str(uid)[: spec.uid_length] for uid in self.filter(**lookups).distinct("uid")}
        return self._latest(**lookups) if len(stems) == 1 else None

    def _merged(self, field: str, value: object) -> R | None:
        """Return the survivor of a merged record with this uid or name; None if there is none."""
        if not self._spec.is_named or not isinstance(value, str):
            return None
        from ledger.past.merged_labels import survivor_uid  # noqa: PLC0415 (few records were merged)

        uid = survivor_uid(self._source, self.registry, field=field, value=value)
        return None if uid is None else self.with_trash().filter(uid=uid).first()

    def _aliased(self, text: str) -> R | None:
        """Return the record that is called so in another tool; None if none is."""
        from ledger.registries.aliases import uid_of_alias  # noqa: PLC0415 (few come from elsewhere)

        uid = uid_of_alias(self._source, self.registry, text)
        return None if uid is None else self.with_trash().filter(uid=uid).first()

    def _by_key(self, lookups: dict[str, object]) -> R:
        key = lookups["key"]
        if not isinstance(key, str):
            raise InvalidValueError(f"get(key=): expected text, got {type(key).__name__} {key!r}")
        key = asked("get(key=)", key)
        others = {name: value for name, value in lookups.items() if name != "key"}
        everywhere = self.with_trash()
        for pointer in self._pointers(key):
            found = self.filter(uid=pointer["uid"], **others)._fetch(1)
            if found:
                vars(found[0])["_asked_key"] = key  # Its suffix says how to read the content.
                return found[0]
            # Where the key points at a record in the trash, the one before is meant.
            if not everywhere.filter(uid=pointer["uid"], is_trashed=True).exists():
                break
        raise NotFoundError(
            f"Artifact with key {key!r}: no key of this name points at one"
            f"{self._nearest({'key': key})}",
            key=key,
        )

    def _pointers(self, key: str) -> Iterator[dict[str, Any]]:
        """Yield where a key points, then where it pointed before, the last first."""
        at = self._source.at
        now = self._source.ask(lambda models: models.find("artifact_key", at=at, key=key))
        yield from now
        if now:
            ever = self._source.ask(lambda it: it.find("artifact_key", at=at, ever=True, key=key))
            first = now[0]["from_position"]
            earlier = [row for row in ever if row["from_position"] < first]
            yield from sorted(earlier, key=lambda row: -row["from_position"])

    def lookup(self, field: str | None = None) -> Lookup:
        """Return an object with one attribute a record, for tab completion."""
        name = field or ("key" if self._spec.has_keys else "name")
        return Lookup(self, name)

    def as_of(self, point: Any) -> QuerySet[R]:
        """Return the same query as of a point (position, datetime, run or tag), inclusive.

        Raises:
            InvalidValueError: The point is in the future, or a datetime without a time zone.
            NotFoundError: No tag and no run has this name.
        """
        from ledger.past.points import resolve  # noqa: PLC0415 (few queries look back)

        ledger = self._source.ledger
        source = Source(ledger, resolve(ledger, point).position)
        return QuerySet(self._kind, source, self._select)

    # --- inside ---------------------------------------------------------------------------------

    def _fetch(self, limit: int | None = None) -> list[R]:
        select = self._asked()
        if limit is not None and (select.limit is None or select.limit > limit):
            select = msgspec.structs.replace(select, limit=limit)
        rows = self._source.ask(lambda models: models.select(select))
        return [self._kind._from_row(row, self._source) for row in rows]

    def _newest(self, limit: int) -> list[R]:
        is_plain = not self._select.order and not self._is_sliced
        is_turned = is_plain and self._spec.called_by is not None
        return (self.reverse() if is_turned else self)._fetch(limit)

    def _asked(self) -> Select:
        catalogue = self._source.catalogue_with(self.registry)
        return msgspec.structs.replace(self._select, at=self._source.at, catalogue=catalogue)

    def _with(self, **changes: object) -> QuerySet[R]:
        return QuerySet(self._kind, self._source, msgspec.structs.replace(self._select, **changes))

    def _narrowed(self, where: Where, **changes: object) -> QuerySet[R]:
        if self._select.where is not EVERYTHING:
            where = And((self._select.where, where))
        return self._with(where=where, **changes)

    def _sliced(self, part: slice) -> QuerySet[R]:
        start, stop, step = part.start or 0, part.stop, part.step
        fits = all(end is None or (_is_number(end) and end >= 0) for end in (start, stop))
        if not fits or step not in (None, 1):
            raise InvalidValueError(
                f"slice of a query: expected [a:b] without step, counted from the front, got "
                f"[{part.start}:{part.stop}:{part.step}]; reverse() counts from the end"
            )
        room = self._select.limit
        length = None if stop is None else max(0, stop - start)
        if room is not None:
            left = max(0, room - start)
            length = left if length is None else min(left, length)
        return self._with(offset=self._select.offset + start, limit=length)

    @property
    def _is_sliced(self) -> bool:
        return self._select.limit is not None or self._select.offset > 0

    def _refuse_sliced(self, verb: str) -> None:
        if self._is_sliced:
            raise InvalidValueError(f"{verb}: a slice was taken already; {verb} first, then slice")


def _asker() -> tuple[int, int]:
    """Return the frame that asked the method which calls this, and its place in the code."""
    frame = sys._getframe(2)
    return id(frame), frame.f_lasti


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


class Lookup:
    """Records as attributes, for tab completion: `ULabel.lookup().my_project_1`."""

    def __init__(self, query: QuerySet[Any], field: str) -> None:
        self._records: dict[str, Any] = {}
        query._spec.require(field)
        for record in query:
            value = getattr(record, field)
            if value is None:
                continue
            name = _identifier(str(value))
            # If two names give one attribute, the later one gets its uid appended.
            self._records[name if name not in self._records else f"{name}_{record.uid}"] = record

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._records[name]
        except KeyError:
            raise NotFoundAttributeError(f"lookup has no '{name}'") from None

    def __dir__(self) -> list[str]:
        return sorted(self._records)

    def __repr__(self) -> str:
        return f"<Lookup of {len(self._records):,} records: press tab>"


class NotFoundAttributeError(NotFoundError, AttributeError):
    """A lookup has no record of this name."""

    code = "not-found-attribute"


def _identifier(text: str) -> str:
    # Python reads names as NFKC: an attribute in another spelling could never be typed.
    plain = unicodedata.normalize("NFKC", text.casefold())
    name = "".join(c if f"_{c}".isidentifier() else "_" for c in plain).strip("_")
    if not name.isidentifier():
        name = f"n{name}"
    return f"{name}_" if keyword.iskeyword(name) else name
