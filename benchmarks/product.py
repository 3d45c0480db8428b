"""The workloads with metaledger, inside a tracked run, as a script of a user would do them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

from workload import Clock, Task, data_files, label_names, work

import ledger as ln


def carry_out(task: Task, clock: Clock) -> dict[str, object]:
    """Register what the task says; a replay must add nothing."""
    if not Path(".metaledger").exists():
        ln.init("storage")
    ln.settings.creation.search_names = task.search
    ln.track()
    before = ln.head()
    ln.ULabel.filter().count()
    (_labels if task.work == "labels" else _files)(task, clock)
    added = ln.head() - before
    ln.finish()
    expected = 0 if task.is_replay and task.is_timed else task.count
    if added != expected:
        raise SystemExit(f"expected {expected} new events, found {added}")
    return {"events": added}


def _labels(task: Task, clock: Clock) -> None:
    names = label_names(task.count)
    with clock.running():
        if task.how == "save":
            ln.save([ln.ULabel(name=name) for name in names])
            return
        with ln.batch() if task.how == "batch" else nullcontext():
            for name in names:
                ln.ULabel(name=name).save()


def _files(task: Task, clock: Clock) -> None:
    files = data_files(task)
    with clock.running():
        if task.how == "save":
            ln.save(ln.Artifact.from_dir("data"))
            return
        with ln.batch() if task.how == "batch" else nullcontext():
            for file in files:
                ln.Artifact(file, key=f"data/{file.name}").save()


if __name__ == "__main__":
    work(carry_out)
