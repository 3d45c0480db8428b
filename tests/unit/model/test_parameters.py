from __future__ import annotations

import argparse
import collections
import dataclasses
import enum
import json
import math
import random
import types
from datetime import UTC, date, datetime, timedelta
from pathlib import Path, PurePosixPath, PureWindowsPath

import msgspec
import numpy as np
import pandas as pd
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidValueError
from ledger.model.canonical import encode
from ledger.model.parameters import canonical_params, plain_params


def canonical(value):
    return canonical_params({"x": value})["params"]["x"]


class Colour(enum.Enum):
    RED = "red"
    HALF = 0.5


class Level(enum.IntEnum):
    HIGH = 5


@dataclasses.dataclass
class Point:
    x: int
    y: float


class Struct(msgspec.Struct):
    x: int
    y: float


class Model(pydantic.BaseModel):
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (3, 3),
        ("e\u0301", "\u00e9"),
        (0.1, {"float": "0.1"}),
        (1.0, {"float": "1.0"}),
        (-0.0, {"float": "-0.0"}),
        (1e-5, {"float": "1e-05"}),
        (math.nan, {"float": "nan"}),
        (math.inf, {"float": "inf"}),
        (-math.inf, {"float": "-inf"}),
        (2**53 - 1, 2**53 - 1),
        (-(2**53), {"int": "-9007199254740992"}),
        (PurePosixPath("a/b"), "a/b"),
        (PureWindowsPath("a\\b"), "a/b"),
        (date(2024, 2, 29), "2024-02-29"),
        (datetime(2024, 2, 29, 1, 2, tzinfo=UTC), "2024-02-29T01:02:00+00:00"),
        (Colour.RED, "red"),
        (Colour.HALF, {"float": "0.5"}),
        (Level.HIGH, 5),
        ((1, [2.5]), [1, [{"float": "2.5"}]]),
        ({"b": 1, "a": 2}, {"a": 2, "b": 1}),
        (types.MappingProxyType({"a": 1}), {"a": 1}),
        (np.float64(0.1), {"float": "0.1"}),
        (np.float32(0.5), {"float": "0.5"}),
        (np.int8(3), 3),
        (np.bool_(1), True),
        (np.str_("a"), "a"),
        (np.array(3), 3),
    ],
    ids=repr,
)
def test_each_kind_has_one_form(value, expected):
    found = canonical(value)
    assert found == expected
    assert type(found) is type(expected)
    encode(found)


@pytest.mark.parametrize(
    "whole", [Point(1, 2.0), Struct(1, 2.0), Model(x=1, y=2.0), argparse.Namespace(y=2.0, x=1)]
)
def test_objects_with_fields_are_mappings_at_any_level(whole):
    expected = {"x": 1, "y": {"float": "2.0"}}
    assert canonical_params(whole) == {"argv": [], "params": expected}
    assert canonical([whole]) == [expected]


def test_nothing_given_is_an_empty_mapping():
    assert canonical_params(None) == canonical_params({}) == {"argv": [], "params": {}}


def test_order_of_keys_and_kind_of_container_do_not_matter():
    one = canonical_params({"a": (1, 2), "b": {"c": 1, "d": 2}})
    two = canonical_params(collections.OrderedDict(b={"d": 2, "c": 1}, a=[1, 2]))
    assert json.dumps(one) == json.dumps(two)


def test_whole_number_float_and_bool_differ():
    assert len({json.dumps(canonical(value)) for value in (1, 1.0, True, "1")}) == 4


def test_result_shares_nothing_with_what_was_given():
    given_params = {"a": [1], "b": {"c": []}}
    found = canonical_params(given_params)
    given_params["a"].append(2)
    given_params["b"]["c"].append(3)
    assert found["params"] == {"a": [1], "b": {"c": []}}


@pytest.mark.parametrize("tag", ["float", "int", "bytes", "map"])
def test_mapping_that_reads_like_a_tag_is_told_apart_and_comes_back(tag):
    given_params = {"x": {tag: "1.5"}, "y": {tag: {tag: "a"}}}
    found = canonical_params(given_params)
    assert found["params"]["x"] == {"map": {tag: "1.5"}}
    assert plain_params(found)["params"] == given_params
    assert plain_params(canonical_params({tag: "1"}))["params"] == {tag: "1"}


@pytest.mark.parametrize("bits", [53, 64, 2048, 2049, 20_000])
def test_integers_of_any_size_come_back(bits):
    for number in (2**bits - 1, 2**bits, -(2**bits)):
        found = canonical_params({"x": number})
        encode(found)
        assert plain_params(found)["params"]["x"] == number


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["float", "int", "bytes", "map"])
            | st.text(st.characters(exclude_characters="\0", codec="utf-8")),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(values)
def test_canonical_form_is_a_fixed_point_of_there_and_back(value):
    try:
        first = canonical_params({"x": value})
    except InvalidValueError as error:  # Two keys that are one in NFC.
        assert "two spellings" in str(error)  # noqa: PT017 - the other outcome is tested below
        return
    assert encode(first) == encode(canonical_params(plain_params(first)["params"]))


@given(st.dictionaries(st.from_regex(r"[a-z]{1,3}", fullmatch=True), values), st.randoms())
def test_shuffled_keys_encode_alike(fields, chance: random.Random):
    items = list(fields.items())
    chance.shuffle(items)
    try:
        expected = encode(canonical_params(fields))
    except InvalidValueError:
        return
    assert encode(canonical_params(dict(items))) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"model": {"layers": [1, 2, {3}]}},
            r"^params\.model\.layers\[2\]: expected text, .* found set; pass sorted\(value\)",
        ),
        ({"a b": b"x"}, r'^params\["a b"\]: .* found bytes; pass value\.hex\(\)$'),
        ({"x": np.zeros(3)}, r"^params\.x: .* found numpy\.ndarray; pass value\.tolist\(\)"),
        ({"x": np.longdouble(1)}, r"^params\.x: .* found numpy\.longdouble; pass "),
        ({"x": len}, r"^params\.x: .* found builtin_function_or_method; pass its name$"),
        ({"x": Point}, r"^params\.x: .* found type; pass its name$"),
        ({"x": range(3)}, r"^params\.x: .* found range; pass list\(value\)$"),
        ({"x": object()}, r"^params\.x: .* found object; pass the values that define it"),
        ({"x": {1: 2}}, r"^params\.x: expected text as keys, found a key of type int; use str"),
        ({"e\u0301": 1, "\u00e9": 2}, r"^params\.\u00e9: expected one key, found two spellings"),
        ({"x": "\ud800"}, r"^params\.x: expected text that can be written as UTF-8, .* at 0; "),
        ([1], r"^params: expected a mapping, found list; pass a dict such as"),
        ("x", r"^params: expected a mapping, found str; "),
        (Point, r"^params: expected a mapping, found type; "),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_its_place(params, message):
    with pytest.raises(InvalidValueError, match=message):
        canonical_params(params)


def test_value_that_contains_itself_is_refused():
    loop = []
    loop.append(loop)
    with pytest.raises(InvalidValueError, match="expected at most 64 levels"):
        canonical_params({"x": loop})


def test_refusal_does_not_repeat_the_value():
    with pytest.raises(InvalidValueError) as caught:
        canonical_params({"token": b"secret"})
    assert "secret" not in str(caught.value)


def test_arguments_are_kept_in_order_and_never_refused():
    found = canonical_params(None, ["--n", "3", "e\u0301", "caf\udce9"])
    assert found["argv"] == ["--n", "3", "\u00e9", {"bytes": "636166e9"}]
    encode(found)
    assert plain_params(found)["argv"] == ["--n", "3", "\u00e9", b"caf\xe9"]


def test_plain_values_are_for_display():
    found = canonical_params({"lr": 0.1, "out": Path("a"), "deep": {"n": [2**70, math.inf]}})
    assert plain_params(found) == {
        "argv": [],
        "params": {"deep": {"n": [2**70, math.inf]}, "lr": 0.1, "out": "a"},
    }


def test_times_of_numpy_have_one_form_in_all_units():
    noon = "2026-11-28T12:00:00"
    units = ["m", "s", "ms", "us", "ns"]
    given = [np.datetime64(noon, unit) for unit in units] + [np.array(noon, "datetime64[ns]")]
    assert {canonical(value) for value in given} == {noon}
    assert canonical(datetime(2026, 11, 28, 12)) == noon  # noqa: DTZ001 (NumPy knows no zones)
    days = [np.datetime64("2026-11-28", unit) for unit in ["D", "h", "s", "ns"]]
    assert {canonical(value) for value in days} == {"2026-11-28T00:00:00"}
    halves = [np.datetime64(f"{noon}.5", unit) for unit in units[2:]]
    assert {canonical(value) for value in halves} == {f"{noon}.500000"}
    assert canonical(np.datetime64("1969-12-31T23:59:59.5", "ms")) == "1969-12-31T23:59:59.500000"
    assert canonical(np.datetime64(f"{noon}.123456789")) == f"{noon}.123456789"
    assert canonical(np.datetime64("30000-01-01")) == "30000-01-01T00:00:00"


@pytest.mark.parametrize("value", [np.datetime64("NaT"), np.datetime64("NaT", "ns"), pd.NaT])
def test_what_is_no_time_is_null(value):
    assert canonical(value) is None


@pytest.mark.parametrize(
    "value",
    [np.timedelta64(1, unit) for unit in ("ns", "s", "D", "Y")]
    + [np.timedelta64(5), timedelta(seconds=1), pd.Timedelta("1s"), np.timedelta64("NaT")],
)
def test_a_duration_of_any_unit_is_refused_with_one_way_out(value):
    with pytest.raises(InvalidValueError, match="pass its seconds as a number"):
        canonical(value)


def test_a_time_beyond_seconds_is_refused():
    with pytest.raises(InvalidValueError, match=r"params\.x"):
        canonical(np.datetime64(10**18, "as"))


def test_nul_is_refused_with_its_place():
    with pytest.raises(InvalidValueError, match=r"params\.x: expected text without NUL.* at 1"):
        canonical("a\0b")
