"""Keys of scripts that lie outside of the ledger's folder."""

from __future__ import annotations

import pytest

from ledger.tracking.project import project_key


def repository(folder, *remotes: tuple[str, str]):
    (folder / ".git").mkdir(parents=True)
    sections = [f'[remote "{name}"]\n\turl = {url}\n' for name, url in remotes]
    (folder / ".git" / "config").write_text("[core]\n\turl = no\n" + "".join(sections))
    return folder


@pytest.mark.parametrize(
    "url",
    [
        "https://example.org/lab/atlas.git",
        "https://ada:hunter2@example.org/lab/atlas",
        "ssh://git@example.org/lab/atlas.git",
        "git@example.org:lab/atlas.git",
        "example.org:/lab/atlas",
    ],
)
def test_each_copy_of_a_repository_gives_one_key(tmp_path, url):
    folder = repository(tmp_path / "copy", ("origin", url))
    script = folder / "steps" / "main.py"
    assert project_key(script) == "example.org/lab/atlas/steps/main.py"


def test_origin_comes_first_then_the_first_by_name(tmp_path):
    two = repository(tmp_path / "two", ("a", "https://x/a"), ("origin", "https://x/o"))
    one = repository(tmp_path / "one", ("b", "https://x/b"), ("a", "https://x/a"))
    assert project_key(two / "m.py") == "x/o/m.py"
    assert project_key(one / "m.py") == "x/a/m.py"


def test_without_a_remote_the_key_is_the_path(tmp_path):
    outer = repository(tmp_path, ("origin", "https://x/outer"))
    inner = repository(outer / "inner")
    assert project_key(inner / "m.py") == (inner / "m.py").as_posix()
    assert project_key(outer / "other" / "m.py") == "x/outer/other/m.py"


def test_a_work_tree_belongs_to_its_repository(tmp_path):
    main = repository(tmp_path / "main", ("origin", "https://x/main"))
    own = main / ".git" / "worktrees" / "side"
    own.mkdir(parents=True)
    (own / "commondir").write_text("../..\n")
    (tmp_path / "side").mkdir()
    (tmp_path / "side" / ".git").write_text(f"gitdir: {own}\n")
    assert project_key(tmp_path / "side" / "m.py") == "x/main/m.py"
