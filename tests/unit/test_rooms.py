"""The house as the contracts, the signs and the documents tell it: they say one thing."""

from __future__ import annotations

import pytest

from tests.support import rooms

LOOSE = {
    *(
        "__main__",
        "api",
        "core",
        "errors",
        "files",
        "forks",
        "input_files",
        "other_words",
        "user_settings",
        "version",
    ),
}


def test_nothing_lies_loose_but_the_door_and_the_ground():
    loose = {path.stem for path in (rooms.ROOT / "ledger").glob("*.py")} - {"__init__"}
    assert loose == LOOSE


def test_every_room_has_a_floor():
    standing = {room for floor in rooms.floors() for room in floor}
    folders = {path.parent.name for path in (rooms.ROOT / "ledger").glob("*/__init__.py")}
    assert standing == folders | LOOSE | {rooms.READ_SIDE}


@pytest.mark.parametrize("room", rooms.folders())
def test_a_sign_says_what_the_room_is_for_and_what_its_neighbours_are(room):
    assert len(rooms.sign(room).split("\n", 1)[0]) > 20
    assert rooms.sign(room).endswith(rooms.neighbours(room)), "python -m tests.support.rooms"


def test_the_page_shows_the_floors_and_signs():
    page = rooms.PAGE.read_text(encoding="utf-8")
    assert rooms.block() in page, "python -m tests.support.rooms writes it anew"


def test_an_arrow_that_is_planted_would_be_seen(monkeypatch):
    planted = {**rooms.arrows(), "model": {"errors", "engine"}}
    monkeypatch.setattr(rooms, "arrows", lambda: planted)
    assert not rooms.sign("model").endswith(rooms.neighbours("model"))
    assert not rooms.sign("engine").endswith(rooms.neighbours("engine"))
