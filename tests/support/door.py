"""Short hands for tests that go through the public door."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ledger as ln


class Interrupted(Exception):  # noqa: N818 (stands for whatever goes wrong in a script)
    """Something of the user's."""


def file(name: str, text: str = "") -> Path:
    """Write a file below the working folder; its name is its content unless another is given."""
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text or name)
    return path


def artifact(name: str, text: str = "", **given: object) -> ln.Artifact:
    """Write a file and save it as an artifact."""
    return ln.Artifact(file(name, text), **given).save()


def label(name: str, **given: object) -> ln.ULabel:
    """Save a label."""
    return ln.ULabel(name=name, **given).save()


def names(records: Iterable[ln.ULabel]) -> list[str]:
    """Return the names of records, in their order."""
    return [record.name for record in records]


@contextlib.contextmanager
def nothing_recorded() -> Iterator[None]:
    """Claim that the block appends no event."""
    before = ln.head()
    yield
    assert ln.head() == before


def begin_as_script(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Have this process take a file for the script that it runs: a worker of tests runs none."""
    main = ModuleType("__main__")
    main.__file__ = path
    monkeypatch.setitem(sys.modules, "__main__", main)
