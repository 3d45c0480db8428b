from __future__ import annotations

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from ledger.tracking.notebook import (
    active_shell,
    executed_code,
    injected_parameters,
    is_consecutive,
    notebook_code,
    notebook_path,
    read_notebook,
    shell_kind,
)


def code(source, count=None, **more):
    return {
        "cell_type": "code",
        "source": source,
        "execution_count": count,
        "outputs": [],
        "metadata": {},
        **more,
    }


def text(source):
    return {"cell_type": "markdown", "source": source, "metadata": {}}


def notebook(*cells):
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": list(cells)}


def test_code_cells_are_joined_under_headings():
    joined = notebook_code(notebook(text("# Title"), code("a = 1"), code(["b = 2\n", "b"])))
    assert joined == "# %%\na = 1\n\n# %%\nb = 2\nb\n"


def test_what_is_not_code_leaves_no_trace():
    plain = notebook(code("a = 1"))
    rich = notebook(
        text("prose"),
        code("a = 1", 7, id="abc", outputs=[{"output_type": "stream", "text": "x"}]),
        code("  \n"),
        {"cell_type": "raw", "source": "raw"},
    )
    rich["metadata"] = {"kernelspec": {"name": "python3"}}
    assert notebook_code(rich) == notebook_code(plain)


@pytest.mark.parametrize("source", ["a = 1\r\nb\r\n", "\na = 1\nb\n\n", ["a = 1\n", "b"]])
def test_line_ends_and_blank_lines_around_a_cell_do_not_matter(source):
    assert notebook_code(notebook(code(source))) == notebook_code(notebook(code("a = 1\nb")))


def test_indentation_of_the_first_line_is_kept():
    assert notebook_code(notebook(code("\n  a"))) == "# %%\n  a\n"


def test_order_and_cutting_of_cells_matter():
    texts = {
        notebook_code(notebook(code("a"), code("b"))),
        notebook_code(notebook(code("b"), code("a"))),
        notebook_code(notebook(code("a\nb"))),
    }
    assert len(texts) == 3


def test_format_3_is_read():
    old = {
        "nbformat": 3,
        "worksheets": [{"cells": [{"cell_type": "code", "input": ["x = 1"], "prompt_number": 1}]}],
    }
    assert notebook_code(old) == "# %%\nx = 1\n"
    assert is_consecutive(old) is True


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([1, 2, 3], True),
        ([1, None, 2], True),
        ([1, 3], False),
        ([2, 1], False),
        ([2, 3], False),
        ([1, 1], False),
        ([None, None], None),
        ([], None),
    ],
)
def test_consecutive_means_counted_from_one_in_order(counts, expected):
    cells = [code(f"x{count}", count) for count in counts]
    assert is_consecutive(notebook(text("t"), *cells, code(" ", 99))) is expected


@pytest.mark.parametrize(
    "broken", [{}, {"cells": None}, {"cells": [1, {"cell_type": "code"}]}, {"worksheets": [3]}]
)
def test_broken_notebooks_have_no_code(broken):
    assert notebook_code(broken) == ""
    assert is_consecutive(broken) is None


def test_a_file_that_is_no_notebook_is_none(tmp_path):
    path = tmp_path / "nb.ipynb"
    assert read_notebook(path) is None
    path.write_text("import x")
    assert read_notebook(path) is None
    path.write_text("[1]")
    assert read_notebook(path) is None
    path.write_text(json.dumps(notebook(code("a"))))
    assert read_notebook(path) == notebook(code("a"))


def shell(name="ZMQInteractiveShell", **user_ns):
    base = type(name, (), {})
    instance = type("Derived", (base,), {})()
    instance.user_ns = user_ns
    return instance


def test_kernel_and_terminal_are_told_apart():
    assert shell_kind(None) is None
    assert shell_kind(shell()) == "kernel"
    assert shell_kind(shell("TerminalInteractiveShell")) == "terminal"
    assert shell_kind(SimpleNamespace(kernel=object())) == "kernel"


def test_shell_is_looked_for_and_never_imported(monkeypatch):
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert active_shell() is None
    assert "IPython" not in sys.modules
    fake = ModuleType("IPython")
    fake.get_ipython = lambda: "shell"
    monkeypatch.setitem(sys.modules, "IPython", fake)
    assert active_shell() == "shell"


def test_path_comes_from_the_first_hint_that_is_a_file(tmp_path):
    names = ("vscode", "pycharm", "jupyter")
    vscode, pycharm, jupyter = (tmp_path / f"{name}.ipynb" for name in names)
    for path in (vscode, pycharm, jupyter):
        path.touch()
    everywhere = shell(__vsc_ipynb_file__=str(vscode), __session__=str(pycharm))
    variables = {"JPY_SESSION_NAME": str(jupyter)}
    assert notebook_path(everywhere, variables) == vscode
    vscode.unlink()
    assert notebook_path(everywhere, variables) == pycharm
    pycharm.unlink()
    assert notebook_path(everywhere, variables) == jupyter
    jupyter.unlink()
    assert notebook_path(everywhere, variables) is None


def test_relative_hint_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nb.ipynb").touch()
    assert notebook_path(shell(__session__="nb.ipynb"), {}) == tmp_path / "nb.ipynb"


@pytest.mark.parametrize("hint", [None, "", 3])
def test_hints_that_are_no_path_are_passed_over(hint):
    assert notebook_path(shell(__session__=hint), {}) is None


# --- papermill ----------------------------------------------------------------------------------

INJECTED = (
    "# Parameters\nlr = 0.1\nlayers = [1, -2]\nname = 'x'\nlimit = float('inf')\nnone = None\n"
)


def shell_that_ran(*cells, **namespace):
    history = SimpleNamespace(input_hist_raw=["", *cells])
    return SimpleNamespace(history_manager=history, user_ns=namespace)


def test_what_papermill_sets_are_parameters_and_no_code():
    shell = shell_that_ran("lr = 1", INJECTED, "use(lr)")
    assert injected_parameters(shell) == {
        "lr": 0.1, "layers": [1, -2], "name": "x", "limit": float("inf"), "none": None,
    }  # fmt: skip
    assert executed_code(shell) == executed_code(shell_that_ran("lr = 1", "use(lr)"))


def test_the_last_cell_of_parameters_is_that_of_papermill():
    shell = shell_that_ran("# Parameters\nlr = 1", "# Parameters\nlr = 2")
    assert injected_parameters(shell) == {"lr": 2}
    assert "lr = 1" in executed_code(shell)


@pytest.mark.parametrize(
    "cell",
    [
        "lr = 1", "# Parameters\nlr = open('x')", "# Parameters\nimport os", "# Parameters\nlr =",
        "# Parameters\na, b = 1, 2", "# Parameters\nx[0] = 1", "# Parameters\nlr = float('x')",
    ],
)  # fmt: skip
def test_other_cells_are_code(cell):
    shell = shell_that_ran(cell)
    assert injected_parameters(shell) is None
    assert cell.partition("\n")[2] in executed_code(shell)


def test_a_path_that_papermill_tells_is_that_of_the_notebook_and_no_parameter(tmp_path):
    path = tmp_path / "in.ipynb"
    path.write_text("{}")
    cell = f"# Parameters\nPAPERMILL_INPUT_PATH = {str(path)!r}\nlr = 1"
    shell = shell_that_ran(cell, PAPERMILL_INPUT_PATH=str(path))
    assert notebook_path(shell, {}) == path
    assert injected_parameters(shell) == {"lr": 1}


def test_a_notebook_whose_path_another_program_tells_has_no_parameters(tmp_path, monkeypatch):
    path = tmp_path / "in.ipynb"
    path.write_text("{}")
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert injected_parameters(shell_that_ran(INJECTED)) is None
