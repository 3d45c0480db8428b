"""The receipt of a pass: its kind, what it made, and how that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ledger.decisions.replay import Case, Passage
from ledger.model.schema import RegistrySpec


def receipt(run: Any, passage: Passage, status: str, spec_of: Callable[[str], RegistrySpec]) -> str:
    """Return the receipt of a pass, in one line.

    Args:
        run: The run that it ended in.
        passage: What it came past.
        status: How it ended.
        spec_of: Describes the registry of a name.
    """
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
    made = _made(passage, spec_of)
    return f"{what} {run.uid} of {transform_name(run)}{end}: {made}; {counts}, {events}{left}"


def _made(passage: Passage, spec_of: Callable[[str], RegistrySpec]) -> str:
    """Return what the pass made, in words: `3 artifacts (1 new version), 1 label`."""
    if not passage.n_events:
        return "nothing new"
    parts = []
    for registry, number in sorted(passage.n_new.items()):
        spec = spec_of(registry)
        word = (spec.short_name or spec.name).replace("_", " ")
        versions = passage.n_versions[registry]
        newer = f" ({_counted(versions, 'new version')})" if versions else ""
        parts.append(f"{_counted(number, word)}{newer}")
    return ", ".join(parts) or "no new record"


def _counted(number: int, word: str) -> str:
    if number == 1:
        return f"1 {word}"
    many = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number:,} {many}"


def transform_name(run: Any) -> str:
    """Return the name of a run's transform; somebody may have withdrawn that meanwhile."""
    transform = run.transform
    return "a withdrawn transform" if transform is None else str(transform.name)
