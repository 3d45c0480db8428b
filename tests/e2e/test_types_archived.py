"""Registries, features and their past, out to an archive and back into either database."""

from __future__ import annotations

import datetime as dt

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from tests.support.door import artifact


class Donor(ln.Record):
    """A person who gave samples."""

    age: int | None = None


class Sample(ln.Record):
    """What a donor gave."""

    donor: Donor
    volume: float | None = ln.field(unit="mL")
    taken: dt.datetime | None = None
    tags: list[str] = ln.field(default=())


def told(until: int) -> dict[str, object]:
    """Return what a person finds, now and as of each position until one."""
    found: dict[str, object] = {}
    for position in range(until + 1):
        view = ln.as_of(position)
        for name in ("donor", "sample"):
            try:
                registry = view.registry(name)
            except ln.errors.NotFoundError:
                continue
            rows = registry.filter().to_arrow().to_pylist()
            found[f"{name} {position}"] = (rows, [it.name for it in registry.schema.fields])
        features = [dict(it.features) for it in view.Artifact.filter()]
        found[f"features {position}"] = repr(features)
    found["synonym"] = ln.registry("donor").standardize(["first"])
    found["below"] = [it.name for it in ln.registry("donor").get(name="D1").descendants()]
    found["asked"] = [it.uid for it in ln.Artifact.filter(sample__donor__age__gt=40)]
    return found


@pytest.mark.parametrize("kind", ["file", "server"])
def test_what_is_typed_comes_back_from_an_archive(kind, ledger_folder, tmp_path, postgres):
    ln.init(storage="./storage")
    ln.settings.verbosity = "error"
    first = Donor(name="D1", age=41).save()
    moment = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
    Sample(name="S1", donor="D1", volume=0.1, taken=moment, tags=["b", "a"]).save()
    Donor(name="D2").save().parents.add(first)
    first.add_synonym("first")
    ln.Feature(name="sample", dtype=Sample).save()
    ln.Feature(name="temperature", dtype=float, unit="degC").save()
    plate = artifact("plate.csv")
    plate.features.update(sample="S1", temperature=37)
    plate.features["temperature"] = 38.5
    Sample.schema.rename("volume", "amount")
    Donor.schema.retype("age", float)
    Sample.schema.retire("tags")
    head = ln.head()
    before = told(head)
    done = export(ledger_folder / "archive")
    ln.close()
    database = str(postgres) if kind == "server" else None
    place = restore(done.where, "./s", root=tmp_path / "elsewhere", database=database)
    report = audit(place=place)
    assert report.ok, report.findings
    ln.connect(str(tmp_path / "elsewhere"))
    try:
        assert told(head) == before
    finally:
        ln.close()
