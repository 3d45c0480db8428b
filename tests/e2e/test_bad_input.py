"""Bad input: an error of our own tree that says what was expected, what came and what to do.

Nothing is recorded by it, nothing is stored, and the ledger works on.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.content import hashing
from ledger.upkeep.backup import restore
from tests.support.door import artifact, file, label
from tests.support.processes import environment

# Refused before it comes to a database: one of the two is enough.
pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.parametrize("here", ["sqlite"], indirect=True),
]


# --- files ----------------------------------------------------------------------------------------


def test_missing_file(refuses):
    error = refuses(lambda: ln.Artifact("nowhere.txt"), "MissingFileError", "nowhere.txt")
    assert isinstance(error, FileNotFoundError)


@pytest.mark.parametrize("path", ["", "  ", "~nobody-of-this-name/x.txt", "a\0b", "x.txt/below"])
def test_paths_that_are_none(refuses, path):
    file("x.txt")
    kinds = {"~": "MissingFileError", "x": "MissingFileError"}
    refuses(lambda: ln.Artifact(path), kinds.get(path[:1], "InvalidValueError"))


@pytest.mark.parametrize("given", [b"bytes", 3, None, ["a.txt"], {"a": 1}, object()])
def test_content_itself_is_not_a_path(refuses, given):
    refuses(lambda: ln.Artifact(given), "InvalidValueError", type(given).__name__, "path")


def test_socket(refuses):
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("s.sock")
        refuses(lambda: ln.Artifact("s.sock"), "UnsupportedFileError", "s.sock", "a socket")


def test_named_pipe(refuses):
    os.mkfifo("pipe")
    refuses(lambda: ln.Artifact("pipe"), "UnsupportedFileError", "pipe", "a named pipe")


def test_device(refuses):
    refuses(lambda: ln.Artifact("/dev/null"), "UnsupportedFileError", "/dev/null", "a device")


def test_dangling_link_and_circle_of_links(refuses):
    Path("dangling").symlink_to("nowhere")
    Path("circle").symlink_to("circle")
    refuses(lambda: ln.Artifact("dangling"), "UnsupportedFileError", "dangling", "leads nowhere")
    refuses(lambda: ln.Artifact("circle"), "UnsupportedFileError", "circle")


@pytest.mark.parametrize("what", ["pipe", "socket", "dangling link"])
def test_folder_that_holds_something_unsupported(refuses, what):
    file("folder/good.txt")
    bad = Path("folder/bad")
    listening = socket.socket(socket.AF_UNIX)
    with closing(listening):
        if what == "pipe":
            os.mkfifo(bad)
        elif what == "socket":
            listening.bind(str(bad))
        else:
            bad.symlink_to("nowhere")
        refuses(lambda: ln.Artifact("folder"), "UnsupportedFileError", "bad")
        refuses(lambda: ln.Artifact.from_dir("folder"), "UnsupportedFileError", "bad")


class Growing:
    """A reader whose file grows with every read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = path.open("rb")

    def readinto(self, buffer):
        with self._path.open("a") as stream:
            stream.write("more")
        return self._reader.readinto(buffer)

    def read(self, size=-1):
        with self._path.open("a") as stream:
            stream.write("more")
        return self._reader.read(size)

    def fileno(self):
        return self._reader.fileno()

    def close(self):
        self._reader.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def test_file_that_changes_while_it_is_hashed(refuses, monkeypatch):
    path = file("growing.txt")
    monkeypatch.setattr(hashing, "open_regular", lambda name: Growing(Path(name)))
    refuses(lambda: ln.Artifact(path), "FileChangedError", "growing.txt")


def test_file_that_changes_between_hashing_and_saving(refuses):
    made = ln.Artifact(file("a.txt", "as it was hashed"))
    file("a.txt", "as it is copied")
    refuses(made.save, "FileChangedError", "a.txt", "expected sha256:", "found sha256:")
    file("a.txt", "as it was hashed")
    assert made.save().load() == "as it was hashed"


def test_file_that_is_gone_when_it_is_saved(refuses):
    made = ln.Artifact(file("a.txt"))
    Path("a.txt").unlink()
    refuses(made.save, "MissingFileError", "a.txt")


def test_folder_that_becomes_a_file_before_it_is_saved(refuses):
    file("f/a.txt")
    made = ln.Artifact("f")
    shutil.rmtree("f")
    file("f")
    refuses(made.save, "FileChangedError", "expected a folder")


def test_the_storage_itself_is_no_content(refuses):
    artifact("a.txt")
    refuses(lambda: ln.Artifact("storage").save(), "InvalidValueError", "storage")


def test_from_dir_wants_a_folder(refuses):
    file("a.txt")
    refuses(lambda: ln.Artifact.from_dir("a.txt"), "InvalidValueError", "a.txt", "folder")
    refuses(lambda: ln.Artifact.from_dir("nowhere"), "InvalidValueError", "nowhere")
    refuses(lambda: ln.Artifact.from_dir(3), "InvalidValueError", "int")
    refuses(lambda: ln.Artifact.from_dir(""), "InvalidValueError")


# A user without rights; a test that runs as root gives up its own first.
WITHOUT_RIGHTS = """
import os, sys
import ledger as ln
from ledger.registries import artifact, collection, ulabel, transform, run
from ledger.registries import loaders as loading
import ledger.eventlog.sqlite_log, projections.sql.sqlite
import ledger.content.local, ledger.content.hash_cache
import ledger.registries.text_search, ledger.api
ln.settings.verbosity = "error"
what, path = sys.argv[1:]
ln.ULabel(name="opens everything").save()
# What is imported later may lie where this user cannot go.
with open("warm.txt", "w") as stream:
    stream.write("warm")
ln.Artifact("warm.txt").save().cache()
if os.geteuid() == 0:
    os.seteuid(65534)
head = ln.head()
try:
    if what == "read":
        ln.Artifact(path)
    elif what == "store":
        ln.Artifact(path).save()
    else:
        ln.close()
        ln.ULabel(name="cannot be saved").save()
except ln.errors.LedgerError as error:
    print(type(error).__name__, error)
if os.getuid() == 0:
    os.seteuid(0)
assert ln.head() == head, "something was recorded"
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user can reach, with a ledger that every user can write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    ln.init("storage", root=folder)
    ln.connect(folder)
    artifact("first.txt")
    ln.close()
    for path in folder.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    yield folder
    ln.close()
    for path in [folder, *folder.rglob("*")]:
        if path.is_dir():
            path.chmod(0o777)
    shutil.rmtree(folder)


def without_rights(folder: Path, what: str, path: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_RIGHTS, what, str(path)],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_unreadable_file(shared):
    secret = shared / "secret.txt"
    secret.write_text("x")
    secret.chmod(0)
    said = without_rights(shared, "read", secret)
    assert said.startswith("UnreadableFileError")
    assert "secret.txt" in said


def test_unreadable_file_in_a_folder(shared):
    (shared / "folder").mkdir()
    (shared / "folder").chmod(0o777)
    secret = shared / "folder" / "secret.txt"
    secret.write_text("x")
    secret.chmod(0)
    said = without_rights(shared, "read", shared / "folder")
    assert said.startswith("UnreadableFileError")
    assert "secret.txt" in said


def test_storage_that_cannot_be_written(shared):
    (shared / "storage" / ".metaledger").chmod(0o555)
    (shared / "new.txt").write_text("new")
    (shared / "new.txt").chmod(0o666)
    said = without_rights(shared, "store", shared / "new.txt")
    assert said.startswith("StorageError")
    assert "ermission" in said
    assert str(shared / "storage") in said


def test_database_that_cannot_be_written(shared):
    (shared / ".metaledger" / "ledger.db").chmod(0o444)
    (shared / ".metaledger").chmod(0o555)
    said = without_rights(shared, "database", shared)
    assert said.startswith("ReadOnlyLedgerError")
    assert "nothing was recorded" in said


# --- names, keys and other values -----------------------------------------------------------------

BAD_NAMES = {
    "": "blank",
    " \t ": "blank",
    "x" * 256: "255",
    "a\x00b": "control",
    "a\x1b[31mred": "control",
    "a\nb": "control",
    "a\x7f": "control",
    "a\x85b": "control",
    "a\ud800": "control",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names(refuses, name):
    refuses(lambda: ln.ULabel(name=name), "InvalidValueError", "ULabel.name", BAD_NAMES[name])
    refuses(lambda: ln.Transform(name=name, key="k"), "InvalidValueError", "Transform.name")
    good = label("good")
    with pytest.raises(ln.errors.InvalidValueError):
        good.name = name
    assert good.name == "good"


@pytest.mark.parametrize("name", ["x" * 255, "🦠" * 255, "e\u0301" * 255])
def test_names_up_to_the_limit_are_taken(name):
    assert label(name).is_saved


@pytest.mark.parametrize("name", [3, b"x", ["x"], True, 1.5, object()])
def test_names_of_another_type(refuses, name):
    refuses(lambda: ln.ULabel(name=name), "InvalidValueError", "text", type(name).__name__)


@pytest.mark.parametrize(
    ("given", "word"),
    [(3, "int"), ("x" * 4097, "4,096"), ("\ud800", "control"), ("\x00", "control")],
)
def test_descriptions(refuses, given, word):
    path = file("a.txt")
    refuses(lambda: ln.ULabel(name="x", description=given), "InvalidValueError", word)
    refuses(lambda: ln.Artifact(path, description=given), "InvalidValueError", word)


@pytest.mark.parametrize(
    "key",
    [
        *("", " ", "/absolute", "../up", "a/../b", "a//b", "./a", "a/", "a\\b", "a\nb"),
        *("\ud800", "k" * 1025),
    ],
)  # fmt: skip
def test_keys(refuses, key):
    path = file("a.txt")
    refuses(lambda: ln.Artifact(path, key=key), "InvalidValueError", "Artifact.key")


@pytest.mark.parametrize("key", [3, b"k", ["k"]])
def test_keys_of_another_type(refuses, key):
    path = file("a.txt")
    refuses(lambda: ln.Artifact(path, key=key), "InvalidValueError", "text")


@pytest.mark.parametrize("version", [1, "", " ", "v" * 65, "1\n", "\ud800", 1.0])
def test_versions(refuses, version):
    path, member = file("a.txt"), artifact("b.txt")
    kind = "InvalidValueError"
    refuses(lambda: ln.Artifact(path, version=version), kind, "Artifact.version")
    refuses(lambda: ln.Collection([member], name="c", version=version), kind, "Collection.version")
    refuses(lambda: ln.Transform(key="t", version=version), kind, "Transform.version")


@pytest.mark.parametrize("other", [3, "uid", object()])
def test_revised_records_of_another_type(refuses, other):
    path, member = file("a.txt"), artifact("b.txt")
    refuses(lambda: ln.Artifact(path, revises=other), "InvalidValueError", "an Artifact")
    refuses(
        lambda: ln.Collection([member], name="c", revises=other), "InvalidValueError", "Collection"
    )


def test_revising_what_was_not_saved(refuses):
    unsaved, path = ln.Artifact(file("a.txt")), file("b.txt")
    refuses(lambda: ln.Artifact(path, revises=unsaved), "NotSavedError", "save()")


@pytest.mark.parametrize("flag", ["yes", 1, None])
def test_choices_are_true_or_false(refuses, flag):
    member, tag, path = artifact("a.txt"), label("x"), file("b.txt")
    refuses(lambda: tag.delete(permanent=flag), "InvalidValueError", "True or False")
    refuses(lambda: ln.Collection([member], name="c", ordered=flag), "InvalidValueError", "True")
    refuses(lambda: ln.Artifact(path, rehash=flag), "InvalidValueError", "True or False")


@pytest.mark.parametrize(
    ("call", "near"),
    [
        ('ln.ULabel(name="x", descripton="d")', "did you mean 'description'?"),
        ('ln.Artifact("a.txt", desciption="d")', "did you mean 'description'?"),
        ('ln.Transform(name="x", verison="1")', "did you mean 'version'?"),
        ('ln.Collection([], name="c", order=True)', "is_ordered"),
        ('ln.ULabel.filter(nam="x")', "did you mean 'name'?"),
        ('ln.Artifact.filter(label__name="x")', "did you mean 'labels'?"),
        ('ln.Artifact.filter(labels__nme="x")', "did you mean 'name'?"),
        ('ln.ULabel.filter().order_by("nmae")', "did you mean 'name'?"),
        ('ln.ULabel.lookup("nmae")', "did you mean 'name'?"),
        ('ln.ULabel.filter().to_list("nmae")', "did you mean 'name'?"),
        ('ln.ULabel.filter().distinct("nmae")', "did you mean 'name'?"),
        ('ln.ULabel.get(nmae="x")', "did you mean 'name'?"),
    ],
)
def test_unknown_fields_are_refused_with_the_nearest(refuses, call, near):
    file("a.txt")
    refuses(lambda: eval(call), "UnknownFieldError", near)  # noqa: S307 (a table of what users write)


def test_fields_that_are_not_to_be_assigned(refuses):
    record = label("x")
    for field in ("uid", "created_at", "created_by", "run", "artifacts"):
        refuses(lambda field=field: setattr(record, field, "y"), "InvalidValueError", "name")
    refuses(lambda: setattr(record, "nmae", "y"), "UnknownFieldError", "did you mean 'name'?")
    refuses(lambda: delattr(record, "name"), "UnknownFieldError", "assign None")


def test_records_without_what_identifies_them(refuses):
    refuses(ln.ULabel, "InvalidValueError", "name")
    refuses(ln.Transform, "InvalidValueError", "name or a key")
    refuses(ln.Run, "InvalidValueError", "track()")


@pytest.mark.usefixtures("here")
def test_a_working_folder_that_is_gone_is_one_clear_error(tmp_path, monkeypatch):
    known = label("known")
    kept = file("kept.txt").absolute()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    # The ledger in use stays the one in use, and absolute paths need no working folder.
    assert ln.ULabel.get(name="known") == known
    made = ln.Artifact(kept).save()
    for attempt in (
        lambda: ln.Artifact("kept.txt"),
        lambda: ln.init(storage="storage"),
        ln.connect,
        lambda: ln.connect("somewhere"),
        lambda: ln.find("./kept.txt"),
        lambda: restore("monday.backup"),
    ):
        with pytest.raises(ln.errors.NotFoundError, match="the working folder is gone"):
            attempt()
    assert made.load() == "kept.txt"


def test_the_command_in_a_working_folder_that_is_gone(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    script = "cd gone && rmdir ../gone && exec '{0}' -m ledger list artifact"
    done = subprocess.run(
        ["/bin/sh", "-c", script.format(sys.executable)],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: the working folder is gone")
    assert "Errno" not in done.stderr
