"""The facts that a command needs, asked at once where each question costs a round trip.

1. `Foresight` stands for the facts. Under the append lock it asks each question once: the answer
   stays true until something is recorded.
2. Without the lock others record meanwhile, so the rules ask some questions twice on purpose: an
   answer that came ahead is given once, and the next time the question is asked anew.
3. The expected questions are a guess. One too many costs little, and an unexpected one is asked
   when it comes. Decisions do not depend on the guess.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from ledger.decisions.facts import Facts, Row
from ledger.model.commands import (
    ChangeRecord,
    Command,
    LinkRecords,
    MoveRecord,
    ReadArtifact,
    SaveArtifact,
    SaveRecord,
)
from ledger.model.ids import StreamId, natural_id, stream_id, uid, versioned_uid
from ledger.model.schema import REGISTRIES


class Question(NamedTuple):
    """A question for the valid rows of a table whose columns equal given values."""

    table: str
    equals: dict[str, Any]


class Answers(Facts, Protocol):
    """Facts that can be asked several questions at once."""

    @property
    def is_far(self) -> bool:
        """Whether a question costs a round trip, so that it is worth asking several at once."""

    def find_all(self, questions: Sequence[tuple[str, dict[str, Any]]]) -> list[list[Row]]:
        """Return the answers to several questions, as `find` gives them."""


class Foresight:
    """Facts that know the answers to what was expected."""

    def __init__(
        self, facts: Answers, expected: Sequence[Question] = (), *, is_locked: bool = False
    ) -> None:
        self._facts = facts
        self._is_locked = is_locked
        self._known: dict[tuple[object, ...], list[Row]] = {}
        if facts.is_far and expected:
            answers = facts.find_all(expected)
            for question, rows in zip(expected, answers, strict=True):
                self._known[_key(*question)] = rows

    def find(
        self, table: str, *, at: int | None = None, ever: bool = False, **equals: Any
    ) -> list[Row]:
        """Return the valid rows of a table whose columns equal the given values."""
        if at is not None or ever:
            return self._facts.find(table, at=at, ever=ever, **equals)
        key = _key(table, equals)
        if not self._is_locked:
            known = self._known.pop(key, None)
            return self._facts.find(table, **equals) if known is None else known
        if key not in self._known:
            self._known[key] = self._facts.find(table, **equals)
        # A copy: the caller may sort the list.
        return list(self._known[key])


def _key(table: str, equals: dict[str, Any]) -> tuple[object, ...]:
    return (table, *sorted(equals.items()))


def expected(command: Command) -> list[Question]:  # noqa: PLR0911 (one a command)
    """Return what will probably be asked when a command is decided on."""
    match command:
        case SaveRecord(target=None):
            return [*of_name(command.registry, command.name), _first_uid(command)]
        case SaveArtifact(target=None):
            asked = [Question("artifact", {"natural": natural_id(command.natural)})]
            if command.key is not None:
                asked.append(Question("artifact_key", {"key": command.key}))
            return [*asked, _first_uid(command)]
        case SaveRecord(registry=registry, target=str(target)):
            return [Question(registry, {"uid": target})]
        case (
            ChangeRecord(registry=registry, uid=subject)
            | MoveRecord(registry=registry, uid=subject)
        ):
            return [Question(registry, {"uid": subject})]
        case LinkRecords():
            return [Question(command.registry, {"uid": command.uid}), *_of_link(command)]
        case ReadArtifact():
            return [Question("artifact", {"uid": command.uid})]
        case _:
            return []


def of_name(registry: str, name: str) -> list[Question]:
    """Return what is asked to find the record that a name means."""
    return [
        Question(registry, {"name": name}),
        Question(registry, {"natural": natural_id([registry, name])}),
    ]


def expected_stream(command: Command) -> StreamId | None:
    """Return the stream that a command will probably append to; None where it cannot be told."""
    if isinstance(command, SaveRecord | SaveArtifact) and command.target is None:
        return stream_id(["create", *command.natural, 1])
    return None


def _first_uid(command: SaveRecord | SaveArtifact) -> Question:
    """Return what is asked to see that the uid of a record to be created is free."""
    identity = ["create", *command.natural, 1]
    if isinstance(command, SaveArtifact):
        stem = REGISTRIES["artifact"].uid_length
        return Question("artifact", {"uid": versioned_uid(identity, stem_length=stem)})
    length = REGISTRIES[command.registry].uid_length
    return Question(command.registry, {"uid": uid(identity, length)})


def _of_link(command: LinkRecords) -> list[Question]:
    relation = REGISTRIES[command.registry].relation(command.field)
    if relation is None or relation.link is None:
        return []
    link = {"field": relation.link, "source": command.uid, "target": command.target}
    return [Question(relation.target, {"uid": command.target}), Question("link", link)]
