"""Tasks: what a batch system or a launcher tells a process apart from its arguments.

1. A task is the variables of the environment that number the processes of one script, such as
   `SLURM_ARRAY_TASK_ID`, with their values. A process without any has no task.
2. A variable counts for nothing where it is empty, where its launcher says by its value that there
   is no task, and where its launcher says that there is one process.
3. `RANK` is a common name. It counts where its launcher also gives `LOCAL_RANK`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ledger.model.canonical import nfc
from ledger.model.parameters import Canonical, canonical_argument

TASK_VARIABLES = (
    "SLURM_ARRAY_TASK_ID", "SLURM_PROCID", "PBS_ARRAY_INDEX", "PBS_ARRAYID", "SGE_TASK_ID",
    "LSB_JOBINDEX", "RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK",
)  # fmt: skip

# Values by which a batch system says that the job is no array.
_NO_TASK = {"SGE_TASK_ID": "undefined", "LSB_JOBINDEX": "0"}
_ONLY_BESIDE = {"RANK": "LOCAL_RANK"}
# The variable that says how many processes there are; the first one that is set.
_NUMBERS = {
    "SLURM_PROCID": ("SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"),
    "RANK": ("WORLD_SIZE",),
    "OMPI_COMM_WORLD_RANK": ("OMPI_COMM_WORLD_SIZE",),
    "PMI_RANK": ("PMI_SIZE",),
}


def task_of(environment: Mapping[str, str], variables: Iterable[str]) -> dict[str, Canonical]:
    """Return the task of a process in canonical form, sorted by name; `{}` where it has none.

    Args:
        environment: All variables of the process.
        variables: Names of those that make a task.
    """
    found = {name: environment[name] for name in variables if _counts(name, environment)}
    return {nfc(name): canonical_argument(found[name]) for name in sorted(found)}


def _counts(name: str, environment: Mapping[str, str]) -> bool:
    value = environment.get(name, "")
    if not value or value == _NO_TASK.get(name):
        return False
    if name in _ONLY_BESIDE and not environment.get(_ONLY_BESIDE[name]):
        return False
    numbers = [environment[it] for it in _NUMBERS.get(name, ()) if environment.get(it)]
    return numbers[:1] != ["1"]
