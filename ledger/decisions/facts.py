"""Input and output of decisions: the facts, the stamp of events, the decision itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, Protocol

import msgspec

from ledger.errors import CorruptLogError, NotFoundError, RecordErasedError
from ledger.model.canonical import Json
from ledger.model.events import Draft, LedgerEvent, Noted
from ledger.model.ids import StreamId, natural_id, stream_id, uid, versioned_uid
from ledger.model.schema import ERASED, REGISTRIES, WITHDRAWN
from ledger.model.times import to_datetime

Row = dict[str, Any]


class Facts(Protocol):
    """The read models, as decisions read them."""

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: object
    ) -> list[Row]:
        """Return the valid rows of a table whose columns equal the given values."""


class Stamp(msgspec.Struct, frozen=True, kw_only=True):
    """Fields of every event of a command; the command itself is filled in with the decision.

    Attributes:
        at: When it happens; `UNSAID` where nobody says, and it happens when it is recorded.
    """

    at: int
    actor: str
    run: str | None
    causation: str | None = None

    def fields(self) -> dict[str, Any]:
        """Return them as keyword arguments of an event."""
        return {
            "at": self.at,
            "actor": self.actor,
            "run": self.run,
            "command": [],
            "causation": self.causation,
        }


class Notice(msgspec.Struct, frozen=True):
    """A sentence for the user; `level` is "hint", "info" or "warning"."""

    level: Literal["hint", "info", "warning"]
    text: str


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a command: events to record, and the record that it ends at.

    Attributes:
        events: Empty where the command has no effect.
        outcome: Uid of the record.
        is_new: Whether the record is created by these events.
        natural: Creation identity of a new record; its hash is the command id outside a run.
        stream: Stream of the record.
        notices: Sentences to tell the user.
    """

    events: tuple[LedgerEvent, ...] = ()
    outcome: str
    is_new: bool = False
    natural: list[Any] | None = None
    stream: StreamId
    notices: tuple[Notice, ...] = ()

    def drafts(
        self,
        identity: list[Json],
        noted: tuple[Noted, ...] = (),
        intent: tuple[str, str] | None = None,
    ) -> list[Draft]:
        """Return the events as one command: its identity in each, intents in the first.

        Args:
            identity: Of the command.
            noted: Intents without effect that were passed before it.
            intent: Intent key and subject key, where the command is an intent itself.
        """
        events = [msgspec.structs.replace(event, command=identity) for event in self.events]
        if noted or intent:
            events[0] = msgspec.structs.replace(events[0], noted=noted, intent=intent)
        return [Draft(stream=self.stream, event=event) for event in events]


class Birth(msgspec.Struct, frozen=True):
    """Where a new record will live."""

    n: int
    uid: str
    stream: StreamId
    identity: list[Json]
    natural_id: str


def survivor(facts: Facts, uid: str) -> str:
    """Return the uid of a record now: its own, or the uid of the record it was merged into.

    Raises:
        CorruptLogError: Records were merged in a circle, which no rule allows.
    """
    passed = {uid}
    while mergers := facts.find("merger", uid=uid):
        uid = mergers[0]["into"]
        if uid in passed:
            raise CorruptLogError(
                f"record {uid}: merged in a circle, which no honest log says; audit the ledger"
            )
        passed.add(uid)
    return uid


def require(facts: Facts, registry: str, wanted: str) -> Row:
    """Return the row of a record that must exist.

    Raises:
        NotFoundError: There is no such record, or it was withdrawn for good.
        RecordErasedError: It was erased.
    """
    rows = facts.find(registry, uid=wanted)
    if not rows:
        raise NotFoundError(f"{registry} {wanted}: not in this ledger", uid=wanted)
    if rows[0]["state"] == ERASED:
        raise erased_error(registry, rows[0])
    if rows[0]["state"] == WITHDRAWN:
        other = survivor(facts, wanted)
        if other != wanted:
            raise NotFoundError(
                f"{registry} {wanted}: merged into {other} by {rows[0]['changed_by']}; get() that",
                uid=wanted,
                into=other,
            )
        raise NotFoundError(
            f"{registry} {wanted}: withdrawn for good by {rows[0]['changed_by']}", uid=wanted
        )
    return rows[0]


def erased_error(registry: str, row: Row) -> RecordErasedError:
    """Return the error for a record that was erased; it names the actor and time of the erasure."""
    when = f"{to_datetime(row['updated_at']):%Y-%m-%d %H:%M:%S} UTC"
    return RecordErasedError(
        f"{REGISTRIES[registry].title} {row['uid']}: erased by {row['changed_by']} at {when}, and "
        f"not recorded again; 'metaledger history {row['uid']}' tells what is left",
        uid=row["uid"],
        registry=registry,
    )


def refuse_erased(facts: Facts, registry: str, natural: Sequence[Json]) -> None:
    """See to it that no record of a natural key was erased.

    Raises:
        RecordErasedError: One was, and would be recorded again.
    """
    for row in namesakes(facts, registry, natural):
        if row["state"] == ERASED:
            raise erased_error(registry, row)


def namesakes(facts: Facts, registry: str, natural: Sequence[Json]) -> list[Row]:
    """Return every record that was created under a natural key, in order of n."""
    rows = facts.find(registry, natural=natural_id(natural))
    return sorted(rows, key=lambda row: int(row["n"]))


def latest(rows: list[Row]) -> Row | None:
    """Return the record created last; None where there is none."""
    return max(rows, key=lambda row: int(row["created_position"]), default=None)


def birth(
    facts: Facts, registry: str, natural: Sequence[Json], *, stem: str | None = None
) -> Birth:
    """Return n, uid and stream of the next record of a natural key.

    n is one more than the highest so far; a uid that another record bears is passed over.
    """
    spec = REGISTRIES[registry]
    taken = namesakes(facts, registry, natural)
    first = 1 + max((int(row["n"]) for row in taken), default=0)
    for n in range(first, first + 1_000):
        identity: list[Json] = ["create", *natural, n]
        if spec.is_versioned:
            name = versioned_uid(identity, stem_length=spec.uid_length, stem=stem)
        else:
            name = uid(identity, spec.uid_length)
        if not facts.find(registry, uid=name):
            return Birth(n, name, stream_id(identity), identity, natural_id(natural))
    raise CorruptLogError(f"{registry}: no free uid for {natural} after a thousand tries")


def differing(row: Row, fields: dict[str, Any]) -> dict[str, Any]:
    """Return those fields whose value is not the row's already."""
    return {name: value for name, value in fields.items() if row.get(name) != value}
