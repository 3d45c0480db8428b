"""A registry that is added while a program runs is taken by everything that names none."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.cli.finding import RegistryName, lookups
from ledger.errors import InvalidValueError, NameTakenError
from ledger.model.schema import (
    MARK,
    REGISTRIES,
    ULABEL,
    FieldSpec,
    RegistrySpec,
    RelationSpec,
    erased_text,
)
from ledger.places import kinds
from ledger.registries import all_registries
from ledger.registries.named import NamedRecord
from projections.fold import Amended
from projections.redaction import redactions
from projections.select import Select
from projections.select import Test as Is
from projections.shadow import Shadow
from projections.sql.postgres import POSTGRES
from projections.sql.sqlite import SqliteModels, register_functions
from projections.sql.tables import create_indexes
from projections.tables import TABLES, schema_number
from tests.support import builders as b
from tests.support.memory_models import MemoryModels

GENE = RegistrySpec(
    name="gene",
    title="Gene",
    fields=(
        FieldSpec(name="name", is_editable=True, is_indexed=True, blank=MARK),
        FieldSpec(name="description", is_editable=True),
        FieldSpec(name="sequence", max_length=4096, is_editable=True, is_indexed=True),
        FieldSpec(name="synonyms", kind="json", is_editable=True),
    ),
    relations=(
        RelationSpec(name="run", target="run", column="run"),
        RelationSpec(name="labels", target="ulabel", link="gene.labels", is_editable=True),
        RelationSpec(name="panels", target="ulabel", link="gene.panels"),
    ),
    is_named=True,
    short_name="g",
)


@pytest.fixture
def gene(monkeypatch):
    """The public class of a registry that nobody knew before."""
    monkeypatch.setitem(REGISTRIES, "gene", GENE)
    # Records are labelled by way of a relation back, as artifacts are.
    back = RelationSpec(name="genes", target="gene", link="gene.labels", is_reverse=True)
    labels = {name: getattr(ULABEL, name) for name in ULABEL.__struct_fields__}
    replaced = RegistrySpec(**labels | {"relations": (*ULABEL.relations, back)})
    monkeypatch.setattr(ln.ULabel, "spec", replaced)
    monkeypatch.setitem(REGISTRIES, "ulabel", replaced)

    class Gene(NamedRecord):
        registry = "gene"

    yield Gene
    del kinds.CLASSES["gene"]


@pytest.fixture
def place(tmp_path):
    ln.init("storage", root=tmp_path)
    ln.connect(tmp_path)
    yield
    ln.close()


@pytest.mark.usefixtures("gene", "place")
def test_its_records_are_saved_asked_for_and_linked(gene):
    label = ln.ULabel(name="marker").save()
    one = gene(name="BRCA1", description="repairs").save()
    gene(name="TP53").save()
    one.labels.add(label)
    with pytest.raises(InvalidValueError, match="cannot be changed by hand"):
        one.panels.add(label)
    before = ln.head()
    one.name = "BRCA-1"
    one.save()
    assert gene.get(one.uid) == gene.get(name="BRCA-1") == one
    assert [it.name for it in gene.filter(labels__name="marker")] == ["BRCA-1"]
    assert [it.name for it in gene.filter().order_by("-name")] == ["TP53", "BRCA-1"]
    assert gene.filter(name__in=["TP53", "nothing"]).count() == 1
    assert gene.search("TP5").first().name == "TP53"
    assert [it.name for it in one.labels.all()] == ["marker"]
    assert [it.name for it in label.genes.all()] == ["BRCA-1"]
    past = ln.as_of(before)
    assert [it.name for it in past.Gene.filter()] == ["BRCA1", "TP53"]
    assert "Gene" in dir(past)
    assert kinds.record_class("gene") is gene


@pytest.mark.usefixtures("gene", "place")
def test_the_command_and_the_search_over_all_know_it(gene, tmp_path):
    record = gene(name="BRCA1").save()
    assert {RegistryName().convert(word, None, None) for word in ("gene", "Genes", "g", "gs")} == {
        "gene"
    }
    assert lookups("gene", ("labels__name=x",)) == {"labels__name": "x"}
    source = record._source
    assert list(all_registries.search(source, "BRCA1")) == ["gene"]
    assert ("gene", record.uid) in all_registries.beginning_with(source, record.uid[:6])
    record.delete()
    record.delete(permanent=True)
    assert not audit(place=tmp_path).findings


def gene_created(name, **fields):
    event = b.label_created(name, fields=fields)
    values = {it: getattr(event, it) for it in event.__struct_fields__}
    return type(event)(**values | {"registry": "gene"})


@pytest.mark.usefixtures("gene")
def test_every_store_keeps_it():
    history = b.log(
        gene_created("BRCA1", synonyms=["RNF53"], sequence="ACGT"), gene_created("TP53")
    )
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        register_functions(connection)
        models = SqliteModels(connection)
        models.create()
        memory, shadow = MemoryModels(), Shadow()
        for store in (models, memory):
            b.feed(store, history)
        for recorded in history:
            shadow.apply(recorded.position, b.fold(recorded))
        question = Select(registry="gene", where=Is(("synonyms",), "contains", "RNF53"))
        (row,) = models.select(question)
        assert row["synonyms"] == '["RNF53"]'
        assert memory.select(question) == [row]
        assert [it[0] for it in shadow.rows("gene")] == [it[0] for it in models.rows("gene")]
        models.redact("gene", row["uid"])
        (emptied,) = models.find("gene", uid=row["uid"])
        assert (emptied["name"], emptied["sequence"]) == (erased_text(row["uid"]), None)
        for store in (models, memory):
            with pytest.raises(NameTakenError):
                store.apply(9, [Amended("gene", {"uid": row["uid"]}, {"name": "TP53"})])
    emptied_too = ["gene", "retraction", "merger", "alias", "value", "link"]
    assert [it.table for it in redactions("gene", row["uid"])] == emptied_too
    on_a_server = [it for it in create_indexes(POSTGRES) if '"gene"' in it]
    assert any("spgist" in it and "sequence" in it for it in on_a_server)
    assert any("UNIQUE" in it for it in on_a_server)


def test_it_goes_as_it_came(monkeypatch):
    before, tables = schema_number(), list(TABLES)
    with monkeypatch.context() as added:
        added.setitem(REGISTRIES, "gene", GENE)
        assert "gene" in TABLES
        assert len(TABLES) == len(tables) + 1
        assert schema_number() != before
    assert "gene" not in TABLES
    assert (schema_number(), list(TABLES)) == (before, tables)
