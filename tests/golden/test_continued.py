"""A ledger that was begun in format 1 goes on in format 2; its old entries can be erased, too."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.eventlog.base import decode
from ledger.eventlog.entry import leaf_of
from ledger.places import instance
from ledger.proving import checkpoints
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from ledger.upkeep.rebuild import rebuild
from tests.golden.test_golden import restored


@pytest.fixture
def old(ledger_folder):
    """The golden log of format 1, in use."""
    restored("format-1")
    yield ledger_folder
    ln.close()


def entries():
    with instance.current().reading() as session:
        return session.log.entries(limit=1_000)


def leaves():
    return [it.leaf for it in entries()]


def test_older_programs_refuse_it_from_then_on(old):
    ln.head()
    ln.close()
    with closing(sqlite3.connect(old / ".metaledger" / "ledger.db")) as connection:
        (format_,) = connection.execute("SELECT value FROM meta WHERE name = 'format'").fetchone()
    assert format_ == "2"


@pytest.mark.usefixtures("old")
def test_new_entries_are_of_format_2():
    before = ln.head()
    ln.ULabel("new").save()
    assert {it.envelope.format for it in entries()[:before]} == {1}
    assert {it.envelope.format for it in entries()[before:]} == {2}
    assert ln.audit().ok
    assert rebuild().differences == ()


@pytest.mark.usefixtures("old")
def test_records_of_both_formats_are_erased_and_the_old_ones_told_as_unverifiable():
    old, draft = ln.Artifact.get(key="report.txt"), ln.ULabel.get(name="final")
    draft.description = "said in format 2"
    draft.save()
    before = leaves()
    head = ln.head()
    done = [ln.erase(it, reason="request 17") for it in (old, draft)]
    assert leaves()[:head] == before
    for entry in entries():
        assert leaf_of(entry.envelope, entry.payload, entry.salt) == entry.leaf
        assert b"said in format 2" not in entry.payload
    assert done[0].unverifiable == done[0].entries
    assert done[1].unverifiable == done[1].entries[:-1]
    report = ln.audit()
    assert report.ok, report.findings
    assert report.unverifiable == tuple(
        sorted(position for it in done for position in it.unverifiable)
    )
    assert rebuild().differences == ()
    assert ln.as_of(head).ULabel.get(draft.uid).name == f"[erased {draft.uid}]"


@pytest.mark.usefixtures("old")
def test_another_residue_than_the_erasure_names_is_told():
    draft = ln.ULabel.get(name="final")
    done = ln.erase(draft, reason="request 17")
    with instance.current().reading() as session:
        entry = session.log.entries(limit=1_000)[done.entries[0] - 1]
    assert decode(entry).event.fields == {"name": f"[erased {draft.uid}]"}
    path = instance.current().place.database_path
    ln.close()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER stored_events_refuse_update")
        connection.execute(
            "UPDATE stored_events SET state = ? WHERE originator_id = ? AND originator_version = ?",
            (
                entry.payload.replace(b'"actor":"ada"', b'"actor":"eve"'),
                entry.envelope.stream,
                entry.envelope.version,
            ),
        )
    assert ("erasure", done.position) in [(it.kind, it.position) for it in ln.audit().findings]


def test_the_log_goes_out_and_comes_back_with_both_formats(old, tmp_path, monkeypatch):
    checkpoints.rotate_key(is_lost=True)
    ln.erase(ln.ULabel.get(name="final"), reason="request 17")
    new = ln.ULabel("new").save()
    done = export(old / "archive")
    ln.erase(new, reason="request 18")
    done = export(old / "archive")
    kept = Path(old / "archive" / "manifest.json").read_text("utf-8")
    assert '"format": 3' in kept
    told = leaves()
    ln.close()
    place = restore(done.where, "./s", root=tmp_path / "copy")
    monkeypatch.chdir(place.root)
    assert leaves() == told
    assert ln.audit().ok
