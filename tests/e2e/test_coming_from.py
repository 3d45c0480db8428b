"""The page for people who come from another tool: each line of ours runs, in the page's order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.e2e.test_documents import ROOT, Step, run, steps

PAGE = "docs/coming-from.md"
ROW = re.compile(r"^\| (?P<there>.+) \| `(?P<here>[^`]+)` \|$")


def lines() -> list[Step]:
    """Return the cells of the page, then the last column of its tables."""
    found = []
    for number, line in enumerate((ROOT / PAGE).read_text("utf-8").splitlines(), start=1):
        if not line.startswith("| ") or line == "| there | here |":
            continue
        row = ROW.fullmatch(line)
        assert row is not None, f"{PAGE}:{number}: expected one line of code in the last column"
        kind = "command" if row["here"].startswith(("metaledger ", "python ")) else "cell"
        # The ledger of the page is there already.
        text = row["here"].replace("\\|", "|").replace("metaledger init", "metaledger info")
        found.append(Step(kind, text, None, f"{PAGE}:{number}"))
    return [*steps(PAGE), *found]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Step, list[str]]]:
    folder = tmp_path_factory.mktemp("coming") / "project"
    folder.mkdir()
    everything = lines()
    return list(zip(everything, run(everything, folder), strict=True))


def test_each_line_runs(told: list[tuple[Step, list[str]]]) -> None:
    assert len(told) > 40
    failed = [
        f"{step.where} {step.text}: {line}"
        for step, said in told
        for line in said
        if re.match(r"\w*(Error|Exit)\b|error:|✗|usage:", line, re.IGNORECASE)
    ]
    assert failed == []


def test_lines_give_what_people_of_the_other_tool_get(told: list[tuple[Step, list[str]]]) -> None:
    said = {step.text: "\n".join(found) for step, found in told}
    assert "raw/plate.csv" in said["ln.Artifact.filter(labels=label).df()"]
    assert said['ln.Run.filter(params__lr__lt=0.5, status="finished").count()'].endswith("2")
    assert "models/model.json" in said["ln.Artifact.filter(run=run).df()"]
    assert said['run.params["lr"]'].endswith("0.1")
    assert "T cell" in said['ln.ULabel.search("t cel")']
    first, second = ("\n".join(found) for step, found in told if step.text == "python clean.py")
    assert "new run" in first
    assert "replay" in second


def test_the_page_names_each_tool_and_is_found() -> None:
    for page in ("README.md", "docs/tutorial.md"):
        assert "coming-from.md" in Path(ROOT, page).read_text("utf-8")
