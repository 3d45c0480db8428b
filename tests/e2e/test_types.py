"""Registries of a ledger's own, features and vocabularies, through the public door."""

from __future__ import annotations

import datetime as dt
import math
from typing import Literal

import pytest

import ledger as ln
from ledger.places.kinds import CLASSES
from ledger.upkeep.rebuild import rebuild
from tests.support.door import artifact, begin_as_script, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")

UTC = dt.UTC


class Tissue(ln.Record):
    """Where a sample was taken."""


class Donor(ln.Record):
    """A person who gave samples."""

    age: int | None = ln.field(ge=0, le=130, description="years at enrolment")
    sex: Literal["f", "m"] | None = None


class Sample(ln.Record):
    """What a donor gave."""

    donor: Donor
    tissue: Tissue | None = None
    volume: float | None = ln.field(unit="mL", gt=0)
    taken: dt.date | None = None
    frozen: dt.datetime | None = None
    is_control: bool = False
    tags: list[str] = ln.field(default=())


class Visit(ln.Record, key=("donor", "day")):
    """A day on which a donor came."""

    donor: Donor
    day: dt.date


@pytest.fixture(autouse=True)
def _quiet():
    ln.settings.verbosity = "error"


@pytest.fixture
def sample(here) -> Sample:  # noqa: ARG001 (the ledger it is in)
    Donor(name="D1", age=41, sex="f").save()
    Donor(name="D2", age=28).save()
    Tissue(name="lung").save()
    Sample(name="S2", donor="D2", volume=0.5).save()
    return Sample(
        name="S1",
        donor="D1",
        tissue="lung",
        volume=2,
        taken=dt.date(2026, 1, 5),
        frozen=dt.datetime(2026, 1, 5, 12, tzinfo=UTC),
        tags=["b", "a", "b"],
    ).save()


def test_values_come_back_as_they_are(sample):
    again = Sample.get(name="S1")
    assert again == sample
    assert (again.donor.age, again.tissue.name, again.volume) == (41, "lung", 2.0)
    assert isinstance(again.volume, float)
    assert again.taken == dt.date(2026, 1, 5)
    assert again.frozen == dt.datetime(2026, 1, 5, 12, tzinfo=UTC)
    assert again.tags == ["b", "a", "b"]
    assert again.is_control is False
    assert Sample.get(name="S2").tags == []


def test_the_same_values_again_record_nothing(sample):  # noqa: ARG001
    with nothing_recorded():
        Sample(name="S1", donor="D1", volume=2.0, tags=["b", "a", "b"]).save()
        Donor(name="D1", age=41).save()
        Visit.filter()


def test_a_change_is_one_event_of_that_field(sample):
    here = ln.head()
    sample.volume = 1.5
    sample.save()
    assert ln.head() == here + 1
    assert sample.history()[-1].changes == {"volume": (2.0, 1.5)}
    assert ln.as_of(here).registry("sample").get(name="S1").volume == 2.0
    sample.tissue = None
    sample.save()
    assert Sample.get(name="S1").tissue is None


def test_questions_go_through_relations_both_ways(sample):
    assert Sample.filter(donor__age__gt=30).to_list("name") == ["S1"]
    assert Sample.filter(donor="D1").one() == Sample.filter(donor=sample.donor).one() == sample
    assert sample.donor.samples.to_list("name") == ["S1"]
    assert Donor.filter(samples__tissue="lung").one().name == "D1"
    assert Sample.filter(tags="a").one() == sample
    assert Sample.filter(tags__isnull=True).one().name == "S2"
    assert Sample.filter(volume__range=(0.4, 0.6)).one().name == "S2"
    assert Sample.filter(taken__lt="2026-02-01").one() == sample
    assert Sample.filter(frozen__gte=dt.datetime(2026, 1, 1, tzinfo=UTC)).one() == sample
    assert Sample.filter(is_control=False).count() == 2
    assert Sample.filter().order_by("-volume").to_list("name") == ["S1", "S2"]
    assert Sample.filter(donor__name__in=["D1", "D2"]).exclude(volume__gt=1).one().name == "S2"


def test_a_table_has_real_types(sample):  # noqa: ARG001
    frame = Sample.df()
    assert frame["donor"].tolist() == ["D2", "D1"]
    assert str(frame["volume"].dtype) == "float64"
    assert Sample.schema.to_arrow().field("volume").metadata == {b"unit": b"mL"}
    assert Sample.schema.to_json_schema()["properties"]["volume"]["exclusiveMinimum"] == 0.0


BAD = {
    "text for a float": (lambda: Sample(name="x", donor="D1", volume="much"), "float"),
    "a bound": (lambda: Donor(name="x", age=141), "130"),
    "True for an integer": (lambda: Donor(name="x", age=True), "bool"),
    "nan": (lambda: Sample(name="x", donor="D1", volume=math.nan), "None"),
    "infinity": (lambda: Sample(name="x", donor="D1", volume=math.inf), "finite"),
    "no choice": (lambda: Donor(name="x", sex="z"), "'f'"),
    "a time for a date": (
        lambda: Sample(name="x", donor="D1", taken=dt.datetime(2026, 1, 5, 1)),  # noqa: DTZ001
        "datetime",
    ),
    "a time without a zone": (
        lambda: Sample(name="x", donor="D1", frozen=dt.datetime(2026, 1, 5, 1)),  # noqa: DTZ001
        "time zone",
    ),
    "a text for a list": (lambda: Sample(name="x", donor="D1", tags="a"), "list"),
    "0 for a truth": (lambda: Sample(name="x", donor="D1", is_control=0), "bool"),
    "a control character": (lambda: Sample(name="x", donor="D1", tags=["a\0"]), "control"),
    "nothing required": (lambda: Sample(name="x").save(), "required"),
    "an unknown field": (lambda: Sample(name="x", donor="D1", volum=1.0), "volume"),
    "an unknown name": (lambda: Sample(name="x", donor="D11"), "D1"),
    "another registry": (lambda: Sample(name="x", donor=Tissue.get(name="lung")), "Tissue"),
    "no name": (lambda: Sample(donor="D1"), "name"),
    "no key": (lambda: Visit(donor="D1"), "Visit.day"),
    "a wrong question": (lambda: Sample.filter(volume__gt="big"), "float"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_bad_value_is_refused_and_nothing_recorded(sample, bad):  # noqa: ARG001
    make, word = BAD[bad]
    with nothing_recorded(), pytest.raises(ln.errors.LedgerError, match=word):
        make()


@pytest.mark.parametrize(
    ("annotation", "word"),
    [(list, "list"), (set[int], "set"), (int | str, "int"), (complex, "complex"), (tuple, "tuple")],
    ids=["list", "set", "union", "complex", "tuple"],
)
def test_a_type_that_no_field_can_have_is_refused(annotation, word):
    kind = type("Odd", (ln.Record,), {"__annotations__": {"value": annotation}})
    with nothing_recorded(), pytest.raises(ln.errors.CommandRejectedError, match=word):
        kind(name="x").save()


@pytest.mark.parametrize("name", ["uid", "save", "history", "a__b", "features", "parents"])
def test_a_name_that_no_field_can_have_is_refused(name):
    kind = type("Odd", (ln.Record,), {"__annotations__": {name: int}})
    with nothing_recorded(), pytest.raises(ln.errors.CommandRejectedError, match=name):
        kind(name="x").save()


def test_fields_of_a_key_identify_a_record(sample):
    first = Visit(donor="D1", day=dt.date(2026, 2, 1)).save()
    assert Visit(donor=sample.donor, day="2026-02-01") == first
    assert Visit(donor="D2", day="2026-02-01").save() != first
    assert Visit.filter().count() == 2


def test_a_class_cannot_change_a_type_in_passing(sample):  # noqa: ARG001
    other = type("Donor", (ln.Record,), {"__annotations__": {"age": str}})
    try:
        with nothing_recorded(), pytest.raises(ln.errors.CommandRejectedError, match="retype"):
            other(name="D1").save()
    finally:
        CLASSES["donor"] = Donor


def test_the_schema_is_as_of_any_moment(sample):
    before = ln.head()
    Sample.schema.rename("volume", "amount")
    Sample.schema.retype("is_control", str, convert=lambda it: "yes" if it else "no")
    assert sample.get(name="S1").amount == sample.get(name="S1").volume == 2.0
    assert Sample.filter(is_control="no").count() == 2
    then = ln.as_of(before).registry("sample")
    assert [it.name for it in then.schema.fields if it.name in {"amount", "volume"}] == ["volume"]
    assert then.get(name="S1").is_control is False
    with pytest.raises(ln.errors.UnknownFieldError, match=str(before)):
        then.filter(amount=2.0)
    assert [it.what for it in Sample.schema.history()][-2:] == ["field renamed", "field retyped"]


def test_a_conversion_that_fails_changes_nothing(sample):  # noqa: ARG001
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="S1"):
        Sample.schema.retype("tags", int, convert=int)


def test_features_are_typed_values_with_a_past(sample):
    plate = artifact("plate.csv", key="plate.csv")
    with pytest.raises(ln.errors.UnknownFieldError, match="dtype=float"):
        plate.features["temperature"] = 37.2
    ln.Feature(name="temperature", dtype=float, unit="degC").save()
    ln.Feature(name="sample", dtype=Sample).save()
    ln.Feature(name="tissues", dtype=list[Tissue]).save()
    here = ln.head()
    plate.features.update(temperature=37, sample="S1", tissues=["lung"])
    assert ln.head() == here + 1
    assert dict(plate.features) == {
        "temperature": 37.0,
        "sample": sample,
        "tissues": [Tissue.get(name="lung")],
    }
    with nothing_recorded():
        plate.features["temperature"] = 37.0
        with pytest.raises(ln.errors.LedgerError, match="S9"):
            plate.features.update(temperature=20.0, sample="S9")
        with pytest.raises(ln.errors.InvalidValueError, match="float"):
            plate.features["temperature"] = "warm"
    assert ln.Artifact.filter(temperature__gt=36.5).one() == plate
    assert ln.Artifact.filter(features__temperature=37).one() == plate
    assert ln.Artifact.filter(sample__donor__age__gt=40, tissues="lung").one() == plate
    assert sample.artifacts.one() == plate
    assert ln.Artifact.filter().df(features=True)["temperature"].tolist() == [37.0]
    measured = ln.head()
    plate.features["temperature"] = 39.0
    del plate.features["sample"]
    assert "sample" not in plate.features
    assert ln.as_of(measured).Artifact.get(plate.uid).features["sample"] == sample
    assert ln.as_of(measured).Artifact.filter(temperature__gt=38).count() == 0
    assert plate.history()[-2].changes == {"features.temperature": (37.0, 39.0)}
    with pytest.raises(ln.errors.CommandRejectedError, match="degC"):
        ln.Feature(name="temperature", dtype=float, unit="K").save()


def test_features_are_given_with_a_new_artifact_and_borne_by_runs():
    ln.Feature(name="auc", dtype=float).save()
    run = ln.track(key="a.py")
    run.features.update(auc=0.91)
    ln.finish()
    assert ln.Run.filter(auc__gt=0.9).one() == run
    made = artifact("m.csv", key="m.csv", features={"auc": 0.5})
    assert ln.Artifact.get(made.uid).features["auc"] == 0.5
    with nothing_recorded(), pytest.raises(ln.errors.UnknownFieldError, match="auc"):
        artifact("n.csv", key="n.csv", features={"acu": 0.5})


def test_a_synonym_means_its_record(sample):  # noqa: ARG001
    lung, liver = Tissue.get(name="lung"), Tissue(name="liver").save()
    lung.add_synonym("pulmo")
    assert Tissue(name="pulmo") == lung
    with nothing_recorded(), pytest.raises(ln.errors.NameTakenError, match="lung"):
        liver.add_synonym("pulmo")
    values = ["lung", "pulmo", "Lung", "livver", "brain"]
    assert Tissue.validate(values) == [True, False, False, False, False]
    assert Tissue.standardize(values) == ["lung", "lung", "lung", "livver", "brain"]
    found = Tissue.inspect(values)
    assert (found.validated, found.synonyms) == (["lung"], {"pulmo": "lung", "Lung": "lung"})
    assert (found.similar, found.unknown) == ({"livver": ["liver"]}, ["brain"])


def test_parents_are_followed_and_form_no_circle(sample):
    organ, lobe = Tissue(name="organ").save(), Tissue(name="lobe").save()
    lung = sample.tissue
    lung.parents.add(organ)
    lobe.parents.add(lung)
    assert {it.name for it in organ.descendants()} == {"lung", "lobe"}
    assert lobe.ancestors().count() == 2
    assert lung.children.one() == lobe
    assert Tissue.filter(parents__name="organ").one() == lung
    assert Tissue.filter(ancestors__name="organ").count() == 2
    assert Sample.filter(tissue__within="organ").one() == sample
    with nothing_recorded(), pytest.raises(ln.errors.CommandRejectedError, match="lobe"):
        organ.parents.add(lobe)


def test_a_replay_adds_nothing_also_after_a_rename(sample, monkeypatch):
    begin_as_script(monkeypatch, __file__)

    def script() -> int:
        ln.track(key="s.py")
        ln.Feature(name="score", dtype=float).save()
        made = Sample(name="S3", donor="D1", volume=1.0).save()
        for volume in (2.0, 1.0, 2.0):
            made.volume = volume
            made.save()
        result = artifact("score.txt", key="score.txt")
        result.features["score"] = 0.25
        result.features.update(score=0.5)
        ln.finish()
        return ln.head()

    first = script()
    assert script() == first
    donor = sample.donor
    donor.name = "D one"
    donor.save()
    other = Donor.get(name="D2")
    other.name = "D1"
    other.save()
    changed = ln.head()
    assert script() == changed
    assert Sample.get(name="S3").donor == donor != other
    assert Sample.get(name="S3").volume == 2.0


def test_the_audit_and_a_rebuild_know_all_of_it(sample):
    plate = artifact("plate.csv", key="plate.csv")
    ln.Feature(name="sample", dtype=Sample).save()
    plate.features["sample"] = sample
    sample.tissue.add_synonym("pulmo")
    Sample.schema.rename("volume", "amount")
    Sample.schema.retype("tags", str, convert=lambda it: it[0])
    Donor.get(name="D2").merge_into(Donor.get(name="D1"))
    assert not ln.audit().findings
    assert Sample.get(name="S2").donor == sample.donor
    ln.erase(sample.donor.uid, reason="request 17")
    assert Donor.filter(age=41).count() == 0
    assert not ln.audit().findings


def test_a_table_is_checked_whole_and_saved_once(sample):  # noqa: ARG001
    pd = pytest.importorskip("pandas")
    rows = pd.DataFrame(
        {
            "name": ["S4", "S5"],
            "donor": ["D1", "D9"],
            "volume": [1, -2],
            "colour": ["red", "red"],
        }
    )
    report = Sample.check(rows)
    assert not report.is_valid
    assert {(it.column, it.row, it.kind) for it in report.faults} == {
        ("donor", 1, "unknown"),
        ("volume", 1, "bound"),
        ("colour", None, "column"),
    }
    with nothing_recorded(), pytest.raises(ln.errors.InvalidTableError, match="D9"):
        ln.save(Sample.from_df(rows))
    good = rows.drop(columns="colour").assign(donor=["D1", "D2"], volume=[1, math.nan])
    ln.save(Sample.from_df(good))
    with nothing_recorded():
        ln.save(Sample.from_df(good))
    assert Sample.filter(name__in=["S4", "S5"]).count() == 2
    assert Sample.get(name="S5").volume is None
    table = ln.Artifact.from_df(good, key="samples.parquet", schema=Sample).save()
    assert table.schema == Sample.schema
    assert ln.Artifact.filter(columns__donor="D2").one() == table
    assert ln.Artifact.filter(columns__donor="D1", columns__name="S4").one() == table
    assert not dict(table.features)
    with nothing_recorded(), pytest.raises(ln.errors.InvalidTableError, match="D9"):
        ln.Artifact.from_df(rows, key="bad.parquet", schema=Sample)
    twice = pd.DataFrame({"name": ["S6", "S6"], "donor": ["D1", "D2"]})
    assert [it.kind for it in Sample.check(twice).faults] == ["key"]


@pytest.mark.parametrize("undoes", [False, True])
def test_a_record_is_erased_after_what_it_refers_to_was_merged(sample, undoes):
    del sample
    Donor(name="D9").save()
    Donor.get(name="D2").merge_into(Donor.get(name="D9"))
    if undoes:
        Donor.undo_merge("D2")
    ln.erase(Sample.get(name="S2"), reason="a request")
    assert ln.audit().findings == ()
    assert not Sample.filter(name="S2").exists()
    assert rebuild().differences == ()
    ln.erase(Sample.get(name="S1"), reason="a request")
    assert ln.audit().findings == ()


def test_a_vocabulary_answers_as_of_a_moment(sample):
    del sample
    lung = Tissue(name="lung").save()
    then = ln.head()
    lung.add_synonym("pulmo")
    Tissue(name="liver").save()
    lung.name = "lungs"
    lung.save()
    texts = ["lung", "pulmo", "lungs", "livver", "LIVER"]
    past = ln.as_of(then).registry("tissue")
    assert past.validate(texts) == [True, False, False, False, False]
    assert past.standardize(texts) == texts
    assert past.inspect(texts).similar == {"lungs": ["lung"]}
    now = ln.as_of(ln.head()).registry("tissue")
    for verb in ("validate", "standardize", "inspect"):
        assert getattr(now, verb)(texts) == getattr(Tissue, verb)(texts)
    assert ln.as_of(0).ULabel.validate(["a"]) == [False]
    assert lung.validate(texts) == [False, False, True, False, False]
    Visit(donor="D1", day="2026-01-01").save()
    with pytest.raises(ln.errors.InvalidValueError, match="no names"):
        Visit.validate(["a"])


class Plate(ln.Record):
    """A plate, which may have been copied from others."""

    source: Plate | None = None
    pools: list[Plate] = ln.field(default=())


def test_a_record_refers_to_its_own_registry():
    first, second = Plate(name="P1").save(), Plate(name="P2").save()
    third = Plate(name="P3", source="P1", pools=[first, "P2"]).save()
    assert (third.source, third.pools) == (first, [first, second])
    assert Plate.get(name="P3").pools == [first, second]
    assert Plate.filter(source="P1").one() == Plate.filter(pools__name="P2").one() == third
    assert first.plates.one() == second.plates.one() == third
    first.source = third
    first.save()
    assert Plate.get(name="P1").source == third
    assert list(Plate.df()["source"]) == ["P3", None, "P1"]


def test_zero_has_no_sign():
    ln.Feature(name="shift", dtype=float).save()
    plate = artifact("plate.csv")
    plate.features["shift"] = -0.0
    assert math.copysign(1, plate.features["shift"]) == 1
    with nothing_recorded():
        plate.features["shift"] = -0.0
        plate.features["shift"] = 0


class Mouse(ln.Record):
    """An animal, bred from others."""

    mother: Mouse | None = None


def test_a_record_refers_to_another_one_of_its_registry():
    mother = Mouse(name="M1").save()
    Mouse(name="M2", mother=mother).save()
    assert Mouse.get(name="M2").mother == mother
    assert ln.registry("mouse").get(name="M2").mother.name == "M1"
    assert mother.mother is None
    assert [it.name for it in Mouse.get(name="M1").mouses] == ["M2"]
