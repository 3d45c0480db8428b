"""The receipt of a pass: its kind and its effects."""

from __future__ import annotations

from typing import Any

from ledger.decisions.replay import Case, Passage


def receipt(run: Any, passage: Passage, status: str) -> str:
    """Return the receipt of a pass, in one line."""
    events = f"{passage.n_events:,} new event{'' if passage.n_events == 1 else 's'}"
    counts = (
        f"{passage.n_intents:,} intent{'' if passage.n_intents == 1 else 's'} "
        f"({passage.n_known:,} already recorded, {passage.n_idle:,} without effect)"
    )
    what = {
        Case.NEW: "new run",
        Case.REPLAY: "replay of run",
        Case.RESUMABLE: "replay of unfinished run",
        Case.CONTINUED: "continued run",
        Case.FORK: "new run, forked where it differed,",
    }[passage.case]
    end = "" if status == "finished" else f", {status}"
    left = ""
    if passage.unpassed and not passage.is_own:
        left = f"; {passage.unpassed:,} recorded intents were not asked for again"
    return f"{what} {run.uid} of {transform_name(run)}{end}: {counts}, {events}{left}"


def transform_name(run: Any) -> str:
    """Return the name of a run's transform; somebody may have withdrawn that meanwhile."""
    transform = run.transform
    return "a withdrawn transform" if transform is None else str(transform.name)
