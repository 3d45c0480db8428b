"""References as people read them: the names of the records that they lead to."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.model.schema import RegistrySpec, RelationSpec
from ledger.places.source import Source
from projections.select import Select, Test

if TYPE_CHECKING:
    from ledger.places.kinds import AnyRecord


def shown_rows(records: Sequence[Any]) -> list[dict[str, Any]]:
    """Return the rows of records of one registry, with references as people read them."""
    rows = [record._row for record in records]
    if not records or not records[0].spec.is_defined:
        return rows
    return with_names(records[0]._source, records[0].spec, rows)


def with_names(
    source: Source,
    spec: RegistrySpec,
    rows: Sequence[dict[str, Any]],
    relations: Sequence[RelationSpec] | None = None,
) -> list[dict[str, Any]]:
    """Return rows in which references are names of records, as people read them."""
    shown = [dict(row) for row in rows]
    for relation in spec.relations if relations is None else relations:
        if not relation.is_reference or relation.is_reverse:
            continue
        held = str(relation.column)
        ends = [_uids(row.get(held)) for row in shown]
        wanted = tuple(dict.fromkeys(uid for uids in ends for uid in uids))
        select = Select(
            registry=relation.target,
            where=Test(("uid",), "in", wanted),
            at=source.at,
            catalogue=source.catalogue,
            trash="with",
        )
        found = source.ask(partial(_selected, select))
        names = {row["uid"]: row.get("name") or row.get("key") or row["uid"] for row in found}
        for row, uids in zip(shown, ends, strict=True):
            called = [names.get(uid, uid) for uid in uids]
            row[held] = (called[0] if called else None) if relation.is_single else called
            row[relation.name] = row[held]
    return shown


def with_caller(records: Sequence[AnyRecord]) -> list[dict[str, Any]]:
    """Return the rows of records of one registry, for tables.

    Where people know them by another record (`RegistrySpec.called_by`), its key or name stands
    under the name of that relation, in the place of its uid.
    """
    rows = [dict(row) for row in shown_rows(records)]
    relation = records[0].spec.relation(records[0].spec.called_by or "") if records else None
    if relation is None:
        return rows
    source, held = records[0]._source, str(relation.column)
    select = Select(
        registry=relation.target,
        where=Test(("uid",), "in", tuple({row[held] for row in rows if row.get(held)})),
        at=source.at,
        catalogue=source.catalogue,
        trash="with",
    )
    found = source.ask(partial(_selected, select))
    names = {row["uid"]: row.get("key") or row.get("name") for row in found}
    for row in rows:
        row[relation.name] = names.get(row.get(held), row.get(held))
    return rows


def _selected(select: Select, models: Any) -> Any:
    return models.select(select)


def _uids(held: Any) -> list[str]:
    return [held] if isinstance(held, str) else list(held or ())
