"""The way back over a relation: the relations of the other side that lead here."""

from __future__ import annotations

from ledger.errors import UnknownFieldError
from ledger.model.schema import RegistrySpec, RelationSpec


def references(relation: RelationSpec, target: RegistrySpec) -> list[str]:
    """Return the fields and features of another registry over which a way back leads."""
    features = {f"features__{name}": it for name, it in target.features.items()}
    held = {it.name: it for it in target.relations} | features
    return [
        name
        for name, it in held.items()
        if isinstance(it, RelationSpec) and it.link in relation.all_links and not it.is_reverse
    ]


def inverse(registry: str, relation: RelationSpec, target: RegistrySpec) -> str:
    """Return the name of the way back over a relation."""
    for other in target.relations:
        if other.target != registry or other.is_reverse == relation.is_reverse:
            continue
        if relation.link is not None and other.link == relation.link:
            return other.name
        if relation.link is None and other.link is None and other.column == relation.column:
            return other.name
    raise UnknownFieldError(f"no way back over {registry}.{relation.name}")
