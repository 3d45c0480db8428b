"""The stop button: an interruption waits while something is being taken or given back.

1. Blocks that hold something (a turn, a connection, a transaction) are entered and left whole: an
   interruption that comes meanwhile is raised when that is done. What the block itself does is
   interrupted at once, and the block is then left as after any error.
2. A second interruption is not put off.
3. Python interrupts its main thread alone, so other threads need none of this.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from functools import wraps
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class _State:
    """Of the main thread.

    Attributes:
        depth: How many blocks are open.
        n_steps: How many of them are being entered or left at this moment.
        is_stopped: Whether an interruption waits.
        before: The handler of interruptions that was there before the first block.
    """

    depth = 0
    n_steps = 0
    is_stopped = False
    before: Callable[[int, FrameType | None], object]


def _hear(number: int, frame: FrameType | None) -> None:
    is_step = _State.n_steps or (frame is not None and frame.f_code in _STEPS)
    if is_step and not _State.is_stopped:
        _State.is_stopped = True
        return
    _State.is_stopped = False
    _State.before(number, frame)


class _Whole(ContextDecorator):
    """A block of the main thread that is entered and left whole."""

    def __init__(self, block: AbstractContextManager[Any]) -> None:
        self._block = block

    def _recreate_cm(self) -> _Whole:
        return _Whole(self._block._recreate_cm())  # type: ignore[attr-defined] # noqa: SLF001 (as `contextmanager` has it)

    def __enter__(self) -> Any:
        state = _State
        if not state.depth:
            before = signal.getsignal(signal.SIGINT)
            if callable(before) and before is not _hear:
                state.before = before
                signal.signal(signal.SIGINT, _hear)
        state.depth += 1
        state.n_steps += 1
        try:
            found = self._block.__enter__()
        except BaseException:
            _leave()
            raise
        state.n_steps -= 1
        if state.is_stopped and not state.n_steps:
            stop = KeyboardInterrupt()
            self.__exit__(type(stop), stop, None)
            raise stop
        return found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        _State.n_steps += 1
        try:
            return self._block.__exit__(kind, error, trace)
        finally:
            _leave()


def _leave() -> None:
    state = _State
    state.n_steps -= 1
    state.depth -= 1
    if not state.depth and _is_main() and signal.getsignal(signal.SIGINT) is _hear:
        signal.signal(signal.SIGINT, state.before)
    if state.is_stopped and not state.n_steps:
        state.is_stopped = False
        state.before(signal.SIGINT, None)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


# In these, nothing has been counted yet, or not any more.
_STEPS = {it.__code__ for it in (_Whole.__enter__, _Whole.__exit__, _leave, _is_main)}


def entered_whole(make: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]:
    """Make a context manager of a generator, as `contextmanager` does; see the rules above."""
    manager = contextmanager(make)

    @wraps(make)
    def lend(*args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        block = manager(*args, **kwargs)
        return _Whole(block) if _is_main() else block

    return lend
