"""What an erasure leaves of each kind of event; a kind that is added later is looked at too."""

from __future__ import annotations

import msgspec
import pytest

from ledger.model.events import EntriesErased, Event, from_payload
from ledger.model.schema import REGISTRIES
from ledger.upkeep.residue import ERASED_COMMAND, residue_of
from projections.fold import registry_of
from tests.conformance.test_format_vectors import BLOCKS
from tests.support import builders as b

# The place of a record, its links, and blobs by their hash: they stay.
STRUCTURE = {
    "artifact", "artifacts", "back", "by", "content_removed", "displaced", "doubled", "ended",
    "environment", "field", "forked_from", "into", "moved", "n", "registry", "resumption",
    "revises", "source", "target", "transform", "uid", *Event.__struct_fields__,
}  # fmt: skip
# The page shows every kind of event with every field.
EVENTS = [from_payload(it["payload"].encode(), position=2) for it in BLOCKS["payloads"]]
OF_RECORDS = [
    it
    for it in EVENTS
    if registry_of(it) and it.command != ERASED_COMMAND and not isinstance(it, EntriesErased)
]


def what_stays(event) -> set[str]:
    """Return the fields that say something and are the same after an erasure."""
    residue = residue_of(b.recorded(event, 2), event.uid)
    fields = REGISTRIES[registry_of(event)].fields
    own = set(event.__struct_fields__) - STRUCTURE - {it.name for it in fields if it.is_kept}
    return {
        name for name in own if (said := getattr(event, name)) and said == getattr(residue, name)
    }


@pytest.mark.parametrize("event", OF_RECORDS)
def test_nothing_stays_but_structure(event):
    assert what_stays(event) == set()


def test_a_text_that_stays_is_found():
    label = b.label_created("tom")
    named = msgspec.structs.replace(label, registry="run", fields={"status": "a secret"})
    assert what_stays(named) == {"fields"}
