"""Many processes and threads on one ledger: nothing twice, nothing lost, nothing half.

Programs start together at a barrier. Afterwards the ledger is asked, and the read models are
compared with those that the log alone gives.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest

import ledger as ln
from tests.support import processes
from tests.support.door import artifact, file, label, names
from tests.support.judge import assert_log_and_read_models_agree, assert_orphans_are_named
from tests.support.patience import PATIENCE

pytestmark = pytest.mark.usefixtures("here")

# The same program with a run and without one.
OUTSIDE = ("", "")
ONE_RUN = ("ln.track(key='job.py', params={'n': 1})\n", "\nln.finish()\n")
OWN_RUN = ("ln.track(key='job.py', params={'me': ME})\n", "\nln.finish()\n")
NEW_RUN = ("ln.track(key='job.py', new_run=True)\n", "\nln.finish()\n")
RUNS = {"outside": OUTSIDE, "one run": ONE_RUN, "own runs": OWN_RUN, "new runs": NEW_RUN}


@pytest.fixture(params=list(RUNS))
def within(request):
    """Put the body of a program into a run of its kind, or none; the barrier comes before both."""
    before, after = RUNS[request.param]
    return lambda body: f"barrier()\n{before}{body}{after}"


def assert_whole() -> None:
    """Claim that the log is dense, the read models are its fold, and all content is right."""
    assert_log_and_read_models_agree()
    assert_orphans_are_named()
    for record in ln.Artifact.filter():
        record.cache()


# --- the same at once -----------------------------------------------------------------------------


def test_the_same_names_and_files_at_once_are_stored_once(within):
    for number in range(30):
        file(f"f{number}.txt", f"content {number}")
    body = """
for i in range(30):
    label = ln.ULabel(name=f"label {i}").save()
    a = ln.Artifact(f"f{i}.txt", key=f"k/{i}").save()
    a.labels.add(label)
print([ln.ULabel.get(name=f"label {i}").uid for i in range(30)])
"""
    answers = processes.together(*[within(body)] * 4)
    assert len(set(answers)) == 1
    assert ln.ULabel.filter().count() == 30
    assert ln.Artifact.filter().count() == 30
    assert sorted(names(ln.ULabel.filter())) == sorted(f"label {i}" for i in range(30))
    assert sorted(a.load() for a in ln.Artifact.filter()) == sorted(
        f"content {i}" for i in range(30)
    )
    assert all(a.labels.count() == 1 for a in ln.Artifact.filter())
    assert len(list(Path("storage/.metaledger").glob("*.txt"))) == 30
    assert_whole()


def test_new_versions_of_one_key_at_once_are_one_family(within):
    body = """
for i in range(20):
    path = f"v{ME}_{i}.txt"
    with open(path, "w") as stream:
        stream.write(f"{ME} {i}")
    ln.Artifact(path, key="one/key.txt").save()
"""
    processes.together(*[within(body)] * 4)
    versions = ln.Artifact.filter(key="one/key.txt").all()
    assert len(versions) == ln.Artifact.filter().count() == 80
    assert len({record.uid[:16] for record in versions}) == 1
    assert len({record.uid for record in versions}) == 80
    assert ln.Artifact.filter(is_latest=True).all() == [ln.Artifact.get(key="one/key.txt")]
    # Each revises the one before it: the family is a line, not a bush.
    assert Counter(Counter(r.revises for r in versions).values()) == {1: 80}
    written = {f"{me} {i}" for me in range(4) for i in range(20)}
    assert {record.load() for record in versions} == written
    assert_whole()


def test_eight_writers_wait_for_each_other(within):
    body = """
for i in range(25):
    ln.ULabel(name=f"{ME} wrote {i}").save()
"""
    processes.together(*[within(body)] * 8)
    found = names(ln.ULabel.filter())
    assert sorted(found) == sorted(f"{me} wrote {i}" for me in range(8) for i in range(25))
    for me in range(8):
        mine = [name for name in found if name.startswith(f"{me} ")]
        assert mine == [f"{me} wrote {i}" for i in range(25)]
    assert_whole()


def test_the_same_collection_at_once_is_stored_once(within):
    for number in range(5):
        artifact(f"f{number}.txt")
    body = """
for i in range(10):
    members = ln.Artifact.filter().all()
    ln.Collection(members[ME % 2:] + members[:ME % 2], name="all").save()
    ln.Collection(members[:4], name="four", ordered=True).save()
"""
    processes.together(*[within(body)] * 4)
    assert ln.Collection.filter().count() == 2
    assert ln.Collection.filter(name="all").one().artifacts.count() == 5
    assert ln.Collection.filter(name="four").one().artifacts.all() == ln.Artifact.filter().all()[:4]
    assert_whole()


def test_the_same_change_at_once_is_recorded_once():
    label("x")
    body = "barrier()\nl = ln.ULabel.get(name='x')\nl.description = 'new'\nl.save()\n"
    before = ln.head()
    processes.together(*[body] * 6)
    assert ln.ULabel.get(name="x").description == "new"
    assert ln.head() == before + 1


def test_one_of_many_takes_a_name_and_the_others_are_told():
    body = """
mine = ln.ULabel(name=f"mine {ME}").save()
barrier()
mine.name = "wanted"
try:
    mine.save()
    print("won")
except ln.errors.NameTakenError:
    print("told")
"""
    answers = [answer.strip() for answer in processes.together(*[body] * 6)]
    assert Counter(answers) == {"won": 1, "told": 5}
    assert ln.ULabel.filter(name="wanted").count() == 1
    assert_whole()


def test_one_ledger_is_made_of_many_at_once():
    body = """
barrier()
try:
    ln.init("elsewhere/storage", root="elsewhere")
    print("made")
except ln.errors.LedgerExistsError:
    print("there")
"""
    answers = [answer.strip() for answer in processes.together(*[body] * 4)]
    assert Counter(answers) == {"made": 1, "there": 3}
    ln.connect("elsewhere")
    assert ln.head() == 1
    label("it works")


# --- runs -----------------------------------------------------------------------------------------


def test_the_same_run_at_once_is_one_run_and_new_runs_are_several():
    body = "print(ln.track(key='j', new_run=%s).uid)\nln.ULabel(name='x').save()\nln.finish()\n"
    same = processes.together(*["barrier()\n" + body % "False"] * 4)
    assert len(set(same)) == 1
    assert ln.Run.filter().count() == 1
    several = processes.together(*["barrier()\n" + body % "True"] * 4)
    assert len(set(several)) == 4
    assert ln.Run.filter().count() == 5
    assert ln.Run.filter(status="finished").count() == 5
    assert ln.ULabel.filter().count() == 1
    assert_whole()


def test_a_job_array_is_one_run_each():
    body = """
barrier()
ln.track(key="job.py", params={"n": ME})
ln.ULabel(name=f"of {ME}").save()
ln.ULabel(name="shared").save()
ln.finish()
"""
    processes.together(*[body] * 4)
    assert sorted(run.params["n"] for run in ln.Run.filter()) == [0, 1, 2, 3]
    for run in ln.Run.filter():
        assert f"of {run.params['n']}" in names(run.ulabels)
    before = ln.head()
    processes.together(*[body] * 4)
    assert ln.head() == before
    assert_whole()


# --- batches and readers --------------------------------------------------------------------------


def test_others_wait_for_a_batch_and_lose_nothing():
    batching = """
barrier()
for b in range(5):
    with ln.batch():
        for i in range(20):
            ln.ULabel(name=f"batch {b} {i}").save()
"""
    writing = """
barrier()
for i in range(40):
    ln.ULabel(name=f"{ME} single {i}").save()
    ln.ULabel(name=f"shared {i}").save()
"""
    processes.together(batching, writing, writing, writing)
    assert ln.ULabel.filter(name__startswith="batch").count() == 100
    assert ln.ULabel.filter(name__contains="single").count() == 120
    assert ln.ULabel.filter(name__startswith="shared").count() == 40
    positions = [
        row["created_position"]
        for b in range(5)
        for row in _rows(ln.ULabel.filter(name__startswith=f"batch {b} "))
    ]
    assert all(after == before + 1 for before, after in _within_batches(positions))
    assert_whole()


def _rows(query):
    return [record._row for record in query]


def _within_batches(positions: list[int], size: int = 20):
    for first in range(0, len(positions), size):
        yield from pairwise(positions[first : first + size])


def test_a_reader_never_sees_half_a_batch():
    writing = """
barrier()
for b in range(30):
    with ln.batch():
        for i in range(10):
            ln.ULabel(name=f"{b} {i}").save()
label = ln.ULabel(name="the end").save()
"""
    reading = """
barrier()
seen = set()
while not ln.ULabel.filter(name="the end").exists():
    seen.add(ln.ULabel.filter().count() % 10)
    seen.add(len(ln.ULabel.filter().exclude(name="the end").all()) % 10)
    seen.add((ln.head() - 1) % 10 if not ln.ULabel.filter(name="the end").exists() else 0)
print(sorted(seen))
"""
    _, *answers = processes.together(writing, reading, reading)
    # The last record stands alone: counted between it and the question for it, it is one more.
    assert all(set(json.loads(answer)) <= {0, 1} for answer in answers)
    assert ln.ULabel.filter().count() == 301


def test_a_batch_that_fails_leaves_nothing_while_others_write():
    failing = """
barrier()
for b in range(10):
    try:
        with ln.batch():
            for i in range(5):
                ln.ULabel(name=f"failed {b} {i}").save()
            raise RuntimeError
    except RuntimeError:
        pass
"""
    writing = "barrier()\nfor i in range(50): ln.ULabel(name=f'{ME} {i}').save()\n"
    processes.together(failing, writing, writing)
    assert ln.ULabel.filter(name__startswith="failed").count() == 0
    assert ln.ULabel.filter().count() == 100
    assert_whole()


# --- fork -----------------------------------------------------------------------------------------

FORK = """
import multiprocessing, warnings
warnings.simplefilter("ignore")
ln.ULabel(name="before").save()
TRACK
def work(n):
    for i in range(10):
        ln.ULabel(name=f"{n} forked {i}").save()
        assert ln.ULabel.filter(name="before").exists()
with multiprocessing.get_context("fork").Pool(4) as pool:
    pool.map(work, range(4))
    pool.close()
    pool.join()
ln.ULabel(name="after").save()
FINISH
"""


@pytest.mark.parametrize("is_tracked", [False, True])
def test_forked_workers_write_to_the_ledger_that_was_open(is_tracked):
    track, finish = ("ln.track(key='f.py')", "ln.finish()") if is_tracked else ("", "")
    text = FORK.replace("TRACK", track).replace("FINISH", finish)
    for _ in range(2):
        processes.ended([processes.start(text)])
        found = names(ln.ULabel.filter())
        expected = [f"{n} forked {i}" for n in range(4) for i in range(10)]
        assert sorted(found) == sorted([*expected, "before", "after"])
    if is_tracked:
        assert ln.Run.filter(status="finished").count() == ln.Run.filter().count()
    assert_whole()


# --- threads --------------------------------------------------------------------------------------


def test_threads_of_one_process_save_the_same_once():
    ln.settings.verbosity = "error"
    barrier = threading.Barrier(8)
    paths = [file(f"f{number}.txt") for number in range(10)]

    def work(me: int) -> None:
        barrier.wait()
        for number, path in enumerate(paths):
            shared = label(f"shared {number}")
            label(f"{me} own {number}")
            ln.Artifact(path, key=f"k{number}").save().labels.add(shared)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert ln.ULabel.filter(name__startswith="shared").count() == 10
    assert ln.ULabel.filter(name__contains="own").count() == 80
    assert ln.Artifact.filter().count() == 10
    assert all(record.labels.count() == 1 for record in ln.Artifact.filter())
    assert_whole()


def test_threads_save_in_one_run():
    ln.settings.verbosity = "error"
    run = ln.track(key="threads.py", new_run=True)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: label(f"n {number}"), range(60)))
    ln.finish()
    assert sorted(names(ln.Run.get(run.uid).ulabels)) == sorted(f"n {i}" for i in range(60))
    assert_whole()


def test_a_thread_in_a_batch_and_another_that_saves_do_not_lock_each_other():
    ln.settings.verbosity = "error"
    inside, go_on = threading.Event(), threading.Event()

    def batching() -> None:
        with ln.batch():
            label("first of the batch")
            inside.set()
            assert go_on.wait(PATIENCE)
            label("second of the batch")

    def saving() -> None:
        assert inside.wait(PATIENCE)
        new = ln.ULabel(name="single")
        go_on.set()
        new.save()

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(batching), pool.submit(saving)]:
            future.result()
    assert names(ln.ULabel.filter()) == ["first of the batch", "second of the batch", "single"]


def test_batches_of_two_threads_are_whole():
    ln.settings.verbosity = "error"

    def work(me: int) -> None:
        for b in range(5):
            with ln.batch():
                for i in range(5):
                    label(f"{me} {b} {i}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    positions = [
        row["created_position"]
        for me in range(4)
        for b in range(5)
        for row in _rows(ln.ULabel.filter(name__startswith=f"{me} {b} "))
    ]
    assert len(positions) == 100
    assert all(after == before + 1 for before, after in _within_batches(positions, 5))


def test_closing_while_threads_work_loses_nothing():
    ln.settings.verbosity = "error"
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(label, f"n {number}") for number in range(60)]
        for _ in range(20):
            ln.close()
        for future in futures:
            future.result()
    assert ln.ULabel.filter().count() == 60
    assert_whole()


KILLED = """
import os
from concurrent.futures import ThreadPoolExecutor
acknowledged = os.open("acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
def work(me):
    for i in range(1000):
        ln.ULabel(name=f"{me} {i}").save()
        os.write(acknowledged, f"{me} {i}\\n".encode())
        if (me, i) == (0, 10):
            os.kill(os.getpid(), 9)
with ThreadPoolExecutor(8) as pool:
    list(pool.map(work, range(8)))
"""


def test_what_threads_shared_a_commit_for_is_there_after_a_kill():
    program = processes.start(KILLED)
    program.communicate()
    assert program.returncode == -9
    acknowledged = Path("acknowledged").read_text().splitlines()
    found = names(ln.ULabel.filter())
    assert {f"0 {i}" for i in range(11)} <= set(acknowledged) <= set(found)
    assert len(found) == len(set(found))
    assert_whole()
    label("the ledger works on")


def test_this_process_is_the_one_that_other_processes_see():
    label("from the parent")
    [answer] = processes.ended([processes.start("print(ln.ULabel.filter().one().name)")])
    assert answer == "from the parent\n"
    processes.ended([processes.start("ln.ULabel(name='from the child').save()")])
    assert ln.ULabel.filter().last().name == "from the child"
