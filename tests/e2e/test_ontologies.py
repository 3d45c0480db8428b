"""Ontology files as records of a registry."""

from __future__ import annotations

from pathlib import Path

import pytest

import ledger as ln
from tests.e2e.command import environment, made, metaledger  # noqa: F401 (fixtures)
from tests.support.door import nothing_recorded

pytestmark = pytest.mark.usefixtures("here")

FILE = r"""format-version: 1.2
ontology: few

[Term]
id: T:1
name: organ

[Term]
id: T:2
name: lung ! of any animal
def: "An organ \"that\" breathes." [few:me]
synonym: "pulmo" EXACT [few:me]
synonym: "organ" EXACT []
synonym: "airway" BROAD []
is_a: T:1 {source="x"} ! organ

[Term]
id: T:3
name: lobe
synonym: "pulmo" EXACT []
relationship: part_of T:2 ! lung
relationship: develops_from T:1
is_a: X:9 ! of another file

[Term]
id: T:4
name: old lung
is_obsolete: true

[Typedef]
id: part_of
name: part of
"""


class Tissue(ln.Record):
    """Where a sample was taken."""

    ontology_id: str | None = None
    definition: str | None = None
    part_of: list[Tissue] = ln.field(default=())


class Plain(ln.Record):
    """A registry that keeps nothing else."""


@pytest.fixture(autouse=True)
def _quiet():
    ln.settings.verbosity = "error"


@pytest.fixture
def few() -> str:
    Path("few.obo").write_text(FILE, "utf-8")
    return "few.obo"


def test_terms_become_records_with_parents_synonyms_and_fields(few):
    assert [it.name for it in Tissue.import_obo(few)] == ["organ", "lung", "lobe"]
    lung = Tissue.get(name="lung")
    assert (lung.ontology_id, lung.definition) == ("T:2", 'An organ "that" breathes.')
    assert [it.name for it in lung.ancestors()] == ["organ"]
    lobe = Tissue.get(name="lobe")
    assert not lobe.ancestors().exists()
    assert [it.name for it in lobe.part_of] == ["lung"]
    assert Tissue.standardize(["pulmo", "airway"]) == ["lung", "airway"]
    assert Tissue.filter(part_of__within="organ").one() == lobe
    with nothing_recorded():
        Tissue.import_obo(few)
    assert ln.audit().findings == ()


def test_a_plain_registry_takes_names_parents_and_synonyms(few, capsys):
    ln.settings.verbosity = "info"
    Plain.import_obo(few)
    told = capsys.readouterr().err
    assert "1 links part_of left out" in told
    assert "1 links is_a left out: no term of the file" in told
    assert "2 synonyms left out" in told
    assert [it.name for it in Plain.get(name="organ").descendants()] == ["lung"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,age\nD1,3\n", "expected an OBO file"),
        (FILE.replace("id: T:2", "id: T:1"), "line 8: a term has the id 'T:1'"),
        (FILE.replace("id: T:2\n", ""), "line 8: a term has no id"),
        (FILE.replace("name: lobe", "name: organ"), "that of T:1"),
        (FILE.replace("name: lobe", "name lobe"), "line 19: expected 'tag: value'"),
        (FILE.replace("name: organ", "name: organ\nis_a: T:2"), "circle"),
        (FILE.replace("name: lobe", "name: " + "x" * 300), "255"),
    ],
)
def test_a_file_with_a_fault_records_nothing(text, words):
    Path("bad.obo").write_text(text, "utf-8")
    with nothing_recorded(), pytest.raises(ln.errors.LedgerError) as raised:
        Tissue.import_obo("bad.obo")
    assert words in str(raised.value)


def test_other_bytes_and_no_file_are_told():
    Path("bad.obo").write_bytes(b"\xff\xfe[Term]")
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="UTF-8"):
        Tissue.import_obo("bad.obo")
    with nothing_recorded(), pytest.raises(ln.errors.MissingFileError):
        Tissue.import_obo("none.obo")


def test_the_command_reads_an_ontology(made):  # noqa: F811 (the fixture)
    Path(made, "few.obo").write_text(FILE, "utf-8")
    ln.connect(str(made))
    Plain(name="organ").save()
    ln.close()
    said = metaledger(made, "record", "import", "plain", "few.obo")
    assert said.out.startswith("3 records, ")
    assert (
        metaledger(made, "record", "import", "plain", "few.obo").out == "3 records, 0 new events\n"
    )
