"""What a lookup in Django's spelling names."""

from __future__ import annotations

import pytest

from ledger.errors import InvalidValueError, UnknownFieldError
from ledger.model.schema import ARTIFACT, RUN, TRANSFORM, ULABEL
from ledger.model.ways import way
from ledger.registries.lookups import taken_apart


@pytest.mark.parametrize(
    ("lookup", "path", "operator"),
    [
        ("name", ("name",), "exact"),
        ("id", ("id",), "exact"),
        ("name__icontains", ("name",), "icontains"),
        ("run", ("run",), "exact"),
        ("run__in", ("run",), "in"),
        ("run__transform__key__startswith", ("run", "transform", "key"), "startswith"),
        ("artifacts__labels__pk", ("artifacts", "labels", "id"), "exact"),
        ("artifacts__isnull", ("artifacts",), "isnull"),
    ],
)
def test_a_lookup_is_a_path_and_a_comparison(lookup, path, operator):
    found = taken_apart(ULABEL, lookup)
    assert found[:2] == (path, operator)
    assert found[2].name == path[-1]


@pytest.mark.parametrize("lookup", ["name__foo", "run__name__id__exact", "name__exact__exact"])
def test_a_field_is_followed_by_a_comparison_only(lookup):
    part = lookup.split("__")[-2 if lookup.endswith("__exact") else -1]
    with pytest.raises(InvalidValueError, match=f"'{part}' is no comparison; there are exact"):
        taken_apart(ULABEL, lookup)


@pytest.mark.parametrize("lookup", ["nane", "exact", "", "run__nane", "run__nane__exact"])
def test_a_lookup_names_what_there_is(lookup):
    with pytest.raises(UnknownFieldError, match="has no field"):
        taken_apart(ULABEL, lookup)


def test_a_way_tells_where_it_ends():
    through, end, field, rest = way(ARTIFACT, ("run", "transform", "key", "x"))
    assert [it.name for it in through] == ["run", "transform"]
    assert (end, field, rest) == (TRANSFORM, TRANSFORM.field("key"), ("x",))
    through, end, field, rest = way(ARTIFACT, ("run",))
    assert [it.name for it in through] == ["run"]
    assert (end, field, rest) == (RUN, None, ())
