"""The end of the command: its exit statuses, and a quiet end after its reader went away."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

MISUNDERSTOOD = 2
NOT_SHOWN = 3  # a proof holds, and does not show what it is about
INTERRUPTED = 130  # as shells report a program that Ctrl-C ended
UNHEARD = 141  # as shells report a program whose reader went away


def unheard() -> int:
    """Let Python end in peace although the reader went away; return the exit status for it."""
    # Python flushes once more as it ends; that must not find the closed pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNHEARD


def complain(text: str) -> None:
    """Write an error to standard error; the exit status tells of it where nobody reads that."""
    with suppress(OSError, ValueError):
        sys.stderr.write(text)
        sys.stderr.flush()


def open_missing() -> None:
    """Put a stream of nothing where a standard stream was closed as the process began."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 (it ends with the process)
