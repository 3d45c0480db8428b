"""Changes: the history of a record, and the differences between two points.

1. A change of a field is `(before, after)`; a change of links holds the uids before and after.
2. A history is read from the record's own stream, from mergers that moved its links, and from those
   that merged other records into it: `merged` holds their uids, `merged_into` that of the survivor.
3. A difference compares live records: a record in the trash at a point is absent there.
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from ledger.display.tabular import Listing, attributes
from ledger.errors import InvalidValueError
from ledger.model.events import (
    BlobRecorded,
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    HeldLink,
    LedgerEvent,
    LedgerInitialized,
    MergeUndone,
    PositionTagged,
    RecordChanged,
    RecordCreated,
    RecordedEvent,
    RecordsMerged,
    RegistryDefined,
    ValuesSet,
    tag_of,
)
from ledger.model.ids import StreamId
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.parameters import plain_fields
from ledger.model.schema import (
    ERASED,
    LIVE,
    REGISTRIES,
    TRASHED,
    WITHDRAWN,
    Catalogue,
    RelationSpec,
)
from ledger.model.times import to_datetime
from ledger.model.values import untagged
from ledger.past.points import resolve
from ledger.past.readable_events import Happening
from projections.fold import Amended, Closed, Opened, fold, registry_of
from projections.select import Select, Test
from projections.tables import FOREVER, TABLES
from projections.with_values import features_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger.places.instance import Ledger

Changes = dict[str, tuple[Any, Any]]

T = TypeVar("T", bound=Any)

_BOOKKEEPING = {
    "uid", "stream", "natural", "n", "stem", "state", "created_position", "created_at",
    "created_by", "updated_at", "changed_by", "from_position", "to_position", "is_latest",
    "is_trashed", "registry",
}  # fmt: skip
_STATES = {LIVE: None, TRASHED: "in the trash", WITHDRAWN: "withdrawn", ERASED: "erased"}
_CHUNK = 5_000


class HistoryEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of a record: where, when, by whom, and every field before and after."""

    position: int
    version: int
    recorded_at: dt.datetime
    occurred_at: dt.datetime
    type: str
    actor: str
    run: str | None
    changes: Changes


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One record that differs between two points; `changes` holds each field before and after."""

    registry: str
    uid: str
    name: str | None
    change: str
    changes: Changes


class ChangedFields(Listing[T]):
    """A listing of items with `changes`: its table has one row a changed field."""

    def columns(self) -> list[str]:
        """Return the names of the table's columns."""
        return [*super().columns(), "field", "before", "after"]

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a changed field; an item without any has one row too."""
        return [
            row | {"field": field, "before": before, "after": after}
            for item, row in zip(self, super().rows(), strict=True)
            for field, (before, after) in (item.changes or {"": (None, None)}).items()
        ]


class History(ChangedFields[HistoryEntry]):
    """Every change of a record, oldest first."""

    _title = "History"
    _columns = attributes("position", "recorded_at", "actor", "run", "type")


class Comparison(ChangedFields[T]):
    """The records that differ between two points."""

    _columns = attributes("registry", "uid", "name", "change")

    @property
    def added(self) -> list[T]:
        """Records that are there at the later point only."""
        return [item for item in self if item.change == "added"]

    @property
    def changed(self) -> list[T]:
        """Records that are there at both points and differ."""
        return [item for item in self if item.change == "changed"]

    @property
    def removed(self) -> list[T]:
        """Records that are there at the earlier point only."""
        return [item for item in self if item.change == "removed"]


class Diff(Comparison[Difference]):
    """The records that differ between two points; one in the trash or withdrawn is removed."""

    _title = "Diff"


# --- the history of one record -------------------------------------------------------------------


def history(ledger: Ledger, row: dict[str, Any], *, at: int | None = None) -> History:
    """Return every change of a record up to a position.

    Costs three statements, and one for each merger into the record or that moved links of it.
    """
    uid = row["uid"]
    with ledger.reading() as session:
        events = session.log.stream(StreamId(row["stream"]), until=at)
        links = session.models.find("link", at=at, ever=True, source=uid)
        own = {recorded.position for recorded in events}
        mergers = session.models.find("merger", at=at, ever=True, into=uid)
        ends = {
            row[name] for row in (*links, *mergers) for name in ("from_position", "to_position")
        }
        last = FOREVER - 1 if at is None else at
        for position in sorted(end for end in ends - own if end <= last):
            events += session.log.read_batch(after=position - 1, until=position, limit=1)
    events.sort(key=lambda recorded: recorded.position)
    state: dict[str, Any] = {}
    return History([
        HistoryEntry(
            position=recorded.position,
            version=recorded.version,
            recorded_at=to_datetime(recorded.recorded_at),
            occurred_at=to_datetime(recorded.event.at),
            type=tag_of(recorded.event),
            actor=recorded.event.actor,
            run=recorded.event.run,
            changes=_changes_of(recorded, uid, state),
        )
        for recorded in events
    ])  # fmt: skip


def _changes_of(recorded: RecordedEvent, uid: str, state: dict[str, Any]) -> Changes:
    """Return the changes of a record by an event, and bring `state` up to date."""
    before = dict(state)
    registry = ""
    typed = {} if recorded.is_erased else _typed(recorded.event)
    state |= typed
    for change in fold(recorded):
        match change:
            case Opened("value") | Closed("value"):
                pass
            case Opened("link") | Closed("link") if typed:
                pass
            case Opened("link", values) if values["source"] == uid:
                name = _field_of(values["field"])
                state[name] = (*state.get(name, ()), values["target"])
            case Closed("link", matching) if matching.get("source") == uid:
                name = _field_of(matching["field"])
                gone = matching["target"]
                state[name] = tuple(other for other in state.get(name, ()) if other != gone)
            case Opened("merger" | "alias") | Closed("merger" | "alias"):
                _name(change, uid, state)
            case Opened(table, values) if _holds_records(table) and values.get("uid") == uid:
                registry = table
                state |= values
            case Amended(table, key, values) if _holds_records(table) and key.get("uid") == uid:
                registry = table
                state |= values
            case _:
                pass
    changes = {
        name: (_shown(registry, name, before.get(name)), _shown(registry, name, value))
        for name, value in state.items()
        if name not in _BOOKKEEPING and before.get(name) != value
    }
    if before and before.get("state") != state.get("state"):
        changes["state"] = (_STATES[before["state"]], _STATES[state["state"]])
    return changes


def _holds_records(table: str) -> bool:
    return table in REGISTRIES or table == "record"


def _typed(event: LedgerEvent) -> dict[str, Any]:
    """Return the typed values that an event gives to a record, by the names that people read."""
    match event:
        case ValuesSet():
            values = event.values | dict.fromkeys(event.removed)
            return {f"features.{name}": untagged(value) for name, value in values.items()}
        case RecordCreated() | RecordChanged() if event.registry not in REGISTRIES:
            return {name: untagged(it) for name, it in event.fields.items() if name != "name"}
        case _:
            return {}


def _name(change: Opened | Closed, uid: str, state: dict[str, Any]) -> None:
    """Bring the mergers and the aliases of a record in `state` up to date."""
    match change:
        case Opened("alias", values):
            state["aliases"] = (*state.get("aliases", ()), values["alias"])
        case Closed("alias"):
            state |= {name: () for name in ("aliases",) if name in state}
        case Opened("merger", values) if values["into"] == uid:
            state["merged"] = (*state.get("merged", ()), values["uid"])
        case Opened("merger", values) if values["uid"] == uid:
            state["merged_into"] = values["into"]
        case Closed("merger", matching) if matching["uid"] == uid:
            state["merged_into"] = None
        case Closed("merger", matching) if matching["uid"] in state.get("merged", ()):
            left = (other for other in state["merged"] if other != matching["uid"])
            state["merged"] = tuple(left)
        case _:
            pass


# --- two points ----------------------------------------------------------------------------------


def diff(ledger: Ledger, a: Any, b: Any) -> Diff:
    """Return the records that differ between two points, from the events between them.

    Raises:
        InvalidValueError: The first point is after the second.
    """
    first, second = resolve(ledger, a).position, resolve(ledger, b).position
    if first > second:
        raise InvalidValueError(
            f"diff: expected the earlier point first, got {first} and {second}; exchange them"
        )
    ledger.catalogues.look()
    with ledger.reading() as session:
        touched: dict[str, dict[str, None]] = {}
        for recorded in session.log.read(after=first, until=second):
            for registry, uid in _touched_by(recorded.event):
                touched.setdefault(registry, {})[uid] = None
        return Diff([
            item
            for registry, uids in touched.items()
            for item in _differences(ledger, session.models, registry, list(uids), first, second)
        ])  # fmt: skip


def _touched_by(event: LedgerEvent) -> list[tuple[str, str]]:
    """Return registry and uid of each record whose fields or links an event changes."""
    held: tuple[HeldLink, ...] = ()
    match event:
        case (
            LedgerInitialized() | BlobRecorded() | PositionTagged() | KeyAdopted() | EraserKeysSet()
        ):
            return []
        case RegistryDefined() | FieldAdded() | FieldChanged() | FieldRetyped():
            return []
        case RecordsMerged():
            held = event.moved + event.doubled
        case MergeUndone():
            held = event.back + event.ended
        case _:
            pass
    holders = [(field.split(".")[0], holder) for field, holder in held]
    return [(registry_of(event), event.uid), *holders]


def _differences(  # noqa: PLR0913, PLR0917 (what is compared, and where)
    ledger: Ledger, models: Any, registry: str, uids: list[str], first: int, second: int
) -> Iterator[Difference]:
    earlier, later = ledger.catalogue(first), ledger.catalogue(second)
    before = {}
    if registry in earlier:  # else it was not defined then, and had no records
        before = states(models, registry, uids, at=first, catalogue=earlier)
    after = states(models, registry, uids, at=second, catalogue=later)
    for uid in uids:
        old, new = before.get(uid), after.get(uid)
        shown = new or old
        if shown is None:
            continue
        changes = compared(old or {}, new or {})
        if not changes and old is not None and new is not None:
            continue
        yield Difference(
            registry=registry,
            uid=uid,
            name=shown.get("key") or shown.get("name"),
            change="added" if old is None else "removed" if new is None else "changed",
            changes=changes,
        )


def compared(old: dict[str, Any], new: dict[str, Any]) -> Changes:
    """Return every field that differs, before and after."""
    return {
        name: (old.get(name), new.get(name)) for name in old | new if old.get(name) != new.get(name)
    }


def states(
    models: Any,
    registry: str,
    uids: list[str],
    *,
    at: int | None,
    catalogue: Catalogue = REGISTRIES,
) -> dict[str, dict[str, Any]]:
    """Return the fields, features and links of live records, by uid, as of a position."""
    spec = catalogue[registry]
    links = [it.link for it in spec.relations if it.link and not it.is_reverse]
    links = [it for it in links if it not in {r.link for r in spec.relations if r.is_reference}]
    kinds = {it.name for it in spec.fields if it.kind in {"time", "json"} and it.values is None}
    typed = {it.column: it.name for it in spec.fields if it.values is not None}
    typed |= {str(it.column): it.name for it in spec.relations if _is_value(it)}
    compared_names = {it.name for it in TABLES[spec.table].columns} - _BOOKKEEPING
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(uids), _CHUNK):
        some = uids[start : start + _CHUNK]
        where = Test(("uid",), "in", tuple(some))
        select = Select(registry=registry, where=where, at=at, catalogue=catalogue)
        for row in models.select(select):
            found[row["uid"]] = state = {name: row[name] for name in row if name in compared_names}
            for name in state.keys() & kinds:
                state[name] = _shown(registry, name, state[name])
            state |= {shown: untagged(row.get(held)) for held, shown in typed.items()}
        if spec.features:
            for uid, values in features_of(models, spec, some, at=at).items():
                if uid in found:
                    found[uid] |= {f"features.{it}": untagged(v) for it, v in values.items()}
        if not links:
            continue
        held = sorted(
            models.links(links, some, onward=True, at=at),
            key=lambda link: (link["from_position"], link["target"]),
        )
        for link in held:
            if link["source"] in found:
                fields, name = found[link["source"]], _field_of(link["field"])
                fields[name] = (*fields.get(name, ()), link["target"])
    return found


def _is_value(relation: RelationSpec) -> bool:
    return relation.is_reference and not relation.is_reverse


def _field_of(link: str) -> str:
    return link.split(".", 1)[1]


def _shown(registry: str, name: str, value: Any) -> Any:
    """Return a value as users see it: a time as a datetime, JSON decoded."""
    field = REGISTRIES[registry].field(name) if registry else None
    if value is None or field is None:
        return value
    if field.kind == "time":
        return to_datetime(value)
    return plain_fields(msgspec.json.decode(value)) if field.kind == "json" else value


__all__ = ["Changes", "Diff", "Difference", "Happening", "History", "HistoryEntry", "Listing"]
