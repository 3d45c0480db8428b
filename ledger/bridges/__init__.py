"""Bridges to other tools: what people have comes in, what a ledger knows goes out.

Nothing but the public door and the command uses a bridge, and each is loaded at its first use.

Imported by: cli.
Imports: content, errors, files, input_files, model, past, places, proving, registries.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.bridges.crate import export_crate
    from ledger.bridges.prov import export_prov
    from ledger.bridges.tables import export_tables

# Public name to its module.
_DOOR = {
    "export_crate": "ledger.bridges.crate",
    "export_prov": "ledger.bridges.prov",
    "export_tables": "ledger.bridges.tables",
}

__all__ = ["export_crate", "export_prov", "export_tables"]


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module 'ledger.bridges' has no attribute '{name}'")
    value = getattr(importlib.import_module(_DOOR[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
