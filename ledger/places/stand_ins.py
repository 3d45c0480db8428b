"""Ledgers that answer in place of another inside a block: those of plans.

1. The code of the block, and what it begins with a copy of its context (tasks,
   `asyncio.to_thread`), uses the stand-in.
2. Where a task or a generator was left in its block, other code of the thread uses the ledger
   itself.
3. Of any other thread nobody can say whether it works for the block. Its saves are refused, since
   a plan records nothing, and takes nothing from others. Where a whole script is planned, threads
   that began since are its own.
"""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

from ledger.engine.blocks import Block
from ledger.errors import CommandRejectedError

_mark: ContextVar[Block | None] = ContextVar("plan", default=None)


class StandIn:
    """A ledger that answers in place of another.

    Attributes:
        ledger: It.
        real: The other one.
        block: Where it does.
    """

    def __init__(self, ledger: Any, real: Any, *, is_of_process: bool) -> None:
        self.ledger = ledger
        self.real = real
        self.block = Block(_mark)
        self._others: set[int | None] | None = None
        if is_of_process:
            self._others = {it.ident for it in threading.enumerate()} - {threading.get_ident()}

    def is_around(self) -> bool:
        """Return whether the code that asks uses it."""
        if self.block.is_here():
            return True
        if self.block.is_ancestor():
            # A generator shares its context with the code that goes on beside it.
            return not self.block.is_in_generator
        return self._others is not None and threading.get_ident() not in self._others

    def require_outside(self) -> None:
        """Let code pass that has nothing to do with it.

        Raises:
            CommandRejectedError: Whether it has cannot be said, or it has.
        """
        if self.is_around():
            raise CommandRejectedError(
                "plan: this record was made or got before the plan, and saving it would record it; "
                "nothing was recorded, get it again inside the plan"
            )
        is_other_thread = threading.get_ident() != self.block.thread and self._others is None
        if is_other_thread or self.block.is_ancestor():
            raise CommandRejectedError(
                f"save: a plan is open that was opened in {self.block.where}, and nobody can say "
                "whether this code works for it; nothing was recorded, save when the plan has "
                "ended, or in its own thread"
            )


# Those that are open, in the order in which they were opened.
stand_ins: list[StandIn] = []


def around() -> StandIn | None:
    """Return the innermost stand-in that the code which asks uses."""
    for it in reversed(stand_ins[:]):
        if it.is_around():
            return it
    return None


def require_outside(ledger: Any) -> None:
    """Let a save pass, unless a plan stands in for its ledger, or did where its code began.

    Raises:
        CommandRejectedError: It does; nothing was recorded.
    """
    for it in stand_ins[:]:
        if it.real is ledger:
            it.require_outside()
    block = _mark.get()
    while block is not None:
        if not block.is_open and not block.is_in_generator:
            raise CommandRejectedError(
                f"save: this code was begun in a plan that is over, opened in {block.where}; "
                "nothing was recorded, as a plan records nothing: wait for it inside the plan"
            )
        block = block.outer


def require_none_beside(what: str) -> None:
    """Refuse what concerns the whole process while a plan is open that the caller is not inside.

    Raises:
        CommandRejectedError: One is.
    """
    for it in stand_ins[:]:
        if not it.is_around():
            raise CommandRejectedError(
                f"{what}: a plan is open that was opened in {it.block.where}; nothing was "
                "recorded, end the plan first"
            )
