"""What each event means to readers."""

from __future__ import annotations

import pytest
from hypothesis import given

from ledger.model import events as ev
from ledger.model.ids import derive
from ledger.model.payloads import from_payload, to_payload
from ledger.model.schema import LIVE, TRASHED, WITHDRAWN
from projections.fold import (
    Amended,
    Closed,
    Opened,
    fold,
    intent_key,
    outcome_of,
    registry_of,
    subject_key,
)
from projections.tables import TABLES
from tests.property.strategies import histories
from tests.support import builders as b
from tests.support.story import STORY


def changes(event, **place):
    return fold(b.recorded(event, **place))


def only(event):
    (change,) = changes(event)
    return change


STAMPS = {"updated_at": b.EPOCH, "changed_by": b.ACTOR}


@pytest.mark.parametrize("event", [b.ledger_initialized(), b.blob_recorded("text")])
def test_what_is_about_no_record_changes_nothing(event):
    assert changes(event) == []
    assert outcome_of(event) == registry_of(event) == ""


def test_a_created_record_begins_live_at_its_position():
    recorded = b.recorded(b.label_created("tabby", fields={"description": "a cat"}), 7)
    (opened,) = fold(recorded)
    assert opened == Opened(
        "ulabel",
        {
            "uid": b.label_uid("tabby"),
            "stream": recorded.stream,
            "natural": derive(["ulabel", "tabby"]),
            "n": 1,
            "state": LIVE,
            "created_position": 7,
            "created_at": b.EPOCH,
            "created_by": b.ACTOR,
            "updated_at": b.EPOCH,
            "changed_by": b.ACTOR,
            "run": None,
            "name": "tabby",
            "description": "a cat",
        },
    )


def test_a_record_tells_the_run_that_created_it():
    assert changes(b.label_created(run="R"))[0].values["run"] == "R"


def test_an_artifact_without_key_or_run_is_one_row():
    opened = only(b.artifact_registered("a"))
    assert opened.table == "artifact"
    assert opened.values["key"] is None


def test_an_artifact_takes_its_key_from_whatever_bore_it():
    uid = b.artifact_uid("a")
    assert changes(b.artifact_registered("a", key="a.csv"))[1:] == [
        Closed("artifact_key", {"key": "a.csv"}),
        Opened("artifact_key", {"key": "a.csv", "uid": uid}),
    ]
    assert changes(b.artifact_keyed(uid, "b.csv")) == [
        Amended("artifact", {"uid": uid}, {"key": "b.csv"} | STAMPS),
        Closed("artifact_key", {"key": "b.csv"}),
        Opened("artifact_key", {"key": "b.csv", "uid": uid}),
    ]


@pytest.mark.parametrize(
    "event", [b.artifact_registered("a", run="R"), b.artifact_reproduced("a", run="R")]
)
def test_an_artifact_is_linked_to_every_run_that_made_it(event):
    link = {"field": "artifact.runs", "source": event.uid, "target": "R", "ordinal": 0, "run": "R"}
    assert changes(event)[1:] == [Opened("link", link)]


def test_a_reproduced_artifact_belongs_to_the_latest_run():
    first, *_ = changes(b.artifact_reproduced("a", run="R"))
    assert first == Amended("artifact", {"uid": "a"}, {"run": "R"} | STAMPS)


def test_members_of_a_collection_keep_their_order_and_count_once():
    collection, name, *links = changes(b.collection_created("study", ["c", "a", "c", "b"]))
    assert (collection.table, name.table) == ("collection", "borne_name")
    assert name.values["name"] == "study"
    assert [(it.values["ordinal"], it.values["target"]) for it in links] == [
        (0, "c"),
        (1, "a"),
        (2, "b"),
    ]


def test_a_change_amends_only_the_fields_it_names():
    event = b.changed("ulabel", "u", name="tom")
    assert only(event) == Amended("ulabel", {"uid": "u"}, {"name": "tom"} | STAMPS)


@pytest.mark.parametrize(
    ("build", "state"), [(b.trashed, TRASHED), (b.restored, LIVE), (b.withdrawn, WITHDRAWN)]
)
def test_a_record_leaves_and_returns_by_its_state(build, state):
    expected = Amended("ulabel", {"uid": "u"}, {"state": state} | STAMPS)
    assert changes(build("ulabel", "u"))[0] == expected


def test_a_withdrawn_artifact_loses_its_keys_and_a_trashed_one_keeps_them():
    assert changes(b.withdrawn("artifact", "a"))[1:] == [
        Closed("artifact_key", {"uid": "a"}),
        Closed("alias", {"uid": "a"}),
    ]
    assert changes(b.trashed("artifact", "a"))[1:] == []


def test_a_withdrawn_record_frees_its_aliases_and_a_trashed_one_keeps_them():
    assert changes(b.withdrawn("ulabel", "u"))[1:] == [Closed("alias", {"uid": "u"})]
    assert changes(b.trashed("ulabel", "u"))[1:] == []


def test_an_alias_is_found_whole_and_by_what_stands_behind_its_colon():
    values = {"alias": "x:s3://a", "ref": "s3://a", "uid": "u", "registry": "ulabel"}
    assert only(b.alias_added("ulabel", "u", "x:s3://a")) == Opened("alias", values)


def test_a_link_begins_and_ends():
    link = {"field": "artifact.labels", "source": "a", "target": "u"}
    added = only(b.link_added("artifact", "a", "labels", "u"))
    assert added == Opened("link", link | {"ordinal": 0, "run": None})
    assert only(b.link_removed("artifact", "a", "labels", "u")) == Closed("link", link)


def test_a_started_run_holds_its_parameters_as_canonical_text_and_one_by_one():
    event = b.run_started(2, params={"b": 1, "a": 2}, arguments=["--x"], modules={"m": "1"})
    opened, whole, *inside = changes(event)
    assert {change.table for change in (whole, *inside)} == {"inside"}
    assert [(it.values["place"], it.values["kind"]) for it in (whole, *inside)] == [
        ("", "json"), ("b", "number"), ("a", "number"),
    ]  # fmt: skip
    assert [it.values["item"] for it in (whole, *inside)] == ["00000000", "00000001", "00000002"]
    assert opened.table == "run"
    assert opened.values["params"] == '{"a":2,"b":1}'
    assert opened.values["arguments"] == '["--x"]'
    assert opened.values["modules"] == '{"m":"1"}'
    assert (opened.values["status"], opened.values["ordinal"]) == ("started", 2)
    # A run belongs to no other run; the table has no such column.
    assert "run" not in opened.values


def test_a_run_finishes_resumes_and_is_abandoned():
    later = b.EPOCH + b.SECOND
    finished = only(b.run_finished("r", "failed", error="boom", at=later)).values
    assert (finished["status"], finished["error"], finished["finished_at"]) == (
        "failed",
        "boom",
        later,
    )
    resumed = only(b.run_resumed("r", 2)).values
    assert resumed["status"] == "started"
    assert resumed["resumptions"] == 2
    assert resumed["finished_at"] is resumed["error"] is None
    assert only(b.run_abandoned("r", "s")).values == {"status": "abandoned"} | STAMPS


def test_an_input_links_the_run_to_the_artifact_it_read():
    link = {"field": "run.inputs", "source": "r", "target": "a", "ordinal": 0, "run": "r"}
    assert only(b.input_recorded("r", "a")) == Opened("link", link)
    assert outcome_of(b.input_recorded("r", "a")) == "a"


def intents(event, **place):
    return [it.values for it in changes(event, **place) if it.table == "intent"]


INTENT = ["intent", "R", "save", "subject", {"name": "tom"}, 0]


def test_the_first_event_of_an_intent_makes_the_run_know_it():
    (known,) = intents(b.label_created("tom", run="R", command=INTENT))
    assert known == {
        "run": "R",
        "intent": intent_key("save", "subject", {"name": "tom"}, 0),
        "subject": subject_key("save", "subject"),
        "outcome": b.label_uid("tom"),
        "ordinal": 0,
    }


def test_later_events_of_an_intent_do_not_tell_it_again():
    assert intents(b.label_created("tom", run="R", command=INTENT), number=2) == []


def test_intents_without_effect_come_before_that_of_the_event_that_carries_them():
    noted = (("key 1", "subject 1", "uid 1"), ("key 2", "subject 2", "uid 2"))
    known = intents(b.label_created("tom", run="R", command=INTENT, noted=noted))
    assert [it["ordinal"] for it in known] == [0, 1, 2]
    assert [it["outcome"] for it in known] == ["uid 1", "uid 2", b.label_uid("tom")]


def test_outside_a_run_nothing_is_an_intent():
    assert intents(b.label_created("tom", command=INTENT)) == []


def test_an_intent_is_the_same_in_every_run():
    assert intent_key("save", "s", {"a": 1}, 0) == intent_key("save", "s", {"a": 1}, 0)
    different = {
        intent_key("save", "s", {"a": 1}, 0),
        intent_key("read", "s", {"a": 1}, 0),
        intent_key("save", "t", {"a": 1}, 0),
        intent_key("save", "s", {"a": 2}, 0),
        intent_key("save", "s", {"a": 1}, 1),
        subject_key("save", "s"),
    }
    assert len(different) == 6


def test_the_story_holds_an_event_of_every_kind():
    """Tests that tell the story would otherwise pass over a kind that was added later."""
    kinds = {type(it.event) for it in STORY}
    left_out = {
        ev.BlobRecorded,
        ev.RecordRestored,
        ev.RunResumed,
        ev.RunAbandoned,
        ev.PositionTagged,
        ev.KeyAdopted,
        ev.EraserKeysSet,
        ev.EntriesErasedV1,
    }
    assert kinds | left_out == set(ev.LedgerEvent.__args__)


@given(histories())
def test_every_change_names_columns_of_its_table(history):
    for recorded in history:
        for change in fold(recorded):
            match change:
                case Opened(table=table, values=names):
                    assert names.keys() >= set(TABLES[table].key)
                case Amended(table=table, key=key, values=values):
                    assert key.keys() == set(TABLES[table].key)
                    names = key | values
                case Closed(table=table, matching=names):
                    assert names
            assert names.keys() <= {it.name for it in TABLES[table].columns}


@given(histories())
def test_the_same_event_always_folds_to_the_same_changes(history):
    again = [from_payload(to_payload(it.event), position=it.position) for it in history]
    for recorded, event in zip(history, again, strict=True):
        assert fold(b.recorded(event, recorded.position, stream=recorded.stream)) == fold(recorded)
