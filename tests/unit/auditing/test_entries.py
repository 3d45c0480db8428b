"""Entries read again: the hash that is written out for speed is the one that the format states."""

from __future__ import annotations

from contextlib import suppress

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger.auditing.entries import Entries, leaf_of
from ledger.eventlog import entry
from ledger.eventlog.entry import Envelope
from ledger.eventlog.evidence import RawRow, Text
from ledger.model.payloads import erased, format_of

HASH = st.binary(min_size=32, max_size=32)
NUMBER = st.integers(1, 2**63 - 1)
TAG = st.text()
PARTS = st.builds(lambda kept, rest: kept + b"\n" + rest, st.binary(), st.binary())


@st.composite
def rows(draw, tag=TAG):
    envelope = Envelope(
        position=draw(NUMBER),
        recorded_at=draw(NUMBER),
        stream=draw(st.binary(min_size=16, max_size=16)).hex(),
        version=draw(NUMBER),
        tag=draw(tag),
        command_id=draw(st.binary(min_size=16, max_size=16)).hex(),
        number=draw(NUMBER),
    )
    salt, payload = draw(HASH), draw(st.binary() | PARTS)
    envelope = msgspec.structs.replace(envelope, format=format_of(payload))
    leaf = entry.leaf_of(envelope, payload, salt)
    return RawRow(
        position=envelope.position,
        recorded_at=envelope.recorded_at,
        stream=Text(envelope.stream.encode()),
        version=envelope.version,
        command_id=bytes.fromhex(envelope.command_id),
        number=envelope.number,
        salt=salt,
        leaf=leaf,
        topic=Text(envelope.tag.encode()),
        state=payload,
    )


@given(rows() | rows(tag=st.from_regex(r"[a-z.-]{1,20}", fullmatch=True)))
def test_the_fast_leaf_hash_is_that_of_the_canonical_encoder(row):
    assert leaf_of(row) == row.leaf
    # Once a type was seen, its hash is made in another way.
    Entries().take([row], [])
    assert leaf_of(row) == row.leaf


@given(rows())
def test_an_erased_row_has_the_leaf_that_it_had(row):
    if format_of(row.state) == 1:
        return
    state, salt = erased(row.state, row.salt)
    assert leaf_of(row._replace(state=state, salt=salt)) == row.leaf
    for wrong in (state + b" ", b" " + state, state[:-1]):
        assert leaf_of(row._replace(state=wrong, salt=salt)) != row.leaf


@given(rows(), st.sampled_from(RawRow._fields), st.data())
def test_a_row_that_differs_in_anything_has_another_leaf(row, name, data):
    (other,) = (data.draw(rows()),)
    changed = row._replace(**{name: getattr(other, name)})
    assert (leaf_of(changed) == leaf_of(row)) == (name == "leaf" or changed == row)


@st.composite
def logs(draw):
    """A few honest rows, one of them perhaps changed in one value."""
    honest = []
    versions: dict[bytes, int] = {}
    for position in range(1, draw(st.integers(2, 6)) + 1):
        stream = draw(st.sampled_from([Text(b"%032x" % n) for n in range(2)]))
        versions[stream] = versions.get(stream, 0) + 1
        is_same = draw(st.booleans()) and honest
        number = honest[-1].number + 1 if is_same else 1
        command = honest[-1].command_id if is_same else b"%016d" % position
        row = draw(rows(tag=st.just("a.v1")))._replace(
            position=position,
            recorded_at=position * 10,
            stream=stream,
            version=versions[stream],
            command_id=command,
            number=number,
        )
        honest.append(row._replace(leaf=leaf_of(row)))
    place = draw(st.integers(0, len(honest) - 1))
    name = draw(st.sampled_from(RawRow._fields))
    values = st.sampled_from([0, 1, 2, 7, 1.0, True, None, "a", b"", b"x" * 16, b"x" * 32])
    value = draw(values | values.map(lambda it: Text(it) if isinstance(it, bytes) else it))
    changed = honest[place]._replace(**{name: value})
    if draw(st.booleans()):
        with suppress(Exception):
            changed = changed._replace(leaf=leaf_of(changed))
    return honest, [*honest[:place], changed, *honest[place + 1 :]]


@given(logs())
def test_what_passes_without_a_fault_is_what_the_questions_one_by_one_let_pass(logs):
    class OneByOne(Entries):
        def _faultless(self, *_):
            return None

    honest, other = logs
    for rows_ in (honest, other):
        for since in (0, 2):
            told = []
            for entries in (Entries(), OneByOne()):
                findings = []
                told.append(
                    (entries.take(rows_, findings, since=since), findings, entries.rehashed)
                )
            assert told[0] == told[1]
            assert rows_ is other or told[0][1] == []
