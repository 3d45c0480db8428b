"""Histories that no rule allows: the audit and the import refuse them, and every walk ends.

Events are appended as the program appends them, by its own code, and no rule has decided on them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import ledger as ln
from ledger.errors import CorruptLogError, LedgerError
from ledger.model.events import Draft, LedgerEvent
from ledger.model.ids import StreamId, command_id
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from projections.fold import fold
from projections.shadow import Shadow
from tests.support import builders as b
from tests.support.door import artifact, label
from tests.support.sweeps import few

pytestmark = pytest.mark.usefixtures("ledger_folder", "here_alone")
SEEDS = few(range(25), 5)


@pytest.fixture
def here_alone(ledger_folder: Path) -> Iterator[None]:  # noqa: ARG001 (is made before)
    ln.init("storage")
    yield
    ln.close()


def append(*events: LedgerEvent) -> None:
    """Append events to the streams of the records that they are about."""
    with instance.current().writing() as session:
        for event in events:
            registry = getattr(event, "registry", None) or (
                "run" if "run" in type(event).__name__.lower() else "artifact"
            )
            (row,) = session.models.find(registry, uid=event.uid)
            session.append(
                command_id(event.command), [Draft(stream=StreamId(row["stream"]), event=event)]
            )


def told() -> set[tuple[str, str]]:
    """Return kinds and subjects of the findings of an audit; an import of its export refuses."""
    report = ln.audit()
    # The key of the archive's checkpoint is an honest event, appended last.
    export("archive")
    with pytest.raises(CorruptLogError):
        restore("archive", "./storage", root=Path("elsewhere"))
    return {(finding.kind, finding.subject) for finding in report.findings}


def with_identity(event: Any, *identity: Any) -> Any:
    return type(event)(**{
        **{name: getattr(event, name) for name in event.__struct_fields__},
        "command": [*event.command, *identity],
    })  # fmt: skip


def test_two_labels_merged_into_each_other_are_told_and_nothing_hangs():
    one, two = label("one"), label("two")
    append(b.merged(one.uid, two.uid), b.merged(two.uid, one.uid))
    for ask in (
        lambda: ln.ULabel.get(name="one"),
        lambda: ln.ULabel.get(one.uid),
        lambda: label("one"),
        lambda: ln.ULabel(name="two").save(),
    ):
        with pytest.raises(LedgerError):
            ask()
    assert ("history", one.uid) in told()


def test_a_label_merged_into_itself_is_told_and_nothing_hangs():
    one = label("one")
    append(b.merged(one.uid, one.uid))
    with pytest.raises(LedgerError):
        label("one")
    assert ("history", one.uid) in told()


IMPOSSIBLE: dict[str, Callable[[], tuple[str, list[LedgerEvent]]]] = {}


def impossible(make: Callable[[], tuple[str, list[LedgerEvent]]]) -> Any:
    IMPOSSIBLE[make.__name__] = make
    return make


@impossible
def a_withdrawn_record_changes():
    it = label("one").uid
    return it, [b.withdrawn("ulabel", it), b.changed("ulabel", it, description="x")]


@impossible
def a_live_record_is_restored():
    it = label("one").uid
    return it, [b.restored("ulabel", it)]


@impossible
def a_withdrawn_record_is_withdrawn():
    it = label("one").uid
    return it, [b.withdrawn("ulabel", it), with_identity(b.withdrawn("ulabel", it), 2)]


@impossible
def the_content_of_an_artifact_changes():
    it = artifact("a.txt").uid
    return it, [b.changed("artifact", it, storage_key="another")]


@impossible
def a_state_is_assigned():
    it = label("one").uid
    return it, [b.changed("ulabel", it, state=1)]


@impossible
def a_name_is_a_number():
    it = label("one").uid
    return it, [b.changed("ulabel", it, description=7)]


@impossible
def a_name_is_endless():
    it = label("one").uid
    return it, [b.changed("ulabel", it, name="x" * 150_000)]


@impossible
def a_link_is_added_twice():
    it, one = artifact("a.txt").uid, label("one").uid
    link = b.link_added("artifact", it, "labels", one)
    return it, [link, with_identity(link, 2)]


@impossible
def a_link_ends_that_was_not_there():
    it, one = artifact("a.txt").uid, label("one").uid
    return it, [b.link_removed("artifact", it, "labels", one)]


@impossible
def an_output_is_linked_by_hand():
    it, one = artifact("a.txt").uid, label("one").uid
    return it, [b.link_added("artifact", it, "runs", one)]


@impossible
def a_merger_is_undone_that_was_not():
    one, two = label("one").uid, label("two").uid
    return one, [b.merge_undone(one, two)]


@impossible
def a_merger_leaves_a_link_behind():
    one, two, it = label("one"), label("two"), artifact("a.txt")
    it.labels.add(one)
    return one.uid, [b.merged(one.uid, two.uid)]


@impossible
def artifacts_are_merged():
    one, two = artifact("a.txt").uid, artifact("b.txt").uid
    event = b.merged(one, two)
    return one, [type(event)(**{
        **{name: getattr(event, name) for name in event.__struct_fields__}, "registry": "artifact",
    })]  # fmt: skip


@impossible
def a_retraction_is_lifted_that_was_not():
    it = artifact("a.txt").uid
    return it, [b.retraction_lifted("artifact", it)]


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_event_is_told(name):
    about, events = IMPOSSIBLE[name]()
    append(*events)
    assert {(kind, it) for kind, it in told() if it == about}


def test_a_time_that_no_date_can_tell_is_a_finding():
    it = label("one").uid
    append(b.changed("ulabel", it, description="x", common={"at": 300_000_000_000_000_000}))
    assert ("time", "at") in told()


def test_a_time_that_no_date_can_tell_is_an_error_of_our_own():
    it = label("one").uid
    append(b.changed("ulabel", it, description="x", common={"at": 300_000_000_000_000_000}))
    with pytest.raises(CorruptLogError, match="9999"):
        list(ln.ULabel.get(it).history())


class Chance:
    """Random events about the records that are there."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 (no secret is made of it)
        self.labels = [label(f"label {number}").uid for number in range(3)]
        self.artifacts = [artifact(f"{number}.txt").uid for number in range(3)]
        self.number = 0

    def event(self) -> LedgerEvent:
        self.number += 1
        pick = self.chance.choice
        of = pick(["ulabel", "artifact"])
        it = pick(self.labels if of == "ulabel" else self.artifacts)
        one, other, made = pick(self.labels), pick(self.labels), pick(self.artifacts)
        held = tuple((pick(["artifact.labels", "run.inputs"]), pick(self.artifacts)) for _ in "ab")
        event = pick([
            lambda: b.merged(one, other, moved=held[: self.chance.randrange(3)]),
            lambda: b.merged(one, other),
            lambda: b.merge_undone(one, other, back=held[: self.chance.randrange(3)]),
            lambda: b.trashed(of, it),
            lambda: b.restored(of, it),
            lambda: b.withdrawn(of, it),
            lambda: b.changed(of, it, description=pick(["x", None, 5, {"a": 1}])),
            lambda: b.changed("ulabel", one, name=pick(["label 1", "same", "x" * 5_000])),
            lambda: b.changed("artifact", made, revises=pick(self.artifacts)),
            lambda: b.retracted("artifact", made),
            lambda: b.retraction_lifted("artifact", made),
            lambda: b.link_added("artifact", made, "labels", one),
            lambda: b.link_added("artifact", made, pick(["runs", "nothing"]), made),
            lambda: b.link_added("collection", made, "artifacts", pick(self.artifacts)),
            lambda: b.link_removed("artifact", made, "labels", one),
            lambda: b.artifact_reproduced(made),
        ])()  # fmt: skip
        return with_identity(event, self.number)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_the_log_says_everything_ends(seed):
    random_events = Chance(seed)
    for _ in range(12):
        # The database refuses what its tables cannot hold; a forger would go on.
        with suppress(Exception):
            append(random_events.event())
    with instance.current().reading() as session, Shadow() as shadow:
        for recorded in session.log.read():
            with suppress(LedgerError):
                shadow.apply(recorded.position, fold(recorded))
    for name in ("label 0", "label 1", "same"):
        with suppress(LedgerError):
            ln.ULabel.get(name=name)
        with suppress(LedgerError):
            label(name)
    for each in random_events.artifacts:
        with suppress(LedgerError):
            found = ln.Artifact.get(each)
            for asked in (
                lambda found=found: found.lineage(follow_revisions=True).to_svg(),
                lambda found=found: found.lineage(depth=2).to_mermaid(),
                lambda found=found: found.impact(),
                lambda found=found: list(found.history()),
                lambda found=found: list(found.versions),
            ):
                asked()
    assert not ln.audit().ok
