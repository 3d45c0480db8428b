"""Files of YAML that other tools write, read as plain data.

1. Nothing of a file is executed, and it makes no objects but text, numbers, truth, lists and
   mappings. Repeated parts (`&`, `*`) are refused: a short file of them stands for a huge one.
2. Text stays text where the reader asks for it: `007`, `no` and dates are then what stands there.
"""

from __future__ import annotations

import os
from typing import Any

from ledger.errors import InvalidValueError, MissingDependencyError, printable
from ledger.input_files import read_small

_MOST = 64 << 20  # bytes of a file


def read_yaml(path: str | os.PathLike[str], *, extra: str, is_text: bool = False) -> dict[str, Any]:
    """Return the mapping that a file holds; an empty one for an empty file.

    Args:
        path: The file.
        extra: Extra of this project that brings the YAML library, for the error without it.
        is_text: Whether to take each value as the text that stands there.

    Raises:
        MissingDependencyError: PyYAML is not installed.
        InvalidValueError: It is no YAML, no mapping, or has repeated parts.
        MissingFileError: There is no such file; likewise the other errors of `read_small`.
    """
    try:
        import yaml  # noqa: PLC0415 (needed by two sources alone)
    except ImportError as error:
        raise MissingDependencyError(
            f"reading YAML needs PyYAML, which is not installed; pip install 'metaledger[{extra}]'"
        ) from error
    where = printable(path)
    data = read_small(path, most=_MOST)
    loader = yaml.BaseLoader if is_text else _plain(yaml)
    try:
        for token in yaml.scan(data):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken):
                raise InvalidValueError(
                    f"{where}: line {token.start_mark.line + 1} repeats a part of the file ('&', "
                    "'*'), which is not read here; write it out"
                )
        # Both loaders make plain data alone.
        found = yaml.load(data, Loader=loader)  # noqa: S506
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        if isinstance(error, InvalidValueError):
            raise
        raise InvalidValueError(f"{where}: expected YAML, but {_fault(error)}") from error
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidValueError(f"{where}: expected a mapping, found {type(found).__name__}")
    return found


def _plain(yaml: Any) -> Any:
    """Return the library's safe loader, which here takes a date as its text."""
    resolvers = {
        first: [it for it in found if it[0] != "tag:yaml.org,2002:timestamp"]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    return type("Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": resolvers})


def _fault(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    said = getattr(error, "problem", None) or type(error).__name__
    return printable(str(said)) + (f" in line {mark.line + 1}" if mark is not None else "")
