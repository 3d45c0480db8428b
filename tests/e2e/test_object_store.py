"""A ledger whose content is in an object store, through the public door and the command."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import s3fs

import ledger as ln
from ledger.auditing.audit import audit
from ledger.content import content_at_url, hash_cache, retry
from ledger.content.backends import open_store
from ledger.content.content_at_url import ContentAtUrl
from ledger.content.s3 import S3Objects
from ledger.places import instance
from ledger.registries.content_copy import copy_content
from ledger.upkeep.doctor import examine, remove_orphans
from ledger.user_settings import settings
from tests.e2e.command import environment, metaledger
from tests.support.object_store import environment as store_environment

SCRIPT = """
import ledger as ln
from pathlib import Path

ln.track()
label = ln.ULabel(name="from-the-bench").save()
Path("a.csv").write_text("x,y\\n1,2\\n")
Path("zarr/deep").mkdir(parents=True, exist_ok=True)
Path("zarr/deep/chunk").write_bytes(bytes(1000))
Path("zarr/meta.json").write_text("{}")
one = ln.Artifact("a.csv", key="raw/a.csv").save()
two = ln.Artifact("zarr", key="raw/zarr").save()
one.labels.add(label)
assert list(one.load().columns) == ["x", "y"]
assert (two.cache() / "deep" / "chunk").stat().st_size == 1000
ln.finish()
"""


@pytest.fixture
def lab(ledger_folder, s3_root):
    """The working folder, with an empty ledger whose storage is in an object store."""
    before = dict(settings._values)
    ln.init(s3_root)
    ln.connect()
    yield ledger_folder
    ln.close()
    settings._values.update(before)


def write(name: str, data: bytes) -> Path:
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def upload(url: str, data: bytes) -> str:
    import fsspec  # noqa: PLC0415

    with fsspec.open(url, "wb") as writer:
        writer.write(data)
    return url


def cached() -> list[str]:
    folder = Path(".metaledger/cache/content")
    return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))


def stored(root: str) -> list[str]:
    return sorted(item.name for item in open_store(root).list())


def test_same_script_twice_adds_nothing_and_needs_no_upload(ledger_folder, s3_root):
    metaledger(ledger_folder, "init", "--storage", s3_root)
    (ledger_folder / "script.py").write_text(SCRIPT)
    heads = []
    for _ in range(2):
        subprocess.run(
            [sys.executable, "script.py"], cwd=ledger_folder, env=environment(), check=True
        )
        ln.connect()
        heads.append(ln.head())
        ln.close()
    assert len(stored(s3_root)) == 2
    ln.connect()
    assert heads[0] == heads[1]
    artifact = ln.Artifact.get(key="raw/a.csv")
    assert artifact.path == f"{s3_root}/.metaledger/{artifact.uid}.csv"
    ln.close()


@pytest.mark.usefixtures("lab")
def test_artifact_is_saved_opened_cached_and_loaded(s3_root):
    artifact = ln.Artifact(write("a.txt", b"0123456789" * 1000), key="a.txt").save()
    assert artifact.path == f"{s3_root}/.metaledger/{artifact.uid}.txt"
    with artifact.open() as reader:
        reader.seek(-3, os.SEEK_END)
        assert reader.read() == b"789"
        reader.seek(5)
        assert reader.read(10) == b"5678901234"
    assert not Path(".metaledger/cache/content").exists()
    path = artifact.cache()
    assert path.read_bytes() == b"0123456789" * 1000
    assert path.stat().st_mode & 0o222 == 0
    assert artifact.load() == "0123456789" * 1000


@pytest.mark.usefixtures("lab")
def test_open_reads_what_was_fetched_where_it_was(s3_root):
    artifact = ln.Artifact(write("a.txt", b"content"), key="a.txt").save()
    artifact.cache()
    open_store(s3_root).remove(f"{artifact.uid}.txt")
    with artifact.open() as reader:
        assert reader.read() == b"content"


@pytest.mark.usefixtures("lab")
def test_what_was_changed_in_the_cache_is_fetched_anew():
    artifact = ln.Artifact(write("a.txt", b"content"), key="a.txt").save()
    path = artifact.cache()
    path.chmod(0o644)
    path.write_bytes(b"changed")
    assert artifact.cache().read_bytes() == b"content"


@pytest.mark.usefixtures("lab")
def test_what_was_changed_in_the_store_is_not_handed_out():
    artifact = ln.Artifact(write("a.txt", b"content"), key="a.txt").save()
    upload(artifact.path, b"CONTENT")
    with pytest.raises(ln.errors.DamagedContentError, match="expected content sha256"):
        artifact.cache()
    assert cached() == []


@pytest.mark.usefixtures("lab")
def test_cache_keeps_to_its_limit_and_drops_the_longest_unused():
    artifacts = [
        ln.Artifact(write(f"{n}.txt", bytes([n]) * 1000), key=f"{n}.txt").save() for n in range(4)
    ]
    long_ago = 10**9
    for age, artifact in enumerate(artifacts[:3]):
        path = artifact.cache()
        # The one in the middle was used last.
        for each in (path, path.parent / ".used" / path.name):
            os.utime(each, (long_ago + (age != 1) * -age - 5,) * 2)
    ln.settings.cache_limit = 2500
    kept = artifacts[3].cache()
    left = {path.name for path in kept.parent.iterdir() if path.name != ".used"}
    assert artifacts[3].cache().name in left
    assert len(left) == 2


@pytest.mark.usefixtures("lab")
def test_what_was_just_used_outlives_the_limit():
    ln.settings.cache_limit = 0
    artifacts = [
        ln.Artifact(write(f"{n}.txt", bytes([n]) * 1000), key=f"{n}.txt").save() for n in range(2)
    ]
    paths = [artifact.cache() for artifact in artifacts]
    assert all(path.exists() for path in paths)


@pytest.mark.usefixtures("lab")
def test_url_in_the_storage_is_registered_in_place(s3_root):
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    artifact = ln.Artifact(url, key="raw/sample.txt").save()
    assert artifact.path == url
    assert stored(s3_root) == []
    assert artifact.load() == "as it came"
    assert cached()
    with artifact.open() as reader:
        assert reader.read() == b"as it came"
    same = ln.Artifact(write("here.txt", b"as it came"))
    assert same.uid == artifact.uid


@pytest.mark.usefixtures("lab")
def test_folder_in_the_storage_is_registered_in_place(s3_root):
    for name in ("a.txt", "deep/b.txt"):
        upload(f"{s3_root}/run1/{name}", name.encode())
        write(f"run1/{name}", name.encode())
    artifact = ln.Artifact(f"{s3_root}/run1", key="run1").save()
    assert artifact.n_files == 2
    assert artifact.uid == ln.Artifact("run1").uid
    assert (artifact.cache() / "deep" / "b.txt").read_text() == "deep/b.txt"


@pytest.mark.usefixtures("lab")
def test_folder_that_holds_the_storage_is_refused(s3_root):
    ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    with pytest.raises(ln.errors.UnsupportedFileError, match="holds a storage"):
        ln.Artifact(s3_root)


@pytest.mark.usefixtures("lab")
def test_url_outside_the_storage_is_copied_into_it(s3_root, bucket):
    url = upload(f"s3://{bucket}/elsewhere/{Path(s3_root).parent.name}.txt", b"from afar")
    artifact = ln.Artifact(url, key="afar.txt").save()
    assert artifact.path == f"{s3_root}/.metaledger/{artifact.uid}.txt"
    assert artifact.load() == "from afar"


@pytest.mark.usefixtures("lab")
def test_url_that_changed_in_place_is_damage(s3_root):
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    artifact = ln.Artifact(url, key="raw/sample.txt").save()
    upload(url, b"as it is now")
    with pytest.raises(ln.errors.DamagedContentError):
        artifact.cache()
    kinds = {finding.kind: finding for finding in examine(instance.current(), content=True)}
    assert kinds["damaged-content"].subject == artifact.uid


@pytest.mark.usefixtures("lab")
def test_url_with_nothing_there_is_said_to_be_missing(s3_root):
    with pytest.raises(ln.errors.MissingFileError, match=r"nowhere\.txt"):
        ln.Artifact(f"{s3_root}/nowhere.txt")


@pytest.mark.usefixtures("lab")
def test_artifacts_can_lie_in_several_storages(s3_root, tmp_path):
    other = s3_root + "-other"
    here = ln.Artifact(write("a.txt", b"a"), key="a.txt", storage=tmp_path / "disk").save()
    there = ln.Artifact(write("b.txt", b"b"), key="b.txt", storage=other).save()
    usual = ln.Artifact(write("c.txt", b"c"), key="c.txt").save()
    assert here.path == tmp_path / "disk" / ".metaledger" / f"{here.uid}.txt"
    assert there.path == f"{other}/.metaledger/{there.uid}.txt"
    assert usual.path == f"{s3_root}/.metaledger/{usual.uid}.txt"
    assert [each.load() for each in (here, there, usual)] == ["a", "b", "c"]
    assert not [
        each for each in examine(instance.current(), content=True) if each.severity == "error"
    ]
    ln.settings.storage = other
    assert ln.Artifact(write("d.txt", b"d"), key="d.txt").save().path.startswith(other)


@pytest.mark.usefixtures("lab")
def test_orphans_of_every_storage_are_named(s3_root):
    other = s3_root + "-other"
    ln.Artifact(write("b.txt", b"b"), key="b.txt", storage=other).save()
    names = ["AbCdEfGhIjKlMnOp0000.txt", "ZyXwVuTsRqPoNmLk0000.txt"]
    for root, name in zip((s3_root, other), names, strict=True):
        upload(f"{root}/.metaledger/{name}", b"orphan")
    found = {
        finding.subject
        for finding in examine(instance.current(), content=True)
        if finding.kind == "orphan"
    }
    assert found == set(names)


@pytest.mark.usefixtures("lab")
def test_content_that_is_gone_is_named(s3_root):
    artifact = ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    in_place = ln.Artifact(url, key="raw/sample.txt").save()
    open_store(s3_root).remove(f"{artifact.uid}.txt")
    open_store(s3_root)._objects.remove([url.removeprefix("s3://")])
    found = {
        finding.subject
        for finding in examine(instance.current(), content=True)
        if finding.kind == "missing-content"
    }
    assert found == {artifact.uid, in_place.uid}


@pytest.mark.usefixtures("lab")
def test_deleted_content_is_gone_from_the_store(s3_root):
    artifact = ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    artifact.delete(permanent=True, storage=True)
    assert stored(s3_root) == []


def reads(monkeypatch) -> list[tuple[int, int]]:
    """Note every range that is asked of the store from now on."""
    found: list[tuple[int, int]] = []
    inner = S3Objects._get

    def get(self, there, start, end):
        found.append((start, end))
        return inner(self, there, start, end)

    monkeypatch.setattr(S3Objects, "_get", get)
    return found


@pytest.mark.usefixtures("lab")
def test_url_whose_hash_is_remembered_is_not_read_again(s3_root, monkeypatch):
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    monkeypatch.setattr(hash_cache, "_RACY_NS", -(10**12))
    first, asked = ln.Artifact(url), reads(monkeypatch)
    assert ln.Artifact(url).hash == first.hash
    assert asked == []
    assert ln.Artifact(url, rehash=True).hash == first.hash
    assert asked == [(0, 10)]


@pytest.mark.usefixtures("lab")
def test_large_file_that_the_store_vouches_for_is_registered_unread(s3_root, monkeypatch):
    monkeypatch.setattr(content_at_url, "MD5_LIMIT", 5)
    stored_by_us = ln.Artifact(write("a.bin", b"many bytes"), key="a.bin").save()
    asked = reads(monkeypatch)
    found = ContentAtUrl(stored_by_us.path).hashed()
    assert (found.hash_type, found.digest, found.size) == ("sha256", stored_by_us.digest, 10)
    assert asked == []
    unchecked = upload(f"{s3_root}/raw/b.bin", b"many bytes")
    assert ContentAtUrl(unchecked).hashed().digest == found.digest
    assert asked == [(0, 10)]


@pytest.mark.usefixtures("lab")
def test_large_file_in_place_is_opened_without_being_fetched(s3_root, monkeypatch):
    data = bytes(range(256)) * 40_000
    artifact = ln.Artifact(upload(f"{s3_root}/raw/big.bin", data), key="big.bin").save()
    asked = reads(monkeypatch)
    with artifact.open() as reader:
        reader.seek(5_000_000)
        assert reader.read(100) == data[5_000_000:5_000_100]
    assert sum(end - start for start, end in asked) < 100_000


@pytest.mark.usefixtures("lab")
def test_content_in_place_can_be_copied_out(s3_root, tmp_path):
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    artifact = ln.Artifact(url, key="raw/sample.txt").save()
    copied = copy_content(artifact, tmp_path / "out.txt")
    assert copied.read_bytes() == b"as it came"


@pytest.mark.usefixtures("lab")
def test_an_audit_reads_what_is_in_the_store_and_in_place(s3_root):
    one = ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    url = upload(f"{s3_root}/raw/sample.txt", b"as it came")
    two = ln.Artifact(url, key="raw/sample.txt").save()
    gone = upload(f"{s3_root}/raw/gone.txt", b"to be removed")
    three = ln.Artifact(gone, key="raw/gone.txt").save()
    report = audit(content=True)
    assert (report.findings, report.contents) == ((), 3)
    for place in (str(one.path), url):
        upload(place, b"something else")
    open_store(s3_root)._objects.remove([gone.removeprefix("s3://")])
    found = {finding.subject: finding.found for finding in audit(content=True).findings}
    assert found.keys() == {f"artifact {each.uid}" for each in (one, two, three)}
    assert "found nothing" in found[f"artifact {three.uid}"]


@pytest.mark.usefixtures("lab")
def test_storage_that_cannot_be_reached_is_one_finding(monkeypatch):
    ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    monkeypatch.setattr(retry, "pause", lambda _seconds: None)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    s3fs.S3FileSystem.clear_instance_cache()
    ln.close()
    ledger = type(instance.current())(instance.current().place)
    kinds = [finding.kind for finding in examine(ledger)]
    assert kinds.count("unreachable-storage") == 1
    assert "missing-content" not in kinds
    ledger.close()


@pytest.mark.usefixtures("lab")
def test_orphan_in_the_store_is_removed_once_it_is_old(s3_root):
    name = "AbCdEfGhIjKlMnOp0000.txt"
    upload(f"{s3_root}/.metaledger/{name}", b"orphan")
    kept = ln.Artifact(write("a.txt", b"a"), key="a.txt").save()
    ledger = instance.current()
    assert remove_orphans(ledger) == []
    assert [each.name for each in remove_orphans(ledger, now=time.time() + 7200)] == [name]
    assert stored(s3_root) == [f"{kept.uid}.txt"]


@pytest.mark.usefixtures("lab")
def test_wrong_secret_is_told_without_it(object_store):
    script = "import ledger as ln; ln.Artifact('a.txt', key='a.txt').save()"
    write("a.txt", b"a")
    wrong = store_environment(object_store.endpoint, object_store.key, "not-the-secret")
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(**wrong),
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.strip().splitlines()[-1]
    assert "StorageError" in last
    assert "look at the credentials" in last
    assert "not-the-secret" not in done.stderr


@pytest.mark.usefixtures("s3_root")
def test_missing_bucket_is_told_when_the_ledger_is_made(ledger_folder):
    said = metaledger(ledger_folder, "init", "--storage", "s3://no-such-bucket-here/x", status=1)
    assert "no such bucket" in said.err
    assert not (ledger_folder / ".metaledger" / "config.toml").exists()


def test_password_in_a_url_is_refused_and_not_repeated(ledger_folder):
    said = metaledger(ledger_folder, "init", "--storage", "s3://key:hush@bucket/x", status=1)
    assert "without a password" in said.err
    assert "hush" not in said.err
