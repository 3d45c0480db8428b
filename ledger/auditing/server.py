"""A ledger on a server as evidence for an audit, read in the ways of the program.

One transaction reads everything, and sees one moment; a rebuild waits until it is over. The server
guards the types of values and its own files; the audit looks for changes that somebody made with
its permission.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any

from ledger.engine.database import Session
from ledger.errors import CorruptLogError, LedgerError
from ledger.eventlog.entry import Entry
from ledger.eventlog.evidence import Evidence, RawRow, Text
from ledger.eventlog.postgres_errors import translated
from ledger.eventlog.postgres_health import look
from ledger.eventlog.postgres_waits import keep_tables
from projections.tables import TABLES

if TYPE_CHECKING:
    from ledger.engine.postgres_database import PostgresDatabase

_BATCH = 1_000
_STRAYS = (
    "SELECT s.originator_id::text AS stream, s.originator_version AS version, s.topic AS topic"
    " FROM stored_events s WHERE NOT EXISTS (SELECT 1 FROM entries e"
    " WHERE e.stream = s.originator_id AND e.version = s.originator_version)"
)


class ServerEvidence(Evidence):
    """A schema on a PostgreSQL server at one moment."""

    def __init__(self, database: PostgresDatabase) -> None:
        """Begin the transaction that sees the moment.

        Raises:
            StorageError: The server cannot be reached.
        """
        self._database = database
        self._stack = ExitStack()
        self._session: Session = self._stack.enter_context(database.read())
        self._connection = self._session.log.connection  # type: ignore[attr-defined]
        try:
            with translated(database.url):
                keep_tables(self._connection, [*TABLES])
        except BaseException:
            self._stack.close()
            raise

    def refusals(self) -> AbstractContextManager[None]:
        """Turn what the driver raises into errors of ours: a server may end a connection."""
        return translated(self._database.url)

    def close(self) -> None:
        """End the transaction, and close the database."""
        try:
            self._connection.execute("ROLLBACK")
        finally:
            self._stack.close()
            self._database.close()

    def head(self) -> int:
        """Return the largest position; 0 where there is none."""
        return int(self._session.log.head())

    def batches(self, *, until: int) -> Iterator[list[RawRow] | LedgerError]:
        """Yield the rows of the log in order, and an error in the place of an unreadable one."""
        after = 0
        while after < until:
            try:
                batch = self._session.log.entries(after=after, until=until, limit=_BATCH)
            except CorruptLogError:
                end = min(until, after + _BATCH)
                for position in range(after, end):
                    try:
                        one = self._session.log.entries(after=position, until=position + 1, limit=1)
                    except CorruptLogError as error:
                        error.details["position"] = position + 1
                        yield error
                    else:
                        yield [*map(_raw, one)]
                after = end
                continue
            if not batch:
                return
            yield [*map(_raw, batch)]
            after = batch[-1].envelope.position

    def strays(self) -> list[tuple[Any, Any, Any]]:
        """Return stream, version and type of the events that have no entry."""
        found = self._connection.execute(_STRAYS).fetchall()
        return [(row["stream"], row["version"], row["topic"]) for row in found]

    def below(self) -> list[int]:
        """Return the positions below 1 that have an entry."""
        found = self._connection.execute(
            "SELECT position FROM entries WHERE position < 1 ORDER BY position"
        ).fetchall()
        return [row["position"] for row in found]

    def counts(self) -> dict[str, int]:
        """Return how many rows each table of the log has."""
        (found,) = self._connection.execute(
            "SELECT (SELECT count(*) FROM entries) AS entries,"
            " (SELECT count(*) FROM stored_events) AS stored_events"
        ).fetchall()
        return dict(found)

    def meta(self) -> dict[str, str]:
        """Return the names and values of the table `meta`."""
        found = self._connection.execute("SELECT name, value FROM meta").fetchall()
        return {row["name"]: row["value"] for row in found}

    def check(self) -> Iterator[tuple[str, str, str]]:
        """Yield what guards the log otherwise than in a new ledger, and rights of the roles."""
        from ledger.eventlog.postgres_guards import schema_faults  # noqa: PLC0415 (loads the driver)

        schema = self._database.url.schema or ""
        yield from schema_faults(self._connection, schema)
        server = look(self._connection, schema)
        for right in server.missing:
            yield f"role {right.role}", str(right), "nothing"
        for right in server.excessive:
            yield f"role {right.role}", "nothing", str(right)

    def table(self, name: str, statement: str) -> Iterator[tuple[Any, ...]]:
        """Yield the rows of a table of the read models."""
        del statement
        return self._session.models.rows(name)  # type: ignore[attr-defined, no-any-return]


def _raw(entry: Entry) -> RawRow:
    envelope = entry.envelope
    return RawRow(
        position=envelope.position,
        recorded_at=envelope.recorded_at,
        stream=Text(envelope.stream.encode()),
        version=envelope.version,
        command_id=bytes.fromhex(envelope.command_id),
        number=envelope.number,
        salt=entry.salt,
        leaf=entry.leaf,
        topic=Text(envelope.tag.encode()),
        state=entry.payload,
    )
