"""The environment of this interpreter: Python, platform, and the distributions in its site folders.

1. Site folders are the entries of `sys.path` that are the interpreter's own purelib, platlib, site
   packages or enabled user site, or that are absolute and named `site-packages` or `dist-packages`
   (system packages, overlays). The working folder, the script's folder and other entries never
   count: a script has the same environment wherever it is started.
2. A distribution is a `*.dist-info` folder, or an `*.egg-info` folder or file, that holds its
   metadata. An editable install counts by its own such folder (an `*.egg-link` is followed), and an
   `*.egg` counts if it is an entry of `sys.path`.
3. Name and version come from the folder's name if it is well formed, which saves opening a hundred
   files; else from the metadata. Names are normalised as in PEP 503.
4. Of two distributions with one name, the folder that comes first on `sys.path` wins, as in an
   import. Within one folder, where imports have no rule, dist-info wins over egg-info, then the
   higher version: the disk's order of entries never decides.
5. `environment_hash` = `"sha256:"` + hex SHA-256 of `environment_text` in UTF-8. Both are free of
   paths, times and names of machines.
"""

# Hundreds of paths are read here within milliseconds; Path objects would take most of that time.
# ruff: noqa: PTH109, PTH110, PTH112, PTH116, PTH117, PTH118, PTH119, PTH120, PTH123, PTH208

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import site
import sys
import sysconfig
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

_SITE_NAMES = frozenset({"site-packages", "dist-packages"})
_IMPLEMENTATIONS = {"cpython": "CPython", "pypy": "PyPy", "graalpy": "GraalPy"}
_RELEASE_LEVELS = {"alpha": "a", "beta": "b", "candidate": "rc"}

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
# The build tool escapes a version with an underscore, so the metadata is read instead.
_DIST_INFO = re.compile(r"([A-Za-z0-9][A-Za-z0-9._]*)-([0-9][0-9A-Za-z.!+]*)\.dist-info")
_EGG_INFO = re.compile(
    r"([A-Za-z0-9][A-Za-z0-9._]*)-([0-9][0-9A-Za-z.!+]*)(?:-py\d[\w.]*(?:-[\w.-]+)?)?\.egg(?:-info)?"
)


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """The part of the surroundings that can change the results of a script."""

    python_version: str
    implementation: str
    platform: str
    distributions: tuple[tuple[str, str], ...]
    """(normalised name, version), sorted, each name once."""


class Installed(NamedTuple):
    """One distribution and the place of its metadata."""

    version: str
    info: str
    """Path of the dist-info or egg-info; of this machine, so never recorded."""


def normalise_name(name: str) -> str:
    """Return a distribution's name as PEP 503 spells it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def capture_environment() -> Environment:
    """Return the environment of this process.

    Costs a few milliseconds for hundreds of distributions; later calls cost a stat per site folder,
    which notices new installations.
    """
    found = installed_distributions()
    return Environment(
        python_version=_python_version(),
        implementation=_IMPLEMENTATIONS.get(sys.implementation.name, sys.implementation.name),
        platform=sysconfig.get_platform(),
        distributions=tuple(sorted((name, entry.version) for name, entry in found.items())),
    )


def environment_text(environment: Environment) -> str:
    """Return the canonical text: a heading, then one `name==version` a line; LF ends each line."""
    heading = (
        f"# python {environment.python_version} {environment.implementation} {environment.platform}"
    )
    lines = [f"{name}=={version}" for name, version in environment.distributions]
    return "\n".join([heading, *lines, ""])


def environment_hash(environment: Environment) -> str:
    """Return `"sha256:<64 hex>"` over the UTF-8 bytes of `environment_text`."""
    return "sha256:" + hashlib.sha256(environment_text(environment).encode()).hexdigest()


def site_folders() -> tuple[str, ...]:
    """Return the site folders of this interpreter in the order in which imports search them."""
    own = {_real(path) for path in _own_folders()}
    beside = _folders_beside_script()
    found: dict[str, None] = {}
    for entry in _search_path():
        # An empty or relative entry moves with the working folder.
        if not os.path.isabs(entry):
            continue
        real = _real(entry)
        is_foreign_site = os.path.basename(real) in _SITE_NAMES and real not in beside
        if real in own or is_foreign_site:
            found[real] = None
    return tuple(found)


def installed_distributions() -> dict[str, Installed]:
    """Return version and place by normalised name; rule 4 resolves duplicates."""
    eggs = tuple(_real(path) for path in _search_path() if path.endswith(".egg"))
    folders = tuple((folder, _modified(folder)) for folder in site_folders())
    return dict(_read(folders, eggs))


def _python_version() -> str:
    info = sys.version_info
    level = _RELEASE_LEVELS.get(info.releaselevel)
    suffix = f"{level}{info.serial}" if level else ""
    return f"{info.major}.{info.minor}.{info.micro}{suffix}"


def _search_path() -> list[str]:
    # Imports skip entries that are no text, such as a Path.
    entries: list[object] = list(sys.path)
    return [entry for entry in entries if isinstance(entry, str)]


def _own_folders() -> list[str]:
    folders = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
    # Frozen programs and some old virtual environments have a `site` without these.
    if hasattr(site, "getsitepackages"):
        folders += site.getsitepackages()
    if getattr(site, "ENABLE_USER_SITE", False):
        folders.append(site.getusersitepackages())
    return [folder for folder in folders if folder]


def _folders_beside_script() -> set[str]:
    beside = set()
    main_file = getattr(sys.modules.get("__main__"), "__file__", None)
    if isinstance(main_file, str):
        beside.add(_real(os.path.dirname(main_file)))
    with contextlib.suppress(OSError):  # A working folder that was removed holds nothing.
        beside.add(_real(os.getcwd()))
    return beside


def _real(path: str) -> str:
    return os.path.normcase(os.path.realpath(path))


def _modified(folder: str) -> int:
    try:
        return os.stat(folder).st_mtime_ns
    except OSError:
        return -1


# The key holds the folders' times of change: installing or removing a distribution changes them.
@functools.lru_cache(maxsize=4)
def _read(folders: tuple[tuple[str, int], ...], eggs: tuple[str, ...]) -> dict[str, Installed]:
    found: dict[str, Installed] = {}
    for folder, _ in folders:
        best: dict[str, tuple[tuple[bool, list[tuple[int, str]]], Installed]] = {}
        for name, entry in _distributions_in(folder, eggs):
            rank = (entry.info.endswith(".dist-info"), _version_rank(entry.version))
            if name not in best or rank > best[name][0]:
                best[name] = (rank, entry)
        for name, (_, entry) in best.items():
            found.setdefault(name, entry)
    return found


def _version_rank(version: str) -> list[tuple[int, str]]:
    return [
        (int(part), "") if part.isascii() and part.isdigit() else (-1, part)
        for part in re.findall(r"[0-9]{1,18}|[^0-9.]+", version)
    ]


def _distributions_in(folder: str, eggs: tuple[str, ...]) -> Iterator[tuple[str, Installed]]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return
    for name in names:
        path = os.path.join(folder, name)
        if name.endswith(".dist-info"):
            found = _distribution(path, _DIST_INFO, os.path.join(path, "METADATA"))
        elif name.endswith(".egg-info"):
            found = _egg_info(path)
        elif name.endswith(".egg-link"):
            yield from _linked(path)
            continue
        elif name.endswith(".egg") and os.path.normcase(path) in eggs:
            found = _distribution(path, _EGG_INFO, path)
        else:
            continue
        if found:
            yield found


def _egg_info(path: str) -> tuple[str, Installed] | None:
    inner = os.path.join(path, "PKG-INFO")
    # Packages of some systems have a single file here instead of a folder.
    return _distribution(path, _EGG_INFO, inner if os.path.isdir(path) else path)


def _linked(path: str) -> Iterator[tuple[str, Installed]]:
    """Follow an egg-link, whose first line names the folder that holds the egg-info."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            target = file.readline().strip()
        names = [name for name in os.listdir(target) if name.endswith(".egg-info")]
    except (OSError, ValueError):
        return
    for name in names:
        found = _egg_info(os.path.join(target, name))
        if found:
            yield found


def _distribution(
    path: str, pattern: re.Pattern[str], metadata: str
) -> tuple[str, Installed] | None:
    # An interrupted removal leaves folders without metadata: nothing is installed there.
    if not os.path.exists(metadata):
        return None
    match = pattern.fullmatch(os.path.basename(path))
    name, version = match.groups() if match else _from_metadata(metadata)
    if not (name and version and _NAME.fullmatch(name)):
        return None
    return normalise_name(name), Installed("".join(version.split()), path)


def _from_metadata(metadata: str) -> tuple[str, str]:
    """Return name and version from the headers, which end at the first blank line."""
    found = {"name": "", "version": ""}
    try:
        with open(metadata, encoding="utf-8", errors="replace") as file:
            for line in file:
                if not line.strip():
                    break
                header, _, value = line.partition(":")
                if header.lower() in found:
                    found[header.lower()] = value.strip()
    except OSError:
        pass
    return found["name"], found["version"]
