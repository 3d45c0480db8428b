"""The answers of the page as plain data: what a user of the library can ask, as of any point.

1. Every answer is of one position, which it names.
2. Text is escaped here as everywhere: control and direction characters become escapes.
3. Whole numbers that a browser would round, and numbers that JSON does not have, become text.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from ledger.display.rows import values_text
from ledger.errors import InvalidValueError, NotFoundError, printable
from ledger.model.schema import FieldSpec, RegistrySpec
from ledger.model.times import to_datetime
from ledger.past.lineage_walk import rows_where
from ledger.past.points import resolve
from ledger.past.readable_events import newest_first
from ledger.past.timeline import Timeline
from ledger.past.timeline import timeline as timeline_of
from ledger.places.instance import Ledger
from ledger.places.kinds import record_class
from ledger.places.source import Source
from ledger.registries import all_registries
from ledger.registries.registry import Registry
from ledger.registries.views import narrowed
from projections.select import Select

_EXACT = 2**53  # from here on a browser rounds whole numbers
_MOST_FACETS = 12
_SHORT = 64  # characters: texts of a field this short are words to choose from
_STATES = ("live", "trashed", "withdrawn", "erased")
_MOST_LINKED = 50
_MOST_SEARCHED = 200  # characters

Json = dict[str, Any]


def plain(value: Any) -> Any:  # noqa: PLR0911 (one a kind)
    """Return a value as JSON can hold it and a page can show it."""
    match value:
        case None | bool():
            return value
        case int():
            return value if -_EXACT < value < _EXACT else str(value)
        case float():
            is_number = value == value and abs(value) != float("inf")  # noqa: PLR0124 (nan)
            return value if is_number else str(value)
        case dt.datetime():
            return value.isoformat().replace("+00:00", "Z")
        case Mapping():
            return {printable(str(name)): plain(each) for name, each in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(each) for each in value]
        case _:
            return printable(str(value))


def source_at(ledger: Ledger, point: str | None) -> Source:
    """Return where records are read from: the present head, or a point."""
    return Source(ledger, ledger.head() if point is None else resolve(ledger, point).position)


def words(source: Source) -> dict[str, str]:
    """Return the word of each registry in the plural, as URLs and headings have it."""
    return {f"{spec.short_name or name}s": name for name, spec in source.catalogue.items()}


def overview(source: Source) -> Json:
    """Return the ledger at a glance: names, counts, tags, the last events."""
    ledger, at = source.ledger, source.at
    with ledger.reading() as session:
        head, last = session.log.last()
        counts = {
            word: session.models.count(Select(registry=registry, at=at, catalogue=source.catalogue))
            for word, registry in words(source).items()
        }
    return {
        "name": plain(ledger.place.configuration.name),
        "as_of": at,
        "head": head,
        "last_at": plain(to_datetime(last)) if head else None,
        "counts": counts,
        "registries": {name: spec.title for name, spec in source.catalogue.items()},
        "tags": tags(ledger),
        "events": log(ledger, until=at, limit=12)["items"],
    }


def tags(ledger: Ledger) -> list[Json]:
    """Return every tag with its position, oldest first."""
    with ledger.reading() as session:
        rows = session.models.find("tag")
    return [
        {"name": plain(row["name"]), "position": row["position"], "by": plain(row["actor"])}
        for row in rows
    ]


def moments(ledger: Ledger, buckets: int = 240) -> Json:
    """Return the whole time of the log in slices of equally many events: position and time."""
    found = []
    with ledger.reading() as session:
        head, last = session.log.last()
        step = max(1, -(-head // max(1, min(buckets, 1_000))))
        for position in [*range(1, head, step), *([head] if head else [])]:
            (entry,) = session.log.entries(after=position - 1, until=position, limit=1)
            found.append([position, entry.envelope.recorded_at // 1_000])
    return {
        "head": head,
        "last_at": plain(to_datetime(last)) if head else None,
        "moments": found,
        "tags": tags(ledger),
    }


def point(ledger: Ledger, text: str | None) -> Json:
    """Return the position that a point means, and its time."""
    found = resolve(ledger, "now" if text is None else text)
    return {
        "position": found.position,
        "recorded_at": plain(found.recorded_at),
        "is_now": found.position == ledger.head(),
    }


def search(source: Source, text: str, limit: int) -> Json:
    """Return the best matches of a text in all registries, the best of each first."""
    if len(text) > _MOST_SEARCHED:
        raise InvalidValueError(
            f"search: expected at most {_MOST_SEARCHED} characters, got {len(text):,}"
        )
    found = all_registries.search(source, text, limit=limit) if text.strip() else {}
    items = [item for records in found.values() for item in rows_of(source, records)]
    return {"as_of": source.at, "items": items}


def rows_of(source: Source, records: Iterable[Any]) -> list[Json]:
    """Return records as rows of a list: what people call them, and a word on each."""
    records = list(records)
    runs = {it._row["transform"] for it in records if it.registry == "run"}
    scripts = {
        row["uid"]: row["key"] or row["name"]
        for row in rows_where(source, "transform", "uid", sorted(runs - {None}))
    }
    return [
        {
            "uid": record.uid,
            "registry": record.registry,
            "name": plain(_called(record._row, scripts)),
            "detail": plain(_detail(record._row)),
            "at": plain(record.created_at),
            "by": plain(record.created_by),
            "is_retracted": record._row.get("retraction") is not None,
            "state": _STATES[record._row.get("state", 0)],
        }
        for record in records
    ]


def _called(row: Json, scripts: Json) -> object:
    return (
        row.get("key")
        or row.get("name")
        or scripts.get(str(row.get("transform")))
        or row.get("description")
        or row["uid"]
    )


def _detail(row: Json) -> str:
    if row.get("params") is not None:
        told = values_text(row["params"]) if row["params"] != "{}" else ""
        return ", ".join(filter(None, (row.get("status"), told)))
    if row.get("size") is not None:
        return f"{row.get('suffix') or ''} {row['size']:,} bytes".strip()
    return str(row.get("description") or row.get("kind") or "")


def listing(  # noqa: PLR0913 (each narrows the list)
    source: Source, registry: str, *, filters: Mapping[str, str], sort: str, after: int, limit: int
) -> Json:
    """Return a part of a registry, newest first unless sorted, with values to narrow it by."""
    spec = source.spec(registry)
    text = filters.get("q", "")
    query = Registry(record_class(registry), source).filter()
    for name, value in filters.items():
        if name != "q":
            query = query.filter(**{name: _typed(spec, name, value)})
    ordered = query.order_by(sort) if sort else query.reverse()
    if text:
        records: Sequence[Any] = query.search(text[:_MOST_SEARCHED], limit=limit).all()
        total = len(records)
    else:
        records, total = ordered[after : after + limit].all(), query.count()
    following = after + len(records)
    return {
        "as_of": source.at,
        "registry": registry,
        "total": total,
        "items": rows_of(source, records),
        "next": following if following < total else None,
        "facets": _facets(query, spec),
    }


def _typed(spec: RegistrySpec, name: str, value: str) -> object:
    field = spec.require(name)
    if isinstance(field, FieldSpec) and field.kind == "boolean":
        return value == "true"
    if isinstance(field, FieldSpec) and field.kind == "integer":
        if not value.lstrip("-").isdecimal():
            raise InvalidValueError(f"{name}: expected a whole number, got {value!r}")
        return int(value)
    return value


def _facets(query: Any, spec: RegistrySpec) -> Json:
    """Return the values of each field with few short ones, and how many records have them."""
    found = {}
    for field in spec.fields:
        if field.kind != "text" or field.is_virtual or field.name.endswith("_blob"):
            continue
        if field.max_length > _SHORT and not field.is_kept:
            continue
        values = [value for value in query.distinct(field.name) if value]
        if 1 < len(values) <= _MOST_FACETS:
            found[field.name] = [
                [plain(value), query.filter(**{field.name: value}).count()] for value in values
            ]
    return found


def record_of(source: Source, uid: str) -> Any:
    """Return the record with this uid as of the source's position, withdrawn or erased, too.

    Raises:
        NotFoundError: There was none at that position.
    """
    return all_registries.get_ever(source, uid)


def record(source: Source, uid: str) -> Json:
    """Return everything about one record: fields, versions, links, retraction."""
    found = record_of(source, uid)
    row, spec = found._row, found.spec
    fields = {
        field.name: plain(getattr(found, field.name))
        for field in spec.fields
        if field.name != "retraction" and not field.is_virtual
    }
    fields["aliases"] = list(found.aliases)
    links = {}
    for relation in spec.relations:
        related = getattr(found, relation.name)
        records = related.filter()[:_MOST_LINKED].all() if relation.is_many else [related]
        items = rows_of(source, [it for it in records if it is not None])
        if items:
            total = related.filter().count() if relation.is_many else 1
            links[relation.name] = {"items": items, "total": total}
    (head,) = rows_of(source, [found])
    return {
        **head,
        "as_of": source.at,
        "title": spec.title,
        "fields": {name: value for name, value in fields.items() if value not in (None, {}, [])},
        "links": links,
        "family": _family(found),
        "created": {
            "position": row["created_position"],
            "at": plain(found.created_at),
            "by": plain(found.created_by),
        },
        "retraction": plain(row.get("retraction")),
        "has_lineage": spec.name in {"artifact", "collection", "run"},
    }


def _family(found: Any) -> list[Json]:
    if not found.spec.is_versioned:
        return []
    return [
        {"uid": it.uid, "version": plain(it._row.get("version")), "at": plain(it.created_at)}
        for it in found._family().with_trash()
    ]


def timeline(source: Source, uid: str, direction: str) -> Timeline:
    """Return the timeline of the lineage of a record's family, as `ledger.past.timeline` has it."""
    return timeline_of(record_of(source, uid), direction=direction)


def history(source: Source, uid: str) -> Json:
    """Return every change of a record, newest first, field by field."""
    found = record_of(source, uid)
    items = [
        {
            "position": entry.position,
            "recorded_at": plain(entry.recorded_at),
            "actor": plain(entry.actor),
            "run": entry.run,
            "type": entry.type,
            "changes": {name: [plain(a), plain(b)] for name, (a, b) in entry.changes.items()},
        }
        for entry in found.history()
    ]
    return {"as_of": source.at, "items": items[::-1]}


def log(  # noqa: PLR0913 (each narrows the log)
    ledger: Ledger,
    *,
    since: Any = None,
    until: Any = None,
    registry: str | None = None,
    actor: str | None = None,
    run: str | None = None,
    limit: int = 100,
) -> Json:
    """Return events as people read them, newest first; `next` is the position to go on at."""
    which = narrowed(ledger, registry=registry, run=run, actor=actor, since=since, until=until)
    found = list(islice(newest_first(ledger, which), limit + 1))
    items = [
        {
            "position": it.position,
            "recorded_at": plain(it.recorded_at),
            "actor": plain(it.actor),
            "run": it.run,
            "type": it.type,
            "registry": it.registry,
            "uid": plain(it.uid),
            "summary": plain(it.summary),
        }
        for it in found[:limit]
    ]
    return {"items": items, "next": items[-1]["position"] - 1 if len(found) > limit else None}


def registry_called(source: Source, word: str) -> str:
    """Return the registry that a word of a URL means.

    Raises:
        NotFoundError: None does.
    """
    found = words(source).get(word)
    if found is None:
        raise NotFoundError(f"no registry '{word}'; there are {', '.join(words(source))}")
    return found
