"""Event to row changes: pure, and the only place that knows what an event means to readers.

A change names a table of `projections.tables`; the stores carry it out at the event's position:
`Opened` begins a row, `Amended` ends the valid row of a key and begins one that differs in
`values`, `Closed` ends every valid row that matches. The fold sees one event and nothing else: of
an erased one only the kept part, which makes rows of the same validity, emptied.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, TypeAlias

from ledger.model.canonical import encode
from ledger.model.comparable import inside
from ledger.model.events import (
    AliasAdded,
    ArtifactDeclared,
    ArtifactKeyed,
    ArtifactRegistered,
    ArtifactRelocated,
    ArtifactReproduced,
    BlobRecorded,
    CollectionCreated,
    EntriesErased,
    EntriesErasedV1,
    FieldAdded,
    FieldChanged,
    FieldRetyped,
    InputRecorded,
    LedgerEvent,
    LedgerInitialized,
    LinkAdded,
    LinkRemoved,
    MergeUndone,
    Noted,
    PositionTagged,
    RecordChanged,
    RecordCreated,
    RecordedEvent,
    RecordRestored,
    RecordRetracted,
    RecordsMerged,
    RecordTrashed,
    RecordWithdrawn,
    RegistryDefined,
    RetractionLifted,
    RunAbandoned,
    RunFinished,
    RunResumed,
    RunStarted,
    TransformRegistered,
    ValuesSet,
)
from ledger.model.ids import intent_key, natural_id, subject_key
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.model.parameters import plain_fields
from ledger.model.schema import ERASED, LIVE, REGISTRIES, TRASHED, WITHDRAWN, RegistrySpec
from projections.redaction import blanks, redacted
from projections.row_changes import Amended, Change, Closed, Opened, Values, link, unlink
from projections.typed_values import defined, feature_values, record_values

Creation: TypeAlias = (
    RecordCreated
    | TransformRegistered
    | ArtifactRegistered
    | ArtifactDeclared
    | CollectionCreated
    | RunStarted
)


def fold(recorded: RecordedEvent) -> list[Change]:
    """Return what a recorded event changes in the tables, in order."""
    changes = _subject_changes(recorded)
    changes.extend(_intent_changes(recorded))
    return changes


def outcome_of(event: LedgerEvent) -> str:
    """Return the uid of the record that an event is about; "" where it is about none."""
    match event:
        case LedgerInitialized() | BlobRecorded() | KeyAdopted() | EraserKeysSet():
            return ""
        case InputRecorded():
            return event.artifact
        case PositionTagged():
            return event.name
        case _:
            return event.uid


def registry_of(event: LedgerEvent) -> str:  # noqa: PLR0911 (one a kind)
    """Return the registry of the record that an event is about; "" where it is about none."""
    match event:
        case (
            LedgerInitialized() | BlobRecorded() | PositionTagged() | KeyAdopted() | EraserKeysSet()
        ):
            return ""
        case RegistryDefined() | FieldAdded() | FieldChanged() | FieldRetyped():
            return "registry"
        case TransformRegistered():
            return "transform"
        case ArtifactRegistered() | ArtifactReproduced() | ArtifactKeyed() | ArtifactRelocated():
            return "artifact"
        case ArtifactDeclared():
            return "artifact"
        case CollectionCreated():
            return "collection"
        case RunStarted() | RunResumed() | RunFinished() | RunAbandoned() | InputRecorded():
            return "run"
        case _:
            return event.registry


def _subject_changes(recorded: RecordedEvent) -> list[Change]:  # noqa: C901, PLR0911, PLR0912 (one case a kind)
    event = recorded.event
    match event:
        # The kinds that there are most of come first.
        case LinkAdded():
            return [link(f"{event.registry}.{event.field}", event.uid, event.target, event.run)]
        case InputRecorded():
            return [link("run.inputs", event.uid, event.artifact, event.uid)]
        case RecordCreated() if event.registry in REGISTRIES:
            return [_created(recorded, event.registry, event, event.fields)]
        case RecordCreated():
            named = {"name": event.fields.get("name")}
            return [
                _created(recorded, event.registry, event, named),
                *([] if recorded.is_erased else record_values(event)),
            ]
        case TransformRegistered():
            return [_created(recorded, "transform", event, _fields(event))]
        case ArtifactRegistered() | ArtifactDeclared():
            return [
                _created(recorded, "artifact", event, _content(event)),
                *_key_moves(recorded, event),
                *_made_by(event.uid, event.run),
            ]
        case ArtifactReproduced():
            return [
                _amended(recorded, "artifact", event.uid, {"run": event.run}),
                *_made_by(event.uid, event.run),
            ]
        case ArtifactKeyed():
            return [
                _amended(recorded, "artifact", event.uid, {"key": event.key}),
                *_key_moves(recorded, event),
            ]
        case ArtifactRelocated():
            place: Values = {
                name: getattr(event, name) for name in ("storage", "storage_key", "in_place")
            }
            return [_amended(recorded, "artifact", event.uid, place)]
        case CollectionCreated():
            return [
                _created(recorded, "collection", event, _fields(event)),
                *_named(recorded, "collection", event.uid, event.name)[1:],
                *(
                    link("collection.artifacts", event.uid, target, event.run, ordinal)
                    for ordinal, target in enumerate(dict.fromkeys(event.artifacts))
                ),
            ]
        case RecordChanged() if event.registry not in REGISTRIES:
            named = {name: event.fields[name] for name in ("name",) if name in event.fields}
            return [
                _amended(recorded, event.registry, event.uid, named),
                *([] if recorded.is_erased else record_values(event)),
            ]
        case RecordChanged():
            return [
                _amended(recorded, event.registry, event.uid, event.fields),
                *_named(recorded, event.registry, event.uid, event.fields.get("name")),
            ]
        case RecordTrashed():
            return [_amended(recorded, event.registry, event.uid, {"state": TRASHED})]
        case RecordRestored():
            return [_amended(recorded, event.registry, event.uid, {"state": LIVE})]
        case RecordWithdrawn():
            gone: list[Change] = [
                _amended(recorded, event.registry, event.uid, {"state": WITHDRAWN})
            ]
            if REGISTRIES[event.registry].has_keys:
                gone.append(Closed("artifact_key", {"uid": event.uid}))
            if REGISTRIES[event.registry].has_names:
                gone.append(Closed("borne_name", {"uid": event.uid}))
            gone.append(Closed("alias", {"uid": event.uid}))
            return gone
        case LinkRemoved():
            return [unlink(f"{event.registry}.{event.field}", event.uid, event.target)]
        case AliasAdded():
            return [] if recorded.is_erased else [_alias(event)]
        case RecordRetracted():
            values: Values = {
                "uid": event.uid,
                "registry": event.registry,
                "reason": event.reason,
                "actor": event.actor,
                "retracted_at": event.at,
            }
            return [
                _amended(recorded, event.registry, event.uid, {"retraction": event.reason}),
                Closed("retraction", {"uid": event.uid}),
                Opened("retraction", values),
            ]
        case RetractionLifted():
            return [
                _amended(recorded, event.registry, event.uid, {"retraction": None}),
                Closed("retraction", {"uid": event.uid}),
            ]
        case RecordsMerged():
            return _merged(recorded, event)
        case MergeUndone():
            return [
                _amended(recorded, event.registry, event.uid, {"state": LIVE}),
                Closed("merger", {"uid": event.uid}),
                *(unlink(field, holder, event.into) for field, holder in event.ended),
                *(link(field, holder, event.uid, event.run) for field, holder in event.back),
            ]
        case RunStarted():
            fields = _run_fields(event)
            return [
                _created(recorded, "run", event, fields),
                *_inside("run", event.uid, fields),
                *_passes(event),
            ]
        case RunResumed():
            values = {"status": "started", "finished_at": None, "error": None}
            values |= {"resumptions": event.resumption}
            return [_amended(recorded, "run", event.uid, values), *_passes(event)]
        case RunFinished():
            values = {
                "status": event.status,
                "finished_at": event.at,
                "error": event.error,
                "is_consecutive": event.is_consecutive,
            }
            return [_amended(recorded, "run", event.uid, values)]
        case RunAbandoned():
            return [_amended(recorded, "run", event.uid, {"status": "abandoned"})]
        case LedgerInitialized() | BlobRecorded() | KeyAdopted() | EraserKeysSet():
            return []
        case PositionTagged():
            values = {
                "name": event.name,
                "position": event.position,
                "tagged_at": recorded.recorded_at,
                "actor": event.actor,
            }
            return [Opened("tag", values)]
        case RegistryDefined() | FieldAdded() | FieldChanged() | FieldRetyped():
            return defined(recorded, event)
        case ValuesSet():
            return [
                _amended(recorded, event.registry, event.uid, {}),
                *([] if recorded.is_erased else feature_values(event)),
            ]
        case EntriesErasedV1() | EntriesErased():
            return [_amended(recorded, event.registry, event.uid, {"state": ERASED})]


def intents_of(recorded: RecordedEvent) -> list[Noted]:
    """Return the intents that a run knows by an event: key, subject key, outcome of each."""
    event = recorded.event
    if event.run is None:
        return []
    known = list(event.noted)
    intent = event.intent
    if intent is None and recorded.number == 1:
        intent = intent_of(event.command)
    if intent is not None:
        known.append((*intent, outcome_of(event)))
    return known


def intent_of(command: list[Any]) -> tuple[str, str] | None:
    """Return intent key and subject key of a command's identity; None where it is no intent."""
    if not command or command[0] != "intent":
        return None
    _, _, kind, subject, fields, occurrence = command
    return intent_key(kind, subject, fields, occurrence), subject_key(kind, subject)


def _intent_changes(recorded: RecordedEvent) -> list[Change]:
    event = recorded.event
    return [
        Opened(
            "intent",
            {
                "run": event.run,
                "intent": key,
                "subject": subject,
                "outcome": outcome,
                "ordinal": place,
            },
        )
        for place, (key, subject, outcome) in enumerate(intents_of(recorded))
    ]


def _created(recorded: RecordedEvent, registry: str, event: Creation, fields: Values) -> Opened:
    values: Values = {
        "uid": event.uid,
        "stream": recorded.stream,
        "natural": event.natural_id or natural_id(event.natural),
        "n": event.n,
        "state": LIVE,
        "created_position": recorded.position,
        "created_at": event.at,
        "created_by": event.actor,
        "updated_at": event.at,
        "changed_by": event.actor,
    }
    spec = REGISTRIES[registry]
    if spec.is_defined:
        values |= {"registry": registry, "run": event.run}
    if spec.is_versioned:
        values["stem"] = values["uid"][: spec.uid_length]
    if spec.relation("run") is not None:
        values["run"] = event.run
    return Opened(spec.table, values | _columns_of(recorded, registry, event.uid, fields))


def _inside(registry: str, uid: str, fields: Values) -> list[Opened]:
    """Return the rows of the values inside the JSON fields that questions look into.

    An empty field leaves none, and so does an erased one.
    """
    return [
        Opened(
            "inside",
            {
                "field": f"{registry}.{spec.name}",
                "uid": uid,
                "item": f"{item:08d}",
                "place": found.place,
                "kind": found.value.kind,
                "value": found.value.text,
            },
        )
        for spec in REGISTRIES[registry].fields
        if spec.is_looked_into and fields[spec.name]
        for item, found in enumerate(inside(plain_fields(fields[spec.name])))
    ]


def _amended(recorded: RecordedEvent, registry: str, uid: str, values: Values) -> Amended:
    stamped = {"updated_at": recorded.event.at, "changed_by": recorded.event.actor}
    columns = _columns_of(recorded, registry, uid, values)
    return Amended(REGISTRIES[registry].table, {"uid": uid}, columns | stamped)


def _columns_of(recorded: RecordedEvent, registry: str, uid: str, values: Values) -> Values:
    """Return `values` as columns hold them: JSON as canonical text, and what is gone as blanks."""
    json = _json_fields(REGISTRIES[registry])
    if not json.isdisjoint(values):
        values = {
            name: encode(value).decode() if name in json and value is not None else value
            for name, value in values.items()
        }
    return redacted(values, blanks(registry, uid)) if recorded.is_erased else values


@lru_cache(maxsize=256)
def _json_fields(spec: RegistrySpec) -> frozenset[str]:
    return frozenset(field.name for field in spec.fields if field.kind == "json")


_OWN_FIELDS: dict[type, tuple[str, ...]] = {
    TransformRegistered: (
        "name", "key", "version", "kind", "description", "source_hash", "source", "revises",
    ),
    ArtifactRegistered: (
        "key", "description", "version", "revises", "suffix", "hash", "hash_type", "digest",
        "size", "n_files", "storage", "storage_key", "in_place",
    ),
    ArtifactDeclared: (
        "key", "description", "version", "revises", "suffix", "size", "n_files",
    ),
    CollectionCreated: (
        "name", "description", "version", "revises", "hash", "digest", "is_ordered",
    ),
}  # fmt: skip
_NOT_SAID: Values = {"is_declared": False, "claimed": None, "whereabouts": None}
_UNSEEN: Values = {
    "hash": None, "hash_type": None, "digest": None, "storage": None, "storage_key": None,
    "in_place": False,
}  # fmt: skip


def _fields(event: LedgerEvent) -> Values:
    return {name: getattr(event, name) for name in _OWN_FIELDS[type(event)]}


def _content(event: ArtifactRegistered | ArtifactDeclared) -> Values:
    """Return the fields of an artifact: of registered content, or of what is said of it."""
    if isinstance(event, ArtifactRegistered):
        return _fields(event) | _NOT_SAID
    said: Values = {
        "is_declared": True,
        "claimed": event.claimed or None,
        "whereabouts": event.where,
    }
    # Of an erased event only this is known: that it told a size.
    size = 0 if event.has_size and event.size is None else event.size
    return _UNSEEN | _fields(event) | said | {"size": size}


def _run_fields(event: RunStarted) -> Values:
    return {
        "name": event.name,
        "status": "started",
        "started_at": event.at,
        "finished_at": None,
        "params": event.params,
        "arguments": event.arguments,
        "task": event.task or None,
        "ordinal": event.n,
        "resumptions": 0,
        "environment_blob": event.environment,
        "modules": event.modules,
        "git_commit": event.git_commit,
        "git_is_dirty": event.git_is_dirty,
        "host": event.host,
        "error": None,
        "is_consecutive": None,
        "transform": event.transform,
        "forked_from": event.forked_from,
        "initiated_by": event.initiated_by,
    }


def _passes(event: RunStarted | RunResumed) -> list[Change]:
    if event.token is None:
        return []
    values: Values = {"token": event.token, "run": event.uid}
    return [Closed("pass", {"token": event.token}), Opened("pass", values)]


def _key_moves(
    recorded: RecordedEvent, event: ArtifactRegistered | ArtifactDeclared | ArtifactKeyed
) -> list[Change]:
    if recorded.is_erased:
        # What the key was is gone; that it led elsewhere no more is not.
        if event.displaced is None:
            return []
        return [Closed("artifact_key", {"from_position": event.displaced})]
    if event.key is None:
        return []
    values: Values = {"key": event.key, "uid": event.uid}
    return [Closed("artifact_key", {"key": event.key}), Opened("artifact_key", values)]


def _named(recorded: RecordedEvent, registry: str, uid: str, name: Any) -> list[Change]:
    """Return the end and the beginning of the row of a name; an erased record was given none."""
    spec = REGISTRIES[registry]
    if recorded.is_erased or not spec.has_names or name is None:
        return []
    stem = uid[: spec.uid_length]
    return [
        Closed("borne_name", {"uid": uid, "name": name}),
        Opened("borne_name", {"name": name, "uid": uid, "stem": stem}),
    ]


def _alias(event: AliasAdded) -> Opened:
    _, _, ref = event.alias.partition(":")
    values: Values = {"alias": event.alias, "ref": ref, "uid": event.uid}
    return Opened("alias", values | {"registry": event.registry})


def _made_by(uid: str, run: str | None) -> list[Change]:
    return [] if run is None else [link("artifact.runs", uid, run, run)]


def _merged(recorded: RecordedEvent, event: RecordsMerged) -> list[Change]:
    values: Values = {
        "uid": event.uid,
        "registry": event.registry,
        "into": event.into,
        "reason": event.reason,
        "actor": event.actor,
        "merged_at": event.at,
    }
    return [
        _amended(recorded, event.registry, event.uid, {"state": WITHDRAWN}),
        Opened("merger", values),
        *(unlink(field, holder, event.uid) for field, holder in event.moved + event.doubled),
        *(link(field, holder, event.into, event.run) for field, holder in event.moved),
    ]


__all__ = [
    "Amended", "Change", "Closed", "Opened", "fold", "intent_of", "intents_of", "outcome_of",
    "registry_of",
]  # fmt: skip
