"""Descriptions: everything that a person wants to know of one record, as text and as HTML.

1. The first line tells the registry and what people call the record. Below come its fields that
   have a value, then its relations, and the records at their ends as people call them.
2. Nothing is loaded, recorded or warned of.
3. Every text of a user is shown as plain text.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from ledger.display.rows import html_table, plain_text
from ledger.display.tables import shown
from ledger.model.schema import FieldSpec
from ledger.places.kinds import AnyRecord
from ledger.registries.features import told

_MOST = 5  # records of a relation that are told by name
_UNTOLD = {
    "name", "key", "is_latest", "is_trashed", "digest", "storage", "storage_key", "in_place",
    "source", "source_hash", "environment_blob", "modules", "ordinal", "hash_type",
}  # fmt: skip


class Description:
    """What there is to know of one record: `str()` is its text, a notebook shows a table."""

    def __init__(self, title: str, pairs: list[tuple[str, str]]) -> None:
        self._title = title
        self._pairs = pairs

    def __repr__(self) -> str:
        width = max((len(name) for name, _ in self._pairs), default=0)
        lines = [f"  {name.ljust(width)}  {value}".rstrip() for name, value in self._pairs]
        return "\n".join([self._title, *lines])

    def _repr_html_(self) -> str:
        return html_table(self._title, ["", ""], self._pairs, 0)


def describe(record: AnyRecord) -> Description:
    """Return the description of a record, saved or not, as of where it was read."""
    called = _called(record)
    title = f"{record.spec.title} {called}" if called else record.spec.title
    if not record.is_saved:
        return Description(f"{title} (not saved)", _fields(record))
    if record.is_trashed:
        title += " (in the trash)"
    pairs = [("uid", record.uid), *_fields(record)]
    if aliases := record.aliases:
        pairs.append(("aliases", ", ".join(map(shown, aliases))))
    pairs.append(("created", f"{_text(record.created_at)} by {shown(record.created_by)}"))
    if features := told(record):
        pairs.append(("features", ", ".join(f"{name}={_text(it)}" for name, it in features)))
    pairs += _relations(record)
    return Description(title, [(name.replace("_", " "), value) for name, value in pairs])


def called(record: AnyRecord) -> str:
    """Return a uid, and in brackets what people call the record."""
    name = _called(record)
    return f"{record.uid} ({name})" if name else str(record.uid)


def _called(record: AnyRecord) -> str:
    row = {**record._row, **record._assigned}
    name = row.get("name") or row.get("key")
    if not name and record.registry == "run" and (transform := record.transform) is not None:
        name = transform.key or transform.name
    return "" if not name else str(shown(name))


def _fields(record: AnyRecord) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for field in record.spec.fields:
        if field.name in _UNTOLD or field.is_virtual:
            continue
        value = getattr(record, field.name)
        if field.name == "is_declared" and not value:
            continue
        if value is not None and value not in ({}, []):
            pairs.append((field.name, _value(field, value)))
    if record.is_saved and record.spec.has_keys:
        pairs.insert(0, ("key", ", ".join(map(shown, record.keys))))
    elif (key := record._row.get("key")) is not None:
        pairs.insert(0, ("key", shown(key)))
    return [(name, value) for name, value in pairs if value]


def _value(field: FieldSpec, value: Any) -> str:
    return f"{value:,} bytes" if field.name == "size" else _text(value)


def _text(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case dt.datetime():
            return value.strftime("%Y-%m-%d %H:%M:%S UTC")
        case dict() | list():
            return shown(plain_text(value))
        case int():
            return f"{value:,}"
        case _:
            return shown(value)


def _relations(record: AnyRecord) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    if record.spec.is_versioned and (count := record.versions.count()) > 1:
        place = record.versions.filter(id__lte=record.id).count()
        latest = ", the latest" if record.is_latest else ""
        pairs.append(("versions", f"number {place} of {count:,}{latest}"))
    for relation in record.spec.relations:
        found = getattr(record, relation.name)
        if found is None:
            continue
        if not relation.is_many:
            pairs.append((relation.name, called(found)))
        elif (count := found.count()) > 0:
            some = [called(each) for each in found._fetch(_MOST)]
            more = f" and {count - _MOST:,} more" if count > _MOST else ""
            pairs.append((relation.name, ", ".join(some) + more))
    return pairs
