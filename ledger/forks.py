"""A fork of this process: what stands still before it, and what its child begins anew.

A child has the memory of its parent, and none of its other threads: what these hold, nobody gives
back; what they change, may be half-way. Files and connections are the parent's.

1. Before a fork turns are waited for, so that no other thread is within a transaction, and then
   idle connections are closed. Whoever does not come to an end is left as it is after `PATIENCE`.
2. In the child each lock is made new, and then what rested on the threads of the parent.
3. A block that the parent entered is its own: the child leaves it, and nothing is done.
4. The stop button waits until the fork is over, as whatever stands still must go on. What a hook of
   a fork raises is lost, so that it is pressed again once the hooks are over.
5. A module that another thread is loading would never be loaded in the child: this is waited for.
   The public door loads this module, so that no other one is loaded without it.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from functools import partial
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


# --- modules --------------------------------------------------------------------------------------


def _is_loaded_elsewhere() -> bool:
    """Whether another thread is loading one of these packages' modules."""
    # The import system keeps a lock for each module that is being loaded, and has no public name
    # for them. It begins none of them anew in a child.
    locks = getattr(sys.modules.get("_frozen_importlib"), "_module_locks", {})
    own = _thread.get_ident()
    for name, find in list(locks.items()):
        lock = find() if name.partition(".")[0] in {"ledger", "projections"} else None
        if lock is not None and getattr(lock, "owner", own) != own:
            return True
    return False


def _wait_for_modules() -> None:
    end = time.monotonic() + PATIENCE
    while _is_loaded_elsewhere() and time.monotonic() < end:
        time.sleep(0.001)


# --- the fork itself ------------------------------------------------------------------------------

_PUT_OFF = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
_put_off: dict[int, Any] = {}
_heard: list[int] = []
# Of each, one at most that is sent again.
_again: dict[int, list[int]] = {number: [] for number in _PUT_OFF}


def _hear(number: int, _: FrameType | None) -> None:
    _heard.append(number)


def _put_off_signals() -> None:
    # Of another thread that forks at the same moment, the main thread's are not its own.
    if threading.current_thread() is not threading.main_thread():
        return
    for number in _PUT_OFF:
        handler = signal.getsignal(number)
        if callable(handler) and handler is not _hear:
            _put_off[number] = handler
            signal.signal(number, _hear)


def _before() -> None:
    try:
        _put_off_signals()
    except KeyboardInterrupt:
        _heard.append(signal.SIGINT)
        _put_off_signals()
    _turns.run()
    _connections.run()
    _wait_for_modules()


def _in_parent() -> None:
    _going_on.run()
    try:
        _listen_again()
    except KeyboardInterrupt:
        _heard.append(signal.SIGINT)
        _listen_again()


def _in_child() -> None:
    Process.number += 1
    _locks.run()
    _rest.run()
    _heard.clear()  # it was the parent that was meant
    _listen_again()


def _listen_again() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    # Both are done again where one was interrupted.
    for number, handler in _put_off.items():
        signal.signal(number, handler)
    _put_off.clear()
    for number in _heard:
        _again[number][:] = [number]
    _heard.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before, after_in_parent=_in_parent, after_in_child=_in_child)
    for _numbers in _again.values():
        # A hook in Python would hear it itself, and lose it; these two run no line of Python.
        os.register_at_fork(after_in_parent=partial(_numbers.sort, key=_thread.interrupt_main))
        os.register_at_fork(after_in_parent=_numbers.clear)
