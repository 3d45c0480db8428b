"""Runs, which use and make artifacts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

from ledger.display.tabular import Listing, attributes
from ledger.errors import InvalidValueError
from ledger.model.events import RunAbandoned, RunFinished, RunResumed, RunStarted
from ledger.model.ids import StreamId
from ledger.model.times import to_datetime
from ledger.registries.base import Record
from ledger.registries.query import QuerySet
from projections.select import Select


class Pass(msgspec.Struct, frozen=True, kw_only=True):
    """One pass through a run, known from its events in the log.

    Attributes:
        number: 1 for the pass that began the run, 2 and more for passes that continued it.
        position: Position of the event that began it.
        started_at: Time of its start.
        ended_at: Time of its end; None if no end was recorded, as for a killed process.
        status: `finished`, `ended`, `failed`, `abandoned`; `started` if no end was recorded.
        actor: The user that ran it.
    """

    number: int
    position: int
    started_at: dt.datetime
    ended_at: dt.datetime | None
    status: str
    actor: str


class Passes(Listing[Pass]):
    """The passes of a run that left events in the log, oldest first."""

    _title = "Passes"
    _columns = attributes("number", "position", "started_at", "ended_at", "status", "actor")


class Run(Record):
    """One run of a transform; only `track()` makes one."""

    registry = "run"

    def __init__(self, *_: object, **__: object) -> None:
        raise InvalidValueError("Run: runs are made by track(); query them with Run.filter()")

    @property
    def environment(self) -> str:
        """Python, platform, and every distribution with its version, one a line."""
        return self._source.ledger.blob(self._row.get("environment_blob")) or ""

    @property
    def duration(self) -> dt.timedelta | None:
        """Time from start to end; None if it has no end."""
        ended: Any = self.finished_at
        return None if ended is None else ended - self.started_at

    @property
    def forks(self) -> QuerySet[Any]:
        """Runs that later passes of this one became when they found something new to record."""
        query: QuerySet[Any] = QuerySet(Run, self._source, Select(registry="run"))
        return query.with_trash().filter(forked_from=self.uid)

    def replayed(self) -> Passes:
        """Return the passes of this run that left events in the log, oldest first.

        These are the first pass and those that continued it after an interruption. A pass that
        found nothing new leaves no trace. A pass that found something new became a run of its own:
        see `forks`.
        """
        ledger, at = self._source.ledger, self._source.at
        with ledger.reading() as session:
            events = session.log.stream(StreamId(self._saved_row()["stream"]), until=at)
        passes: list[Pass] = []
        for recorded in events:
            event = recorded.event
            match event:
                case RunStarted() | RunResumed():
                    begun = Pass(
                        number=len(passes) + 1,
                        position=recorded.position,
                        started_at=to_datetime(event.at),
                        ended_at=None,
                        status="started",
                        actor=event.actor,
                    )
                    passes.append(begun)
                case RunFinished() | RunAbandoned():
                    status = event.status if isinstance(event, RunFinished) else "abandoned"
                    passes[-1] = msgspec.structs.replace(
                        passes[-1], ended_at=to_datetime(event.at), status=status
                    )
                case _:
                    pass
        return Passes(passes)


class AwaitedRun(Run):
    """A run that begins when something is first asked of it, or saved in it."""

    def __init__(self, begin: Callable[[], Run]) -> None:
        vars(self)["_begin_now"] = begin

    def __getattr__(self, name: str) -> Any:
        if name in ("_row", "_source", "_assigned", "_is_fresh") and "_begin_now" in vars(self):
            begun = vars(self).pop("_begin_now")()
            vars(self).update(vars(begun))
            return vars(self)[name]
        return super().__getattr__(name)

    def __repr__(self) -> str:
        return _AWAITED if "_begin_now" in vars(self) else super().__repr__()

    def _repr_html_(self) -> str:
        return f"<p>{_AWAITED}</p>" if "_begin_now" in vars(self) else super()._repr_html_()


_AWAITED = "Run (begins with the first save)"
