"""What people of LaminDB type: it works here, or the error names our word for it."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.other_words import WORDS
from tests.support.door import artifact, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")


class Tissue(ln.Record):
    """Where a sample was taken."""


@pytest.fixture(autouse=True)
def _quiet():
    ln.settings.verbosity = "error"


@pytest.mark.parametrize(
    ("dtype", "type_"),
    [
        ("float", "float"),
        ("num", "float"),
        ("int", "int"),
        ("str", "str"),
        ("bool", "bool"),
        ("date", "date"),
        ("datetime", "datetime"),
        ("dict", "dict"),
        ("list[str]", "list[str]"),
        ("cat[ULabel]", "record[ulabel]"),
        ("cat[Tissue]", "record[tissue]"),
        ("cat[Record[Tissue]]", "record[tissue]"),
        ("list[cat[ULabel]]", "list[record[ulabel]]"),
        (ln.ULabel, "record[ulabel]"),
    ],
)
def test_a_feature_takes_a_type_as_text(dtype, type_):
    Tissue(name="lung").save()
    assert ln.Feature(name="f", dtype=dtype).save().type == type_


@pytest.mark.parametrize(
    ("dtype", "error", "words"),
    [
        ("cat", ln.errors.CommandRejectedError, "cat[ULabel]"),
        ("category", ln.errors.CommandRejectedError, "datetime"),
        ("list[", ln.errors.CommandRejectedError, "no type"),
        ("cat[Tisue]", ln.errors.NotFoundError, "tissue"),
    ],
)
def test_a_text_that_is_no_type_is_refused_with_the_way(dtype, error, words):
    Tissue(name="lung").save()
    with nothing_recorded(), pytest.raises(error) as raised:
        ln.Feature(name="f", dtype=dtype)
    assert words in str(raised.value)


def test_features_are_removed_by_name_by_feature_and_by_list():
    found = artifact("a.csv").save()
    for name in ("t", "u", "v", "w"):
        ln.Feature(name=name, dtype=float).save()
        found.features[name] = 1
    found.features.remove_values(ln.Feature.get(name="t"))
    found.features.remove_values(["u", "v"])
    assert found.features.get_values() == {"w": 1.0}
    found.features.remove_values([])
    assert found.features.get_values() == {"w": 1.0}
    for wrong in (1, b"w"):
        with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError, match="as text"):
            found.features.remove_values(wrong)
        with pytest.raises(ln.errors.InvalidValueError, match="as text"):
            found.features[wrong]
    found.features.remove_values()
    assert found.features.get_values() == {}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("ln.Schema", "class Sample(ln.Record)"),
        ("ln.curators.DataFrameCurator(None, schema=None)", "Sample.check(df)"),
        ("ln.Curator", "Sample.check(df)"),
        ("ln.Project", "class Project(ln.Record)"),
        ("ln.Artifact.from_dataframe(None)", "from_df(df, key=…)"),
        ("ln.Artifact.filter().to_dataframe(include='features')", "df(features=True)"),
        ("ln.ULabel.to_dataframe()", "df(features=True)"),
        ("Tissue.from_values(['lung'])", "inspect(values)"),
        ("Tissue(name='lung').query_parents()", "ancestors()"),
        ("Tissue(name='lung').query_children()", "descendants()"),
        ("ln.Record.filter()", "class Sample(ln.Record)"),
        ("ln.Artifact.filter(ulabels='x')", "labels"),
    ],
)
def test_a_word_that_is_none_here_names_ours(line, words):
    with nothing_recorded(), pytest.raises((AttributeError, ln.errors.UnknownFieldError)) as raised:
        eval(line)  # noqa: S307 (lines of this table)
    assert words in str(raised.value)


def test_a_record_of_the_base_is_refused_with_the_way():
    with nothing_recorded(), pytest.raises(ln.errors.CommandRejectedError, match="class Sample"):
        ln.Record(name="Donor", is_type=True)


def test_a_feature_that_is_not_defined_is_told_how():
    with pytest.raises(ln.errors.UnknownFieldError, match=r"ln\.Feature\(name=\"auc\""):
        ln.Run.filter(auc__gt=0.9)


def test_a_word_that_is_ours_stands_in_no_table():
    ours = {*ln.__all__, *dir(ln.Artifact), *dir(ln.ULabel), *dir(ln.Artifact.filter())}
    # A registry is asked for `search`, and its own class for `registry`; the door has no such word.
    assert set(WORDS) & ours == {"registry", "search"}
