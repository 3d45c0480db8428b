"""How many rooms a save enters: each is one more place that a reader has to know."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import ledger as ln
from tests.support.rooms import folders, room_of

PACKAGES = Path(ln.__file__).parents[1]


def rooms_entered(work):
    """The rooms that are folders, and of which a function is called while `work` runs."""
    entered = set()

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGES):
            entered.add(room_of(".".join(path.relative_to(PACKAGES).with_suffix("").parts)))

    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
    return entered & set(folders())


@pytest.mark.usefixtures("ledger_folder")
def test_a_label_is_saved_through_ten_rooms_at_most():
    ln.init(storage="./storage")
    ln.track(new_run=True, key="rooms.py")
    label = ln.ULabel(name="first")
    label.save()
    entered = rooms_entered(lambda: ln.ULabel(name="second").save())
    assert {"registries", "engine", "decisions", "eventlog", "projections", "model"} <= entered
    assert len(entered) <= 10, sorted(entered)
