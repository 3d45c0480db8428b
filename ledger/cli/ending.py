"""How the command ends: its exit statuses, and what is done where nobody listens any more."""

from __future__ import annotations

import os
import sys

MISUNDERSTOOD = 2

NOT_SHOWN = 3  # a proof holds, and does not show what it is about


INTERRUPTED = 130  # what shells report of a program that Ctrl-C ended


UNHEARD = 141  # and of one whose reader went away


def unheard() -> int:
    """Let Python end in peace although the reader went away; return the exit status for it."""
    # Python flushes once more as it ends; that must not find the closed pipe again.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNHEARD
