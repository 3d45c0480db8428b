"""Blocks of code that hold something, and which code is inside one: batches, and plans.

1. A task of asyncio, or a generator, is left in the middle of its block, and other code of the same
   thread runs meanwhile. Code is inside such a block if the function that opened it is among its
   callers.
2. Any other block is left by returning from it alone. All code of its thread is inside, until then.
3. What a block begins elsewhere, in a thread or in a task, is outside. Where its context is copied
   from the block's (`create_task`, `to_thread`), that is known.
"""

from __future__ import annotations

import inspect
import os
import sys
import threading
from contextlib import suppress
from contextvars import ContextVar, Token
from types import FrameType
from typing import Any

_LEAVABLE = (
    inspect.CO_GENERATOR
    | inspect.CO_COROUTINE
    | inspect.CO_ITERABLE_COROUTINE
    | inspect.CO_ASYNC_GENERATOR
)
_OF_TASKS = inspect.CO_COROUTINE | inspect.CO_ITERABLE_COROUTINE
_LIBRARY = __name__.partition(".")[0]
# These enter a generator on behalf of other code, to which its block belongs.
_ENTERING = {"contextlib", "_pytest.fixtures"}

Mark = ContextVar["Block | None"]


class Block:
    """A block, from the moment at which it is opened.

    Attributes:
        thread: The thread that was in it last.
        frame: The task or generator that opened it, and can be left; None for any other code.
        is_in_generator: Whether that shares its context with the code that goes on beside it.
        task: The task of asyncio that opened it; None outside of tasks.
        where: Where it was opened, for people.
        is_open: Whether it was begun and has not ended.
        outer: The block of its kind in which it was opened, perhaps in another context.
    """

    def __init__(self, mark: Mark) -> None:
        self.thread = threading.get_ident()
        self.process = os.getpid()
        opener = _opener(sys._getframe(1))  # noqa: SLF001 (the way to callers)
        self.frame = _leavable(opener)
        self.is_in_generator = self.frame is not None and not self.frame.f_code.co_flags & _OF_TASKS
        self.where = _place(opener)
        self.task = current_task()
        self.is_open = False
        self.outer: Block | None = None
        self._mark = mark
        self._token: Token[Block | None] | None = None

    def begin(self) -> None:
        """Mark the present context as one that is in the block."""
        self.is_open = True
        outer = self._mark.get()
        while outer is not None and not outer.is_open and outer.is_in_generator:
            outer = outer.outer
        self.outer = outer
        self._token = self._mark.set(self)

    def end(self) -> None:
        """Take the mark away."""
        self.is_open = False
        self.frame = None
        if self._token is not None:
            # It may be left in another context: a generator that somebody else closes.
            with suppress(ValueError):
                self._mark.reset(self._token)
            self._token = None

    def is_here(self) -> bool:
        """Return whether the code that asks is inside."""
        if self.frame is None:
            return self.is_open and self.thread == threading.get_ident()
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 (as above)
        while frame is not None:
            if frame is self.frame:
                self.thread = threading.get_ident()
                return True
            frame = frame.f_back
        return False

    def is_ancestor(self) -> bool:
        """Return whether the present context was copied from one inside."""
        block = self._mark.get()
        while block is not None and block is not self:
            block = block.outer
        return block is self


def current_task() -> Any:
    """Return the task of asyncio that runs in this thread; None without one."""
    asyncio = sys.modules.get("asyncio")
    if asyncio is None:
        return None
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


def _opener(frame: FrameType | None) -> FrameType | None:
    """Return the code that opens a block: not what enters a block on behalf of other code."""
    while frame is not None and _is_entering(frame):
        frame = frame.f_back
    return frame


def _is_entering(frame: FrameType) -> bool:
    name, caller = _module(frame), frame.f_back
    if name in _ENTERING:
        return True
    if frame.f_code.co_flags & _LEAVABLE:
        is_entered = caller is not None and _module(caller) in _ENTERING
        return is_entered or (_is_library(frame) and frame.f_code.co_name == "__aenter__")
    return _is_library(frame)


def _is_library(frame: FrameType) -> bool:
    return _module(frame).partition(".")[0] == _LIBRARY


def _place(frame: FrameType | None) -> str:
    if frame is None or _is_library(frame):
        return "a function that ln.batch() decorates"
    return f"{frame.f_code.co_name}, line {frame.f_lineno}"


def _leavable(frame: FrameType | None) -> FrameType | None:
    """Return the nearest caller that can be left in the middle."""
    while frame is not None and not frame.f_code.co_flags & _LEAVABLE:
        frame = _opener(frame.f_back)
    return frame
