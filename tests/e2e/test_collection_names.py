"""A collection is identified by its members, and bears every name that it was given."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.door import artifact

pytestmark = pytest.mark.usefixtures("here")


def found(name):
    return ln.Collection.filter(name=name).all()


def test_equal_members_under_two_names_are_found_by_both():
    members = [artifact("a.txt"), artifact("b.txt")]
    first = ln.Collection(members, name="all plates").save()
    second = ln.Collection(members[::-1], name="good plates").save()
    assert first == second
    assert found("all plates") == found("good plates") == [first]
    assert second.names == ["all plates", "good plates"]
    head = ln.head()
    for name in ("all plates", "good plates"):
        assert ln.Collection(members, name=name).save() == first
    assert ln.head() == head
    more = ln.Collection([*members, artifact("c.txt")], name="all plates").save()
    assert more.revises == first
    assert [it.is_latest for it in found("all plates")] == [False, True]
    assert ln.audit().ok


def test_under_one_name_there_is_one_latest_collection():
    a, b, c = (artifact(f"{it}.txt") for it in "abc")
    one = ln.Collection([a], name="one").save()
    two = ln.Collection([b], name="two").save()
    before = ln.head()
    assert ln.Collection([a], name="two").save() == one
    assert found("two") == found("one") == [one]
    assert ln.Collection.get(name="two").artifacts.one() == a
    assert ln.Collection.get(two.uid).names == []
    assert not ln.Collection.get(two.uid).is_latest
    assert ln.as_of(before).Collection.filter(name="two").one() == two
    # The name goes back where its first members are saved under it again.
    assert ln.Collection([b], name="two").save() == two
    assert found("two") == [two]
    third = ln.Collection([c], name="two").save()
    assert third.revises == two
    assert ln.Collection.filter(name="two", is_latest=True).one() == third
    assert ln.audit().ok


def test_a_name_that_was_assigned_leaves_the_earlier_ones():
    made = ln.Collection([artifact("a.txt")], name="first").save()
    made.name = "second"
    made.save()
    assert made.names == ["first", "second"]
    assert found("first") == found("second") == [made]
    made.delete(permanent=True)
    assert found("first") == found("second") == []
