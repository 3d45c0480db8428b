"""What every store of the read models remembers, whatever holds it."""

from __future__ import annotations

import pytest

from ledger.errors import CorruptLogError, NameTakenError, UnknownFieldError
from projections.fold import Amended, Closed, Opened
from projections.select import And, Select
from projections.select import Test as Is
from projections.tables import FOREVER, TABLES
from tests.support import builders as b
from tests.support.memory_models import MemoryModels
from tests.support.story import RUN_1, STORY, TABBY, TORTIE, A, B, C


def uids(models, registry, *tests, **options):
    where = tests[0] if len(tests) == 1 else And(tests)
    return [row["uid"] for row in models.select(Select(registry=registry, where=where, **options))]


def labels(*names):
    return b.log(*(b.label_created(name) for name in names))


def names(models, *tests, **options):
    rows = models.select(Select(registry="ulabel", where=And(tests), **options))
    return [row["name"] for row in rows]


# --- rows -----------------------------------------------------------------------------------------


def test_a_created_record_is_selected_with_all_columns(models):
    b.feed(models, b.log(b.label_created("tabby", fields={"description": "a cat"})))
    (row,) = models.select(Select(registry="ulabel"))
    columns = [it.name for it in TABLES["ulabel"].columns]
    assert list(row) == [*columns, "from_position", "is_trashed"]
    assert row["uid"] == TABBY
    assert row["name"] == "tabby"
    assert row["description"] == "a cat"
    assert row["run"] is None
    assert row["created_at"] == row["updated_at"] == b.EPOCH
    assert row["is_trashed"] is False


def test_booleans_come_back_as_booleans(models):
    b.feed(models, b.log(b.artifact_registered("a", in_place=True)))
    (row,) = models.select(Select(registry="artifact"))
    assert row["in_place"] is True
    assert row["is_latest"] is True
    assert models.find("artifact")[0]["in_place"] is True
    assert models.distinct(Select(registry="artifact"), "in_place") == [True]
    assert models.distinct(Select(registry="artifact"), "is_latest")[0] is True


def test_found_rows_hold_both_bounds(models):
    b.feed(models, b.log(b.label_created("tabby"), b.changed("ulabel", TABBY, name="tom")))
    past, present = models.find("ulabel", uid=TABBY, ever=True)
    assert (past["from_position"], past["to_position"], past["name"]) == (1, 2, "tabby")
    assert (present["from_position"], present["to_position"]) == (2, FOREVER)
    assert models.find("ulabel", uid=TABBY) == [present]
    assert models.find("ulabel", uid=TABBY, at=1) == [past]
    assert models.find("ulabel", uid=TABBY, at=1, ever=True) == [past]
    assert models.find("ulabel", uid=TABBY, at=0, ever=True) == []


def test_an_amended_row_keeps_what_did_not_change(models):
    created = b.label_created("tabby", fields={"description": "a cat"}, actor="ada")
    b.feed(models, b.log(created, b.changed("ulabel", TABBY, common={"actor": "bob"}, name="tom")))
    (row,) = models.find("ulabel")
    assert (row["name"], row["description"]) == ("tom", "a cat")
    assert (row["created_by"], row["changed_by"]) == ("ada", "bob")
    assert row["created_position"] == 1


def test_looking_for_a_missing_value_finds_it(models):
    b.feed(models, b.log(b.label_created("tabby"), b.label_created("tom", run=RUN_1)))
    assert [row["name"] for row in models.find("ulabel", run=None)] == ["tabby"]
    assert [row["name"] for row in models.find("ulabel", run=RUN_1)] == ["tom"]


def test_members_of_a_collection_are_found_in_the_order_given(models):
    members = [C, A, B]
    b.feed(models, b.log(b.collection_created("study", members)))
    rows = models.find("link", field="collection.artifacts")
    assert [row["target"] for row in rows] == members


def test_looking_by_an_unknown_column_is_rejected(models):
    with pytest.raises(UnknownFieldError, match="ulabel has no column 'colour'"):
        models.find("ulabel", colour="red")


# --- changes --------------------------------------------------------------------------------------


def test_two_live_records_of_one_name_are_refused_by_name(models):
    b.feed(models, labels("tabby"))
    with pytest.raises(NameTakenError, match="ulabel 'tabby'") as caught:
        b.feed(models, b.log(b.label_created("tabby", n=2), after=1))
    assert caught.value.details["name"] == "tabby"


def test_renaming_to_a_live_name_is_refused(models):
    b.feed(models, labels("tabby", "tortie"))
    with pytest.raises(NameTakenError, match="'tabby'"):
        b.feed(models, b.log(b.changed("ulabel", TORTIE, name="tabby"), after=2))


def test_restoring_a_record_whose_name_was_taken_is_refused_by_name(models):
    history = b.log(
        b.label_created("tabby"), b.trashed("ulabel", TABBY), b.label_created("tabby", n=2)
    )
    b.feed(models, history)
    with pytest.raises(NameTakenError, match="'tabby'"):
        b.feed(models, b.log(b.restored("ulabel", TABBY), after=3))


@pytest.mark.parametrize("leave", [b.trashed, b.withdrawn])
def test_a_record_out_of_sight_frees_its_name(models, leave):
    b.feed(models, b.log(b.label_created("tabby"), leave("ulabel", TABBY)))
    b.feed(models, b.log(b.label_created("tabby", n=2), after=2))
    assert uids(models, "ulabel", Is(("name",), "exact", "tabby")) == [b.label_uid("tabby", 2)]


def test_renaming_frees_the_old_name(models):
    b.feed(models, b.log(b.label_created("tabby"), b.changed("ulabel", TABBY, name="tom")))
    b.feed(models, b.log(b.label_created("tabby", n=2), after=2))
    assert names(models) == ["tom", "tabby"]


def test_names_of_other_registries_may_be_alike(models):
    twin = b.collection_created("study", uid="other")
    b.feed(models, b.log(b.collection_created("study"), twin))
    assert models.count(Select(registry="collection")) == 2


def test_a_change_of_a_record_that_is_not_there_is_refused(models):
    with pytest.raises(CorruptLogError, match="expected 1 valid row, found 0"):
        models.apply(1, [Amended("ulabel", {"uid": "nobody"}, {"name": "tom"})])


@pytest.mark.parametrize(
    "change",
    [
        Opened("ulabel", {"uid": "u", "colour": "red"}),
        Amended("ulabel", {"uid": "u"}, {"colour": "red"}),
        Closed("ulabel", {"colour": "red"}),
    ],
)
def test_a_change_of_an_unknown_column_is_refused(models, change):
    models.apply(1, [Opened("ulabel", {"uid": "u", "state": 0})])
    with pytest.raises(UnknownFieldError, match="no column 'colour'"):
        models.apply(2, [change])


def test_closing_what_is_not_there_changes_nothing(models):
    models.apply(1, [Closed("artifact_key", {"key": "a.csv"})])
    assert models.find("artifact_key", ever=True) == []


def test_clearing_empties_every_table(models):
    b.feed(models, STORY)
    models.clear()
    assert all(models.find(table, ever=True) == [] for table in TABLES)


def test_a_cleared_store_takes_the_same_names_again(models):
    b.feed(models, labels("tabby"))
    models.clear()
    b.feed(models, labels("tabby"))
    assert names(models) == ["tabby"]


def test_loaded_rows_answer_like_applied_ones(models):
    memory = MemoryModels()
    b.feed(memory, STORY)
    for table in TABLES:
        models.load(table, [tuple(row.values()) for row in memory.find(table, ever=True)])
        assert models.find(table, ever=True) == memory.find(table, ever=True)
    with pytest.raises(NameTakenError):
        b.feed(models, b.log(b.label_created("tabby", n=9), after=len(STORY)))


def test_changed_names_tells_each_record_once_as_it_is_now(models):
    history = b.log(
        b.label_created("tabby"),
        b.label_created("tortie"),
        b.label_created("tom"),
        b.changed("ulabel", TORTIE, name="calico"),
        b.changed("ulabel", TORTIE, name="patch"),
        b.trashed("ulabel", b.label_uid("tom")),
    )
    b.feed(models, history)
    assert models.changed_names("ulabel", after=1) == [
        {"uid": TORTIE, "name": "patch", "is_live": True, "position": 5},
        {"uid": b.label_uid("tom"), "name": "tom", "is_live": False, "position": 6},
    ]
    assert len(models.changed_names("ulabel", after=0)) == 3
    assert models.changed_names("ulabel", after=6) == []


def test_changed_names_tells_the_texts_that_are_asked_for(models):
    b.feed(models, b.log(b.label_created("tabby", fields={"description": "a cat"})))
    (told,) = models.changed_names("ulabel", after=0, fields=("name", "description"))
    assert (told["name"], told["description"]) == ("tabby", "a cat")
    (told,) = models.changed_names("ulabel", after=0, fields=("description",))
    assert "name" not in told


def test_changed_names_needs_a_registry_with_names(models):
    with pytest.raises(UnknownFieldError, match="Artifact has no field 'name'"):
        models.changed_names("artifact", after=0)
