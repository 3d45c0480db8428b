"""Bridges to other tools: what people have comes in, and what a ledger knows goes out.

1. A reader turns a source into steps (`steps`) and records nothing.
2. The plan (`plan`) brings steps in: it counts first, then writes in batches.
3. A way out (`tables`, `crate`, `prov`) only reads the ledger, and writes a whole or nothing.
4. Every name is loaded at its first use: `import ledger` loads no bridge.

Imported by: cli.
Imports: content, decisions, display, engine, errors, eventlog, files, input_files, model, past,
  places, proving, registries, tracking, version.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger.bridges.crate import export_crate
    from ledger.bridges.dvc import import_dvc
    from ledger.bridges.lamindb.importing import import_lamindb
    from ledger.bridges.mlflow.importing import import_mlflow
    from ledger.bridges.openlineage.importing import import_openlineage
    from ledger.bridges.openlineage.write import export_openlineage
    from ledger.bridges.prov import export_prov
    from ledger.bridges.recording import declare, record_run
    from ledger.bridges.tables import export_tables

# Public name to its module.
_DOOR = {
    "declare": "ledger.bridges.recording",
    "export_crate": "ledger.bridges.crate",
    "export_openlineage": "ledger.bridges.openlineage.write",
    "export_prov": "ledger.bridges.prov",
    "export_tables": "ledger.bridges.tables",
    "import_dvc": "ledger.bridges.dvc",
    "import_lamindb": "ledger.bridges.lamindb.importing",
    "import_mlflow": "ledger.bridges.mlflow.importing",
    "import_openlineage": "ledger.bridges.openlineage.importing",
    "record_run": "ledger.bridges.recording",
}

__all__ = [
    "declare",
    "export_crate",
    "export_openlineage",
    "export_prov",
    "export_tables",
    "import_dvc",
    "import_lamindb",
    "import_mlflow",
    "import_openlineage",
    "record_run",
]


def __getattr__(name: str) -> object:
    if name not in _DOOR:
        raise AttributeError(f"module 'ledger.bridges' has no attribute '{name}'")
    value: object = getattr(importlib.import_module(_DOOR[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
