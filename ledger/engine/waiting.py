"""Who waits for whom among the threads and tasks of a process, as far as Python tells.

A batch whose thread waits for a thread that wants to save would never end. The wait is seen in what
both are busy with: a thread that is joined, the work of a pool whose result is asked for, the
future that a task awaits. A wait for anything else (an event, a queue) may be ended by anybody;
there, only standing still for long tells.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from types import FrameType
from typing import Any

from ledger.engine.blocks import Block, current_task
from ledger.errors import CommandRejectedError

_WAITING = {
    "threading",
    "queue",
    "concurrent.futures._base",
    "concurrent.futures.thread",
    "multiprocessing.pool",
}
# Calls that return when what they are about has ended.
_ASKING = {
    "join", "_wait_for_tstate_lock", "result", "exception", "wait", "as_completed",
    "result_iterator", "_result_or_cancel", "shutdown", "get", "next", "__next__",
}  # fmt: skip
STANDSTILL = 5.0  # seconds after which a batch that does not move is not waited for
_HOLDING = (list, tuple, set, frozenset, dict)


def waits_for_me(block: Block) -> bool:
    """Return whether a block goes on only after the code that asks."""
    frames = sys._current_frames()  # noqa: SLF001 (the way to other threads)
    me = threading.get_ident()
    own = _brought_by(me, frames[me]) | _brought_by_task(current_task())
    seen, todo = {me}, [_awaited_in(block, frames)]
    while todo:
        awaited = todo.pop()
        if awaited & own:
            return True
        for thread, frame in frames.items():
            if thread not in seen and awaited & _brought_by(thread, frame):
                seen.add(thread)
                todo.append(_awaited_by(frame))
    return False


def standstill(block: Block) -> object:
    """Return what a block stands at: equal as long as it does not move; None where it works."""
    frame = sys._current_frames().get(block.thread)  # noqa: SLF001 (as above)
    if _is_left(block, frame):
        left = block.frame
        return (None if left is None else left.f_lasti, getattr(block.task, "_fut_waiter", None))
    if frame is None or _module(frame) not in _WAITING:
        return None
    return tuple((id(it), it.f_lasti) for it in _stack(frame))


def _is_left(block: Block, frame: FrameType | None) -> bool:
    return block.frame is not None and all(it is not block.frame for it in _stack(frame))


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))


# --- what somebody waits for ----------------------------------------------------------------------


def _awaited_in(block: Block, frames: dict[int, FrameType]) -> set[object]:
    frame = frames.get(block.thread)
    if _is_left(block, frame):
        return _awaited_by_task(block.task)
    return set() if frame is None else _awaited_by(frame)


def _awaited_by(frame: FrameType) -> set[object]:
    """Return the threads, futures and jobs that the calls on top of a stack are about."""
    found: set[object] = set()
    for it in _stack(frame):
        if _module(it) not in _WAITING:
            break
        if it.f_code.co_name not in _ASKING:
            continue
        for value in list(it.f_locals.values()):
            found |= _named(value)
            if isinstance(value, _HOLDING):
                for inner in list(value):
                    found |= _named(inner)
    return found


def _named(value: object) -> set[object]:
    if isinstance(value, threading.Thread):
        return {value.ident}
    if isinstance(value, Future):
        return {value}
    # The result of a pool of `multiprocessing`: the worker knows its job by this number.
    job = getattr(value, "_job", None)
    return {("job", job)} if isinstance(job, int) else set()


def _awaited_by_task(task: Any) -> set[object]:
    """Return what a task awaits: tasks, and futures of threads."""
    found: set[object] = set()
    todo = [getattr(task, "_fut_waiter", None)]
    while todo:
        future = todo.pop()
        if future is None or future in found:
            continue
        found |= {future} | _chained(future)
        todo.append(getattr(future, "_fut_waiter", None))
        todo += getattr(future, "_children", None) or []
    return found


# --- what somebody brings about -------------------------------------------------------------------


def _brought_by(thread: int, frame: FrameType) -> set[object]:
    """Return what ends once a thread has done what it does: itself, and the work of a pool."""
    found: set[object] = {thread}
    for it in _stack(frame):
        name = _module(it)
        if name == "concurrent.futures.thread":
            future = getattr(it.f_locals.get("self"), "future", None)
            if future is not None:
                found.add(future)
        elif name == "multiprocessing.pool":
            job = it.f_locals.get("job")
            if isinstance(job, int):
                found.add(("job", job))
    return found


def _brought_by_task(task: Any) -> set[object]:
    return set() if task is None else {task} | _chained(task)


def _chained(future: Any) -> set[object]:
    """Return the futures of threads that asyncio keeps in step with one of its own."""
    found: set[object] = set()
    for callback, *_ in getattr(future, "_callbacks", None) or []:
        for cell in getattr(callback, "__closure__", None) or ():
            if isinstance(cell.cell_contents, Future):
                found.add(cell.cell_contents)
    return found


# --- refusing -------------------------------------------------------------------------------------


class Watch:
    """Looks, while somebody waits, whether the open batch can end at all."""

    def __init__(self, opened: Callable[[], Block | None]) -> None:
        """Begin to watch the innermost block of a batch; None where none is open."""
        self._opened = opened
        self._seen: tuple[object, object] | None = None
        self._since = 0.0

    def look(self) -> None:
        """Return if it can end, as far as this can be seen.

        Raises:
            CommandRejectedError: It cannot: it waits for the caller, or does not move.
        """
        block = self._opened()
        if block is None:
            self._seen = None
            return
        if waits_for_me(block):
            raise CommandRejectedError(
                f"save: the batch that was opened in {block.where} waits for this thread or task, "
                "which would wait for the batch; nothing was recorded, save in the block itself, "
                "or end the batch before others save"
            )
        seen, now = standstill(block), time.monotonic()
        if seen is None or self._seen != (block, seen):
            self._seen, self._since = (block, seen), now
        elif now - self._since >= STANDSTILL:
            raise CommandRejectedError(
                f"save: the batch that was opened in {block.where} has not moved for "
                f"{STANDSTILL:.0f} s, and may wait for this thread or task; nothing was recorded, "
                "end the batch before others save"
            )


def refused(block: Block) -> CommandRejectedError:
    """Return the error for code beside an open batch, or begun by it."""
    return CommandRejectedError(
        f"save: a batch is open that was opened in {block.where}, and this code is not inside its "
        "block; nothing was recorded, end the batch first (tasks of asyncio take turns with "
        "'async with ln.batch():')"
    )
