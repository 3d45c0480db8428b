"""A batch is recorded whole or not at all, and its records know it."""

# ruff: noqa: PT012 (what is raised ends a batch, and the batch is what is tested)

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.door import Interrupted, artifact, label, names, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_is_recorded_whole():
    before = ln.head()
    with ln.batch():
        one = label("one")
        record = artifact("a.txt")
        record.labels.add(one)
        ln.Collection([record], name="c").save()
        assert ln.ULabel.filter().count() == 1
    assert ln.head() == before + 4


def test_a_failed_batch_leaves_nothing_and_its_records_as_they_were():
    old = label("old", description="before")
    tag = label("tag")
    kept = artifact("kept.txt")
    old.description = "assigned before the batch"
    with nothing_recorded(), pytest.raises(Interrupted), ln.batch():
        new = label("new")
        made = artifact("a.txt", key="k.txt")
        old.save()
        kept.labels.add(tag)
        kept.delete()
        raise Interrupted
    assert not new.is_saved
    assert not made.is_saved
    assert kept.is_trashed is False
    assert kept.labels.all() == []
    assert ln.ULabel.get(old.uid).description == "before"
    assert old.description == "assigned before the batch"
    old.save()
    new.save()
    made.save()
    assert ln.ULabel.get(old.uid).description == "assigned before the batch"
    assert ln.ULabel.get(name="new") == new
    assert ln.Artifact.get(key="k.txt").load() == "a.txt"


def test_a_failed_batch_in_a_run_leaves_the_run_as_it_was():
    source = artifact("in.txt")
    run = ln.track(key="t.py", new_run=True)
    label("before")
    with nothing_recorded(), pytest.raises(Interrupted), ln.batch():
        label("inside")
        source.cache()
        raise Interrupted
    label("after")
    source.cache()
    label("inside")
    ln.finish()
    run = ln.Run.get(run.uid)
    assert names(run.ulabels) == ["before", "after", "inside"]
    assert run.inputs.all() == [source]


def test_an_error_caught_inside_a_batch_spoils_nothing():
    with ln.batch():
        one = label("one")
        two = label("two")
        two.name = "one"
        with pytest.raises(ln.errors.NameTakenError):
            two.save()
        label("three")
    assert names(ln.ULabel.filter()) == ["one", "two", "three"]
    assert one.is_saved


def test_a_batch_in_a_batch_is_a_part_of_it():
    with nothing_recorded(), pytest.raises(Interrupted), ln.batch():
        with ln.batch():
            label("inner")
        raise Interrupted
    assert ln.ULabel.filter().count() == 0


def test_similar_names_of_a_failed_batch_are_forgotten(capsys):
    with pytest.raises(Interrupted), ln.batch():
        label("My project 1")
        ln.ULabel(name="My project 2")
        raise Interrupted
    capsys.readouterr()
    ln.ULabel(name="My project 3")
    assert "similar" not in capsys.readouterr().err
