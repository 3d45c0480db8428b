"""Rules told in three words: `given(events).when(command).then(events)`, or `.rejects(error)`.

What is compared is what was decided: when, who and which command stand in no rule.
"""

from __future__ import annotations

import re
from typing import Any, Self

import msgspec
import pytest

from ledger.decisions.decide import decide
from ledger.decisions.facts import Decision, Stamp
from ledger.model.commands import Command
from ledger.model.events import LedgerEvent
from tests.support import builders as b
from tests.support.memory_models import MemoryModels


def given(*events: LedgerEvent) -> Given:
    """State after these events."""
    return Given(events)


class Given:
    """A state to decide in."""

    def __init__(self, events: tuple[LedgerEvent, ...]) -> None:
        self.models = MemoryModels()
        b.feed(self.models, b.log(*events))

    def when(self, command: Command, *, run: str | None = None) -> When:
        """Ask for something, inside a run or outside."""
        return When(self.models, command, run)


class When:
    """A request in a state."""

    def __init__(self, models: MemoryModels, command: Command, run: str | None) -> None:
        self._ask = models, command, run

    @property
    def decision(self) -> Decision:
        models, command, run = self._ask
        return decide(command, models, Stamp(at=b.EPOCH, actor=b.ACTOR, run=run))

    def then(self, *events: LedgerEvent) -> Self:
        """Require that exactly these events follow."""
        assert [plain(it) for it in self.decision.events] == [plain(it) for it in events]
        return self

    def and_ends_at(self, uid: str) -> Self:
        """Require the record at which the request ends."""
        assert self.decision.outcome == uid
        return self

    def and_says(self, text: str) -> Self:
        """Require that the user is told something."""
        assert any(text in notice.text for notice in self.decision.notices)
        return self

    def and_says_nothing(self) -> Self:
        """Require that the user is told nothing."""
        assert self.decision.notices == ()
        return self

    def rejects(self, error: type[Exception], text: str) -> None:
        """Require that it is refused."""
        with pytest.raises(error, match=re.escape(text)):
            assert self.decision.outcome is None


def plain(event: LedgerEvent) -> Any:
    """Return an event without its command, which the decision does not know yet.

    The id of its natural key is as told by that key: `test_records` says that it is right.
    """
    values: dict[str, Any] = {"command": []}
    if hasattr(event, "natural"):
        values["natural_id"] = None
    return msgspec.structs.replace(event, **values)
