"""Where the content of an artifact lies, by LaminDB's rules, below the roots of its storages.

1. Under its key, if the key is a real path; else under `.lamindb/`, by its uid. The versions of a
   folder share a place: the first 16 digits of the uid.
2. A key that leads out of its storage, or is none here, is never followed.
3. A storage that was moved since is found by `--root OLD=NEW`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ledger.errors import InvalidValueError, LedgerError, printable
from ledger.input_files import read_small
from ledger.registries.local_content import check_key

_STEM = 16  # digits of a uid that the versions of an artifact share
_MOST_SUFFIX = 64
_MOST_TEXT = 1 << 20  # bytes of a text of a run that comes in with it


def moved(roots: Mapping[int, str], moves: Mapping[str, str], where: str) -> dict[int, str]:
    """Return the root of each storage after the moves that a person told.

    Raises:
        InvalidValueError: A move tells of a root that no storage has.
    """
    found, used = {}, set()
    for storage, root in roots.items():
        clean = root.rstrip("/") or "/"
        found[storage] = clean
        for old, new in moves.items():
            former = old.rstrip("/") or "/"
            if clean == former or clean.startswith(former.rstrip("/") + "/"):
                target = new if "://" in new else str(Path(new).expanduser().absolute())
                found[storage] = target.rstrip("/") + clean[len(former) :]
                used.add(old)
    for old in moves:
        if old not in used:
            raise InvalidValueError(
                f"lamindb {where}: --root {printable(old)}=…: no storage lies there; its storages "
                f"are {', '.join(map(printable, sorted(roots.values()))) or 'none'}"
            )
    return found


def storage_key(row: Mapping[str, Any]) -> str | None:
    """Return the path of an artifact's content below its root; None where it has none to follow."""
    key, suffix = row["key"], row["suffix"] or ""
    if key is not None and not _is_key(key):
        return None
    if row["real_key"]:
        return row["real_key"] if _is_key(row["real_key"]) else None
    if key and not row["key_is_virtual"]:
        return str(key)
    if len(suffix) > _MOST_SUFFIX or "/" in suffix or "\\" in suffix or not suffix.isprintable():
        return None
    is_shared = row["is_overwritten"]
    if is_shared is None:
        is_shared = row["n_files"] is not None
    uid = str(row["uid"])
    return f".lamindb/{uid[:_STEM] if is_shared else uid}{suffix}"


def place(row: Mapping[str, Any], root: str) -> str | None:
    """Return the path or URL of an artifact's content; None where there is none to follow."""
    below = storage_key(row)
    if below is None:
        return None
    if "://" in root:
        return f"{root}/{below}"
    return str(Path(root, below)) if Path(root).is_absolute() else None


def text_at(path: str | None) -> str | None:
    """Return the text of a small file of this computer; None where it cannot be had."""
    if path is None or "://" in path:
        return None
    try:
        return read_small(path, most=_MOST_TEXT).decode()
    except (LedgerError, UnicodeDecodeError):
        return None


def _is_key(key: object) -> bool:
    try:
        check_key(key)
    except InvalidValueError:
        return False
    return True
