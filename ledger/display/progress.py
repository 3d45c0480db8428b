"""A progress bar for work that takes over a second, on a terminal or in a notebook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from ledger.display.messages import in_notebook, is_audible, is_on_terminal

_PATIENCE = 1.0  # seconds of work before a bar is worth its place


@contextmanager
def progress(what: str, total: int | None, *, unit: str = "") -> Iterator[Callable[[int], None]]:
    """Show how far work has come; yield a function to call with each further amount.

    Args:
        what: A word for the work, such as "hashing".
        total: Amount of all work; None where it is not known.
        unit: "bytes" to show sizes.
    """
    shown = (is_on_terminal() or in_notebook()) and is_audible("info")
    if not shown:
        yield lambda _: None
        return
    started = time.monotonic()
    state: dict[str, Any] = {"done": 0, "bar": None, "task": None}

    def step(amount: int) -> None:
        state["done"] += amount
        if state["bar"] is None:
            if time.monotonic() - started < _PATIENCE:
                return
            state["bar"], state["task"] = _begin(what, total, unit)
        # A terminal that was closed meanwhile stops the bar alone.
        with suppress(OSError, ValueError):
            state["bar"].update(state["task"], completed=state["done"])

    try:
        yield step
    finally:
        if state["bar"] is not None:
            with suppress(OSError, ValueError):
                state["bar"].stop()


def _begin(what: str, total: int | None, unit: str) -> tuple[Any, Any]:
    from rich.console import Console  # noqa: PLC0415 (only for long work)
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        DownloadColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    amount = DownloadColumn() if unit == "bytes" else MofNCompleteColumn()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        amount,
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with suppress(OSError, ValueError):
        bar.start()
    return bar, bar.add_task(what, total=total)
