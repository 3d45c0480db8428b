"""Tasks: processes that run one script with the same arguments, and that their job numbers."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.errors import InvalidValueError
from ledger.model.tasks import TASK_VARIABLES
from tests.support.histories import FIRST, artifact

pytestmark = pytest.mark.usefixtures("bench")


def everyone(bench, lab, monkeypatch, name, numbers=("0", "1", "2")):
    """Let each task of a job run the script once; return the tags of what they left."""
    tags = []
    for number in numbers:
        monkeypatch.setenv(name, number)
        with bench.passing() as left:
            artifact(lab, f"part {number}", key=f"part-{number}.txt")
        tags += left
    monkeypatch.delenv(name)
    return tags


@pytest.mark.parametrize("name", ["SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK"])
def test_tasks_of_one_job_are_a_run_each_and_add_nothing_when_they_come_again(
    bench, lab, monkeypatch, name
):
    first = everyone(bench, lab, monkeypatch, name)
    own = ["run-started", "artifact-registered", "run-finished"]
    assert first == [*FIRST[:-1], *own, *own, *own]
    assert everyone(bench, lab, monkeypatch, name) == []
    assert everyone(bench, lab, monkeypatch, name, ("2", "0", "1")) == []
    assert lab.statuses() == ["finished"] * 3
    assert [run.task for run in ln.Run.filter()] == [{name: number} for number in "012"]


def test_a_task_that_was_killed_is_continued_by_the_same_task(bench, lab, monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    with bench.passing(ends="vanish"):
        artifact(lab, "part 0", key="part-0.txt")
    assert everyone(bench, lab, monkeypatch, "SLURM_PROCID", ("1", "0")) == [
        "run-started", "artifact-registered", "run-finished", "run-resumed", "run-finished",
    ]  # fmt: skip
    assert lab.statuses() == ["finished"] * 2


def test_a_process_alone_has_the_identity_that_it_had_before_there_were_tasks(
    bench, lab, monkeypatch
):
    with bench.passing():
        artifact(lab, "alone")
    for name, value in (("SGE_TASK_ID", "undefined"), ("RANK", "3"), ("PMI_RANK", "")):
        monkeypatch.setenv(name, value)
    with bench.passing() as again:
        artifact(lab, "alone")
    assert again == []
    assert ln.Run.filter().one().task is None
    (started,) = (it.event for it in lab.events() if it.event.run and not it.event.intent
                  and hasattr(it.event, "task"))  # fmt: skip
    assert started.task == {}


def test_the_task_is_found_shown_and_compared(bench, lab, monkeypatch):
    everyone(bench, lab, monkeypatch, "SLURM_ARRAY_TASK_ID", ("7", "8"))
    before = lab.head()
    everyone(bench, lab, monkeypatch, "SLURM_ARRAY_TASK_ID", ("9",))
    (seventh,) = ln.Run.filter(task__SLURM_ARRAY_TASK_ID="7")
    assert ln.Run.filter(task={"SLURM_ARRAY_TASK_ID": "8"}).count() == 1
    assert ln.Run.filter(task__isnull=True).count() == 0
    assert ln.as_of(before).Run.filter(task__SLURM_ARRAY_TASK_ID__gt="7").count() == 1
    assert list(ln.Run.filter().df()["task.SLURM_ARRAY_TASK_ID"]) == ["7", "8", "9"]
    assert "SLURM_ARRAY_TASK_ID" in ln.Run.filter()._repr_html_()
    assert "SLURM_ARRAY_TASK_ID" in seventh._repr_html_()


def test_the_list_of_variables_is_the_users(bench, lab, monkeypatch):
    ln.settings.task_variables = (*TASK_VARIABLES, "SHARD")
    everyone(bench, lab, monkeypatch, "SHARD", ("a", "b"))
    assert ln.Run.filter(task__SHARD="b").count() == 1
    ln.settings.task_variables = ()
    everyone(bench, lab, monkeypatch, "SLURM_PROCID", ("0",))
    assert ln.Run.filter(task__isnull=True).count() == 1
    with pytest.raises(InvalidValueError, match="expected a list of names"):
        ln.settings.task_variables = "SHARD"
