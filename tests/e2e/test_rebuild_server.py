"""A rebuild on a server beside others: nobody is stopped, and nobody is misled."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest
from psycopg.sql import SQL, Identifier

import ledger as ln
from ledger.auditing import audit as auditing
from ledger.auditing.audit import audit
from ledger.errors import StorageError
from ledger.eventlog import postgres_waits
from ledger.upkeep import rebuild as rebuilding
from ledger.upkeep.rebuild import rebuild
from tests.support.door import label


@pytest.fixture
def reader(ledger_folder, postgres):  # noqa: ARG001 (the working folder)
    """A ledger on a server, and a connection of somebody who has read it in a transaction."""
    ln.init(storage="./storage", database=str(postgres))
    label("one")
    url = str(postgres)
    with psycopg.connect(url.partition("?")[0], application_name="dashboard") as connection:
        schema = url.partition("schema=")[2]
        connection.execute(SQL("SELECT count(*) FROM {}.ulabel").format(Identifier(schema)))
        yield connection
    ln.close()


def at_the_first_pause(monkeypatch, deed: Callable[[], object]) -> list[float]:
    """Do something where a rebuild lets others go on; return the list of its pauses."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        if seconds == rebuilding._PAUSE:
            pauses.append(seconds)
            if len(pauses) == 1:
                deed()

    monkeypatch.setattr(rebuilding.time, "sleep", pause)
    return pauses


def test_a_rebuild_lets_others_go_on_while_it_waits_for_a_reader(reader, monkeypatch, capfd):
    pid = reader.info.backend_pid

    def goes_on() -> None:
        label("meanwhile")
        assert [it.name for it in ln.ULabel.filter()] == ["one", "meanwhile"]
        assert f"waiting for dashboard (process {pid} of " in capfd.readouterr().err
        reader.commit()

    pauses = at_the_first_pause(monkeypatch, goes_on)
    assert rebuild().events == ln.head()
    assert len(pauses) == 1
    assert audit().ok


def test_a_rebuild_names_the_reader_that_does_not_end(reader, monkeypatch):
    monkeypatch.setattr(rebuilding, "PATIENCE", 2 * rebuilding._PAUSE)
    pauses = at_the_first_pause(monkeypatch, lambda: label("meanwhile"))
    with pytest.raises(StorageError, match=r"dashboard \(process \d+ of \w+, for \d+ s\)"):
        rebuild()
    assert len(pauses) == 2
    assert [it.name for it in ln.ULabel.filter()] == ["one", "meanwhile"]
    reader.commit()
    assert not rebuild().differences


def test_a_reader_that_comes_late_is_waited_for_too(reader, monkeypatch):
    """It begins when the new tables are made already: they are given up, and made again."""
    monkeypatch.setattr(postgres_waits, "_PAUSE", 0)
    monkeypatch.setattr(postgres_waits, "_MOMENT", "1ms")
    monkeypatch.setattr(rebuilding._Waiting, "for_readers", lambda _: None)
    pauses = at_the_first_pause(monkeypatch, reader.commit)
    done = rebuild()
    assert (len(pauses), done.events, done.differences) == (1, ln.head(), ())
    label("after")
    assert audit().ok


def test_an_audit_beside_a_rebuild_finds_nothing(reader, monkeypatch):
    """The rebuild comes when the audit has read the log, and not the read models."""
    reader.commit()
    honest, tried = auditing.Audit._table, []

    def table(self, evidence, shadow, name):
        if not tried:
            tried.append(rebuilding.PATIENCE)
            with pytest.raises(StorageError, match="metaledger"):
                rebuild()
        return honest(self, evidence, shadow, name)

    monkeypatch.setattr(rebuilding, "PATIENCE", 0)
    monkeypatch.setattr(auditing.Audit, "_table", table)
    assert audit().findings == ()
    assert tried
    assert not rebuild().differences


def test_an_audit_that_begins_while_tables_are_replaced_sees_the_new_ones(reader, monkeypatch):
    """It finds the old tables, and locks them when they are gone."""
    reader.commit()
    honest, looks = postgres_waits._present, []

    def present(connection, tables):
        found = honest(connection, tables)
        looks.append(found)
        if len(looks) == 1:
            rebuild()
        return found

    monkeypatch.setattr(postgres_waits, "_present", present)
    assert audit().findings == ()
