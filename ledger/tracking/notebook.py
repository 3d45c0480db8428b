"""The notebook that this process runs, if any: its path and its code.

1. IPython is only looked for among the loaded modules, never imported. A shell of a Jupyter kernel
   is a notebook; IPython in a terminal is a REPL like any other.
2. The path comes from the first of these hints that names an existing file: `__vsc_ipynb_file__`
   (VS Code), `__session__` (PyCharm) and `PAPERMILL_INPUT_PATH` (`papermill --inject-paths`) in the
   user's namespace, `JPY_SESSION_NAME` (Jupyter Server 2 and later) in the process's environment.
   Else it is unknown, as under nbclient: then the code is that of the cells that ran so far, and
   its hash tells such notebooks apart.
3. The code is that of the file on disk: its code cells in order, each headed by `# %%`, without
   blank cells. Outputs, execution counts, cell ids, text cells and metadata leave no trace.
4. The cell that papermill writes holds parameters, and is no code: `# Parameters`, then names with
   literal values. It is looked for where papermill may be at work: where its path or none is told.
5. `is_consecutive` is about the executed cells: their counts are 1, 2, 3 … in order.
"""

from __future__ import annotations

import ast
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec

from ledger.errors import LedgerError
from ledger.input_files import read_small

ShellKind: TypeAlias = Literal["kernel", "terminal"]

_MOST_NOTEBOOK = 1 << 30  # bytes of a file: notebooks hold pictures
_CELL_HEADING = "# %%"
_PAPERMILL_PATH = "PAPERMILL_INPUT_PATH"
_NAMESPACE_HINTS = ("__vsc_ipynb_file__", "__session__", _PAPERMILL_PATH)
_PARAMETERS_HEADING = "# Parameters"
_NO_PARAMETERS = {_PAPERMILL_PATH, "PAPERMILL_OUTPUT_PATH"}
_FLOATS = {"nan", "inf", "-inf"}


def active_shell() -> object | None:
    """Return IPython's running shell; None outside IPython."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    return get_ipython() if callable(get_ipython) else None


def shell_kind(shell: object | None) -> ShellKind | None:
    """Return whether `shell` belongs to a kernel or a terminal; None if there is no shell."""
    if shell is None:
        return None
    # Products derive their own shells from this class, so all bases are searched for its name.
    is_kernel = any(base.__name__ == "ZMQInteractiveShell" for base in type(shell).__mro__)
    return "kernel" if is_kernel or getattr(shell, "kernel", None) is not None else "terminal"


def notebook_path(shell: object, variables: Mapping[str, str] = os.environ) -> Path | None:
    """Return the absolute path of the notebook that `shell` runs; None if it is unknown."""
    namespace = getattr(shell, "user_ns", None) or {}
    hints = [namespace.get(name) for name in _NAMESPACE_HINTS]
    for hint in [*hints, variables.get("JPY_SESSION_NAME")]:
        # A renamed notebook makes its hint stale, and the hint of a console names no file.
        if isinstance(hint, str) and hint and Path(hint).is_file():
            return Path(hint).absolute()
    return None


def read_notebook(path: Path) -> Mapping[str, object] | None:
    """Return the notebook at `path` as it is on disk; None if the file is no notebook."""
    try:
        decoded = msgspec.json.decode(read_small(path, most=_MOST_NOTEBOOK))
    except (LedgerError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return decoded if isinstance(decoded, dict) else None


def notebook_code(notebook: Mapping[str, object]) -> str:
    """Return the code of a notebook (format 3 or 4) as one text that ends with a newline."""
    cells = [_source(cell) for cell in _code_cells(notebook)]
    return "\n".join(f"{_CELL_HEADING}\n{cell}\n" for cell in cells if cell)


def executed_code(shell: object) -> str | None:
    """Return the code of the cells that `shell` has run, as of a notebook; None if it is unknown.

    The cell that runs now is the last one.
    """
    cells = _executed(shell)
    number, _ = _injected(cells)
    ran = [{"cell_type": "code", "source": cell} for at, cell in enumerate(cells) if at != number]
    return notebook_code({"cells": ran}) or None


def injected_parameters(shell: object) -> dict[str, object] | None:
    """Return the parameters that papermill gave to the notebook of `shell`; None for none."""
    namespace = getattr(shell, "user_ns", None) or {}
    if _PAPERMILL_PATH not in namespace and notebook_path(shell) is not None:
        return None
    return _injected(_executed(shell))[1]


def _executed(shell: object) -> list[str]:
    """Return the cells that `shell` has run."""
    cells = getattr(getattr(shell, "history_manager", None), "input_hist_raw", None)
    return [cell for cell in cells if isinstance(cell, str)] if isinstance(cells, list) else []


def _injected(cells: Sequence[str]) -> tuple[int | None, dict[str, object] | None]:
    """Return number and values of the cell that papermill wrote; it is the last of its kind."""
    for number in reversed(range(len(cells))):
        if cells[number].partition("\n")[0].strip() == _PARAMETERS_HEADING:
            values = _assigned(cells[number])
            if values is not None:
                kept = {name: it for name, it in values.items() if name not in _NO_PARAMETERS}
                return number, kept
    return None, None


def _assigned(cell: str) -> dict[str, object] | None:
    """Return the values that a cell assigns to names; None if it does anything else."""
    values: dict[str, object] = {}
    try:
        for statement in ast.parse(cell).body:
            match statement:
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    values[name] = _literal(value)
                case _:
                    return None
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        return None
    return values


def _literal(value: ast.expr) -> object:
    match value:
        case ast.Call(func=ast.Name(id="float"), args=[ast.Constant(value=str(text))]):
            return float(text) if text in _FLOATS else ast.literal_eval(value)
        case _:
            return ast.literal_eval(value)


def is_consecutive(notebook: Mapping[str, object]) -> bool | None:
    """Return whether the executed cells ran once each, from top to bottom, in a fresh kernel.

    None if no cell was executed. Blank cells do not count.
    """
    counts = [
        cell.get("execution_count", cell.get("prompt_number"))
        for cell in _code_cells(notebook)
        if _source(cell)
    ]
    executed = [count for count in counts if isinstance(count, int)]
    return executed == list(range(1, len(executed) + 1)) if executed else None


def _code_cells(notebook: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    # Format 3 keeps its cells in worksheets.
    holders: list[object] = [notebook]
    worksheets = notebook.get("worksheets")
    if isinstance(worksheets, list):
        holders += worksheets
    for holder in holders:
        cells = holder.get("cells") if isinstance(holder, Mapping) else None
        for cell in cells if isinstance(cells, list) else []:
            if isinstance(cell, Mapping) and cell.get("cell_type") == "code":
                yield cell


def _source(cell: Mapping[str, object]) -> str:
    """Return a cell's code without blank lines around it, with LF between lines."""
    raw = cell.get("source", cell.get("input"))
    if isinstance(raw, list):
        raw = "".join(part for part in raw if isinstance(part, str))
    if not isinstance(raw, str):
        return ""
    text = raw.replace("\r\n", "\n").replace("\r", "\n")
    return text.strip("\n").rstrip() if text.strip() else ""
