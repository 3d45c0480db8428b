"""The version of this program, found in a millisecond.

`importlib.metadata` would double the time of a start; it is asked only if the quick look finds
nothing.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

_NAME = "metaledger"
_SUFFIX = ".dist-info"


def program_version() -> str:
    """Return the version of the installed program; "unknown" if nothing tells it."""
    for entry in sys.path:
        try:
            names = os.listdir(entry or ".")  # noqa: PTH208 (several times faster)
        except OSError:
            continue
        for name in names:
            if name.startswith(f"{_NAME}-") and name.endswith(_SUFFIX):
                return name[len(_NAME) + 1 : -len(_SUFFIX)]
    return _of_checkout() or _asked() or "unknown"


def _of_checkout() -> str | None:
    import tomllib  # noqa: PLC0415 (only in a checkout)

    path = Path(__file__).resolve().parents[1] / "pyproject.toml"
    try:
        project = tomllib.loads(path.read_text("utf-8"))["project"]
    except (OSError, KeyError, ValueError):
        return None
    return str(project.get("version")) if project.get("name") == _NAME else None


def _asked() -> str | None:
    from importlib import metadata  # noqa: PLC0415 (costs 40 ms)

    try:
        return metadata.version(_NAME)
    except metadata.PackageNotFoundError:
        return None
