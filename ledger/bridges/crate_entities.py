"""What a crate says of each record, as entities of RO-Crate 1.1 and Process Run Crate 0.5.

An entity with one value has no list, times are to the second, and a value that is not known is
left out: validators ask for all three.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from ledger.bridges.handover import Handover
from ledger.past.tables import json_text

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"

_NO_LICENCE = "#no-licence"
TEXT = "text/plain"
# Of suffixes that mean one thing: what else a file may be is not guessed.
_FORMATS = {
    ".csv": "text/csv", ".tsv": "text/tab-separated-values", ".txt": TEXT, ".md": "text/markdown",
    ".html": "text/html", ".json": "application/json", ".xml": "application/xml",
    ".pdf": "application/pdf", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg",
    ".svg": "image/svg+xml", ".tif": "image/tiff", ".tiff": "image/tiff",
    ".zip": "application/zip", ".parquet": "application/vnd.apache.parquet",
}  # fmt: skip
_STATUS = {"finished": "CompletedActionStatus", "failed": "FailedActionStatus"}

Entity = dict[str, Any]


def reference(name: str) -> Entity:
    """Return a reference to an entity."""
    return {"@id": name}


def references(names: Iterable[str]) -> Any:
    """Return references to entities: None for none, one without a list."""
    found = [reference(name) for name in dict.fromkeys(names)]
    return (found[0] if len(found) == 1 else found) if found else None


def known(**said: Any) -> Entity:
    """Return what is known of an entity."""
    return {name: value for name, value in said.items() if value not in (None, "", [])}


def moment(value: Any) -> str | None:
    """Return a moment in UTC, to the second."""
    if value is None:
        return None
    found: dt.datetime = value
    return found.astimezone(dt.UTC).isoformat(timespec="seconds")


def id_of(told: Handover, artifact: Any, held: Mapping[str, str]) -> str:
    """Return the id of an artifact: the path of its copy, else a name; a file's is its digest."""
    if artifact.uid in held:
        return held[artifact.uid]
    digest = artifact._row["digest"]
    is_folder = artifact._row["n_files"] is not None
    if digest is None or is_folder:
        return f"urn:metaledger:{told.ledger}:{artifact.uid}{'/' if is_folder else ''}"
    raw = base64.urlsafe_b64encode(bytes.fromhex(digest.partition(":")[2])).decode().rstrip("=")
    # RFC 6920: a name for these very bytes, wherever they are.
    return f"ni:///sha-256;{raw}?uid={artifact.uid}"


def artifact_entity(artifact: Any, name: str) -> Entity:
    """Return what is known of an artifact."""
    row = artifact._row
    is_folder = row["n_files"] is not None
    digest, where = row["digest"] or "", row["whereabouts"] or ""
    said = known(
        name=artifact.key or artifact.uid,
        description=_described(artifact),
        identifier=artifact.uid,
        version=artifact.version,
        url=where if "://" in where else None,
        contentSize=None if is_folder or not digest else str(row["size"]),
        encodingFormat=None if is_folder else _FORMATS.get((artifact.suffix or "").lower()),
        sha256=None if is_folder else digest.partition(":")[2],
        dateCreated=moment(artifact.created_at),
        creativeWorkStatus=_status(artifact),
    )
    return {"@id": name, "@type": "Dataset" if is_folder else "File"} | said


def collection_entity(told: Handover, collection: Any, ids: Mapping[str, str]) -> Entity:
    """Return what is known of a collection, with its members."""
    members = [ids[uid] for uid in told.ends(collection.uid, "member", onward=False)]
    said = known(
        name=collection.name,
        description=_described(collection),
        identifier=collection.uid,
        version=collection.version,
        hasPart=references(members),
        creativeWorkStatus=_status(collection),
    )
    return {"@id": ids[collection.uid], "@type": "Collection"} | said


def script(transform: Any, name: str) -> Entity:
    """Return what is known of a script: a file where its source is."""
    has_source = not name.startswith("#")
    said = known(
        name=transform.key or transform.name,
        description=_described(transform),
        identifier=transform.uid,
        version=transform.version or transform.source_hash,
        encodingFormat=TEXT if has_source else None,
        creativeWorkStatus=_status(transform),
    )
    kind = ["File", "SoftwareSourceCode"] if has_source else "SoftwareApplication"
    return {"@id": name, "@type": kind} | said


def parameters(run: Any) -> list[Entity]:
    """Return the parameters of a run, each by its name."""
    return [
        {
            "@id": f"#parameter-{run.uid}-{quote(str(name), safe='')}",
            "@type": "PropertyValue",
            "name": str(name),
            "value": value if isinstance(value, str) else json_text(value),
        }
        for name, value in sorted(run.params.items())
    ]


def action(  # noqa: PLR0913, PLR0917 (what it leads to)
    told: Handover,
    run: Any,
    ids: Mapping[str, str],
    scripts: Mapping[str, str],
    values: Sequence[Entity],
    environment: str | None,
) -> Entity:
    """Return what is known of a run."""
    used = [ids[uid] for uid in told.ends(run.uid, "input", onward=False)]
    made = [ids[uid] for uid in told.ends(run.uid, "output", "output again", onward=True)]
    used += [value["@id"] for value in values]
    used += [] if environment is None else [environment]
    transform = run._row["transform"]
    status = _STATUS.get(run.status)
    said = known(
        name=f"run {run.name or run.uid}",
        description=_described(run) or f"status in the ledger: {run.status}",
        identifier=run.uid,
        instrument=None if transform not in scripts else reference(scripts[transform]),
        agent=reference(person(run.created_by)["@id"]),
        object=references(used),
        result=references(made),
        startTime=moment(run.started_at),
        endTime=moment(run.finished_at),
        actionStatus=status and f"http://schema.org/{status}",
        error=run.error if status == "FailedActionStatus" else None,
    )
    return {"@id": f"#run-{run.uid}", "@type": "CreateAction"} | said


def person(name: str) -> Entity:
    """Return a user, of whom no more than the name is known."""
    return {"@id": f"#user-{quote(name, safe='')}", "@type": "Person", "name": name}


def root_entity(
    told: Handover,
    ids: Mapping[str, str],
    data: Sequence[Entity],
    mentioned: Sequence[Entity],
    license: str | None,  # noqa: A002 (the word that people know)
) -> list[Entity]:
    """Return what is known of the whole, and the entity of its licence."""
    result = told.result
    called = (result.name if result.registry == "collection" else result.key) or result.uid
    unlicensed = {
        "@id": _NO_LICENCE,
        "@type": "CreativeWork",
        "name": "no licence was stated",
        "description": "Ask whoever handed this over under which terms it may be used.",
    }
    licensed = {"@id": license, "@type": "CreativeWork", "name": license}
    terms = unlicensed if license is None else licensed
    said = known(
        name=called,
        description=result.description
        or f"{called} with what it was made from, as of position {told.position} of its ledger",
        datePublished=moment(told.recorded_at),
        license=reference(str(terms["@id"])),
        conformsTo=reference(PROFILE),
        author=reference(person(result.created_by)["@id"]),
        mainEntity=reference(ids[result.uid]),
        hasPart=references(it["@id"] for it in data),
        mentions=references(it["@id"] for it in mentioned),
    )
    return [{"@id": "./", "@type": "Dataset"} | said, terms]


def _status(record: Any) -> str | None:
    return None if record.retraction is None else "retracted"


def _described(record: Any) -> str | None:
    said = getattr(record, "description", None)
    if record.retraction is None:
        return said
    retracted = f"RETRACTED, nobody should rely on it: {record.retraction}"
    return f"{retracted}\n\n{said}" if said else retracted
