"""Messages to the user; `settings.verbosity` decides which of them are shown.

They go to standard error, so that standard output has only the output of the script itself. In a
notebook they go to standard output, because they belong to the cell. Where the stream is closed, or
full, or its reader went away, nothing else fails: what they tell of is done.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TextIO
from weakref import WeakSet

from ledger.decisions.facts import Notice
from ledger.display.tables import drawn
from ledger.errors import printable
from ledger.user_settings import VERBOSITIES, settings

_heard: dict[str, WeakSet[TextIO]] = {}  # the streams on which a message was said once
_unsaid: set[str] = set()
_SIGNS = {"error": "✗", "warning": "!", "success": "✓", "info": "•", "hint": "→", "debug": "·"}


def is_audible(level: str) -> bool:
    """Return whether a message of this level is to be shown."""
    return VERBOSITIES.index(level) <= VERBOSITIES.index(settings.verbosity)


def say(level: str, text: str) -> None:
    """Print a message if `settings.verbosity` shows its level."""
    if is_audible(level):
        _write(lambda _: f"{_SIGNS[level]} {printable(text)}\n")


def say_once(level: str, text: str) -> None:
    """Print a message once a process; a stream that replaced another one gets it once too."""
    stream, heard = _stream(), _heard.setdefault(text, WeakSet())
    if stream is None or text in _unsaid or not is_audible(level):
        return
    try:
        if stream in heard:
            return
        heard.add(stream)
    except TypeError:  # a stream of the user's own that cannot be remembered weakly
        _unsaid.add(text)
    say(level, text)


def leave_unsaid(text: str) -> None:
    """Have `say_once` never print this message in this process."""
    _unsaid.add(text)


def tell(notices: Sequence[Notice]) -> None:
    """Print the notices of a decision."""
    for notice in notices:
        say(notice.level, notice.text)


def table(level: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table if `settings.verbosity` shows messages of its level."""
    if is_audible(level):
        _write(lambda stream: drawn(columns, rows, stream))


def _stream() -> TextIO | None:
    """Return where messages go; Python has none where it was closed as the process began."""
    return sys.stdout if in_notebook() else sys.stderr


def _write(text: Callable[[TextIO], str]) -> None:
    stream = _stream()
    if stream is None:
        return
    # Whatever a stream raises, which a script may have put there: the event is recorded already.
    with suppress(Exception):
        written = text(stream)
        try:
            stream.write(written)
        except UnicodeEncodeError:
            stream.write(written.encode("ascii", "backslashreplace").decode())


def is_on_terminal() -> bool:
    """Return whether standard error is a terminal."""
    stream: TextIO | None = sys.stderr
    try:
        return stream is not None and stream.isatty()
    except Exception:  # noqa: BLE001 (closed since, or of a script's own making)
        return False


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
