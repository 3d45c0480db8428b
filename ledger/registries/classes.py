"""Classes of registries, found by name: of this program, of a script, or made from the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.errors import NotFoundError
from ledger.model.schema import REGISTRIES, RegistrySpec
from ledger.places import instance
from ledger.places.kinds import CLASSES, record_class
from ledger.places.source import Source
from ledger.registries.registry import Registry
from ledger.registries.typed import Record

if TYPE_CHECKING:
    from ledger.registries.registry_schema import RegistrySchema


def registry(name: str) -> Any:
    """Return the class of a registry, also of one whose class was never imported.

    Raises:
        NotFoundError: There is no such registry; the message suggests the nearest.
    """
    return found_class(name, Source(instance.current()))


def registries() -> list[RegistrySchema]:
    """Return the schema of each registry that the ledger defines, the oldest first."""
    source = Source(instance.current())
    rows = source.ask(lambda it: it.find("registry", at=source.at))
    return [found_class(row["name"], source).schema for row in rows]


def found_class(name: str, source: Source) -> Any:
    """Return the class of a registry of a ledger.

    Raises:
        NotFoundError: There is no such registry.
    """
    if name in REGISTRIES:
        return record_class(name)
    if name in CLASSES:
        return CLASSES[name]
    source.ledger.catalogues.look()
    spec = source.ledger.catalogue(None).get(name)
    if spec is None:
        from ledger.errors import nearest  # noqa: PLC0415 (an error)

        names = list(source.ledger.catalogue(None))
        near = nearest(name, names)
        way_out = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(names)}"
        raise NotFoundError(f"registry '{name}': not in this ledger; {way_out}", name=name)
    return class_of(spec)


def class_of(spec: RegistrySpec) -> Any:
    """Return a class of a registry that a ledger defines, made of what the ledger says."""
    CLASSES.pop(spec.name, None)
    made: Any = type(Record)
    return made(spec.title, (Record,), {"_of_ledger": True}, registry=spec.name, key=spec.key)


def registry_at(name: str, source: Source) -> Registry:
    """Return a registry of a ledger as of a position.

    Raises:
        NotFoundError: There was none of this name.
    """
    source.ledger.catalogues.look()
    found = source.catalogue
    if name not in found:
        raise NotFoundError(
            f"registry '{name}': there were {', '.join(found)} as of position {source.at}",
            name=name,
        )
    return Registry(found_class(name, source), source)
