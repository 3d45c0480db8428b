"""The unit tests of what changed, for `make quick`: `python -m tests.support.changed` names them.

What changed is what differs from the commit at which this branch left `main`, and what git does not
know yet; on `main` itself, and where nothing differs, it is the last commit. Then:

1. `ledger/room/name.py` has `tests/unit/room/test_name.py`, or else all tests of its room.
2. A module without a room, or without tests in it, has the unit tests that import it.
3. A unit test has itself, and a helper of a folder of unit tests has its folder.
4. The rules about the source as a whole always belong to it.

Where git cannot tell what changed, these are all unit tests.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]
ALWAYS = "tests/unit/test_architecture.py"
MAIN = ("main", "origin/main")
SERIAL = 12  # files of tests that are run before parallel workers would have begun


def changed(root: Path) -> list[str] | None:
    """Return the paths of what changed below `root`; None where git cannot tell."""

    def ask(*words: str) -> list[str]:
        done = subprocess.run(
            ["git", *words],  # noqa: S607 (the one that the developer uses)
            cwd=root,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    try:
        bases = [ask("merge-base", "HEAD", it) for it in MAIN if _is_known(ask, it)]
        for (base,) in [*bases[:1], ["HEAD"], ["HEAD~1"]]:
            found = ask("diff", "--name-only", "--relative", base)
            found += ask("ls-files", "--others", "--exclude-standard")
            if found:
                return found
    except (OSError, subprocess.CalledProcessError):
        return None
    return []


def _is_known(ask, name: str) -> bool:
    return bool(ask("for-each-ref", f"refs/heads/{name}", f"refs/remotes/{name}"))


def unit_tests_of(paths: Iterable[str], root: Path) -> list[str]:
    """Return the unit tests of what changed, as paths below `root`, each once."""
    found = {it for path in paths for it in _tests_of(PurePosixPath(path), root)}
    folders = {it for it in found if not it.endswith(".py")}
    return [ALWAYS, *sorted(it for it in found if not _is_below(it, folders - {it}))]


def _is_below(path: str, folders: set[str]) -> bool:
    return any(PurePosixPath(path).is_relative_to(folder) for folder in folders) or path == ALWAYS


def _tests_of(path: PurePosixPath, root: Path) -> Iterator[str]:
    if path.suffix != ".py":
        return
    if path.is_relative_to("tests/unit"):
        if (root / path).exists():
            yield str(path if path.name.startswith("test_") else path.parent)
    elif path.parts[0] in ("ledger", "projections"):
        yield from _tests_of_module(path, root)
    elif path.is_relative_to("tests/support"):
        yield from _importing(path, root)


def _tests_of_module(path: PurePosixPath, root: Path) -> Iterator[str]:
    room = path.parent if path.parts[0] == "projections" else path.parent.relative_to("ledger")
    folder = PurePosixPath("tests/unit") / room
    own = folder / f"test_{path.stem}.py"
    if (root / own).exists():
        yield str(own)
    elif room.parts and any((root / folder).glob("test_*.py")):
        yield str(folder)
    else:
        yield from _importing(path, root)


def _importing(path: PurePosixPath, root: Path) -> Iterator[str]:
    """Yield the unit tests that name a module, whole or as `from room import name`."""
    module = path.with_suffix("") if path.name != "__init__.py" else path.parent
    dotted = ".".join(module.parts)
    named = (f"{dotted} ", f"{dotted}\n", f"from {'.'.join(module.parent.parts)} import")
    for test in sorted((root / "tests" / "unit").rglob("test_*.py")):
        text = test.read_text(encoding="utf-8")
        if any(it in text for it in named[:2]) or any(
            line.startswith(named[2]) and module.name in line for line in text.splitlines()
        ):
            yield test.relative_to(root).as_posix()


def words_for_pytest(selected: list[str], root: Path) -> list[str]:
    """Return the paths, and before them the words for parallel workers where these pay off."""
    files = sum(
        1 if it.endswith(".py") else len([*(root / it).rglob("test_*.py")]) for it in selected
    )
    return [*(["-n", "auto"] if files > SERIAL else []), *selected]


def main() -> None:
    """Print what pytest is to be given, in one line."""
    paths = changed(ROOT)
    selected = ["tests/unit"] if paths is None else unit_tests_of(paths, ROOT)
    print(*words_for_pytest(selected, ROOT))  # noqa: T201


if __name__ == "__main__":
    main()
