"""Statements to a server that travel together: several share the cost of one round trip.

1. Statements are carried out in the given order, whether they wait or not.
2. Waiting statements travel with the next one that needs an answer, or with `send`.
3. Only a few small statements travel together, in the driver's pipeline mode: if a connection is
   full in both directions, its two sides wait for each other. A larger statement travels alone;
   so does every one if the client library has no pipelines.
4. After an error, no statement waits: those that followed it are dropped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from psycopg import Connection, Cursor, Pipeline
from psycopg.rows import tuple_row

Answer: TypeAlias = Cursor[tuple[Any, ...]]
_MOST_STATEMENTS, _MOST_BYTES = 32, 16 * 1024


class Statement(NamedTuple):
    """A statement with its parameters, and the use of its answer.

    Attributes:
        text: In the encoding of the connection.
        params: Of plain types, or lists of them.
        then: Called with the answer, if given.
        is_idle: Whether it may be dropped at the end: only later statements need it.
    """

    text: bytes
    params: Sequence[Any] = ()
    then: Callable[[Answer], None] | None = None
    is_idle: bool = False


class Trips:
    """The statements of one connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._waiting: list[Statement] = []

    def post(self, *statements: Statement) -> None:
        """Let statements wait for the next one that needs an answer."""
        self._waiting.extend(statements)

    def is_waiting(self, statement: Statement) -> bool:
        """Return whether a statement has not left yet."""
        return any(it is statement for it in self._waiting)

    def ask(self, text: bytes, params: Sequence[Any] = ()) -> Answer:
        """Carry out the waiting statements and this one, and return its answer."""
        (answer,) = self.ask_all([Statement(text, params)])
        return answer

    def ask_all(self, statements: Sequence[Statement]) -> list[Answer]:
        """Carry out the waiting statements and these, and return the answers to these."""
        leaving, self._waiting = [*self._waiting, *statements], []
        answers = []
        for portion in _portions(leaving):
            answers += self._carried_out(portion)
        return answers[len(answers) - len(statements) :]

    def settled(self) -> Connection[Any]:
        """Carry out the waiting statements, and return the connection for other uses."""
        if self._waiting:
            self.ask_all(())
        return self.connection

    def send(self) -> None:
        """Carry out the waiting statements, unless all of them are idle."""
        if any(not it.is_idle for it in self._waiting):
            self.ask_all(())

    def forget(self, since: Statement | None = None) -> None:
        """Drop the waiting statements; with `since`, only that one and those after it."""
        if since is None:
            self._waiting = []
            return
        for at, it in enumerate(self._waiting):
            if it is since:
                del self._waiting[at:]
                return

    def _carried_out(self, portion: Sequence[Statement]) -> list[Answer]:
        answers = [self.connection.cursor(row_factory=tuple_row) for _ in portion]
        if len(portion) == 1:
            answers[0].execute(portion[0].text, portion[0].params)
        else:
            with self.connection.pipeline():
                for answer, statement in zip(answers, portion, strict=True):
                    answer.execute(statement.text, statement.params)
        for answer, statement in zip(answers, portion, strict=True):
            if statement.then is not None:
                statement.then(answer)
        return answers


def _portions(statements: Sequence[Statement]) -> Iterator[Sequence[Statement]]:
    """Yield statements in portions that may travel together."""
    most = _MOST_STATEMENTS if Pipeline.is_supported() else 1
    begin, size = 0, 0
    for at, statement in enumerate(statements):
        own = sum(map(_size, statement.params))
        size += own
        if at > begin and (at - begin >= most or size > _MOST_BYTES):
            yield statements[begin:at]
            begin, size = at, own
    if begin < len(statements):
        yield statements[begin:]


def _size(value: object) -> int:
    """Return an upper bound of the bytes that a parameter takes."""
    match value:
        case str():
            return 4 * len(value)
        case bytes():
            return len(value)
        case list():
            return sum(map(_size, value))
        case _:
            return 32
