"""Marks in a storage: what they cost whoever stores content."""

from __future__ import annotations

import ledger as ln
from ledger.places import instance


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
