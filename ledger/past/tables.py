"""A ledger at a position as tables for analysts: docs/analysts.md names each column.

1. One table a registry, those that the ledger defines included; then what records are linked to
   (`link`), keys (`artifact_key`), names in other tools (`alias`), features and synonyms (`value`),
   named points (`tag`), and the log (`event`).
2. A table of a registry holds what `filter()` finds there: no record in the trash.
3. With history, a row is what was so from one position until before another, and records in the
   trash are there too. A record that was withdrawn or erased ends there; what was erased is gone.
4. Columns do not depend on the rows: uids are text, times are UTC to the microsecond, and what has
   parts of its own is text in JSON.
5. All of it is as of one position, however long it takes and whoever writes meanwhile.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.errors import StorageError
from ledger.model.canonical import encode
from ledger.model.events import Erasure, RecordedEvent, tag_of
from ledger.model.parameters import json_ready, plain_fields
from ledger.model.payloads import kept_part
from ledger.model.schema import LIVE, TRASHED, FieldSpec, RegistrySpec, RelationSpec
from ledger.model.times import to_datetime
from ledger.past.readable_events import subject_of
from ledger.places.source import Source
from projections.arrow import joined, table_of, typed_array
from projections.fold import registry_of
from projections.select import Select
from projections.with_values import of_rows

if TYPE_CHECKING:
    from ledger.places.instance import Ledger
    from projections.store import Row

Columns = dict[str, tuple[str, list[Any]]]

OTHERS = ("link", "artifact_key", "alias", "value", "tag", "event")
_BATCH = 10_000  # events that are plain data at the same time
_CONDITIONS = (LIVE, TRASHED)


def each_table(
    ledger: Ledger, position: int, *, has_history: bool = False
) -> Iterator[tuple[str, str, Any]]:
    """Yield each table as of a position: its name, its registry or "", and a `pyarrow.Table`.

    One of them is in memory at a time, if the caller keeps none.

    Raises:
        StorageError: Something was erased meanwhile, and what was yielded before may show it.
    """
    began = ledger.head()
    source = Source(ledger, position)
    specs = {name: source.spec(name) for name in source.names}
    values, links = _Held(), _Held()
    if has_history and any(spec.is_defined for spec in specs.values()):
        values = _Held(source.ask(lambda it: it.find("value", at=position, ever=True)), "subject")
        links = _Held(source.ask(lambda it: it.find("link", at=position, ever=True)), "source")
    for registry, spec in specs.items():
        rows = _ever(source, spec, values, links) if has_history else _then(source, spec)
        table = _of_registry(spec, rows, position, has_history=has_history)
        del rows
        yield name_of(registry), registry, table
    names = _Names(specs.values())
    yield "link", "", _links(source, names, has_history=has_history)
    yield "artifact_key", "", _keys(source, has_history=has_history)
    yield "alias", "", _aliases(source, has_history=has_history)
    yield "value", "", _values(source, names, has_history=has_history)
    yield "tag", "", _tags(source)
    yield "event", "", _events(ledger, position)
    with ledger.reading() as session:
        if any(isinstance(it.event, Erasure) for it in session.log.read(after=began)):
            raise StorageError("tables: something was erased while they were read; read them again")


def name_of(registry: str) -> str:
    """Return the name of a registry's table: its own, unless another table bears that."""
    return f"{registry}_record" if registry in OTHERS else registry


# --- registries ---------------------------------------------------------------------------------


class _Held:
    """Rows of values or links, of all times, by the record that holds them."""

    def __init__(self, rows: Sequence[Row] = (), holder: str = "") -> None:
        self._rows: dict[str, list[Row]] = defaultdict(list)
        for row in rows:
            self._rows[row[holder]].append(row)

    def of(self, uid: str, fields: Mapping[str, Any]) -> list[Row]:
        """Return the rows of some fields that a record holds."""
        return [row for row in self._rows.get(uid, ()) if row["field"] in fields]


def _then(source: Source, spec: RegistrySpec) -> list[Row]:
    question = Select(registry=spec.name, at=source.at, catalogue=source.catalogue)
    rows: list[Row] = source.ask(lambda models: models.select(question))
    return rows


def _ever(source: Source, spec: RegistrySpec, values: _Held, links: _Held) -> list[Row]:
    found = source.ask(lambda models: models.find(spec.name, at=source.at, ever=True))
    rows: list[Row] = [row for row in found if row["state"] in _CONDITIONS]
    if not spec.is_defined:
        return rows
    valued = {str(it.values): it for it in spec.fields if it.values is not None}
    referring = {str(it.link): it for it in spec.relations if it.is_reference and not it.is_reverse}
    pieces: list[Row] = []
    for row in rows:
        own = values.of(row["uid"], valued) + links.of(row["uid"], referring)
        pieces += _pieces(row, own, (valued, referring), at=source.at or 0)
    return pieces


def _pieces(
    row: Row,
    held: Sequence[Row],
    fields: tuple[Mapping[str, FieldSpec], Mapping[str, RelationSpec]],
    *,
    at: int,
) -> Iterator[Row]:
    """Yield a row once for each time in which none of its values changed, with these values."""
    valued, referring = fields
    first, last = row["from_position"], row["to_position"]
    cuts = {it[end] for it in held for end in ("from_position", "to_position")}
    bounds = [first, *sorted(cut for cut in cuts if first < cut < last and cut <= at), last]
    for begin, end in pairwise(bounds):
        there: dict[str, list[Row]] = defaultdict(list)
        for it in held:
            if it["from_position"] <= begin < it["to_position"]:
                there[it["field"]].append(it)
        piece = row | {"from_position": begin, "to_position": end}
        for name, field in valued.items():
            rows = sorted(there.get(name, ()), key=lambda it: str(it["place"]))
            piece[field.column] = of_rows(field, rows)
        for name, relation in referring.items():
            rows = sorted(there.get(name, ()), key=lambda it: (it["ordinal"], it["target"]))
            ends = [it["target"] for it in rows]
            piece[str(relation.column)] = next(iter(ends), None) if relation.is_single else ends
        yield piece


def _of_registry(spec: RegistrySpec, rows: Sequence[Row], at: int, *, has_history: bool) -> Any:
    columns: Columns = {"id": ("integer", [row["created_position"] for row in rows])}
    columns["uid"] = ("text", [row["uid"] for row in rows])
    ready = {}
    for field in spec.fields:
        if field.is_virtual and has_history:
            continue
        values = [row.get(field.column) for row in rows]
        if field.values is not None:
            ready[field.name] = typed_array(field, values)
        elif field.kind == "json":
            values = [it and json_text(plain_fields(msgspec.json.decode(it))) for it in values]
        columns[field.name] = (field.kind, values)
    for relation in spec.relations:
        if relation.is_reverse or relation.column is None:
            continue
        values = [row.get(relation.column) for row in rows]
        is_list = relation.is_reference and not relation.is_single
        columns[relation.name] = (
            ("texts", [value or [] for value in values]) if is_list else ("text", values)
        )
    for name, kind in (("created_at", "time"), ("created_by", "text"), ("updated_at", "time")):
        columns[name] = (kind, [row[name] for row in rows])
    if has_history:
        columns["is_trashed"] = ("boolean", [row["state"] == TRASHED for row in rows])
        columns |= _bounds(rows, at)
    return table_of(columns, ready=ready)


def json_text(value: Any) -> str:
    """Return plain data as text in JSON, on one line."""
    return json.dumps(json_ready(value), ensure_ascii=False)


def _bounds(rows: Sequence[Row], at: int) -> Columns:
    """Return the columns that say when rows were so; an end after `at` is still to come."""
    ends = [row["to_position"] for row in rows]
    return {
        "from_position": ("integer", [row["from_position"] for row in rows]),
        "to_position": ("integer", [end if end <= at else None for end in ends]),
    }


# --- the other tables ---------------------------------------------------------------------------


class _Names:
    """Names that people gave to fields and features, by the names that values and links bear."""

    def __init__(self, specs: Any) -> None:
        self.kinds: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._targets: dict[str, str] = {}
        for spec in specs:
            for prefix, described in (
                ("", [*spec.fields, *spec.relations]),
                ("features.", spec.features.values()),
                ("features.columns.", spec.columns.values()),
            ):
                for it in described:
                    self._take(prefix, it)

    def _take(self, prefix: str, described: FieldSpec | RelationSpec) -> None:
        held = described.values if isinstance(described, FieldSpec) else described.link
        if held is None or (isinstance(described, RelationSpec) and described.is_reverse):
            return
        self._names[held] = prefix + described.name
        if isinstance(described, FieldSpec):
            self.kinds[held] = described.kind
        else:
            self._targets[held] = described.target

    def columns(self, rows: Sequence[Row], holder: str) -> Columns:
        """Return the columns that name registry, uid and field of some rows."""
        held = [row["field"].partition(".") for row in rows]
        names = [self._names.get(row["field"], it[2]) for row, it in zip(rows, held, strict=True)]
        return {
            "registry": ("text", [it[0] for it in held]),
            "uid": ("text", [row[holder] for row in rows]),
            "field": ("text", names),
        }

    def targets(self, rows: Sequence[Row]) -> list[str | None]:
        """Return the registry at the other end of each link."""
        return [self._targets.get(row["field"]) for row in rows]


def _valid(source: Source, table: str, *, has_history: bool) -> list[Row]:
    rows: list[Row] = source.ask(lambda it: it.find(table, at=source.at, ever=has_history))
    return rows


def _bounded(columns: Columns, rows: Sequence[Row], source: Source, *, has_history: bool) -> Any:
    bounds = _bounds(rows, source.at or 0) if has_history else {}
    return table_of(columns | bounds, ready={})


def _links(source: Source, names: _Names, *, has_history: bool) -> Any:
    rows = _valid(source, "link", has_history=has_history)
    columns = names.columns(rows, "source")
    columns["target"] = ("text", [row["target"] for row in rows])
    columns["target_registry"] = ("text", names.targets(rows))
    columns["ordinal"] = ("integer", [row["ordinal"] for row in rows])
    columns["run"] = ("text", [row["run"] for row in rows])
    return _bounded(columns, rows, source, has_history=has_history)


def _keys(source: Source, *, has_history: bool) -> Any:
    return _texts(source, "artifact_key", ("key", "uid"), has_history=has_history)


def _aliases(source: Source, *, has_history: bool) -> Any:
    return _texts(source, "alias", ("alias", "registry", "uid"), has_history=has_history)


def _texts(source: Source, table: str, names: Sequence[str], *, has_history: bool) -> Any:
    rows = _valid(source, table, has_history=has_history)
    columns: Columns = {name: ("text", [row[name] for row in rows]) for name in names}
    return _bounded(columns, rows, source, has_history=has_history)


def _values(source: Source, names: _Names, *, has_history: bool) -> Any:
    rows = _valid(source, "value", has_history=has_history)
    columns = names.columns(rows, "subject")
    kinds = [names.kinds.get(row["field"]) for row in rows]
    columns["ordinal"] = ("integer", [int(row["place"]) for row in rows])
    texts = [_text_of(row, kind) for row, kind in zip(rows, kinds, strict=True)]
    numbers = [_number_of(row, kind) for row, kind in zip(rows, kinds, strict=True)]
    columns["value"] = ("text", texts)
    columns["number"] = ("real", numbers)
    return _bounded(columns, rows, source, has_history=has_history)


def _text_of(row: Row, kind: str | None) -> str:
    if row["i"] is not None:
        if kind == "time":
            return to_datetime(row["i"]).isoformat()
        return str(bool(row["i"])).lower() if kind == "boolean" else str(row["i"])
    if row["r"] is not None:
        return repr(float(row["r"]))
    if row["t"] is not None:
        return str(row["t"])
    if kind == "json":
        return json_text(plain_fields(msgspec.json.decode(row["x"])))
    return str(row["x"])


def _number_of(row: Row, kind: str | None) -> float | None:
    if row["r"] is not None:
        return float(row["r"])
    return None if row["i"] is None or kind in {"time", "boolean"} else float(row["i"])


def _tags(source: Source) -> Any:
    rows = _valid(source, "tag", has_history=False)
    kinds = {"name": "text", "position": "integer", "tagged_at": "time", "actor": "text"}
    return table_of({it: (kinds[it], [row[it] for row in rows]) for it in kinds}, ready={})


def _events(ledger: Ledger, position: int) -> Any:
    parts = [_of_events([])]
    after = 0
    while after < position:
        with ledger.reading() as session:
            some = session.log.read_batch(after=after, until=position, limit=_BATCH)
        parts.append(_of_events(some))
        after += _BATCH
    return joined(parts)


def _of_events(some: Sequence[RecordedEvent]) -> Any:
    events = [it.event for it in some]
    said = [kept_part(it.event) if it.is_erased else encode(it.event) for it in some]
    columns: Columns = {"position": ("integer", [int(it.position) for it in some])}
    columns["recorded_at"] = ("time", [it.recorded_at for it in some])
    columns["occurred_at"] = ("time", [it.at for it in events])
    columns["type"] = ("text", [tag_of(it) for it in events])
    columns["actor"] = ("text", [it.actor for it in events])
    columns["run"] = ("text", [it.run for it in events])
    columns["registry"] = ("text", [registry_of(it) or None for it in events])
    columns["uid"] = ("text", [subject_of(it) or None for it in events])
    columns["command_id"] = ("text", [it.command_id for it in some])
    columns["fields"] = ("json", [it.decode().rstrip("\n") for it in said])
    return table_of(columns, ready={})
