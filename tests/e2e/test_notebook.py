"""A notebook is a script: tracked by its path, the same again adds nothing."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from traitlets.config import Config

import ledger as ln
from tests.support.patience import PATIENCE
from tests.support.processes import PROJECT

CELLS = (
    "import ledger as ln\nln.track(params={'n': 3})",
    "label = ln.ULabel(name='from a notebook').save()\nlabel",
    """from pathlib import Path
Path('out.txt').write_text('result')
artifact = ln.Artifact('out.txt', key='out.txt').save()
artifact.labels.add(label)""",
    "ln.finish()",
)


@pytest.fixture
def notebook(ledger_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    ln.init("./storage")
    path = ledger_folder / "analysis.ipynb"
    cells = [nbformat.v4.new_code_cell(cell) for cell in CELLS]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    monkeypatch.setenv("IPYTHONDIR", str(ledger_folder / "ipython"))
    return path


def run(path: Path) -> list[str]:
    """Run a notebook as Jupyter does, save it with its outputs, and return what its cells said."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=int(PATIENCE),
        startup_timeout=int(PATIENCE),
        resources={"metadata": {"path": path.parent}},
        # By files: a port that is chosen for a kernel may be taken before it listens.
        config=Config({"KernelManager": {"transport": "ipc"}}),
    )
    client.execute(env=dict(os.environ))
    nbformat.write(notebook, path)
    return [
        "".join(
            output.get("text", "") or output.get("data", {}).get("text/html", "")
            for output in cell.outputs
        )
        for cell in notebook.cells
    ]


# The libraries of the notebook, not ours, leave sockets to the garbage collector.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_notebook_that_is_run_again_adds_nothing(notebook):
    first = run(notebook)
    head = ln.head()
    second = run(notebook)

    assert ln.head() == head
    assert "new run" in first[-1]
    assert "0 new events" in second[-1]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_a_notebook_is_known_by_its_path_and_shows_records_as_tables(notebook):
    said = run(notebook)

    transform = ln.Transform.filter().one()
    assert (transform.key, transform.kind) == ("analysis.ipynb", "notebook")
    assert transform.source_code is not None
    assert "from a notebook" in transform.source_code
    assert "<table" in said[1]
    assert "from a notebook" in said[1]


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_an_edited_notebook_is_a_new_version_and_a_new_run(notebook):
    run(notebook)
    edited = nbformat.read(notebook, as_version=4)
    edited.cells[1].source = edited.cells[1].source.replace("a notebook", "an edited notebook")
    nbformat.write(edited, notebook)
    run(notebook)

    assert ln.Transform.filter(key="analysis.ipynb").count() == 2
    assert ln.Run.filter(status="finished").count() == 2
    assert ln.Artifact.get(key="out.txt").previous_runs.count() == 1


def unnamed(folder: Path, name: str) -> list[str]:
    """Run a notebook whose path nobody tells to its kernel; its first cell is as any other's."""
    cells = [
        "import ledger as ln\nrun = ln.track()\nrun",
        f"ln.ULabel(name='by {name}').save()",
        "print(run.uid, run == ln.context.run)\nln.finish()",
    ]
    path = folder / f"{name}.ipynb"
    made = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return run(path)


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_notebooks_whose_path_nobody_tells_are_told_apart_by_their_cells(notebook, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    first, _, last = unnamed(notebook.parent, "alpha")
    assert "pass key= to track()" in first
    assert "begins with the first save" in first
    alpha = ln.Run.filter().one()
    assert last.split()[:2] == [alpha.uid, "True"]
    assert "by alpha" in alpha.transform.source_code
    unnamed(notebook.parent, "beta")
    _, beta = ln.Run.filter()
    assert beta.transform.uid[:12] != alpha.transform.uid[:12]
    here = ln.head()
    unnamed(notebook.parent, "alpha")
    assert ln.head() == here


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")
def test_parameters_of_papermill_are_those_of_the_run(notebook, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME")
    plain = nbformat.read(notebook, as_version=4)
    for rate in (0.1, 0.2, 0.1):
        given = nbformat.from_dict(plain)
        given.cells.insert(0, nbformat.v4.new_code_cell(f"# Parameters\nrate = {rate}\n"))
        nbformat.write(given, notebook)
        run(notebook)
        plain = nbformat.read(notebook, as_version=4)
        plain.cells.pop(0)
    assert [it.params for it in ln.Run.filter()] == [{"n": 3, "rate": 0.1}, {"n": 3, "rate": 0.2}]
    assert ln.Transform.filter().count() == 1
