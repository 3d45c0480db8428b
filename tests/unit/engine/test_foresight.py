"""Foresight answers as the facts do, only sooner."""

from __future__ import annotations

from ledger.decisions.decide import decide
from ledger.decisions.facts import Stamp
from ledger.engine.foresight import Foresight, Question, expected, expected_stream
from ledger.model.commands import ChangeRecord, LinkRecords, SaveRecord

LOVED = Question("ulabel", {"name": "loved"})
STAMP = Stamp(at=1, actor="ada", run=None)


class Facts:
    """Facts that hold nothing, and note what they are asked."""

    is_far = True

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.trips: list[list[tuple]] = []

    def find(self, table, *, at=None, ever=False, **equals):
        del at, ever
        self.trips.append([(table, equals)])
        return list(self.rows)

    def find_all(self, questions):
        self.trips.append([tuple(it) for it in questions])
        return [list(self.rows) for _ in questions]


def test_under_the_lock_each_question_is_asked_once():
    facts = Facts()
    foresight = Foresight(facts, [LOVED], is_locked=True)
    for _ in range(3):
        assert foresight.find("ulabel", name="loved") == []
        assert foresight.find("ulabel", uid="x") == []
    assert facts.trips == [[tuple(LOVED)], [("ulabel", {"uid": "x"})]]


def test_without_the_lock_an_answer_is_given_once():
    """Others record meanwhile: whoever asks again wants to know what is true now."""
    facts = Facts()
    foresight = Foresight(facts, [LOVED])
    assert foresight.find("ulabel", name="loved") == []
    facts.rows = [{"uid": "x"}]
    assert foresight.find("ulabel", name="loved") == [{"uid": "x"}]


def test_the_past_is_never_taken_for_the_present():
    facts = Facts()
    foresight = Foresight(facts, [LOVED], is_locked=True)
    foresight.find("ulabel", name="loved", at=7)
    foresight.find("ulabel", name="loved", ever=True)
    assert len(facts.trips) == 3


def test_who_sorts_an_answer_leaves_the_others_theirs():
    facts = Facts()
    facts.rows = [{"uid": "b"}, {"uid": "a"}]
    foresight = Foresight(facts, [LOVED], is_locked=True)
    foresight.find("ulabel", name="loved").sort(key=lambda row: row["uid"])
    assert foresight.find("ulabel", name="loved") == facts.rows


def test_near_facts_are_asked_only_what_the_rules_ask():
    facts = Facts()
    facts.is_far = False
    Foresight(facts, [LOVED], is_locked=True)
    assert facts.trips == []


def test_all_that_a_new_label_is_decided_on_is_foreseen():
    facts = Facts()
    command = SaveRecord(registry="ulabel", name="loved")
    decision = decide(command, Foresight(facts, expected(command), is_locked=True), STAMP)
    assert len(facts.trips) == 1
    assert decision.stream == expected_stream(command)


def test_what_changes_and_links_are_decided_on_is_foreseen():
    change = ChangeRecord(registry="ulabel", uid="x", fields={"description": "y"})
    link = LinkRecords(registry="artifact", uid="x", field="labels", target="y", is_present=True)
    row = {"uid": "x", "stream": "s", "state": 0, "description": None}
    for command in (change, link):
        facts = Facts()
        facts.rows = [row]
        decide(command, Foresight(facts, expected(command), is_locked=True), STAMP)
        assert len(facts.trips) == 1
