"""The log on a PostgreSQL server: eventsourcing's application recorder, and our entries beside it.

1. Rows travel in bounded portions, and only small ones in pipeline mode (`projections.sql.trips`):
   an append of about a megabyte in one pipeline leaves client and server waiting for each other.
2. Recorded time is the server's clock, read under the append lock when the transaction begins, and
   the time passed since.
3. The rules of `postgres_connections` hold for every connection here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any
from uuid import UUID

import psycopg
from eventsourcing.persistence import (
    DataError,
    IntegrityError,
    Notification,
    OperationalError,
    PersistenceError,
    StoredEvent,
)
from eventsourcing.postgres import PostgresApplicationRecorder
from psycopg import Connection

from ledger.errors import StorageError
from ledger.eventlog.base import Appender, LogReader
from ledger.eventlog.entry import Entry, entry_of
from ledger.eventlog.framework import SELECT_ENTRIES, end_of, entries_of
from ledger.eventlog.postgres_connections import Datastore, Transaction
from ledger.eventlog.postgres_errors import explain, said, translated
from ledger.eventlog.postgres_schema import TABLES, create_guards, create_schema, role
from ledger.model.ids import CommandId, Position, StreamId
from projections.sql.trips import Answer, Statement, Trips

PORTION_ROWS, PORTION_BYTES = 1_000, 256 * 1024

_INSERT = (
    b"WITH events AS (INSERT INTO stored_events"
    b" (originator_id, originator_version, topic, state, notification_id) SELECT * FROM"
    b" unnest(%b::uuid[], %b::bigint[], %b::text[], %b::bytea[], %b::bigint[]))"
    b" INSERT INTO entries"
    b" (position, recorded_at, stream, version, command_id, number, salt, leaf) SELECT * FROM"
    b" unnest(%b::bigint[], %b::bigint[], %b::uuid[], %b::bigint[], %b::uuid[], %b::int[],"
    b" %b::bytea[], %b::bytea[])"
)
_VERSIONS = (
    b"SELECT originator_id, max(originator_version) FROM stored_events"
    b" WHERE originator_id = ANY(%b::uuid[]) GROUP BY originator_id"
)


class Recorder(PostgresApplicationRecorder):
    """eventsourcing's recorder, with an entry beside every stored event.

    Its notification ids are our positions: dense, in commit order, never reused.
    """

    datastore: Datastore

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore)
        # Neither its composite type nor its function, which inserts without the lock, are made.
        self.sql_create_statements = [
            statement
            for statement in self.sql_create_statements
            if statement.as_string().startswith(("CREATE TABLE", "CREATE UNIQUE INDEX"))
        ]
        self.channel_name = f"{datastore.schema}.stored_events"

    def create_table(self) -> None:
        """Make a schema that holds a log and nothing else."""
        with self.datastore.probe() as connection, connection.transaction():
            create_schema(connection, self.datastore.schema)
            self.create_log(connection)

    def create_log(self, connection: Connection[Any]) -> None:
        """Make the framework's table, ours, what guards both, and the append lock."""
        for composed in self.sql_create_statements:
            connection.execute(composed)
        for statement in TABLES:
            connection.execute(statement.encode())
        create_guards(connection, self.datastore.schema)

    def insert_events(
        self, stored_events: Sequence[StoredEvent], **kwargs: Any
    ) -> Sequence[int] | None:
        """Insert events that come through the framework's own door, with entries of their own.

        Once: a commit that was not acknowledged is looked up, not tried again.
        """
        try:
            with self.datastore.appending_raw() as transaction:
                connection = transaction.connection
                with connection.cursor() as cursor:
                    self._insert_events(cursor, stored_events, **kwargs)
                entries = entries_of(stored_events, transaction.last)
                self.insert(transaction, entries)
        except psycopg.IntegrityError as error:
            raise IntegrityError(said(error)) from error
        except psycopg.DataError as error:
            raise DataError(said(error)) from error
        except psycopg.OperationalError as error:
            raise OperationalError(explain(error)) from error
        except psycopg.Error as error:
            raise PersistenceError(explain(error)) from error
        return [entry.envelope.position for entry in entries]

    def insert(self, transaction: Transaction, entries: Sequence[Entry]) -> None:
        """Insert events and their entries inside an append transaction."""
        self.post(transaction, entries)
        transaction.trips.send()

    @staticmethod
    def post(transaction: Transaction, entries: Sequence[Entry]) -> None:
        """As `insert`, with the next statement that goes over the connection."""
        if not entries:
            return
        for portion in _portions(entries):
            events = _columns(map(_event_row, portion))
            transaction.trips.post(
                Statement(_INSERT, (*events, *_columns(map(_entry_row, portion))))
            )
        last = entries[-1]
        transaction.tip = last
        transaction.last = (last.envelope.position, last.envelope.recorded_at)
        transaction.versions |= {it.envelope.stream: it.envelope.version for it in entries}

    def select_notifications(
        self,
        start: int | None,
        limit: int,
        stop: int | None = None,
        topics: Sequence[str] = (),
        *,
        inclusive_of_start: bool = True,
    ) -> Sequence[Notification]:
        """Return notifications whose ids are positions."""
        notifications: Sequence[Notification] = super().select_notifications(
            start, limit, stop, list(topics), inclusive_of_start=inclusive_of_start
        )
        return notifications


class PostgresReader(LogReader):
    """Reads the log over a lent connection."""

    def __init__(self, connection: Connection[Any] | Trips) -> None:
        """Ask over a connection, or travel with what others say over the same one."""
        self.trips = connection if isinstance(connection, Trips) else Trips(connection)

    @property
    def connection(self) -> Connection[Any]:
        """The connection, with all that waited carried out."""
        return self.trips.settled()

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry; (0, 0) if empty."""
        found = self._ask(
            "SELECT position, recorded_at FROM entries ORDER BY position DESC LIMIT 1"
        )
        return (Position(found[0][0]), found[0][1]) if found else (Position(0), 0)

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""
        return self._entries(
            "WHERE e.position > %s AND e.position <= %s ORDER BY e.position LIMIT %s",
            (after, end_of(until), limit),
        )

    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order."""
        return self._entries(
            "WHERE e.stream = %s AND e.position <= %s ORDER BY e.version",
            (UUID(stream), end_of(until)),
        )

    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order."""
        return self._entries("WHERE e.command_id = %s ORDER BY e.number", (UUID(command_id),))

    def leaves(self, *, after: int = 0, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries with `after` < position <= `until`, in order."""
        while found := self._ask(
            "SELECT position, leaf FROM entries WHERE position > %s AND position <= %s"
            " ORDER BY position LIMIT 10000",
            (after, until),
        ):
            yield from (leaf for _, leaf in found)
            after = found[-1][0]

    def _entries(self, rest: str, params: tuple[object, ...]) -> list[Entry]:
        return [
            entry_of((*row[:2], row[2].hex, *row[3:5], row[5].bytes, *row[6:]))
            for row in self._ask(SELECT_ENTRIES + rest, params)
        ]

    def _ask(self, sql: str, params: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        return self.trips.ask(sql.encode(), params).fetchall()


class PostgresAppender(PostgresReader, Appender):
    """Appends inside a transaction that holds the append lock."""

    def __init__(
        self, transaction: Transaction, recorder: Recorder, clock: Callable[[], int] | None
    ) -> None:
        """Take recorded times from the server unless another clock is given."""
        PostgresReader.__init__(self, transaction.trips)
        Appender.__init__(self, transaction.now if clock is None else clock)
        self.transaction = transaction
        self._recorder = recorder

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry."""
        return self.transaction.last

    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""
        return self.stream_versions([stream])[stream]

    def stream_versions(self, streams: Iterable[StreamId]) -> dict[StreamId, int]:
        """Return the versions of the last events of several streams."""
        wanted = list(streams)
        self.expect(wanted)
        if any(stream not in self.transaction.versions for stream in wanted):
            self.trips.send()
        return {stream: self.transaction.versions[stream] for stream in wanted}

    def expect(self, streams: Iterable[StreamId]) -> None:
        """Ask for the versions of streams, with the next statement, as far as they are unknown."""
        versions = self.transaction.versions
        unknown = [stream for stream in streams if stream not in versions]
        if not unknown:
            return

        def learn(answer: Answer) -> None:
            found = {StreamId(stream.hex): version for stream, version in answer.fetchall()}
            versions.update({stream: found.get(stream, 0) for stream in unknown})

        self.trips.post(Statement(_VERSIONS, ([UUID(stream) for stream in unknown],), learn))

    def erase(self, entries: Sequence[Entry]) -> None:
        """Put erased entries in the place of those that they are made of.

        Raises:
            StorageError: The user may not.
        """
        store = self._recorder.datastore
        with translated(store.url):
            try:
                for entry in entries:
                    self._erase(entry)
            except psycopg.errors.InsufficientPrivilege as error:
                raise StorageError(
                    f"ledger database {store.url}: the user may not erase ({said(error)}); "
                    f"nothing was erased, grant it the role '{role(store.schema, 'eraser')}'"
                ) from error

    def _erase(self, entry: Entry) -> None:
        envelope = entry.envelope
        self.connection.execute(
            "UPDATE entries SET salt = %s WHERE position = %s", (entry.salt, envelope.position)
        )
        self.connection.execute(
            "UPDATE stored_events SET state = %s"
            " WHERE originator_id = %s AND originator_version = %s",
            (entry.payload, UUID(envelope.stream), envelope.version),
        )

    def _insert(self, entries: Sequence[Entry]) -> None:
        with translated(self._recorder.datastore.url):
            self._recorder.insert(self.transaction, entries)

    def _hold(self, entries: Sequence[Entry]) -> None:
        self._recorder.post(self.transaction, entries)


def _portions(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    """Yield entries in portions of bounded rows and bytes; a larger entry goes alone."""
    begin, size = 0, 0
    for at, entry in enumerate(entries):
        size += len(entry.payload)
        if at > begin and (at - begin >= PORTION_ROWS or size > PORTION_BYTES):
            yield entries[begin:at]
            begin, size = at, len(entry.payload)
    yield entries[begin:]


def _columns(rows: Iterator[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(list(column) for column in zip(*rows, strict=True))


def _event_row(entry: Entry) -> tuple[Any, ...]:
    envelope = entry.envelope
    return (
        UUID(envelope.stream),
        envelope.version,
        envelope.tag,
        entry.payload,
        envelope.position,
    )


def _entry_row(entry: Entry) -> tuple[Any, ...]:
    envelope = entry.envelope
    return (
        envelope.position,
        envelope.recorded_at,
        UUID(envelope.stream),
        envelope.version,
        UUID(envelope.command_id),
        envelope.number,
        entry.salt,
        entry.leaf,
    )
