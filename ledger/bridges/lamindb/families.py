"""Versions of one thing: the order that their uids tell, and the one that is the latest.

1. A family is what shares the first digits of its uids: 12 of a transform, else 16.
2. Suffixes that count (`0000`, `0001`, …) are the order, whatever the dates say. Those of 0.x are
   drawn by chance: there the dates are the order.
3. The latest is the last version that does not lie in the trash. What LaminDB says otherwise is
   told: its mark goes wrong where two people make versions at the same time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from ledger.bridges.lamindb.columns import TRASH
from ledger.bridges.lamindb.read import Row

_SUFFIX = 4
_FIRST = "00"  # of a suffix that counts


def families(rows: Iterable[Row], born: Callable[[Row], dt.datetime]) -> list[list[Row]]:
    """Return the versions of each family in order, first to last."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["uid"][:-_SUFFIX], []).append(row)
    for members in found.values():
        if all(it["uid"][-_SUFFIX:].startswith(_FIRST) for it in members):
            members.sort(key=lambda it: str(it["uid"]))
        else:
            members.sort(key=lambda it: (born(it), it["id"]))
    return list(found.values())


def other_latest(members: list[Row]) -> str | None:
    """Return what LaminDB says of the latest version if it is another than here; else None."""
    live = [it for it in members if it["branch_id"] != TRASH]
    marked = [it["uid"] for it in live if it["is_latest"]]
    if not live or all(it["is_latest"] is None for it in live) or marked == [live[-1]["uid"]]:
        return None
    said = " and ".join(marked) if marked else "none"
    return f"{live[-1]['uid']} is the latest of its versions here; LaminDB says {said}"
