"""How SQLite answers questions about typed values: by the index over them, record by record."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import ledger as ln
from ledger.places import instance
from projections.sql.models import SqlModels
from tests.support.door import names

pytestmark = pytest.mark.usefixtures("ledger_folder")


class Plate(ln.Record):
    """What wells are on."""

    rows: int | None = None


class Well(ln.Record):
    """A place on a plate."""

    plate: Plate
    volume: float | None = None
    barcode: str | None = None


@pytest.fixture
def plans(monkeypatch):
    """Return what SQLite says of how it answers the questions that a query asks for records."""
    ln.init("./storage")
    ln.settings.verbosity = "error"
    Plate(name="P1", rows=8).save()
    texts = {"short": "B7", "long": "x" * 300, "longer": "x" * 301}
    for name, text in texts.items():
        Well(name=name, plate="P1", volume=2.5, barcode=text).save()
    asked = []
    ask = SqlModels._ask

    def listen(self, statement):
        asked.append(statement)
        return ask(self, statement)

    monkeypatch.setattr(SqlModels, "_ask", listen)

    def told(query) -> list[str]:
        asked.clear()
        query.all()
        found = []
        with closing(sqlite3.connect(instance.current().place.database_path)) as connection:
            for statement in asked:
                if 'FROM "record" AS t ' in statement.text:
                    rows = connection.execute(
                        f"EXPLAIN QUERY PLAN {statement.text}", statement.params
                    )
                    found += [row[-1] for row in rows]
        return found

    yield told
    ln.close()


@pytest.mark.parametrize(
    ("lookups", "expected"),
    [
        ({"barcode": "B7"}, "value_by_field_t_from_position (field=? AND t=?"),
        ({"barcode__in": ["B7", "B8"]}, "value_by_field_t_from_position (field=? AND t=?"),
        ({"volume__gt": 2}, "value_by_field_r_from_position (field=? AND r>?"),
        ({"plate__rows": 8}, "value_by_field_i_from_position (field=? AND i=?"),
        ({"name": "short"}, "record_by_name_registry_from_position (name=?"),
    ],
)
def test_values_are_found_by_their_index_and_records_by_their_uid(plans, lookups, expected):
    for query in (Well.filter(**lookups), ln.as_of(ln.head()).registry("well").filter(**lookups)):
        plan = plans(query)
        assert any(expected in step for step in plan), plan
        # To test each record of a registry, or each in the order of creation, costs a thousandfold.
        assert not any(step.startswith("SCAN t ") or step == "SCAN t" for step in plan), plan
        assert not any("record_by_registry" in step for step in plan), plan


def test_long_texts_are_found_as_short_ones(plans):
    del plans
    assert names(Well.filter(barcode="x" * 300)) == ["long"]
    assert names(Well.filter(barcode__in=["B7", "x" * 301])) == ["short", "longer"]
    assert names(Well.filter(barcode="B7")) == ["short"]
    assert names(Well.filter(barcode__startswith="x")) == ["long", "longer"]
    assert names(Well.filter(barcode__gt="B")) == ["short", "long", "longer"]
