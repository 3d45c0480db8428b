"""Bad requests: members, modes, settings, questions, runs, places that are no ledger.

As for bad input: an error of our own tree, and nothing recorded.
"""

from __future__ import annotations

import datetime as dt
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from tests.support.door import artifact, file, label

# Refused before it comes to a database: one of the two is enough.
pytestmark = [
    pytest.mark.usefixtures("here"),
    pytest.mark.parametrize("here", ["sqlite"], indirect=True),
]

AWARE = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


# --- collections and links ------------------------------------------------------------------------


def test_members_of_collections(refuses):
    one, tag, unsaved = artifact("a.txt"), label("x"), ln.Artifact(file("b.txt"))
    refuses(lambda: ln.Collection([unsaved], name="c"), "NotSavedError", "save()")
    refuses(lambda: ln.Collection([one, unsaved], name="c"), "NotSavedError")
    refuses(lambda: ln.Collection([], name="c"), "InvalidValueError", "at least one")
    refuses(lambda: ln.Collection([tag], name="c"), "InvalidValueError", "artifacts")
    refuses(lambda: ln.Collection(one, name="c"), "InvalidValueError", "list")
    refuses(lambda: ln.Collection(["uid"], name="c"), "InvalidValueError", "'uid'")
    refuses(lambda: ln.Collection(None, name="c"), "InvalidValueError", "None")
    refuses(lambda: ln.Collection([one], name=None), "InvalidValueError", "Collection.name")


def test_members_and_labels_of_another_ledger(refuses, tmp_path, here):
    mine, tag = artifact("mine.txt"), label("mine")
    other = tmp_path / "other"
    ln.init("storage", root=other)
    ln.connect(other)
    foreign, theirs = artifact("foreign.txt"), label("theirs")
    ln.connect(here)
    refuses(lambda: ln.Collection([mine, foreign], name="c").save(), "NotFoundError", foreign.uid)
    refuses(lambda: mine.labels.add(theirs), "NotFoundError", theirs.uid)
    refuses(lambda: mine.labels.add(tag, theirs), "NotFoundError", theirs.uid)
    assert mine.labels.all() == []


@pytest.mark.parametrize("other", ["uid", 3, None, ["x"]])
def test_labels_of_another_type(refuses, other):
    record = artifact("a.txt")
    refuses(lambda: record.labels.add(other), "InvalidValueError", "ULabel", repr(other))
    refuses(lambda: record.labels.remove(other), "InvalidValueError", "ULabel")


@pytest.mark.parametrize("given", [None, 3, ["text"], [None], "text"])
def test_saving_what_is_no_record(refuses, given):
    refuses(lambda: ln.save(given), "InvalidValueError", "save: expected")


# --- modes and settings ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["whatever", "", 3, None, ["error"]])
def test_unknown_modes(refuses, mode):
    words = ("warn_return_existing", "error", "warn_create_new")
    if mode is not None:
        path = file("a.txt")
        call = lambda: ln.Artifact(path, if_hash_exists=mode)  # noqa: E731
        refuses(call, "InvalidValueError", *words)
    setting = ln.settings.creation
    assign = lambda: setattr(setting, "artifact_if_hash_exists", mode)  # noqa: E731
    refuses(assign, "InvalidValueError", *words)
    assert setting.artifact_if_hash_exists == "warn_return_existing"


@pytest.mark.parametrize(
    ("section", "name", "value", "kind"),
    [
        ("", "verbositi", "hint", "UnknownSettingError"),
        ("", "verbosity", "loud", "InvalidValueError"),
        ("", "verbosity", 3, "InvalidValueError"),
        ("creation", "search_name", True, "UnknownSettingError"),
        ("creation", "search_names", "yes", "InvalidValueError"),
        ("transform", "stem_uid", "short", "InvalidValueError"),
        ("transform", "stem_uid", "ANW20Fr4eZg-", "InvalidValueError"),
        ("transform", "version", "", "InvalidValueError"),
        ("transform", "version", 1, "InvalidValueError"),
        ("transform", "versoin", "1", "UnknownSettingError"),
    ],
)
def test_settings(refuses, section, name, value, kind):
    target = getattr(ln.settings, section) if section else ln.settings
    refuses(lambda: setattr(target, name, value), kind, name)
    if kind == "UnknownSettingError":
        refuses(lambda: getattr(target, name), kind, "did you mean")


# --- questions ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "kind", "word"),
    [
        ("ln.ULabel.get()", "InvalidValueError", "uid or a field"),
        ('ln.ULabel.get("")', "InvalidValueError", "uid"),
        ("ln.ULabel.get(3.5)", "InvalidValueError", "3.5"),
        ('ln.ULabel.get("x", name="y")', "InvalidValueError", "both"),
        ('ln.ULabel.get("no such uid")', "NotFoundError", "no such uid"),
        ('ln.ULabel.get(name="nobody")', "NotFoundError", "nobody"),
        ('ln.ULabel.get(name__startswith="cro")', "MultipleResultsError", "2 records"),
        ("ln.Artifact.get(key=3)", "InvalidValueError", "text"),
        ("ln.ULabel.filter(name=None)", "InvalidValueError", "name__isnull=True"),
        ("ln.ULabel.filter(name=3)", "InvalidValueError", "text"),
        ('ln.ULabel.filter(name__like="x")', "InvalidValueError", "icontains"),
        ('ln.ULabel.filter(name__isnull="x")', "InvalidValueError", "True or False"),
        ('ln.ULabel.filter(name__in="x")', "InvalidValueError", "list"),
        ("ln.ULabel.filter(name__in=[1])", "InvalidValueError", "text"),
        ('ln.ULabel.filter(name__range=["a"])', "InvalidValueError", "two"),
        ('ln.ULabel.filter(**{"": "x"})', "UnknownFieldError", "''"),
        ('ln.ULabel.filter(name__contains__in=["x"])', "InvalidValueError", "contains"),
        ('ln.ULabel.filter("x")', "InvalidValueError", "Q("),
        ("ln.Q(3)", "InvalidValueError", "Q("),
        ('ln.Q(name="a") | 3', "InvalidValueError", "Q("),
        ('ln.Artifact.filter(size="3")', "InvalidValueError", "whole number"),
        ("ln.Artifact.filter(size=True)", "InvalidValueError", "whole number"),
        ("ln.Artifact.filter(size__contains=3)", "InvalidValueError", "text"),
        ("ln.Artifact.filter(size__gt=2**70).all()", "InvalidValueError", "64 bits"),
        ("ln.Artifact.filter(is_latest=1)", "InvalidValueError", "True or False"),
        ("ln.Artifact.filter(labels=3)", "InvalidValueError", "ulabel"),
        ('ln.ULabel.filter(created_at__gt="2024")', "InvalidValueError", "datetime"),
        (
            "ln.ULabel.filter(created_at__gt=AWARE.replace(tzinfo=None))",
            "InvalidValueError",
            "time zone",
        ),
        ('ln.ULabel.filter(name="\\ud800").all()', "InvalidValueError", "Unicode"),
        ('ln.ULabel.filter().order_by("is_trashed")', "InvalidValueError", "name"),
        ('ln.ULabel.filter().order_by("artifacts")', "InvalidValueError", "name"),
        ("ln.ULabel.filter().order_by(3)", "InvalidValueError", "3"),
        ("ln.ULabel.filter()[-2:]", "InvalidValueError", "reverse()"),
        ("ln.ULabel.filter()[:-1]", "InvalidValueError", "front"),
        ("ln.ULabel.filter()[::2]", "InvalidValueError", "step"),
        ('ln.ULabel.filter()["x"]', "InvalidValueError", "'x'"),
        ('ln.ULabel.filter()["a":]', "InvalidValueError", "a:"),
        ('ln.ULabel.filter()[:2].filter(name="x")', "InvalidValueError", "slice"),
        ('ln.ULabel.filter()[:2].order_by("name")', "InvalidValueError", "slice"),
        ('ln.ULabel.filter()[:2].exclude(name="x")', "InvalidValueError", "slice"),
        ("ln.ULabel.filter()[:2].reverse()", "InvalidValueError", "slice"),
        ('ln.ULabel.filter()[:2].distinct("name")', "InvalidValueError", "slice"),
        ('ln.ULabel.filter()[:2].search("x")', "InvalidValueError", "slice"),
        ('ln.ULabel.filter().distinct("artifacts")', "InvalidValueError", "plain field"),
        ("ln.ULabel.search(3)", "InvalidValueError", "text"),
        ('ln.ULabel.search("x", limit="3")', "InvalidValueError", "limit"),
        ('ln.ULabel.search("x", limit=-1)', "InvalidValueError", "limit"),
        ("ln.ULabel.filter().as_of(10**6).all()", "InvalidValueError", "position"),
        ("ln.ULabel.filter().one()", "MultipleResultsError", "2"),
    ],
)
def test_questions(refuses, call, kind, word):
    ln.settings.creation.search_names = False
    label("crow")
    label("crowd")
    refuses(lambda: eval(call), kind, word)  # noqa: S307 (a table of what users write)


# --- content --------------------------------------------------------------------------------------


def test_content_is_read_only(refuses):
    record = artifact("a.txt")
    for mode in ("w", "wb", "a", "r+"):
        refuses(lambda mode=mode: record.open(mode), "InvalidValueError", "immutable", mode)


def test_replacing_by_nothing(refuses):
    record = artifact("a.txt")
    refuses(lambda: record.replace("nowhere.txt"), "MissingFileError", "nowhere.txt")
    refuses(lambda: record.replace(3), "InvalidValueError", "int")
    assert record.load() == "a.txt"


def test_unknown_protocols_and_missing_urls(refuses):
    refuses(lambda: ln.Artifact("nosuch://x/y.txt"), "InvalidValueError", "nosuch")
    refuses(lambda: ln.Artifact("memory://none/y.txt"), "MissingFileError", "memory://none/y.txt")
    refuses(lambda: ln.Artifact(Path("none.txt").absolute().as_uri()), "MissingFileError", "none")


# --- runs -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ({"params": 3}, "InvalidValueError"),
        ({"params": {"x": object()}}, "InvalidValueError"),
        ({"params": {3: "x"}}, "InvalidValueError"),
        ({"params": {"x": "\ud800"}}, "InvalidValueError"),
        ({"name": 3}, "InvalidValueError"),
        ({"name": ""}, "InvalidValueError"),
        ({"key": "a\nb"}, "InvalidValueError"),
        ({"transform": "uid"}, "InvalidValueError"),
    ],
)
def test_runs(refuses, given, kind):
    refuses(lambda: ln.track(**given), kind)
    assert ln.context.run is None


def test_finish_without_a_run(refuses):
    refuses(ln.finish, "NotTrackingError", "track()")


# --- where the ledger is --------------------------------------------------------------------------


def test_not_inside_a_ledger(tmp_path, monkeypatch):
    outside = tmp_path / "outside"
    outside.mkdir()
    monkeypatch.chdir(outside)
    ln.close()
    for ask in (ln.head, ln.ULabel.filter, lambda: ln.ULabel(name="x"), ln.track):
        with pytest.raises(ln.errors.LedgerNotFoundError, match="metaledger init") as caught:
            ask()
        assert str(outside) in str(caught.value)
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("place", ["nowhere", "", " ", 3, b"x", "a\0b"])
def test_connecting_to_what_is_no_ledger(refuses, place):
    kind = "LedgerNotFoundError" if place == "nowhere" else "InvalidValueError"
    refuses(lambda: ln.connect(place), kind)


def test_the_variable_may_name_no_ledger(here, monkeypatch):
    monkeypatch.setenv("METALEDGER_URL", str(here / "nowhere"))
    with pytest.raises(ln.errors.LedgerNotFoundError, match="METALEDGER_URL"):
        ln.head()
    monkeypatch.setenv("METALEDGER_URL", "carrier-pigeon://user:secret@host/x")
    with pytest.raises(ln.errors.LedgerError) as caught:
        ln.head()
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("storage", "given", "kind"),
    [
        ("", {}, "InvalidValueError"),
        (3, {}, "InvalidValueError"),
        ("a\0b", {}, "InvalidValueError"),
        ("storage", {"name": "a b"}, "InvalidValueError"),
        ("storage", {"name": ""}, "InvalidValueError"),
        ("storage", {"name": 3}, "InvalidValueError"),
        ("storage", {"name": "../x"}, "InvalidValueError"),
        ("file.txt", {}, "PathTakenError"),
    ],
)
def test_making_a_ledger(refuses, tmp_path, storage, given, kind):
    root = tmp_path / "new"
    root.mkdir()
    (root / "file.txt").write_text("a file, not a folder")
    refuses(lambda: ln.init(storage, root=root, **given), kind)
    assert not (root / ".metaledger" / "config.toml").exists()
    assert ln.init("good", root=root).root == root


def test_making_a_ledger_twice(refuses):
    refuses(lambda: ln.init("storage"), "LedgerExistsError", "metaledger info")


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"not toml",
        b"\xff\xfe",
        b"[ledger]\n",
        b"ledger = 3\n",
        b'[ledger]\nid = "x"\nname = "x"\nstorage = 3\n',
        b'[ledger]\nid = "x"\nname = "x"\nstorage = "s"\nunknown = 1\n',
    ],
)
def test_garbage_in_the_configuration(here, text):
    ln.close()
    config = here / ".metaledger" / "config.toml"
    good = config.read_bytes()
    config.write_bytes(text)
    with pytest.raises(ln.errors.ConfigurationError, match=re.escape("config.toml")):
        ln.connect(here)
    config.write_bytes(good)
    ln.connect(here)
    assert ln.head() == 1


def set_meta(here: Path, name: str, value: str) -> None:
    with closing(sqlite3.connect(here / ".metaledger" / "ledger.db")) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE name = ?", (value, name))


def test_a_ledger_of_a_newer_version(here, monkeypatch):
    label("kept")
    ln.close()
    set_meta(here, "format", "3")
    for ask in (ln.head, lambda: ln.ULabel(name="x").save()):
        with pytest.raises(ln.errors.UnknownEventError, match=r"format 3.*upgrade"):
            ask()
    set_meta(here, "format", "2")
    assert ln.ULabel.filter().count() == 1
    monkeypatch.setattr(instance, "_current", None)
    assert ln.ULabel.filter().count() == 1


def test_a_database_that_is_gone_or_is_none(here):
    label("x")
    ln.close()
    database = here / ".metaledger" / "ledger.db"
    data = database.read_bytes()
    database.unlink()
    with pytest.raises(ln.errors.StorageError, match="backup"):
        ln.head()
    assert not database.exists()
    database.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(ln.errors.LedgerError, match=r"ledger database.*backup"):
        ln.head()
    database.write_bytes(b"")
    with pytest.raises(ln.errors.LedgerError):
        ln.head()
    database.write_bytes(data)
    assert ln.ULabel.filter().count() == 1
