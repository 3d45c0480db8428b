"""Ledgers, archives and names made by an enemy: shown as text, and kept in their place.

What a name may hold is checked where it is recorded; but a ledger or an archive may come from a
program that checks nothing. So events are recorded here behind the public door's back.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.auditing.page import as_page
from ledger.errors import LedgerError
from ledger.model.events import Draft, LedgerEvent, PositionTagged, tag_of
from ledger.model.ids import command_id, stream_id
from ledger.places import config, instance
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from ledger.upkeep import doctor
from tests.e2e.command import metaledger
from tests.support import builders as b
from tests.support.processes import environment

# Markup, the end of an attribute, SQL, a title, a colour and a cleared screen of a terminal, text
# that runs backwards, a forged line.
HOSTILE = (
    "<script>alert(1)</script>\"' onload=x'; DROP TABLE ulabel; --"
    "\x1b]0;owned\x07\x1b[31m\x9b2J\u202e\r\nroot: all is well"
)
_STYLE = re.compile(r"\x1b\[[0-9;]*m")  # how the command draws its own headings


def record(event: LedgerEvent, identity: list | None = None) -> None:
    with instance.current().database.write() as session:
        draft = Draft(stream=stream_id(identity or [*event.command, tag_of(event)]), event=event)
        session.append(command_id([*event.command, tag_of(event)]), [draft])


def assert_is_text(shown: str, *, is_html: bool = False) -> None:
    """Claim that nothing in it is a control code, nor markup in a page."""
    # A space without width keeps Graphviz from taking a label for markup of its own.
    odd = {c for c in shown if not c.isprintable() and c not in "\n\u200b"}
    assert not odd, ascii(shown)
    if is_html:
        assert "<script" not in shown
        assert not re.search(r"<[^>]*onload=", shown)


@pytest.fixture
def hostile(ledger_folder):
    """A ledger in which every text is hostile."""
    ln.init("storage")
    ln.connect(".")
    common = {"actor": HOSTILE}
    label = b.label_created(HOSTILE, fields={"description": HOSTILE}, **common)
    artifact = b.artifact_registered(key=HOSTILE, description=HOSTILE, suffix=HOSTILE, **common)
    transform = b.transform_registered(HOSTILE, key=HOSTILE, description=HOSTILE, **common)
    run = b.run_started(
        transform=transform.uid, name=HOSTILE, params={HOSTILE: HOSTILE}, host=HOSTILE, **common
    )
    for event in (label, artifact, transform, run):
        record(event, event.natural)
    record(b.collection_created(HOSTILE, [artifact.uid], description=HOSTILE, **common))
    record(b.run_finished(run.uid, "failed", error=HOSTILE, **common), run.natural)
    record(b.link_added("artifact", artifact.uid, "labels", label.uid, **common), artifact.natural)
    record(b.input_recorded(run.uid, artifact.uid, **common), run.natural)
    record(b.retracted("artifact", artifact.uid, HOSTILE, **common), artifact.natural)
    record(PositionTagged(name=HOSTILE, position=2, at=b.EPOCH, actor=HOSTILE, command=["tag"]))
    yield ledger_folder
    ln.close()


# --- shown as text --------------------------------------------------------------------------------

REGISTRIES = (ln.ULabel, ln.Artifact, ln.Collection, ln.Transform, ln.Run)


@pytest.mark.usefixtures("hostile")
def test_records_and_results_show_hostile_text_as_text():
    for registry in REGISTRIES:
        found = registry.filter().with_trash().all()
        assert len(found) == 1
        for thing in (found[0], found, registry.filter(), found[0].history()):
            assert_is_text(repr(thing))
            if hasattr(thing, "_repr_html_"):
                assert_is_text(thing._repr_html_(), is_html=True)
        assert_is_text(repr(registry.search("script")))
    assert_is_text(repr(ln.diff(0, ln.head())))
    assert_is_text(ln.diff(0, ln.head())._repr_html_(), is_html=True)
    assert_is_text(repr(ln.as_of(ln.head())))


@pytest.mark.usefixtures("hostile")
def test_pictures_show_hostile_text_as_text():
    for record_ in (
        ln.Artifact.filter().one(),
        ln.Run.filter().one(),
        ln.Collection.filter().one(),
    ):
        lineage = record_.lineage()
        assert_is_text(repr(lineage))
        assert_is_text(lineage._repr_html_(), is_html=True)


@pytest.mark.usefixtures("hostile")
def test_errors_quote_hostile_text_as_text():
    asked = (
        lambda: ln.ULabel.get(HOSTILE),
        lambda: ln.ULabel.get(name=HOSTILE + "?"),
        lambda: ln.Artifact.get(key=HOSTILE + "?"),
        lambda: ln.ULabel(name=HOSTILE),
        lambda: ln.ULabel(name="x", **{HOSTILE: 1}),
        lambda: ln.ULabel.filter(**{HOSTILE: 1}),
        lambda: ln.Artifact(HOSTILE),
        lambda: ln.as_of(HOSTILE + "?"),
        lambda: ln.tag(HOSTILE),
        lambda: ln.connect(HOSTILE),
        lambda: ln.Artifact.filter().one().cache(),
    )
    for ask in asked:
        with pytest.raises(LedgerError) as caught:
            ask()
        assert_is_text(str(caught.value))


def test_audit_and_doctor_show_hostile_text_as_text(hostile):
    report = audit(place=hostile)
    assert report.findings  # such events could not have been recorded by this program
    assert_is_text("\n".join(map(str, report.findings)))
    assert_is_text(as_page(report, told="now"), is_html=True)
    told = metaledger(hostile, "doctor", status=1)
    assert "alert" in told.out + told.err
    assert_is_text(_STYLE.sub("", told.out) + told.err)


@pytest.mark.parametrize(
    "verb",
    [["list", "artifact"], ["show", "UID"], ["log"], ["history", "UID"], ["lineage", "UID"],
     ["search", "script"], ["show", HOSTILE], ["list", HOSTILE]],
    ids=lambda verb: verb[0] + ("-it" if HOSTILE in verb else ""),
)  # fmt: skip
def test_the_command_shows_hostile_text_as_text(hostile, verb):
    uid = ln.Artifact.filter().one().uid
    ln.close()
    words = [uid if word == "UID" else word for word in verb]
    status = {"show": 1, "list": 2}[verb[0]] if HOSTILE in verb else 0
    said = metaledger(hostile, *words, status=status)
    assert_is_text(_STYLE.sub("", said.out) + said.err)
    assert "alert" in said.out + said.err


def test_names_of_files_are_shown_as_text(ledger_folder, capsys):
    ln.init("storage")
    ln.connect(".")
    for name in ("odd \x1b[31m<b>.txt", "folder/\x1b]0;owned\x07.txt", "folder/a\nb.txt"):
        path = ledger_folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    for name in ("odd \x1b[31m<b>.txt", "folder"):
        artifact = ln.Artifact(name).save()
        assert_is_text(repr(artifact))
        assert_is_text(artifact._repr_html_(), is_html=True)
    said = capsys.readouterr()
    assert_is_text(said.out + said.err)
    ln.close()


# --- kept in their place --------------------------------------------------------------------------

ELSEWHERE = (
    {"storage": "{outside}", "storage_key": "secret.txt"},
    {"storage": "{outside}", "storage_key": "secret.txt", "in_place": True},
    {"storage": "storage", "storage_key": "../../outside/secret.txt"},
    {"storage": "storage", "storage_key": "../../outside/secret.txt", "in_place": True},
    {"storage": "storage", "storage_key": ".metaledger/../../../outside/secret.txt"},
    {"storage": "storage", "storage_key": "{outside}/secret.txt", "in_place": True},
    {"storage": "file://{outside}", "storage_key": "secret.txt"},
)


@pytest.mark.parametrize("number", range(len(ELSEWHERE)))
def test_an_artifact_that_claims_a_file_elsewhere_does_not_get_it(ledger_folder, number):
    outside = ledger_folder.parent / "outside"
    outside.mkdir()
    secret = outside / "secret.txt"
    secret.write_text("of somebody else")
    ln.init("storage")
    ln.connect(".")
    given = {
        name: value.format(outside=outside) if isinstance(value, str) else value
        for name, value in ELSEWHERE[number].items()
    }
    # Its digest is not known to whoever made the event: then it would be known already.
    record(b.artifact_registered("a", key="x.txt", **given))
    claimed = ln.Artifact.filter().one()
    for read in (claimed.cache, claimed.load, lambda: claimed.open().read()):
        with pytest.raises(LedgerError):
            read()
    doctor.remove_orphans(instance.current(), now=2**40)
    with contextlib.suppress(LedgerError):
        claimed.delete(permanent=True, storage=True)
    assert secret.read_text() == "of somebody else"
    assert sorted(it.name for it in outside.iterdir()) == ["secret.txt"]
    ln.close()


@pytest.mark.parametrize(
    "named", ["../../other/ledger.db", "/etc/passwd", "a/b", "..", "a\\u0000b", ""]
)
def test_a_configuration_names_no_file_elsewhere(ledger_folder, named):
    ln.init("storage")
    path = ledger_folder / ".metaledger/config.toml"
    path.write_text(path.read_text().replace('"ledger.db"', f'"{named}"'))
    with pytest.raises(LedgerError, match="expected the name of a file"):
        ln.connect(".")


@pytest.fixture
def archive(ledger_folder):
    ln.init("storage")
    ln.connect(".")
    ln.ULabel(name="one").save()
    export("archive")
    ln.close()
    return ledger_folder / "archive"


def segment(archive: Path) -> Path:
    (found,) = (archive / "log").iterdir()
    return found


@pytest.mark.parametrize("what", ["manifest.json", "key.pub", "log", "segment"])
@pytest.mark.parametrize("other", ["a pipe", "a device", "a link in a circle", "a folder"])
def test_what_is_no_file_in_an_archive_is_refused_at_once(archive, what, other):
    path = segment(archive) if what == "segment" else archive / what
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    if other == "a pipe":
        os.mkfifo(path)
    elif other == "a device":
        path.symlink_to("/dev/zero")
    elif other == "a link in a circle":
        path.symlink_to(path)
    else:
        path.mkdir()
    with pytest.raises(LedgerError):
        restore(archive, "storage", root=archive.parent / "restored")
    assert not (archive.parent / "restored/.metaledger/config.toml").exists()


@pytest.mark.parametrize("name", ["../../secret.parquet", "/etc/passwd", "x\0y", "log/../a"])
@pytest.mark.parametrize("place", ["segment", "checkpoint"])
def test_a_manifest_names_nothing_elsewhere(archive, name, place):
    path = archive / "manifest.json"
    manifest = json.loads(path.read_bytes())
    if place == "segment":
        manifest["segments"][0]["name"] = name
    else:
        manifest["checkpoint"] = name
    path.write_text(json.dumps(manifest))
    with pytest.raises(LedgerError, match="expected the name"):
        restore(archive, "storage", root=archive.parent / "restored")


READING = """
import resource, sys
import pyarrow.parquet
from ledger.auditing.audit import audit
from ledger.errors import LedgerError
from ledger.transfer.archive_import import restore
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for read in (lambda: audit(archive="archive"), lambda: restore("archive", "s", root=None)):
    try:
        read()
    except LedgerError:
        pass
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.parametrize("column", ["payload", "stream", "tag"])
def test_a_short_file_that_says_a_long_value_often_takes_little_memory(archive, column):
    path, rows, value = segment(archive), 2_000, b"x" * (1 << 20)
    table = pq.read_table(path)
    arrays = []
    for field in table.schema:
        values = table.column(field.name).to_pylist()
        if field.name == column:
            long = pa.array([value], field.type)
            once = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), long)
            arrays.append(once)
        else:
            arrays.append(pa.array((values * rows)[:rows], field.type))
    bomb = pa.table(arrays, names=table.column_names)
    path.unlink()
    path = path.with_name(f"{1:012d}-{rows:012d}.parquet")
    # Without Arrow's own schema, so that the columns are told as those of an archive.
    pq.write_table(bomb, path, compression="zstd", store_schema=False)
    assert path.stat().st_size < 100_000
    done = _read_in_a_process(archive, path, rows)
    # Written out it would be 2 GiB, twice.
    assert int(done.stdout) * _maxrss_unit() < 512 * 2**20


@pytest.mark.parametrize("rows", [1, 200])
def test_a_short_file_that_unpacks_to_very_much_takes_little_memory(archive, rows):
    path, value = segment(archive), b"x" * ((400 << 20) // rows)
    table = pq.read_table(path)
    arrays = [
        pa.array([value] * rows, field.type)
        if field.name == "payload"
        else pa.array((table.column(field.name).to_pylist() * rows)[:rows], field.type)
        for field in table.schema
    ]
    path.unlink()
    path = path.with_name(f"{1:012d}-{rows:012d}.parquet")
    bomb = pa.table(arrays, schema=table.schema)
    pq.write_table(bomb, path, compression="zstd", use_dictionary=False)
    assert path.stat().st_size < 100_000
    done = _read_in_a_process(archive, path, rows)
    assert int(done.stdout) * _maxrss_unit() < 256 * 2**20


def test_a_file_of_another_number_of_rows_is_refused(archive):
    path = segment(archive)
    manifest = json.loads((archive / "manifest.json").read_bytes())
    manifest["entries"] += 1
    manifest["segments"][0]["last"] += 1
    renamed = path.with_name(f"{1:012d}-{manifest['entries']:012d}.parquet")
    path.rename(renamed)
    manifest["segments"][0]["name"] = renamed.name
    (archive / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(LedgerError, match="rows"):
        audit(archive=archive)


@pytest.mark.parametrize("given", [["--key", "/dev/zero"], ["--checkpoint", "-"]])
def test_an_endless_text_is_refused(archive, given):
    with Path("/dev/zero").open("rb") as endless:
        done = subprocess.run(
            [sys.executable, "-m", "ledger", "audit", "--archive", str(archive), *given],
            env=environment(),
            stdin=endless,
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_an_endless_configuration_is_refused(ledger_folder):
    ln.init("storage")
    ln.close()
    place = ledger_folder / ".metaledger" / "config.toml"
    place.unlink()
    place.symlink_to("/dev/zero")
    with pytest.raises(LedgerError, match="device"):
        config.load(ledger_folder, origin="test")
    place.unlink()
    place.write_bytes(b"#" * (2 << 20))
    with pytest.raises(LedgerError, match="found more"):
        ln.connect()


def _read_in_a_process(archive: Path, path: Path, rows: int) -> subprocess.CompletedProcess[str]:
    manifest = json.loads((archive / "manifest.json").read_bytes())
    manifest["entries"] = rows
    manifest["segments"] = [
        {"name": path.name, "first": 1, "last": rows, "size": path.stat().st_size}
    ]
    (archive / "manifest.json").write_text(json.dumps(manifest))
    return subprocess.run(
        [sys.executable, "-c", READING],
        cwd=archive.parent,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )


def _maxrss_unit() -> int:
    return 1 if sys.platform == "darwin" else 1024
