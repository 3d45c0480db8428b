"""A result and where it came from as PROV-JSON, which tools of the W3C's PROV read.

Artifacts and collections are entities, runs are activities, users are agents, and scripts are
plans. The same ledger at the same position gives the same bytes.
"""

from __future__ import annotations

import datetime as dt
import os
from typing import Any

import msgspec

from ledger import files
from ledger.bridges.folders import free_path
from ledger.bridges.handover import Handover, handover
from ledger.past.graph import Edge
from ledger.past.points import resolve
from ledger.past.tables import json_text
from ledger.places import instance

# Names of our own stand for what PROV has no word for.
_OWN = "https://metaledger.local/terms#"

Statements = dict[str, dict[str, dict[str, Any]]]


def export_prov(what: Any, where: str | os.PathLike[str], *, as_of: Any = "now") -> None:
    """Write an artifact or a collection, and where it came from, into a new file as PROV-JSON.

    Args:
        what: The record, its uid, key or name.
        where: Path of the file, which must not exist.
        as_of: The point as of which it is told; by default now.

    Raises:
        InvalidValueError: It is a record of another kind, a point in the future, or a URL.
        NotFoundError: Nothing is called so, or it was not there yet.
        RecordErasedError: It was erased.
        PathTakenError: Something is at the path already; it is untouched.
        MissingFileError: The folder above does not exist.
        StorageError: The disk or the database refused.
    """
    path = free_path(where, kind="file")
    told = handover(what, resolve(instance.current(), as_of))
    data = msgspec.json.encode(document(told), order="deterministic")
    files.write_durably(path, msgspec.json.format(data, indent=2) + b"\n", replace=False)


def document(told: Handover) -> dict[str, Any]:
    """Return a handover as a document of PROV-JSON."""
    made: Statements = {}
    for record in (*told.artifacts, *told.collections):
        _state(made, "entity", _name(record.uid), _entity(record))
    for transform in told.transforms:
        _state(made, "entity", _name(transform.uid), _plan(transform))
    for uid in told.lost:
        _state(made, "entity", _name(uid), {"prov:label": f"{uid}: withdrawn or erased"})
    for run in told.runs:
        _state(made, "activity", _name(run.uid), _activity(run))
        agent = f"user:{_local(run.created_by)}"
        _state(made, "agent", agent, {"prov:type": _type("Person"), "prov:label": run.created_by})
        plan = run._row["transform"]
        _relate(
            made,
            "wasAssociatedWith",
            {"prov:activity": _name(run.uid), "prov:agent": agent}
            | ({} if plan is None else {"prov:plan": _name(plan)}),
        )
    known = {run.uid for run in told.runs}
    for run in told.runs:
        beginner = run._row.get("initiated_by")
        if beginner in known:
            ends = {"prov:informed": _name(run.uid), "prov:informant": _name(beginner)}
            _relate(made, "wasInformedBy", ends)
    for edge in told.edges:
        _relate_ends(made, edge)
    prefixes = {
        "ledger": f"urn:metaledger:{told.ledger}:",
        "user": f"urn:metaledger:{told.ledger}:user:",
        "own": _OWN,
    }
    return {"prefix": prefixes, **made}


def _relate_ends(made: Statements, edge: Edge) -> None:
    source, target = _name(edge.source), _name(edge.target)
    match edge.kind:
        case "input":
            _relate(made, "used", {"prov:activity": target, "prov:entity": source})
        case "output" | "output again":
            ends = {"prov:entity": target, "prov:activity": source}
            _relate(made, "wasGeneratedBy", ends)
        case "member":
            ends = {"prov:collection": target, "prov:entity": source}
            _relate(made, "hadMember", ends)
        case "revision":
            ends = {"prov:generatedEntity": target, "prov:usedEntity": source}
            _relate(made, "wasDerivedFrom", ends | {"prov:type": _type("Revision")})
        case "transform":
            pass


def _state(made: Statements, kind: str, name: str, said: dict[str, Any]) -> None:
    kept = {key: value for key, value in said.items() if value is not None}
    made.setdefault(kind, {})[name] = kept


def _relate(made: Statements, kind: str, said: dict[str, Any]) -> None:
    number = len(made.get(kind, {})) + 1
    _state(made, kind, f"_:{kind}{number}", said)


def _name(uid: str) -> str:
    return f"ledger:{uid}"


def _local(name: str) -> str:
    """Return a name as the local part of a qualified name: other characters in hexadecimal."""
    plain = (c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in name)
    return "".join(plain)


def _type(name: str) -> dict[str, str]:
    return {"$": f"prov:{name}", "type": "prov:QUALIFIED_NAME"}


def _entity(record: Any) -> dict[str, Any]:
    is_collection = record.registry == "collection"
    row = record._row
    return {
        "prov:label": (record.name if is_collection else record.key) or record.uid,
        "prov:type": _type("Collection") if is_collection else None,
        "own:registry": record.registry,
        "own:digest": row.get("digest"),
        "own:size": None if is_collection else row.get("size"),
        "own:whereabouts": row.get("whereabouts"),
        "own:version": record.version,
        "own:description": record.description,
        "own:retraction": record.retraction,
        "own:createdAt": _moment(record.created_at),
    }


def _plan(transform: Any) -> dict[str, Any]:
    return {
        "prov:label": transform.key or transform.name,
        "prov:type": _type("Plan"),
        "own:registry": "transform",
        "own:kind": transform.kind,
        "own:version": transform.version,
        "own:sourceHash": transform.source_hash,
    }


def _activity(run: Any) -> dict[str, Any]:
    return {
        "prov:startTime": _moment(run.started_at),
        "prov:endTime": None if run.finished_at is None else _moment(run.finished_at),
        "prov:label": run.name or run.uid,
        "own:registry": "run",
        "own:status": run.status,
        "own:error": run.error,
        "own:params": json_text(run.params),
        "own:retraction": run.retraction,
    }


def _moment(moment: Any) -> str:
    found: dt.datetime = moment
    return found.isoformat()
