"""A fork of this process: what stands still before it, and what its child begins anew.

A child has the memory of its parent, and none of its other threads: what these hold, nobody gives
back; what they change, may be half-way. Files and connections are the parent's.

1. Before a fork turns are waited for, so that no other thread is within a transaction, and then
   idle connections are closed. Whoever does not come to an end is left as it is after `PATIENCE`.
2. In the child each lock is made new, and then what rested on the threads of the parent.
3. A block that the parent entered is its own: the child leaves it, and nothing is done.
4. The stop button waits until the fork is over, as whatever stands still must go on.
"""

from __future__ import annotations

import os
import signal
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

PATIENCE = 10.0  # seconds a fork waits for the others

Step = Callable[[], None]


class Process:
    """Of this process.

    Attributes:
        number: How many forks lie between it and the first one.
    """

    number = 0


class _Steps:
    """Steps in the order in which they were added; a method ends with its object."""

    def __init__(self) -> None:
        self._steps: dict[int, Callable[[], Step | None]] = {}
        self._n = 0

    def add(self, step: Step) -> None:
        self._n += 1
        number = self._n
        if hasattr(step, "__self__"):
            self._steps[number] = weakref.WeakMethod(step, lambda _: self._steps.pop(number, None))
        else:
            self._steps[number] = lambda: step

    def run(self) -> None:
        for find in list(self._steps.values()):
            step = find()
            # One that fails keeps no other one from its work, nor the fork.
            with suppress(Exception):
                if step is not None:
                    step()


_turns, _connections, _going_on, _locks, _rest = (_Steps() for _ in range(5))


def wait_for_turn(pause: Step, go_on: Step) -> None:
    """Have `pause` called before each fork, and `go_on` after it in the parent."""
    _turns.add(pause)
    _going_on.add(go_on)


def put_away(pause: Step, go_on: Step | None = None) -> None:
    """As `wait_for_turn`, for what can be put away once each turn has come."""
    _connections.add(pause)
    if go_on is not None:
        _going_on.add(go_on)


def made_anew(make: Step) -> None:
    """Call `make`, which makes locks, now and in each child that is forked."""
    make()
    _locks.add(make)


def in_child(step: Step) -> None:
    """Have `step` called in each child that is forked, when its locks are new."""
    _rest.add(step)


def keep(thing: object) -> None:
    """Have a thing of the parent never end in this process, not even with the process.

    Its end would do something to what the parent holds.
    """
    with suppress(ImportError):
        import ctypes  # noqa: PLC0415 (needed by few)

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))


# --- the fork itself ------------------------------------------------------------------------------

_put_off: dict[int, Any] = {}
_heard: list[int] = []


def _hear(number: int, _: FrameType | None) -> None:
    _heard.append(number)


def _before() -> None:
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM):
            handler = signal.getsignal(number)
            if callable(handler):
                _put_off[number] = handler
                signal.signal(number, _hear)
    _turns.run()
    _connections.run()


def _in_parent() -> None:
    _going_on.run()
    _listen_again()


def _in_child() -> None:
    Process.number += 1
    _locks.run()
    _rest.run()
    _heard.clear()  # it was the parent that was meant
    _listen_again()


def _listen_again() -> None:
    # Of another thread that forks at the same moment, the main thread's are not its own.
    if threading.current_thread() is not threading.main_thread():
        return
    while _put_off:
        number, handler = _put_off.popitem()
        signal.signal(number, handler)
    while _heard:
        signal.raise_signal(_heard.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
