"""What happens between two passes: curators at work, other data, processes that vanish."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.model.events import RunAbandoned, RunStarted
from tests.support.histories import artifact, label, rename

pytestmark = pytest.mark.usefixtures("bench")


# --- what others do between two passes ------------------------------------------------------------


def test_what_a_curator_changed_stands(bench, lab):
    def script():
        it = label("x", description="script")
        made = artifact(lab, "content", description="script")
        made.labels.add(it)

    with bench.passing():
        script()
    it, made = ln.ULabel.get(name="x"), ln.Artifact.filter().one()
    made.labels.remove(it)
    it.description = made.description = "curated"
    it.save()
    made.save()
    made.delete()
    it.delete()
    with bench.passing() as again:
        script()
    assert again == []
    assert made.labels.count() == 0
    rows = [*lab.find("ulabel"), *lab.find("artifact")]
    assert [(row["state"], row["description"]) for row in rows] == [(1, "curated")] * 2


def test_a_trashed_record_answers_with_who_put_it_there(bench, capsys):
    with bench.passing():
        it = label("x")
    it.delete()
    with bench.passing() as again:
        assert label("x").uid == it.uid
    assert again == []
    assert f"({it.uid}) was moved to the trash by" in capsys.readouterr().err


def test_a_record_withdrawn_for_good_is_neither_made_again_nor_hidden(bench, lab, capsys):
    with bench.passing():
        it = label("x")
    it.delete(permanent=True)
    with bench.passing() as again:
        assert label("x").uid == it.uid
    assert again == []
    assert "was withdrawn for good by" in capsys.readouterr().err
    with bench.passing(new_run=True) as anew:
        assert label("x").uid != it.uid
    assert anew == ["run-started", "record-created", "run-finished"]
    assert [row["n"] for row in lab.find("ulabel", state=0)] == [2]


def test_content_withdrawn_for_good_is_not_taken_over_by_a_fork(bench, lab):
    with bench.passing():
        gone = artifact(lab, "content")
    gone.delete(permanent=True, storage=True)
    with bench.passing() as fork:
        assert artifact(lab, "content").uid == gone.uid
        label("new")
    assert fork == ["run-started", "record-created", "run-finished"]
    assert [it.uid for it in ln.Run.filter().last().outputs] == []


def test_another_script_that_makes_the_same_is_the_latest_and_the_first_adds_nothing(bench, lab):
    def script():
        return artifact(lab, "content", "data.txt").uid

    with bench.passing(key="one.py"):
        script()
    with bench.passing(key="two.py") as two:
        script()
    assert two[-2:] == ["artifact-reproduced", "run-finished"]
    for key in ("one.py", "two.py"):
        with bench.passing(key=key) as again:
            script()
        assert again == []
    made = ln.Artifact.get(key="data.txt")
    assert made.run.transform.key == "two.py"
    assert [run.transform.key for run in made.previous_runs] == ["one.py"]


def test_a_first_name_that_was_given_up_leads_to_the_same_record(bench, lab):
    with bench.passing():
        it = label("x")
    rename(it, "y")
    with bench.passing() as fork:
        assert label("x").uid == it.uid
        label("new")
        assert label("x", description="in the fork").uid == it.uid
    assert fork == ["run-started", "record-created", "record-changed", "run-finished"]
    assert lab.names() == ["new", "y"]


# --- forks ----------------------------------------------------------------------------------------


def test_a_fork_takes_over_what_was_read_and_made_and_passed(bench, lab):
    source = artifact(lab, "source", "source.txt")

    def script(last):
        ln.Artifact.get(key="source.txt").load()
        made = artifact(lab, "made", "made.txt")
        made.load()
        label("x", description="passed")
        label(last)
        return made

    with bench.passing():
        script("monday")
    with bench.passing() as fork:
        made = script("tuesday")
    assert fork == [
        "run-started",
        "input-recorded",
        "artifact-reproduced",
        "record-created",
        "run-finished",
    ]
    assert "5 intents (4 already recorded, 0 without effect), 5 new events" in bench.receipt
    first, second = ln.Run.filter()
    assert second.forked_from == first
    assert [it.uid for it in second.inputs] == [source.uid]
    assert [it.uid for it in second.outputs] == [made.uid]
    it = ln.ULabel.get(name="x")
    it.description = "curated"
    it.save()
    with bench.passing() as again:
        script("tuesday")
    assert again == []
    assert it.description == "curated"


def test_what_a_fork_takes_over_names_its_start_as_the_cause(bench, lab):
    with bench.passing():
        artifact(lab, "made")
    head = lab.head()
    with bench.passing():
        artifact(lab, "made")
        label("new")
    started, remade, created, _ = lab.events(after=head)
    assert isinstance(started.event, RunStarted)
    assert remade.event.causation == started.command_id
    assert started.event.causation is created.event.causation is None


def test_a_fork_of_an_unfinished_run_abandons_it_and_a_replay_does_not(bench, lab):
    with bench.passing(ends="vanish"):
        label("monday")
    with bench.passing(ends="vanish") as replay:
        label("monday")
    assert replay == []
    assert lab.statuses() == ["started"]
    with bench.passing() as fork:
        label("tuesday")
    assert fork == ["run-started", "run-abandoned", "record-created", "run-finished"]
    assert lab.statuses() == ["abandoned", "finished"]
    abandoned = next(it.event for it in lab.events() if isinstance(it.event, RunAbandoned))
    assert abandoned.by == ln.Run.filter().last().uid


def test_a_run_that_ended_without_a_claim_is_not_abandoned_but_left(bench, lab):
    with bench.passing(ends="leave"):
        label("monday")
    with bench.passing(ends="leave") as fork:
        label("tuesday")
    assert fork == ["run-started", "record-created", "run-finished"]
    assert lab.statuses() == ["ended", "ended"]


def test_going_back_and_forth_between_two_data_sets_forks_each_time(bench, lab):
    for day in ("monday", "tuesday", "monday", "tuesday"):
        with bench.passing() as tags:
            artifact(lab, day, "data.txt")
        assert tags[-1] == "run-finished"
        assert lab.latest("data.txt") == day
    assert len(lab.find("run")) == 4
    assert lab.contents() == ["monday", "tuesday"]
    assert [run.ordinal for run in ln.Run.filter()] == [1, 2, 3, 4]


# --- unfinished runs ------------------------------------------------------------------------------


@pytest.mark.parametrize("done", range(4))
def test_wherever_a_pass_vanishes_the_next_one_completes_it(bench, lab, done):
    label("exists", description="a")
    steps = [
        lambda: label("exists", description="a"),
        lambda: artifact(lab, "content", "data.txt"),
        lambda: label("exists", description="b"),
        lambda: ln.Artifact.get(key="data.txt").load(),
    ]
    with bench.passing(ends="vanish"):
        for step in steps[:done]:
            step()
    with bench.passing() as resumed:
        for step in steps:
            step()
    assert resumed[0] == "run-resumed"
    assert resumed[-1] == "run-finished"
    assert lab.statuses() == ["finished"]
    assert ln.ULabel.get(name="exists").description == "b"
    with bench.passing() as again:
        for step in steps:
            step()
    assert again == []


def test_a_run_can_be_resumed_again_and_again(bench, lab):
    for done in range(1, 5):
        with bench.passing(ends="vanish") as tags:
            for number in range(done):
                label(f"label {number}")
        assert tags[-1] == "record-created"
    assert ln.Run.filter().one().resumptions == 3
    assert lab.statuses() == ["started"]


def test_finishing_what_an_earlier_pass_did_wholly_finishes_its_run(bench, lab):
    with bench.passing(ends="vanish"):
        label("x")
    with bench.passing() as tags:
        label("x")
    assert tags == ["run-resumed", "run-finished"]
    assert lab.statuses() == ["finished"]


def test_finishing_a_pass_that_did_less_finishes_nothing(bench, lab):
    with bench.passing(ends="vanish"):
        label("x")
        label("y")
    with bench.passing() as tags:
        label("x")
    assert tags == []
    assert lab.statuses() == ["started"]
    assert "1 recorded intents were not asked for again" in bench.receipt
