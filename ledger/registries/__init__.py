"""The public classes, and every way to ask for records.

A method of a record builds a command or asks a query.

Imported by: api, bridges, cli, tracking, upkeep, web.
Imports: content, decisions, display, engine, errors, files, input_files, model, other_words,
  past, places, projections, user_settings.
"""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.registries.registry_schema import RegistrySchema


class _Registries(types.ModuleType):
    """This package, which the public door shows under the same name as a function."""

    def __call__(self) -> list[RegistrySchema]:
        """Return the schema of each registry that the ledger defines, the oldest first."""
        from ledger.registries.classes import registries  # noqa: PLC0415 (the door loads lazily)

        return registries()


sys.modules[__name__].__class__ = _Registries
