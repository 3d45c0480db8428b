"""An event-sourced metadata ledger: `import ledger as ln`.

Every public name is loaded at its first use, so that the import itself costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from ledger import forks as _forks  # noqa: F401 (it looks after what is loaded in a fork)

if TYPE_CHECKING:
    from ledger import bridges, core, errors
    from ledger.api import batch, finish, happened, head, join, save, track
    from ledger.auditing.audit import audit
    from ledger.places.initialization import initialize as init
    from ledger.places.instance import close, connect
    from ledger.proving.checkpoints import checkpoint, prove
    from ledger.proving.verification import verify
    from ledger.registries.artifact import Artifact
    from ledger.registries.classes import registry
    from ledger.registries.collection import Collection
    from ledger.registries.definition import field
    from ledger.registries.feature import Feature
    from ledger.registries.finding import find
    from ledger.registries.loader_table import loaders
    from ledger.registries.lookups import Q
    from ledger.registries.run import Run
    from ledger.registries.transform import Transform
    from ledger.registries.typed import Record
    from ledger.registries.ulabel import ULabel
    from ledger.registries.views import as_of, log, tag, tags
    from ledger.registries.views import difference as diff
    from ledger.registries.views import events_since as since
    from ledger.tracking.context import context
    from ledger.tracking.plan import plan
    from ledger.upkeep.backup import backup
    from ledger.upkeep.erasure import erase
    from ledger.upkeep.status import status
    from ledger.user_settings import settings

# Public name to its module and its name there; "" means the module itself.
_DOOR = {
    "Artifact": ("ledger.registries.artifact", "Artifact"),
    "Collection": ("ledger.registries.collection", "Collection"),
    "Feature": ("ledger.registries.feature", "Feature"),
    "Q": ("ledger.registries.lookups", "Q"),
    "Record": ("ledger.registries.typed", "Record"),
    "Run": ("ledger.registries.run", "Run"),
    "Transform": ("ledger.registries.transform", "Transform"),
    "ULabel": ("ledger.registries.ulabel", "ULabel"),
    "as_of": ("ledger.registries.views", "as_of"),
    "audit": ("ledger.auditing.audit", "audit"),
    "backup": ("ledger.upkeep.backup", "backup"),
    "batch": ("ledger.api", "batch"),
    "bridges": ("ledger.bridges", ""),
    "checkpoint": ("ledger.proving.checkpoints", "checkpoint"),
    "close": ("ledger.places.instance", "close"),
    "connect": ("ledger.places.instance", "connect"),
    "context": ("ledger.tracking.context", "context"),
    "core": ("ledger.core", ""),
    "diff": ("ledger.registries.views", "difference"),
    "erase": ("ledger.upkeep.erasure", "erase"),
    "errors": ("ledger.errors", ""),
    "field": ("ledger.registries.definition", "field"),
    "find": ("ledger.registries.finding", "find"),
    "finish": ("ledger.api", "finish"),
    "happened": ("ledger.api", "happened"),
    "head": ("ledger.api", "head"),
    "init": ("ledger.places.initialization", "initialize"),
    "join": ("ledger.api", "join"),
    "loaders": ("ledger.registries.loader_table", "loaders"),
    "log": ("ledger.registries.views", "log"),
    "plan": ("ledger.tracking.plan", "plan"),
    "prove": ("ledger.proving.checkpoints", "prove"),
    "registries": ("ledger.registries", ""),
    "registry": ("ledger.registries.classes", "registry"),
    "save": ("ledger.api", "save"),
    "settings": ("ledger.user_settings", "settings"),
    "since": ("ledger.registries.views", "events_since"),
    "status": ("ledger.upkeep.status", "status"),
    "tag": ("ledger.registries.views", "tag"),
    "tags": ("ledger.registries.views", "tags"),
    "track": ("ledger.api", "track"),
    "verify": ("ledger.proving.verification", "verify"),
}

__all__ = [
    "Artifact",
    "Collection",
    "Feature",
    "Q",
    "Record",
    "Run",
    "Transform",
    "ULabel",
    "__version__",
    "as_of",
    "audit",
    "backup",
    "batch",
    "bridges",
    "checkpoint",
    "close",
    "connect",
    "context",
    "core",
    "diff",
    "erase",
    "errors",
    "field",
    "find",
    "finish",
    "happened",
    "head",
    "init",
    "join",
    "loaders",
    "log",
    "plan",
    "prove",
    "registries",
    "registry",
    "save",
    "settings",
    "since",
    "status",
    "tag",
    "tags",
    "track",
    "verify",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ledger.version import program_version  # noqa: PLC0415 (rarely asked for)

        return program_version()
    if name not in _DOOR:
        from ledger.other_words import meant  # noqa: PLC0415 (an error)

        raise AttributeError(f"module 'ledger' has no attribute '{name}'{meant(name)}")
    module, attribute = _DOOR[name]
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
