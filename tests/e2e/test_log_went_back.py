"""A log that goes back under a process: a backup restored in place, a server that fell back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.places.instance import Ledger, current
from ledger.upkeep import rebuild as rebuilding

DATABASE = ".metaledger/ledger.db"


@pytest.fixture(autouse=True)
def folder(ledger_folder: Path) -> Path:
    ln.init("storage")
    ln.settings.verbosity = "error"
    return ledger_folder


def copy(source: str, target: str) -> None:
    """Do what SQLite's own .backup and .restore do."""
    with closing(sqlite3.connect(source)) as one, closing(sqlite3.connect(target)) as other:
        one.backup(other)


def save(name: str) -> ln.ULabel:
    return ln.ULabel(name=name).save()


@pytest.mark.parametrize("is_run_in_backup", [False, True])
@pytest.mark.parametrize("deed", ["save", "finish", "track"])
def test_one_error_says_that_the_log_went_back_and_tracking_works_again(deed, is_run_in_backup):
    save("first")
    if not is_run_in_backup:
        copy(DATABASE, "backup.db")
    ln.track("nb", key="nb")
    if is_run_in_backup:
        copy(DATABASE, "backup.db")
    save("within")
    copy("backup.db", DATABASE)
    head = ln.head()
    deeds = {"save": lambda: save("after"), "finish": ln.finish, "track": lambda: ln.track("nb")}
    with pytest.raises(ln.errors.CorruptLogError, match=f"it went back to position {head} while"):
        deeds[deed]()

    assert ln.context.run is None
    assert ln.head() == head
    ln.track("nb", key="nb")
    save("within")
    ln.finish()
    assert {it.name for it in ln.ULabel.filter()} == {"first", "within"}
    assert ln.audit().ok


def test_a_batch_is_refused_whole_where_the_log_went_back():
    copy(DATABASE, "backup.db")
    ln.track("nb", key="nb")
    save("within")
    copy("backup.db", DATABASE)
    with pytest.raises(ln.errors.CorruptLogError, match="it went back"), ln.batch():
        save("one")
    with pytest.raises(ln.errors.CorruptLogError, match="it went back"):
        ln.finish()
    with ln.batch():
        save("one")
        save("two")
    assert ln.ULabel.filter().count() == 2


def test_what_a_run_remembers_of_a_lost_record_is_no_answer():
    copy(DATABASE, "backup.db")
    ln.track("nb", key="nb")
    save("within")
    ln.finish()
    ln.track("nb", key="nb")
    copy("backup.db", DATABASE)
    with pytest.raises(ln.errors.LedgerError, match="went back"):
        save("within")


def test_similar_names_are_those_of_the_log_as_it_is():
    def similar(name: str) -> set[str]:
        return {hit.name for hit in current().name_search("ulabel").similar(name, limit=9).hits}

    save("liver tissue")
    copy(DATABASE, "backup.db")
    save("kidney tissue")
    assert similar("kidney tissu") >= {"kidney tissue"}
    copy("backup.db", DATABASE)
    assert "kidney tissue" not in similar("kidney tissu")
    save("lung tissue")  # at the position that the lost one had
    assert similar("lung tissu") >= {"lung tissue"}


@pytest.mark.parametrize("is_tracked", [False, True])
def test_a_tag_names_no_position_that_a_log_that_went_back_has_lost(is_tracked, monkeypatch):
    save("first")
    if is_tracked:
        ln.track("nb", key="nb")
    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "head", lambda _: 99)
        with pytest.raises(ln.errors.WrongExpectedVersionError, match="went back meanwhile"):
            ln.tag("paper")
    assert not ln.tags()


def test_a_rebuild_holds_nothing_that_a_log_that_went_back_has_lost(monkeypatch):
    save("first")
    copy(DATABASE, "backup.db")
    save("lost")
    folded = rebuilding._folded

    def goes_back(log, shadow, *, after, until):
        yield from folded(log, shadow, after=after, until=until)
        if until is not None:
            copy("backup.db", DATABASE)
            save("second")

    monkeypatch.setattr(rebuilding, "_folded", goes_back)
    assert not rebuilding.rebuild().differences
    assert {it.name for it in ln.ULabel.filter()} == {"first", "second"}
    assert ln.audit().ok
