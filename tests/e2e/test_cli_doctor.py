"""`doctor`: what it prints, and that it removes only what nobody needs."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import os
import time

import pytest

from tests.e2e.command import made, metaledger

OLD = time.time() - 7_200


@pytest.fixture
def stored(made):
    """The folder and the uid of an artifact."""
    (made / "a.txt").write_text("content")
    uid = metaledger(made, "artifact", "add", "a.txt", "--json").json_lines[0]["uid"]
    return made, uid


def orphan(folder, name):
    path = folder / "storage" / ".metaledger" / name
    path.write_text("left")
    os.utime(path, (OLD, OLD))
    return path


def test_a_healthy_ledger_is_told_so(stored):
    folder, _ = stored
    said = metaledger(folder, "doctor", "--content")
    assert said.out == ""
    assert "nothing is wrong" in said.err
    assert metaledger(folder, "doctor", "--json").json == {
        "is_healthy": True, "findings": [], "removed": [],
    }  # fmt: skip


def test_an_orphan_is_listed_then_removed(stored):
    folder, uid = stored
    path = orphan(folder, "0123456789abcdefGHIJ.txt")
    said = metaledger(folder, "doctor")
    assert path.name in said.out
    assert path.exists()
    removed = metaledger(folder, "doctor", "--remove-orphans", "--json").json
    assert [each["name"] for each in removed["removed"]] == [path.name]
    assert not path.exists()
    metaledger(folder, "get", uid, "copy.txt")


def test_missing_content_is_an_error(stored):
    folder, uid = stored
    (folder / "storage" / ".metaledger" / f"{uid}.txt").unlink()
    said = metaledger(folder, "doctor", status=1)
    assert uid in said.out
    assert "restore it from a backup" in said.out


def test_changed_bytes_are_found_when_all_are_read(stored):
    folder, uid = stored
    path = folder / "storage" / ".metaledger" / f"{uid}.txt"
    path.chmod(0o644)
    path.write_text("CONTENT")
    metaledger(folder, "doctor")
    found = metaledger(folder, "doctor", "--content", "--json", status=1).json
    assert [each["kind"] for each in found["findings"]] == ["damaged-content"]
