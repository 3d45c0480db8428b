"""The state of the git repository in which the source lies.

1. Without a `.git` in the folder or above it, no program is started.
2. Only the `git` program reads the repository: one process for its settings, then one for commit
   and changes. It takes no locks, asks no questions, fetches nothing and starts no program that
   the repository configures, be it a file monitor, a hook or a filter; variables that would point
   it at another repository are removed. A file that only a filter makes equal counts as changed.
3. Nothing here raises or waits past the time limit: an unknown state is None.
4. "Dirty" means that a tracked file differs from the commit. Untracked files are ignored.
5. Credentials never leave this module: user names, passwords and query strings are cut off from
   remote addresses.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
import weakref
from pathlib import Path

import msgspec

TIME_LIMIT = 2.0
"""Seconds from the start of a query after which its answer is None."""

GRACE = 0.25
"""Seconds that a query asked for later than that still has, to hand over what it knows."""

# Submodules are not looked into: git would start a process in each, under settings of its own.
_STATUS = (
    "status", "--porcelain=v2", "--branch", "-uno", "--no-renames", "--ignore-submodules=dirty",
)  # fmt: skip
_SETTINGS = ("config", "--null", "--get-regexp", r"^(remote\..*\.url|filter\..*\.(clean|process))$")
# A repository configures programs: a monitor of its files, hooks, filters. None is started.
_HARMLESS = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
# Variables of a hook would redirect the question to its repository, others start programs. These
# are kept: settings of the user, the place of git's programs, the end of the search upwards.
_KEPT = ("GIT_CONFIG", "GIT_EXEC_PATH", "GIT_CEILING_DIRECTORIES", "GIT_DISCOVERY_ACROSS")
_QUIET = {
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "LC_ALL": "C",
}


class GitState(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a repository: recorded with a run, but no part of its identity."""

    commit: str
    is_dirty: bool
    remote_url: str | None
    """Without credentials."""


class GitQuery:
    """A running query to `git`; reading the result late costs no waiting.

    A dropped query ends its processes.
    """

    def __init__(self, folder: Path | None) -> None:
        self._deadline = time.monotonic() + TIME_LIMIT
        self._is_answered = folder is None
        self._answer: GitState | None = None
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._start(_SETTINGS)
        weakref.finalize(self, _end, self._processes)

    def result(self) -> GitState | None:
        """Return the state, after waiting up to the time limit; later calls return the same."""
        if not self._is_answered:
            self._is_answered = True
            self._deadline = max(self._deadline, time.monotonic() + GRACE)
            # It ends with 1 where there is no such setting.
            settings = self._output({0, 1})
            if settings is not None:
                self._start(_STATUS, _without_filters(settings))
                status = self._output({0})
                self._answer = _parse(status, settings) if status else None
            _end(self._processes)
        return self._answer

    def _start(self, question: tuple[str, ...], settings: dict[str, str] | None = None) -> None:
        if self._folder is not None:
            self._processes += _started(self._folder, question, settings or {})

    def _output(self, statuses: set[int]) -> str | None:
        """Return the answer to the last question; None unless git ended with one of `statuses`."""
        if not self._processes:
            return None
        process = self._processes[-1]
        try:
            output, _ = process.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except (OSError, ValueError, subprocess.SubprocessError):
            return None
        return output.decode("utf-8", "surrogateescape") if process.returncode in statuses else None


def start_git_query(folder: str | os.PathLike[str] | None) -> GitQuery:
    """Start a query about the repository that holds `folder`, and return at once."""
    if folder is None:
        return GitQuery(None)
    try:
        path = Path(folder).absolute()
        is_inside = any((parent / ".git").exists() for parent in (path, *path.parents))
    except OSError:
        return GitQuery(None)
    return GitQuery(path if is_inside else None)


def without_credentials(url: str) -> str | None:
    """Return a remote's address in a form safe to record; None if it is a command."""
    url = url.strip()
    if not url or url.startswith("ext::"):
        return None
    if "://" not in url:  # A local path, or `user@host:path`, which has no place for a password.
        return url
    scheme, _, rest = url.partition("://")
    rest = re.split(r"[?#]", rest, maxsplit=1)[0]
    authority, slash, path = rest.partition("/")
    user, at, host = authority.rpartition("@")
    if at and scheme.rpartition("::")[2].lower() in ("ssh", "git+ssh", "ssh+git"):
        # For such a server the account is part of the address and no secret.
        host = f"{user.partition(':')[0]}@{host}"
    return f"{scheme}://{host}{slash}{path}"


def _without_filters(settings: str) -> dict[str, str]:
    """Return variables by which no filter that is configured starts a program."""
    keys = [each.partition("\n")[0] for each in settings.split("\0")]
    filters = sorted({key.rpartition(".")[0] for key in keys if key.startswith("filter.")})
    values = {"clean": "", "process": "", "required": "false"}
    given = os.environ.get("GIT_CONFIG_COUNT", "")
    number = int(given) if given.isdecimal() else 0
    variables: dict[str, str] = {}
    for name in filters:
        for key, value in values.items():
            variables |= {
                f"GIT_CONFIG_KEY_{number}": f"{name}.{key}",
                f"GIT_CONFIG_VALUE_{number}": value,
            }
            number += 1
    return variables | {"GIT_CONFIG_COUNT": str(number)} if filters else {}


def _started(
    folder: Path, question: tuple[str, ...], settings: dict[str, str]
) -> list[subprocess.Popen[bytes]]:
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("GIT_") or name.startswith(_KEPT)
    }
    try:
        return [
            subprocess.Popen(  # noqa: S603 - a fixed command, without a shell
                ["git", "-C", str(folder), *_HARMLESS, *question],  # noqa: S607 (found by PATH)
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**variables, **_QUIET, **settings},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        ]
    except (OSError, ValueError):  # There is no such program, or no process is available.
        return []


def _end(processes: list[subprocess.Popen[bytes]]) -> None:
    while processes:
        process = processes.pop()
        try:
            if process.poll() is None:
                process.kill()
            if process.stdout is not None:
                process.stdout.close()
            process.wait(timeout=1)
        except (OSError, ValueError, subprocess.SubprocessError):
            continue


def _parse(status: str, settings: str) -> GitState | None:
    headers: dict[str, str] = {}
    is_dirty = False
    for line in status.splitlines():
        if line.startswith("# "):
            name, _, value = line[2:].partition(" ")
            headers[name] = value
        else:
            is_dirty = True
    commit = headers.get("branch.oid", "")
    if not re.fullmatch(r"[0-9a-f]{40,64}", commit):  # "(initial)": there is no commit yet.
        return None
    url = _remote(settings, headers.get("branch.upstream", ""))
    return GitState(commit=commit, is_dirty=is_dirty, remote_url=url)


def _remote(settings: str, upstream: str) -> str | None:
    """Return the address of the branch's own remote, else of `origin`, else the first by name."""
    urls: dict[str, str] = {}
    for each in settings.split("\0"):
        key, _, url = each.partition("\n")
        if key.startswith("remote."):
            # If a remote has several addresses, git fetches from the first.
            urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    tracked = [name for name in urls if upstream.startswith(name + "/")]
    for name in [*sorted(tracked, key=len, reverse=True), "origin", *sorted(urls)]:
        if name in urls:
            return without_credentials(urls[name])
    return None
