"""The trash: what it hides and what still leads into it. Docs: decision 12."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.places import instance
from ledger.places.source import Source
from ledger.registries import all_registries
from tests.support.door import artifact, label, names


@pytest.fixture(autouse=True)
def _quiet(here) -> None:  # noqa: ARG001 (the ledger it works in)
    ln.settings.verbosity = "error"


def version(text: str, key: str = "k") -> ln.Artifact:
    return artifact("f", text, key=key)


# --- keys and versions ----------------------------------------------------------------------------


def test_with_the_latest_version_in_the_trash_the_key_means_the_one_before():
    first, second, third = version("1"), version("2"), version("3")
    before = ln.head()
    third.delete()
    assert ln.Artifact.get(key="k") == second
    second.delete()
    assert ln.Artifact.get(key="k") == first
    assert ln.as_of(before).Artifact.get(key="k") == third
    assert ln.Artifact.filter().with_trash().get(key="k") == third
    third.restore()
    assert ln.Artifact.get(key="k") == third


def test_the_one_before_is_the_one_that_the_key_pointed_at_before():
    first, second = version("1"), version("2")
    assert version("1") == first
    first.delete()
    assert ln.Artifact.get(key="k") == second


def test_with_every_version_in_the_trash_the_key_means_none():
    version("1").delete()
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get(key="k")


def test_where_a_key_was_given_up_for_good_it_means_none():
    version("1")
    version("2").delete(permanent=True)
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get(key="k")


def test_another_condition_never_leads_to_an_older_version():
    version("1")
    version("2")
    with pytest.raises(ln.errors.NotFoundError):
        ln.Artifact.get(key="k", size=99)


def test_versions_are_those_outside_of_the_trash():
    first, second, third = version("1"), version("2"), version("3")
    second.delete()
    assert third.versions.all() == [first, third]
    assert third.versions.with_trash().all() == [first, second, third]
    assert second.versions.filter(is_trashed=True).one() == second


# --- links ----------------------------------------------------------------------------------------


def test_a_link_leads_into_the_trash_as_conditions_do():
    made, tag = version("1"), label("x")
    made.labels.add(tag)
    tag.delete()
    assert names(made.labels) == ["x"]
    assert made.labels.one().is_trashed
    assert "is_trashed=True" in repr(made.labels)
    assert ln.Artifact.filter(labels__name="x").one() == made
    assert made.labels.filter(is_trashed=False).count() == 0
    assert ln.ULabel.filter(artifacts=made).count() == 0
    made.delete()
    assert tag.artifacts.one() == made
    made.labels.remove(tag)
    assert made.labels.count() == ln.Artifact.filter(labels__name="x").with_trash().count() == 0


def test_members_of_a_collection_stay_whole():
    first, second = version("1", "a"), version("2", "b")
    both = ln.Collection([first, second], name="both").save()
    first.delete()
    assert both.artifacts.all() == [first, second]
    assert ln.Collection.filter(artifacts=first).one() == both
    assert first.collections.one() == both
    assert ln.Collection([first, second], name="both") == both


def test_inputs_and_outputs_of_a_run_stay_whole():
    read = version("1", "a")
    run = ln.track(key="s.py", name="s")
    read.cache()
    made = version("2", "b")
    ln.finish()
    read.delete()
    made.delete()
    assert run.inputs.all() == [read]
    assert run.outputs.all() == [made]
    assert read.input_of.one() == made.run == run
    assert ln.Run.filter(inputs=read, outputs=made).one() == run
    assert {read.uid, made.uid} <= made.lineage().uids


def test_registries_hide_the_trash():
    made, tag = version("1"), label("Tabby cat")
    made.labels.add(tag)
    tag.delete()
    assert ln.ULabel.filter().count() == ln.ULabel.search("tabby").count() == 0
    assert "tabby_cat" not in dir(ln.ULabel.lookup())
    assert ln.ULabel.filter(artifacts=made).with_trash().one() == tag


# --- families -------------------------------------------------------------------------------------


def everywhere(uid: str) -> ln.Artifact:
    return all_registries.get(Source(instance.current()), uid)


def test_a_stem_means_the_latest_version_and_not_the_last_created_one():
    first, second = version("1"), version("2")
    assert version("1") == first
    stem = first.uid[:16]
    assert ln.Artifact.get(stem) == everywhere(stem) == first
    assert ln.Artifact.get(key="k") == first
    first.delete()
    assert ln.Artifact.get(stem) == everywhere(stem) == second
    second.delete()
    assert ln.Artifact.get(stem).is_trashed


@pytest.mark.parametrize("kind", ["collection", "transform"])
def test_a_family_is_asked_for_by_name_as_by_stem(kind):
    made = [version(text, text) for text in "abc"]
    if kind == "collection":
        versions = [ln.Collection(made[: n + 1], name="n").save() for n in range(3)]
    else:
        versions = [ln.Transform(key="n", name="n", version=str(n)).save() for n in range(3)]
    registry, stem = type(versions[0]), versions[0].uid[: versions[0].spec.uid_length]
    asked = [{"name": "n"}] + ([{"key": "n"}] if kind == "transform" else [])
    for one in reversed(versions):
        for lookups in asked:
            assert registry.get(**lookups) == one
        assert registry.get(stem) == everywhere(stem) == one
        one.delete()
    assert registry.get(stem) == versions[-1]


def test_two_families_of_one_name_are_several():
    for key in ("a", "b"):
        ln.Transform(name="n", key=key, version="1").save()
    with pytest.raises(ln.errors.MultipleResultsError):
        ln.Transform.get(name="n")


def test_another_field_never_chooses_a_version():
    for n in range(2):
        ln.Transform(key="n", version=str(n)).save()
    with pytest.raises(ln.errors.MultipleResultsError):
        ln.Transform.get(kind="pipeline")
    assert ln.Transform.get(key="n", version="0").version == "0"
