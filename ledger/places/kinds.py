"""The public class of a registry, found by its name."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, ClassVar

from ledger.model.schema import REGISTRIES

if TYPE_CHECKING:
    from ledger.model.schema import RegistrySpec
    from ledger.places.source import Source


class AnyRecord:
    """A record as the rooms below the registries see it: its row and its source."""

    registry: ClassVar[str]
    spec: ClassVar[RegistrySpec]
    _row: dict[str, Any]
    _source: Source

    uid: Any

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

        @classmethod
        def _from_row(cls, row: dict[str, Any], source: Source) -> Any: ...

        @staticmethod
        def _shown(field: Any, value: Any) -> Any: ...


CLASSES: dict[str, Any] = {}  # each class adds itself when it is defined


def record_class(registry: str) -> Any:
    """Return the public class of a registry."""
    if registry not in CLASSES and registry not in REGISTRIES:
        module = importlib.import_module("ledger.registries.classes")
        return module.registry(registry)
    if registry not in CLASSES:
        importlib.import_module(f"ledger.registries.{registry}")
    return CLASSES[registry]
