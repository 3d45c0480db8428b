"""Which function loads content of a suffix: `ln.loaders`.

1. What `register()` was given comes first, then what is built in, then what installed packages
   bring by entry points of the group `metaledger.loaders`.
2. No loader's package is imported before content of its suffix is loaded.
3. Two packages that bring a loader for one suffix are an error: nobody chose one of them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, overload

from ledger.errors import InvalidValueError, LedgerError, MissingDependencyError

Loader: TypeAlias = Callable[[Path], Any]
F = TypeVar("F", bound=Loader)

GROUP = "metaledger.loaders"
_SUFFIX = re.compile(r"(\.[^\s./\\]+)+")
_MOST_SAID = 200  # characters of another package's message


class Loaders:
    """The loaders of this process: functions from a path to what `load()` returns."""

    def __init__(self) -> None:
        self._given: dict[str, Loader] = {}

    @overload
    def register(self, suffix: str, loader: F) -> F: ...
    @overload
    def register(self, suffix: str) -> Callable[[F], F]: ...
    def register(self, suffix: Any, loader: Any = None) -> Any:
        """Have `load()` use a function for content of a suffix; return the function.

        Without a function it is a decorator. A loader for a suffix replaces the one before, those
        that are built in included.

        Args:
            suffix: Such as ".h5ad"; lower and upper case are alike.
            loader: Is called with the path of a file or folder, which must not be changed.

        Raises:
            InvalidValueError: It is no suffix, or not callable.
        """
        if not isinstance(suffix, str) or not _SUFFIX.fullmatch(suffix):
            raise InvalidValueError(
                f"loaders.register: expected a suffix such as '.h5ad', got {suffix!r}"
            )
        if loader is None:
            return lambda function: self.register(suffix, function)
        if not callable(loader):
            raise InvalidValueError(
                f"loaders.register({suffix!r}): expected a function of a path, got {loader!r}"
            )
        self._given[suffix.lower()] = loader
        return loader

    def given(self, suffix: str) -> Loader | None:
        """Return the loader that was registered for a suffix, or for its last part; else None."""
        return next((self._given[it] for it in _parts(suffix) if it in self._given), None)

    def installed(self, suffix: str) -> Loader | None:
        """Return the loader that an installed package brings; None if none does.

        Raises:
            InvalidValueError: Several packages bring one, or what it names is no function.
            MissingDependencyError: What it names cannot be imported.
        """
        for part in _parts(suffix):
            found = self._entry_points.get(part)
            if found:
                return _loaded(part, found)
        return None

    @cached_property
    def _entry_points(self) -> dict[str, list[Any]]:
        from importlib.metadata import entry_points  # noqa: PLC0415 (reads every package)

        found: dict[str, list[Any]] = {}
        for it in entry_points(group=GROUP):
            named = it.name.lower()
            same = found.setdefault(named if named.startswith(".") else f".{named}", [])
            if all(it.value != other.value for other in same):
                same.append(it)
        return found

    def __repr__(self) -> str:
        return f"<Loaders: {', '.join(sorted(self._given)) or 'none registered'}>"


def _parts(suffix: str) -> list[str]:
    """Return a suffix such as `.ome.tif`, and its last part `.tif`."""
    lower = suffix.lower()
    return list(dict.fromkeys((lower, f".{lower.rpartition('.')[2]}"))) if lower else []


def _loaded(suffix: str, found: Sequence[Any]) -> Loader:
    if len(found) > 1:
        values = ", ".join(sorted(it.value for it in found))
        raise InvalidValueError(
            f"load() of a {suffix}: several packages bring a loader ({values}); choose one with "
            f"ln.loaders.register({suffix!r}, …)"
        )
    (entry,) = found
    try:
        loader = entry.load()
    except LedgerError:
        raise
    except Exception as error:
        said = " ".join(str(error).split())[:_MOST_SAID]
        raise MissingDependencyError(
            f"load() of a {suffix}: its loader {entry.value} cannot be imported: "
            f"{type(error).__name__}: {said}; mend that package, or use cache() and read the "
            "content yourself"
        ) from error
    if not callable(loader):
        raise InvalidValueError(
            f"load() of a {suffix}: expected a function of a path, found {entry.value}, which is "
            f"{type(loader).__name__}"
        )
    found_loader: Loader = loader
    return found_loader


loaders = Loaders()
