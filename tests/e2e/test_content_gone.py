"""Content that went away: registering it again where it is now heals the artifact, by an event."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import ledger as ln
from tests.support.door import artifact, begin_as_script, file, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")


def last_event() -> dict[str, object]:
    """Return the last event of the log as data."""
    return list(ln.log(since=ln.head() - 1))[-1].event


def put_away(saved: ln.Artifact) -> None:
    """Delete stored content by hand."""
    place = Path(saved.path)
    place.parent.chmod(0o755)
    shutil.rmtree(place) if place.is_dir() else place.unlink()


def test_a_file_in_place_that_was_moved_is_found_where_it_is_now():
    saved = artifact("storage/raw/a.txt", "a", key="a.txt")
    before = ln.head()
    Path("storage/raw/a.txt").rename("storage/raw/moved.txt")
    with pytest.raises(ln.errors.DamagedContentError, match="register the same content again"):
        saved.cache()
    healed = ln.Artifact("storage/raw/moved.txt", key="a.txt").save()
    assert healed == saved
    assert ln.Artifact.get(saved.uid).load() == "a"
    event = last_event()
    assert (event["type"], event["storage_key"]) == ("artifact-relocated.v1", "raw/moved.txt")
    assert ln.head() == before + 1
    with nothing_recorded():
        ln.Artifact("storage/raw/moved.txt", key="a.txt").save()
    assert "raw/moved.txt" in str(ln.log(since=before))
    assert ln.as_of(before).Artifact.get(saved.uid).load() == "a"
    assert ln.audit(content=True).ok


def test_a_file_in_place_that_was_moved_out_of_the_storage_is_stored():
    saved = artifact("storage/raw/a.txt", "a", key="a.txt")
    Path("storage/raw/a.txt").rename("a.txt")
    ln.Artifact("a.txt").save()
    found = ln.Artifact.get(saved.uid)
    assert not found.in_place
    Path("a.txt").unlink()
    assert found.load() == "a"
    found.delete(permanent=True, storage=True)
    assert not found.path.exists()


def test_a_file_in_place_that_was_overwritten_is_found_in_its_copy():
    saved = artifact("storage/raw/a.txt", "a", key="a.txt")
    shutil.copy("storage/raw/a.txt", "storage/raw/copy.txt")
    with nothing_recorded():
        ln.Artifact("storage/raw/copy.txt", key="a.txt").save()
    file("storage/raw/a.txt", "other")
    ln.Artifact("storage/raw/copy.txt", key="a.txt").save()
    assert ln.Artifact.get(saved.uid).load() == "a"


def test_stored_content_that_was_deleted_is_stored_again(capsys: pytest.CaptureFixture[str]):
    saved = artifact("a.txt", "a", key="a.txt")
    put_away(saved)
    ln.Artifact("a.txt").save()
    assert "was gone from" in capsys.readouterr().err
    assert ln.Artifact.get(saved.uid).load() == "a"
    assert ln.Artifact.get(saved.uid).path == saved.path
    with nothing_recorded():
        ln.Artifact("a.txt").save()


def test_a_folder_is_healed_too():
    file("d/one.txt", "1")
    saved = ln.Artifact("d", key="d").save()
    put_away(saved)
    ln.Artifact("d").save()
    assert (ln.Artifact.get(saved.uid).cache() / "one.txt").read_text() == "1"
    Path("storage/in").mkdir()
    file("storage/in/one.txt", "2")
    second = ln.Artifact("storage/in", key="in").save()
    Path("storage/in").rename("storage/out")
    ln.Artifact("storage/out", key="in").save()
    assert (ln.Artifact.get(second.uid).cache() / "one.txt").read_text() == "2"


def test_many_are_healed_at_once():
    for number in range(3):
        file(f"d/{number}.txt", str(number))
    saved = ln.save(ln.Artifact.from_dir("d"))
    for each in saved[:2]:
        put_away(each)
    ln.save(ln.Artifact.from_dir("d"))
    assert [ln.Artifact.get(each.uid).load() for each in saved] == ["0", "1", "2"]


def test_a_pass_that_saves_it_again_heals_it_once(monkeypatch):
    begin_as_script(monkeypatch, __file__)

    def script() -> str:
        ln.track(key="script")
        ln.Artifact(file("a.txt", "a"), key="a.txt").save()
        ln.finish()
        return ln.context.last_run.uid

    first = script()
    put_away(ln.Artifact.get(key="a.txt"))
    healing = script()
    assert healing != first
    assert ln.Artifact.get(key="a.txt").load() == "a"
    with nothing_recorded():
        assert script() == healing


def test_within_a_run_it_is_healed_under_another_key():
    ln.track(key="script")
    put_away(artifact("a.txt", "a", key="a.txt"))
    ln.Artifact("a.txt", key="b.txt").save()
    assert ln.Artifact.get(key="b.txt").load() == "a"
    ln.finish()


def test_what_was_healed_can_be_erased():
    saved = artifact("storage/secret-place/a.txt", "a", key="a.txt")
    Path("storage/secret-place/a.txt").rename("storage/secret-too.txt")
    ln.Artifact("storage/secret-too.txt").save()
    ln.erase(saved, reason="request 17")
    assert "secret-too" not in str([it.event for it in ln.log()])
    assert ln.audit().ok


def test_a_storage_that_cannot_be_looked_into_is_no_loss(monkeypatch: pytest.MonkeyPatch):
    saved = artifact("a.txt", "a", key="a.txt")

    def refuse(_store: object, _name: str) -> bool:
        raise ln.errors.StorageError("the store refused")

    monkeypatch.setattr("ledger.content.local.LocalStore.exists", refuse)
    with nothing_recorded():
        assert ln.Artifact("a.txt").save() == saved
