"""Events with defaults for everything, so that a test names only what matters to it.

`log(...)` gives events their places: positions from 1, versions within their streams.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from ledger.model import events as ev
from ledger.model.ids import (
    CommandId,
    Position,
    StreamId,
    command_id,
    derive,
    stream_id,
    uid,
    versioned_uid,
)
from projections.fold import fold
from projections.store import WritableModels

EPOCH = 1_700_000_000_000_000  # microseconds since 1970 UTC: when the first event happened
SECOND = 1_000_000
ACTOR = "ada"


def label_uid(name: str, n: int = 1) -> str:
    """Uid of the label that `label_created(name)` makes."""
    return uid(["create", "ulabel", name, None, n], 12)


def artifact_uid(content: str, n: int = 1) -> str:
    """Uid of the artifact that `artifact_registered(content)` makes."""
    return versioned_uid(["create", "artifact", "md5", content, n], stem_length=16)


def collection_uid(name: str) -> str:
    """Uid of the collection that `collection_created(name)` makes."""
    return versioned_uid(["create", "collection", name, 1], stem_length=16)


def transform_uid(name: str) -> str:
    """Uid of the transform that `transform_registered(name)` makes."""
    return versioned_uid(["create", "transform", name, 1], stem_length=12)


def run_uid(n: int = 1) -> str:
    """Uid of the run that `run_started(n)` makes."""
    return uid(["create", "run", "identity", n], 16)


def label_created(name: str = "T cell", *, n: int = 1, fields: dict | None = None, **common: Any):
    return ev.RecordCreated(
        registry="ulabel",
        uid=label_uid(name, n),
        natural=["ulabel", name],
        natural_id=derive(["ulabel", name]),
        n=n,
        fields={"name": name} | (fields or {}),
        **_common(["create", "ulabel", name, None, n], common),
    )


def changed(registry: str, uid: str, /, *, common: dict | None = None, **fields: Any):
    return ev.RecordChanged(
        registry=registry, uid=uid, fields=fields, **_common(["change", uid], common or {})
    )


def trashed(registry: str, uid: str, **common: Any):
    return ev.RecordTrashed(registry=registry, uid=uid, **_common(["trash", uid], common))


def restored(registry: str, uid: str, **common: Any):
    return ev.RecordRestored(registry=registry, uid=uid, **_common(["restore", uid], common))


def withdrawn(registry: str, uid: str, **common: Any):
    return ev.RecordWithdrawn(registry=registry, uid=uid, **_common(["withdraw", uid], common))


def retracted(registry: str, uid: str, reason: str = "wrong gate", **common: Any):
    return ev.RecordRetracted(
        registry=registry, uid=uid, reason=reason, **_common(["retract", uid], common)
    )


def alias_added(registry: str, uid: str, alias: str = "other:1", **common: Any):
    return ev.AliasAdded(
        registry=registry, uid=uid, alias=alias, **_common(["alias", [uid, alias]], common)
    )


def retraction_lifted(registry: str, uid: str, **common: Any):
    return ev.RetractionLifted(registry=registry, uid=uid, **_common(["lift", uid], common))


def merged(uid: str, into: str, **given: Any):
    common, own = _split(given)
    return ev.RecordsMerged(
        registry="ulabel", uid=uid, into=into, **own, **_common(["merge", uid], common)
    )


def merge_undone(uid: str, into: str, **given: Any):
    common, own = _split(given)
    return ev.MergeUndone(
        registry="ulabel", uid=uid, into=into, **own, **_common(["unmerge", uid], common)
    )


def entries_erased(registry: str, uid: str, **given: Any):
    common, own = _split(given)
    values = {"reason": "a request", "entries": ()} | own
    return ev.EntriesErased(registry=registry, uid=uid, **values, **_common(["erase", uid], common))


def artifact_registered(content: str = "a", *, n: int = 1, **given: Any):
    common, own = _split(given)
    values = {
        "uid": artifact_uid(content, n),
        "natural": ["artifact", "md5", content],
        "n": n,
        "hash": content,
        "hash_type": "md5",
        "digest": f"sha256:{content}",
        "size": len(content),
        "storage": "data",
        "storage_key": f".metaledger/{content}",
    }
    return ev.ArtifactRegistered(**_born(values | own), **_common(["create", content, n], common))


def declared_uid(name: str) -> str:
    """Uid of the artifact that `artifact_declared(name)` makes."""
    natural = ["artifact", "declared", "tool", name, None]
    return versioned_uid(["create", *natural, 1], stem_length=16)


def artifact_declared(name: str, **given: Any):
    common, own = _split(given)
    natural = ["artifact", "declared", "tool", name, None]
    values = {"uid": declared_uid(name), "natural": natural, "claimed": (("md5", name),)}
    values["has_size"] = own.get("size") is not None
    identity = ["create", *natural, 1]
    return ev.ArtifactDeclared(**_born(values | own), **_common(identity, common))


def artifact_keyed(uid: str, key: str, **given: Any):
    common, own = _split(given)
    return ev.ArtifactKeyed(uid=uid, key=key, **own, **_common(["key", uid, key], common))


def artifact_relocated(uid: str, storage_key: str, **given: Any):
    common, own = _split(given)
    values = {"storage": "data", "storage_key": storage_key} | own
    return ev.ArtifactRelocated(uid=uid, **values, **_common(["heal", uid, storage_key], common))


def artifact_reproduced(uid: str, **common: Any):
    return ev.ArtifactReproduced(uid=uid, **_common(["reproduce", uid], common))


def collection_created(name: str = "study", artifacts: Iterable[str] = (), **given: Any):
    common, own = _split(given)
    values = {
        "uid": collection_uid(name),
        "natural": ["collection", name],
        "name": name,
        "hash": f"hash of {name}",
        "digest": f"digest of {name}",
        "artifacts": list(artifacts),
    }
    return ev.CollectionCreated(**_born(values | own), **_common(["create", name], common))


def transform_registered(name: str = "plot.py", **given: Any):
    common, own = _split(given)
    values = {
        "uid": transform_uid(name),
        "natural": ["transform", name],
        "name": name,
        "kind": "script",
    }
    return ev.TransformRegistered(**_born(values | own), **_common(["create", name], common))


def run_started(n: int = 1, *, transform: str = "", **given: Any):
    common, own = _split(given)
    values = {
        "uid": run_uid(n),
        "natural": ["run", "identity"],
        "n": n,
        "transform": transform or transform_uid("plot.py"),
    }
    return ev.RunStarted(**_born(values | own), **_common(["run", n], common))


def run_resumed(uid: str, resumption: int = 1, *, token: str | None = None, **common: Any):
    told = _common(["resume", uid], common)
    return ev.RunResumed(uid=uid, resumption=resumption, token=token, **told)


def run_finished(uid: str, status: str = "finished", **given: Any):
    common, own = _split(given)
    return ev.RunFinished(uid=uid, status=status, **own, **_common(["finish", uid], common))


def run_abandoned(uid: str, by: str, **common: Any):
    return ev.RunAbandoned(uid=uid, by=by, **_common(["abandon", uid], common))


def input_recorded(uid: str, artifact: str, **common: Any):
    return ev.InputRecorded(uid=uid, artifact=artifact, **_common(["input", artifact], common))


def link_added(registry: str, uid: str, field: str, target: str, **common: Any):
    return ev.LinkAdded(
        registry=registry, uid=uid, field=field, target=target, **_common(["link", uid], common)
    )


def link_removed(registry: str, uid: str, field: str, target: str, **common: Any):
    return ev.LinkRemoved(
        registry=registry, uid=uid, field=field, target=target, **_common(["unlink", uid], common)
    )


def registry_uid(name: str) -> str:
    """Uid of the registry that `registry_defined(name)` makes."""
    return uid(["create", "registry", name, 1], 12)


def field_defined(name: str, kind: str, **given: Any) -> ev.DefinedField:
    """A field of a registry."""
    return ev.DefinedField(uid=uid(["create", "field", name], 12), name=name, type=kind, **given)


def registry_defined(name: str, *fields: ev.DefinedField, **common: Any):
    return ev.RegistryDefined(
        uid=registry_uid(name),
        natural=["registry", name],
        natural_id=derive(["registry", name]),
        name=name,
        title=name.capitalize(),
        fields=fields,
        **_common(["create", "registry", name, 1], common),
    )


def field_added(name: str, field: ev.DefinedField, **common: Any):
    command = _common(["define", name, field.name], common)
    return ev.FieldAdded(uid=registry_uid(name), of=name, field=field, **command)


def field_changed(of: str, field: str, was: str | None = None, /, **changes: Any):
    command = _common(["rename", of, field], {})
    return ev.FieldChanged(
        uid=registry_uid(of), of=of, field=field, changes=changes, was=was, **command
    )


def field_retyped(name: str, field: str, was: str, becomes: str, **common: Any):
    command = _common(["retype", name, field], common)
    return ev.FieldRetyped(
        uid=registry_uid(name), of=name, field=field, was=was, becomes=becomes, **command
    )


def record_uid(registry: str, name: str) -> str:
    """Uid of the record that `record_created(registry, name)` makes."""
    return uid(["create", registry, name, 1], 12)


def record_created(registry: str, name: str, /, *, common: dict | None = None, **fields: Any):
    return ev.RecordCreated(
        registry=registry,
        uid=record_uid(registry, name),
        natural=[registry, name],
        natural_id=derive([registry, name]),
        fields={"name": name} | fields,
        **_common(["create", registry, name, 1], common or {}),
    )


def values_set(registry: str, uid: str, removed: Iterable[str] = (), **values: Any):
    return ev.ValuesSet(
        registry=registry,
        uid=uid,
        values=values,
        removed=tuple(removed),
        **_common(["annotate", uid], {}),
    )


def ledger_initialized(**common: Any):
    return ev.LedgerInitialized(
        ledger="0" * 16, name="test", format=1, program="test", **_common(["init"], common)
    )


def blob_recorded(text: str = "", **common: Any):
    return ev.BlobRecorded(
        blob=f"blob {text}", media_type="text/plain", text=text, **_common(["blob"], common)
    )


def recorded(  # noqa: PLR0913 (each is a place in the log)
    event: ev.LedgerEvent,
    position: int = 1,
    *,
    version: int = 1,
    number: int = 1,
    stream: StreamId | None = None,
    command: CommandId | None = None,
) -> ev.RecordedEvent:
    """Return an event as the log gives it back."""
    return ev.RecordedEvent(
        position=Position(position),
        recorded_at=EPOCH + position * SECOND,
        stream=stream or stream_id(["stream", getattr(event, "uid", "")]),
        version=version,
        command_id=command or command_id([*event.command, position]),
        number=number,
        event=event,
    )


def log(*events: ev.LedgerEvent, after: int = 0) -> list[ev.RecordedEvent]:
    """Return events in the order given, with the places that a log would give them."""
    versions: Counter[str] = Counter()
    history = []
    for position, event in enumerate(events, start=after + 1):
        subject = getattr(event, "uid", "")
        versions[subject] += 1
        history.append(recorded(event, position, version=versions[subject]))
    return history


def feed(models: WritableModels, history: Iterable[ev.RecordedEvent]) -> None:
    """Fold events into read models."""
    for it in history:
        models.apply(it.position, fold(it))


def _split(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    common = {name: given[name] for name in given if name in ev.Event.__struct_fields__}
    return common, {name: given[name] for name in given if name not in common}


def _born(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a creation with the id of its natural key."""
    return {"natural_id": derive(values["natural"])} | values


def _common(command: list[Any], given: dict[str, Any]) -> dict[str, Any]:
    return {"at": EPOCH, "actor": ACTOR, "command": command} | given
