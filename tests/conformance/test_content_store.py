"""What every content store must do, held against each of them."""

from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import fsspec
import pytest

from ledger import files
from ledger.content.backends import open_store
from ledger.content.hashing import hash_path
from ledger.content.local import LocalStore
from ledger.content.remote import RemoteStore
from ledger.content.store import FOLDER, ContentStore
from ledger.content.tree import HashedContent
from ledger.errors import (
    DamagedContentError,
    FileChangedError,
    InvalidValueError,
    MissingFileError,
    PathTakenError,
    StorageError,
)
from tests.support.chance import new_name

FILE, TREE = "AbCdEfGhIjKl00000000.csv", "ZyXwVuTsRqPo00000000"
BAD_NAMES = ["", ".", "..", "../x", "a/b", "/etc/passwd", "a\\b", "a\0b", ".hidden", "x" * 256]
BAD_NAMES += [".tmp-0", "C:x", "a\nb", "\udcff"]
BAD_MEMBERS = ["", ".", "..", "../x", "a/../../x", "/etc/passwd", "a//b", "a/", "a\0b", "./a"]


@pytest.fixture(params=["local", "memory", "s3"])
def store(request, tmp_path) -> ContentStore:
    if request.param == "local":
        return open_store(str(tmp_path / "root"))
    if request.param == "s3":
        return open_store(request.getfixturevalue("s3_root"))
    return open_store(f"memory://{new_name()}/root")


@pytest.fixture
def file(tmp_path) -> Path:
    path = tmp_path / "source.csv"
    path.write_bytes(b"a,b\n1,2\n" * 1000)
    return path


@pytest.fixture
def folder(tmp_path) -> Path:
    for name in ("a.txt", "deep/er/b.txt", "deep/é c.txt"):
        path = tmp_path / "source" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "source" / "empty").mkdir()
    return tmp_path / "source"


def put(store: ContentStore, source: Path, name: str) -> HashedContent:
    hashed = hash_path(source)
    store.put(source, name, hashed)
    return hashed


def damage(store: ContentStore, name: str, data: bytes, member: str = "") -> None:
    """Overwrite or add a stored file behind the store's back."""
    if isinstance(store, LocalStore):
        path = Path(store.root) / FOLDER / name / member
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    else:
        with fsspec.open(f"{store.url(name)}/{member}".rstrip("/"), "wb") as writer:
            writer.write(data)


def names(store: ContentStore) -> set[str]:
    return {item.name for item in store.list()}


def test_factory_knows_paths_and_urls(tmp_path):
    assert isinstance(open_store(str(tmp_path)), LocalStore)
    assert isinstance(open_store(tmp_path.as_uri()), LocalStore)
    assert open_store(tmp_path.as_uri()).root == str(tmp_path)
    assert isinstance(open_store("memory://x"), RemoteStore)


def test_unknown_protocol_is_refused():
    with pytest.raises(InvalidValueError, match="known protocol"):
        open_store("nosuch://bucket/x")


def test_file_url_of_another_host_is_refused():
    with pytest.raises(InvalidValueError, match="host 'elsewhere'"):
        open_store("file://elsewhere/x")


def test_opening_a_store_makes_nothing(tmp_path):
    assert list(open_store(str(tmp_path / "root")).list()) == []
    assert not (tmp_path / "root").exists()


def test_stored_file_reads_back_the_same(store, file):
    hashed = put(store, file, FILE)
    with store.open(FILE) as reader:
        assert reader.read() == file.read_bytes()
    store.verify(FILE, hashed.digest, is_folder=False)


def test_stored_folder_reads_back_the_same(store, folder):
    hashed = put(store, folder, TREE)
    with store.open(TREE, "deep/er/b.txt") as reader:
        assert reader.read() == b"deep/er/b.txt"
    store.verify(TREE, hashed.digest, is_folder=True)


def test_empty_file_and_empty_folder_can_be_stored(store, tmp_path):
    (tmp_path / "f").write_bytes(b"")
    (tmp_path / "d").mkdir()
    for source, name in ((tmp_path / "f", FILE), (tmp_path / "d", TREE)):
        hashed = put(store, source, name)
        assert store.exists(name)
        store.verify(name, hashed.digest, hashed.is_folder)


def test_nothing_but_the_content_is_left(store, file, folder):
    put(store, file, FILE)
    put(store, folder, TREE)
    assert names(store) == {FILE, TREE}


def test_list_tells_sizes_and_ages(store, file, folder):
    file_size, tree_size = put(store, file, FILE).size, put(store, folder, TREE).size
    items = {item.name: item for item in store.list()}
    assert (items[FILE].size, items[TREE].size) == (file_size, tree_size)
    assert not any(item.is_temporary for item in items.values())
    assert items[FILE].modified is not None


def test_orphan_is_listed_as_temporary_and_can_be_removed(store, file):
    put(store, file, FILE)
    orphan = files.TEMPORARY_PREFIX + "00ff00ff00ff00ff"
    plant(store, orphan)
    assert {item.name for item in store.list() if item.is_temporary} == {orphan}
    store.remove(orphan)
    assert names(store) == {FILE}


def test_progress_adds_up_to_the_size(store, folder):
    counts: list[int] = []
    hashed = hash_path(folder)
    store.put(folder, TREE, hashed, progress=counts.append)
    assert sum(counts) == hashed.size


def test_second_put_of_the_same_content_copies_nothing(store, file, folder):
    for source, name in ((file, FILE), (folder, TREE)):
        hashed = put(store, source, name)
        before = store.stat(name)
        store.put(source, name, hashed, progress=pytest.fail)
        assert store.stat(name) == before


def test_second_put_does_not_need_the_source(store, file):
    hashed = put(store, file, FILE)
    file.unlink()
    store.put(file, FILE, hashed)


def test_other_content_is_never_overwritten(store, file, folder):
    for source, name, member in ((file, FILE, ""), (folder, TREE, "a.txt")):
        hashed = put(store, source, name)
        damage(store, name, b"other", member)
        with pytest.raises(DamagedContentError, match=f"{hashed.digest}, found sha256"):
            store.put(source, name, hashed)
        with store.open(name, member or None) as reader:
            assert reader.read() == b"other"


def test_folder_with_a_stray_file_is_damaged_and_untouched(store, folder):
    hashed = put(store, folder, TREE)
    damage(store, TREE, b"stray", "stray")
    with pytest.raises(DamagedContentError):
        store.put(folder, TREE, hashed)
    with store.open(TREE, "stray") as reader:
        assert reader.read() == b"stray"


@pytest.mark.parametrize("source_is_folder", [False, True])
def test_a_file_where_a_folder_should_be_is_damage(store, file, folder, source_is_folder):
    source, other = (folder, file) if source_is_folder else (file, folder)
    put(store, other, FILE)
    with pytest.raises(DamagedContentError, match="found a f"):
        store.put(source, FILE, hash_path(source))
    with pytest.raises(DamagedContentError, match="found a f"):
        store.verify(FILE, hash_path(source).digest, is_folder=source_is_folder)


def test_source_changed_since_it_was_hashed_is_not_stored(store, file, folder):
    for source, change, name in ((file, file, FILE), (folder, folder / "a.txt", TREE)):
        hashed = hash_path(source)
        change.write_bytes(b"changed")
        with pytest.raises(FileChangedError, match="as it was hashed"):
            store.put(source, name, hashed)
    assert names(store) == set()


def test_file_added_to_a_folder_since_it_was_hashed_is_noticed(store, folder):
    hashed = hash_path(folder)
    (folder / "new").write_bytes(b"")
    with pytest.raises(FileChangedError):
        store.put(folder, TREE, hashed)
    assert not store.exists(TREE)


def test_file_that_became_a_folder_is_noticed(store, file):
    hashed = hash_path(file)
    file.unlink()
    file.mkdir()
    with pytest.raises(FileChangedError, match="expected a file as it was hashed, found a folder"):
        store.put(file, FILE, hashed)
    assert names(store) == set()


def test_source_that_is_gone_is_missing(store, file):
    hashed = hash_path(file)
    file.unlink()
    with pytest.raises(MissingFileError, match=r"source\.csv"):
        store.put(file, FILE, hashed)


def test_fetched_content_is_the_same_and_writable(store, file, folder, tmp_path):
    for source, name in ((file, FILE), (folder, TREE)):
        hashed = put(store, source, name)
        store.fetch(name, tmp_path / name, hashed.digest)
        assert hash_path(tmp_path / name).digest == hashed.digest
    with (tmp_path / FILE).open("ab") as writer:
        writer.write(b"mine")


def test_fetch_does_not_overwrite(store, file, tmp_path):
    hashed = put(store, file, FILE)
    (tmp_path / "mine").write_bytes(b"mine")
    with pytest.raises(PathTakenError, match="something is there already"):
        store.fetch(FILE, tmp_path / "mine", hashed.digest)
    assert (tmp_path / "mine").read_bytes() == b"mine"


def test_damaged_content_is_not_fetched(store, file, folder, tmp_path):
    (tmp_path / "out").mkdir()
    for source, name, member in ((file, FILE, ""), (folder, TREE, "a.txt")):
        hashed = put(store, source, name)
        damage(store, name, b"other", member)
        with pytest.raises(DamagedContentError, match=hashed.digest):
            store.fetch(name, tmp_path / "out" / name, hashed.digest)
    assert list((tmp_path / "out").iterdir()) == []


def test_what_is_not_there_is_said_to_be_so(store, tmp_path):
    digest = "sha256:" + hashlib.sha256(b"").hexdigest()
    assert not store.exists(FILE)
    assert store.stat(FILE) is None
    with pytest.raises(MissingFileError, match=FILE):
        store.open(FILE)
    with pytest.raises(DamagedContentError, match=f"expected content {digest}, found nothing"):
        store.verify(FILE, digest, is_folder=False)
    with pytest.raises(DamagedContentError, match="found nothing"):
        store.fetch(FILE, tmp_path / "x", digest)


def test_missing_member_of_a_folder_is_said_to_be_so(store, folder):
    put(store, folder, TREE)
    with pytest.raises(MissingFileError, match="gone"):
        store.open(TREE, "gone.txt")


def test_verify_names_expected_and_found(store, file):
    hashed = put(store, file, FILE)
    damage(store, FILE, b"other")
    found = "sha256:" + hashlib.sha256(b"other").hexdigest()
    with pytest.raises(DamagedContentError, match=f"{hashed.digest}, found {found}") as info:
        store.verify(FILE, hashed.digest, is_folder=False)
    assert info.value.details["found"] == found


def test_stat_changes_with_the_content(store, file, folder):
    for source, name, member in ((file, FILE, ""), (folder, TREE, "a.txt")):
        put(store, source, name)
        before = store.stat(name)
        assert before is not None
        damage(store, name, b"longer than it was before", member)
        assert store.stat(name) != before


def test_removed_content_is_gone_and_can_be_stored_again(store, file, folder):
    for source, name in ((file, FILE), (folder, TREE)):
        hashed = put(store, source, name)
        store.remove(name)
        assert not store.exists(name)
        assert names(store) == set()
        store.remove(name)
        put(store, source, name)
        store.verify(name, hashed.digest, hashed.is_folder)
        store.remove(name)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_name_that_could_lead_elsewhere_is_refused_everywhere(store, file, tmp_path, name):
    hashed = hash_path(file)
    calls = [
        lambda: store.put(file, name, hashed),
        lambda: store.url(name),
        lambda: store.local_path(name),
        lambda: store.open(name),
        lambda: store.exists(name),
        lambda: store.stat(name),
        lambda: store.verify(name, hashed.digest, is_folder=False),
        lambda: store.fetch(name, tmp_path / "out", hashed.digest),
    ]
    if not name.startswith(".tmp-"):
        calls.append(lambda: store.remove(name))
    for call in calls:
        with pytest.raises(InvalidValueError, match="expected one path component") as info:
            call()
        assert str(info.value).isprintable()


@pytest.mark.parametrize("member", BAD_MEMBERS)
def test_member_that_could_lead_elsewhere_is_refused(store, folder, member):
    put(store, folder, TREE)
    with pytest.raises(InvalidValueError, match="expected a relative path"):
        store.open(TREE, member)


def test_url_names_root_and_content(store):
    assert store.url(FILE).endswith(f"{store.root}/{FOLDER}/{FILE}")
    assert "://" in store.url(FILE)


def test_path_in_the_root_is_held_unless_it_is_the_stores_own(store):
    root = store.root
    assert store.holds(f"{root}/raw/a.csv") == "raw/a.csv"
    assert store.holds(f"{root}/{FOLDER}/{FILE}") is None
    assert store.holds(f"{root}/{FOLDER}") is None
    assert store.holds(root) is None
    assert store.holds(f"{root}-other/a.csv") is None
    assert store.holds(f"{root}/../a.csv") is None
    assert store.holds("s3://bucket/a.csv") is None


def test_writers_of_the_same_content_all_succeed(store, file, folder):
    for source, name in ((file, FILE), (folder, TREE)):
        hashed = hash_path(source)
        failures: list[BaseException] = []

        def work(source=source, name=name, hashed=hashed, failures=failures):
            try:
                store.put(source, name, hashed)
            except BaseException as error:  # noqa: BLE001  (handed to the main thread)
                failures.append(error)

        threads = [
            threading.Thread(target=work)
            for _ in range(1 if store.root.startswith("memory") else 8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        store.verify(name, hashed.digest, hashed.is_folder)
    assert names(store) == {FILE, TREE}


def test_refusal_of_the_store_is_a_storage_error_with_its_cause(store, file, folder, monkeypatch):
    def refuse(what, _path):
        if what == "write":
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "step", refuse)
    for source, name in ((file, FILE), (folder, TREE)):
        with pytest.raises(StorageError, match="No space left on device") as info:
            store.put(source, name, hash_path(source))
        assert isinstance(info.value.__cause__, OSError)
    assert names(store) == set()


def plant(store: ContentStore, name: str) -> None:
    """Put a file of any name into the folder of the store."""
    if isinstance(store, LocalStore):
        (Path(store.root) / FOLDER / name).write_bytes(b"half")
    else:
        with fsspec.open(f"{store.root}/{FOLDER}/{name}", "wb") as writer:
            writer.write(b"half")


# --- what only one of them promises ---------------------------------------------------------------


def test_local_files_are_read_only(tmp_path, file, folder):
    store = open_store(str(tmp_path / "root"))
    put(store, file, FILE)
    put(store, folder, TREE)
    for path in (tmp_path / "root" / FOLDER).rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == 0o444


def test_local_path_is_where_the_content_is(tmp_path, file):
    store = open_store(str(tmp_path / "root"))
    put(store, file, FILE)
    path = store.local_path(FILE)
    assert path == tmp_path / "root" / FOLDER / FILE
    assert path.read_bytes() == file.read_bytes()


def test_remote_store_has_no_local_path():
    assert open_store("memory://x").local_path(FILE) is None


def test_folder_that_holds_the_storage_is_refused(folder):
    store = open_store(str(folder / "root"))
    with pytest.raises(InvalidValueError, match="holds the storage"):
        put(store, folder, TREE)


def test_link_in_the_root_is_held_as_what_it_leads_to(tmp_path):
    store = open_store(str(tmp_path / "root"))
    (tmp_path / "root" / "v1").mkdir(parents=True)
    (tmp_path / "root" / "now").symlink_to("v1")
    (tmp_path / "root" / "out").symlink_to(tmp_path)
    (tmp_path / "door").symlink_to(tmp_path / "root")
    assert store.holds(tmp_path / "root" / "now" / "a") == "v1/a"
    assert store.holds(tmp_path / "root" / "out" / "a") is None
    assert store.holds(tmp_path / "door" / "v1" / "a") == "v1/a"
    assert store.holds((tmp_path / "root" / "a b").as_uri()) == "a b"


def test_folder_whose_upload_was_interrupted_is_completed(folder):
    store = open_store(f"memory://{new_name()}/root")
    hashed = hash_path(folder)
    damage(store, TREE, b"a.txt", "a.txt")
    store.put(folder, TREE, hashed)
    store.verify(TREE, hashed.digest, is_folder=True)
    assert names(store) == {TREE}


def test_stored_folder_with_a_link_in_it_is_damaged(tmp_path, folder):
    store = open_store(str(tmp_path / "root"))
    hashed = put(store, folder, TREE)
    (tmp_path / "root" / FOLDER / TREE / "sly").symlink_to("/etc/passwd")
    with pytest.raises(DamagedContentError, match="leads out of the folder"):
        store.verify(TREE, hashed.digest, is_folder=True)
