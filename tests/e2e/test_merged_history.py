"""Mergers in the history of both labels, and what later passes say of them."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.tracking.source_code import SourceCode, text_hash
from tests.e2e.command import metaledger
from tests.support.door import artifact, label, names, nothing_recorded


@pytest.fixture(autouse=True)
def _quiet(here) -> None:  # noqa: ARG001 (the ledger it works in)
    ln.settings.verbosity = "error"


def told(record: ln.ULabel) -> list[tuple[str, dict]]:
    """Return what a record's history tells of mergers."""
    entries = [(it.type, it.changes) for it in record.history()]
    return [
        (kind, {name: change for name, change in changes.items() if name.startswith("merged")})
        for kind, changes in entries
        if "merge" in kind
    ]


def test_a_merger_is_in_the_history_of_both():
    b, t, other = label("B cell"), label("T cell"), label("other")
    artifact("a.txt").labels.add(b)
    uid = b.uid
    b.merge_into(t, reason="the same")
    merged = ln.head()
    other_uid = other.uid
    other.merge_into(t)
    was = ln.as_of(merged - 1).ULabel.get(uid)
    assert told(was) == []
    into = ("records-merged.v1", {"merged": (None, (uid,))})
    assert told(t)[:1] == told(ln.as_of(merged).ULabel.get(t.uid)) == [into]
    assert told(t)[1] == ("records-merged.v1", {"merged": ((uid,), (uid, other_uid))})
    back = ln.ULabel.undo_merge(uid)
    assert told(t)[-1] == ("merge-undone.v1", {"merged": ((uid, other_uid), (other_uid,))})
    assert told(back) == [
        ("records-merged.v1", {"merged_into": (None, t.uid)}),
        ("merge-undone.v1", {"merged_into": (t.uid, None)}),
    ]


def test_a_merger_further_on_is_in_the_history_of_all_three():
    a, b, c = label("a"), label("b"), label("c")
    uids = [a.uid, b.uid]
    a.merge_into(b)
    b.merge_into(c)
    assert told(c) == [("records-merged.v1", {"merged": (None, (uids[1],))})]
    events = {uid: [it.type for it in ln.log(record=uid)] for uid in uids}
    assert all("records-merged.v1" in found for found in events.values())


def test_the_command_tells_it_of_both(here):
    b, t = label("B cell"), label("T cell")
    uid = b.uid
    b.merge_into(t)
    for known in (uid, t.uid):
        assert "records-merged" in metaledger(here, "history", known).out
    assert f"merged_into          {t.uid}" in metaledger(here, "history", uid).out


SCRIPT = SourceCode(
    kind="script", path=None, text="s", source_hash=text_hash("s"), name="s.py", key="s.py"
)


def once(capsys, name: str = "B cell") -> str:
    """Run a script that saves a label; return what is said of that label."""
    ln.settings.verbosity = "hint"
    ln.track(key="s.py", name="s", params={"name": name})
    capsys.readouterr()
    label(name)
    said = capsys.readouterr().err
    ln.settings.verbosity = "error"
    ln.finish()
    return said


def test_later_passes_tell_of_the_merger_and_of_no_renaming(monkeypatch, capsys):
    monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: SCRIPT)
    label("B cell").merge_into(label("T cell"))
    for _ in range(2):
        said = once(capsys)
        assert "'B cell' was merged into 'T cell'" in said
        assert "renamed" not in said
    with nothing_recorded():
        once(capsys)
    # Also where the survivor changed since.
    survivor = ln.ULabel.get(name="T cell")
    survivor.description = "new"
    survivor.save()
    assert "'B cell' was merged into 'T cell'" in once(capsys)


def test_a_renaming_is_still_told_as_one(monkeypatch, capsys):
    monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: SCRIPT)
    once(capsys, "x")
    record = ln.ULabel.get(name="x")
    record.name = "y"
    record.save()
    label("z").merge_into(record)
    said = once(capsys, "x")
    assert "renamed to 'y'" in said
    assert "merged" not in said
    assert names(ln.ULabel.filter()) == ["y"]
