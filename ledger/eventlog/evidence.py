"""The seam of the audit: a ledger at one moment, as it is stored, wherever that is.

1. Entries that are recorded meanwhile are not seen.
2. Values come as they are stored; text is `Text`, so that it cannot pass for bytes.
3. A row that cannot be read is an error of ours; the rows after it are still asked for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from ledger.errors import LedgerError

_BEFORE = 40  # characters that are shown before a difference


class Text(bytes):
    """The bytes of a value that the storage calls text."""

    __slots__ = ()


class RawRow(NamedTuple):
    """One entry and the event beside it, as stored; anything may be of any kind."""

    position: Any
    recorded_at: Any
    stream: Any
    version: Any
    command_id: Any
    number: Any
    salt: Any
    leaf: Any
    topic: Any
    state: Any


class Evidence(ABC):
    """A ledger at one moment.

    Attributes:
        has_models: Whether read models are beside the log.
    """

    has_models: bool = True

    def refusals(self) -> AbstractContextManager[None]:
        """Turn what a refused question raises into errors of ours, inside the block."""
        return nullcontext()

    @abstractmethod
    def close(self) -> None:
        """Let go of the moment."""

    def require_unchanged(self) -> None:  # noqa: B027 (most keep the moment)
        """Make sure that all answers were of one moment.

        Raises:
            StorageError: Somebody wrote meanwhile, and nothing kept the moment.
        """

    @abstractmethod
    def head(self) -> int:
        """Return the largest position; 0 where there is none."""

    @abstractmethod
    def batches(self, *, until: int) -> Iterator[list[RawRow] | LedgerError]:
        """Yield the rows of the log in order, some thousands at once.

        An error stands in the place of rows that cannot be read.
        """

    def rows(self, *, until: int) -> Iterator[RawRow | LedgerError]:
        """Yield the rows of the log one by one."""
        for batch in self.batches(until=until):
            if isinstance(batch, LedgerError):
                yield batch
            else:
                yield from batch

    @abstractmethod
    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return stream, version and type of the events that have no entry."""

    @abstractmethod
    def meta(self) -> dict[str, str]:
        """Return the settings that the ledger keeps of itself."""

    def below(self) -> list[int]:
        """Return the positions below 1 that have an entry."""
        return []

    def counts(self) -> dict[str, int]:
        """Return how many rows each table of the log has, where it is in tables."""
        return {}

    @abstractmethod
    def check(self) -> Iterator[tuple[str, str, str]]:
        """Yield the faults of the whole: subject, expected, found."""

    @abstractmethod
    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table of the read models.

        Args:
            name: Its name.
            statement: The question for its rows in the order of its key.
        """


def differences(
    wanted: Mapping[str, list[str]], found: Mapping[str, list[str]]
) -> Iterator[tuple[str, str, str]]:
    """Yield the objects whose texts differ: name, expected, found, from where they differ.

    Each name has a list of texts, as a forged database may hold one name twice.
    """
    for name in dict.fromkeys((*wanted, *found)):
        expected, told = (
            "; ".join(sorted(it.get(name, []))) or "nothing" for it in (wanted, found)
        )
        if expected != told:
            pairs = enumerate(zip(expected, told, strict=False))
            same = next((at for at, (a, b) in pairs if a != b), min(len(expected), len(told)))
            begin = max(0, same - _BEFORE)
            lead = "…" if begin else ""
            yield name, lead + expected[begin:], lead + told[begin:]
