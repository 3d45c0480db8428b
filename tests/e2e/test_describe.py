"""`describe()`: what there is to know of a record, in one text and in one table."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.door import artifact, file, label, nothing_recorded

pytestmark = pytest.mark.usefixtures("here")


def test_an_artifact_tells_its_key_uid_script_and_links():
    run = ln.track(key="clean.py", params={"lr": 0.5})
    made = artifact("clean.txt", "one", key="clean.txt", description="the first")
    made.labels.add(label("plate 1"), label("plate 2"))
    ln.finish()
    ln.track(key="report.py")
    made.cache()
    ln.finish()
    later = artifact("clean.txt", "two", key="clean.txt")
    with nothing_recorded():
        made = ln.Artifact.get(made.uid)
        text = str(made.describe())
        html = made.describe()._repr_html_()
    first, *lines = text.splitlines()
    assert first == "Artifact clean.txt"
    told = {line.strip().split("  ")[0]: line for line in lines}
    assert made.uid in told["uid"]
    assert "the first" in told["description"]
    assert f"{run.uid} (clean.py)" in told["run"]
    assert "(plate 1)" in told["labels"]
    assert "(plate 2)" in told["labels"]
    assert "(report.py)" in told["input of"]
    assert told["versions"].endswith("number 1 of 2")
    assert str(later.describe()).count("number 2 of 2, the latest") == 1
    assert "clean.py" in html
    assert "lr=0.5" in str(run.describe())


def test_a_description_is_of_the_position_of_its_record():
    made = artifact("a.txt", key="a.txt")
    position = ln.head()
    made.labels.add(label("late"))
    assert "late" not in str(ln.as_of(position).Artifact.get(made.uid).describe())
    assert "late" in str(made.describe())


def test_a_record_that_is_not_saved_is_described_by_what_was_given():
    new = ln.ULabel(name="new", description="soon")
    assert "ULabel new (not saved)" in str(new.describe())
    assert "soon" in str(new.describe())
    assert "a.txt" in str(ln.Artifact(file("a.txt"), key="a.txt").describe())


def test_many_records_of_a_relation_are_counted_and_text_stays_text():
    many = label("<b>many</b>")
    for number in range(8):
        artifact(f"{number}.txt").labels.add(many)
    assert "and 3 more" in str(many.describe())
    assert "<b>many" not in many.describe()._repr_html_()
    many.delete()
    assert "(in the trash)" in str(many.describe())
