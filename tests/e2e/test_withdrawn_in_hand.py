"""Records that somebody withdraws for good, while a script has them in hand or before it runs."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.model.commands import MoveRecord
from ledger.places import instance
from ledger.places.instance import Ledger
from ledger.tracking.source_code import SourceCode, text_hash
from tests.support.door import artifact, file, label, nothing_recorded

SCRIPT = SourceCode(
    kind="script", path=None, text="s", source_hash=text_hash("s"), name="s.py", key="s.py"
)


@pytest.fixture(autouse=True)
def _quiet(here) -> None:  # noqa: ARG001 (the ledger it works in)
    ln.settings.verbosity = "error"


def withdraw(registry: str, uid: str) -> None:
    """Withdraw a record for good, as somebody else does at the same time."""
    other = Ledger(instance.current().place)
    other.handler.perform(MoveRecord(registry=registry, uid=uid, move="withdraw"))
    other.close()


def once(name: str = "x") -> ln.Run:
    run = ln.track(key="s.py", name="s", params={"n": 1})
    label(name)
    ln.finish()
    return run


def test_after_its_transform_was_withdrawn_a_script_has_a_new_one(monkeypatch):
    monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: SCRIPT)
    first = once()
    withdraw("transform", first.transform.uid)
    second = once()
    assert second.uid != first.uid
    assert second.transform.uid != ln.Run.get(first.uid)._row["transform"]
    with nothing_recorded():
        assert once().uid == second.uid
    assert ln.audit().ok


def test_after_its_run_was_withdrawn_a_script_has_a_new_one(monkeypatch):
    monkeypatch.setattr("ledger.tracking.context.find_source", lambda **_: SCRIPT)
    first = once()
    withdraw("run", first.uid)
    second = once()
    assert second.uid != first.uid
    assert second.transform == ln.Transform.filter().one()
    with nothing_recorded():
        assert once().uid == second.uid


def test_a_run_whose_transform_is_withdrawn_ends_well(capsys):
    ln.settings.verbosity = "info"
    run = ln.track(key="s.py", name="s")
    label("x")
    withdraw("transform", run.transform.uid)
    label("y")
    artifact("a.txt").cache()
    ln.finish()
    assert ln.Run.get(run.uid).status == "finished"
    assert "of a withdrawn transform" in capsys.readouterr().err
    assert ln.ULabel.get(name="y").run == run


# What a script does with a run in hand that somebody withdrew.
EFFECTS = {
    "saves": lambda known: label("y"),  # noqa: ARG005
    "changes": lambda known: setattr(known, "description", "new") or known.save(),
    "reads": lambda known: known.cache(),
    "links": lambda known: known.labels.add(ln.ULabel.get(name="x")),
    "moves": lambda known: known.delete(),
    "batches": lambda known: ln.save([ln.ULabel(name="y"), ln.ULabel(name="z")]),  # noqa: ARG005
    "finishes": lambda known: ln.finish(),  # noqa: ARG005
}


@pytest.mark.parametrize("what", EFFECTS)
def test_a_run_that_is_withdrawn_refuses_each_effect_alike(what):
    known = artifact("a.txt")
    run = ln.track(key="s.py", name="s")
    label("x")
    withdraw("run", run.uid)
    with (
        nothing_recorded(),
        pytest.raises(ln.errors.NotTrackingError, match=f"{run.uid}: it was withdrawn for good"),
    ):
        EFFECTS[what](known)
    assert not ln.context.is_tracking
    assert label("z").run is None
    assert ln.track(key="s.py", name="s").uid != run.uid


def held() -> dict[str, object]:
    """Return records of each kind, and a label and a file's artifact that are not saved yet."""
    made, tag = artifact("a.txt", key="a.txt"), label("x")
    return {
        "artifact": made,
        "ulabel": tag,
        "collection": ln.Collection([made], name="c").save(),
        "transform": ln.Transform(name="t", version="1").save(),
        "other": artifact("d.txt"),
    }


# What a script does with a record in hand that somebody withdrew.
DEEDS = {
    "description": lambda it, _: setattr(it, "description", "new") or it.save(),
    "delete": lambda it, _: it.delete(),
    "restore": lambda it, _: it.restore(),
    "retract": lambda it, _: it.retract("wrong"),
    "label it": lambda it, others: it.labels.add(others["ulabel"]),
    "label with it": lambda it, others: others["artifact"].labels.add(it),
    "collect it": lambda it, others: ln.Collection([it, others["other"]], name="d").save(),
    "track it": lambda it, _: ln.track(transform=it),
    "merge it": lambda it, _: it.merge_into(label("survivor")),
    "replace it": lambda it, _: it.replace(file("b.txt")).save(),
}
PAIRS = {
    "artifact": (
        "description", "delete", "restore", "retract", "label it", "collect it", "replace it",
    ),
    "ulabel": ("description", "delete", "restore", "label with it", "merge it"),
    "collection": ("description", "delete", "restore", "retract", "label it"),
    "transform": ("description", "delete", "restore", "retract", "track it"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("registry", "deed"), [(registry, deed) for registry in PAIRS for deed in PAIRS[registry]]
)
@pytest.mark.parametrize("is_tracked", [False, True])
def test_a_record_that_is_withdrawn_refuses_each_deed_with_one_clear_error(
    registry, deed, is_tracked
):
    others = held()
    record = others[registry]
    label("survivor")
    if is_tracked and deed != "track it":  # which ends the run in hand
        ln.track(key="s.py", name="s")
    withdraw(registry, record.uid)
    with nothing_recorded(), pytest.raises(ln.errors.NotFoundError, match="withdrawn for good by"):
        DEEDS[deed](record, others)


@pytest.mark.parametrize("registry", ["artifact", "collection", "transform", "ulabel"])
def test_a_constructed_record_that_is_withdrawn_before_it_is_saved_is_refused(registry):
    others = held()
    again = {
        "artifact": lambda: ln.Artifact("a.txt", key="a.txt", description="new"),
        "ulabel": lambda: ln.ULabel(name="x", description="new"),
        "collection": lambda: ln.Collection([others["artifact"]], name="c", description="new"),
        "transform": lambda: ln.Transform(name="t", version="1", description="new"),
    }[registry]()
    withdraw(registry, others[registry].uid)
    with nothing_recorded(), pytest.raises(ln.errors.NotFoundError, match="withdrawn for good by"):
        again.save()
