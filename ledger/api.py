"""The functions of the public door: track, finish, join, batch, happened, save, head."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

from ledger.display.progress import progress
from ledger.engine.said import saying
from ledger.errors import CommandRejectedError, InvalidValueError, LedgerError
from ledger.model.commands import Command
from ledger.model.ids import Position
from ledger.model.times import now_micros, to_micros
from ledger.places import instance
from ledger.places.actor import checked_actor
from ledger.registries.base import Record
from ledger.registries.run import Run
from ledger.registries.transform import Transform
from ledger.tracking import joining
from ledger.tracking.batching import Batching
from ledger.tracking.context import context

T = TypeVar("T", bound=Record)

_CHUNK = 500
_UPLOADS = 8


def track(
    name: str | None = None,
    key: str | None = None,
    params: object = None,
    *,
    new_run: bool = False,
    transform: Transform | None = None,
) -> Run:
    """Track the code that runs from here on, and return the run.

    The same script again, with the same source, parameters, user and environment, is the same run
    and adds nothing; anything new in it begins a new run.

    Args:
        name: Name of the transform for people; by default the file's name.
        key: Path that identifies the transform; by default the file's path.
        params: Parameters, a mapping; command-line arguments are recorded beside them.
        new_run: Whether to begin a new run in any case.
        transform: A saved transform to track instead of the running file.

    Raises:
        LedgerNotFoundError: There is no ledger here.
        VersionPinnedError: The transform's version is pinned and its source has changed.
        InvalidValueError: A parameter cannot be recorded.
    """
    return context.track(name, key, params, new_run=new_run, transform=transform)


def finish() -> None:
    """End the tracked run as successful, and print its receipt.

    Raises:
        NotTrackingError: No run is tracked.
    """
    context.finish()


@contextmanager
def join(token: str) -> Iterator[None]:
    """Take part, within the block, in the run that another process tracks.

    Worker processes find that run by themselves, by the variable METALEDGER_RUN. This is for those
    that inherit no environment, such as workers on other computers: hand them `ln.context.token`.

    Raises:
        InvalidValueError: It is no token, or this process tracks a run of its own.
        NotTrackingError: The run is unknown in this ledger, or has ended.
    """
    with joining.join(token):
        yield


def batch() -> Batching:
    """Group every save in the block into one transaction: all of them are recorded, or none.

    It costs one commit. From its first effect on, the block holds the append lock: other writers
    wait until it ends. A block without effect locks nothing.

    It belongs to the block alone. In tasks of asyncio, `async with ln.batch():` waits for the batch
    of another task; what is awaited inside must not save itself.

    Raises:
        CommandRejectedError: When it is entered: another batch is open that this code is not
            inside, and that cannot end before this code goes on. When it is left: a batch that was
            opened inside is still open. Nothing was recorded.
        LedgerNotFoundError: When it is entered: there is no ledger here.
    """
    return Batching()


@contextmanager
def happened(at: dt.datetime | None = None, by: str | None = None) -> Iterator[None]:
    """Say of every save in the block when it happened, and by whom.

    A record that is created in the block bears that time and that name. The log keeps beside it
    when it was recorded. The block holds for this thread, and for tasks of asyncio begun in it.

    Args:
        at: When it happened: a datetime with a time zone, not in the future; None for now.
        by: Who did it, 1 to 150 characters; None for the present user.

    Raises:
        CommandRejectedError: A run is tracked: it says itself when and by whom things are done.
        InvalidValueError: The time has no zone or is in the future, or the name is none.
    """
    moment = None if at is None else _past(at)
    name = None if by is None else checked_actor(by, "happened(by=)")
    if instance.is_open() and context.is_tracking:
        raise CommandRejectedError(
            "happened(): expected no tracked run, as a run says itself when and by whom things "
            "are done; finish() it first"
        )
    with saying(moment, name):
        yield


def _past(at: object) -> int:
    if not isinstance(at, dt.datetime):
        raise InvalidValueError(
            f"happened(at=): expected a datetime with a time zone, got {type(at).__name__} "
            f"{at!r:.60}"
        )
    moment = to_micros(at)
    if moment > now_micros():
        raise InvalidValueError(
            f"happened(at=): {at.isoformat()} is in the future; what has not happened is not saved"
        )
    return moment


def save(records: Iterable[T]) -> list[T]:
    """Save records in groups of one transaction each, with a progress bar, and return them.

    Contents of artifacts are stored first, in threads. A group is recorded whole or not at all; if
    one is refused, the groups before it stay.

    Raises:
        CommandRejectedError: A record cannot be recorded as it stands.
        StorageError: The disk or the database refused.
    """
    from ledger.registries.artifact import Artifact  # noqa: PLC0415 (loads hashing)

    if not isinstance(records, Iterable):
        raise InvalidValueError(f"save: expected a list of records, got {records!r}")
    everything = list(records)
    for record in everything:
        if not isinstance(record, Record):
            raise InvalidValueError(
                f"save: expected records, got {type(record).__name__} {record!r}"
            )
    ledger = instance.current()
    with progress("saving", len(everything)) as step:
        for first in range(0, len(everything), _CHUNK):
            chunk = everything[first : first + _CHUNK]
            artifacts = [record for record in chunk if isinstance(record, Artifact)]
            if artifacts and not ledger.sessions.is_batching:
                _in_threads(artifacts)
            with ledger.handler.batch():
                ledger.handler.foresee(_commands(chunk))
                for record in chunk:
                    record.save()
                    step(1)
    return everything


def _commands(records: Iterable[Record]) -> list[Command]:
    """Return the commands that saving these records will give, as far as they can be told."""
    commands: list[Command] = []
    for record in records:
        with suppress(LedgerError):  # it is raised when its turn comes
            command = record._next_command()
            if command is not None:
                commands.append(command)
    return commands


def _in_threads(artifacts: list[Any]) -> None:
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    with ThreadPoolExecutor(_UPLOADS) as pool:
        for _ in pool.map(lambda artifact: artifact.prepare_content(), artifacts):
            pass


def head() -> Position:
    """Return the position of the last recorded event; 0 for an empty log."""
    return instance.current().head()
