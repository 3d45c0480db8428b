"""The past through the public door: points, views, history, differences, lineage, plans."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.registries import views
from ledger.tracking.source_code import SourceCode, text_hash
from tests.support.door import Interrupted, artifact, file, label, nothing_recorded

UTC = dt.UTC


@pytest.fixture(autouse=True)
def _ledger(ledger_folder):  # noqa: ARG001 (the folder it works in)
    ln.init("./storage")
    ln.settings.verbosity = "error"
    yield
    ln.settings.verbosity = "info"


def step(name, inputs, *outputs, **track):
    """One run that reads artifacts and makes files of these names and texts."""
    run = ln.track(key=name, name=name, new_run=True, **track)
    for it in inputs:
        it.cache()
    made = [artifact(key, text, key=key) for key, text in outputs]
    ln.finish()
    return run, *made


# --- points ---------------------------------------------------------------------------------------


def test_every_kind_of_point_means_the_same_position():
    run, made = step("a.py", [], ("a.txt", "a"))
    end = ln.head()
    tag = ln.tag("here")
    moment = ln.as_of(end).recorded_at
    label("later")
    points = [end, str(end), moment, moment.isoformat(), "here", run, run.uid]
    assert {ln.as_of(point).position for point in points} == {end} == {tag.position}
    assert ln.as_of(run).Artifact.get(key="a.txt") == made


def test_a_run_that_has_not_ended_ends_at_what_it_made_last():
    run = ln.track(key="a.py", name="a")
    artifact("a.txt")
    assert ln.as_of(run.uid).Artifact.filter(key="a.txt").count() == 0
    assert ln.as_of(run.uid).position == ln.head()
    ln.finish()


def test_a_time_zone_is_a_matter_of_spelling():
    label("x")
    moment = ln.as_of(ln.head()).recorded_at
    east = moment.astimezone(dt.timezone(dt.timedelta(hours=5, minutes=30)))
    assert ln.as_of(east).position == ln.as_of(moment).position == ln.head()


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (-1, "0 or more"),
        (10_000, "in the future"),
        ("10001", "in the future"),
        (dt.datetime(2026, 1, 1), "time zone"),  # noqa: DTZ001 (that is the point)
        ("2026-01-01", "time zone"),
        (dt.datetime(2999, 1, 1, tzinfo=UTC), "future"),
        (None, "expected a position"),
        (1.5, "expected a position"),
        (True, "expected a position"),
        ("origin\nsize", "checkpoint"),
        ("elsewhere\n1\nAAAA\n", "of this ledger"),
    ],
)
def test_a_point_that_is_none_is_refused(point, words):
    with pytest.raises(ln.errors.InvalidValueError, match=words):
        ln.as_of(point)


def test_an_unknown_tag_names_the_nearest():
    ln.tag("paper-v1")
    with pytest.raises(ln.errors.NotFoundError, match="paper-v1"):
        ln.as_of("paper-v2")


def test_a_checkpoint_of_another_past_is_damage():
    size = ln.head()
    note = f"metaledger.local/{_ledger_id()}\n{size}\n{'A' * 43}=\n"
    with pytest.raises(ln.errors.CorruptLogError, match="recomputed"):
        ln.as_of(note)


def _ledger_id():
    return instance.current().place.configuration.id


# --- tags -----------------------------------------------------------------------------------------


def test_a_tag_points_before_its_own_event_and_never_moves():
    label("x")
    before = ln.head()
    assert ln.tag("a").position == before == ln.head() - 1
    with nothing_recorded():
        assert ln.tag("a", at=before).position == before
    with pytest.raises(ln.errors.NameTakenError, match="never moves"):
        ln.tag("a", at=0)
    assert [tag.name for tag in ln.tags()] == ["a"]


@pytest.mark.parametrize(
    "name", ["", " ", "12", "2026-01-01", "a\nb", " a", "a\0", None, 3, "x" * 256]
)
def test_a_tag_that_reads_as_something_else_is_refused(name):
    with nothing_recorded(), pytest.raises(ln.errors.InvalidValueError):
        ln.tag(name)


def test_the_uid_of_a_run_is_no_name_for_a_tag():
    run, *_ = step("a.py", [])
    with pytest.raises(ln.errors.InvalidValueError, match="uid of a run"):
        ln.tag(run.uid)


# --- views ----------------------------------------------------------------------------------------


def test_a_view_answers_every_registry_and_writes_none():
    run, made = step("a.py", [], ("a.txt", "a"))
    made.labels.add(label("x"))
    view = ln.as_of(ln.head())
    assert view.Artifact.filter(labels__name="x").df()["uid"].tolist() == [made.uid]
    assert view.Run.get(run.uid).transform == view.Transform.get(key="a.py")
    assert view.lineage(made).position == view.position
    seen = view.Artifact.get(made.uid)
    for write in (
        seen.delete,
        seen.restore,
        lambda: seen.retract("no"),
        seen.lift_retraction,
        lambda: seen.labels.add(label("y")),
        lambda: seen.replace("a.txt"),
        lambda: view.Artifact("a.txt"),
        lambda: view.ULabel.get(name="x").merge_into(label("y")),
    ):
        with pytest.raises(ln.errors.ReadOnlyViewError):
            write()
    with pytest.raises(AttributeError, match="ULabel"):
        view.Nothing  # noqa: B018


def test_a_query_as_of_a_point_keeps_its_conditions():
    x = label("x")
    then = ln.head()
    x.name = "y"
    x.save()
    query = ln.ULabel.filter(name="x")
    assert query.count() == 0
    assert query.as_of(then).one() == x


# --- history, log, differences --------------------------------------------------------------------


def test_history_tells_links_as_uids_before_and_after():
    a, x, y = artifact("a.txt"), label("x"), label("y")
    a.labels.add(x, y)
    a.labels.remove(x)
    told = [entry.changes["labels"] for entry in a.history() if "labels" in entry.changes]
    assert told == [
        (None, (x.uid,)),
        ((x.uid,), (x.uid, y.uid)),
        ((x.uid, y.uid), (y.uid,)),
    ]


def test_the_log_is_narrowed_by_registry_record_run_actor_and_points():
    x = label("x")
    start = ln.head()
    run, made = step("a.py", [], ("a.txt", "a"))
    ln.tag("end")
    assert {it.registry for it in views.log(registry="ulabel")} == {"ulabel"}
    assert [it.uid for it in views.log(record=x)] == [x.uid]
    assert views.log(record=made.uid[:8]) == views.log(record=made)
    of_run = views.log(run=run)
    assert of_run[0].type == "run-started.v1"
    assert of_run[-1].type == "run-finished.v1"
    assert all(run.uid in (it.run, it.uid) for it in of_run)
    assert views.log(actor="nobody") == []
    between = views.log(since=start, until="end")
    assert [it.position for it in between] == list(range(start + 1, ln.tags()[0].position + 1))
    assert views.log(since=start, until="end", newest_first=True) == between[::-1]
    assert views.log(limit=2, newest_first=True)[0].position == ln.head()
    assert [it.position for it in ln.since(run)] == [ln.head()]


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"registry": "labels"}, ln.errors.NotFoundError),
        ({"record": "nowhere"}, ln.errors.NotFoundError),
        ({"record": 3}, ln.errors.InvalidValueError),
        ({"run": "nowhere"}, ln.errors.NotFoundError),
        ({"since": 1, "until": 0}, ln.errors.InvalidValueError),
        ({"limit": -1}, ln.errors.InvalidValueError),
    ],
)
def test_a_log_that_is_asked_wrongly_is_refused(asked, error):
    with pytest.raises(error):
        views.log(**asked)


def test_a_reversed_range_is_refused():
    label("x")
    with pytest.raises(ln.errors.InvalidValueError, match="earlier point first"):
        ln.diff(ln.head(), 0)
    with pytest.raises(ln.errors.InvalidValueError, match="earlier point first"):
        artifact("a.txt").lineage_diff(ln.head(), 0)


def test_what_differs_is_a_table():
    x = label("x")
    then = ln.head()
    x.description = "now"
    x.save()
    (row,) = ln.diff(then, ln.head()).df().to_dict("records")
    assert (row["uid"], row["field"], row["after"]) == (x.uid, "description", "now")
    assert row["before"] is None


def test_passes_of_a_run_are_those_that_left_something(monkeypatch):
    # A parallel test runner is no script, and what is no script is a new run each time.
    text = "the same script each time"
    source = SourceCode(
        kind="script", path=None, text=text, source_hash=text_hash(text), name="a", key="a.py"
    )
    monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: source)

    def scripted(*, dies):
        ln.track(key="a.py", name="a")
        label("x")
        if dies:
            ln.context._end("ended")
            return
        label("y")
        ln.finish()

    scripted(dies=True)
    scripted(dies=False)
    with nothing_recorded():
        scripted(dies=False)
    passes = ln.Run.filter().one().replayed()
    assert [(it.number, it.status) for it in passes] == [(1, "ended"), (2, "finished")]
    assert passes.df()["number"].tolist() == ["1", "2"]


# --- lineage --------------------------------------------------------------------------------------


def test_lineage_counts_artifacts_and_marks_what_was_made_again():
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    first, b1 = step("b.py", [raw], ("b.txt", "b"))
    again, b2 = step("b2.py", [raw], ("b.txt", "b"))
    assert b1 == b2
    found = b1.lineage()
    assert {it.uid for it in found.runs} >= {first.uid, again.uid}
    kinds = {(it.source, it.kind) for it in found.edges if it.target == b1.uid}
    assert kinds == {(first.uid, "output"), (again.uid, "output again")}
    assert {it.uid for it in first.lineage(depth=0).artifacts} == set()
    assert {it.uid for it in first.lineage(depth=1).artifacts} == {raw.uid}
    assert {it.key for it in found.transforms} == {"a.py", "b.py", "b2.py"}
    assert found.to_networkx().number_of_nodes() == len(found.nodes) == 5
    assert found.paths(raw, b1) == [
        [raw.uid, run, b1.uid] for run in sorted([first.uid, again.uid])
    ]


def test_a_transform_and_a_collection_have_a_lineage():
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    both = ln.Collection([raw, artifact("c.txt")], name="both").save()
    run, made = step("b.py", [raw], ("b.txt", "b"))
    down = run.transform.lineage(direction="descendants")
    assert {run.transform.uid, run.uid, made.uid} == down.uids
    assert [it.kind for it in down.edges] == ["transform", "output"]
    assert raw.uid in both.lineage().uids
    assert both.uid in raw.lineage(direction="descendants").uids


def test_versions_are_shown_and_only_followed_when_asked():
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    _, v1 = step("b.py", [raw], ("b.txt", "1"))
    _, v2 = step("c.py", [v1], ("b.txt", "2"))
    assert v2.uid[:16] == v1.uid[:16]
    assert "revision" in {it.kind for it in v2.lineage().edges}
    fresh = artifact("b.txt", "3", key="b.txt")
    assert fresh.lineage().uids == {fresh.uid}
    assert {v1.uid, v2.uid, raw.uid} <= fresh.lineage(follow_revisions=True).uids


def test_what_was_withdrawn_is_a_node_still():
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    _, middle = step("b.py", [raw], ("middle.txt", "m"))
    _, end = step("c.py", [middle], ("end.txt", "e"))
    middle.delete(permanent=True)
    found = end.lineage()
    assert raw in found.artifacts
    assert {it.detail for it in found.nodes if it.uid == middle.uid} == {"withdrawn"}


def test_a_limit_that_bites_is_told(capsys):
    ln.settings.verbosity = "warning"
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    found = raw.lineage(limit=0)
    assert not found.is_complete
    assert "cut off" in repr(found)
    assert "cut off at its limit" in found.to_svg()
    assert "cut off" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options", [{"depth": -1}, {"depth": 1.5}, {"depth": True}, {"direction": "up"}, {"limit": -1}]
)
def test_a_lineage_asked_wrongly_is_refused(options):
    with pytest.raises(ln.errors.InvalidValueError):
        artifact("a.txt").lineage(**options)


def test_a_lineage_before_the_record_was_there_is_refused():
    before = ln.head()
    with pytest.raises(ln.errors.NotFoundError, match="not there yet"):
        artifact("a.txt").lineage(as_of=before)
    with pytest.raises(ln.errors.InvalidValueError, match="has none"):
        label("x").lineage()
    with pytest.raises(ln.errors.NotSavedError):
        ln.Artifact(file("b.txt")).lineage()


def test_a_ladder_has_many_paths_and_a_few_are_asked_for():
    layer = [artifact("a"), artifact("b")]
    first = layer[0]
    for n in range(30):
        _, *layer = step(f"{n}.py", layer, (f"a{n}", f"a{n}"), (f"b{n}", f"b{n}"))
    found = layer[0].lineage()
    paths = found.paths(first, layer[0], limit=7)
    assert len({tuple(path) for path in paths}) == 7
    assert {len(path) for path in paths} == {61}
    with pytest.raises(ln.errors.NotFoundError, match="not in this lineage"):
        found.paths(first, "elsewhere")


# --- what changed upstream ------------------------------------------------------------------------


def test_a_lineage_diff_tells_inputs_parameters_and_versions():
    _, raw = step("raw.py", [], ("raw.txt", "raw"))
    _, one = step("b.py", [raw], ("b.txt", "1"), params={"k": 1})
    then = ln.head()
    _, other = step("other.py", [], ("other.txt", "other"))
    run, two = step("b.py", [raw, other], ("b.txt", "2"), params={"k": 2, "j": 0})
    found = two.lineage_diff(then)
    by_uid = {item.uid: item for item in found}
    assert {item.uid for item in found.added} >= {other.uid}
    assert by_uid[two.uid].before == one.uid
    assert by_uid[two.uid].changes["hash"] == (one.hash, two.hash)
    changes = by_uid[run.uid].changes
    assert changes["params.k"] == (1, 2)
    assert changes["params.j"] == (None, 0)
    assert set(changes["inputs"][1]) == {raw.uid, other.uid}
    assert raw.uid not in by_uid
    assert not found.removed
    assert "#1d7a36" in found.to_svg()
    assert "changed" in found.to_mermaid()
    assert not two.lineage_diff(ln.head())


def test_runs_of_one_script_are_paired_by_what_they_make_and_read():
    raw = {it: artifact(f"{it}.raw", it) for it in "abcd"}

    def plates(names: str, k: int, ending: str) -> ln.Artifact:
        made = []
        for it in names:
            params = {"k": k, "plate": it}
            out = (f"{it}.{ending}", f"{it}{k}")
            made.append(step("gate.py", [raw[it]], out, params=params)[1])
        return step("report.py", made, ("report", f"{names}{k}"))[1]

    def told(report: ln.Artifact) -> list[tuple[str, str]]:
        gates = [it for it in report.lineage_diff(then) if it.name == "gate.py"]
        return sorted((it.change, str(it.changes.get("params.plate"))) for it in gates)

    plates("abc", 1, "csv")
    then = ln.head()
    # The first output decides, whatever the order of the runs; what is left made something else.
    assert told(plates("dba", 2, "csv")) == [
        ("added", "None"),
        ("changed", "None"),
        ("changed", "None"),
        ("removed", "None"),
    ]
    # Other outputs of the same inputs.
    assert told(plates("cba", 3, "tsv")) == [("changed", "None")] * 3


# --- retraction and merger ------------------------------------------------------------------------


def test_reading_what_was_retracted_or_made_of_it_warns_once(capsys):
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    _, made = step("b.py", [raw], ("b.txt", "b"))
    bystander = artifact("c.txt")
    raw.retract("wrong gate")
    ln.settings.verbosity = "warning"
    for record in (made, made, raw, bystander, ln.as_of(ln.head() - 1).Artifact.get(made.uid)):
        record.cache()
    lines = capsys.readouterr().err.splitlines()
    assert [line.count("wrong gate") for line in lines] == [1, 1]
    assert "made of" in lines[0]
    assert ln.Artifact.filter(retraction__isnull=False).one() == raw
    raw.lift_retraction("it was right")
    assert not raw.is_retracted
    made.load()
    assert capsys.readouterr().err == ""


def test_a_retracted_transform_warns_of_what_it_made(capsys):
    run, made = step("a.py", [], ("a.txt", "a"))
    run.transform.retract("a bug")
    ln.settings.verbosity = "warning"
    made.cache()
    assert "a bug" in capsys.readouterr().err


def test_impact_names_what_depends_and_who():
    _, raw = step("a.py", [], ("raw.txt", "raw"))
    run, made = step("b.py", [raw], ("b.txt", "b"))
    found = raw.impact()
    assert {it.uid for it in found} == {run.uid, made.uid}
    assert found.people == [made.created_by]
    assert set(found.df()["name"]) == {"b.py", "b.txt"}
    assert not made.impact()


def test_a_merged_label_leads_to_the_survivor_and_back():
    old, new, a = label("old"), label("new"), artifact("a.txt")
    a.labels.add(old)
    uid, then = old.uid, ln.head()
    assert old.merge_into(new, reason="a typo") == new
    assert ln.ULabel.get(name="old") == new == ln.ULabel.get(uid)
    with nothing_recorded():
        assert label("old") == new
    assert ln.Artifact.filter(labels__name="new").one() == a
    assert [it.name for it in ln.as_of(then).Artifact.get(a.uid).labels] == ["old"]
    assert ln.as_of(then).ULabel.filter().count() == 2
    assert ln.ULabel.filter().count() == 1
    assert a.history()[-1].type == "records-merged.v1"
    assert ln.ULabel.undo_merge("old").uid == uid
    assert [it.name for it in a.labels] == ["old"]
    with pytest.raises(ln.errors.NotFoundError, match="was merged"):
        ln.ULabel.undo_merge("nothing")


# --- plan -----------------------------------------------------------------------------------------


def test_a_plan_lists_events_content_and_similar_names_and_records_nothing():
    label("Immune study")
    with nothing_recorded():
        with ln.plan() as plan:
            made = artifact("a.txt", key="a.txt")
            assert made.path.read_text() == "a.txt"
            assert ln.Artifact.filter(key="a.txt").one() == made
            label("Immune studdy")
        assert [it.type for it in plan.events] == ["artifact-registered.v1", "record-created.v1"]
    assert [(it.name, it.size) for it in plan.contents] == [(f"{made.uid}.txt", 5)]
    assert [(it.name, it.similar) for it in plan.similar_names] == [
        ("Immune studdy", ("Immune study",))
    ]
    assert ln.Artifact.filter(key="a.txt").count() == 0
    assert not list(Path("storage").rglob("*.txt"))
    with ln.plan() as nothing:
        label("Immune study")
    assert nothing.is_empty


def _raised(error):
    raise error


def test_a_plan_that_fails_leaves_nothing_behind():
    with nothing_recorded(), pytest.raises(Interrupted), ln.plan():
        label("x").merge_into(_raised(Interrupted()))
    assert ln.ULabel.filter().count() == 0


def test_a_program_that_a_plan_starts_records_nothing():
    root = Path(ln.__file__).parents[1]
    child = "import ledger as ln; ln.ULabel(name='child').save()"
    with nothing_recorded(), ln.plan():
        done = subprocess.run(
            [sys.executable, "-c", child],
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "a plan records nothing" in done.stderr
    assert "METALEDGER_URL" not in os.environ


def test_a_plan_inside_a_run_is_refused():
    ln.track(key="a.py", name="a")
    with pytest.raises(ln.errors.InvalidValueError, match="finish"), ln.plan():
        pass
    ln.finish()


def test_now_is_a_point_everywhere():
    ln.ULabel(name="present").save()
    assert ln.as_of("now").position == ln.head()
    assert ln.ULabel.filter(name="present").as_of("now").one().name == "present"
    assert ln.diff(1, "now").added
    assert list(ln.since("now")) == []
    with pytest.raises(ln.errors.InvalidValueError, match="reads as the present"):
        ln.tag("now")
    assert ln.tag("kept", "now").position == ln.head() - 1
