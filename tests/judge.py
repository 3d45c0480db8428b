"""What must be so of any ledger, whatever happened to those who wrote to it."""

from __future__ import annotations

from pathlib import Path

import ledger as ln
from ledger import doctor, instance
from projections.tables import TABLES


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
    known = {Path(it.path).name for it in ln.Artifact.filter().with_trash()}
    orphans = {orphan.name for orphan in doctor.orphans(instance.current())}
    assert stored - known == orphans
    assert not orphans & known


def read_models() -> dict[str, list[dict[str, object]]]:
    """Return every row of every table, the past included."""
    with instance.current().handler.reading() as session:
        return {table: session.models.find(table, ever=True) for table in TABLES}


def assert_log_and_read_models_agree() -> None:
    """Claim that positions are dense and that the log alone gives these read models."""
    head = ln.head()
    with instance.current().handler.reading() as session:
        assert [event.position for event in session.log.read()] == list(range(1, head + 1))
    live = read_models()
    assert instance.current().database.rebuild() == head
    assert read_models() == live
