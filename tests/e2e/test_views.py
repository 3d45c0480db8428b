"""A view of the past: every door of it is of its position, and none of them changes anything.

The walk takes every public attribute of every record that can be reached from a view. A method that
is new has no entry in the tables below, and the walk fails until it has one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest

import ledger as ln
from ledger.model.schema import REGISTRIES
from ledger.past.impact import Impact
from ledger.past.lineage import Lineage
from ledger.past.lineage_diff import LineageDiff
from ledger.registries.base import Record, Related
from ledger.registries.query import Lookup
from ledger.registries.results import Results
from tests.support.door import artifact, file, label, names, nothing_recorded

Calls = dict[str, Callable[[Any, Any], object]]

# How each method that answers a question is asked: by the method itself and the record.
QUESTIONS: Calls = {
    "ancestors": lambda it, _: it(),
    "cache": lambda it, _: it(),
    "descendants": lambda it, _: it(),
    "describe": lambda it, _: str(it()),
    "df": lambda it, _: it(),
    "filter": lambda it, _: it(),
    "get": lambda it, record: it(record.uid),
    "history": lambda it, _: it(),
    "inspect": lambda it, _: it(["early label"]),
    "standardize": lambda it, _: it(["early label"]),
    "validate": lambda it, _: it(["early label"]),
    "impact": lambda it, _: it(),
    "lineage": lambda it, _: it(direction="both"),
    "lineage_diff": lambda it, _: it(1),
    "load": lambda it, _: it(),
    "lookup": lambda it, _: it("uid"),
    "open": lambda it, _: it().close(),
    "replayed": lambda it, _: it(),
    "search": lambda it, _: it("e"),
    "view_lineage": lambda it, _: it(),
}
# How each method that changes something is called.
CHANGES: Calls = {
    "add_alias": lambda it, _: it("lamindb:1"),
    "delete": lambda it, _: it(),
    "from_df": lambda it, _: it(None),
    "from_dir": lambda it, _: it("folder"),
    "import_obo": lambda it, _: it("few.obo"),
    "lift_retraction": lambda it, _: it(),
    "merge_into": lambda it, record: it(record),
    "replace": lambda it, _: it("folder/later"),
    "restore": lambda it, _: it(),
    "retract": lambda it, _: it("wrong"),
    "save": lambda it, _: it(),
    "undo_merge": lambda it, record: it(record.uid),
}
# Stores the content of a record that is not saved yet; a record of a view is.
WITHOUT_EFFECT = {"prepare_content"}


@pytest.fixture
def then(here) -> int:  # noqa: ARG001 (the ledger it works in)
    """A position, after which every record of the ledger was changed, moved or replaced."""
    ln.settings.verbosity = "error"
    run = ln.track(key="a.py", name="early")
    tag, other = label("early label"), label("early other")
    early = artifact("early", key="k")
    ln.finish()
    ln.track(key="b.py", name="early too")
    early.cache()
    read = artifact("read", key="r")
    early.labels.add(tag)
    ln.Feature(name="early score", dtype=float).save()
    early.features["early score"] = 0.5
    both = ln.Collection([early, read], name="early both").save()
    transform = ln.Transform(name="early made", version="1").save()
    ln.finish()
    position = ln.head()
    ln.track(key="a.py", name="late", new_run=True)
    artifact("early", "late", key="k")
    artifact("late", key="l").labels.add(label("late label"))
    early.cache()
    early.labels.add(other)
    ln.Collection([early], name="early both").save()
    ln.Transform(name="early made", version="2").save()
    for record in (tag, both):
        record.description = "late"
        record.save()
    for record in (early, read, both, transform, run, run.transform):
        record.retract("late")
    ln.finish()
    artifact("early", "later still", key="k")
    tag.merge_into(other)
    for record in (other, read, transform, both):
        record.delete()
    file("folder/later")
    return position


def found_in(answer: object) -> Iterable[Record]:
    """Return the records that an answer leads to."""
    match answer:
        case Record():
            return [answer]
        case Results() | Impact():
            return list(answer)
        case Lineage():
            return [*answer.artifacts, *answer.collections, *answer.runs, *answer.transforms]
        case LineageDiff():
            return [*found_in(answer.before), *found_in(answer.after)]
        case Lookup():
            return [getattr(answer, name) for name in dir(answer)]
        case _:
            return []


def everything_of(record: Record) -> Iterable[tuple[str, object]]:
    """Yield name and answer of each public attribute of a record; what changes it is refused."""
    for name in dir(record):
        if name.startswith("_") or name in WITHOUT_EFFECT:
            continue
        value = getattr(record, name)
        if name in CHANGES:
            with pytest.raises(ln.errors.ReadOnlyViewError):
                CHANGES[name](value, record)
        elif not callable(value) or isinstance(value, Record | Results):
            yield name, value
        elif name in QUESTIONS:
            try:
                yield name, QUESTIONS[name](value, record)
            except ln.errors.InvalidValueError as error:
                assert "lineage" in str(error), (record, name)  # noqa: PT017 (labels have none)
        else:
            pytest.fail(f"{type(record).__name__}.{name}: say in this file what it does")


def refuses_changes(record: Record, value: object) -> None:
    """Claim that links and fields of a record of a view cannot be changed."""
    if isinstance(value, Related):
        for change in (value.add, value.remove):
            with pytest.raises(ln.errors.ReadOnlyViewError):
                change(record)


def test_every_door_of_a_view_is_of_its_position_and_read_only(then):
    view = ln.as_of(then)
    queries = [getattr(view, spec.title).filter() for spec in REGISTRIES.values()]
    waiting = [record for query in queries for record in query]
    seen = {(record.registry, record.uid) for record in waiting}
    assert {registry for registry, _ in seen} == set(REGISTRIES)
    with nothing_recorded():
        while waiting:
            record = waiting.pop()
            assert record._source.at == then, record
            assert record._row["created_position"] <= then, record
            for name, value in everything_of(record):
                refuses_changes(record, value)
                for other in found_in(value):
                    assert other._source.at == then, (record, name, other)
                    if (other.registry, other.uid) not in seen:
                        seen.add((other.registry, other.uid))
                        waiting.append(other)
            for field in record.spec.fields:
                if field.is_editable:
                    setattr(record, field.name, "late")
            with pytest.raises(ln.errors.ReadOnlyViewError):
                ln.save([record])


def test_what_a_view_tells_is_what_was_true_then(then):
    view = ln.as_of(then)
    early = view.Artifact.get(key="k")
    assert early.versions.all() == [early]
    assert early.load() == b"early"
    assert names(early.labels) == ["early label"]
    assert early.get(early.uid).is_latest
    assert early.retraction is None
    assert early.filter(key="l").count() == 0
    assert [run.transform.key for run in early.input_of] == ["b.py"]
    both = view.Collection.get(name="early both")
    assert both.versions.all() == [both]
    assert both.artifacts.count() == 2
    assert both.description is None
    made = view.Transform.filter(name="early made").one()
    assert made.versions.all() == [made]
    tag = early.labels.one()
    assert max(change.position for change in tag.history()) <= then
    assert view.Run.filter(transform__key="a.py").count() == 1
    assert early.lineage_diff(1).after.position == then


def test_a_registry_of_a_view_answers_questions_and_nothing_else(then):
    view = ln.as_of(then)
    assert list(view.ULabel.df(limit=1)["name"]) == ["early label"]
    assert list(view.ULabel.get(name="early other").df()["name"]) == ["early label", "early other"]
    for title, method in (("ULabel", "undo_merge"), ("Artifact", "from_dir"), ("Run", "save")):
        with pytest.raises(ln.errors.ReadOnlyViewError, match=method):
            getattr(getattr(view, title), method)("x")
    with pytest.raises(AttributeError, match="dance"):
        view.ULabel.dance  # noqa: B018 (the look is the test)
