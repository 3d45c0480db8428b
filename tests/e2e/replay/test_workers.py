"""A pass of several processes: workers that a script starts, whatever way it starts them."""

from __future__ import annotations

import os
import re
from itertools import pairwise

import pytest

import ledger as ln
from ledger.errors import InvalidValueError, NotTrackingError
from tests.e2e.command import metaledger
from tests.support.histories import FIRST, PAUSE

KINDS = ["fork", "spawn", "forkserver", "script"]
# A part that is saved in a process of its own, and one that the script saves itself.
WORK = """
import multiprocessing, pathlib, subprocess, sys, warnings
import ledger as ln

def part(name):
    file = pathlib.Path(f"part-{name}.txt")
    if not file.exists():
        return
    artifact = ln.Artifact(file, key=f"parts/{name}.txt").save()
    artifact.labels.add(ln.ULabel("part").save())

def work(names):
    if KIND == "script":
        steps = [subprocess.Popen([sys.executable, "step.py", KIND, name]) for name in names]
        assert not any([step.wait() for step in steps])
    else:
        warnings.simplefilter("ignore")
        with multiprocessing.get_context(KIND).Pool(3) as pool:
            pool.map(part, names, chunksize=1)

KIND = sys.argv[1]
"""
SCRIPT = """
if __name__ == "__main__":
    ln.track()
    ln.ULabel("before").save()
    work("abc")
    ln.Artifact("own.txt", key="own.txt").save()
    ln.finish()
"""
STEP = "from pass_ import part\nimport sys\npart(sys.argv[2])\n"


@pytest.fixture
def pool(lab):
    """A script with workers, and the data of its parts."""
    lab.write("pass_.py", WORK + SCRIPT)
    lab.write("step.py", STEP)
    lab.write("own.txt", "own")
    data(lab, "a")
    return lab


def data(lab, day):
    for part in "abc":
        lab.write(f"part-{part}.txt", f"{part} of day {day}")


def run(lab, kind, **given):
    return lab.run(kind, name="pass_.py", **given)


def parts():
    return {it.key: it.run.uid for it in ln.Artifact.filter(key__startswith="parts/")}


@pytest.mark.parametrize("kind", KINDS)
def test_what_workers_save_belongs_to_the_run_and_comes_again_without_an_event(pool, kind):
    first = run(pool, kind)
    assert first.tags[: len(FIRST)] == FIRST
    assert first.tags.count("run-started") == first.tags.count("run-finished") == 1
    (made,) = ln.Run.filter()
    assert parts() == {f"parts/{name}.txt": made.uid for name in "abc"}
    # Each part has an artifact, a label and a link; the script has a label and an artifact.
    assert ": 4 artifacts, 2 labels; 11 intents" in first.receipt
    assert f"{len(first.tags):,} new events" in first.receipt
    again = run(pool, kind)
    assert again.tags == []
    assert "replay of run" in again.receipt
    assert "11 intents (11 already recorded, 0 without effect), 0 new events" in again.receipt
    assert "not asked for" not in again.receipt
    assert pool.statuses() == ["finished"]
    assert not list(pool.ledger.cache_folder.glob("passes/*"))


@pytest.mark.parametrize("kind", ["fork", "spawn"])
def test_a_pool_whose_data_changes_and_comes_back_forks_once_a_change(pool, kind):
    n_events = []
    for day in "abba":
        data(pool, day)
        n_events.append(len(run(pool, kind).tags))
        latest = [it for it in ln.Artifact.filter(key__startswith="parts/") if it.is_latest]
        assert {it.path.read_text() for it in latest} == {f"{part} of day {day}" for part in "abc"}
    assert [n > 0 for n in n_events] == [day != before for before, day in pairwise(" abba")]
    assert pool.statuses() == ["finished"] * 3
    assert len(pool.contents()) == 7
    assert ln.audit().ok


@pytest.mark.parametrize("kind", ["fork", "script"])
def test_a_part_more_is_one_fork_which_has_all_parts(pool, kind):
    (pool.folder / "part-c.txt").unlink()
    run(pool, kind)
    pool.write("part-c.txt", "new")
    tags = run(pool, kind).tags
    assert tags.count("run-started") == tags.count("artifact-registered") == 1
    assert tags.count("artifact-reproduced") == 3
    first, fork = ln.Run.filter()
    assert fork.forked_from == first
    assert sorted(it.key for it in fork.outputs) == ["own.txt", *sorted(parts())]
    assert run(pool, kind).tags == []
    assert pool.statuses() == ["finished"] * 2


# --- processes that take no part, or not in this way ----------------------------------------------


def test_a_script_that_another_one_starts_has_a_run_of_its_own_which_says_so(lab):
    lab.script(
        "ln.ULabel('step').save()\nopen('step.txt', 'w').close()\n"
        "ln.Artifact('step.txt', key='step.txt').save()",
        name="step.py",
    )
    lab.script(
        "import subprocess\nsubprocess.run([sys.executable, 'step.py'], check=True)", name="all.py"
    )
    assert lab.run(name="all.py").tags.count("run-finished") == 2
    everything, step = ln.Run.filter()
    assert (step.initiated_by, everything.initiated_by) == (everything, None)
    made = ln.ULabel.get(name="step")
    assert made.run == step
    before = lab.head()
    assert lab.run(name="all.py").tags == []
    # It is shown, and asked for, at any position.
    for view in (ln, ln.as_of(before)):
        assert list(view.Run.filter(initiated_by=everything)) == [step]
        assert view.Run.filter(initiated_by__transform__key="all.py").count() == 1
    assert list(ln.Run.filter().df()["initiated_by"]) == [None, everything.uid]
    shown = metaledger(lab.folder, "show", step.uid).out
    assert f"{everything.uid} (all" in shown
    assert f"started by run {everything.uid}" in metaledger(lab.folder, "lineage", "step.txt").out
    # Alone it is the same run: what started it is no part of its identity.
    assert lab.run(name="step.py").tags == []


def test_a_worker_that_inherits_no_environment_is_handed_the_token(lab):
    lab.write(
        "step.py",
        "import sys\nimport ledger as ln\n"
        "with ln.join(sys.argv[1]):\n    ln.ULabel('step').save()\n    print(ln.context.run.uid)\n"
        "assert ln.context.run is None\n",
    )
    lab.script(
        "import subprocess\n"
        "bare = {k: v for k, v in os.environ.items() if not k.startswith('METALEDGER_')}\n"
        "subprocess.run([sys.executable, 'step.py', ln.context.token], check=True, env=bare)",
    )
    assert lab.run().tags.count("run-started") == 1
    assert ln.ULabel.get(name="step").run == ln.Run.filter().one()
    assert lab.run().tags == []


LATE = """
import sys, ledger as ln
ln.ULabel(sys.argv[1]).save()
ln.ULabel(sys.argv[1] + " once more").save()
"""


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("nonsense", "expected <ledger id>:<run uid>:<pass token>"),
        ("{ledger}:0123456789abcdef:00", "there is no run 0123456789abcdef"),
        ("fedcba9876543210:{run}:{pass_}", "it names a run of ledger fedcba9876543210"),
        ("{ledger}:{run}:{pass_}", "has ended (finished)"),
    ],
    ids=["no token", "unknown", "of another ledger", "ended"],
)
def test_a_token_that_leads_nowhere_is_told_once_and_saves_belong_to_no_run(lab, token, reason):
    lab.script("print(ln.context.token, flush=True)")
    lab.run()
    (row,) = lab.find("pass")
    given = token.format(
        ledger=lab.ledger.place.configuration.id, run=row["run"], pass_=row["token"]
    )
    lab.write("late.py", LATE)
    late = lab.run("late", name="late.py", environment={"METALEDGER_RUN": given})
    assert late.tags == ["record-created"] * 2
    assert late.said.count("METALEDGER_RUN") == 1
    assert reason in late.said
    assert ln.ULabel.get(name="late").run is None
    refused = pytest.raises((InvalidValueError, NotTrackingError), match=re.escape(reason))
    with refused, ln.join(given):
        pass


def test_a_worker_that_outlives_the_run_is_told_and_saves_outside(lab):
    lab.write("late.py", f"import sys, ledger as ln\nln.ULabel('first').save()\n{PAUSE}{LATE}")
    lab.script(
        "import subprocess\n"
        "late = subprocess.Popen([sys.executable, 'late.py', 'late'], stdout=subprocess.PIPE,"
        " stdin=subprocess.PIPE)\nassert late.stdout.readline()",
        tail="ln.finish()\nlate.communicate(b'\\n')\n",
    )
    said = lab.run().said
    assert said.count("METALEDGER_RUN: run") == 1
    assert ln.ULabel.get(name="first").run is not None
    assert ln.ULabel.get(name="late").run is ln.ULabel.get(name="late once more").run is None
    assert lab.statuses() == ["finished"]


def test_only_the_process_that_began_the_run_finishes_it(lab):
    lab.write(
        "step.py",
        "import ledger as ln\nln.ULabel('step').save()\n"
        "try:\n    ln.finish()\nexcept ln.errors.NotTrackingError as error:\n    print(error)\n",
    )
    lab.script(
        "import subprocess\n"
        "told = subprocess.run([sys.executable, 'step.py'], check=True, stdout=subprocess.PIPE)\n"
        "assert b'another process began this run' in told.stdout\nln.ULabel('after').save()",
    )
    assert lab.run().tags.count("run-finished") == 1
    assert ln.ULabel.get(name="after").run == ln.ULabel.get(name="step").run
    assert "METALEDGER_RUN" not in os.environ
