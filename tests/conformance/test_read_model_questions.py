"""What every store of the read models answers, whatever holds it."""

from __future__ import annotations

import itertools

import pytest

from ledger.errors import InvalidValueError, UnknownFieldError
from ledger.model.parameters import canonical_params
from ledger.model.schema import REGISTRIES, RelationSpec
from projections.select import OPERATORS, And, Not, Or, Order, Select
from projections.select import Test as Is
from tests.property.strategies import known_values
from tests.support import builders as b
from tests.support.memory_models import MemoryModels
from tests.support.story import FAR, PLOT, RUN_1, RUN_2, STORY, TABBY, TORTIE, A, B, C


def uids(models, registry, *tests, **options):
    where = tests[0] if len(tests) == 1 else And(tests)
    return [row["uid"] for row in models.select(Select(registry=registry, where=where, **options))]


def labels(*names):
    return b.log(*(b.label_created(name) for name in names))


def names(models, *tests, **options):
    rows = models.select(Select(registry="ulabel", where=And(tests), **options))
    return [row["name"] for row in rows]


# --- which, in what order, as of when -------------------------------------------------------------


def test_trash_is_hidden_unless_asked_for(models):
    b.feed(models, [*labels("tabby", "tortie", "tom")])
    gone = [b.trashed("ulabel", TABBY), b.withdrawn("ulabel", TORTIE)]
    b.feed(models, b.log(*gone, after=3))
    assert names(models) == ["tom"]
    assert names(models, trash="with") == ["tabby", "tom"]
    assert names(models, trash="only") == ["tabby"]
    assert names(models, trash="only", at=3) == []
    assert names(models, at=3) == ["tabby", "tortie", "tom"]
    rows = models.select(Select(registry="ulabel", trash="with"))
    assert [row["is_trashed"] for row in rows] == [True, False]


def test_rows_come_in_the_order_of_creation(models):
    history = labels("b", "a", "c")
    b.feed(models, [*history, *b.log(b.changed("ulabel", b.label_uid("b"), name="z"), after=3)])
    assert names(models) == ["z", "a", "c"]
    assert names(models, reverse=True) == ["c", "a", "z"]


def test_missing_values_sort_first_and_last_in_descending_order(models):
    described = [b.label_created(it, fields={"description": it}) for it in ("b", "a")]
    b.feed(models, b.log(described[0], b.label_created("none"), described[1]))
    by_description = Order("description")
    assert names(models, order=(by_description,)) == ["none", "a", "b"]
    assert names(models, order=(Order("description", descending=True),)) == ["b", "a", "none"]
    assert names(models, order=(by_description,), reverse=True) == ["b", "a", "none"]
    select = Select(registry="ulabel", limit=1, offset=5)
    assert models.distinct(select, "description") == [None, "a", "b"]


def test_text_sorts_by_code_point(models):
    unsorted = ["é", "a", "\U00010000", "Z", "\uffff", "z"]
    b.feed(models, labels(*unsorted))
    assert names(models, order=(Order("name"),)) == sorted(unsorted)
    assert models.distinct(Select(registry="ulabel"), "name") == sorted(unsorted)


def test_equal_sort_keys_leave_the_order_of_creation(models):
    b.feed(models, labels("b", "a", "c"))
    assert names(models, order=(Order("created_by", descending=True),)) == ["b", "a", "c"]
    assert names(models, order=(Order("created_by"),), reverse=True) == ["c", "a", "b"]


def test_a_limit_counts_from_the_offset(models):
    b.feed(models, labels("a", "b", "c", "d"))
    assert names(models, offset=1, limit=2) == ["b", "c"]
    assert names(models, offset=3) == ["d"]
    assert names(models, limit=0) == []
    assert models.count(Select(registry="ulabel", offset=1, limit=2)) == 4


@pytest.mark.parametrize("page", [{"limit": -1}, {"offset": -1}])
def test_a_negative_page_is_rejected(models, page):
    with pytest.raises(InvalidValueError, match="expected 0 or more, got -1"):
        models.select(Select(registry="ulabel", **page))


def test_before_the_first_position_there_is_nothing(models):
    b.feed(models, STORY)
    for registry in REGISTRIES:
        assert models.select(Select(registry=registry, at=0, trash="with")) == []


# --- comparisons ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("exact", "straße", ["straße"]),
        ("iexact", "STRASSE", ["straße"]),
        ("contains", "%", ["100%"]),
        ("contains", "", ["straße", "100%", "a_b", "axb"]),
        ("contains", "_", ["a_b"]),
        ("icontains", "RASS", ["straße"]),
        ("startswith", "a", ["a_b", "axb"]),
        ("startswith", "A", []),
        ("startswith", "1%", []),
        ("istartswith", "A", ["a_b", "axb"]),
        ("istartswith", "STRASS", ["straße"]),
        ("endswith", "b", ["a_b", "axb"]),
        ("endswith", "_b", ["a_b"]),
        ("endswith", "longer than straße", []),
        ("endswith", "", ["straße", "100%", "a_b", "axb"]),
        ("iendswith", "SSE", ["straße"]),
        ("in", ("axb", "100%", "other"), ["100%", "axb"]),
        ("in", (), []),
        ("in", (None,), []),
        ("gt", "a_b", ["straße", "axb"]),
        ("gte", "a_b", ["straße", "a_b", "axb"]),
        ("lt", "a_b", ["100%"]),
        ("lte", "a_b", ["100%", "a_b"]),
        ("range", ("100%", "a_b"), ["100%", "a_b"]),
        ("range", ("z", "a"), []),
        ("range", (None, "z"), []),
        ("isnull", False, ["straße", "100%", "a_b", "axb"]),
        ("isnull", True, []),
        ("exact", None, []),
        ("contains", None, []),
    ],
)
def test_operators_on_text(models, operator, value, expected):
    b.feed(models, labels("straße", "100%", "a_b", "axb"))
    test = Is(("name",), operator, value)
    assert names(models, test) == expected
    assert models.count(Select(registry="ulabel", where=test)) == len(expected)
    others = [it for it in ["straße", "100%", "a_b", "axb"] if it not in expected]
    assert names(models, Not(test)) == others


@pytest.mark.parametrize("last", ["\U0010ffff", "a\U0010ffff", "\ud7ff", "\U0010ffff\U0010ffff"])
def test_a_prefix_ending_in_the_last_of_a_range_of_code_points_is_found(models, last):
    b.feed(models, labels(last, last + "x", "b", "\ue000"))
    assert names(models, Is(("name",), "startswith", last)) == [last, last + "x"]


def test_text_with_a_nul_is_compared_whole(models):
    b.feed(models, labels("a", "a\0b"))
    many = tuple(f"x{n}" for n in range(100))
    for test in (
        Is(("name",), "exact", "a\0b"),
        Is(("name",), "contains", "\0b"),
        Is(("name",), "startswith", "a\0"),
        Is(("name",), "endswith", "\0b"),
        Is(("name",), "iexact", "A\0B"),
        Is(("name",), "in", ("a\0b",)),
        Is(("name",), "in", ("a\0b", *many)),
    ):
        assert names(models, test) == ["a\0b"]


def test_ten_thousand_values_can_be_asked_for_at_once(models):
    b.feed(models, labels("tabby", "tortie", "tom"))
    values = (*(f"cat {n}" for n in range(10_000)), "tortie", "tabby")
    assert names(models, Is(("name",), "in", values)) == ["tabby", "tortie"]
    alternatives = Or(tuple(Is(("name",), "exact", value) for value in values[-2_000:]))
    assert names(models, alternatives) == ["tabby", "tortie"]


def test_ten_thousand_numbers_can_be_asked_for_at_once(models):
    b.feed(models, b.log(b.artifact_registered("a", size=2**63 - 1), b.artifact_registered("b")))
    test = Is(("size",), "in", (2**63 - 1, *range(10, 10_010)))
    assert uids(models, "artifact", test) == [A]


def test_not_holds_where_a_value_is_missing(models):
    b.feed(
        models, b.log(b.label_created("tabby"), b.label_created("tom", fields={"description": ""}))
    )
    test = Is(("description",), "exact", "")
    assert names(models, test) == ["tom"]
    assert names(models, Not(test)) == ["tabby"]
    assert names(models, Not(Not(test))) == ["tom"]
    assert names(models, Not(And((test, Is(("name",), "exact", "tom"))))) == ["tabby"]
    assert names(models, Is(("description",), "isnull", value=True)) == ["tabby"]


def test_no_conditions_hold_for_all_and_no_alternatives_for_none(models):
    b.feed(models, labels("tabby"))
    assert names(models, And(())) == ["tabby"]
    assert names(models, Or(())) == []
    assert names(models, Not(And(()))) == []
    assert names(models, Not(Or(()))) == ["tabby"]


# --- relations, keys, versions --------------------------------------------------------------------


def test_a_test_over_a_relation_to_many_holds_where_any_record_passes(models):
    b.feed(models, STORY)
    before = 12
    of_label = Is(("labels", "name"), "exact", "tortie")
    assert uids(models, "artifact", of_label, at=before) == [A, B]
    assert uids(models, "artifact", Not(of_label), at=before) == [C]
    assert uids(models, "artifact", Is(("labels",), "exact", TABBY), at=before) == [A]
    assert uids(models, "artifact", Is(("labels",), "exact", TABBY)) == []
    both = (Is(("labels",), "exact", TABBY), Is(("labels",), "exact", TORTIE))
    assert uids(models, "artifact", *both, at=before) == [A]


def test_relations_lead_back(models):
    b.feed(models, STORY)
    assert uids(models, "ulabel", Is(("artifacts",), "exact", A), at=12) == [TABBY, TORTIE]
    assert uids(models, "transform", Is(("runs", "name"), "exact", "first")) == [PLOT]
    assert uids(models, "run", Is(("outputs", "hash"), "exact", "a")) == [RUN_1]
    assert uids(models, "artifact", Is(("input_of",), "in", (RUN_2,))) == [A]
    assert uids(models, "run", Is(("ulabels", "name"), "exact", "mackerel")) == [RUN_1]


def test_a_relation_leads_over_another(models):
    b.feed(models, STORY)
    test = Is(("run", "transform", "key"), "exact", "plot.py")
    assert uids(models, "artifact", test) == [A, C, FAR]
    assert uids(models, "artifact", test, at=15) == [A, B]
    over_links = Is(("collections", "artifacts", "hash"), "exact", "b")
    assert uids(models, "artifact", over_links, at=20) == [A, B]


def test_trashed_records_count_at_the_end_of_a_relation_and_withdrawn_ones_do_not(models):
    b.feed(models, STORY)
    assert uids(models, "artifact", Is(("labels", "name"), "exact", "tortie")) == [A]
    assert uids(models, "ulabel", Is(("artifacts", "hash"), "exact", "b"), trash="only") == []
    assert uids(models, "ulabel", Is(("artifacts",), "exact", B), at=27, trash="only") == [TORTIE]


def test_a_relation_is_missing_where_it_leads_to_no_record(models):
    b.feed(models, STORY)
    for value, expected in ((True, [C, FAR]), (False, [A])):
        assert uids(models, "artifact", Is(("labels",), "isnull", value)) == expected
    for value, expected in ((True, [RUN_1]), (False, [RUN_2])):
        assert uids(models, "run", Is(("forked_from",), "isnull", value)) == expected
        # Where the path leads to no record, there is none whose value could be missing.
        assert uids(models, "run", Is(("forked_from", "error"), "isnull", value)) == (
            [RUN_2] if value else []
        )


def test_several_questions_for_rows_are_answered_as_each_alone(models):
    b.feed(models, STORY)
    questions = [
        ("artifact", {"uid": uid, **when})
        for when in ({}, {"at": 12}, {"ever": True}, {"at": 12, "ever": True}, {"at": None})
        for uid in (A, B, C, "nobody")
    ]
    questions += [("artifact", {"at": 20, "run": None}), ("run", {"uid": RUN_1, "state": 0})]
    alone = [models.find(table, **asked) for table, asked in questions]
    assert models.find_all(questions) == alone
    assert any(alone)


def test_a_key_matches_whatever_ever_bore_it(models):
    b.feed(models, STORY)
    test = Is(("key",), "exact", "data/a.csv")
    assert uids(models, "artifact", test) == [A]
    assert uids(models, "artifact", test, at=27) == [A, B]
    assert uids(models, "artifact", Is(("key",), "contains", "a.csv"), at=7) == [A]
    assert uids(models, "artifact", Is(("key",), "isnull", value=True), at=19) == [C]
    assert uids(models, "artifact", Is(("key",), "isnull", value=True)) == []
    assert uids(models, "run", Is(("inputs", "key"), "startswith", "data/")) == [RUN_2]
    assert models.distinct(Select(registry="artifact"), "key") == ["data/a.csv", "other.csv"]


def latest(models, registry, at=None):
    return uids(models, registry, Is(("is_latest",), "exact", value=True), at=at)


def test_the_artifact_that_a_key_points_at_is_the_latest(models):
    b.feed(models, STORY)
    assert latest(models, "artifact", at=7) == [A]
    assert latest(models, "artifact", at=9) == [B, C]
    # The key went back to the first content, whatever revises what.
    assert latest(models, "artifact", at=19) == [A, C]
    rows = models.select(Select(registry="artifact", at=19))
    assert [row["is_latest"] for row in rows] == [True, False, True]


def test_without_keys_the_end_of_the_family_is_the_latest(models):
    history = [b.artifact_registered("a"), b.artifact_registered("b", revises=A)]
    b.feed(models, b.log(*history, b.trashed("artifact", B), b.withdrawn("artifact", B)))
    assert latest(models, "artifact", at=1) == [A]
    assert latest(models, "artifact", at=2) == [B]
    # A revision in the trash may come back; a withdrawn one never does.
    assert latest(models, "artifact", at=3) == []
    assert latest(models, "artifact") == [A]


def test_a_withdrawn_revision_gives_its_place_back(models):
    b.feed(models, STORY)
    study = b.collection_uid("study")
    assert latest(models, "collection", at=27) == [b.collection_uid("study 2")]
    assert latest(models, "collection") == [study]
    assert latest(models, "transform") == [b.transform_uid("plot v2")]


def test_a_collection_bears_each_name_until_another_family_is_given_it(models):
    one, two = (b.collection_uid(it) for it in ("one", "two"))
    history = [
        b.collection_created("one"),
        b.collection_created("two"),
        b.changed("collection", one, name="two"),
        b.changed("collection", one, description="still 'two'"),
        b.changed("collection", two, name="solo", description="has another one"),
        b.changed("collection", two, name="two"),
        b.trashed("collection", two),
        b.withdrawn("collection", two),
    ]
    b.feed(models, b.log(*history))

    def called(name, at=None):
        return uids(models, "collection", Is(("name",), "exact", name), at=at, trash="with")

    assert [called("two", at=at) for at in range(1, 9)] == [
        [], [two], [one], [one], [one], [two], [two], [one],
    ]  # fmt: skip
    assert [called("one", at=at) for at in (1, 3, 8)] == [[one], [one], [one]]
    assert called("solo", at=6) == [two]
    assert latest(models, "collection", at=3) == [one]
    assert latest(models, "collection", at=5) == [one, two]
    assert latest(models, "collection", at=6) == [one, two]
    starts = Is(("name",), "startswith", "t")
    assert uids(models, "collection", starts, at=3) == [one]
    assert uids(models, "collection", Not(starts), at=3) == [two]
    assert uids(models, "collection", Is(("name",), "isnull", value=True), at=3) == [two]


# --- values inside a field ------------------------------------------------------------------------


def runs_with(*params):
    started = (
        b.run_started(n, params=canonical_params(it)["params"]) for n, it in enumerate(params, 1)
    )
    return b.log(*started)


def numbers(models, *tests, **options):
    rows = models.select(Select(registry="run", where=And(tests), **options))
    return [row["ordinal"] for row in rows]


LR = ("params", "lr")


@pytest.mark.parametrize(
    ("operator", "value", "expected"),
    [
        ("exact", 0.5, [1]),
        ("exact", 1, [3, 4]),
        ("exact", 1.0, [3, 4]),
        ("exact", True, [5]),
        ("exact", "0.5", [6]),
        ("exact", 2**64, [8]),
        ("exact", 2**64 + 1, [9]),
        ("exact", float(2**64), [8]),
        ("exact", float("nan"), [10]),
        ("exact", [1, 2.5], [12]),
        ("exact", [1.0, 2.5], [12]),
        ("exact", [True, 2.5], []),
        ("exact", {"eps": 1e-08}, [13]),
        ("exact", {}, []),
        ("in", (0.5, "0.5", True, None), [1, 5, 6]),
        ("in", (), []),
        ("lt", 1, [1, 2, 7]),
        ("lte", 1, [1, 2, 3, 4, 7]),
        ("gt", 2**64, [9, 11]),
        ("gte", 2**64, [8, 9, 11]),
        ("lt", -0.4999, [2, 7]),
        ("range", (-0.5, 1), [1, 2, 3, 4]),
        ("range", (None, 1), []),
        ("gt", "0", [6, 15]),
        ("isnull", True, [14, 16]),
        ("isnull", False, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15]),
        ("contains", ".5", [6]),
        ("iexact", "STRASSE", [15]),
        ("istartswith", "STRA", [15]),
        ("endswith", "5", [6]),
        ("exact", None, []),
    ],
)
def test_operators_on_values_inside_a_field(models, operator, value, expected):
    values = [
        0.5, -0.5, 1, 1.0, True, "0.5", float("-inf"), 2**64, 2**64 + 1, float("nan"), float("inf"),
        [1, 2.5], {"eps": 1e-08}, None, "straße",
    ]  # fmt: skip
    b.feed(models, runs_with(*({"lr": it} for it in values), {}))
    test = Is(LR, operator, value)
    assert numbers(models, test) == expected
    assert models.count(Select(registry="run", where=test)) == len(expected)
    assert numbers(models, Not(test)) == [n for n in range(1, 17) if n not in expected]


def test_numbers_inside_a_field_are_in_order_whatever_their_size(models):
    ordered = [
        float("-inf"), -(10**400), -1.7e308, -(2**64) - 1, -(2**64), -12, -1.51, -1.5, 0, 5e-324,
        0.1, 0.11, 1, 1.5, 9, 10, 99.5, 100, 2**53, 2**53 + 1, 1e22, 10**400, float("inf"),
    ]  # fmt: skip
    b.feed(models, runs_with(*({"lr": it} for it in ordered)))
    for n, value in enumerate(ordered, 1):
        assert numbers(models, Is(LR, "lt", value)) == list(range(1, n))
        assert numbers(models, Is(LR, "gte", value)) == list(range(n, len(ordered) + 1))
        assert numbers(models, Is(LR, "exact", value)) == [n]


def test_names_lead_into_mappings_and_may_hold_two_underscores(models):
    long = "n" * 5_000
    given = [{"a": {"b": {"c": 1}}}, {"a__b": {"c": 1}}, {"a": [{"b": 1}], long: 1}]
    b.feed(models, runs_with(*given))
    assert numbers(models, Is(("params", "a", "b", "c"), "exact", 1)) == [1, 2]
    assert numbers(models, Is(("params", "a", "b"), "exact", {"c": 1})) == [1, 2]
    assert numbers(models, Is(("params", "a", "b"), "isnull", value=True)) == [3]
    assert numbers(models, Is(("params", long), "exact", 1)) == [3]
    assert numbers(models, Is(("params", ""), "exact", given[1])) == [2]


def test_values_inside_a_field_are_found_over_relations_and_as_of_a_position(models):
    b.feed(models, STORY)
    over = Is(("run", "params", "n"), "exact", 1)
    assert uids(models, "artifact", over, at=15) == [A, B]
    assert uids(models, "artifact", Is(("run", "params", "n"), "isnull", value=True)) == [C, FAR]
    first = Is(("params", "n"), "gt", 0)
    assert uids(models, "run", first) == [RUN_1]
    assert uids(models, "run", first, at=0) == []
    assert uids(models, "transform", Is(("runs", "params", "n"), "lt", 2)) == [PLOT]


@pytest.mark.parametrize(
    ("test", "message"),
    [
        (Is(LR, "contains", 5), "expected text, got int 5"),
        (Is(LR, "gt", [1]), "a number or a text"),
        (Is(LR, "gt", float("nan")), "a number or a text"),
        (Is(LR, "range", (1, "a")), "two values of one kind"),
        (Is(LR, "range", (1,)), "of two for a range"),
        (Is(LR, "in", "abc"), "a tuple of values"),
        (Is(LR, "isnull", 1), "true or false"),
        (Is(LR, "exact", "\ud800"), "valid Unicode"),
        (Is(("params", "\ud800"), "exact", 1), "valid Unicode"),
        (Is(("modules", "numpy"), "exact", "2"), "leads nowhere"),
    ],
)
def test_an_unsound_question_about_a_value_inside_is_rejected(models, test, message):
    with pytest.raises(InvalidValueError, match=message):
        models.count(Select(registry="run", where=test))


# --- questions that cannot be asked ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("test", "error", "message"),
    [
        (Is(("nme",), "exact", "a"), UnknownFieldError, "did you mean 'name'"),
        (Is(("artifacts", "nme"), "exact", "a"), UnknownFieldError, "Artifact has no field"),
        (Is(("name", "uid"), "exact", "a"), InvalidValueError, "leads nowhere"),
        (Is((), "exact", "a"), InvalidValueError, "expected a path"),
        (Is(("name",), "like", "a"), InvalidValueError, "expected a path and one of exact"),
        (Is(("created_at",), "contains", "a"), InvalidValueError, "compares text"),
        (Is(("name",), "exact", 5), InvalidValueError, "expected text, got int 5"),
        (Is(("created_at",), "gt", "a"), InvalidValueError, "expected time, got str"),
        (Is(("created_at",), "gt", value=True), InvalidValueError, "expected time, got bool"),
        (Is(("created_at",), "gt", 2**63), InvalidValueError, "integer of 64 bits"),
        (Is(("is_trashed",), "exact", 1), InvalidValueError, "expected boolean, got int"),
        (Is(("name",), "exact", "\ud800"), InvalidValueError, "valid Unicode"),
        (Is(("name",), "in", "abc"), InvalidValueError, "a tuple of values"),
        (Is(("name",), "in", ("a", 5)), InvalidValueError, "expected text, got int 5"),
        (Is(("name",), "range", ("a",)), InvalidValueError, "a tuple of two"),
        (Is(("name",), "isnull", 1), InvalidValueError, "true or false"),
        (Not(Or((Is(("nme",), "exact", "a"),))), UnknownFieldError, "no field 'nme'"),
    ],
)
def test_an_unsound_question_is_rejected(models, test, error, message):
    select = Select(registry="ulabel", where=test)
    for ask in (models.select, models.count, lambda it: models.distinct(it, "name")):
        with pytest.raises(error, match=message):
            ask(select)


def test_a_question_to_an_unknown_registry_is_rejected(models):
    with pytest.raises(UnknownFieldError, match="no registry 'tissue'"):
        models.select(Select(registry="tissue"))


def test_ordering_by_what_leads_to_many_is_rejected(models):
    with pytest.raises(InvalidValueError, match="leads to several records"):
        models.select(Select(registry="artifact", order=(Order("labels"),)))
    with pytest.raises(InvalidValueError, match="leads to several records"):
        models.distinct(Select(registry="artifact"), "labels")
    with pytest.raises(UnknownFieldError, match="no field 'colour'"):
        models.distinct(Select(registry="artifact"), "colour")


# --- every path, every operator -------------------------------------------------------------------


def every_path(registry, depth):
    """Every path of up to `depth` relations, with the registry at its end."""
    spec = REGISTRIES[registry]
    names = [*(it.name for it in spec.fields), "uid", "created_at", "is_trashed"]
    for name in (*names, *(it.name for it in spec.relations)):
        yield (name,), spec
    if depth:
        for relation in spec.relations:
            for path, end in every_path(relation.target, depth - 1):
                yield (relation.name, *path), end


def every_test(path, spec, known):
    found = spec.require(path[-1])
    if isinstance(found, RelationSpec):
        kind, values = "text", known[found.target, "uid"]
    else:
        kind, values = found.kind, known.get((spec.name, found.name), [])
    values = sorted(values)[:2] or [{"boolean": True}.get(kind, "a" if kind == "text" else None)]
    yield from (Is(path, "isnull", it) for it in (True, False))
    operators = OPERATORS if kind in {"text", "json"} else ("exact", "in", "gte", "lt", "range")
    for operator in operators:
        if operator == "in":
            yield Is(path, operator, tuple(values))
        elif operator == "range":
            yield Is(path, operator, (values[0], values[-1]))
        elif operator != "isnull":
            yield from (Is(path, operator, it) for it in values)


@pytest.mark.parametrize("every", [7, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("registry", REGISTRIES)
def test_every_path_and_operator_answers_as_plain_python_does(models, registry, every):
    """A sweep: each path, operator and trash mode, now and then, each as it is and turned round.

    `make test` asks each seventh question of it.
    """
    oracle, known = MemoryModels(), known_values(STORY)
    b.feed(oracle, STORY)
    b.feed(models, STORY)
    # Cycled, not multiplied: each path meets each of them with one operator or another.
    moments = itertools.cycle([(None, "without"), (12, "with"), (22, "only"), (19, "without")])
    tests = [it for path, end in every_path(registry, 1) for it in every_test(path, end, known)]
    for test in tests[::every]:
        at, trash = next(moments)
        for where in (test, Not(test)):
            select = Select(registry=registry, where=where, at=at, trash=trash)
            assert models.select(select) == oracle.select(select), select


# --- statements are kept by shape -----------------------------------------------------------------


def test_questions_of_one_shape_answer_by_their_own_values(models):
    b.feed(models, STORY)
    memory = MemoryModels()
    b.feed(memory, STORY)
    questions = [
        Select(registry=registry, where=Is(path, operator, given), at=at, trash=trash)
        for (registry, path), values in {
            ("ulabel", ("name",)): ("tabby", "tortie", "none so", ""),
            ("ulabel", ("uid",)): (TABBY, TORTIE, A),
            ("artifact", ("labels", "name")): ("tabby", "tortie", "none so"),
            ("artifact", ("run",)): (RUN_1, RUN_2),
            ("artifact", ("key",)): ("a.csv", "b.csv", "none so"),
            ("ulabel", ("artifacts", "uid")): (A, B, C),
        }.items()
        for operator in ("exact", "startswith", "icontains", "in", "gt")
        for value in values
        for given in (
            [(value,), (value, values[0]), (None,)] if operator == "in" else [value, None]
        )
        for at in (None, 4, len(STORY))
        for trash in ("without", "with")
    ]
    # There and back: each shape is asked with one value after the other.
    for select in (*questions, *reversed(questions)):
        assert models.select(select) == memory.select(select)
        assert models.count(select) == memory.count(select)


# --- links of all times --------------------------------------------------------------------------


def test_links_of_all_times_are_reached_with_both_of_their_bounds(models):
    b.feed(models, STORY)
    memory = MemoryModels()
    b.feed(memory, STORY)
    fields = ["artifact.runs", "run.inputs", "artifact.labels"]
    for onward, start in itertools.product((True, False), (A, B, C, RUN_1, RUN_2, TABBY)):
        for at in (None, *range(len(STORY) + 1)):
            asked = {"onward": onward, "at": at, "limit": 100}
            found = models.reach(fields, [start], **asked, ever=True)
            expected = memory.reach(fields, [start], **asked, ever=True)
            assert sorted(map(repr, found)) == sorted(map(repr, expected))
            there = {(it["field"], it["source"], it["target"]) for it in found}
            now = models.reach(fields, [start], **asked)
            assert {(it["field"], it["source"], it["target"]) for it in now} <= there
            assert all(it["from_position"] < it["to_position"] for it in found)


def test_the_limit_cuts_links_of_all_times_off(models):
    b.feed(models, STORY)
    fields = ["artifact.runs", "run.inputs"]
    all_of_them = models.reach(fields, [RUN_1], onward=False, limit=100, ever=True)
    assert len(all_of_them) > 1
    assert len(models.reach(fields, [RUN_1], onward=False, limit=1, ever=True)) == 1
