"""One version of a transform a source, or the one that the user pinned."""

from __future__ import annotations

import pytest

from ledger.decisions.transforms import next_version
from ledger.errors import VersionPinnedError
from ledger.model.commands import SaveTransform
from ledger.model.events import TransformRegistered
from ledger.model.ids import versioned_uid
from tests.support import builders as b
from tests.unit.decisions.telling import given

STEM = "stemstemstem"


def save(**more):
    values = {"stem": STEM, "defaults": {"name": "plot", "key": "plot.py", "kind": "script"}}
    return SaveTransform(**values | more)


def registered(version=None, source_hash=None, **more):
    natural = ["transform", STEM, version or ["source", source_hash]]
    uid = versioned_uid(["create", *natural, 1], stem_length=12, stem=STEM)
    values = {
        "uid": uid,
        "natural": natural,
        "name": "plot",
        "key": "plot.py",
        "kind": "script",
        "version": version,
        "source_hash": source_hash,
        "at": b.EPOCH,
        "actor": b.ACTOR,
        "command": [],
    }
    return TransformRegistered(**values | more)


ONE = registered(source_hash="sha256:one")
PINNED = registered("1", "sha256:one")


def test_a_new_source_is_a_new_transform():
    given().when(save(source_hash="sha256:one", source="blob")).then(
        registered(source_hash="sha256:one", source="blob")
    )


def test_the_same_source_is_the_same_transform():
    given(ONE).when(save(source_hash="sha256:one")).then().and_ends_at(ONE.uid)


def test_another_source_is_a_new_version_of_the_family():
    given(ONE).when(save(source_hash="sha256:two")).then(
        registered(source_hash="sha256:two", revises=ONE.uid)
    )


def test_a_pinned_version_is_found_by_its_version():
    given(PINNED).when(save(version="1", source_hash="sha256:one")).then().and_ends_at(PINNED.uid)


def test_a_pinned_version_with_another_source_is_refused_and_the_next_one_named():
    given(PINNED).when(save(version="1", source_hash="sha256:two")).rejects(
        VersionPinnedError, "set the version to '2'"
    )


def test_a_pinned_version_without_source_takes_the_first_it_is_tracked_with():
    bare = registered("1")
    given(bare).when(save(version="1", source_hash="sha256:one", source="blob")).then(
        b.changed("transform", bare.uid, source_hash="sha256:one", source="blob")
    )


def test_defaults_do_not_change_what_exists():
    given(ONE).when(save(source_hash="sha256:one", defaults={"name": "other"})).then()


def test_assigned_fields_change_what_exists():
    given(ONE).when(save(source_hash="sha256:one", fields={"name": "better"})).then(
        b.changed("transform", ONE.uid, name="better")
    )


def test_a_withdrawn_version_is_registered_anew():
    decision = (
        given(ONE, b.withdrawn("transform", ONE.uid)).when(save(source_hash="sha256:one")).decision
    )
    assert decision.is_new
    assert decision.events[0].n == 2


@pytest.mark.parametrize(
    ("version", "after"),
    [("1", "2"), ("9", "10"), ("1.9", "1.10"), ("v2-beta", "v3-beta"), ("draft", "draft.1")],
)
def test_the_next_version_raises_the_last_number(version, after):
    assert next_version(version) == after
