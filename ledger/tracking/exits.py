"""Whether the script of this process ended by an exit with an error, and what it said.

1. `SystemExit` reaches no hook of Python, and at the end of the process it is gone. So the
   outermost frame of the script is kept: its last instruction tells whether it ran to its end.
2. From Python 3.12 on, Python itself tells which `SystemExit` left that frame.
3. On Python 3.11 the value is the one last given to `sys.exit()`, `exit()` or `quit()`. A `raise
   SystemExit(...)` in the outermost frame is read if its value is a constant or a variable. An exit
   whose value stays unknown counts as one with an error.
4. `None` and 0 are no errors, and neither is an exit that the script caught.
5. SIGTERM ends a script that tracks a run like `sys.exit(143)`. A handler of the script's own
   stays, and a forked process is ended by the signal itself.
"""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any

from ledger import forks

_NOTHING: Any = object()
_UNKNOWN = "its status is not known"


class ExitWatch:
    """The end of the script of this process; made once, while the script runs."""

    def __init__(self) -> None:
        self._frame = _outermost()
        self._code: Any = _NOTHING
        if sys.version_info >= (3, 12):
            self._listen()
        else:
            self._wrap()

    def error(self) -> SystemExit | None:
        """Return the exit by which the script ended, if that was an error; else None."""
        code = self._code if sys.version_info >= (3, 12) else self._guessed()
        return None if code is _NOTHING else exit_error(code)

    # --- Python 3.12 and later ------------------------------------------------------------------

    if sys.version_info >= (3, 12):

        def _listen(self) -> None:
            monitoring, outermost = sys.monitoring, self._frame.f_code

            def left(code: CodeType, offset: int, error: BaseException) -> None:
                del offset
                if code is outermost and isinstance(error, SystemExit):
                    self._code = error.code

            # Numbers 3 and 4 are for tools without a purpose of their own in Python.
            for tool in (3, 4):
                if monitoring.get_tool(tool) is None:
                    monitoring.use_tool_id(tool, "metaledger")
                    monitoring.register_callback(tool, monitoring.events.PY_UNWIND, left)
                    monitoring.set_events(tool, monitoring.events.PY_UNWIND)
                    return

    # --- Python 3.11 ----------------------------------------------------------------------------

    def _wrap(self) -> None:
        leave = sys.exit

        def note(status: Any = None, /) -> None:
            self._code = status
            leave(status)

        note.__doc__ = leave.__doc__
        sys.exit = note  # type: ignore[assignment]
        quitter: Any = type(getattr(builtins, "exit", None))
        if quitter.__module__ == "_sitebuiltins":
            quit_by = quitter.__call__

            def note_quit(which: object, code: Any = None) -> None:
                self._code = code
                quit_by(which, code)

            quitter.__call__ = note_quit

    def _guessed(self) -> Any:
        """Return the value of the exit that left the outermost frame; `_NOTHING` for none."""
        import dis  # noqa: PLC0415 (few processes end without finish())

        if _is_running(self._frame):
            return _NOTHING
        last, code = self._frame.f_lasti, self._frame.f_code
        done = [it for it in dis.get_instructions(code) if it.offset <= last]
        if done[-1].opname == "RETURN_VALUE":
            return _NOTHING
        # `raise` alone passes on the exit that was caught.
        if done[-1].opname == "RAISE_VARARGS" and done[-1].arg:
            before_cause = -1 if done[-1].arg == 1 else -2
            return self._raised([it for it in done if it.opname != "PRECALL"][:before_cause])
        return _UNKNOWN if self._code is _NOTHING else self._code

    def _raised(self, loaded: list[Any]) -> Any:
        """Return the value of `raise SystemExit(value)` or `raise error`, if it can be read."""
        if loaded[-1].opname != "CALL":
            error = self._value(loaded[-1])
            if error is SystemExit:
                return None
            return error.code if isinstance(error, SystemExit) else _UNKNOWN
        if loaded[-1].arg == 0:
            return None
        found = self._value(loaded[-2])
        is_exit = loaded[-1].arg == 1 and self._value(loaded[-3]) is SystemExit
        return found if is_exit and found is not _NOTHING else _UNKNOWN

    def _value(self, instruction: Any) -> Any:
        """Return what an instruction loads: a constant, or a variable of the outermost frame."""
        if instruction.opname == "LOAD_CONST":
            return instruction.argval
        if instruction.opname not in ("LOAD_NAME", "LOAD_GLOBAL"):
            return _NOTHING
        name, frame = instruction.argval, self._frame
        for names in (frame.f_locals, frame.f_globals, frame.f_builtins):
            if name in names:
                return names[name]
        return _NOTHING


def exit_error(code: object) -> SystemExit | None:
    """Return the exit with this value if it is an error: any but `None` and 0."""
    is_well = code is None or (isinstance(code, int) and code == 0)
    return None if is_well else SystemExit(code)


def hear_termination(note: Callable[[], bool]) -> None:
    """From now on, end the process by an exit when it gets SIGTERM, where nobody handles that.

    Args:
        note: Told of the end before it; returns whether it has something to do at the exit.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # Python lets no other thread handle signals.
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        return

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        # A second one ends the process at once.
        signal.signal(number, signal.SIG_DFL)
        if note():
            raise SystemExit(128 + number)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGTERM, end)
    if hasattr(os, "register_at_fork"):
        _spare_children(end)


def _spare_children(handler: Callable[[int, FrameType | None], None]) -> None:
    """Let SIGTERM end a forked process itself, however early it comes.

    A child that has just begun forgets a signal for which Python has a handler, so the signal waits
    until there is no handler.
    """
    masks = threading.local()  # a mask is one thread's

    def hold() -> None:
        masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def go_on() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, masks.before)

    def begin() -> None:
        if signal.getsignal(signal.SIGTERM) is handler:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        go_on()

    # In the parent while signals are put off still: what a hook raises is lost.
    forks.wait_for_turn(hold, go_on)
    os.register_at_fork(after_in_child=begin)


def _outermost() -> FrameType:
    """Return the first frame of the main thread: that of the running script."""
    frames = sys._current_frames()  # noqa: SLF001 (no other way to the frames of a thread)
    frame = frames.get(threading.main_thread().ident or 0, sys._getframe())  # noqa: SLF001
    while frame.f_back is not None:
        frame = frame.f_back
    return frame


def _is_running(frame: FrameType) -> bool:
    current: FrameType | None = sys._getframe()  # noqa: SLF001
    while current is not None and current is not frame:
        current = current.f_back
    return current is not None
