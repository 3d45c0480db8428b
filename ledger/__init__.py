"""An event-sourced metadata ledger: `import ledger as ln`.

Every public name is loaded when it is first used, so that importing this costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ledger import core, errors
    from ledger.api import batch, finish, head, save, track
    from ledger.auditing.audit import audit
    from ledger.checkpoints import checkpoint, prove
    from ledger.erasing import erase
    from ledger.initialize import initialize as init
    from ledger.instance import close, connect
    from ledger.lookups import Q
    from ledger.planning import plan
    from ledger.registries.artifact import Artifact
    from ledger.registries.collection import Collection
    from ledger.registries.run import Run
    from ledger.registries.transform import Transform
    from ledger.registries.ulabel import ULabel
    from ledger.tracking.context import context
    from ledger.user_settings import settings
    from ledger.verifying import verify
    from ledger.views import as_of, log, tag, tags
    from ledger.views import difference as diff
    from ledger.views import events_since as since

# Public name: module that holds it, and its name there; "" for the module itself.
_DOOR = {
    "Artifact": ("ledger.registries.artifact", "Artifact"),
    "Collection": ("ledger.registries.collection", "Collection"),
    "Q": ("ledger.lookups", "Q"),
    "Run": ("ledger.registries.run", "Run"),
    "Transform": ("ledger.registries.transform", "Transform"),
    "ULabel": ("ledger.registries.ulabel", "ULabel"),
    "as_of": ("ledger.views", "as_of"),
    "audit": ("ledger.auditing.audit", "audit"),
    "batch": ("ledger.api", "batch"),
    "checkpoint": ("ledger.checkpoints", "checkpoint"),
    "close": ("ledger.instance", "close"),
    "connect": ("ledger.instance", "connect"),
    "context": ("ledger.tracking.context", "context"),
    "core": ("ledger.core", ""),
    "diff": ("ledger.views", "difference"),
    "erase": ("ledger.erasing", "erase"),
    "errors": ("ledger.errors", ""),
    "finish": ("ledger.api", "finish"),
    "head": ("ledger.api", "head"),
    "init": ("ledger.initialize", "initialize"),
    "log": ("ledger.views", "log"),
    "plan": ("ledger.planning", "plan"),
    "prove": ("ledger.checkpoints", "prove"),
    "save": ("ledger.api", "save"),
    "settings": ("ledger.user_settings", "settings"),
    "since": ("ledger.views", "events_since"),
    "tag": ("ledger.views", "tag"),
    "tags": ("ledger.views", "tags"),
    "track": ("ledger.api", "track"),
    "verify": ("ledger.verifying", "verify"),
}

__all__ = [
    "Artifact",
    "Collection",
    "Q",
    "Run",
    "Transform",
    "ULabel",
    "__version__",
    "as_of",
    "audit",
    "batch",
    "checkpoint",
    "close",
    "connect",
    "context",
    "core",
    "diff",
    "erase",
    "errors",
    "finish",
    "head",
    "init",
    "log",
    "plan",
    "prove",
    "save",
    "settings",
    "since",
    "tag",
    "tags",
    "track",
    "verify",
]


def __getattr__(name: str) -> object:
    if name == "__version__":
        from ledger.version import program_version  # noqa: PLC0415 (only where it is asked for)

        return program_version()
    if name not in _DOOR:
        raise AttributeError(f"module 'ledger' has no attribute '{name}'")
    module, attribute = _DOOR[name]
    loaded = importlib.import_module(module)
    value = getattr(loaded, attribute) if attribute else loaded
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
