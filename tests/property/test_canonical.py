"""The shortcut for identities that are exact as they stand changes neither bytes nor errors."""

from __future__ import annotations

import enum

from hypothesis import given
from hypothesis import strategies as st

from ledger.errors import InvalidValueError
from ledger.model.canonical import _exact, encode, identity_bytes
from ledger.model.ids import base62, digest, uid


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


TEXTS = st.one_of(st.text(), st.sampled_from(["e\u0301", "é", "a"]))
LEAVES = st.one_of(
    TEXTS,
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**64 - 1),
    st.floats(),
    st.binary(),
    st.just(Colour.RED),
    st.just(Text("e\u0301")),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner),
        st.lists(inner).map(tuple),
        st.dictionaries(st.one_of(TEXTS, st.integers()), inner),
    ),
    max_leaves=12,
)


@given(VALUES)
def test_an_identity_is_encoded_as_if_every_part_of_it_had_been_made_exact(value):
    try:
        expected = encode(_exact(value, "$"))
    except InvalidValueError as error:
        expected = str(error)
    try:
        found = identity_bytes(value)
    except InvalidValueError as error:
        found = str(error)
    assert found == expected


@given(st.text(), st.integers(1, 43))
def test_a_uid_is_the_beginning_of_all_43_digits(text, length):
    assert uid(["x", text], length) == base62(digest(["x", text]))[:length]


def test_leading_zeros_are_digits_of_a_uid_too():
    assert base62(bytes(31) + b"\x3e") == "0" * 41 + "10"
