"""What must come out: histories of real scripts, run, killed, run again, at once.

A pass that adds nothing is told by the tags of its events: none. `FIRST` is what the first pass of
a script records before anything of its own.
"""

from __future__ import annotations

import os

import pytest

import ledger as ln
from tests.support.histories import FIRST, HEAD, KILL, PAUSE, ROOT, Lab

SAVE_DATA = "ln.Artifact('data.txt', key='data.txt').save()"


@pytest.fixture
def lab(ledger_folder):
    yield Lab(ledger_folder, is_warm=True)
    ln.close()


def test_confirming_and_then_changing_is_not_undone_by_the_next_pass(lab):
    ln.ULabel("x", description="old").save()
    lab.script(
        "label = ln.ULabel('x', description='old').save()\nlabel.description = 'new'\nlabel.save()"
    )
    assert lab.run().tags == [*FIRST, "record-changed", "run-finished"]
    again = lab.run()
    assert again.tags == []
    assert "2 intents (2 already recorded, 0 without effect), 0 new events" in again.receipt
    assert ln.ULabel.get(name="x").description == "new"
    assert lab.statuses() == ["finished"]


def test_changing_back_and_forth_adds_nothing_the_second_time(lab):
    lab.script(
        """
label = ln.ULabel("x").save()
for text in ("x", "y", "x"):
    label.description = text
    label.save()
"""
    )
    assert lab.run().tags == [*FIRST, "record-created", *["record-changed"] * 3, "run-finished"]
    assert lab.run().tags == []
    assert lab.run().tags == []
    assert ln.ULabel.get(name="x").description == "x"


def test_contents_in_turn_under_one_key_end_at_the_last_one_each_time(lab):
    lab.script(
        """
for content in ("A", "B", "A"):
    with open("out.txt", "w") as file:
        file.write(content)
    ln.Artifact("out.txt", key="out.txt").save()
"""
    )
    assert lab.run().tags == [
        *FIRST,
        "artifact-registered",
        "artifact-registered",
        "artifact-keyed",
        "run-finished",
    ]
    assert lab.latest("out.txt") == "A"
    assert lab.run().tags == []
    assert (lab.latest("out.txt"), lab.contents()) == ("A", ["A", "B"])


def test_the_data_of_monday_tuesday_and_monday_are_three_runs_and_no_copy(lab):
    lab.script(SAVE_DATA)
    lab.write("data.txt", "monday")
    assert lab.run().tags == [*FIRST, "artifact-registered", "run-finished"]
    lab.write("data.txt", "tuesday")
    assert lab.run().tags == ["run-started", "artifact-registered", "run-finished"]
    lab.write("data.txt", "monday")
    third = lab.run()
    assert third.tags == ["run-started", "artifact-reproduced", "artifact-keyed", "run-finished"]
    assert "new run, forked where it differed" in third.receipt
    assert lab.run().tags == []
    assert lab.statuses() == ["finished"] * 3
    assert (lab.latest("data.txt"), lab.contents()) == ("monday", ["monday", "tuesday"])
    assert ln.Artifact.get(key="data.txt").is_latest


CLEAN = """
with open("clean.txt", "w") as file:
    file.write("threshold " + sys.argv[1])
ln.Artifact("clean.txt", key="clean.txt").save()
"""
REPORT = """
text = open(ln.Artifact.get(key="clean.txt").cache()).read()
with open("report.txt", "w") as file:
    file.write("report of " + text)
ln.Artifact("report.txt", key="report.txt").save()
"""


def test_going_back_to_earlier_parameters_brings_the_earlier_results_back(lab):
    lab.script(CLEAN, name="clean.py")
    lab.script(REPORT, name="report.py")
    for threshold in ("1", "2", "1"):
        lab.run(threshold, name="clean.py")
        lab.run(name="report.py")
        assert lab.latest("report.txt") == f"report of threshold {threshold}"
    assert lab.statuses() == ["finished"] * 6
    assert lab.run("1", name="clean.py").tags == []
    assert lab.run(name="report.py").tags == []


def test_two_scripts_that_write_one_key_lead_it_in_turn(lab):
    for name in ("x", "y"):
        lab.script(SAVE_DATA.replace("data.txt'", f"{name}.txt'", 1), name=f"{name}.py")
        lab.write(f"{name}.txt", f"content of {name}")
        assert "artifact-registered" in lab.run(name=f"{name}.py").tags
    again = lab.run(name="x.py")
    assert again.tags == ["run-started", "artifact-reproduced", "artifact-keyed", "run-finished"]
    assert "forked where it differed" in again.receipt
    assert lab.latest("data.txt") == "content of x"
    assert lab.run(name="x.py").tags == []
    assert lab.latest("data.txt") == "content of x"


def test_an_unfinished_run_whose_key_was_led_away_is_left_for_a_fork(lab):
    lab.script(f"{SAVE_DATA}\nif os.path.exists('kill'): {KILL}ln.ULabel('after').save()")
    lab.script(SAVE_DATA.replace("data.txt'", "y.txt'", 1), name="y.py")
    lab.write("data.txt", "content of x")
    lab.write("y.txt", "content of y")
    lab.write("kill", "")
    lab.killed()
    lab.run(name="y.py")
    (lab.folder / "kill").unlink()
    assert lab.run().tags == [
        "run-started",
        "run-abandoned",
        "artifact-reproduced",
        "artifact-keyed",
        "record-created",
        "run-finished",
    ]
    assert lab.latest("data.txt") == "content of x"
    assert lab.run().tags == []


def test_what_a_person_put_under_a_key_stands_and_that_is_said(lab):
    lab.script(SAVE_DATA)
    lab.write("data.txt", "raw")
    lab.run()
    corrected = ln.Artifact(lab.write("corrected.txt", "corrected"), key="data.txt").save()
    again = lab.run()
    assert again.tags == []
    (line,) = [line for line in again.said.splitlines() if line.startswith("!")]
    assert f"key 'data.txt' was led to artifact {corrected.uid} by {corrected.created_by}" in line
    assert "stays there" in line
    assert lab.latest("data.txt") == "corrected"


@pytest.mark.parametrize("more", ["ln.Artifact('data.txt', key='data.txt').save()", "made.load()"])
def test_what_a_run_made_it_neither_makes_again_nor_reads(lab, more):
    lab.write("data.txt", "content")
    lab.script(f"made = {SAVE_DATA}\n{more}")
    lab.script(SAVE_DATA, name="other.py")
    assert lab.run().tags == [*FIRST, "artifact-registered", "run-finished"]
    other = lab.run(name="other.py")
    assert other.tags == [*FIRST[1:], "artifact-reproduced", "run-finished"]
    assert lab.run().tags == []
    assert lab.run(name="other.py").tags == []
    made = ln.Artifact.get(key="data.txt")
    assert made.run.transform.name == "other"
    assert [run.transform.name for run in made.previous_runs] == ["pass"]
    assert lab.find("link", field="run.inputs") == []


def test_a_record_used_by_its_new_name_is_found_after_it_was_renamed_once_more(lab):
    label = ln.ULabel("first").save()
    label.name = "second"
    label.save()
    lab.script("ln.ULabel('second').save()")
    assert lab.run().tags == [*FIRST, "run-finished"]
    label.name = "third"
    label.save()
    again = lab.run()
    assert again.tags == []
    assert "was renamed to 'third' by" in again.said
    assert lab.names() == ["third"]


def test_a_record_whose_name_another_took_is_still_the_one_that_was_used(lab):
    label = ln.ULabel("x").save()
    lab.script("ln.ULabel('x', description='from the script').save()")
    assert lab.run().tags == [*FIRST, "record-changed", "run-finished"]
    label.name = "y"
    label.save()
    # Whoever types the name means the record that was created under it; a rename makes another.
    other = ln.ULabel("z").save()
    other.name = "x"
    other.save()
    assert lab.run().tags == []
    assert ln.ULabel.get(name="x").description is None
    assert ln.ULabel.get(name="y").description == "from the script"


@pytest.mark.parametrize("place", ["between", "after"])
def test_a_pass_killed_around_a_change_ends_at_the_change_when_resumed(lab, place):
    ln.ULabel("x", description="old").save()
    kill = f"if os.path.exists('kill'): {KILL}"
    change = "label.description = 'new'\nlabel.save()\n"
    lab.script(
        "label = ln.ULabel('x', description='old').save()\n"
        + (kill + change if place == "between" else change + kill)
    )
    lab.write("kill", "")
    first = lab.killed()
    assert first.tags == FIRST + (["record-changed"] if place == "after" else [])
    (lab.folder / "kill").unlink()
    resumed = lab.run()
    changed = ["record-changed"] if place == "between" else []
    assert resumed.tags == ["run-resumed", *changed, "run-finished"]
    assert "continued run" in resumed.receipt
    assert ln.ULabel.get(name="x").description == "new"
    assert lab.statuses() == ["finished"]
    assert lab.run().tags == []


@pytest.mark.parametrize(
    "batch",
    [
        "with ln.batch():\n        rename_b()\n        1 / 0",
        "with ln.batch(), ln.batch():\n        rename_b()\n        1 / 0",
        "with ln.batch():\n        rename_b()\n        ln.ULabel('new').save()\n        1 / 0",
        "with ln.batch():\n        refused()\n        rename_b()\n        1 / 0",
    ],
    ids=["alone", "within another", "forking", "after a refused save"],
)
def test_a_batch_that_fails_is_as_if_it_had_not_been_also_where_a_killed_pass_is_continued(
    lab, batch
):
    """By the second pass b is a: the batch then asks for what the last line has recorded."""
    ln.ULabel("taken").save()
    lab.script(
        f"""
def rename_b():
    label = ln.ULabel("b").save()
    label.name = "b"
    label.save()
def refused():
    label = ln.ULabel("b").save()
    label.name = "taken"
    try:
        label.save()
    except ln.errors.NameTakenError:
        pass
label = ln.ULabel("a").save()
try:
    {batch}
except ZeroDivisionError:
    pass
label.name = "b"
label.save()
if os.path.exists("kill"): {KILL}"""
    )
    lab.write("kill", "")
    assert lab.killed().tags == [*FIRST, "record-created", "record-changed"]
    (lab.folder / "kill").unlink()
    assert lab.run().tags == ["run-resumed", "run-finished"]
    assert lab.run().tags == []
    assert lab.names() == ["b", "taken"]
    assert lab.statuses() == ["finished"]


def test_a_curators_value_stands_after_a_killed_fork_is_resumed(lab):
    label = "ln.ULabel('x', description='script').save()"
    lab.script(f"{SAVE_DATA}\n{label}\nif os.path.exists('kill'): {KILL}")
    lab.write("data.txt", "monday")
    lab.run()
    lab.write("data.txt", "tuesday")
    lab.write("kill", "")
    label = ln.ULabel.get(name="x")
    label.description = "meanwhile"
    label.save()
    fork = lab.killed()
    assert fork.tags == ["run-started", "artifact-registered", "record-changed"]
    assert ln.ULabel.get(name="x").description == "script"
    label.description = "curated"
    label.save()
    (lab.folder / "kill").unlink()
    assert lab.run().tags == ["run-resumed", "run-finished"]
    assert ln.ULabel.get(name="x").description == "curated"
    assert lab.run().tags == []


def test_no_run_mixes_the_data_of_two_days(lab):
    lab.script(
        "for name in ('a', 'b'):\n"
        "    ln.Artifact(f'{name}.txt', key=f'{name}.txt').save()\n"
        f"    if os.path.exists('kill'): {KILL}"
    )

    def day(name):
        lab.write("a.txt", f"a of {name}")
        lab.write("b.txt", f"b of {name}")

    day("monday")
    lab.write("kill", "")
    assert lab.killed().tags == [*FIRST, "artifact-registered"]
    day("tuesday")
    assert lab.killed().tags == ["run-started", "run-abandoned", "artifact-registered"]
    day("monday")
    (lab.folder / "kill").unlink()
    assert lab.run().tags == [
        "run-started",
        "run-abandoned",
        "artifact-reproduced",
        "artifact-keyed",
        "artifact-registered",
        "run-finished",
    ]
    assert (lab.latest("a.txt"), lab.latest("b.txt")) == ("a of monday", "b of monday")
    assert lab.statuses() == ["abandoned", "abandoned", "finished"]
    for run in ln.Run.filter():
        assert len({made.load().split()[-1] for made in run.outputs}) == 1
    assert lab.run().tags == []


def test_two_at_once_that_ask_for_new_runs_get_two(lab):
    lab.script(f"{PAUSE}ln.ULabel('x').save()", head=HEAD.replace("track()", "track(new_run=True)"))
    with lab.paused() as one, lab.paused() as two:
        for it in (one, two):
            it.arrive()
        for it in (one, two):
            it.go()
        for it in (one, two):
            it.end()
    assert lab.statuses() == ["finished", "finished"]
    assert sorted(row["ordinal"] for row in lab.find("run")) == [1, 2]
    assert lab.names() == ["x"]


def test_two_at_once_with_the_same_everything_are_one_run(lab):
    lab.write("data.txt", "content")
    lab.script(
        f"""
label = ln.ULabel("x", description="a").save()
artifact = {SAVE_DATA}
artifact.labels.add(label)
for text in "baba":
    label.description = text
    label.save()
for i in range(20):
    ln.ULabel(f"label {{i}}").save()
""",
        head=f"import ledger as ln\n{PAUSE}ln.track()\n",
    )
    with lab.paused() as one, lab.paused() as two:
        for it in (one, two):
            it.arrive()
        for it in (one, two):
            it.go()
        for it in (one, two):
            it.end()
    assert lab.statuses() == ["finished"]
    assert len(lab.names()) == 21
    assert lab.contents() == ["content"]
    assert ln.ULabel.get(name="x").description == "a"
    tags = lab.tags()
    assert tags.count("record-created") == 21
    assert tags.count("record-changed") == 4
    with lab.paused() as third:
        third.arrive()
        third.go()
        assert "0 new events" in third.end()


def test_a_job_array_is_one_run_each(lab):
    lab.script("ln.ULabel(f'part {sys.argv[1]}').save()")
    assert lab.run("1").tags == [*FIRST, "record-created", "run-finished"]
    for part in ("2", "3"):
        assert lab.run(part).tags == ["run-started", "record-created", "run-finished"]
    for part in ("1", "2", "3"):
        assert lab.run(part).tags == []
    assert [run.arguments for run in ln.Run.filter()] == [["1"], ["2"], ["3"]]


def test_a_job_array_of_unfinished_runs_never_mixes(lab):
    lab.script(f"ln.ULabel(f'part {{sys.argv[1]}}').save()\nif os.path.exists('kill'): {KILL}")
    lab.write("kill", "")
    for part in ("1", "2"):
        lab.killed(part)
    (lab.folder / "kill").unlink()
    for part in ("2", "1"):
        assert lab.run(part).tags == ["run-resumed", "run-finished"]
    assert lab.statuses() == ["finished", "finished"]


def test_a_twin_asked_for_is_made_once(lab):
    lab.write("data.txt", "content")
    lab.script(f"{SAVE_DATA}\nln.Artifact('data.txt', if_hash_exists='warn_create_new').save()")
    assert lab.run().tags == [*FIRST, *["artifact-registered"] * 2, "run-finished"]
    assert lab.run().tags == []
    assert lab.contents() == ["content"] * 2


@pytest.mark.parametrize(("order", "twins"), [("before", 1), ("after", 2)])
def test_a_fork_makes_a_twin_only_where_the_line_comes_after_it_began(lab, order, twins):
    lab.write("same.txt", "same")
    lab.write("data.txt", "monday")
    twin = "ln.Artifact('same.txt', if_hash_exists='warn_create_new').save()"
    lines = [twin, SAVE_DATA] if order == "before" else [SAVE_DATA, twin]
    lab.script("\n".join(lines))
    lab.run()
    lab.write("data.txt", "tuesday")
    fork = lab.run()
    assert fork.tags[0] == "run-started"
    assert lab.contents().count("same") == twins
    assert lab.run().tags == []
    same = ln.Artifact.filter(hash=ln.Artifact("same.txt").hash).last()
    assert same.run.ordinal == 2


def test_several_twins_of_one_pass_are_all_made_after_a_kill(lab):
    lab.write("data.txt", "content")
    lab.script(
        "for i in range(3):\n"
        "    ln.Artifact('data.txt', if_hash_exists='warn_create_new').save()\n"
        f"    if i == 1 and os.path.exists('kill'): {KILL}"
    )
    lab.write("kill", "")
    lab.killed()
    (lab.folder / "kill").unlink()
    assert lab.run().tags == ["run-resumed", "artifact-registered", "run-finished"]
    assert len(lab.contents()) == 3
    assert lab.run().tags == []


def test_mode_error_is_quiet_on_a_replay_and_loud_in_a_fork(lab):
    lab.write("data.txt", "monday")
    lab.write("same.txt", "same")
    lab.script(f"{SAVE_DATA}\nln.Artifact('same.txt', if_hash_exists='error').save()")
    assert lab.run().tags == [*FIRST, *["artifact-registered"] * 2, "run-finished"]
    again = lab.run()
    assert again.tags == []
    lab.write("data.txt", "tuesday")
    fork = lab.run(code=1)
    assert "ContentExistsError" in fork.said
    assert fork.tags == ["run-started", "artifact-registered", "run-finished"]
    assert lab.statuses() == ["finished", "failed"]


def test_mode_error_fails_each_pass_alike_where_one_pass_meets_a_content_twice(lab):
    lab.write("data.txt", "content")
    lab.script("for _ in range(2):\n    ln.Artifact('data.txt', if_hash_exists='error').save()")
    assert lab.run(code=1).tags == [*FIRST, "artifact-registered", "run-finished"]
    assert lab.run(code=1).tags == []
    assert lab.statuses() == ["failed"]


def test_a_pinned_version_refuses_another_source_and_names_the_next(lab):
    head = HEAD.replace("ln.track()", "ln.settings.transform.version = '1'\nln.track()")
    lab.script("ln.ULabel('x').save()", head=head)
    lab.run()
    assert lab.run().tags == []
    lab.script("ln.ULabel('y').save()", head=head)
    refused = lab.run(code=1)
    assert refused.tags == []
    assert "VersionPinnedError" in refused.said
    assert "set the version to '2'" in refused.said
    lab.script("ln.ULabel('y').save()", head=head.replace("'1'", "'2'"))
    assert lab.run().tags == [*FIRST[1:], "record-created", "run-finished"]


def test_an_edited_source_is_a_new_run(lab):
    lab.script("ln.ULabel('x').save()")
    lab.run()
    lab.script("ln.ULabel('x').save()  # edited")
    assert lab.run().tags == [*FIRST[1:], "run-finished"]
    assert lab.run().tags == []
    lab.script("ln.ULabel('x').save()")
    assert lab.run().tags == []
    assert lab.statuses() == ["finished", "finished"]


def test_other_parameters_are_a_new_run(lab):
    params = "params={'rate': float(os.environ['RATE'])}"
    lab.script("ln.ULabel('x').save()", head=HEAD.replace("track()", f"track({params})"))
    lab.run(environment={"RATE": "0.1"})
    assert lab.run(environment={"RATE": "1e-1"}).tags == []
    assert lab.run(environment={"RATE": "0.2"}).tags == ["run-started", "run-finished"]
    assert lab.run(environment={"RATE": "0.1"}).tags == []


def test_another_environment_is_a_new_run(lab, tmp_path):
    lab.script("ln.ULabel('x').save()")
    lab.run()
    site = tmp_path / "overlay" / "site-packages"
    info = site / "newcomer-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: newcomer\nVersion: 1.0\n")
    overlay = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(site)])}
    tags = lab.run(environment=overlay).tags
    assert tags == ["blob-recorded", "run-started", "run-finished"]
    assert "newcomer==1.0" in ln.Run.filter().last().environment
    assert lab.run(environment=overlay).tags == []
    assert lab.run().tags == []


def test_a_pass_that_registers_fewer_things_is_a_replay(lab):
    lab.script("for name in open('names.txt').read().split():\n    ln.ULabel(name).save()")
    lab.write("names.txt", "a b c")
    lab.run()
    lab.write("names.txt", "c a")
    fewer = lab.run()
    assert fewer.tags == []
    assert "1 recorded intents were not asked for again" in fewer.receipt
    assert lab.names() == ["a", "b", "c"]


def test_a_script_without_finish_ends_without_a_claim_and_replays_to_nothing(lab):
    lab.script("ln.ULabel('x').save()", tail="")
    first = lab.run()
    assert first.tags == [*FIRST, "record-created", "run-finished"]
    assert "ended" in first.receipt
    again = lab.run()
    assert again.tags == []
    assert "replay of unfinished run" in again.receipt
    assert lab.statuses() == ["ended"]


def test_an_uncaught_exception_is_told_and_the_next_pass_continues(lab):
    lab.script("ln.ULabel('x').save()\nopen('needed.txt').read()\nln.ULabel('y').save()")
    failed = lab.run(code=1)
    assert failed.tags == [*FIRST, "record-created", "run-finished"]
    assert ln.Run.filter().one().error.startswith("FileNotFoundError")
    assert lab.run(code=1).tags == []
    lab.write("needed.txt", "")
    assert lab.run().tags == ["run-resumed", "record-created", "run-finished"]
    run = ln.Run.filter().one()
    assert (run.status, run.error, run.resumptions) == ("finished", None, 1)


@pytest.mark.parametrize(
    ("ending", "error"),
    [
        (
            "class E(Exception):\n    def __str__(self): raise RuntimeError('no text')\nraise E()",
            "E: its text could not be made",
        ),
        ("raise ValueError('\\udcff\\x00')", "ValueError: \\xff\\x00"),
    ],
)
def test_an_exception_without_a_text_that_can_be_kept_fails_the_run_alone(lab, ending, error):
    lab.script(ending)
    left = lab.run(code=1)
    assert left.tags == [*FIRST, "run-finished"]
    assert "Error in sys.excepthook" not in left.said
    assert [(run.status, run.error) for run in ln.Run.filter()] == [("failed", error)]
