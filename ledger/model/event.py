"""The base of every event: who, when, in which run, and by which command."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

# What one save without effect leaves behind: intent key, subject key, uid of the outcome.
Noted: TypeAlias = tuple[str, str, str]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", omit_defaults=True):
    """What every event carries beside its own fields.

    Attributes:
        at: When it is said to happen (valid time), in microseconds since 1970 UTC; where nobody
            says, `UNSAID` until it is recorded.
        actor: Who caused it.
        run: Uid of the run it happened in; None outside a run.
        command: Identity of the command that caused it, in plain; its hash is the command id.
        causation: Command id of what directly caused this command; None where a user did.
        noted: Intents of the run without effect since its last event, and their outcomes.
        intent: Of the first event of a command that is an intent within a run: intent key and
            subject key. None in format 1, where they are computed of the command.
    """

    at: int
    actor: str
    run: str | None = None
    command: list[Any]
    causation: str | None = None
    noted: tuple[Noted, ...] = ()
    intent: tuple[str, str] | None = None
