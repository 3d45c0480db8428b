"""Artifacts through the public door: keys, versions, content, modes; and batches of them."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

import ledger as ln
from ledger.content import hash_cache
from ledger.content.hash_cache import HashCache
from ledger.content.tree import stamp_of
from tests.support.door import artifact, file, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")


# --- artifacts: keys and versions -----------------------------------------------------------------


def test_a_b_a_under_one_key_makes_a_the_latest_without_a_second_copy(here):
    first = artifact("f.txt", "A", key="k.txt")
    second = artifact("f.txt", "B", key="k.txt")
    assert second.uid[:16] == first.uid[:16]
    assert second.uid != first.uid
    assert second.revises == first
    assert ln.Artifact.get(key="k.txt") == second
    assert ln.Artifact.get(first.uid).is_latest is False
    third = artifact("f.txt", "A", key="k.txt")
    assert third == first
    assert ln.Artifact.get(key="k.txt") == first
    assert (ln.Artifact.get(first.uid).is_latest, ln.Artifact.get(second.uid).is_latest) == (
        True,
        False,
    )
    assert sorted(a.uid for a in ln.Artifact.filter(key="k.txt")) == sorted([first.uid, second.uid])
    assert ln.Artifact.filter(is_latest=True).all() == [first]
    assert len(list((here / "storage" / ".metaledger").glob("*.txt"))) == 2
    assert first.versions.all() == [first, second]


def test_one_content_under_two_keys_bears_both():
    one = artifact("a.txt", "same", key="one.txt")
    two = artifact("b.txt", "same", key="two.txt")
    assert one == two
    assert two.keys == ["one.txt", "two.txt"]
    assert ln.Artifact.get(key="one.txt") == ln.Artifact.get(key="two.txt") == one
    assert ln.Artifact.filter().count() == 1


def test_get_by_key_is_what_it_points_at_now_and_filter_all_it_ever_did():
    artifact("a.txt", "A", key="k.txt")
    latest = artifact("a.txt", "B", key="k.txt")
    assert ln.Artifact.get(key="k.txt") == latest
    assert ln.Artifact.filter(key="k.txt").count() == 2
    with pytest.raises(ln.errors.NotFoundError, match=r"no\.txt"):
        ln.Artifact.get(key="no.txt")


def test_revises_makes_a_version_without_a_key():
    first = artifact("a.txt", "A", version="1")
    second = ln.Artifact(file("b.txt", "B"), revises=first, version="2").save()
    assert second.uid[:16] == first.uid[:16]
    assert second.revises == first
    assert ln.Artifact.filter(is_latest=True).all() == [second]
    assert (second.version, first.version) == ("2", "1")
    assert ln.Artifact.get(first.uid[:16]) == second


def test_an_earlier_version_keeps_its_content():
    first = artifact("a.txt", "A", key="k.txt")
    artifact("a.txt", "B", key="k.txt")
    assert ln.Artifact.get(first.uid).load() == "A"


def test_replace_makes_the_next_version():
    record = artifact("a.txt", "A", key="k.txt", description="kept")
    first = record.uid
    with nothing_recorded():
        record.replace(file("b.txt", "B"))
    record.save()
    assert record.uid != first
    assert record.uid[:16] == first[:16]
    assert (record.key, record.description, record.load()) == ("k.txt", "kept", "B")
    assert ln.Artifact.get(first).load() == "A"
    with nothing_recorded():
        record.replace(file("c.txt", "B")).save()
    with pytest.raises(ln.errors.NotSavedError):
        ln.Artifact(file("n.txt")).replace("b.txt")


def test_modes_for_content_that_is_registered():
    first = artifact("a.txt", "A")
    copy = file("b.txt", "A")
    assert ln.Artifact(copy) == first
    with pytest.raises(FileExistsError, match=first.uid):
        ln.Artifact(copy, if_hash_exists="error")
    second = ln.Artifact(copy, if_hash_exists="warn_create_new").save()
    assert second != first
    assert second.hash == first.hash
    assert second.load() == "A"
    ln.settings.creation.artifact_if_hash_exists = "error"
    with pytest.raises(ln.errors.ContentExistsError, match=first.hash):
        ln.Artifact(copy)


def test_empty_files_and_folders_are_artifacts():
    empty = Path("empty.txt")
    empty.touch()
    folder = Path("folder")
    folder.mkdir()
    one, two = ln.Artifact(empty).save(), ln.Artifact(folder).save()
    assert one.size == two.size == 0
    assert one != two
    assert (one.n_files, two.n_files) == (None, 0)
    assert one.cache().read_bytes() == b""
    assert list(two.cache().iterdir()) == []


def test_a_folder_is_its_names_and_its_bytes():
    file("f/x/a.txt", "1")
    file("f/b.txt", "2")
    one = ln.Artifact("f").save()
    assert (one.n_files, one.size) == (2, 2)
    Path("f/b.txt").rename("f/c.txt")
    two = ln.Artifact("f").save()
    assert two != one
    assert (one.cache() / "b.txt").read_text() == "2"
    assert (two.cache() / "c.txt").read_text() == "2"
    with pytest.raises(ln.errors.InvalidValueError, match="cache"):
        one.open()


def test_content_in_the_storage_is_left_in_place(here):
    inside = file("storage/data/a.txt", "in place")
    record = ln.Artifact(inside).save()
    assert record.path == inside.absolute()
    assert [it.name for it in (here / "storage" / ".metaledger").iterdir()] == [".gitignore"]
    assert record.load() == "in place"


@pytest.mark.parametrize(
    ("name", "content", "loaded"),
    [
        ("a.txt", b"text", "text"),
        ("a.json", b'{"a": [1, 2]}', {"a": [1, 2]}),
        ("a.jsonl", b'{"a": 1}\n{"a": 2}\n', [{"a": 1}, {"a": 2}]),
        ("a.bin", b"\x00\xff", b"\x00\xff"),
        ("noending", b"\x01", b"\x01"),
    ],
)
def test_load_by_suffix(name, content, loaded):
    Path(name).write_bytes(content)
    record = ln.Artifact(name).save()
    assert record.load() == loaded
    with record.open() as stream:
        assert stream.read() == content


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda frame, path: frame.to_csv(path, index=False)),
        ("t.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
        ("t.csv.gz", lambda frame, path: frame.to_csv(path, index=False)),
        ("t.parquet", lambda frame, path: frame.to_parquet(path)),
        ("t.feather", lambda frame, path: frame.to_feather(path)),
    ],
)
def test_load_of_tables(name, write):
    import pandas as pd  # noqa: PLC0415 (loaded where it is needed, as in the product)

    frame = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    write(frame, name)
    loaded = ln.Artifact(name).save().load()
    assert loaded.to_dict() == frame.to_dict()


def test_damaged_content_is_not_handed_out():
    record = artifact("a.txt", "right")
    stored = Path(record.path)
    stored.chmod(0o644)
    stored.write_text("wrong")
    with pytest.raises(ln.errors.DamagedContentError, match=record.uid):
        record.cache()
    with pytest.raises(ln.errors.DamagedContentError):
        record.load()
    assert record.cache(verify=False).read_text() == "wrong"
    stored.unlink()
    with pytest.raises(ln.errors.DamagedContentError, match=record.uid):
        ln.Artifact.get(record.uid).open()


def test_content_damaged_after_it_was_verified_is_seen():
    record = artifact("a.txt", "right")
    record.cache()
    stored = Path(record.path)
    stored.chmod(0o644)
    stored.write_text("wrong, and longer")
    with pytest.raises(ln.errors.DamagedContentError):
        record.cache()


def test_registering_again_brings_content_back_that_is_gone():
    record = artifact("a.txt", "right")
    Path(record.path).unlink()
    with pytest.raises(ln.errors.DamagedContentError):
        record.cache()
    before = ln.head()
    artifact("a.txt", "right")
    assert [it.type for it in ln.since(before)] == ["artifact-relocated.v1"]
    assert record.cache().read_text() == "right"


def test_permanent_deletion_removes_content_only_when_asked_and_not_shared():
    one = artifact("a.txt", "A")
    twin = ln.Artifact("a.txt", if_hash_exists="warn_create_new").save()
    path = Path(one.path)
    assert Path(twin.path) == path
    one.delete(permanent=True, storage=True)
    assert path.exists()
    assert twin.load() == "A"
    twin.delete(permanent=True, storage=True)
    assert not path.exists()
    kept = artifact("b.txt", "B")
    kept.delete(permanent=True)
    assert Path(kept.path).exists()
    with pytest.raises(ln.errors.InvalidValueError, match="permanent"):
        artifact("c.txt").delete(storage=True)


def test_content_withdrawn_for_good_can_be_registered_again():
    one = artifact("a.txt", "A", key="k.txt")
    one.delete(permanent=True, storage=True)
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get(key="k.txt")
    again = artifact("a.txt", "A", key="k.txt")
    assert again.uid != one.uid
    assert again.load() == "A"


def test_content_and_members_registered_again_are_changed_like_the_first():
    file("a.txt", "A")
    for _ in range(3):
        one = ln.Artifact("a.txt", key="k").save()
        assert ln.Artifact("a.txt", key="k", description="new").save() == one
        assert ln.Artifact.get(key="k").description == "new"
        members = ln.Collection([one], name="c").save()
        again = ln.Collection([one], name="c", description="new").save()
        assert (again.uid, again.description) == (members.uid, "new")
        members.delete(permanent=True)
        one.delete(permanent=True)
    assert ln.audit().ok


def test_finish_writes_the_hashes_that_the_next_process_needs(here, monkeypatch):
    monkeypatch.setattr(hash_cache, "_RACY_NS", -(10**15))
    ln.track(key="hash.py", new_run=True)
    artifact("large.csv", "x" * 100)
    path = Path("large.csv").absolute()
    ln.finish()
    with contextlib.closing(HashCache(here / ".metaledger/cache/hashes.sqlite3")) as cache:
        assert cache.get(path, stamp_of(path.stat())) is not None
