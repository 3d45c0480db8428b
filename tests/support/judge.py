"""What must be so of any ledger, whatever happened to those who wrote to it.

1. What was acknowledged is there: the record, its links, its content byte for byte.
2. What was not is there whole or not at all; a batch counts as one.
3. What else is in the storage, the doctor names as an orphan.
4. The audit passes, with every checkpoint that was given away before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import ledger as ln
from ledger.auditing.audit import audit
from ledger.content.store import MARK
from ledger.places import instance
from ledger.upkeep import doctor
from projections.tables import TABLES
from tests.support.saving import BATCH


def content(key: str) -> object:
    """Return what is stored under a key, after comparing it with its digest."""
    path = ln.Artifact.get(key=key).cache()
    if path.is_dir():
        return {str(it.relative_to(path)): it.read_text() for it in path.rglob("*") if it.is_file()}
    return path.read_text()


def label_names(prefix: str) -> set[str]:
    return set(ln.ULabel.filter(name__startswith=prefix).to_list("name"))


def assert_orphans_are_named() -> None:
    """Claim that a file that no event names is one that the doctor names."""
    folder = Path(instance.current().storage) / ".metaledger"
    stored = {it.name for it in folder.iterdir()} if folder.exists() else set()
    stored = {name for name in stored if not name.startswith((MARK, ".gitignore"))}
    known = {Path(it.path).name for it in ln.Artifact.filter().with_trash()}
    # What init left in the ledger's own folder when it was stopped lies elsewhere.
    own = str(instance.current().place.folder)
    found = doctor.orphans(instance.current())
    orphans = {orphan.name for orphan in found if orphan.storage != own}
    assert stored - known == orphans
    assert not orphans & known


def read_models() -> dict[str, list[dict[str, object]]]:
    """Return every row of every table, the past included."""
    with instance.current().reading() as session:
        return {table: session.models.find(table, ever=True) for table in TABLES}


def assert_log_and_read_models_agree() -> None:
    """Claim that positions are dense and that the log alone gives these read models."""
    head = ln.head()
    with instance.current().reading() as session:
        assert [event.position for event in session.log.read()] == list(range(1, head + 1))
    live = read_models()
    assert instance.current().database.rebuild() == head
    assert read_models() == live


def assert_audit_passes(checkpoints: Sequence[str] = (), *, content: bool = False) -> None:
    report = audit(checkpoints=checkpoints, content=content, place=instance.current().place)
    assert report.ok, report.findings
    assert len(report.checkpoints) == len(checkpoints)


def assert_saved(kind: str, n: int) -> None:  # noqa: C901 (a case a kind)
    """Claim that what `tests.support.saving.save` returned from is there, whole."""
    match kind:
        case "label":
            assert ln.ULabel.get(name=f"label {n}").description == "d" * (n % 50)
        case "file":
            assert content(f"file/{n}") == f"content {n} " * (n % 400)
        case "folder":
            assert content(f"folder/{n}") == {"a": f"a of {n}", "b/c": f"b/c of {n}"}
        case "rename":
            assert label_names(f"renamed {n}") >= {f"renamed {n}"}
            assert not ln.ULabel.filter(name=f"old {n}").exists()
        case "link":
            marked = ln.Artifact.get(key=f"linked/{n}")
            assert marked.labels.to_list("name") == [f"linked {n}"]
            assert content(f"linked/{n}") == f"linked {n}"
        case "collection":
            members = ln.Collection.get(name=f"collection {n}").artifacts.all()
            assert [it.load() for it in members] == [f"member {n} {i}" for i in range(3)]
        case "batch":
            assert label_names(f"batch {n} ") == {f"batch {n} {i}" for i in range(BATCH)}
        case "many":
            for i in range(BATCH):
                assert content(f"many/{n}/{i}") == f"many {n} {i}"
        case "version":
            found = ln.Artifact.filter(key="version").all()
            assert f"version {n}" in {it.load() for it in found}
            assert len({it.uid[:16] for it in found}) == 1
        case "export":
            archive = Path(f"archives/{n}")
            stated = [it.read_text() for it in archive.glob("checkpoint-*")]
            report = audit(archive=archive, checkpoints=stated)
            assert report.ok, report.findings
            assert stated
        case "init" | "import":
            report = audit(place=Path(kind, str(n)))
            # An archive may be older than the last checkpoint signed here: its copy is told so.
            signed = "the last checkpoint signed here"
            told = [it for it in report.findings if not it.subject.startswith(signed)]
            assert not told, told
            assert report.head > 0


def assert_nothing_half() -> None:
    """Claim that whatever is there is whole, acknowledged or not."""
    for artifact in ln.Artifact.filter():
        artifact.cache()
    assert ln.Artifact.filter(key__isnull=True).count() == 0
    batches = Counter(name.rpartition(" ")[0] for name in label_names("batch "))
    assert set(batches.values()) <= {BATCH}
    many = ln.Artifact.filter(key__startswith="many/").to_list("key")
    assert set(Counter(key.rpartition("/")[0] for key in many).values()) <= {BATCH}
    assert ln.Artifact.filter(key__startswith="m/").count() == 3 * ln.Collection.filter().count()
    assert ln.Artifact.filter(key="version", is_latest=True).count() <= 1


def judge(acknowledged: Iterable[tuple[str, int]]) -> None:
    """Claim all of that of a ledger whose writers stopped at any moment, but for the audit."""
    for kind, n in acknowledged:
        assert_saved(kind, n)
    assert_nothing_half()
    assert_orphans_are_named()
