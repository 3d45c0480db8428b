"""Logs that earlier programs wrote are read by today's, and say what they said then."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

import ledger as ln
from ledger.places.config import load, write
from tests.golden.state import state_of

HERE = Path(__file__).resolve().parent
LOGS = sorted(path.stem for path in HERE.glob("*.sql"))


def restored(name: str) -> None:
    """Make a ledger in the working folder whose log is a golden one, its read models long gone."""
    ln.init("./storage", name="golden")
    ln.close()
    database = Path(".metaledger/ledger.db")
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        guards = connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for guard, _ in guards:
            connection.execute(f'DROP TRIGGER "{guard}"')
        for table in ("stored_events", "entries", "meta"):
            connection.execute(f"DELETE FROM {table}")  # noqa: S608
        connection.executescript((HERE / f"{name}.sql").read_text("utf-8"))
        connection.execute(
            "UPDATE meta SET value = 'of another program' WHERE name = 'read_models'"
        )
        for _, statement in guards:
            connection.execute(statement)
        ((first,),) = connection.execute("SELECT state FROM stored_events WHERE rowid = 1")
    place = load(Path.cwd(), origin="golden")
    Path(".metaledger/config.toml").unlink()
    write(Path.cwd(), replace(place.configuration, id=json.loads(first)["ledger"]))


def test_there_is_a_golden_log():
    assert LOGS


@pytest.mark.usefixtures("ledger_folder")
@pytest.mark.parametrize("name", LOGS)
def test_a_golden_log_says_today_what_it_said_then(name):
    restored(name)
    assert state_of() == json.loads((HERE / f"{name}.json").read_text("utf-8"))
    ln.close()


@pytest.mark.usefixtures("ledger_folder")
@pytest.mark.parametrize("name", LOGS)
def test_a_golden_log_passes_an_audit(name):
    restored(name)
    ln.head()  # the read models are folded anew when the ledger is opened
    report = ln.audit()
    assert list(report.findings) == []
    ln.close()


def guarded_as_then(format_: str) -> None:
    """Give the ledger in the working folder the guards of format 1, under a format of its own."""
    texts = json.loads((HERE / "format-1-guards.json").read_text("utf-8"))
    with closing(sqlite3.connect(".metaledger/ledger.db", isolation_level=None)) as connection:
        for guard, text in texts.items():
            connection.execute(f"DROP TRIGGER {guard}")
            connection.execute(text)
        connection.execute("UPDATE meta SET value = ? WHERE name = 'format'", (format_,))


@pytest.mark.usefixtures("ledger_folder")
def test_guards_of_format_1_are_those_of_a_file_that_was_not_opened_since():
    restored("format-1")
    guarded_as_then("1")
    assert "schema" not in {it.kind for it in ln.audit(place=Path.cwd()).findings}


@pytest.mark.usefixtures("ledger_folder")
def test_guards_of_format_1_are_told_in_a_file_of_format_2():
    restored("format-1")
    guarded_as_then("2")
    told = {it.subject for it in ln.audit(place=Path.cwd()).findings if it.kind == "schema"}
    assert told == {"trigger entries_refuse_update", "trigger stored_events_refuse_update"}


@pytest.mark.usefixtures("ledger_folder")
def test_a_file_of_format_1_gets_the_guards_of_today_when_it_is_opened():
    restored("format-1")
    guarded_as_then("1")
    ln.head()
    assert list(ln.audit().findings) == []
    ln.close()
