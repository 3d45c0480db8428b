from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ledger.tracking import git
from ledger.tracking.git import start_git_query, without_credentials
from tests.support.patience import PATIENCE

GIT = shutil.which("git") or "git"


@pytest.fixture
def run_git(tmp_path, monkeypatch):
    """Run git in a repository of its own, away from the settings of whoever runs the tests."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for role in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{role}_NAME", "ada")
        monkeypatch.setenv(f"GIT_{role}_EMAIL", "ada@example.org")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    folder = tmp_path / "repo"
    folder.mkdir()

    def run(*arguments):
        done = subprocess.run(
            [GIT, *arguments], cwd=folder, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    run("init", "-q", "-b", "main")
    return run


@pytest.fixture
def repo(run_git, tmp_path):
    folder = tmp_path / "repo"
    (folder / "a.py").write_text("a")
    run_git("add", "a.py")
    run_git("commit", "-qm", "first")
    return folder


def test_clean_repository_tells_its_commit(repo, run_git):
    state = start_git_query(repo).result()
    assert state.commit == run_git("rev-parse", "HEAD")
    assert state.is_dirty is False
    assert state.remote_url is None


def test_changed_tracked_file_is_dirty_and_untracked_is_not(repo):
    (repo / "new.py").write_text("n")
    assert start_git_query(repo).result().is_dirty is False
    (repo / "a.py").write_text("changed")
    assert start_git_query(repo).result().is_dirty is True


def test_staged_change_is_dirty(repo, run_git):
    (repo / "a.py").write_text("changed")
    run_git("add", "a.py")
    assert start_git_query(repo).result().is_dirty is True


def test_folders_below_the_repository_belong_to_it(repo):
    below = repo / "x" / "y"
    below.mkdir(parents=True)
    assert start_git_query(below).result() == start_git_query(repo).result()


def test_worktree_is_a_repository(repo, run_git, tmp_path):
    run_git("worktree", "add", "-q", str(tmp_path / "tree"))
    assert (tmp_path / "tree" / ".git").is_file()
    assert start_git_query(tmp_path / "tree").result() == start_git_query(repo).result()


def test_repository_without_a_commit_is_none(run_git, tmp_path):
    run_git("remote", "add", "origin", "https://example.org/x.git")
    assert start_git_query(tmp_path / "repo").result() is None


def test_remote_is_told_without_credentials(repo, run_git):
    run_git("remote", "add", "fork", "https://example.org/fork.git")
    run_git("remote", "add", "origin", "https://ada:secret@example.org/x.git")
    assert start_git_query(repo).result().remote_url == "https://example.org/x.git"


def test_remote_of_the_branch_wins_over_origin(repo, run_git, tmp_path):
    run_git("remote", "add", "origin", "https://example.org/origin.git")
    run_git("clone", "-q", "--bare", str(repo), str(tmp_path / "team.git"))
    run_git("remote", "add", "team/lab", str(tmp_path / "team.git"))
    run_git("fetch", "-q", "team/lab")
    run_git("branch", "-q", "--set-upstream-to=team/lab/main")
    assert start_git_query(repo).result().remote_url == str(tmp_path / "team.git")


def test_first_remote_serves_where_there_is_no_origin(repo, run_git):
    run_git("remote", "add", "b", "https://example.org/b.git")
    run_git("remote", "add", "a", "https://example.org/a.git")
    assert start_git_query(repo).result().remote_url == "https://example.org/a.git"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://token@example.org/x.git", "https://example.org/x.git"),
        ("https://ada:p@ss@example.org:8443/x", "https://example.org:8443/x"),
        ("https://example.org/x?private_token=secret", "https://example.org/x"),
        ("https://example.org/x#secret", "https://example.org/x"),
        ("https://example.org/@scope/x", "https://example.org/@scope/x"),
        ("helper::https://ada:secret@example.org/x", "helper::https://example.org/x"),
        ("ssh://git:secret@example.org/x", "ssh://git@example.org/x"),
        ("SSH://git@example.org/x", "SSH://git@example.org/x"),
        ("git@example.org:x.git", "git@example.org:x.git"),
        ("../sibling", "../sibling"),
        ("file:///srv/x.git", "file:///srv/x.git"),
        ("ext::sh -c secret", None),
        ("", None),
    ],
)
def test_addresses_lose_their_secrets_only(url, expected):
    assert without_credentials(url) == expected


@pytest.fixture
def started(monkeypatch):
    """The commands that were started."""
    commands = []
    start = subprocess.Popen

    def spy(command, **options):
        commands.append((command, options))
        return start(command, **options)

    monkeypatch.setattr(git.subprocess, "Popen", spy)
    return commands


def test_no_program_is_started_outside_a_repository(tmp_path, started, monkeypatch):
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert start_git_query(tmp_path).result() is None
    assert start_git_query(None).result() is None
    assert started == []


def test_git_is_asked_without_locks_prompts_and_redirection(repo, started, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    assert start_git_query(repo).result() is not None
    assert len(started) == 2
    for _, options in started:
        assert options["env"]["GIT_OPTIONAL_LOCKS"] == "0"
        assert options["env"]["GIT_TERMINAL_PROMPT"] == "0"
        assert options["stdin"] == subprocess.DEVNULL


def test_no_program_that_a_repository_configures_is_started(repo, run_git, tmp_path, monkeypatch):
    ran = tmp_path / "ran"
    program = tmp_path / "program.sh"
    program.write_text(f'#!{shutil.which("sh")}\necho "$0" >> {ran}\nexec cat\n')
    program.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for hook in ("post-index-change", "fsmonitor-watchman", "reference-transaction"):
        shutil.copy(program, hooks / hook)
    (repo / ".gitattributes").write_text("*.py filter=a=b diff=c\n*.txt filter=long\n")
    (repo / "b.txt").write_text("b")
    run_git("add", ".gitattributes", "b.txt")
    run_git("commit", "-qm", "second")
    for key in ("filter.a=b.clean", "filter.a=b.smudge", "filter.long.process", "diff.c.textconv"):
        run_git("config", key, str(program))
    for key in ("core.fsmonitor", "diff.external", "core.pager", "core.sshCommand"):
        run_git("config", key, str(program))
    for key in ("filter.a=b.required", "filter.long.required"):
        run_git("config", key, "true")
    run_git("config", "core.hooksPath", str(hooks))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", str(program))
    monkeypatch.setenv("GIT_TRACE", str(ran))
    ran.unlink(missing_ok=True)
    for name in ("a.py", "b.txt"):
        os.utime(repo / name, ns=(1, 1))
    state = start_git_query(repo).result()
    assert state is not None
    assert state.is_dirty is False
    assert not ran.exists()


def test_index_is_left_untouched(repo):
    os.utime(repo / "a.py", ns=(1, 1))
    before = (repo / ".git" / "index").read_bytes()
    assert start_git_query(repo).result().is_dirty is False
    assert (repo / ".git" / "index").read_bytes() == before


def test_missing_program_is_none(repo, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert start_git_query(repo).result() is None


def fake_git(folder, monkeypatch, program):
    folder.mkdir()
    (folder / "git").write_text(f"#!{shutil.which('sh')}\n{program}\n")
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_program_that_fails_is_none(repo, monkeypatch, tmp_path):
    fake_git(tmp_path / "bin", monkeypatch, "echo '# branch.oid abc'; exit 128")
    assert start_git_query(repo).result() is None


def test_program_that_talks_nonsense_is_none(repo, monkeypatch, tmp_path):
    fake_git(tmp_path / "bin", monkeypatch, "echo '# branch.oid \377\\x'; echo")
    assert start_git_query(repo).result() is None


def test_program_that_hangs_is_ended_at_the_limit(repo, monkeypatch, tmp_path):
    fake_git(tmp_path / "bin", monkeypatch, "exec cat /dev/zero >/dev/null")
    monkeypatch.setattr(git, "TIME_LIMIT", 0.0)
    monkeypatch.setattr(git, "GRACE", 0.0)
    query = start_git_query(repo)
    processes = list(query._processes)
    assert query.result() is None
    assert [process.wait(PATIENCE) != 0 for process in processes] == [True]


def test_query_asked_for_after_the_limit_still_answers(repo, monkeypatch):
    monkeypatch.setattr(git, "TIME_LIMIT", 0.0)
    monkeypatch.setattr(git, "GRACE", PATIENCE)
    assert start_git_query(repo).result() is not None


def test_dropped_query_ends_its_processes(repo, monkeypatch, tmp_path):
    fake_git(tmp_path / "bin", monkeypatch, "exec cat /dev/zero >/dev/null")
    query = start_git_query(repo)
    processes = list(query._processes)
    del query
    gc.collect()
    assert [process.wait(PATIENCE) != 0 for process in processes] == [True]


def test_answer_longer_than_a_pipe_holds_is_read(repo, run_git):
    for number in range(2_000):
        (repo / f"{'long' * 20}{number}.txt").touch()
    run_git("add", ".")
    assert start_git_query(repo).result().is_dirty is True


def test_answer_is_the_same_each_time(repo, started):
    query = start_git_query(repo)
    assert query.result() is query.result()
    assert len(started) == 2


def test_query_that_is_never_asked_is_silent_at_exit(repo):
    program = (
        "import gc\n"
        "from ledger.tracking.git import start_git_query\n"
        f"query = start_git_query({str(repo)!r})\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", program],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == ""
