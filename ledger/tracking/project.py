"""The key of a script that lies outside of the ledger's folder: its project, and its path in there.

1. The project is the git repository that holds the script. It is named by the address of its remote
   (`origin`, else the first by name), without scheme, user and `.git`, so that each copy of the
   repository has the same name.
2. Without a remote or a repository the key is the absolute path, which is this computer's.
3. The settings of the repository are read as a file: an answer that depends on time, as that of a
   program, could give one script two keys.
"""

from __future__ import annotations

import re
from pathlib import Path

from ledger.errors import LedgerError
from ledger.input_files import read_small
from ledger.model.canonical import nfc
from ledger.tracking.git import without_credentials

_MOST = 1 << 20  # bytes of a file of settings
_SECTION = re.compile(r'^\s*\[\s*remote\s+"(?P<name>.*)"\s*\]\s*$')
_URL = re.compile(r"^\s*url\s*=\s*(?P<url>.*?)\s*$", re.IGNORECASE)


def project_key(path: Path) -> str:
    """Return the key of the script at `path`, with `/` and in NFC."""
    path = path.resolve()
    for folder in path.parents:
        remote = _remote(folder / ".git")
        if remote is not None:
            return nfc(f"{_address(remote)}/{path.relative_to(folder).as_posix()}")
        if (folder / ".git").exists():
            break
    return nfc(path.as_posix())


def _address(url: str) -> str:
    """Return the address of a remote as one path: `https://x/a/b.git`, `git@x:a/b` → `x/a/b`."""
    rest = url.rpartition("://")[2]
    if rest != url:
        rest = re.sub(r"^[^/@]*@", "", rest)
    elif (found := re.match(r"(?:[^/@]+@)?(?P<host>[^/:@]{2,}):(?P<path>.*)", url)) is not None:
        rest = f"{found['host']}/{found['path'].lstrip('/')}"
    return rest.rstrip("/").removesuffix(".git")


def _remote(git: Path) -> str | None:
    """Return the remote's address in the settings of a repository; None without one."""
    settings = _read(_shared(git) / "config")
    urls: dict[str, str] = {}
    name: str | None = None
    for line in settings.splitlines():
        if (section := _SECTION.match(line)) is not None:
            name = section["name"]
        elif line.lstrip().startswith("["):
            name = None
        elif name is not None and (url := _URL.match(line)) is not None:
            urls.setdefault(name, url["url"].strip('"'))
    for each in ["origin", *sorted(urls)]:
        if each in urls and (address := without_credentials(urls[each])):
            return address
    return None


def _shared(git: Path) -> Path:
    """Return the folder that holds the settings: of a work tree, that of its repository."""
    if not git.is_file():
        return git
    own = git.parent / _read(git).removeprefix("gitdir:").strip()
    return own / (_read(own / "commondir").strip() or ".")


def _read(path: Path) -> str:
    try:
        return read_small(path, most=_MOST).decode("utf-8", "replace")
    except LedgerError:
        return ""
