"""Random edits of every table of a ledger: each is told, or changes nothing.

Somebody who may write to the database changes, removes or adds one row, anywhere, and puts the
guards back. The auditor has a checkpoint that was kept, and the key. An edit that the audit does
not tell changes no answer, of no moment.
"""

# ruff: noqa: S608 (statements are made of names of our own)

from __future__ import annotations

import os
import random
import sqlite3
import uuid
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

import ledger as ln
from ledger.errors import LedgerError
from ledger.eventlog.database_url import DatabaseUrl
from ledger.model.canonical import encode
from ledger.places import instance
from ledger.proving import checkpoints
from projections.tables import TABLES
from tests.support.door import artifact, label
from tests.support.server_accidents import copy_schema, put_guards_back, write_back

SEED = os.environ.get("PYTHONHASHSEED", "random")
FEW, MANY = 15, 2_000


def tell_a_story() -> None:
    """Let a ledger hold rows in every table."""
    one, two, three = label("one"), label("two", description="second"), label("three")
    ln.track("clean", key="clean.py", params={"rate": 0.1})
    made = artifact("a.txt", key="a.txt")
    made.labels.add(one)
    ln.Collection([made], name="all").save()
    ln.finish()
    one.name = "uno"
    one.save()
    two.merge_into(one)
    ln.erase(three, reason="asked for")
    label("four").delete()
    artifact("a.txt", "changed", key="a.txt")
    ln.tag("before")


class Books(ABC):
    """A ledger that is edited again and again, and what an auditor kept of it."""

    placeholder: str
    same: str

    def __init__(self) -> None:
        tell_a_story()
        self.kept = str(ln.checkpoint())
        self.key = str(checkpoints.public_key())
        self.place = instance.current().place
        ln.close()
        self.keep()
        self.contents = self.content()
        self.answers = self.asked()

    @abstractmethod
    def keep(self) -> None:
        """Keep the honest ledger."""

    @abstractmethod
    def restore(self) -> None:
        """Put the honest ledger back."""

    @abstractmethod
    def editing(self) -> Any:
        """Lend a connection without guards, which are put back when the block ends."""

    @abstractmethod
    def columns(self, connection: Any) -> dict[str, list[str]]:
        """Return the columns of every table."""

    def content(self) -> dict[str, list[str]]:
        """Return every row of every table, as text."""
        with self.editing() as connection:
            return {
                table: sorted(map(repr, connection.execute(f'SELECT * FROM "{table}"').fetchall()))
                for table in self.columns(connection)
            }

    def asked(self) -> list[Any]:
        """Return what the ledger says of every moment."""
        ledger = instance.Ledger(self.place)
        try:
            with ledger.reading() as session:
                told: list[Any] = [
                    (it.position, it.recorded_at, it.is_erased, encode(it.event))
                    for it in session.log.read()
                ]
                moments = (*range(1, len(told) + 1), None)
                asked = [(table, at) for table in TABLES for at in moments]
                return told + [session.models.find(table, at=at) for table, at in asked]
        finally:
            ledger.close()

    def edit(self, chance: random.Random) -> str:
        """Change, remove or add a row, and return what was done; "" where the database refused."""
        try:
            with self.editing() as connection:
                return self._edited(connection, chance)
        except (sqlite3.Error, psycopg.Error, OverflowError):
            return ""

    def _edited(self, connection: Any, chance: random.Random) -> str:
        columns = self.columns(connection)
        table = chance.choice(sorted(columns))
        rows = connection.execute(f'SELECT * FROM "{table}"').fetchall()
        if not rows:
            return ""
        row, number = chance.choice(sorted(rows, key=repr)), chance.randrange(len(columns[table]))
        mark, column = self.placeholder, columns[table][number]
        this = " AND ".join(f'"{it}" {self.same} {mark}' for it in columns[table])
        changed = list(row)
        changed[number] = other(row[number], chance)
        what = f"{table}.{column}: {row[number]!r:.60} to {changed[number]!r:.60}"
        match chance.randrange(4):
            case 0:
                connection.execute(f'DELETE FROM "{table}" WHERE {this}', tuple(row))
                return f"{table}: without {row!r:.90}"
            case 1:
                marks = ",".join([mark] * len(row))
                connection.execute(f'INSERT INTO "{table}" VALUES ({marks})', changed)
                return f"with another row, {what}"
            case _:
                connection.execute(
                    f'UPDATE "{table}" SET "{column}" = {mark} WHERE {this}',
                    (changed[number], *row),
                )
                return what

    def is_told(self) -> bool:
        """Return whether the auditor finds something, or cannot go on."""
        try:
            return not ln.audit(checkpoints=[self.kept], keys=[self.key], place=self.place).ok
        except LedgerError:
            return True


class FileBooks(Books):
    """A ledger in a SQLite file."""

    placeholder, same = "?", "IS"

    def keep(self) -> None:
        self.honest = self.place.database_path.read_bytes()

    def restore(self) -> None:
        path = self.place.database_path
        for ending in ("-wal", "-shm"):
            path.with_name(path.name + ending).unlink(missing_ok=True)
        path.write_bytes(self.honest)

    @contextmanager
    def editing(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.place.database_path, isolation_level=None)) as connection:
            guards = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in guards:
                connection.execute(f"DROP TRIGGER {name}")
            yield connection
            for _, statement in guards:
                connection.execute(statement)

    def columns(self, connection: sqlite3.Connection) -> dict[str, list[str]]:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        return {
            table: [it[1] for it in connection.execute(f'PRAGMA table_info("{table}")')]
            for (table,) in tables
        }


class ServerBooks(Books):
    """A ledger on a server."""

    placeholder, same = "%s", "IS NOT DISTINCT FROM"

    def __init__(self, url: DatabaseUrl) -> None:
        self.url = url
        super().__init__()

    def keep(self) -> None:
        with psycopg.connect(self.url.text) as connection:
            copy_schema(connection, self.url.schema, f"{self.url.schema}_kept")

    def restore(self) -> None:
        with psycopg.connect(self.url.text) as connection:
            write_back(connection, self.url.schema, f"{self.url.schema}_kept")

    @contextmanager
    def editing(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url.text) as connection:
            connection.execute(f"SET search_path = {self.url.schema}".encode())
            for table in self.columns(connection):
                connection.execute(f'ALTER TABLE "{table}" DISABLE TRIGGER USER'.encode())
            yield connection
            put_guards_back(connection, self.url.schema)

    def columns(self, connection: psycopg.Connection[Any]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = %s ORDER BY table_name, ordinal_position",
            (self.url.schema,),
        ):
            found.setdefault(table, []).append(column)
        return found


def other(value: Any, chance: random.Random) -> Any:
    """Return another value in the place of one, mostly of the same kind."""
    match value:
        case bool():
            return not value
        case int():
            return chance.choice([value + 1, value - 1, -value, 0, None, str(value), 2**63 - 1])
        case bytes() if value:
            at = chance.randrange(len(value))
            flipped = value[:at] + bytes([value[at] ^ 1]) + value[at + 1 :]
            return chance.choice([flipped, value[:-1], value + b"\0", b"", None, value[::-1]])
        case str() if value:
            at = chance.randrange(len(value))
            flipped = value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
            return chance.choice([flipped, f"{value} ", value.upper(), "", None, value.encode()])
        case uuid.UUID():
            return chance.choice([uuid.UUID(int=value.int ^ 1), None])
        case _:
            return chance.choice([None, 0, "x", b"x"])


@pytest.fixture(params=["sqlite", "postgres"])
def books(request: pytest.FixtureRequest, ledger_folder: Path) -> Iterator[Books]:  # noqa: ARG001
    ln.settings.verbosity = "error"
    if request.param == "sqlite":
        ln.init("storage")
        yield FileBooks()
        return
    url = request.getfixturevalue("postgres")
    ln.init("storage", database=str(url))
    yield ServerBooks(url)
    with psycopg.connect(url.text) as connection:
        connection.execute(f"DROP SCHEMA IF EXISTS {url.schema}_kept CASCADE".encode())


def sweep(books: Books, seed: str, n_edits: int) -> str:
    """Claim that each of so many edits is told, or changes no answer; return the figures."""
    count: Counter[str] = Counter()
    untold: list[str] = []
    chance = random.Random(seed)  # noqa: S311 (no secret is made of it)
    for number in range(n_edits):
        what = books.edit(chance)
        if not what:
            count["refused"] += 1
        elif books.content() == books.contents:
            count["without effect"] += 1
        elif books.is_told():
            count["told"] += 1
        elif books.asked() == books.answers:
            count["of no answer"] += 1
        else:
            untold.append(f"edit {number}: {what}")
        books.restore()
    assert not untold, f"seed {seed!r}:\n" + "\n".join(untold)
    assert count["told"]
    return f"{n_edits:,} edits, {count['told']:,} told, none untold that changed an answer"


def test_the_honest_ledger_is_content(books):
    assert not books.is_told()
    books.restore()
    assert books.content() == books.contents
    assert not books.is_told()


def test_an_edit_is_told_or_changes_no_answer(books):
    sweep(books, "0", FEW)


@pytest.mark.slow
def test_each_of_many_edits_is_told_or_changes_no_answer(books, figure):
    figure(sweep(books, SEED, MANY))
