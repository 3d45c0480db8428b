"""Rows of records joined with their typed values, in the form of events.

A row gains one item for each field that has a value, under the name by which events hold it; that
of a reference is the uid of the record, or a list of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ledger.model.schema import FieldSpec, RegistrySpec, RelationSpec
from ledger.model.values import of_columns
from projections.store import ReadModels, Row

# Kind of a field to the kind of its type.
_KINDS = {
    "integer": "int", "real": "float", "text": "str", "boolean": "bool", "date": "date",
    "time": "datetime", "json": "dict",
}  # fmt: skip
_CHUNK = 5_000


def with_values(
    models: ReadModels, spec: RegistrySpec, rows: list[Row], *, at: int | None
) -> list[Row]:
    """Return rows of a registry that the ledger defines with the values of their fields."""
    valued = {it.values: it for it in spec.fields if it.values is not None}
    # The way back from a reference to the own registry goes over the same links.
    referring = {
        it.link: it
        for it in spec.relations
        if it.link is not None and it.is_reference and not it.is_reverse
    }
    for row, found in _found(models, rows, list(referring), bool(valued), at):
        for field in valued.values():
            row[field.column] = of_rows(field, found.get(str(field.values), ()))
        for relation in referring.values():
            ends = [it["target"] for it in found.get(str(relation.link), ())]
            row[str(relation.column)] = (ends[0] if ends else None) if relation.is_single else ends
    return rows


def features_of(
    models: ReadModels, spec: RegistrySpec, uids: Sequence[str], *, at: int | None
) -> dict[str, dict[str, Any]]:
    """Return the features of some records, in the form of events, by uid and name."""
    rows: list[Row] = [{"uid": uid} for uid in uids]
    links = [it.link for it in spec.features.values() if isinstance(it, RelationSpec) and it.link]
    answer: dict[str, dict[str, Any]] = {}
    for row, found in _found(models, rows, links, True, at):  # noqa: FBT003 (values are wanted)
        own = answer[row["uid"]] = {}
        for name, feature in spec.features.items():
            if isinstance(feature, FieldSpec):
                value = of_rows(feature, found.get(str(feature.values), ()))
            else:
                ends = [it["target"] for it in found.get(str(feature.link), ())]
                value = (ends[0] if ends else None) if feature.is_single else ends
            if value is not None and value != []:
                own[name] = value
    return answer


def _found(
    models: ReadModels,
    rows: Sequence[Row],
    links: Sequence[str],
    has_values: bool,  # noqa: FBT001 (inside)
    at: int | None,
) -> Iterator[tuple[Row, dict[str, list[Row]]]]:
    """Yield each row with the rows of its values and links, by field."""
    for start in range(0, len(rows), _CHUNK):
        some = rows[start : start + _CHUNK]
        uids = [row["uid"] for row in some]
        by_uid: dict[str, dict[str, list[Row]]] = {uid: {} for uid in uids}
        if has_values:
            for value in models.values(uids, at=at):
                by_uid[value["subject"]].setdefault(value["field"], []).append(value)
        if links:
            held = models.links(links, uids, onward=True, at=at)
            held.sort(key=lambda it: (it["ordinal"], it["target"]))
            for it in held:
                by_uid[it["source"]].setdefault(it["field"], []).append(it)
        for row in some:
            yield row, by_uid[row["uid"]]


def of_rows(field: FieldSpec, rows: Sequence[Row]) -> Any:
    """Return the value that its rows in the table `value` hold, in the form of events."""
    values = [_of_row(field, row) for row in rows]
    if field.is_list:
        return [value for value in values if value is not None]
    return values[0] if values else None


def _of_row(field: FieldSpec, row: Row) -> Any:
    try:
        return of_columns(_KINDS[field.kind], row)
    except (TypeError, ValueError):
        return None  # of the type before: it is about to be replaced
