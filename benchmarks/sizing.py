"""Bytes an event takes in the database, and what a lab needs in a year.

`python benchmarks/sizing.py [--events 50000] [--people 50] [--runs 4] [--days 220]` fills ledgers
of made-up runs in SQLite files and on a PostgreSQL server of its own, one with a tenth of the
events and one with all of them, and takes the difference: what a new ledger takes plays no part.
The server is vacuumed before, as it is by itself when nobody is at work. The ledgers come from one
seed: bytes differ little between computers.
"""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import psycopg  # noqa: E402 (below what must come first)
from large_ledger import fill  # noqa: E402
from machine import describe  # noqa: E402

from ledger.engine.database import Database  # noqa: E402
from ledger.engine.postgres_database import PostgresDatabase  # noqa: E402
from ledger.engine.sqlite_database import SqliteDatabase  # noqa: E402
from ledger.eventlog.database_url import parse  # noqa: E402
from ledger.eventlog.postgres_health import look  # noqa: E402
from ledger.model.times import now_micros  # noqa: E402
from tests.support.servers import PostgresServer  # noqa: E402

LOG = {"stored_events", "entries"}
PARTS = ("log", "indexes of the log", "read models", "indexes of read models")
GIB = 1024**3

Sizes = Counter[str]


def part(table: str, *, is_index: bool) -> str:
    """Return which of the parts a table or index counts to."""
    return PARTS[(0 if table in LOG else 2) + is_index]


def sqlite_sizes(path: Path) -> Sizes:
    """Return the bytes of each part of a file."""
    sizes: Sizes = Counter()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        rows = connection.execute(
            "SELECT coalesce(m.tbl_name, d.name), coalesce(m.type, 'table'), sum(d.pgsize)"
            " FROM dbstat AS d LEFT JOIN sqlite_master AS m ON m.name = d.name GROUP BY d.name"
        )
        for table, kind, size in rows:
            sizes[part(table, is_index=kind == "index")] += size
    return sizes


def postgres_sizes(server: PostgresServer, schema: str) -> Sizes:
    """Return the bytes of each part of a schema."""
    sizes: Sizes = Counter()
    with psycopg.connect(
        server.url, autocommit=True, row_factory=psycopg.rows.dict_row
    ) as connection:
        connection.execute("VACUUM ANALYZE")
        for table in look(connection, schema).tables:
            sizes[part(table.name, is_index=False)] += table.table_bytes
            sizes[part(table.name, is_index=True)] += table.index_bytes
    return sizes


def grown(sizes: Callable[[int], tuple[int, Sizes]], events: int) -> dict[str, float]:
    """Return the bytes that each part grows by with an event."""
    (first, before), (last, after) = sizes(events // 10), sizes(events)
    return {name: (after[name] - before[name]) / (last - first) for name in PARTS}


def measured(events: int) -> dict[str, dict[str, float]]:
    """Return the bytes an event of each part, for each database."""
    server = PostgresServer()
    with tempfile.TemporaryDirectory() as folder:

        def in_file(count: int) -> tuple[int, Sizes]:
            path = Path(folder, f"{count}.db")
            head = filled(SqliteDatabase.create(path, now_micros), count)
            return head, sqlite_sizes(path)

        def on_server(count: int) -> tuple[int, Sizes]:
            url = parse(server.url).in_schema(f"lab_{count}")
            head = filled(PostgresDatabase.create(url), count)
            return head, postgres_sizes(server, f"lab_{count}")

        try:
            server.start()
            return {"SQLite": grown(in_file, events), "PostgreSQL": grown(on_server, events)}
        finally:
            server.remove()


def filled(database: Database, events: int) -> int:
    """Fill a new ledger and return how many events it has."""
    with closing(database):
        return fill(database, events)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=50_000)
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--runs", type=int, default=4, help="of each on a working day")
    parser.add_argument("--days", type=int, default=220, help="of work in a year")
    parser.add_argument("--events-per-run", type=int, default=45, help="as the made-up runs have")
    given = parser.parse_args()
    for name, value in describe(Path(tempfile.gettempdir())).items():
        print(f"{name}: {value}")
    found = measured(given.events)
    print(f"\nbytes an event, from {given.events // 10:,} to {given.events:,} events")
    for name in PARTS:
        print(
            f"{name:24}", *(f"{database} {bytes_[name]:6.0f}" for database, bytes_ in found.items())
        )
    yearly = given.people * given.runs * given.days * given.events_per_run
    print(f"\n{given.people} people, {given.runs} runs a day, {given.days} days: {yearly:,} events")
    for database, bytes_ in found.items():
        each = sum(bytes_.values())
        print(f"{database}: {each:,.0f} bytes an event, {each * yearly / GIB:.1f} GiB a year")


if __name__ == "__main__":
    main()
