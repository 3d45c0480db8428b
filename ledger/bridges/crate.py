"""A result as a research object: a Process Run Crate 0.5 with the proofs inside.

1. The folder is new, and appears whole. It holds verified copies of the contents in `data/`, the
   scripts in `sources/`, what was installed in `environments/`, and `proof/`, from which anybody
   can verify what the log says of each artifact and run without the ledger.
2. Nothing is made up: what the ledger does not know is left out, and a missing licence is told as
   such. A retracted record says so; of an erased one only the uid is left.
3. The same ledger at the same position gives the same bytes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from ledger import files
from ledger.bridges.crate_entities import (
    PROFILE,
    TEXT,
    action,
    artifact_entity,
    collection_entity,
    id_of,
    parameters,
    person,
    reference,
    root_entity,
    script,
)
from ledger.bridges.folders import new_folder
from ledger.bridges.handover import Handover, handover
from ledger.errors import DamagedContentError
from ledger.past.points import resolve
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.proving.checkpoints import handed_out_checkpoint, key_lines, ledger_id, prove
from ledger.registries.content_copy import copy_content, file_name

METADATA = "ro-crate-metadata.json"

_README = """\
What is in this folder was handed over from a ledger. `checkpoint` states what its log held, and
`key.pub` is the key that signed it. `{uid}.tlog-proof` proves the record of the result;
`parts/` proves the record of each artifact, collection and run that it was made from.
Nothing but this folder and the program is needed:

    pip install metaledger
    metaledger verify proof/{uid}.tlog-proof --key proof/key.pub

The event that is shown names the SHA-256 of the content, which must be that of the file in
`data/`. Trust in the key comes from its owner, by another way than this folder. Details: RFC 6962,
and the formats of C2SP (tlog-checkpoint, tlog-proof, signed-note).
"""


class ExportedCrate(msgspec.Struct, frozen=True, kw_only=True):
    """What a crate holds.

    Attributes:
        uid: Uid of the result.
        position: As of which position, which is the size of the checkpoint.
        root: Root hash of the log there, in hexadecimal.
        artifacts: How many artifacts it names.
        copied: How many of them have their content in it.
        runs: How many runs it names.
    """

    uid: str
    position: int
    root: str
    artifacts: int
    copied: int
    runs: int


def export_crate(
    what: Any,
    where: str | os.PathLike[str],
    *,
    metadata_only: bool = False,
    license: str | None = None,  # noqa: A002 (the word that people know)
) -> ExportedCrate:
    """Write an artifact or a collection, and all that it was made from, into a new folder.

    Makes a checkpoint, as `ln.checkpoint()` does. Costs a copy of every content.

    Args:
        what: The record, its uid, key or name.
        where: Path of the folder, which must not exist; the folder above must.
        metadata_only: Whether to leave contents out: then names and digests stand for them.
        license: URL of the licence of all contents; nothing is said of one by default.

    Raises:
        InvalidValueError: It is a record of another kind, or the path is a URL.
        NotFoundError: Nothing is called so.
        RecordErasedError: It was erased.
        DamagedContentError: A content is missing or has changed.
        PathTakenError: Something is at the path already; it is untouched.
        MissingFileError: The folder above does not exist.
        KeyUnavailableError: The key that signs is not here.
        StorageError: The disk, a store or the database refused.
    """
    ledger = instance.current()
    with new_folder(where) as folder:
        # What cannot be handed over is told before a key is made for it.
        handover(what, resolve(ledger, "now"))
        made, lines = handed_out_checkpoint()
        told = handover(what, resolve(ledger, made.size))
        with ledger.reading() as session:
            lines = [*key_lines(session.log, ledger_id(ledger)), *lines]
        parts = [*_proofs(folder, told, str(made), lines)]
        held = {} if metadata_only else _contents(folder, told)
        sources = _sources(folder, told)
        environments = _environments(folder, ledger, told)
        graph = _graph(told, held, sources, environments, parts, license)
        document = {"@context": CONTEXT, "@graph": graph}
        data = msgspec.json.encode(document, order="deterministic")
        files.write_durably(folder / METADATA, msgspec.json.format(data, indent=2) + b"\n")
    return ExportedCrate(
        uid=told.result.uid,
        position=told.position,
        root=made.root,
        artifacts=len(told.artifacts),
        copied=len(held),
        runs=len(told.runs),
    )


CONTEXT = [
    "https://w3id.org/ro/crate/1.1/context",
    {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"},
]


# --- files --------------------------------------------------------------------------------------


def _write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    files.make_folders(path.parent)
    files.write_durably(path, text.encode())
    return name


def _text_file(name: str, said: str) -> dict[str, Any]:
    return {"@id": name, "@type": "File", "name": said, "encodingFormat": TEXT}


def _proofs(folder: Path, told: Handover, checkpoint: str, keys: list[str]) -> list[dict[str, Any]]:
    """Write the proofs, and return what the crate says of these files."""
    uid = told.result.uid
    names = {
        _write(folder, "proof/README", _README.format(uid=uid)): "How to verify the proofs",
        _write(folder, "proof/checkpoint", checkpoint): "A signed statement of the log's content",
        _write(folder, "proof/key.pub", "".join(f"{it}\n" for it in keys)): "Public keys",
    }
    for record in (*told.artifacts, *told.collections, *told.runs):
        is_result = record.uid == uid
        name = f"proof/{uid}.tlog-proof" if is_result else f"proof/parts/{record.uid}.proof"
        text = prove(record.uid, checkpoint=checkpoint)
        names[_write(folder, name, text)] = f"Proof of the record of {record.uid}"
    return [_text_file(name, said) for name, said in names.items()]


def _contents(folder: Path, told: Handover) -> dict[str, str]:
    """Copy every content that is known, verified, and return the ids of the copies by uid."""
    held = {}
    for artifact in told.artifacts:
        if artifact._row["digest"] is None:
            continue  # known by name alone: nobody here ever saw its content
        name = file_name(artifact)
        if name in {"", ".", ".."}:
            name = artifact.uid
        path = folder / "data" / artifact.uid / name
        files.make_folders(path.parent)
        try:
            copy_content(artifact, path)
        except DamagedContentError as error:
            raise DamagedContentError(
                f"{error}; bring it back, or leave contents out (--metadata-only)",
                uid=artifact.uid,
            ) from error
        ending = "/" if path.is_dir() else ""
        held[artifact.uid] = f"data/{artifact.uid}/{quote(name)}{ending}"
    return held


def _sources(folder: Path, told: Handover) -> dict[str, str]:
    """Write the source of every script that is known, and return the ids of the files by uid."""
    held = {}
    for transform in told.transforms:
        text = transform.source_code
        if text is None:
            continue
        name = str(transform.key or transform.name or "").replace("\\", "/").rsplit("/", 1)[-1]
        if name in {"", ".", ".."}:
            name = "source"
        _write(folder, f"sources/{transform.uid}/{name}", text)
        held[transform.uid] = f"sources/{transform.uid}/{quote(name)}"
    return held


def _environments(folder: Path, ledger: Ledger, told: Handover) -> dict[str, str]:
    """Write what was installed, once for each that is known; return the ids by their hash."""
    held: dict[str, str] = {}
    for run in told.runs:
        blob = run._row["environment_blob"]
        text = None if blob is None or blob in held else ledger.blob(blob)
        if text is not None:
            name = f"environments/{len(held) + 1}.txt"
            held[blob] = _write(folder, name, text if text.endswith("\n") else f"{text}\n")
    return held


# --- metadata -----------------------------------------------------------------------------------


def _graph(  # noqa: PLR0913, PLR0917 (what the folder holds, each by its name)
    told: Handover,
    held: dict[str, str],
    sources: dict[str, str],
    environments: dict[str, str],
    parts: list[dict[str, Any]],
    license: str | None,  # noqa: A002 (as above)
) -> list[dict[str, Any]]:
    ids = {it.uid: id_of(told, it, held) for it in told.artifacts}
    ids |= {it.uid: f"#collection-{it.uid}" for it in told.collections}
    ids |= {uid: f"#{uid}" for uid in told.lost}
    scripts = {it.uid: sources.get(it.uid, f"#transform-{it.uid}") for it in told.transforms}
    entities = [artifact_entity(it, ids[it.uid]) for it in told.artifacts]
    entities += [
        _text_file(name, f"What was installed ({Path(name).stem})")
        for name in environments.values()
    ]
    entities += [script(it, scripts[it.uid]) for it in told.transforms]
    data = [*entities, *parts]
    contextual = [collection_entity(told, it, ids) for it in told.collections]
    contextual += [
        {"@id": ids[uid], "@type": "Thing", "name": uid, "description": "withdrawn or erased"}
        for uid in told.lost
    ]
    actions = []
    for run in told.runs:
        values = parameters(run)
        blob = run._row["environment_blob"]
        actions.append(action(told, run, ids, scripts, values, environments.get(blob)))
        contextual += values
    people = {run.created_by for run in told.runs} | {told.result.created_by}
    contextual += [person(name) for name in sorted(people)]
    named = [it for it in data if it["@type"] != "SoftwareApplication"]
    root, *about_root = root_entity(told, ids, named, [*actions, *contextual], license)
    descriptor = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "about": reference("./"),
        "conformsTo": reference("https://w3id.org/ro/crate/1.1"),
    }
    profile = {"@id": PROFILE, "@type": "CreativeWork", "name": "Process Run Crate"}
    profile["version"] = PROFILE.rsplit("/", 1)[-1]
    return [descriptor, root, profile, *about_root, *data, *contextual, *actions]
