"""Which part of an event is kept when it is erased; a kind that is added later is looked at too."""

from __future__ import annotations

import json
import typing

import pytest

from ledger.errors import UnknownEventError
from ledger.model.events import EntriesErased, Event, LedgerEvent
from ledger.model.payloads import (
    ERASABLE,
    from_payload,
    is_left,
    kept_part,
    parts_of,
    to_payload,
)
from ledger.model.typed_events import FieldAdded, FieldChanged, FieldRetyped, RegistryDefined
from projections.fold import registry_of
from tests.conformance.test_format_vectors import BLOCKS
from tests.support import builders as b

# The place of a record, its links, what the log's structure needs, and blobs by their hash: all of
# it says nothing that a person chose.
STRUCTURE = {
    "artifact", "artifacts", "back", "by", "content_removed", "displaced", "doubled", "ended",
    "environment", "field", "forked_from", "git_is_dirty", "has_size", "hash_type",
    "in_place", "initiated_by", "into", "is_consecutive", "is_ordered", "kind", "moved", "n",
    "natural_id", "registry", "resumption", "revises", "status", "target", "token",
    "transform", "uid",
    *Event.__struct_fields__,
}  # fmt: skip
# The page shows every kind of event with every field.
EVENTS = [
    from_payload(f"{it['kept']}\n{it['erasable']}".encode(), position=2) for it in BLOCKS["parts"]
]
# What defines a registry is no record: it is never erased, and is kept whole.
DEFINITIONS = (RegistryDefined, FieldAdded, FieldChanged, FieldRetyped)
OF_RECORDS = [
    it for it in EVENTS if registry_of(it) and not isinstance(it, (EntriesErased, *DEFINITIONS))
]
BARE = {
    "link-added.v1", "link-removed.v1", "record-trashed.v1", "record-restored.v1",
    "record-withdrawn.v1", "merge-undone.v1", "run-started.v1", "run-resumed.v1",
    "run-finished.v1", "run-abandoned.v1", "input-recorded.v1",
}  # fmt: skip


@pytest.mark.parametrize("event", OF_RECORDS)
def test_nothing_is_kept_but_structure(event):
    kept = json.loads(kept_part(event))
    assert set(kept) - {"type"} <= STRUCTURE


@pytest.mark.parametrize("event", OF_RECORDS)
def test_a_command_is_kept_only_where_it_names_records_and_nothing_else(event):
    kept = json.loads(kept_part(event))
    assert "command" not in kept or kept["type"] in BARE


@pytest.mark.parametrize("event", [it for it in EVENTS if isinstance(it, DEFINITIONS)])
def test_a_definition_is_kept_whole(event):
    assert type(event) not in ERASABLE
    assert kept_part(event) == to_payload(event)


@pytest.mark.parametrize("event", EVENTS)
def test_both_parts_are_the_event_and_share_no_field(event):
    kept, erasable = (json.loads(part or b"{}") for part in parts_of(to_payload(event)))
    assert set(erasable) == set(erasable) & set(ERASABLE.get(type(event), ()))
    assert not set(kept) & set(erasable)


def test_the_table_names_fields_that_there_are():
    for kind, names in ERASABLE.items():
        assert kind in typing.get_args(LedgerEvent)
        assert set(names) <= set(kind.__struct_fields__), kind


@pytest.mark.parametrize("event", EVENTS)
def test_what_is_left_is_read_without_the_erasable_part(event):
    kept = kept_part(event)
    left = from_payload(kept, position=2, is_erased=True)
    assert kept_part(left) == kept
    assert registry_of(left) == registry_of(event)


def test_what_an_event_must_have_reads_as_a_mark_and_the_rest_is_empty():
    event = b.artifact_registered("a", key="k", description="d", n_files=2)
    left = from_payload(kept_part(event), position=1, is_erased=True)
    mark = f"[erased {event.uid}]"
    assert (left.hash, left.digest, left.storage, left.storage_key) == (mark, mark, mark, mark)
    assert (left.key, left.description, left.suffix, left.n_files, left.size) == (
        None,
        None,
        "",
        None,
        0,
    )
    assert (left.command, left.natural) == ([], [])
    assert left.natural_id == event.natural_id


@pytest.mark.parametrize("kept", [b"", b"\n", b"[]\n", b'{"type":"nothing.v1"}\n', b'{"type":1}\n'])
def test_bytes_that_are_no_kept_part_are_refused(kept):
    with pytest.raises(UnknownEventError, match="event at position 7"):
        from_payload(kept, position=7, is_erased=True)


@pytest.mark.parametrize(
    ("payload", "size", "is_right"),
    [
        (b"{}\n", 64, True),
        (b"{}\n{}", 64, False),
        (b"{}\n\n", 64, False),
        (b"\n", 64, False),
        (b"{}", 64, False),
        (b"{}", 33, True),
        (b"{}\n", 33, False),
    ],
)
def test_what_an_erasure_leaves_has_one_line_and_in_format_1_none(payload, size, is_right):
    assert is_left(payload, bytes(size)) is is_right
