"""The audit reads contents where the ledger says they are, whatever folder it is called from."""

from __future__ import annotations

import shutil
import time
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.content.hash_cache import HashCache
from ledger.content.hashing import hash_path
from ledger.errors import ConfigurationError
from ledger.places import instance
from ledger.places.caches import cache_folder
from ledger.places.discovery import locate
from ledger.transfer.archive_export import export
from ledger.upkeep.doctor import examine
from tests.e2e.command import metaledger
from tests.support.door import artifact, file

PLACES = ("its folder", "a folder below", "a folder elsewhere", "a file URL", "its path")
CONTENTS = 6


@pytest.fixture
def kept(ledger_folder, tmp_path):  # noqa: ARG001 (the working folder)
    """The uids of what is kept, by how: copied and in place, in both storages; all are closed."""
    ln.init("./storage")
    file("folder/b.txt")
    file("storage/raw/d/e.txt")
    at_url = (tmp_path / "at url").as_uri()
    file(str(tmp_path / "at url" / "raw.txt"))
    made = {
        "copied file": artifact("a.txt"),
        "copied folder": ln.Artifact("folder").save(),
        "file in place": artifact("storage/c.txt"),
        "folder in place": ln.Artifact("storage/raw/d").save(),
        "copied file at a URL": artifact("f.txt", storage=at_url),
        "file in place at a URL": ln.Artifact(tmp_path / "at url/raw.txt", storage=at_url).save(),
    }
    in_place = [how for how, each in made.items() if each._row["in_place"]]
    assert in_place == [how for how in made if "in place" in how]
    paths = {each.uid: Path(str(each.path)) for each in made.values()}
    ln.close()
    return paths


@pytest.fixture(params=PLACES)
def asked(request, ledger_folder, tmp_path, monkeypatch):
    """What is given to the audit, in a folder where another ledger's content has the same path."""
    below, elsewhere = ledger_folder / "folder" / "below", tmp_path / "elsewhere"
    for folder in (below, elsewhere):
        folder.mkdir(parents=True)
    shutil.copytree(ledger_folder / "storage", elsewhere / "storage")
    shutil.copytree(ledger_folder / "storage", below / "storage")
    where = request.param
    if where in {"a folder elsewhere", "a file URL"}:
        url = ledger_folder.as_uri() if where == "a file URL" else str(ledger_folder)
        monkeypatch.setenv("METALEDGER_URL", url)
    monkeypatch.chdir({"its folder": ledger_folder, "a folder below": below}.get(where, elsewhere))
    return ledger_folder if where == "its path" else None


def damage(path: Path) -> None:
    (path,) = path.glob("*.txt") if path.is_dir() else (path,)
    path.chmod(0o644)
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("is_open", [True, False])
def test_an_audit_that_finds_wrong_content_has_every_file_hashed_again(
    kept, ledger_folder, monkeypatch, is_open
):
    monkeypatch.chdir(ledger_folder)
    seen = file("seen.txt")
    with closing(HashCache(cache_folder(locate()) / "hashes.sqlite3")) as cache:
        cache.put(seen, hash_path(seen), hashed_at=time.time_ns() + 10**15)
        cache.flush()
        assert cache.get(seen, hash_path(seen).stamp) is not None
        damage(next(iter(kept.values())))
        if is_open:
            assert ln.head()
        assert not audit(content=True).ok
        assert cache.get(seen, hash_path(seen).stamp) is None


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()


def test_a_healthy_ledger_is_healthy_from_everywhere(kept, asked):
    report = audit(content=True, place=asked)
    assert (report.findings, report.contents) == ((), CONTENTS)
    assert len(kept) == CONTENTS


@pytest.mark.parametrize("first", range(0, CONTENTS, 2))
def test_damaged_and_missing_contents_are_found_from_everywhere(kept, asked, first):
    damaged, missing = list(kept)[first : first + 2]
    damage(kept[damaged])
    remove(kept[missing])
    report = audit(content=True, place=asked)
    found = {finding.subject: finding.found for finding in report.findings}
    assert {finding.kind for finding in report.findings} == {"content"}
    assert found.keys() == {f"artifact {uid}" for uid in (damaged, missing)}
    assert "found sha256:" in found[f"artifact {damaged}"]
    assert "found nothing" in found[f"artifact {missing}"]
    assert report.contents == CONTENTS
    if asked is None:
        told = {each.subject: each.kind for each in examine(instance.current(), content=True)}
        assert told == {damaged: "damaged-content", missing: "missing-content"}


def test_the_command_finds_contents_from_a_folder_below_and_from_elsewhere(
    kept, ledger_folder, tmp_path
):
    below = ledger_folder / "folder"
    for folder, variables in ((below, {}), (tmp_path, {"METALEDGER_URL": str(ledger_folder)})):
        said = metaledger(folder, "audit", "--content", "--json", **variables)
        assert said.json["contents"] == CONTENTS
    damage(next(iter(kept.values())))
    said = metaledger(below, "audit", "--content", "--json", status=1)
    assert [each["kind"] for each in said.json["findings"]] == ["content"]


# --- archives -------------------------------------------------------------------------------------


def test_contents_of_an_archive_are_those_beside_it(kept, ledger_folder, tmp_path, monkeypatch):
    export("archive")
    monkeypatch.chdir(tmp_path)
    report = audit(content=True, archive=ledger_folder / "archive")
    assert (report.findings, report.contents) == ((), CONTENTS)
    damage(next(iter(kept.values())))
    (finding,) = audit(content=True, archive=ledger_folder / "archive").findings
    assert finding.kind == "content"


@pytest.mark.usefixtures("kept")
def test_an_archive_without_storage_is_no_loss_of_content(tmp_path):
    export(tmp_path / "alone" / "archive")
    # The storage that lies in the working folder is that of the ledger, or of any other.
    assert Path("storage").exists()
    report = audit(content=True, archive=tmp_path / "alone" / "archive")
    (finding,) = report.findings
    assert (finding.kind, finding.subject) == ("unreadable", "storage ./storage")
    assert "an archive holds no content" in finding.found
    assert report.contents == CONTENTS - 4
    assert audit(archive=tmp_path / "alone" / "archive").ok


# --- a ledger on a server, without its folder -----------------------------------------------------


def test_content_beside_another_configuration_is_not_called_lost(
    ledger_folder, postgres, tmp_path, monkeypatch
):
    ln.init("storage", database=str(postgres))
    uid = artifact("a.txt").uid
    ln.close()
    monkeypatch.setenv("METALEDGER_URL", str(postgres))
    monkeypatch.setenv("METALEDGER_STORAGE", "new")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    other = artifact("b.txt")
    assert Path(str(other.path)).parent.parent == ledger_folder / "new"
    report = audit(content=True)
    (finding,) = report.findings
    assert (finding.kind, finding.subject) == ("unreadable", "storage storage")
    assert report.contents == 1
    with pytest.raises(ConfigurationError, match="beside a configuration that is not here"):
        ln.Artifact.get(uid).load()
    told = {each.kind for each in examine(instance.current(), content=True)}
    assert "unreadable" in told
    assert not told & {"missing-content", "damaged-content"}
    ln.close()
