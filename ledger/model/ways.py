"""Where a path of names leads from a registry."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ledger.model.schema import FieldSpec, RegistrySpec, RelationSpec


class Way(NamedTuple):
    """Where a path of names leads from a registry.

    Attributes:
        relations: Relations of the path, in order.
        end: Registry that they lead to.
        field: Field of that registry at the end of the path; None where a relation ends it.
        rest: Names after the field; they lead nowhere, unless questions look into the field.
    """

    relations: tuple[RelationSpec, ...]
    end: RegistrySpec
    field: FieldSpec | None = None
    rest: tuple[str, ...] = ()


@lru_cache(maxsize=1024)
def way(spec: RegistrySpec, path: tuple[str, ...]) -> Way:
    """Return where a path leads from a registry.

    Raises:
        UnknownFieldError: A name on the way is neither a field nor a relation.
    """
    relations: list[RelationSpec] = []
    for place, name in enumerate(path, start=1):
        if name == "features" and spec.features and place < len(path):
            continue  # the next name is that of a feature
        of_feature = place > 1 and path[place - 2] == "features"
        found = (spec.features.get(name) if of_feature else None) or spec.require(name)
        if isinstance(found, FieldSpec):
            return Way(tuple(relations), spec, found, path[place:])
        relations.append(found)
        spec = spec.end_of(found)
    return Way(tuple(relations), spec)
