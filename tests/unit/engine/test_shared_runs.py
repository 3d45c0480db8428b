"""Two handlers on one ledger, step by step: who knows what, and who ends the run."""

from __future__ import annotations

import itertools

import pytest

from ledger.decisions.replay import Case
from ledger.decisions.runs import RunPlan
from ledger.engine.handler import Handler
from ledger.engine.sessions import Sessions
from ledger.model.commands import ChangeRecord, SaveRecord
from ledger.model.events import tag_of
from tests.support.memory_database import MemoryDatabase

PLAN = RunPlan(identity="script", fields={})


@pytest.fixture
def database():
    return MemoryDatabase(lambda: 1)


class Pass:
    """A pass through the runs of one plan."""

    def __init__(self, database, plan=PLAN, *, new_run=False):
        ticks = itertools.count(1)
        self.handler = Handler(Sessions(database), clock=lambda: next(ticks), actor="ada")
        if plan is not None:
            tracked = self.handler.track(plan, new_run=new_run, before=lambda _: {"transform": "T"})
            self.passage = tracked.passage

    def save(self, name, **fields):
        return self.handler.perform(SaveRecord(registry="ulabel", name=name, fields=fields)).uid

    def describe(self, uid, text):
        self.handler.perform(ChangeRecord(registry="ulabel", uid=uid, fields={"description": text}))

    def finish(self, status="finished"):
        self.handler.finish(status)


def rows(database, table, **equals):
    with database.read() as session:
        return session.models.find(table, **equals)


def tags(database, after=0):
    with database.read() as session:
        return [tag_of(it.event).removesuffix(".v1") for it in session.log.read(after=after)]


def head(database):
    with database.read() as session:
        return session.log.head()


def known(database):
    return [row["intent"] for row in rows(database, "intent")]


def together(database):
    """Two passes that both record into one run."""
    one = Pass(database)
    uid = one.save("x")
    two = Pass(database)
    two.save("x")
    two.save("y")
    assert two.passage.case is Case.CONTINUED
    return one, two, uid


def test_a_pass_joins_the_run_that_another_has_begun(database):
    together(database)
    assert tags(database) == ["run-started", "record-created", "run-resumed", "record-created"]
    assert len(rows(database, "run")) == 1


def test_what_one_of_two_passes_did_the_other_does_not_do_again(database):
    one, two, uid = together(database)
    two.describe(uid, "a")
    two.describe(uid, "b")
    before = head(database)
    one.save("y")
    one.describe(uid, "a")
    one.describe(uid, "b")
    assert head(database) == before
    assert rows(database, "ulabel", uid=uid)[0]["description"] == "b"
    assert one.passage.n_known == 3


def test_an_intent_that_both_passed_without_effect_is_known_once(database):
    one, two, uid = together(database)
    two.describe(uid, None)
    one.save("y")
    one.describe(uid, None)
    two.save("z")
    one.save("z")
    one.save("later")
    two.finish()
    one.finish()
    assert len(known(database)) == len(set(known(database)))


def test_an_intent_noted_by_one_is_not_an_effect_of_the_other(database):
    one, two, uid = together(database)
    one.save("y")
    one.describe(uid, None)
    one.save("z")
    Pass(database, None).describe(uid, "curated")
    two.describe(uid, None)
    assert rows(database, "ulabel", uid=uid)[0]["description"] == "curated"
    assert len(known(database)) == len(set(known(database)))


def test_the_second_pass_to_finish_adds_nothing(database):
    one, two, _ = together(database)
    two.finish()
    before = head(database)
    one.save("y")
    one.finish()
    assert head(database) == before
    assert rows(database, "run")[0]["status"] == "finished"


def test_what_the_second_pass_to_finish_alone_knows_is_not_lost(database):
    one, two, uid = together(database)
    one.save("y")
    one.describe(uid, None)
    two.finish()
    before = head(database)
    one.finish()
    assert tags(database, after=before) == ["run-resumed", "run-finished"]
    Pass(database, None).describe(uid, "curated")
    before = head(database)
    third = Pass(database)
    third.save("x")
    third.save("y")
    third.describe(uid, None)
    third.finish()
    assert head(database) == before


@pytest.mark.parametrize(
    ("first", "second", "end"),
    [
        ("failed", "finished", "finished"),
        ("finished", "failed", "finished"),
        ("ended", "failed", "ended"),
        ("ended", "finished", "finished"),
    ],
)
def test_a_run_finished_where_one_of_its_passes_did(database, first, second, end):
    one, two, _ = together(database)
    two.finish(first)
    one.finish(second)
    assert rows(database, "run")[0]["status"] == end


def test_two_passes_on_other_data_never_share_a_run(database):
    one = Pass(database)
    two = Pass(database)
    two.save("tuesday")
    assert two.passage.case is Case.CONTINUED
    one.save("monday")
    assert one.passage.case is Case.FORK
    two.save("more of tuesday")
    one.save("more of monday")
    runs = {row["name"].split()[-1]: row["run"] for row in rows(database, "ulabel")}
    assert len(set(runs.values())) == 2
    assert {row["run"] for row in rows(database, "ulabel")} == set(runs.values())


def test_two_passes_part_where_what_they_do_parts(database):
    one, two, _ = together(database)
    one.save("y")
    one.save("monday")
    two.save("tuesday")
    assert (one.passage.case, two.passage.case) == (Case.NEW, Case.FORK)
    by_name = {row["name"]: row["run"] for row in rows(database, "ulabel")}
    assert by_name["x"] == by_name["y"] == by_name["monday"] == one.passage.run
    assert by_name["tuesday"] == two.passage.run


def test_a_replay_that_hears_of_a_fork_joins_it(database):
    origin = Pass(database)
    origin.save("monday")
    origin.finish()
    one, two = Pass(database), Pass(database)
    one.save("tuesday")
    assert two.save("tuesday") == rows(database, "ulabel", name="tuesday")[0]["uid"]
    two.save("wednesday")
    assert [row["n"] for row in rows(database, "run")] == [1, 2]
    assert two.passage.run == one.passage.run
    assert two.passage.case is Case.CONTINUED


def test_two_new_runs_on_demand_take_different_ordinals(database):
    one, two = Pass(database, new_run=True), Pass(database, new_run=True)
    one.save("x")
    two.save("x")
    assert [row["n"] for row in rows(database, "run")] == [1, 2]
    assert (one.passage.case, two.passage.case) == (Case.NEW, Case.NEW)


def test_a_pass_that_began_at_the_same_moment_goes_through_the_run_of_the_other():
    """Between the look for a run and the lock another process starts it."""

    class Hasty(MemoryDatabase):
        """Lets the other one in as soon as anybody has looked."""

        other = None

        def write(self):
            if self.other is not None:
                begin, self.other = self.other, None
                begin()
            return super().write()

    hasty = Hasty(lambda: 1)
    hasty.other = lambda: Pass(hasty).save("x")
    one = Pass(hasty)
    assert one.passage.case is Case.RESUMABLE
    assert one.save("x")
    one.finish()
    assert len(rows(hasty, "run")) == 1


def test_other_plans_are_other_runs(database):
    other = RunPlan(identity="other arguments", fields={})
    one, two = Pass(database), Pass(database, other)
    one.save("x")
    two.save("x")
    assert one.passage.run != two.passage.run
    assert tags(database) == ["run-started", "run-started", "record-created"]


def test_a_failure_to_record_the_end_leaves_the_pass_in_hand(database, monkeypatch):
    one = Pass(database)
    one.save("x")
    with monkeypatch.context() as patch:
        patch.setattr(Handler, "_append_step", _fail)
        with pytest.raises(OSError, match="disk full"):
            one.finish()
    one.finish()
    assert rows(database, "run")[0]["status"] == "finished"


def _fail(*_):
    raise OSError("disk full")
