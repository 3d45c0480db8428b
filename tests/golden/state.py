"""What a ledger says of itself, as plain data: the same for the same log, whoever reads it."""

from __future__ import annotations

import base64
from typing import Any

import ledger as ln
from ledger.model.merkle import root_hash
from ledger.places import instance

REGISTRIES = ("ULabel", "Artifact", "Collection", "Transform", "Run")


def state_of() -> dict[str, Any]:
    """Return the log's root and, as of the head and of each tag, what every registry holds."""
    current = instance.current()
    head = ln.head()
    with current.reading() as session:
        root = base64.b64encode(root_hash(session.log.leaves(until=head))).decode()
    points = [head, *(tag.position for tag in ln.tags())]
    return {
        "head": head,
        "root": root,
        "events": [[event.position, event.type, event.uid] for event in ln.since(0)],
        "as_of": {str(point): _registries(point) for point in points},
        "lineage": _lineage(),
    }


def _registries(point: int) -> dict[str, Any]:
    view = ln.as_of(point)
    return {
        name: [
            {
                "uid": record.uid,
                "name": getattr(record, "name", None) if name != "Artifact" else record.key,
                "is_latest": record.is_latest if name not in {"ULabel", "Run"} else None,
                "run": record._row.get("run"),
                "hash": getattr(record, "hash", None) if name == "Artifact" else None,
                "status": record.status if name == "Run" else None,
            }
            for record in getattr(view, name).filter()
        ]
        for name in REGISTRIES
    }


def _lineage() -> dict[str, list[str]]:
    return {
        artifact.uid: sorted(
            f"{edge.source} {edge.kind} {edge.target}" for edge in artifact.lineage().edges
        )
        for artifact in ln.Artifact.filter()
    }
