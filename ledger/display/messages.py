"""What the ledger says to the person who uses it, as loud as `settings.verbosity` lets it.

Messages go to standard error, so that what a script prints stays its own; in a notebook they go
to standard output, where they belong to the cell.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from ledger.decisions.facts import Notice
from ledger.errors import printable
from ledger.user_settings import VERBOSITIES, settings

_SIGNS = {"error": "✗", "warning": "!", "success": "✓", "info": "•", "hint": "→", "debug": "·"}
_UNLIMITED = 10_000


def is_audible(level: str) -> bool:
    """Return whether a message of this level is to be shown."""
    return VERBOSITIES.index(level) <= VERBOSITIES.index(settings.verbosity)


def say(level: str, text: str) -> None:
    """Print a message of a level, unless the user asked not to hear it."""
    if is_audible(level):
        print(f"{_SIGNS[level]} {printable(text)}", file=_stream())


def tell(notices: Sequence[Notice]) -> None:
    """Print what a decision has to say."""
    for notice in notices:
        say(notice.level, notice.text)


def table(level: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table that never wraps: on a narrow terminal the last columns are cut first."""
    if not is_audible(level):
        return
    from rich.console import Console  # noqa: PLC0415 (costs 50 ms, and most sessions print none)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    stream = _stream()
    drawn = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for number, column in enumerate(columns):
        # The first two columns identify the record: they are cut last.
        drawn.add_column(
            column, no_wrap=True, overflow="ellipsis", min_width=12 if number == 0 else None
        )
    for row in rows:
        drawn.add_row(*(Text(printable("" if cell is None else str(cell))) for cell in row))
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console = Console(file=stream, width=_UNLIMITED)
    console.print(drawn)


def _stream() -> TextIO:
    return sys.stdout if in_notebook() else sys.stderr


def in_notebook() -> bool:
    """Return whether this process is the kernel of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")
