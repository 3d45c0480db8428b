"""The packages that a source imports, and the versions of their distributions.

1. Only the `import` statements in the source itself count, wherever they stand; nothing is imported
   to find out. Packages that those packages import are part of the environment.
2. The standard library and relative imports are left out.
3. A module or package beside the source is local: it has no distribution.
4. A module with the name of a distribution comes from it. For other modules the lists of installed
   files are searched, for the longest dotted name first, as distributions may share a namespace.
"""

from __future__ import annotations

import ast
import os
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from ledger.tracking.environment import Installed, installed_distributions, normalise_name

# Cell magics make a notebook's code unparsable; then its import lines are found one by one.
_IMPORT_LINE = re.compile(
    r"^[ \t]*(?:import[ \t]+(?P<names>[^#;\n]+)|from[ \t]+(?P<module>\w[\w.]*)[ \t]+import\b)",
    re.MULTILINE,
)


class ImportedPackage(msgspec.Struct, frozen=True, kw_only=True):
    """One top-level package that a source imports; the user's own have no distribution."""

    module: str
    distribution: str | None
    version: str | None


def imported_modules(
    text: str | None, *, folder: str | os.PathLike[str] | None = None
) -> tuple[ImportedPackage, ...]:
    """Return the packages that `text` imports, sorted; none without a text.

    Costs one parse of the text. If a module is not named like its distribution, reading the lists
    of installed files costs some milliseconds per hundred distributions.

    Args:
        text: Code of a script, module or notebook.
        folder: Folder of the source, to recognise modules beside it.
    """
    found = set()
    installed = installed_distributions()
    listings: dict[str, bytes] = {}
    for module, dotted in _by_top_level(imported_names(text or "")).items():
        owners = [] if _is_local(module, folder) else _owners(module, dotted, installed, listings)
        found |= {(module, owner, installed[owner].version) for owner in owners}
        if not owners:
            found.add((module, "", ""))
    return tuple(
        ImportedPackage(module=module, distribution=owner or None, version=version or None)
        for module, owner, version in sorted(found)
    )


def imported_names(text: str) -> set[str]:
    """Return the dotted names that import statements in `text` may load."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Warnings about the user's code are none of ours.
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set(_names_by_line(text))
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _names_by_line(text: str) -> Iterator[str]:
    for match in _IMPORT_LINE.finditer(text):
        if match["module"]:
            yield match["module"]
            continue
        for part in match["names"].split(","):
            name = part.split()[0] if part.split() else ""
            if re.fullmatch(r"\w+(\.\w+)*", name):
                yield name


def _by_top_level(names: set[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in sorted(names, key=lambda name: (-name.count("."), name)):
        top = name.partition(".")[0]
        if top not in sys.stdlib_module_names and top != "__main__":
            found.setdefault(top, []).append(name)
    return found


def _is_local(module: str, folder: str | os.PathLike[str] | None) -> bool:
    if folder is None:
        return False
    path = Path(folder) / module
    return path.with_suffix(".py").is_file() or path.is_dir()


def _owners(
    module: str,
    dotted: list[str],
    installed: Mapping[str, Installed],
    listings: dict[str, bytes],
) -> list[str]:
    """Return the distributions that provide `module`; fill `listings` at its first use."""
    name = normalise_name(module)
    if name in installed:
        return [name]
    if not listings:
        listings |= {owner: _listing(entry.info) for owner, entry in installed.items()}
    # `dotted` begins with the longest names: once `a.b.c` is found, `a.b` adds nothing.
    owners: dict[str, set[str]] = {}
    for full in dotted:
        parts = full.split(".")
        for length in range(len(parts), 0, -1):
            place = "/".join(parts[:length])
            line = re.compile(rb"\n%b(?:/|\.py|\.cpython-|\.so|\.abi3|\n)" % place.encode())
            found = {owner for owner, listing in listings.items() if line.search(listing)}
            if found:
                if not any(longer.startswith(place + "/") for longer in owners):
                    owners[place] = found
                break
    return sorted(set().union(*owners.values()))


def _listing(info: str) -> bytes:
    """Return the list of installed files, else of top-level names, one a line between LFs."""
    for name in ("RECORD", "top_level.txt"):
        try:
            return b"\n" + Path(info, name).read_bytes().replace(b"\r\n", b"\n") + b"\n"
        except OSError:
            continue
    return b""
