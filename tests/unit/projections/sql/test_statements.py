"""The text of a question is built once for each shape; only values are put in each time."""

from __future__ import annotations

import msgspec
import pytest

from ledger.model.schema import REGISTRIES, FieldSpec, RegistrySpec
from projections.select import And, Not, Or, Order, Select
from projections.select import Test as Is
from projections.sql import questions
from projections.sql.postgres import POSTGRES
from projections.sql.questions import (
    built,
    count_statement,
    distinct_statement,
    find_statement,
    select_statement,
)
from projections.sql.sqlite import SQLITE

DIALECTS = pytest.mark.parametrize("dialect", [SQLITE, POSTGRES], ids=["sqlite", "postgres"])


def texts_built(ask):
    before = built.cache_info().misses
    ask()
    return built.cache_info().misses - before


def label(where, **options):
    return Select(registry="ulabel", where=where, **options)


# Each with other values of the same shape.
TWINS = {
    "uid": (label(Is(("uid",), "exact", "a")), label(Is(("uid",), "exact", "b"))),
    "prefix": (label(Is(("name",), "startswith", "a")), label(Is(("name",), "startswith", "bc"))),
    "folded": (label(Is(("name",), "icontains", "A")), label(Is(("name",), "icontains", "ß"))),
    "end": (label(Is(("name",), "endswith", "a")), label(Is(("name",), "endswith", "b {} c"))),
    "in": (label(Is(("name",), "in", ("a", "b"))), label(Is(("name",), "in", ("c", None, "d")))),
    "range": (
        Select(registry="artifact", where=Is(("size",), "range", (1, 2))),
        Select(registry="artifact", where=Is(("size",), "range", (3, 4))),
    ),
    "relation": (
        Select(registry="artifact", where=Is(("labels", "name"), "exact", "a")),
        Select(registry="artifact", where=Is(("labels", "name"), "exact", "b")),
    ),
    "as of": (label(Is(("uid",), "exact", "a"), at=5), label(Is(("uid",), "exact", "a"), at=6)),
    "page": (label(And(()), limit=1), label(And(()), limit=2, offset=7)),
    "virtual": (
        Select(registry="artifact", where=Is(("is_latest",), "exact", value=True), at=1),
        Select(registry="artifact", where=Is(("is_latest",), "exact", value=False), at=2),
    ),
}
STATEMENTS = {
    "rows": select_statement,
    "count": count_statement,
    "distinct": lambda dialect, select: distinct_statement(dialect, select, "uid"),
}


@DIALECTS
@pytest.mark.parametrize("statement", STATEMENTS.values(), ids=STATEMENTS)
@pytest.mark.parametrize("twins", TWINS.values(), ids=TWINS)
def test_a_second_question_of_a_shape_builds_no_text(dialect, statement, twins):
    one, other = twins
    first = statement(dialect, one)
    assert texts_built(lambda: statement(dialect, other)) == 0
    second = statement(dialect, other)
    assert second.text is first.text
    assert len(second.params) == second.text.count(dialect.placeholder)
    if (one.where, one.at) != (other.where, other.at):
        assert first.params != second.params


# Each of another shape than all others.
SHAPES = [
    label(Is(("name",), "exact", "a")),
    label(Is(("name",), "exact", None)),
    label(Is(("name",), "gt", "a")),
    label(Is(("description",), "exact", "a")),
    label(Is(("name",), "in", ("a",))),
    label(Is(("name",), "in", ())),
    label(Is(("name",), "isnull", value=True)),
    label(Is(("name",), "isnull", value=False)),
    label(Is(("artifacts",), "isnull", value=True)),
    label(Is(("artifacts",), "isnull", value=False)),
    label(Is(("name",), "startswith", "")),
    label(Is(("name",), "startswith", "a")),
    label(Not(Is(("name",), "exact", "a"))),
    label(And((Is(("name",), "exact", "a"), Is(("uid",), "exact", "a")))),
    label(Or((Is(("name",), "exact", "a"), Is(("uid",), "exact", "a")))),
    label(Is(("name",), "exact", "a"), at=5),
    label(Is(("name",), "exact", "a"), trash="with"),
    label(Is(("name",), "exact", "a"), trash="only"),
    label(Is(("name",), "exact", "a"), reverse=True),
    label(Is(("name",), "exact", "a"), limit=1),
    label(Is(("name",), "exact", "a"), order=(Order("name"),)),
    label(Is(("name",), "exact", "a"), order=(Order("name", descending=True),)),
    Select(registry="collection", where=Is(("name",), "exact", "a")),
]


@DIALECTS
def test_questions_of_different_shapes_have_texts_of_their_own(dialect):
    texts = [select_statement(dialect, select).text for select in SHAPES]
    # A comparison with a missing value holds as little as one with no values at all.
    assert len(set(texts)) == len(SHAPES) - 1
    assert texts[1] == texts[5]


def test_a_list_of_another_length_is_another_shape_only_where_its_text_differs():
    def question(n):
        return label(Is(("name",), "in", tuple(f"name {number}" for number in range(n))))

    few = [select_statement(SQLITE, question(n)).text for n in range(1, 17)]
    assert len(set(few)) == 16
    many = [select_statement(SQLITE, question(n)) for n in (17, 5_000)]
    assert many[0].text is many[1].text
    assert many[0].params != many[1].params
    assert (
        select_statement(POSTGRES, question(1)).text
        is select_statement(POSTGRES, question(5_000)).text
    )


def test_a_part_that_needs_another_test_is_another_shape():
    """In PostgreSQL a part that may begin within the spelling of a NUL is looked for in its way."""
    usual, special = (
        select_statement(POSTGRES, label(Is(("name",), "contains", part))) for part in ("a", "\x01")
    )
    assert "strpos" in usual.text
    assert "strpos" not in special.text


@DIALECTS
def test_rows_of_a_table_are_found_by_one_text_for_each_shape(dialect):
    first = find_statement(dialect, "link", source="a", field="f")
    second = find_statement(dialect, "link", source="b", field="g")
    assert second.text is first.text
    assert (first.params, second.params) == (("a", "f"), ("b", "g"))
    others = [
        find_statement(dialect, "link", source="a", field=None),
        find_statement(dialect, "link", source="a", field="f", at=5),
        find_statement(dialect, "link", source="a", field="f", at=5, ever=True),
        find_statement(dialect, "link", source="a", field="f", ever=True),
        find_statement(dialect, "ulabel", name="a", state=0),
        find_statement(dialect, "ulabel", name="a", state=1),
    ]
    assert len({first.text, *(it.text for it in others)}) == 1 + len(others)
    assert others[1].params == ("a", "f", 5, 5)


def test_a_question_of_very_many_values_is_not_kept():
    several = tuple(Is(("name",), "exact", f"{n}") for n in range(questions._MOST_VALUES + 1))
    question = label(Or(several))
    before = built.cache_info().currsize
    first, second = (select_statement(SQLITE, question) for _ in range(2))
    assert first == second
    assert built.cache_info().currsize == before


def test_a_registry_that_takes_the_place_of_another_has_texts_of_its_own(monkeypatch):
    first = count_statement(SQLITE, label(Is(("name",), "exact", "a")))
    spec = REGISTRIES["ulabel"]
    more = RegistrySpec(
        name=spec.name, title=spec.title, fields=(*spec.fields, FieldSpec(name="colour"))
    )
    monkeypatch.setitem(REGISTRIES, "ulabel", more)
    found = count_statement(SQLITE, label(Is(("colour",), "exact", "red")))
    assert '"colour" = ?' in found.text
    assert count_statement(SQLITE, label(Is(("name",), "exact", "a"))) == first
    assert texts_built(lambda: count_statement(SQLITE, label(Is(("name",), "gt", "a")))) == 1


def test_a_refused_question_stays_refused():
    bad = label(Is(("colour",), "exact", "red"))
    for _ in range(2):
        with pytest.raises(Exception, match="no field 'colour'"):
            select_statement(SQLITE, bad)
    good = label(Is(("name",), "exact", "a"))
    select_statement(SQLITE, good)
    for value in (5, b"a", True):
        wrong = msgspec.structs.replace(good, where=Is(("name",), "exact", value))
        with pytest.raises(Exception, match="expected text"):
            select_statement(SQLITE, wrong)
