"""A ledger that is moved together with its storage is the same ledger."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ledger as ln


def test_content_is_found_after_the_folder_was_moved(tmp_path: Path, monkeypatch):
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    monkeypatch.chdir(before)
    ln.init("./storage")
    Path("a.txt").write_text("copied into the storage")
    Path("storage/b.txt").write_text("left in place")
    uids = [ln.Artifact(path).save().uid for path in ("a.txt", "storage/b.txt")]
    ln.close()

    before.rename(after)
    monkeypatch.chdir(after)
    copied, in_place = (ln.Artifact.get(uid) for uid in uids)
    assert copied.cache().read_text() == "copied into the storage"
    assert in_place.cache().read_text() == "left in place"
    head = ln.head()
    ln.Artifact("a.txt").save()
    assert ln.head() == head
    ln.close()


def test_the_database_of_another_ledger_is_refused_for_saving(ledger_folder, monkeypatch):
    for name in ("one", "two"):
        folder = ledger_folder / name
        folder.mkdir()
        monkeypatch.chdir(folder)
        ln.init("storage")
        ln.ULabel(name=name).save()
        ln.close()
    other = ledger_folder / "one" / ".metaledger" / "ledger.db"
    shutil.copy(other, ledger_folder / "two" / ".metaledger" / "ledger.db")
    head = ln.head()
    for _ in range(2):
        with pytest.raises(ln.errors.ConfigurationError, match="expected ledger"):
            ln.ULabel(name="three").save()
    with pytest.raises(ln.errors.ConfigurationError), ln.batch():
        ln.ULabel(name="three").save()
    assert ln.head() == head
    assert ln.ULabel.get(name="one").name == "one"
    ln.close()
