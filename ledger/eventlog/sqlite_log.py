"""The log in a SQLite file: eventsourcing's application recorder, and our entries beside it.

The triggers refuse UPDATE, DELETE and REPLACE, except for one UPDATE: of an entry that the last
event erases. The bytes are stated in docs/format.md, section "The SQLite file".
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from eventsourcing.persistence import (
    Notification,
    StoredEvent,
)
from eventsourcing.sqlite import (
    SQLiteApplicationRecorder,
    SQLiteCursor,
)

from ledger.eventlog.base import Appender, LogReader
from ledger.eventlog.entry import Entry, entry_of
from ledger.eventlog.framework import SELECT_ENTRIES, end_of, entries_of, stored_events_of
from ledger.eventlog.sqlite_errors import translated
from ledger.model.ids import CommandId, Position, StreamId

_TABLES = (
    """CREATE TABLE IF NOT EXISTS entries (
        position INTEGER PRIMARY KEY,
        recorded_at INTEGER NOT NULL,
        stream TEXT NOT NULL,
        version INTEGER NOT NULL,
        command_id BLOB NOT NULL,
        number INTEGER NOT NULL,
        salt BLOB NOT NULL,
        leaf BLOB NOT NULL,
        UNIQUE (command_id, number),
        UNIQUE (stream, version)
    )""",
    """CREATE TABLE IF NOT EXISTS meta (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID""",
)

# Whether the last event is an erasure that names the position {0}. A quotation mark within a text
# is escaped, so that nothing but the list itself begins like this. (SQLite's own JSON functions are
# not for triggers of a schema that is not trusted.)
_ERASES = """EXISTS (SELECT 1 FROM (
            SELECT substr(told, instr(told, '"entries":[') + 11) AS named FROM (
                SELECT CAST(erasure.state AS TEXT) AS told FROM entries last
                JOIN stored_events erasure ON erasure.originator_id = last.stream
                    AND erasure.originator_version = last.version
                WHERE last.position = (SELECT max(position) FROM entries)
                AND erasure.topic = 'entries-erased.v2'))
            WHERE instr(',' || substr(named, 1, instr(named, ']') - 1) || ',',
                ',' || {0} || ',') > 0)"""

_REFUSALS = (
    # First the state goes, then the salt: once that is no salt any more, both stay as they are. Of
    # a state with a line feed its first line stays; one of format 1 gives way to a residue.
    (
        "stored_events",
        "UPDATE",
        f"""WHEN NEW.originator_id IS NOT OLD.originator_id
        OR NEW.originator_version IS NOT OLD.originator_version OR NEW.topic IS NOT OLD.topic
        OR NEW.rowid IS NOT OLD.rowid
        OR (instr(OLD.state, x'0a') > 0
            AND NEW.state IS NOT substr(OLD.state, 1, instr(OLD.state, x'0a')))
        OR (instr(OLD.state, x'0a') = 0 AND instr(NEW.state, x'0a') > 0)
        OR NOT EXISTS (SELECT 1 FROM entries e WHERE e.stream = OLD.originator_id
            AND e.version = OLD.originator_version AND length(e.salt) = 32
            AND {_ERASES.format("e.position")})""",  # noqa: S608 (text of our own)
    ),
    ("stored_events", "DELETE", ""),
    (
        "entries",
        "UPDATE",
        f"""WHEN NEW.position IS NOT OLD.position OR NEW.recorded_at IS NOT OLD.recorded_at
        OR NEW.stream IS NOT OLD.stream OR NEW.version IS NOT OLD.version
        OR NEW.command_id IS NOT OLD.command_id OR NEW.number IS NOT OLD.number
        OR NEW.leaf IS NOT OLD.leaf OR length(OLD.salt) IS NOT 32
        OR NOT EXISTS (SELECT 1 FROM stored_events s WHERE s.originator_id = OLD.stream
            AND s.originator_version = OLD.version
            AND ((length(NEW.salt) = 64 AND instr(s.state, x'0a') = length(s.state))
            OR (length(NEW.salt) = 33 AND substr(NEW.salt, 1, 1) IS x'00'
            AND instr(s.state, x'0a') = 0)))
        OR NOT {_ERASES.format("OLD.position")}""",  # noqa: S608
    ),
    ("entries", "DELETE", ""),
    # INSERT OR REPLACE removes a row without firing the DELETE trigger; these close that door, for
    # each key that a new row could share with an old one. NEW.rowid is -1 where none is given.
    (
        "stored_events",
        "INSERT",
        """WHEN EXISTS (SELECT 1 FROM stored_events WHERE originator_id = NEW.originator_id
            AND originator_version = NEW.originator_version)
        OR EXISTS (SELECT 1 FROM stored_events WHERE rowid = NEW.rowid)""",
    ),
    (
        "entries",
        "INSERT",
        """WHEN NEW.position <> (SELECT coalesce(max(position), 0) + 1 FROM entries)
        OR EXISTS (SELECT 1 FROM entries WHERE command_id = NEW.command_id AND number = NEW.number)
        OR EXISTS (SELECT 1 FROM entries WHERE stream = NEW.stream AND version = NEW.version)""",
    ),
)

_LAST = "SELECT position, recorded_at FROM entries ORDER BY position DESC LIMIT 1"
_STOPPED = "entries_refuse_insert_while_restored"
_INSERT_ENTRY = "INSERT INTO entries VALUES (?,?,?,?,?,?,?,?)"


class Recorder(SQLiteApplicationRecorder):
    """eventsourcing's recorder, with an entry beside every stored event.

    Its notification ids are our positions: dense, in commit order, never reused.
    """

    def construct_create_table_statements(self) -> list[str]:
        """Return the framework's table, our tables and the triggers that guard both."""
        return [*super().construct_create_table_statements(), *_TABLES, *map(_trigger, _REFUSALS)]

    def _insert_events(
        self,
        c: SQLiteCursor,
        stored_events: Sequence[StoredEvent],
        *,
        entries: Sequence[Entry] | None = None,
        **_: Any,
    ) -> Sequence[int] | None:
        super()._insert_events(c, stored_events)
        if entries is None:
            c.execute(_LAST)
            row = c.fetchone()
            entries = entries_of(stored_events, (0, 0) if row is None else (row[0], row[1]))
        c.executemany(_INSERT_ENTRY, [_entry_row(entry) for entry in entries])
        return [entry.envelope.position for entry in entries]

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
        low = 0 if start is None else start - 1 if inclusive_of_start else start
        wanted = f" AND s.topic IN ({','.join('?' * len(topics))})" if topics else ""
        high = "" if stop is None else " AND e.position <= ?"
        params = [low, *topics, *([] if stop is None else [stop]), limit]
        with self.datastore.transaction(commit=False) as c:
            c.execute(
                f"{SELECT_ENTRIES} WHERE e.position > ?{wanted}{high} ORDER BY e.position LIMIT ?",
                params,
            )
            return [
                Notification(
                    id=row[0],
                    originator_id=self.convert_originator_id(row[2]),
                    originator_version=row[3],
                    topic=row[4],
                    state=row[7],
                )
                for row in c.fetchall()
            ]

    def _max_notification_id(self, c: SQLiteCursor) -> int:
        c.execute("SELECT MAX(position) FROM entries")
        found: int = c.fetchone()[0]
        return found


class SqliteReader(LogReader):
    """Reads the log over a lent connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def last(self) -> tuple[Position, int]:
        """Return position and recorded time of the last entry; (0, 0) if empty."""
        row = self.connection.execute(_LAST).fetchone()
        return (Position(row[0]), row[1]) if row else (Position(0), 0)

    def entries(self, *, after: int = 0, until: int | None = None, limit: int) -> list[Entry]:
        """Return up to `limit` entries with `after` < position <= `until`, in order."""
        return self._entries(
            "WHERE e.position > ? AND e.position <= ? ORDER BY e.position LIMIT ?",
            (after, end_of(until), limit),
        )

    def stream_entries(self, stream: StreamId, *, until: int | None = None) -> list[Entry]:
        """Return every entry of a stream up to a position, in order."""
        return self._entries(
            "WHERE e.stream = ? AND e.position <= ? ORDER BY e.version", (stream, end_of(until))
        )

    def command_entries(self, command_id: CommandId) -> list[Entry]:
        """Return the entries that a command left, in order."""
        return self._entries(
            "WHERE e.command_id = ? ORDER BY e.number", (bytes.fromhex(command_id),)
        )

    def leaves(self, *, after: int = 0, until: int) -> Iterator[bytes]:
        """Yield the leaf hashes of the entries with `after` < position <= `until`, in order."""
        rows = self.connection.execute(
            "SELECT leaf FROM entries WHERE position > ? AND position <= ? ORDER BY position",
            (after, until),
        )
        for row in rows:
            yield row[0]

    def _entries(self, rest: str, params: tuple[object, ...]) -> list[Entry]:
        rows = self.connection.execute(SELECT_ENTRIES + rest, params).fetchall()
        return [entry_of(row) for row in rows]


class SqliteAppender(SqliteReader, Appender):
    """Appends over a connection that holds the write lock."""

    def __init__(
        self, connection: sqlite3.Connection, recorder: Recorder, clock: Callable[[], int]
    ) -> None:
        SqliteReader.__init__(self, connection)
        Appender.__init__(self, clock)
        self._recorder = recorder

    def stream_version(self, stream: StreamId) -> int:
        """Return the version of the last event of a stream; 0 where it does not exist."""
        row = self.connection.execute(
            "SELECT max(originator_version) FROM stored_events WHERE originator_id = ?", (stream,)
        ).fetchone()
        return row[0] or 0

    def stream_versions(self, streams: Iterable[StreamId]) -> dict[StreamId, int]:
        """Return the versions of the last events of several streams, with one question."""
        wanted = list(streams)
        if len(wanted) == 1:
            return {wanted[0]: self.stream_version(wanted[0])}
        rows = self.connection.execute(
            "SELECT originator_id, max(originator_version) FROM stored_events"
            " WHERE originator_id IN (SELECT value FROM json_each(?)) GROUP BY originator_id",
            (json.dumps(wanted),),
        ).fetchall()
        return dict.fromkeys(wanted, 0) | dict(rows)

    def erase(self, entries: Sequence[Entry]) -> None:
        """Put erased entries in the place of those that they are made of."""
        execute = self.connection.execute
        with translated():
            # SQLite then overwrites the former payload with zeros.
            execute("PRAGMA secure_delete=ON")
            for entry in entries:
                envelope = entry.envelope
                execute(
                    "UPDATE stored_events SET state = ?"
                    " WHERE originator_id = ? AND originator_version = ?",
                    (entry.payload, envelope.stream, envelope.version),
                )
                execute(
                    "UPDATE entries SET salt = ? WHERE position = ?",
                    (entry.salt, envelope.position),
                )

    def _insert(self, entries: Sequence[Entry]) -> None:
        stored = stored_events_of(entries)
        cursor = SQLiteCursor(self.connection.cursor())
        with translated():
            self._recorder._insert_events(cursor, stored, entries=entries)  # noqa: SLF001


def renew_triggers(connection: sqlite3.Connection) -> None:
    """Put today's triggers in the place of those of an earlier format."""
    for refusal in _REFUSALS:
        connection.execute(f"DROP TRIGGER IF EXISTS {_trigger_name(refusal)}")
        connection.execute(_trigger(refusal))


def stop_appending(connection: sqlite3.Connection) -> None:
    """Have the database refuse every append until it is restored."""
    connection.execute(
        f"CREATE TRIGGER IF NOT EXISTS {_STOPPED} BEFORE INSERT ON entries BEGIN SELECT"
        " RAISE(ABORT, 'a backup is being restored, or that was interrupted: restore it again');"
        " END"
    )


def let_append(connection: sqlite3.Connection) -> None:
    """Undo `stop_appending`."""
    connection.execute(f"DROP TRIGGER IF EXISTS {_STOPPED}")


def _trigger_name(refusal: tuple[str, str, str]) -> str:
    table, verb, _ = refusal
    return f"{table}_refuse_{verb.lower()}"


def _trigger(refusal: tuple[str, str, str]) -> str:
    table, verb, condition = refusal
    return (
        f"CREATE TRIGGER IF NOT EXISTS {_trigger_name(refusal)} BEFORE {verb} ON {table} "
        f"{condition} BEGIN SELECT RAISE(ABORT, 'the log is append-only: {verb} on {table}'); END"
    )


def _entry_row(entry: Entry) -> tuple[object, ...]:
    envelope = entry.envelope
    return (
        envelope.position,
        envelope.recorded_at,
        envelope.stream,
        envelope.version,
        bytes.fromhex(envelope.command_id),
        envelope.number,
        entry.salt,
        entry.leaf,
    )
