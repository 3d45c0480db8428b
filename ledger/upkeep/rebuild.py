"""Read models made again from the log, compared with the stored ones, and put in their place.

1. They are folded into a shadow first, while others read and write.
2. Then, under the append lock, the shadow catches up, is compared, and replaces the read models, in
   one transaction: readers see the old ones until it ends. If the process dies, the old ones stay.
3. If something was erased meanwhile, all is folded again: erased data must not come back. So it is
   if the log went back meanwhile, as where a backup was restored.
4. The log is only read.
5. On a server, the owner of the schema owns the new tables, and its roles get their rights again.
6. On a server, readers keep their tables as long as their transaction is open. They are waited for,
   for moments at a time; between these everybody goes on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

import msgspec

from ledger.display.messages import say
from ledger.display.progress import progress
from ledger.engine.database import Session, WriteSession
from ledger.errors import CommandRejectedError, StorageError
from ledger.eventlog.base import LogReader
from ledger.model.events import Erasure, RecordedEvent
from ledger.model.ids import Position
from ledger.places import instance
from ledger.places.databases import schema_of
from projections.compare import RowDifference, Rows, compare
from projections.fold import fold
from projections.shadow import Shadow
from projections.tables import TABLES

if TYPE_CHECKING:
    from projections.sql.models import SqlModels

PATIENCE = 60.0  # seconds a rebuild waits for readers, as far as it is not at work
_PAUSE = 0.5
_LOOK = 0.1  # seconds after which a transaction that is still there counts
_BATCH = 5_000
_STEP = 1_000


class Rebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a rebuild.

    Attributes:
        events: Number of events that were folded.
        rows: Number of rows that the read models have now.
        differences: Rows that differed from the log; all are mended.
        unreadable: Tables that could not be read for the comparison; they were replaced whole.
        seconds: Duration of the rebuild.
    """

    events: int
    rows: int
    differences: tuple[RowDifference, ...]
    unreadable: tuple[str, ...]
    seconds: float


def rebuild() -> Rebuilt:
    """Make the read models of the ledger in use again, and return the differences.

    Raises:
        CorruptLogError: The log cannot be folded; the read models are as they were. Audit it.
        StorageError: The database refused; the read models are as they were.
    """
    ledger = instance.current()
    if ledger.sessions.is_batching:
        raise CommandRejectedError("rebuild: end the open batch first")
    began = time.monotonic()
    with Shadow() as shadow:
        with ledger.reading() as session:
            head = session.log.head()
            last = _at(session.log, head)
            with progress("folding", head) as step:
                for position in _folded(session.log, shadow, after=0, until=head):
                    if position % _STEP == 0:
                        step(_STEP)
        waiting, outcome = _Waiting(ledger), None
        while outcome is None:
            waiting.for_readers()
            try:
                with ledger.writing() as writing:
                    if _is_erased(writing.log, after=head) or _at(writing.log, head) != last:
                        # It holds data that was erased from the log meanwhile, or that is lost.
                        shadow.forget()
                        head = Position(0)
                    for position in _folded(writing.log, shadow, after=head, until=None):
                        head = position
                    last = _at(writing.log, head)
                    models: SqlModels = writing.models  # type: ignore[assignment]
                    with _as_owner(writing, waiting.schema):
                        outcome = _renewed(shadow, models, lambda: waiting.lock(writing))
            except _InTheWay as met:
                waiting.pause(met.who)
    return Rebuilt(
        events=int(head),
        rows=outcome.rows,
        differences=tuple(outcome.differences),
        unreadable=tuple(outcome.unreadable),
        seconds=round(time.monotonic() - began, 3),
    )


class _InTheWay(Exception):  # noqa: N818 (caught here)
    def __init__(self, who: list[str]) -> None:
        super().__init__()
        self.who = who


class _Waiting:
    """Waiting for readers of the old tables on a server, while everybody else goes on."""

    def __init__(self, ledger: instance.Ledger) -> None:
        self._ledger = ledger
        self.schema = schema_of(ledger.place)
        self._waited = 0.0
        self._named: set[str] = set()

    def for_readers(self) -> None:
        """Wait until nobody is within a transaction that has read the old tables."""
        if self.schema is None:
            return
        from ledger.eventlog.postgres_waits import readers  # noqa: PLC0415 (loads the driver)

        def look() -> dict[str, str]:
            with self._ledger.reading() as session:
                return readers(session.log.connection, [*TABLES])  # type: ignore[attr-defined]

        while found := look():
            # Whoever asks and goes is in nobody's way.
            time.sleep(_LOOK)
            who = [told for it, told in look().items() if it in found]
            if not who:
                return
            self.pause(who)

    def lock(self, session: WriteSession) -> None:
        """Have the old tables for this transaction alone.

        Raises:
            _InTheWay: Somebody reads them in an open transaction.
        """
        if self.schema is None:
            return
        from ledger.eventlog.postgres_waits import locked  # noqa: PLC0415 (loads the driver)

        who = locked(session.log.connection, [*TABLES])  # type: ignore[attr-defined]
        if who:
            raise _InTheWay(who)

    def pause(self, who: list[str]) -> None:
        """Let others go on for a while, and say once who is waited for.

        Raises:
            StorageError: It was waited for too long.
        """
        if self._waited >= PATIENCE:
            raise StorageError(
                f"rebuild: waited {PATIENCE:.0f} s for an open transaction that has read the read "
                f"models: {'; '.join(who)}; they are as they were, end it or try again later"
            )
        named = {it.partition(", for ")[0] for it in who}
        if not named <= self._named:
            say("info", f"rebuild: waiting for {'; '.join(who)}, which reads the read models")
        self._named |= named
        time.sleep(_PAUSE)
        self._waited += _PAUSE


@contextmanager
def _as_owner(session: Session | WriteSession, schema: str | None) -> Iterator[None]:
    """Let the owner of the schema own the tables made inside the block, for its roles to use.

    Raises:
        StorageError: The user is not a member of the schema's owner.
    """
    if schema is None:
        yield
        return
    from ledger.eventlog.postgres_schema import (  # noqa: PLC0415 (loads the driver)
        become_owner,
        grant,
    )

    connection = session.log.connection  # type: ignore[attr-defined]
    become_owner(connection, schema)
    yield
    grant(connection, schema)


def _is_erased(log: LogReader, *, after: int) -> bool:
    return any(isinstance(it.event, Erasure) for it in log.read(after=after))


def _at(log: LogReader, position: int) -> RecordedEvent | None:
    """Return the event at a position; None where the log does not reach it."""
    return next(log.read(after=position - 1, until=position), None) if position else None


def _folded(log: LogReader, shadow: Shadow, *, after: int, until: int | None) -> Iterator[Any]:
    for recorded in log.read(after=after, until=until):
        shadow.apply(recorded.position, fold(recorded))
        yield recorded.position


class _Outcome:
    """The findings of `_renewed`."""

    def __init__(self) -> None:
        self.rows = 0
        self.differences: list[RowDifference] = []
        self.unreadable: list[str] = []
        self.failure: Exception | None = None  # while rows were made or loaded, not compared


def _renewed(shadow: Shadow, models: SqlModels, lock: Callable[[], None]) -> _Outcome:
    """Put the shadow in the place of the read models, comparing both on the way.

    `lock` is called before the old tables go.

    Raises:
        CorruptLogError, NameTakenError: The log cannot be folded.
    """
    outcome = _Outcome()
    models.begin_anew()
    for table in TABLES:
        rows = _loaded(table, shadow.rows(table), models, outcome)
        try:
            outcome.differences += compare(table, rows, models.rows(table))
        except Exception:  # noqa: BLE001 (a damaged table is one more reason to replace it)
            outcome.unreadable.append(table)
        for _ in rows:
            pass
        if outcome.failure is not None:
            raise outcome.failure
    models.end_anew(lock)
    return outcome


def _loaded(table: str, rows: Rows, models: SqlModels, outcome: _Outcome) -> Rows:
    """Load rows into the new table and yield them; the outcome keeps an error."""
    try:
        while batch := list(islice(rows, _BATCH)):
            models.load(table, batch, is_new=True)
            outcome.rows += len(batch)
            yield from batch
    except Exception as error:
        outcome.failure = error
        raise
