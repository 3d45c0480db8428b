"""The user's settings for the session: `ln.settings`.

An unknown name or value is refused, with the way out; nothing here is stored.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

from ledger.errors import InvalidValueError, UnknownSettingError, nearest
from ledger.model.commands import MODES, Mode
from ledger.model.secret_names import SECRET_NAMES
from ledger.model.tasks import TASK_VARIABLES

VERBOSITIES = ("error", "warning", "success", "info", "hint", "debug")


class _Section:
    """A group of settings; refuses names that it does not have."""

    _title = "settings"
    _values: dict[str, Any]
    _checks: dict[str, Callable[[str, Any], Any]]

    def __init__(self, defaults: dict[str, tuple[Any, Callable[[str, Any], Any]]]) -> None:
        object.__setattr__(self, "_values", {name: value for name, (value, _) in defaults.items()})
        object.__setattr__(self, "_checks", {name: check for name, (_, check) in defaults.items()})

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._values[name]
        except KeyError:
            raise self._unknown(name) from None

    def __setattr__(self, name: str, value: object) -> None:
        if name not in self._checks:
            raise self._unknown(name)
        self._values[name] = self._checks[name](f"{self._title}.{name}", value)

    def __dir__(self) -> list[str]:
        return sorted(self._values)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self._values.items())
        return f"{self._title}({values})"

    def _unknown(self, name: str) -> UnknownSettingError:
        near = nearest(name, self._values)
        way_out = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(self._values)}"
        return UnknownSettingError(f"{self._title} has no setting '{name}'; {way_out}", name=name)


class CreationSettings(_Section):
    """How records are created.

    `search_names`: whether constructing a record looks for similar names (default True).
    `artifact_if_hash_exists`: how to treat content that is registered already:
    `"warn_return_existing"` (default), `"error"`, `"warn_create_new"`.
    """

    _title = "settings.creation"

    search_names: bool
    artifact_if_hash_exists: Mode

    def __init__(self) -> None:
        super().__init__(
            {
                "search_names": (True, _boolean),
                "artifact_if_hash_exists": ("warn_return_existing", _mode),
            }
        )


class TransformSettings(_Section):
    """Identity of the transform that `track()` begins.

    `stem_uid`: first 12 digits of its uid; `version`: its pinned version. None: determined by
    `track()`.
    """

    _title = "settings.transform"

    stem_uid: str | None
    version: str | None

    def __init__(self) -> None:
        super().__init__({"stem_uid": (None, _stem), "version": (None, _version)})


class Settings(_Section):
    """Settings of this process.

    `verbosity`: "error", "warning", "success", "info", "hint" (default) or "debug".
    `storage`: folder or URL for new content; None for the ledger's own (default).
    `secret_names`: parameters and arguments with such a name are recorded as "[redacted]"; words
    are compared, whatever joins them. `()` records every parameter.
    `task_variables`: variables of the environment that number the processes of a job; a run's task.
    `()` for none.
    `rehash`: whether every file is read although it looks unchanged (default False).
    `cache_limit`: most bytes of fetched content on this computer (default 20 GiB); None for no
    limit.
    """

    verbosity: str
    storage: str | None
    secret_names: tuple[str, ...]
    task_variables: tuple[str, ...]
    rehash: bool
    cache_limit: int | None

    def __init__(self) -> None:
        super().__init__(
            {
                "verbosity": ("hint", _verbosity),
                "storage": (None, _place),
                "secret_names": (SECRET_NAMES, _names),
                "task_variables": (TASK_VARIABLES, _names),
                "rehash": (False, _boolean),
                "cache_limit": (20 * 1024**3, _limit),
            }
        )
        object.__setattr__(self, "creation", CreationSettings())
        object.__setattr__(self, "transform", TransformSettings())

    creation: CreationSettings
    transform: TransformSettings

    def __dir__(self) -> list[str]:
        return ["creation", "transform", *super().__dir__()]


def check_mode(name: str, value: object) -> Mode:
    """Return `value` if it is a mode.

    Raises:
        InvalidValueError: It is not; the message names the modes.
    """
    if value not in MODES:
        raise InvalidValueError(
            f"{name}: expected one of {', '.join(MODES)}; got {value!r}", name=name, value=value
        )
    return value


_mode = check_mode


def _boolean(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidValueError(f"{name}: expected True or False, got {value!r}")
    return value


def _verbosity(name: str, value: object) -> str:
    if not isinstance(value, str) or value not in VERBOSITIES:
        raise InvalidValueError(f"{name}: expected one of {', '.join(VERBOSITIES)}; got {value!r}")
    return value


def _place(name: str, value: object) -> str | None:
    if value is None:
        return None
    text = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(text, str) or not text.strip() or not text.isprintable():
        raise InvalidValueError(f"{name}: expected a folder, a URL or None, got {value!r}")
    return text


def _names(name: str, value: object) -> tuple[str, ...]:
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        given = list(value)
        names = tuple([each for each in given if isinstance(each, str) and each.strip()])
        if len(names) == len(given):
            return names
    raise InvalidValueError(f"{name}: expected a list of names, got {value!r}")


def _limit(name: str, value: object) -> int | None:
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidValueError(f"{name}: expected a number of bytes or None, got {value!r}")
    return value


def _stem(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not (isinstance(value, str) and len(value) == 12 and value.isascii() and value.isalnum()):  # noqa: PLR2004 (digits of a stem)
        raise InvalidValueError(f"{name}: expected 12 letters or digits, got {value!r}")
    return value


def _version(name: str, value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not value.strip() or len(value) > 64:  # noqa: PLR2004 (the field's length)
        raise InvalidValueError(f"{name}: expected a text of 1 to 64 characters, got {value!r}")
    return value


settings = Settings()
