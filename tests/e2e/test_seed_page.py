"""What LaminDB's page on saving the same artifacts and records twice shows, to the letter."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.errors import InvalidValueError, NotFoundError
from tests.support.door import artifact, file, label

pytestmark = pytest.mark.usefixtures("here")


def test_an_id_is_the_position_of_the_creation():
    first = label("first")
    other = artifact("a.txt")
    assert ln.ULabel(name="new").id is None
    assert (first.id, other.id) == (ln.head() - 1, ln.head())
    assert ln.ULabel(name="first").id == first.id
    for found in (
        ln.Artifact.get(other.id),
        ln.Artifact.get(id=other.id),
        ln.Artifact.filter(pk=other.id).one(),
        ln.Artifact.filter(id__gt=first.id).one(),
        ln.as_of(ln.head()).Artifact.get(other.id),
    ):
        assert found == other
    assert ln.Artifact.filter(id=first.id).count() == 0
    label("second")
    assert [it.name for it in ln.ULabel.filter().order_by("-id")] == ["second", "first"]
    with pytest.raises(NotFoundError, match="id=999"):
        ln.Artifact.get(999)
    with pytest.raises(InvalidValueError, match="whole number"):
        ln.Artifact.filter(id=other.uid).count()


def test_a_table_is_indexed_by_id_and_missing_text_is_none():
    one, two = artifact("a.txt"), artifact("b.txt", key="b")
    table = ln.Artifact.df()
    assert table.index.name == "id"
    assert list(table.index) == [one.id, two.id]
    assert list(table["key"]) == [None, "b"]
    assert table["description"].isna().all()
    assert table.loc[two.id, "uid"] == two.uid
    assert list(table["n_files"]) == [None, None]
    assert ln.Artifact.filter().to_arrow().column_names[:2] == ["id", "uid"]


def test_a_constructed_artifact_shows_the_run_that_would_make_it_again():
    path = file("a.fcs", "content")
    ln.track(key="seed", new_run=True)
    made = ln.Artifact(path, description="My fcs artifact").save()
    same = ln.Artifact(path, description="My fcs artifact")
    assert (same.id, same.run) == (made.id, made.run)
    assert same.previous_runs.all() == []
    second = ln.track(key="seed", new_run=True)
    here = ln.head()
    again = ln.Artifact(path, description="My fcs artifact")
    assert (again.id, again.run) == (made.id, second)
    assert again.previous_runs.all() == [made.run]
    assert ln.head() == here
    assert ln.Artifact.get(made.uid).run == made.run
    again.save()
    assert again.run == ln.Artifact.get(made.uid).run == second
    # A run that made it before is shown as it is recorded: saving once more has no effect.
    ln.finish()
    assert ln.context.last_run.status == "finished"
    ln.track(key="third", new_run=True)
    ln.Artifact(path).save()
    third = ln.context.run
    here = ln.head()
    assert ln.Artifact(path).save().run == third
    assert ln.head() == here
    ln.finish()
    assert ln.Artifact(path).run == third
