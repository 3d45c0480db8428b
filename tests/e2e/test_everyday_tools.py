"""The page on everyday tools: its lines run in the tools themselves, twice."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import ledger as ln
from tests.e2e.command import environment

PAGE = Path(__file__).resolve().parents[2] / "docs/everyday-tools.md"


def blocks(tool: str) -> list[str]:
    """The Python blocks of the section of a tool."""
    (section,) = re.findall(
        rf"^## {tool}$(.*?)(?=^## )", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def run(*words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *words],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a kernel of this very interpreter."""
    from ipykernel.kernelspec import install  # noqa: PLC0415 (slow to load)

    install(prefix=str(tmp_path), kernel_name="here")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share" / "jupyter"))
    return "here"


@pytest.mark.usefixtures("here")
def test_papermill_runs_a_notebook_as_a_run_with_its_parameters(kernel):
    first, second = blocks("papermill")
    notebook = nbformat.v4.new_notebook()
    parameters = nbformat.v4.new_code_cell(first)
    parameters.metadata["tags"] = ["parameters"]
    notebook.cells = [parameters, nbformat.v4.new_code_cell(second)]
    notebook.metadata["language_info"] = {"name": "python"}
    nbformat.write(notebook, "report.ipynb")
    command = ("-m", "papermill", "report.ipynb", "out.ipynb", "-k", kernel, "-p", "rate", "0.5")
    run(*command)
    made = ln.Artifact.get(key="report.txt")
    assert made.run.params == {"rate": 0.5}
    assert made.run.transform.key == "report.ipynb"
    head = ln.head()
    run(*command)
    assert ln.head() == head


@pytest.mark.usefixtures("here")
def test_hydra_gives_each_job_of_a_sweep_a_run_with_its_configuration():
    (script,) = blocks("Hydra")
    Path("train.py").write_text(script)
    Path("config.yaml").write_text("rate: 1.0\nmodel: {depth: 3}\n")
    command = ("train.py", "--multirun", "rate=0.1,0.2")
    run(*command)
    assert ln.Run.filter().count() == 2
    (small,) = ln.Run.filter(params__rate__lt=0.15)
    assert small.params == {"rate": 0.1, "model": {"depth": 3}}
    assert [it.key for it in small.outputs] == ["models/0.1.txt"]
    head = ln.head()
    run(*command)
    assert ln.head() == head
