"""The plan of an import: steps in order, counted first, then written in batches.

1. Steps are sorted by the time that they are said to have happened; one without a time comes last.
   So as_of(moment, clock="said") goes through an empty ledger's past as the source tells it.
2. Before anything is recorded every time and every ref is looked at: a step that names what the
   source does not have, or what comes later, refuses the whole import with its row.
3. A batch is one transaction. An import that is cut short goes on where it ended: what is recorded
   is known by its identity, and is not looked at again.
4. A dry run does the same in one transaction that is taken back. So it counts exactly the events
   that would come; meanwhile it holds the append lock.
5. Each row that was read is imported, known, or left out with a reason.
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from ledger.bridges.carrying import Carrier, LeftAwayError, Looked, own_ref, refs_of
from ledger.bridges.imported import Count, Imported
from ledger.bridges.recorder import Recorder
from ledger.bridges.recording import said_by
from ledger.bridges.steps import AnyStep, ContentSeen, LeftOut, Ref, Source, Step, Unmapped
from ledger.display.progress import progress
from ledger.errors import InvalidValueError, printable
from ledger.model.times import now_micros, to_micros
from ledger.places import instance
from ledger.places.actor import checked_actor

BATCH = 500
_READERS = 8
_LONGEST = 200  # characters of a reason


class _TakenBackError(Exception):
    """A dry run ends: everything is taken back."""


def carry_out(  # noqa: PLR0913 (the options of an import)
    source: Source,
    steps: Iterable[AnyStep],
    *,
    declare: bool = False,
    dry_run: bool = False,
    batch: int = BATCH,
    notes: Iterable[str] = (),
    known: Mapping[Ref, tuple[str, str]] | None = None,
) -> Imported:
    """Bring in what a reader has read, and return what was done.

    Args:
        source: Where the steps come from.
        steps: What happened there, in any order; see `ledger.bridges.steps`.
        declare: Whether to declare every content, and read none.
        dry_run: Whether to record nothing, and tell what would be recorded.
        batch: Steps of one transaction.
        notes: Sentences about what the source does not tell at all.
        known: Registry and uid of records of this ledger, by the ref that steps name them by.

    Raises:
        InvalidValueError: A time has no zone or is in the future, or a step names a record that
            the source does not have, or that comes later; nothing was recorded.
        CommandRejectedError: A run is tracked here.
        StorageError: The database refused; the batches before are recorded.
    """
    recorder = Recorder(instance.current())
    recorder.require_no_run(f"import of {source.tool}")
    read = list(steps)
    unmapped = [it for it in read if isinstance(it, Unmapped)]
    ordered = in_order([it for it in read if not isinstance(it, Unmapped)])
    carrier = Carrier(recorder, source, stores=not dry_run, known=known or {})
    _require_refs(carrier, source, ordered)
    book = _Book()
    size = len(ordered) if dry_run else max(1, batch)
    with progress(f"importing {source.tool}", len(ordered)) as step:
        for first in range(0, len(ordered), max(1, size)):
            chunk = ordered[first : first + size]
            looked = {} if declare else _looked(carrier, chunk)
            try:
                with recorder.ledger.handler.batch():
                    for number, it in enumerate(chunk):
                        _one(carrier, book, it, looked.get(number))
                    _end(dry_run=dry_run)
            except _TakenBackError:
                pass
            step(len(chunk))
    return Imported(
        source=f"{source.tool} {source.where}",
        events=recorder.n_events,
        is_dry_run=dry_run,
        counts=book.counts(),
        unmapped=unmapped,
        left_out=dict(book.reasons),
        declared=carrier.declared,
        damaged=carrier.damaged,
        unchecked=carrier.unchecked,
        notes=[*notes, *dict.fromkeys(carrier.notes)],
    )


def _end(*, dry_run: bool) -> None:
    """End a batch; that of a dry run is taken back."""
    if dry_run:
        raise _TakenBackError


def in_order(steps: Sequence[Step]) -> list[Step]:
    """Return steps by the time at which they happened, those without a time last.

    Raises:
        InvalidValueError: A time has no zone or is in the future, or an actor has no name that can
            be recorded.
    """
    now = now_micros()
    timed: list[tuple[int, Step]] = []
    for step in steps:
        if step.by is not None:
            checked_actor(step.by, f"{_row(step)}: actor")
        at: object = step.at
        if at is None:
            timed.append((now + 1, step))
            continue
        if not isinstance(at, dt.datetime) or at.tzinfo is None:
            raise InvalidValueError(f"{_row(step)}: expected a time with a zone, got {at!r:.60}")
        moment = to_micros(at)
        if moment > now:
            raise InvalidValueError(f"{_row(step)}: {at.isoformat()} is in the future")
        timed.append((moment, step))
    return [step for _, step in sorted(timed, key=lambda it: it[0])]


def _require_refs(carrier: Carrier, source: Source, steps: Sequence[Step]) -> None:
    seen: set[str] = set()
    later = {ref for step in steps if (ref := own_ref(step)) is not None}
    later |= {str(ref) for step in steps if (ref := _dropped_ref(step)) is not None}
    for step in steps:
        for ref in refs_of(step):
            if ref in seen or (ref not in later and carrier.is_known(ref)):
                continue
            if ref in later and carrier.is_known(ref):
                continue
            what = "comes later" if ref in later else "is not there"
            raise InvalidValueError(
                f"{source.tool} {source.where}: {_row(step)} names {printable(ref)}, which {what}; "
                "the instance is torn, and nothing was recorded"
            )
        ref_here = own_ref(step) or _dropped_ref(step)
        if ref_here is not None:
            seen.add(ref_here)


def _dropped_ref(step: Step) -> str | None:
    """Return the ref of a record that a reader leaves out: what belongs to it is left out, too."""
    return step.row if isinstance(step, LeftOut) else None


def _looked(carrier: Carrier, chunk: Sequence[Step]) -> dict[int, Looked]:
    """Return what lies where contents should lie, by the number of the step in its batch."""
    asked = [(number, it) for number, it in enumerate(chunk) if isinstance(it, ContentSeen)]
    if not asked:
        return {}
    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(carrier.look, [it for _, it in asked]))
    return {number: it for (number, _), it in zip(asked, found, strict=True)}


def _one(carrier: Carrier, book: _Book, step: Step, looked: Looked | None) -> None:
    events, reason = 0, None
    try:
        with said_by(step.at, step.by):
            events = carrier.carry_out(step, looked)
    except LeftAwayError as error:
        reason = str(error)
    book.note(step, events, reason)


def _row(step: Step) -> str:
    return f"{step.table} {printable(step.row)}"


class _Book:
    """What became of each row."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], int] = {}
        self.reasons: Counter[str] = Counter()

    def note(self, step: Step, events: int, reason: str | None) -> None:
        """Note what became of a step: 2 for something recorded, 1 for left out, 0 for known."""
        row = step.table, step.row
        became = 2 if events else 0 if reason is None else 1
        self._rows[row] = max(self._rows.get(row, 0), became)
        if reason is not None:
            self.reasons[f"{step.table}: {reason[:_LONGEST]}"] += 1

    def counts(self) -> dict[str, Count]:
        """Return the rows by table."""
        found: dict[str, Count] = {}
        for table, became in self._by_table():
            count = found.setdefault(table, Count())
            count.read += 1
            match became:
                case 2:
                    count.imported += 1
                case 1:
                    count.left_out += 1
                case _:
                    count.known += 1
        return found

    def _by_table(self) -> Iterator[tuple[str, int]]:
        for (table, _), became in self._rows.items():
            yield table, became
