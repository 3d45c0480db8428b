"""The stop button: an interruption waits while something is being taken or given back.

1. Blocks that hold something (a turn, a connection, a transaction) are entered and left whole: an
   interruption that comes meanwhile is raised when that is done. What the block itself does is
   interrupted at once, and the block is then left as after any error.
2. Whatever handler a signal has may raise: that of the stop button, of an alarm, of an end.
3. A second interruption is not put off.
4. Python interrupts its main thread alone, so other threads need none of this.
5. A block that was entered before a fork is the parent's: a child leaves it, and nothing is done.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ContextDecorator, contextmanager
from functools import wraps
from types import FrameType, TracebackType
from typing import Any, ClassVar, ParamSpec, TypeVar

from ledger import forks

P = ParamSpec("P")
T = TypeVar("T")


class _State:
    """Of the main thread.

    Attributes:
        depth: How many blocks are open.
        n_steps: How many of them are being entered or left at this moment.
        stopped: The signal of the interruption that waits; 0 for none.
        before: The handlers of signals that were there before the first block.
        is_forking: Whether it is the one that forked last.
    """

    depth = 0
    n_steps = 0
    stopped = 0
    is_forking = True
    before: ClassVar[dict[int, Callable[[int, FrameType | None], object]]] = {}


def _hear(number: int, frame: FrameType | None) -> None:
    is_step = _State.n_steps or (frame is not None and frame.f_code in _STEPS)
    if is_step and not _State.stopped:
        _State.stopped = number
        return
    _State.stopped = 0
    _State.before[number](number, frame)


class _OfProcess(ContextDecorator):
    """A block of any thread that is left by the process alone that entered it."""

    _process = -1

    def __init__(self, block: AbstractContextManager[Any]) -> None:
        self._block = block

    def _recreate_cm(self) -> _OfProcess:
        return type(self)(self._block._recreate_cm())  # type: ignore[attr-defined] # noqa: SLF001 (as `contextmanager` has it)

    def __enter__(self) -> Any:
        self._process = forks.Process.number
        return self._block.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        if self._process != forks.Process.number:
            forks.keep(self._block)
            return None
        return self._block.__exit__(kind, error, trace)


class _Whole(_OfProcess):
    """A block of the main thread that is entered and left whole."""

    def __enter__(self) -> Any:
        state = _State
        if not state.depth:
            for number in _SIGNALS:
                before = _signal.getsignal(number)
                if callable(before) and before is not _hear:
                    state.before[number] = before
                    _signal.signal(number, _hear)
        state.depth += 1
        state.n_steps += 1
        try:
            found = super().__enter__()
        except BaseException:
            _leave()
            raise
        state.n_steps -= 1
        if state.stopped and not state.n_steps:
            try:
                _deliver()
            except BaseException as stop:
                self.__exit__(type(stop), stop, stop.__traceback__)
                raise
        return found

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        _State.n_steps += 1
        try:
            return super().__exit__(kind, error, trace)
        finally:
            _leave()


def _leave() -> None:
    state = _State
    state.n_steps -= 1
    state.depth -= 1
    if not state.depth and _is_main():
        for number in _SIGNALS:
            if _signal.getsignal(number) is _hear:
                _signal.signal(number, state.before[number])
    if state.stopped and not state.n_steps:
        _deliver()


def _deliver() -> None:
    number, _State.stopped = _State.stopped, 0
    _State.before[number](number, None)


def _is_main() -> bool:
    return threading.get_ident() == threading.main_thread().ident


# Without the conversion of numbers to names, which would cost each question 50 µs.
_signal: Any = sys.modules.get("_signal", signal)
# What may raise in the middle of anything; not each system has all.
_SIGNALS = [
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGALRM") if hasattr(signal, name)
]
# In these, nothing has been counted yet, or not any more.
_STEPS = {
    it.__code__
    for it in (
        *(_Whole.__enter__, _Whole.__exit__, _OfProcess.__enter__, _OfProcess.__exit__),
        *(_leave, _deliver, _is_main),
    )
}


def _note() -> None:
    _State.is_forking = _is_main()


def _begin_anew() -> None:
    """Forget the blocks of the parent's main thread in a child of another one."""
    if not _State.is_forking:
        _State.depth = _State.n_steps = _State.stopped = 0
        for number, before in _State.before.items():
            if _signal.getsignal(number) is _hear:
                _signal.signal(number, before)


forks.wait_for_turn(_note, lambda: None)
forks.in_child(_begin_anew)


def step(function: Callable[P, T]) -> Callable[P, T]:
    """Have an interruption wait that comes between the steps of a function, outside its blocks."""
    _STEPS.add(function.__code__)
    return function


def whole(block: AbstractContextManager[T]) -> AbstractContextManager[T]:
    """Return a block that is entered and left whole, once; see the rules above."""
    return _Whole(block) if _is_main() else _OfProcess(block)


def entered_whole(make: Callable[P, Iterator[T]]) -> Callable[P, AbstractContextManager[T]]:
    """Make a context manager of a generator, as `contextmanager` does; see the rules above."""
    manager = contextmanager(make)

    @wraps(make)
    def lend(*args: P.args, **kwargs: P.kwargs) -> AbstractContextManager[T]:
        return whole(manager(*args, **kwargs))

    return lend
