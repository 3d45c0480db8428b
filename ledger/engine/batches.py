"""A batch: one transaction that a block of code fills, and the batches inside it.

1. The transaction begins with the first effect. Without any, nothing is locked.
2. A batch inside a batch is a part of the transaction that fails alone.
3. Where a batch fails, its changes in memory are taken back, the last one first.
4. Batches end in the reverse order in which they were opened. One that is still open where the one
   around it ends (in a generator that was left, say) fails, and the one around it with it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from contextvars import ContextVar

from ledger.engine.blocks import Block
from ledger.engine.gathered import GatheredSession
from ledger.engine.interruption import entered_whole
from ledger.engine.shared_commit import Undo
from ledger.errors import CommandRejectedError

_mark: ContextVar[Block | None] = ContextVar("batch", default=None)


class Level:
    """A batch, or one inside it.

    Attributes:
        block: Its code.
        n_before: How many steps of undo were there before it.
        ending: What it opened, a savepoint or the transaction itself.
        is_part: Whether the transaction was begun before it.
        is_lost: Whether the batch around it ended before it did.
    """

    def __init__(self, n_before: int) -> None:
        self.block = Block(_mark)
        self.n_before = n_before
        self.ending = ExitStack()
        self.is_part = False
        self.is_lost = False


class Batch:
    """An open batch with those inside it.

    Attributes:
        session: Reading and writing goes through it; None before the first effect.
        undo: Steps that take back its changes in memory.
        first: The block of its code, while that waits for it.
    """

    def __init__(self, lost: list[Level]) -> None:
        """Open nothing yet.

        Args:
            lost: Levels that are lost, until their code hears of it; they outlive the batch.
        """
        self.session: GatheredSession | None = None
        self.undo: list[Undo] = []
        self._ahead: list[Callable[[GatheredSession], None]] = []
        self.first: Block | None = None
        self._levels: list[Level] = []
        self._lost = lost

    @property
    def block(self) -> Block | None:
        """The innermost block; None while the first is being opened or closed."""
        levels = self._levels[-1:]
        return levels[0].block if levels else self.first

    def wait(self) -> None:
        """Take note of the code that waits for it."""
        self.first = Block(_mark)

    def is_around(self) -> bool:
        """Return whether the code that asks is inside any of its blocks."""
        # Not by a generator: an interruption that meets the end of one is never heard of.
        for level in list(self._levels):  # noqa: SIM110
            if level.block.is_here():
                return True
        return False

    def is_ancestor(self) -> bool:
        """Return whether the code that asks was begun from inside, in a thread or a task."""
        for level in list(self._levels):  # noqa: SIM110 (as above)
            if level.block.is_ancestor():
                return True
        return False

    def write(
        self, begin: Callable[[], AbstractContextManager[GatheredSession]]
    ) -> GatheredSession:
        """Return the session to write through; begin the transaction if nothing did."""
        if self.session is None:
            self.session = self._levels[-1].ending.enter_context(begin())
            ahead, self._ahead = self._ahead, []
            for look in ahead:
                look(self.session)
        return self.session

    def foresee(self, look: Callable[[GatheredSession], None]) -> None:
        """Have `look` called with the session once there is one; at once where there is."""
        if self.session is None:
            self._ahead.append(look)
        else:
            look(self.session)

    @entered_whole
    def inside(self) -> Iterator[None]:
        """Lend one more level: it is recorded with the others, or fails alone."""
        level = Level(len(self.undo))
        if self.session is not None:
            level.ending.enter_context(self.session.part())
            level.is_part = True
        self._levels.append(level)
        self.first = None
        level.block.begin()
        try:
            yield
        except BaseException as error:
            self._end(level, error)
            raise
        self._end(level, None)

    def _end(self, level: Level, error: BaseException | None) -> None:
        level.block.end()
        if level.block.process != os.getpid():
            # A copy of the parent's block, in a child that was forked inside it.
            return
        if level.is_lost:
            self._lost.remove(level)
            if error is None:
                raise _lost(level)
            return
        reason = error
        while self._levels[-1] is not level:
            inner = self._levels.pop()
            inner.is_lost = True
            self._lost.append(inner)
            reason = reason or _left_open(inner)
            self._undo(inner, reason)
        self._levels.pop()
        if reason is None:
            try:
                self._keep(level)
            except BaseException:
                self._take_back(level)
                raise
            return
        self._undo(level, reason)
        if error is None:
            raise reason

    def _keep(self, level: Level) -> None:
        if self._levels and not level.is_part:
            # The transaction was begun in it, and goes on.
            self._levels[-1].ending.push(level.ending.pop_all())
            return
        if not self._levels:
            self.session = None
        level.ending.close()

    def _undo(self, level: Level, reason: BaseException) -> None:
        if not level.is_part:
            self.session = None
        try:
            level.ending.__exit__(type(reason), reason, reason.__traceback__)
        finally:
            self._take_back(level)

    def _take_back(self, level: Level) -> None:
        steps = self.undo[level.n_before :]
        del self.undo[level.n_before :]
        for step in reversed(steps):
            step()


def require_not_lost(lost: list[Level]) -> None:
    """Refuse code that is inside a batch which ended before it.

    Raises:
        CommandRejectedError: It is.
    """
    for level in lost:
        if level.block.is_here():
            raise _lost(level)


def _left_open(level: Level) -> CommandRejectedError:
    return CommandRejectedError(
        f"batch: the batch that was opened inside it in {level.block.where} is still open; "
        "nothing was recorded of either, end the inner one first"
    )


def _lost(level: Level) -> CommandRejectedError:
    return CommandRejectedError(
        f"batch: the batch around this one, opened in {level.block.where}, ended before it; "
        "nothing was recorded of either, end the inner one first"
    )
