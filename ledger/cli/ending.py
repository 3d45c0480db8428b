"""The end of the command: its exit statuses, and a quiet end after its reader went away."""

from __future__ import annotations

import os
import sys

MISUNDERSTOOD = 2
NOT_SHOWN = 3  # a proof holds, and does not show what it is about
INTERRUPTED = 130  # as shells report a program that Ctrl-C ended
UNHEARD = 141  # as shells report a program whose reader went away


def unheard() -> int:
    """Let Python end in peace although the reader went away; return the exit status for it."""
    # Python flushes once more as it ends; that must not find the closed pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNHEARD
