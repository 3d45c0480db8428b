"""A ledger on a server, used where it has no folder: named by `METALEDGER_URL` or `connect()`."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.places import databases, discovery, instance, server_ledger
from ledger.places.config import load
from tests.e2e.command import metaledger
from tests.support.door import artifact, label

SECRET = "not-to-be-shown"  # noqa: S105 (the server asks for none)
SCRIPT = """
import ledger as ln
ln.track()
ln.ULabel(name="from elsewhere").save()
open("b.txt", "w").write("b")
ln.Artifact("b.txt", key="b.txt").save()
ln.finish()
"""


@pytest.fixture
def url(ledger_folder, postgres, tmp_path, monkeypatch):
    """URL of a ledger that was made in another folder, which has one file in its storage."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv(server_ledger.STORAGE_VARIABLE, raising=False)
    ln.init(tmp_path / "storage", database=str(postgres), name="shared")
    artifact("a.txt", key="a.txt")
    ln.close()
    instance._current = None
    assert load(ledger_folder, origin="").configuration.database == str(postgres)
    yield str(postgres)
    ln.close()
    instance._current = None


@pytest.fixture
def elsewhere(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    return folder


def test_a_script_works_on_the_ledger_that_a_variable_names(url, elsewhere, tmp_path):
    (elsewhere / "script.py").write_text(SCRIPT)
    for events in (6, 0):
        before = metaledger(elsewhere, "info", "--json", METALEDGER_URL=url).json["head"]
        run_script(elsewhere, url)
        told = metaledger(elsewhere, "info", "--json", METALEDGER_URL=url).json
        assert bool(told["head"] - before) == bool(events)
    assert (told["name"], told["origin"]) == ("shared", "variable METALEDGER_URL")
    assert told["storage"] == str(tmp_path / "storage")
    assert not (elsewhere / ".metaledger").exists()
    assert len(list((tmp_path / "storage" / ".metaledger").glob("*.txt"))) == 2
    # Who works from the folder sees what came from elsewhere, and nothing is wrong.
    assert ln.Artifact.get(key="b.txt").load() == "b"
    assert metaledger(elsewhere, "audit", "--content", METALEDGER_URL=url).status == 0
    rows = metaledger(elsewhere, "config", "--json", METALEDGER_URL=url).json
    named = {row["setting"]: row["source"] for row in rows}
    assert named["storage"] == "variable METALEDGER_URL"
    assert named["settings.verbosity"] == "default"


def run_script(folder, url):
    import subprocess  # noqa: PLC0415
    import sys  # noqa: PLC0415

    from tests.e2e.command import environment  # noqa: PLC0415

    done = subprocess.run(
        [sys.executable, "script.py"],
        cwd=folder,
        env=environment(METALEDGER_URL=url),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_ledger_can_be_connected_to_by_its_url(url, elsewhere, monkeypatch):
    monkeypatch.chdir(elsewhere)
    ln.connect(url)
    assert ln.Artifact.filter().one().key == "a.txt"
    label("by its url")
    assert ln.ULabel.filter().count() == 1


def test_the_variable_says_where_new_content_goes(url, elsewhere, monkeypatch, tmp_path):
    monkeypatch.chdir(elsewhere)
    monkeypatch.setenv(server_ledger.STORAGE_VARIABLE, str(tmp_path / "other"))
    ln.connect(url)
    made = artifact("c.txt", key="c.txt")
    assert made.path.parent.parent == tmp_path / "other"
    assert ln.Artifact.get(key="a.txt").load() == "a.txt"


def test_a_password_in_the_url_is_used_and_not_shown(url, elsewhere):
    given = url.replace("//postgres@", f"//postgres:{SECRET}@")
    place = discovery.locate(given)
    assert SECRET not in repr(place)
    assert databases.open_database(place).url.secrets() == {"password": SECRET}
    databases._remembered.clear()
    for verb in ("info", "config"):
        said = metaledger(elsewhere, verb, METALEDGER_URL=given)
        assert SECRET not in said.out + said.err


def refused(folder, url, *words):
    said = metaledger(folder, "info", status=1, METALEDGER_URL=url)
    for word in words:
        assert word in said.err


def test_what_cannot_be_known_is_asked_for(url, elsewhere, postgres_url, ledger_folder):
    refused(elsewhere, postgres_url, "expected a schema", "?schema=")
    refused(elsewhere, url + "_not", "right schema")
    refused(elsewhere, "mysql://host/db", "postgresql://")
    withdraw_all(ledger_folder)
    refused(elsewhere, url, "METALEDGER_STORAGE=")
    told = metaledger(
        elsewhere, "info", "--json", METALEDGER_URL=url, METALEDGER_STORAGE="s3://b/p"
    )
    assert told.json["storage"] == "s3://b/p"


def withdraw_all(folder):
    """Withdraw the only artifact that tells where content is."""
    ln.connect(folder)
    ln.Artifact.get(key="a.txt").delete(permanent=True, storage=True)
    ln.close()


def test_a_folder_beside_another_configuration_has_to_be_named(
    ledger_folder, postgres, elsewhere, tmp_path
):
    ln.init("storage", database=str(postgres))
    artifact("a.txt", key="a.txt")
    ln.close()
    refused(elsewhere, str(postgres), "'storage' beside a configuration", "METALEDGER_STORAGE=")
    env = {"METALEDGER_URL": str(postgres), "METALEDGER_STORAGE": str(tmp_path / "new")}
    assert metaledger(elsewhere, "info", "--json", **env).json["head"] == 2
    assert (ledger_folder / "storage").exists()


def test_a_ledger_is_taken_away_only_where_its_configuration_is(url, elsewhere, tmp_path):
    env = {"METALEDGER_URL": url, "METALEDGER_STORAGE": str(tmp_path / "nothing")}
    said = metaledger(elsewhere, "delete", "shared", "--force", status=1, **env)
    assert "delete it from the folder that has it" in said.err
    assert metaledger(elsewhere, "info", "--json", **env).json["head"] == 2
