"""`demo`: the whole story, and what happens where it cannot be told."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.command import environment, metaledger
from tests.support.patience import PATIENCE


def test_the_demo_shows_that_a_second_pass_adds_nothing(tmp_path):
    said = metaledger(tmp_path, "demo", "--keep", "kept")
    assert said.out.count("$ python demo.py") == 3
    assert ", 0 new events" in said.out
    assert "ln.track(" in said.out
    assert "Immune study" in said.out
    assert "previous runs" in said.out
    assert "\x1b" not in said.out
    assert said.err == ""
    kept = tmp_path / "kept"
    assert str(kept) in said.out
    assert len(metaledger(kept, "list", "run", "--json").json_lines) == 2
    counts = metaledger(kept, "list", "artifact", "--filter", "key=counts.csv", "--json")
    assert [artifact["is_latest"] for artifact in counts.json_lines] == [True, False]
    assert metaledger(kept, "doctor", "--content").status == 0


def test_the_demo_leaves_nothing_behind_unless_asked(tmp_path):
    metaledger(tmp_path, "demo", TMPDIR=str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_taken(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    said = metaledger(tmp_path, "demo", "--keep", ".", status=1)
    assert "new or empty" in said.err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("keep", [[], ["--keep", "kept"]])
def test_without_the_example_files_the_extra_is_named(tmp_path, keep):
    code = (
        "import sys; sys.modules['fcsparser'] = None\n"
        f"from ledger.cli import main; main({['demo', *keep]!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'metaledger[demo]'" in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stdout == ""
