"""What numbers the processes of a job, as batch systems and launchers tell it."""

from __future__ import annotations

import pytest

from ledger.model.canonical import encode
from ledger.model.parameters import plain_fields
from ledger.model.tasks import TASK_VARIABLES, task_of


@pytest.mark.parametrize(
    ("environment", "task"),
    [
        ({}, {}),
        ({"SLURM_ARRAY_TASK_ID": "7", "HOME": "/"}, {"SLURM_ARRAY_TASK_ID": "7"}),
        ({"SLURM_PROCID": "0"}, {"SLURM_PROCID": "0"}),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, {}),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, {"SLURM_PROCID": "0"}),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4", "SLURM_STEP_NUM_TASKS": "1"}, {}),
        ({"SGE_TASK_ID": "undefined"}, {}),
        ({"SGE_TASK_ID": "2"}, {"SGE_TASK_ID": "2"}),
        ({"LSB_JOBINDEX": "0"}, {}),
        ({"LSB_JOBINDEX": "3"}, {"LSB_JOBINDEX": "3"}),
        ({"PBS_ARRAY_INDEX": ""}, {}),
        ({"RANK": "2"}, {}),
        ({"RANK": "2", "LOCAL_RANK": "0"}, {"RANK": "2"}),
        ({"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}, {}),
        ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2", "PMI_RANK": "1"},
         {"OMPI_COMM_WORLD_RANK": "1", "PMI_RANK": "1"}),
    ],
)  # fmt: skip
def test_a_task_is_what_the_launcher_says_of_several_processes(environment, task):
    assert task_of(environment, TASK_VARIABLES) == task


def test_the_order_of_the_variables_says_nothing_and_every_value_can_be_recorded():
    environment = {"B": "b\udcff", "A": "1", "Caf\u00e9": "x"}
    one, other = (task_of(environment, order) for order in (("A", "B"), ("B", "A", "A")))
    assert encode(one) == encode(other)
    assert plain_fields(one) == {"A": "1", "B": b"b\xff"}
    assert task_of(environment, ()) == {}
