"""The state of the git repository in which the source lies.

1. Without a `.git` in the folder or above it, no program is started.
2. Only the `git` program reads the repository: two processes at once, one for commit and changes,
   one for remotes. It takes no locks, asks no questions, fetches nothing and starts no file
   monitor; variables that would point it at another repository are removed.
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

_STATUS = ("status", "--porcelain=v2", "--branch", "-uno", "--no-renames")
_REMOTES = ("config", "--get-regexp", r"^remote\..*\.url$")
# Set inside hooks; they would redirect the question to the hook's repository.
_REDIRECTING = (
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
)
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
        self._processes = [] if folder is None else _start(folder)
        weakref.finalize(self, _end, self._processes)

    def result(self) -> GitState | None:
        """Return the state, after waiting up to the time limit; later calls return the same."""
        if not self._is_answered:
            self._is_answered = True
            self._deadline = max(self._deadline, time.monotonic() + GRACE)
            outputs = [self._output(process) for process in self._processes]
            _end(self._processes)
            if outputs and outputs[0]:
                self._answer = _parse(outputs[0], outputs[1] if len(outputs) > 1 else "")
        return self._answer

    def _output(self, process: subprocess.Popen[bytes]) -> str:
        try:
            output, _ = process.communicate(timeout=max(0.0, self._deadline - time.monotonic()))
        except (OSError, ValueError, subprocess.SubprocessError):
            return ""
        return output.decode("utf-8", "replace") if process.returncode == 0 else ""


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


def _start(folder: Path) -> list[subprocess.Popen[bytes]]:
    variables = {name: value for name, value in os.environ.items() if name not in _REDIRECTING}
    processes: list[subprocess.Popen[bytes]] = []
    for question in (_STATUS, _REMOTES):
        command = ["git", "-C", str(folder), "-c", "core.fsmonitor=false", *question]
        try:
            process = subprocess.Popen(  # noqa: S603 - a fixed command, without a shell
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**variables, **_QUIET},
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except (OSError, ValueError):  # There is no such program, or no process is available.
            break
        processes.append(process)
    return processes


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


def _parse(status: str, remotes: str) -> GitState | None:
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
    url = _remote(remotes, headers.get("branch.upstream", ""))
    return GitState(commit=commit, is_dirty=is_dirty, remote_url=url)


def _remote(remotes: str, upstream: str) -> str | None:
    """Return the address of the branch's own remote, else of `origin`, else the first by name."""
    urls: dict[str, str] = {}
    for line in remotes.splitlines():
        key, _, url = line.partition(" ")
        # If a remote has several addresses, git fetches from the first.
        urls.setdefault(key.removeprefix("remote.").removesuffix(".url"), url)
    tracked = [name for name in urls if upstream.startswith(name + "/")]
    for name in [*sorted(tracked, key=len, reverse=True), "origin", *sorted(urls)]:
        if name in urls:
            return without_credentials(urls[name])
    return None
