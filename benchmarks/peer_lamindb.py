"""The workloads with LaminDB, in whatever environment has it installed; never a dependency.

`python benchmarks/run.py --peer PATH/TO/python` runs it beside the product and the floor. It makes
an instance of its own in the task's folder, with settings of its own, and needs no network.

What differs from the product, and cannot be made alike from outside: LaminDB keeps SQLite's
rollback journal, calls fsync for none of the files that it copies, and has no log of changes. With
`search_names` off it does not look for a record of the same name, so that a replay would store
every label twice: replays keep it on.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

from workload import Clock, Task, data_files, label_names, work


def carry_out(task: Task, clock: Clock) -> dict[str, object]:
    """Register what the task says; a replay must add nothing."""
    os.environ["LAMIN_SETTINGS_DIR"] = str(Path("settings").absolute())
    if not Path("settings").exists():
        Path("settings").mkdir()
        command = Path(sys.executable).with_name("lamin")
        subprocess.run([command, "init", "--storage", "./peer"], check=True, capture_output=True)
    import lamindb as ln  # noqa: PLC0415 (finds its instance while it is imported)

    # The answer to a question that would otherwise go over the network.
    ln.setup.settings.instance._is_on_hub = False  # noqa: SLF001
    ln.settings.creation.search_names = task.search or task.is_replay
    ln.track()
    registry = ln.ULabel if task.work == "labels" else ln.Artifact
    before = registry.filter().count()
    (_labels if task.work == "labels" else _files)(ln, task, clock)
    added = registry.filter().count() - before
    expected = 0 if task.is_replay and task.is_timed else task.count
    if added != expected:
        raise SystemExit(f"expected {expected} new records, found {added}")
    return {}


def _grouped(task: Task) -> object:
    if task.how != "batch":
        return nullcontext()
    from django.db import transaction  # noqa: PLC0415 (comes with LaminDB)

    return transaction.atomic()


def _labels(ln: object, task: Task, clock: Clock) -> None:
    names = label_names(task.count)
    with clock.running():
        if task.how == "save":
            ln.save([ln.ULabel(name=name) for name in names])
            return
        with _grouped(task):
            for name in names:
                ln.ULabel(name=name).save()


def _files(ln: object, task: Task, clock: Clock) -> None:
    files = data_files(task)
    with clock.running():
        if task.how == "save":
            ln.save(ln.Artifact.from_dir("data", key="data"))
            return
        with _grouped(task):
            for file in files:
                ln.Artifact(file, key=f"data/{file.name}").save()


if __name__ == "__main__":
    work(carry_out)
