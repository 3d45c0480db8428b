"""A pass of a parent and three workers, in any order, killed or not: one run, then nothing more.

Each process carries out a list of operations of its own, some of them the same as those of others.
The order in which they take turns is drawn anew for each pass, as the workers of a pool get it. All
of it goes through handlers over a ledger in memory; how processes are started is tried in
`tests/e2e/replay/test_workers.py`.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from ledger.decisions.runs import RunPlan
from ledger.engine.tracked import taking_part
from tests.property.test_replay_model import (
    OF_THE_DAY,
    Worker,
    check,
    find,
    head,
    visible,
)
from tests.support.chance import new_name
from tests.support.memory_database import MemoryDatabase

N_WORKERS = 3
BEFORE = {"transform": "T"}


class Process(Worker):
    """One process of a pass: the parent, or a worker that enters at its first operation."""

    def __init__(self, a_pass: OnePass, script: list[Any], *, is_parent: bool) -> None:
        super().__init__(a_pass.database, a_pass.day)
        self.a_pass, self.script, self.is_parent = a_pass, script, is_parent
        self.n_done = 0
        if is_parent:
            self.handler.track(
                a_pass.plan, new_run=False, before=lambda _: BEFORE, folder=a_pass.folder
            )

    @property
    def is_done(self) -> bool:
        """Whether nothing is left to do."""
        return self.n_done >= len(self.script)

    def step(self) -> None:
        """Do one thing more."""
        if self.handler.tracked is None:
            with self.handler.sessions.reading() as session:
                (run,) = session.models.find("run", uid=self.a_pass.run)
                self.handler.tracked = taking_part(
                    session.models, run, self.a_pass.plan, lambda _: BEFORE, self.a_pass.folder
                )
        self.do(self.script[self.n_done])
        self.n_done += 1


@dataclasses.dataclass
class Drawn:
    """How a pass goes: the day of its data, whose turn it is, and when a process dies."""

    day: str
    turns: list[int]
    killed: list[int | None]


class OnePass:
    """One pass of all processes."""

    def __init__(self, database: MemoryDatabase, folder: Any, scripts: Any, drawn: Drawn) -> None:
        self.database, self.day = database, drawn.day
        token = new_name()
        self.folder = folder / token
        self.plan = RunPlan(identity="script", fields={}, token=token)
        self.before = head(database)
        parent = Process(self, scripts[0], is_parent=True)
        self.run = parent.handler.tracked.passage.run
        self.everyone = [parent, *(Process(self, it, is_parent=False) for it in scripts[1:])]
        self._go(drawn)
        self.passage = None
        if drawn.killed[0] is None:
            self.passage = parent.handler.finish("finished")
            assert not self.folder.exists()

    def _go(self, drawn: Drawn) -> None:
        alive = dict(enumerate(self.everyone))
        turns = iter(drawn.turns)
        while alive:
            numbers = sorted(alive)
            number = numbers[next(turns, 0) % len(numbers)]
            process, killed_after = alive[number], drawn.killed[number]
            if process.is_done or (killed_after is not None and process.n_done >= killed_after):
                del alive[number]
            else:
                process.step()

    @property
    def refusals(self) -> int:
        """How many operations were refused."""
        return sum(it.refusals for it in self.everyone)

    def check_one_run(self) -> None:
        """Require that at most one run has events of this pass."""
        with self.database.read() as session:
            events = list(session.log.read(after=self.before))
        assert len({it.event.run for it in events if it.event.run is not None}) <= 1


# --- drawing --------------------------------------------------------------------------------------


def scripts_of(number: int) -> st.SearchStrategy[list[Any]]:
    """Operations of one process: on things of its own, and on some that others use alike."""
    own = f"of {number}"
    return st.lists(
        st.one_of(
            st.sampled_from(
                [
                    ("label", "shared"),
                    ("label", own),
                    ("create_described", own, "one"),
                    ("describe", own, "two"),
                    ("artifact", OF_THE_DAY, "k", "warn_return_existing"),
                    ("artifact", OF_THE_DAY, None, "warn_return_existing"),
                    ("artifact", own, own, "warn_return_existing"),
                    ("artifact", own, None, "warn_create_new"),
                    ("read", OF_THE_DAY),
                    ("read", own),
                    ("link", own, "shared", True),
                    ("link", OF_THE_DAY, own, True),
                ]
            ),
            st.tuples(
                st.just("batch"),
                st.just([("label", own), ("artifact", OF_THE_DAY, own, "warn_return_existing")]),
                st.booleans(),
            ),
        ),
        max_size=5,
    )


def passes(*, killed: bool) -> st.SearchStrategy[Drawn]:
    kills = st.none() | st.integers(0, 4) if killed else st.none()
    return st.builds(
        Drawn,
        day=st.sampled_from(["monday", "tuesday"]),
        turns=st.lists(st.integers(0, N_WORKERS), max_size=16),
        killed=st.lists(kills, min_size=N_WORKERS + 1, max_size=N_WORKERS + 1),
    )


# What a person does outside of any run: to what all processes use, and to what one of them made.
CURATIONS = st.lists(
    st.one_of(
        st.tuples(
            st.just("describe"),
            st.sampled_from(["shared", *(f"of {number}" for number in range(N_WORKERS + 1))]),
            st.sampled_from(["one", "two", "by hand"]),
        ),
        st.tuples(
            st.just("artifact"),
            st.just("by hand"),
            st.sampled_from(["k", "of 0", "of 1"]),
            st.just("warn_return_existing"),
        ),
    ),
    max_size=3,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("passes")


@settings(max_examples=settings().max_examples // 2)
@given(
    st.tuples(*map(scripts_of, range(N_WORKERS + 1))),
    st.lists(passes(killed=True), max_size=4),
    passes(killed=False),
    passes(killed=False),
)
def test_a_pass_of_many_processes_is_one_run_and_the_next_one_adds_nothing(
    folder, scripts, history, last, again
):
    database = MemoryDatabase(lambda: 1)
    for drawn in [*history, last]:
        done = OnePass(database, folder, scripts, drawn)
        done.check_one_run()
    assert done.passage is not None
    event(f"then {done.passage.case}")
    seen, here = visible(database), head(database)
    again.day = last.day
    repeated = OnePass(database, folder, scripts, again)
    assert head(database) == here
    assert visible(database) == seen
    assert repeated.passage.n_events == 0
    assert repeated.passage.unpassed == 0
    # A read of what is not there yet is no intent: there may be more of them the second time.
    assert repeated.passage.n_intents >= done.passage.n_intents
    check(database)
    assert not [row for row in find(database, "run") if row["status"] == "started"]


@settings(max_examples=settings().max_examples // 2)
@given(
    st.tuples(*map(scripts_of, range(N_WORKERS + 1))),
    CURATIONS,
    st.lists(passes(killed=True), max_size=2),
    passes(killed=False),
    CURATIONS,
    passes(killed=False),
)
def test_what_a_person_changed_after_a_pass_of_many_processes_stands(  # noqa: PLR0913, PLR0917
    folder, scripts, before, history, last, after, again
):
    # What a worker asked for without effect is known to the run too, once the pass has ended: else
    # its next pass would ask for it again, and take back what a person did since.
    database = MemoryDatabase(lambda: 1)
    for operation in before:
        Worker(database).do(operation)
    for drawn in [*history, last]:
        done = OnePass(database, folder, scripts, drawn)
    assume(not done.refusals)
    for operation in after:
        Worker(database).do(operation)
    seen, here = visible(database), head(database)
    again.day = last.day
    repeated = OnePass(database, folder, scripts, again)
    assert head(database) == here
    assert visible(database) == seen
    assert repeated.passage.n_events == 0
