"""Rebuilding beside others: the live read models must be what the log folds into."""

from __future__ import annotations

from ledger.upkeep.rebuild import rebuild


def trouble_of_a_rebuild() -> str:
    """Rebuild the ledger in use, and return what was wrong with its read models; "" if nothing."""
    outcome = rebuild()
    if not (outcome.differences or outcome.unreadable):
        return ""
    return f"{outcome.differences[:2]} {outcome.unreadable}"[:2_000]
