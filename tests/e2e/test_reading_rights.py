"""Reading needs no right to write: a read-only mount, a snapshot, a ledger of another user."""

from __future__ import annotations

import datetime as dt
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger.eventlog.sqlite_evidence import SqliteEvidence
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.upkeep.rebuild import rebuild
from tests.e2e.command import metaledger
from tests.golden.state import state_of
from tests.golden.test_golden import LOGS, restored
from tests.support.door import artifact, label, names
from tests.support.processes import environment
from tests.support.without_rights import read_only


@pytest.fixture(autouse=True)
def caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache folder: a ledger that cannot be written has its caches there."""
    folder = tmp_path / "user-cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger in a file: a label, an artifact with it, and a tag."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    ln.init("storage")
    ln.connect()
    artifact("a.csv", "a,b\n1,2\n", key="a.csv").labels.add(label("one"))
    ln.tag("v1")
    ln.close()
    return folder


def beside(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / ".metaledger").iterdir())


def save_elsewhere(folder: Path, name: str) -> None:
    """Save a label from another process, in the place where that may be done.

    The process ends as programs do, and writes its log back into the file.
    """
    metaledger(folder, "label", "add", name, LANG="C.UTF-8")


# --- whatever reads -----------------------------------------------------------------------------

VERBS = (
    "info",
    "config",
    "list artifact",
    "list ulabel --as-of 2",
    "list ulabel --as-of v1",
    "list ulabel --as-of {now}",
    "show {uid}",
    "lineage {uid}",
    "history {uid}",
    "log",
    "search one",
    "diff 1 v1",
    "tag",
    "get {uid} {out}/a.csv",
    "artifact add a.csv",
    "doctor --content",
    "audit --content",
    "export {out}/archive",
    "export tables {out}/tables",
    "export crate {uid} {out}/crate",
    "export prov {uid} {out}/a.prov.json",
)


def test_each_verb_that_reads_does_where_nothing_can_be_written(work, tmp_path):
    known = {
        "uid": ln.Artifact.get(key="a.csv").uid,
        "out": str(tmp_path),
        "now": dt.datetime.now(dt.UTC).isoformat(),
    }
    ln.close()
    before = beside(work)
    with read_only(work) as place:
        for verb in VERBS:
            said = metaledger(place, *(word.format(**known) for word in verb.split()))
            assert "cannot be written" not in said.out + said.err
    assert beside(work) == before
    assert metaledger(tmp_path, "audit", "--archive", "archive").status == 0


def test_the_public_door_answers_where_nothing_can_be_written(work):
    now = dt.datetime.now(dt.UTC)
    with read_only(work) as place:
        ln.connect(place)
        found = ln.Artifact.get(key="a.csv")
        assert found.path.read_text() == "a,b\n1,2\n"
        assert found.load() is not None
        assert [names(ln.as_of(point).ULabel.filter()) for point in (1, "v1", now)] == [
            [],
            ["one"],
            ["one"],
        ]
        assert len(list(ln.since(0))) == ln.head()
        assert ln.audit(content=True).ok
        with ln.plan() as plan:
            label("two")
        assert len(plan.events) == 1
        ln.close()


CHANGES = {
    "a label": lambda: label("two"),
    "an artifact": lambda: ln.Artifact("b.csv", key="b.csv").save(),
    "a run": lambda: ln.track(key="script.py"),
    "a batch": lambda: ln.save([ln.ULabel(name="two"), ln.ULabel(name="three")]),
    "a tag": lambda: ln.tag("v2"),
    "a field": lambda: rename(ln.ULabel.get(name="one")),
    "a rebuild": rebuild,
    "a checkpoint": ln.checkpoint,
}


def rename(record: ln.ULabel) -> None:
    record.name = "other"
    record.save()


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_is_one_clear_error_and_nothing_of_it_stays(work, what):
    (work / "b.csv").write_text("b")
    head = ln.head()
    stored = beside(work / "storage")
    ln.close()
    with read_only(work) as place:
        ln.connect(place)
        with pytest.raises(ln.errors.ReadOnlyLedgerError, match="cannot be written to by this"):
            CHANGES[what]()
        assert ln.head() == head
        ln.close()
    assert beside(work / "storage") == stored


def test_the_right_to_write_that_is_given_later_is_found(work, monkeypatch):
    monkeypatch.setattr("ledger.files.may", lambda _path, what: what == os.R_OK)
    ln.connect()
    with pytest.raises(ln.errors.ReadOnlyLedgerError):
        label("two")
    monkeypatch.undo()
    monkeypatch.chdir(work)
    label("two")
    assert names(ln.ULabel.filter()) == ["one", "two"]


# --- copies and older ledgers -------------------------------------------------------------------


def test_a_snapshot_with_its_write_ahead_log_is_read_to_its_end(work, tmp_path):
    ln.connect()
    label("in the write-ahead log alone")
    snapshot = tmp_path / "snapshot"
    # As a snapshot of the disk takes it. The process that copies has none of these files open.
    subprocess.run([shutil.which("cp") or "cp", "-R", work, snapshot], check=True)
    ln.close()
    (snapshot / ".metaledger" / "ledger.db-shm").unlink()
    assert (snapshot / ".metaledger" / "ledger.db-wal").stat().st_size
    with read_only(snapshot) as place:
        ln.connect(place)
        assert names(ln.ULabel.filter()) == ["one", "in the write-ahead log alone"]
        assert names(ln.as_of("v1").ULabel.filter()) == ["one"]
        assert ln.audit(content=True).ok
        with pytest.raises(ln.errors.ReadOnlyLedgerError):
            label("two")
        ln.close()


@pytest.mark.usefixtures("ledger_folder")
@pytest.mark.parametrize("name", LOGS)
def test_a_ledger_of_an_earlier_program_says_the_same_where_nothing_can_be_written(name, tmp_path):
    folder = tmp_path / "old"
    folder.mkdir()
    os.chdir(folder)
    restored(name)
    golden = Path(__file__).parents[1] / "golden" / f"{name}.json"
    before = beside(folder)
    with read_only(folder) as place:
        ln.connect(place)
        assert state_of() == json.loads(golden.read_text("utf-8"))
        with pytest.raises(ln.errors.ReadOnlyLedgerError):
            label("two")
        aside = instance.current().database._aside._folder.name
        assert (Path(aside) / "ledger.db").stat().st_size
        ln.close()
        assert not Path(aside).exists()
    assert beside(folder) == before


# --- beside a writer ----------------------------------------------------------------------------


def test_a_reader_without_rights_sees_what_a_writer_records_meanwhile(work):
    with read_only(work) as place:
        ln.connect(place)
        for name in ("three", "two"):
            save_elsewhere(work, name)
            assert name in names(ln.ULabel.filter())
        assert ln.audit().ok
        ln.close()


def test_a_reader_without_rights_sees_what_an_open_writer_has_not_written_back(work):
    code = (
        "import sys, ledger as ln; ln.settings.verbosity = 'error'\n"
        "for line in sys.stdin: ln.ULabel(name=line.strip()).save(); print('saved', flush=True)"
    )
    with (
        subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=work,
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as writer,
        read_only(work) as place,
    ):
        ln.connect(place)
        for name in ("b", "c"):
            writer.stdin.write(f"{name}\n")
            writer.stdin.flush()
            assert writer.stdout.readline() == "saved\n"
            assert (work / ".metaledger" / "ledger.db-wal").stat().st_size
            assert name in names(ln.ULabel.filter())
        assert ln.audit().ok
        ln.close()
        writer.stdin.close()


def test_an_answer_that_would_mix_two_moments_is_refused(work):
    with read_only(work) as place:
        ln.connect(place)
        current = instance.current()

        def asked() -> None:
            with current.reading() as session:
                session.log.head()
                save_elsewhere(work, "two")

        with pytest.raises(ln.errors.StorageError, match="mix two moments: ask again"):
            asked()
        assert names(ln.ULabel.filter()) == ["one", "two"]
        ln.close()


def test_an_audit_that_would_mix_two_moments_is_refused(work, monkeypatch):
    with read_only(work) as place:
        checked = SqliteEvidence.check

        def meanwhile(self: SqliteEvidence) -> Iterator[tuple[str, str, str]]:
            save_elsewhere(work, "two")
            yield from checked(self)

        monkeypatch.setattr(SqliteEvidence, "check", meanwhile)
        with pytest.raises(ln.errors.StorageError, match="mix two moments: ask again"):
            ln.audit(place=place)
        monkeypatch.undo()
        assert ln.audit(place=place).ok


# --- another user -------------------------------------------------------------------------------

ANOTHER_USER = """
import json, os, sys, tomllib, unittest.mock, importlib, pkgutil
import ledger as ln, ledger, projections
for package in (ledger, projections):
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
ln.settings.verbosity = "error"
if os.geteuid() == 0:
    os.setegid(65534); os.seteuid(65534)
said = {}
def tried(name, deed):
    try:
        said[name] = deed()
    except ln.errors.LedgerError as error:
        said[name] = f"{type(error).__name__}: {error}"
tried("read", lambda: [it.name for it in ln.ULabel.filter()])
tried("audit", lambda: ln.audit().ok)
tried("save", lambda: ln.ULabel(name="x").save() and None)
tried("track", lambda: ln.track(key="s.py") and None)
tried("construct", lambda: ln.Artifact("a.csv").uid)
ln.close()
if os.getuid() == 0:
    os.seteuid(0)
print(json.dumps(said))
"""


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user reaches, with a ledger that its owner alone can write."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    ln.init("storage", root=folder)
    ln.connect(folder)
    (folder / "a.csv").write_text("a")
    ln.Artifact(folder / "a.csv", key="a.csv").save()
    label("one")
    ln.close()
    yield folder
    ln.close()
    for path in [folder, *folder.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    shutil.rmtree(folder)


def as_another(folder: Path, **variables: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", ANOTHER_USER],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


def close_to(folder: Path, mode: int, below: int) -> None:
    """Take rights away at the ledger's folder and the files in it, from its owner too."""
    for path in (folder / ".metaledger").iterdir():
        path.chmod(mode if not path.is_dir() else 0o777 & (mode | 0o111))
    (folder / ".metaledger").chmod(below)


# Of what another user may do with the folder, to the file, and the folder's mode.
RIGHTS: dict[str, tuple[int, int]] = {
    "nothing written": (0o444, 0o555),
    "files made, and no database written": (0o444, 0o777),
    "the database written, and no file made": (0o666, 0o555),
}


@pytest.mark.parametrize("rights", RIGHTS)
def test_a_ledger_of_another_user_is_read_and_left_as_it_is(shared, rights):
    close_to(shared, *RIGHTS[rights])
    before = beside(shared)
    said = as_another(shared)
    assert said["read"] == ["one"]
    assert said["audit"] is True
    for change in ("save", "track"):
        assert str(said[change]).startswith("ReadOnlyLedgerError: ledger database "), said
    assert len(str(said["construct"])) == 20
    assert beside(shared) == before
    ln.connect(shared)
    label("its owner goes on")
    assert ln.audit(place=shared).ok


@pytest.mark.parametrize(
    ("closed", "kind"),
    [
        (lambda folder: folder.chmod(0), "ConfigurationError: ledger in "),
        (lambda folder: (folder / "config.toml").chmod(0), "ConfigurationError: configuration "),
        (lambda folder: (folder / "ledger.db").chmod(0), "StorageError: ledger database "),
    ],
)
def test_a_ledger_that_cannot_be_read_is_one_error_of_ours(
    shared, closed: Callable[[Path], None], kind: str
):
    closed(shared / ".metaledger")
    said = as_another(shared)
    assert all(str(found).startswith(kind) for found in said.values()), said
    assert all("Errno" not in str(found) for found in said.values()), said


@pytest.mark.parametrize("keys", ["missing", "closed"])
def test_a_ledger_is_read_without_a_home_and_with_keys_that_are_closed(shared, keys):
    folder = shared / "keys"
    if keys == "closed":
        folder.mkdir()
        folder.chmod(0)
    close_to(shared, 0o444, 0o555)
    nowhere = str(shared / "no-home")
    said = as_another(shared, METALEDGER_KEY_DIR=str(folder), HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert (said["read"], said["audit"]) == (["one"], True)


def test_a_user_without_a_home_has_caches_and_no_keys(monkeypatch, work):
    def homeless(*_: object) -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("XDG_CACHE_HOME", "METALEDGER_KEY_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    with read_only(work) as place:
        ln.connect(place)
        assert names(ln.ULabel.filter()) == ["one"]
        assert ln.audit().ok
        assert instance.current().cache_folder.parent.name.startswith("metaledger-cache-")
        ln.close()
    ln.connect(work)
    with pytest.raises(ln.errors.KeyUnavailableError, match="set METALEDGER_KEY_DIR"):
        ln.checkpoint()


# --- caches -------------------------------------------------------------------------------------


def test_caches_of_a_ledger_that_cannot_be_written_are_those_of_the_user(work, caches):
    with read_only(work) as place:
        ln.connect(place)
        current = instance.current()
        assert current.cache_folder.is_relative_to(caches)

        def fetch(path: Path) -> None:
            path.write_text("x")

        digest = f"sha256:{0:064}"
        current.content_cache.get(digest, ".txt", size=1, limit=None, fetch=fetch)
        current.hash_cache.flush()
        ln.close()
    ln.connect(work)
    assert instance.current().cache_folder == work / ".metaledger" / "cache"


# --- a server -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("ledger_folder")
def test_a_user_of_a_server_who_may_only_read_asks_as_of_any_time(postgres, monkeypatch, tmp_path):
    ln.init("storage", database=str(postgres))
    ln.connect()
    label("one")
    ln.close()
    with monkeypatch.context() as patch:
        patch.setenv("PGOPTIONS", "-c default_transaction_read_only=on")
        patch.setenv("METALEDGER_KEY_DIR", str(tmp_path / "no-keys"))
        with pytest.raises(ln.errors.ReadOnlyLedgerError):
            label("two")
        assert names(ln.as_of(dt.datetime.now(dt.UTC)).ULabel.filter()) == ["one"]
        assert export(tmp_path / "archive").events == ln.head()
        ln.close()
    assert ln.audit(archive=tmp_path / "archive").ok
