"""The fragments of docs/changes/ become the changelog, once, at a release."""

from __future__ import annotations

import os
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAD = "# Changelog\n\nWhat changed.\n"
FRAGMENTS = {
    "labels": "# Added\n\n- Labels\n  of two lines.\n\n# Fixed\n\n- A fault.\n",
    "audit": "# Added\n\n- An audit.\n- A report.\n",
}
SECTION = """## 1.2.0

### Added

- An audit.
- A report.
- Labels
  of two lines.

### Fixed

- A fault.
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with a version, an empty changelog and two fragments."""
    (tmp_path / "docs/changes").mkdir(parents=True)
    (tmp_path / "docs/changelog.md").write_text(HEAD)
    release_begins(tmp_path, "1.2.0", FRAGMENTS)
    return tmp_path


def release_begins(folder, version, fragments):
    (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    for name, text in fragments.items():
        (folder / f"docs/changes/{name}.md").write_text(text)


def changelog(folder, *, only_print=False):
    """Run the script in a folder; return what it refuses, None where it refuses nothing."""
    script = runpy.run_path(str(ROOT / ".ci/changelog.py"))
    before = Path.cwd()
    os.chdir(folder)
    try:
        script["main"](only_print=only_print)
    except SystemExit as refused:
        return str(refused)
    finally:
        os.chdir(before)
    return None


def state_of(folder):
    return {path: path.read_text() for path in folder.rglob("*.md")}


def test_the_fragments_move_under_the_version(checkout):
    assert changelog(checkout) is None
    assert state_of(checkout) == {checkout / "docs/changelog.md": f"{HEAD}\n{SECTION}"}


def test_a_second_call_changes_nothing(checkout):
    changelog(checkout)
    before = state_of(checkout)
    assert changelog(checkout) is None
    assert state_of(checkout) == before


def test_the_next_version_stands_above_the_one_before(checkout):
    changelog(checkout)
    release_begins(checkout, "1.3.0", {"log": "# Changed\n\n- Faster.\n"})
    changelog(checkout)
    newer = "## 1.3.0\n\n### Changed\n\n- Faster.\n"
    assert (checkout / "docs/changelog.md").read_text() == f"{HEAD}\n{newer}\n{SECTION}"


def test_printing_changes_nothing(checkout, capsys):
    before = state_of(checkout)
    assert changelog(checkout, only_print=True) is None
    assert capsys.readouterr().out == SECTION
    assert state_of(checkout) == before


def test_a_version_that_was_released_is_refused(checkout):
    changelog(checkout)
    release_begins(checkout, "1.2.0", FRAGMENTS)
    before = state_of(checkout)
    assert "it has 1.2.0 already" in changelog(checkout)
    assert state_of(checkout) == before


@pytest.mark.parametrize(
    "text",
    [
        "- No heading.\n",
        "# Improved\n\n- Another heading.\n",
        "# Added\n\nNo list.\n",
        "# Added\n\n- A list\n\n- with a gap.\n",
        "# Added\n\n- One.\n\n# Added\n\n- Two.\n",
        "Text above.\n\n# Added\n\n- One.\n",
        "# Added\n",
    ],
)
def test_a_fragment_of_another_form_is_refused(checkout, text):
    release_begins(checkout, "1.2.0", {"odd": text})
    before = state_of(checkout)
    assert "odd.md: expected" in changelog(checkout)
    assert state_of(checkout) == before


def test_the_fragments_of_this_checkout_can_be_gathered(capsys):
    assert changelog(ROOT, only_print=True) is None
    said = capsys.readouterr().out.splitlines()
    for fragment in (ROOT / "docs/changes").glob("*.md"):
        entries = [line for line in fragment.read_text("utf-8").splitlines() if line[:2] == "- "]
        assert entries
        assert [line for line in entries if line not in said] == []
