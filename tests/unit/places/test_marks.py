"""Marks in a storage: what they cost whoever stores content."""

from __future__ import annotations

import msgspec
import pytest

import ledger as ln
from ledger.content.folder import LocalFolder
from ledger.errors import DamagedContentError
from ledger.places import instance
from ledger.places.marks import Mark


def test_the_database_is_asked_for_its_identity_once_and_not_at_each_save(tmp_path, monkeypatch):
    ln.init("storage", root=tmp_path)
    ln.connect(tmp_path)
    database = instance.current().database
    asked = []
    identity = database.identity
    monkeypatch.setattr(database, "identity", lambda: asked.append(1) or identity())
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text(name)
        ln.Artifact(tmp_path / name, key=name).save()
    assert len(asked) == 1
    assert len(list((tmp_path / "storage/.metaledger").glob("used-by-*"))) == 1


@pytest.mark.parametrize("is_own", [True, False])
def test_a_mark_that_another_process_left_at_the_same_moment_will_do(tmp_path, monkeypatch, is_own):
    ln.init("storage", root=tmp_path)
    ln.connect(tmp_path)
    replace = LocalFolder.replace

    def together(folder: LocalFolder, name: str, data: bytes) -> None:
        replace(folder, name, data)
        theirs = msgspec.json.decode(data, type=Mark)
        changes = {"shown": "the same, elsewhere"} if is_own else {"ledger": "another"}
        replace(folder, name, msgspec.json.encode(msgspec.structs.replace(theirs, **changes)))
        folder._require(name, data)

    monkeypatch.setattr(LocalFolder, "replace", together)
    (tmp_path / "a.txt").write_text("a")
    made = ln.Artifact(tmp_path / "a.txt", key="a.txt")
    if is_own:
        assert made.save().load() == "a"
    else:
        with pytest.raises(DamagedContentError):
            made.save()
