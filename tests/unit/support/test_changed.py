from __future__ import annotations

import subprocess

import pytest

from tests.support.changed import ALWAYS, SERIAL, changed, unit_tests_of, words_for_pytest


@pytest.fixture
def root(tmp_path):
    for name in ("past/test_lineage.py", "past/test_impact.py", "places/test_actor.py"):
        path = tmp_path / "tests" / "unit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import pytest\n")
    (tmp_path / "tests" / "unit" / "places" / "test_actor.py").write_text(
        "from ledger import files, version\nfrom tests.support.door import label\n"
    )
    return tmp_path


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("ledger/past/lineage.py", ["tests/unit/past/test_lineage.py"]),
        ("ledger/past/graph.py", ["tests/unit/past"]),
        ("ledger/files.py", ["tests/unit/places/test_actor.py"]),
        ("ledger/cli/output.py", []),
        ("tests/unit/past/test_impact.py", ["tests/unit/past/test_impact.py"]),
        ("tests/unit/past/test_that_is_gone.py", []),
        ("tests/support/door.py", ["tests/unit/places/test_actor.py"]),
        ("tests/e2e/test_specs.py", []),
        ("docs/format.md", []),
    ],
)
def test_what_changed_has_its_unit_tests(root, path, tests):
    assert unit_tests_of([path], root) == [ALWAYS, *tests]


def test_a_test_is_named_once(root):
    paths = ["ledger/past/lineage.py", "ledger/past/graph.py", "ledger/past/lineage.py", ALWAYS]
    assert unit_tests_of(paths, root) == [ALWAYS, "tests/unit/past"]


@pytest.fixture
def git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")

    def run(*words: str) -> None:
        who = ("-c", "user.name=ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)  # noqa: S607

    def commit(name: str) -> None:
        (tmp_path / name).write_text(name)
        run("add", name)
        run("commit", "-m", name)

    run("init", "-b", "main")
    run.commit = commit
    return run


def test_what_is_not_committed_has_changed_else_the_last_commit(tmp_path, git):
    git.commit("a.py")
    git.commit("b.py")
    assert changed(tmp_path) == ["b.py"]
    (tmp_path / "a.py").write_text("changed")
    (tmp_path / "c.py").write_text("new")
    assert changed(tmp_path) == ["a.py", "c.py"]


def test_on_a_branch_everything_since_main_has_changed(tmp_path, git):
    git.commit("a.py")
    git("checkout", "-b", "branch")
    git.commit("b.py")
    git.commit("c.py")
    assert changed(tmp_path) == ["b.py", "c.py"]


def test_without_git_nobody_knows(tmp_path, monkeypatch):
    assert changed(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert changed(tmp_path) is None


def test_workers_come_where_there_are_many_files(root):
    folder = root / "tests" / "unit" / "engine"
    folder.mkdir()
    for number in range(SERIAL):
        (folder / f"test_{number}.py").touch()
    assert words_for_pytest(["tests/unit/engine"], root) == ["tests/unit/engine"]
    both = ["tests/unit/engine", "tests/unit/past/test_impact.py"]
    assert words_for_pytest(both, root) == ["-n", "auto", *both]
