"""Tables as text: for a terminal cut to its width, for a pipe or a file aligned and whole.

1. On a terminal a table never wraps: cells that do not fit are cut with `…`, the uid last.
2. Elsewhere nothing is cut: columns are aligned, one record a line.
3. Every cell is one line of text; no control character reaches a terminal.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

from ledger.errors import printable

_GAP = "  "
_WHOLE = {"uid", "created_at", "started_at", "finished_at"}  # useless when cut
_READABLE = 12  # characters that a cut column keeps at least


def shown(value: object) -> str:
    """Return a value as one line that is safe to print."""
    return "" if value is None else printable(str(value)).replace("\n", "\\n")


def drawn(columns: Sequence[str], rows: Sequence[Sequence[object]], stream: TextIO) -> str:
    """Return a table as the text to write to `stream`, its last line ended."""
    lines = [list(columns), *([shown(cell) for cell in row] for row in rows)]
    if stream.isatty():
        return _for_terminal(lines, stream)
    widths = [max(map(len, cells)) for cells in zip(*lines, strict=True)]
    padded = (map(str.ljust, line, widths) for line in lines)
    return "".join(f"{_GAP.join(cells).rstrip()}\n" for cells in padded)


def _for_terminal(lines: Sequence[Sequence[str]], stream: TextIO) -> str:
    from rich.cells import cell_len  # noqa: PLC0415 (rich costs 50 ms; most sessions draw nothing)
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    columns = lines[0]
    console = Console(file=stream, highlight=False)
    natural = [max(map(cell_len, cells)) for cells in zip(*lines, strict=True)]
    widths = _fitted(columns, natural, console.width)
    table = Table(box=None, pad_edge=False, padding=(0, len(_GAP), 0, 0), header_style="bold")
    for column, width in zip(columns, widths, strict=False):
        table.add_column(Text(column), no_wrap=True, overflow="ellipsis", width=width)
    if len(widths) < len(columns):
        table.add_column("…", width=1)
    for row in lines[1:]:
        table.add_row(*map(Text, row[: len(widths)]))
    with console.capture() as captured:
        console.print(table)
    return captured.get()


def _fitted(columns: Sequence[str], natural: Sequence[int], room: int) -> list[int]:
    """Return the widths of as many columns as fit; the first column always stays.

    The widest columns are narrowed first, as long as they can be read. After that the last columns
    are left out, and one place is kept to say so.
    """
    count = len(natural)
    while count > 1:
        widths = list(natural[:count])
        floors = [
            width if column in _WHOLE else min(width, max(_READABLE, len(column)))
            for column, width in zip(columns, widths, strict=False)
        ]
        left = room - len(_GAP) * count - (1 if count < len(natural) else 0)
        while sum(widths) > left:
            slack, place = max(
                (width - floor and width, place)
                for place, (width, floor) in enumerate(zip(widths, floors, strict=True))
            )
            if slack == 0:
                break
            widths[place] -= 1
        else:
            return widths
        count -= 1
    return list(natural[:1])
