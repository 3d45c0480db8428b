"""An object store behind a connection that does harm, and writers that are killed.

After each fault the content is whole and right or it is absent; what may pass was tried again, and
the rest is an error of ours.
"""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ledger.content import retry, s3
from ledger.content.backends import open_store
from ledger.content.hashing import hash_path
from ledger.content.objects import Upload
from ledger.content.tree import HashedContent
from ledger.errors import DamagedContentError, FileChangedError, StorageError
from tests.support.chance import bytes_of
from tests.support.proxy import KINDS, FaultyProxy
from tests.support.sweeps import few
from tests.support.warm import Program, run

if TYPE_CHECKING:
    from collections.abc import Callable

    from ledger.content.store import ContentStore

NAME = "AbCdEfGhIjKl00000000"
PROJECT = Path(__file__).parents[2]
BOUND = 60
MIB = 1024**2
FAULTS = [kind for kind in KINDS if kind != "delay"]
# Each fault strikes the upload of a file; what is larger meets three of all combinations.
EVERY_FAULT = pytest.mark.parametrize(
    ("source", "kind"),
    [
        *product(["file"], FAULTS),
        *few(product(["parts", "folder"], FAULTS), 3),
    ],
    indirect=["source"],
)


@pytest.fixture(params=["file", "parts", "folder"])
def source(request, tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(s3, "PART", 5 * MIB)
    path = tmp_path / "source"
    if request.param == "folder":
        for name in ("a", "x/b", "z/y/d"):
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(name.encode() * 1000)
    else:
        path.write_bytes(bytes_of(200_000 if request.param == "file" else 11 * MIB))
    return path


@pytest.fixture
def proxy(object_store, s3_root, monkeypatch):
    proxy = FaultyProxy(object_store.address)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.endpoint)
    monkeypatch.setattr(retry, "pause", lambda _seconds: None)
    proxy.root = s3_root
    yield proxy
    proxy.close()


def only(number: int, kind: str) -> Callable[[int, str], str | None]:
    return lambda count, _line: kind if count == number else None


def judge(store: ContentStore, expected: HashedContent) -> bool:
    """Tell whether the content is there, after asserting that it is then whole and right."""
    assert {item.name for item in store.list() if not item.is_temporary} <= {NAME}
    if not store.exists(NAME):
        return False
    store.verify(NAME, expected.digest, expected.is_folder)
    return True


@EVERY_FAULT
def test_one_fault_anywhere_in_an_upload_is_got_over(proxy, source, kind):
    expected = hash_path(source)
    for number in range(BOUND):
        store = open_store(f"{proxy.root}/{kind}{number}")
        proxy.begin(only(number, kind))
        store.put(source, NAME, expected)
        struck = proxy.struck
        proxy.begin(lambda _number, _line: None)
        assert judge(store, expected)
        # Where the answer to its beginning got lost, an upload was begun that nobody knows by name.
        left = [item.name for item in store.list() if item.is_temporary]
        assert len(left) <= ("answer" in kind)
        if not struck:
            break
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number >= 3


@EVERY_FAULT
def test_one_fault_anywhere_in_a_download_is_got_over(proxy, source, kind, tmp_path):
    expected = hash_path(source)
    store = open_store(proxy.root)
    store.put(source, NAME, expected)
    for number in range(BOUND):
        proxy.begin(only(number, kind))
        store.fetch(NAME, tmp_path / f"{number}", expected.digest)
        assert hash_path(tmp_path / f"{number}").digest == expected.digest
        if not proxy.struck:
            break
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number >= 2


@pytest.mark.parametrize("source", ["file"], indirect=True)
@pytest.mark.parametrize("method", ["HEAD", "PUT", "GET"])
def test_answer_that_does_not_come_is_asked_for_again(proxy, source, method, tmp_path, monkeypatch):
    monkeypatch.setattr(s3, "READ_SECONDS", 2)
    forget_connections()
    expected = hash_path(source)
    store = open_store(proxy.root)
    waiting = [method]

    def strike(_number: int, line: str) -> str | None:
        return "delay" if waiting and line.startswith(waiting[0]) and waiting.pop() else None

    proxy.begin(strike)
    store.put(source, NAME, expected)
    store.fetch(NAME, tmp_path / "out", expected.digest)
    assert proxy.struck == 1


@pytest.mark.parametrize("kind", ["drop", "busy", "lose-answer", "corrupt-request"])
def test_fault_that_stays_is_an_error_that_says_how_often_it_was_tried(proxy, source, kind):
    expected = hash_path(source)
    store = open_store(proxy.root)

    def strike(_number: int, line: str) -> str | None:
        return kind if line.startswith(("PUT", "POST")) else None

    proxy.begin(strike)
    with pytest.raises(StorageError, match=f"tried {retry.ATTEMPTS} times"):
        store.put(source, NAME, expected)
    proxy.begin(lambda _number, _line: None)
    # Where only answers got lost the content may have arrived; nobody was told so.
    if kind != "lose-answer":
        assert not store.exists(NAME)
    store.put(source, NAME, expected)
    assert judge(store, expected)


@pytest.mark.parametrize("source", ["file"], indirect=True)
def test_content_that_always_comes_damaged_is_not_handed_out(proxy, source, tmp_path):
    expected = hash_path(source)
    store = open_store(proxy.root)
    store.put(source, NAME, expected)
    proxy.begin(lambda _number, line: "corrupt-answer" if line.startswith("GET") else None)
    with pytest.raises((DamagedContentError, StorageError)):
        store.fetch(NAME, tmp_path / "out", expected.digest)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("source", ["file"], indirect=True)
def test_refusal_is_told_at_once(proxy, source, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-secret")
    forget_connections()
    store = open_store(proxy.root)
    proxy.begin(lambda _number, _line: None)
    with pytest.raises(StorageError, match=r"HTTP 403.*look at the credentials") as info:
        store.put(source, NAME, hash_path(source))
    assert len(proxy.requests) == 1
    assert "not-the-secret" not in str(info.value) + repr(store)


@pytest.mark.parametrize("source", ["file"], indirect=True)
def test_missing_bucket_is_told_by_its_name(source, s3_root):
    store = open_store("s3://no-such-bucket-of-mine/root")
    assert s3_root
    for call in (lambda: store.put(source, NAME, hash_path(source)), lambda: list(store.list())):
        with pytest.raises(StorageError, match=r"no-such-bucket-of-mine.*there is no such bucket"):
            call()


# Ends at the step of a given number, counted from 0, without cleaning up.
DYING = """
import itertools, os, sys
from pathlib import Path
from ledger import files
from ledger.content import s3
from ledger.content.hashing import hash_path
from ledger.content.backends import open_store

source, root, name, number = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
s3.PART, count = 5 * 1024**2, itertools.count()
files.step = lambda what, path: os._exit(9) if next(count) == number else None
open_store(root).put(source, name, hash_path(source))
"""


def test_writer_that_dies_at_any_step_leaves_the_content_whole_or_absent(source, s3_root):
    expected = hash_path(source)
    for number in range(BOUND):
        root = f"{s3_root}/{number}"
        done = run(
            [sys.executable, "-c", DYING, str(source), root, NAME, str(number)],
            cwd=PROJECT,
            check=False,
        )
        store = open_store(root)
        is_there = judge(store, expected)
        if done.returncode == 0:
            assert is_there
            break
        assert done.returncode == 9
        # Parts that nobody will complete are told, and can be removed.
        left = [item.name for item in store.list() if item.is_temporary]
        for name in left:
            store.remove(name)
        assert not [item.name for item in store.list() if item.is_temporary]
        store.put(source, NAME, expected)
        assert judge(store, expected)
    else:
        pytest.fail(f"no run without a fault in {BOUND}")
    assert number >= 1


@pytest.mark.parametrize("source", ["parts"], indirect=True)
def test_upload_that_was_killed_is_listed_as_unfinished(source, s3_root):
    for number in (1, 3):
        run(
            [sys.executable, "-c", DYING, str(source), s3_root, NAME, str(number)],
            cwd=PROJECT,
            check=False,
        )
    store = open_store(s3_root)
    left = list(store.list())
    assert len(left) == 2
    assert all(item.is_temporary and item.modified is not None for item in left)
    assert not store.exists(NAME)
    store.remove(left[0].name)
    assert [item.name for item in store.list()] == [left[1].name]
    store.remove(left[1].name)


STORING = """
import sys
from pathlib import Path
from ledger.content import s3
from ledger.content.hashing import hash_path
from ledger.content.backends import open_store

source, root, name = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
s3.PART = 5 * 1024**2
hashed, store = hash_path(source), open_store(root)
store.exists(name)
print("ready", flush=True)
sys.stdin.readline()
store.put(source, name, hashed)
"""


def test_processes_that_store_the_same_make_one_object(source, s3_root):
    expected = hash_path(source)
    writers = [
        Program(
            [sys.executable, "-c", STORING, str(source), s3_root, NAME],
            cwd=PROJECT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        writer.stdin.write("\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    store = open_store(s3_root)
    assert [item.name for item in store.list()] == [NAME]
    assert judge(store, expected)


@pytest.mark.parametrize("source", ["file", "parts"], indirect=True)
def test_what_came_in_between_is_not_overwritten(source, s3_root, monkeypatch):
    expected = hash_path(source)
    ours, theirs = open_store(s3_root), open_store(s3_root)
    other = source.with_name("other")
    other.write_bytes(b"other content")
    looked = []
    inner = s3.S3Objects.head

    def head(self, key):
        found = inner(self, key)
        if self is ours._objects and key.endswith(NAME) and not looked:
            # Right after the last look, somebody else stores something.
            looked.append(found)
            theirs.put(other, NAME, hash_path(other))
        return found

    monkeypatch.setattr(s3.S3Objects, "head", head)
    upload = Upload(
        partial(source.open, "rb", buffering=0), expected.size, expected.digest, "source"
    )
    if expected.size <= s3.PART:
        theirs.put(other, NAME, hash_path(other))
        looked.append(None)
    with pytest.raises(DamagedContentError, match=f"expected content {expected.digest}"):
        ours._objects.upload(upload, ours._key(NAME))
    assert looked == [None]
    theirs.verify(NAME, hash_path(other).digest, is_folder=False)
    assert [item.name for item in theirs.list()] == [NAME]


@pytest.mark.parametrize("change", ["same size", "longer", "shorter"])
@pytest.mark.parametrize("source", ["file", "parts"], indirect=True)
def test_source_that_changed_since_it_was_hashed_leaves_no_object(source, s3_root, change):
    expected = hash_path(source)
    data = source.read_bytes()
    changed = {"same size": data[:-1] + b"!", "longer": data + b"!", "shorter": data[:-1]}
    source.write_bytes(changed[change])
    store = open_store(s3_root)
    with pytest.raises(FileChangedError, match="as it was hashed"):
        store.put(source, NAME, expected)
    assert list(store.list()) == []


@pytest.mark.parametrize("source", ["file"], indirect=True)
def test_range_that_comes_short_is_asked_for_again(source, s3_root, monkeypatch):
    expected = hash_path(source)
    store = open_store(s3_root)
    store.put(source, NAME, expected)
    inner, answers = s3.S3Objects._get, []

    def short(self, found, start, end):
        answers.append(inner(self, found, start, end))
        return answers[-1][: -1 if len(answers) == 1 else None]

    monkeypatch.setattr(s3.S3Objects, "_get", short)
    monkeypatch.setattr(retry, "pause", lambda _seconds: None)
    with store.open(NAME) as reader:
        assert reader.read() == source.read_bytes()
    assert len(answers) >= 2


@pytest.mark.parametrize("source", ["file", "parts"], indirect=True)
def test_store_that_does_not_confirm_the_checksum_is_read_back(source, s3_root, monkeypatch):
    expected = hash_path(source)
    store = open_store(s3_root)
    inner, read = s3.S3Objects._method, []

    def forgetful(self, method, **options):
        said = inner(self, method, **options)
        if isinstance(said, dict):
            said.pop("ChecksumSHA256", None)
        return said

    def get(self, found, start, end):
        read.append(end - start)
        return get_inner(self, found, start, end)

    get_inner = s3.S3Objects._get
    monkeypatch.setattr(s3.S3Objects, "_method", forgetful)
    monkeypatch.setattr(s3.S3Objects, "_get", get)
    store.put(source, NAME, expected)
    assert sum(read) == expected.size


@pytest.mark.parametrize("source", ["file", "parts"], indirect=True)
def test_store_that_knows_no_condition_is_used_without(source, s3_root, monkeypatch):
    expected = hash_path(source)
    store = open_store(s3_root)
    inner = s3.S3Objects._method

    def unable(self, method, **options):
        if "IfNoneMatch" in options:
            error = OSError("not implemented")
            error.response = {"Error": {"Code": "NotImplemented"}}
            error.response["ResponseMetadata"] = {"HTTPStatusCode": 501}
            raise error
        return inner(self, method, **options)

    monkeypatch.setattr(s3.S3Objects, "_method", unable)
    store.put(source, NAME, expected)
    assert judge(store, expected)


def forget_connections() -> None:
    """Have the next store read the environment anew."""
    import s3fs  # noqa: PLC0415

    s3fs.S3FileSystem.clear_instance_cache()
