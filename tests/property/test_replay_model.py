"""Whatever a script does and whenever it is killed: a second pass adds nothing, and no run mixes.

Scripts are lists of operations on a few names, contents and keys; histories are passes of one
script on the data of one day or another, killed somewhere or not, with curators at work in between.
All of it goes through handlers over a ledger in memory, as the public classes drive them.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, event, example, given, settings
from hypothesis import strategies as st

from ledger.decisions.artifacts import exists_error, find_content
from ledger.decisions.records import find_named
from ledger.decisions.replay import Passage
from ledger.decisions.runs import RunPlan
from ledger.engine.database import Database
from ledger.engine.handler import Handler
from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sessions import Sessions
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import CommandRejectedError, NotFoundError
from ledger.model.commands import (
    ChangeRecord,
    Command,
    Content,
    LinkRecords,
    MoveRecord,
    ReadArtifact,
    SaveArtifact,
    SaveRecord,
)
from ledger.model.ids import command_id
from ledger.model.schema import LIVE, WITHDRAWN
from projections.tables import TABLES
from tests.support.memory_database import MemoryDatabase
from tests.support.servers import new_schema

PLAN = RunPlan(identity="script", fields={})
OTHER = RunPlan(identity="another script", fields={})
# What the script reads from its data of the day; anything else is the same every day.
OF_THE_DAY = "data of the day"


class ScriptError(Exception):
    """The script's own exception, raised within a batch and caught around it."""


# --- carrying out operations ----------------------------------------------------------------------


class Worker:
    """Somebody who works on a ledger: a pass, or a curator outside any run."""

    def __init__(self, database: Database, day: str = "monday") -> None:
        ticks = itertools.count(1)
        self.handler = Handler(Sessions(database), clock=lambda: next(ticks), actor="ada")
        self.day = day
        self.refusals = 0

    steps_done = 0  # of all workers

    def do(self, operation: tuple[Any, ...]) -> None:
        """Do one thing; what is refused the script expects."""
        Worker.steps_done += 1
        kind, *arguments = operation
        try:
            getattr(self, f"_{kind}")(*arguments)
        except (CommandRejectedError, NotFoundError):
            self.refusals += 1

    def _perform(self, command: Command) -> str:
        return self.handler.perform(command).uid

    def _label(self, name: str, **fields: Any) -> str:
        """As `ULabel(name, …).save()`."""
        target = self.handler.recall("save", ["ulabel", name])
        with self.handler.sessions.reading() as session:
            rows = [] if target is None else session.models.find("ulabel", uid=target)
            if not rows or rows[0]["state"] == WITHDRAWN:
                found = find_named(session.models, "ulabel", name)
                target = None if found is None else found["uid"]
        return self._perform(SaveRecord(registry="ulabel", name=name, fields=fields, target=target))

    def _describe(self, name: str, text: str | None) -> None:
        self._change(self._label(name), description=text)

    def _create_described(self, name: str, text: str | None) -> None:
        self._label(name, description=text)

    def _rename(self, name: str, other: str) -> None:
        self._change(self._label(name), name=other)

    def _change(self, uid: str, **fields: Any) -> None:
        self._perform(ChangeRecord(registry="ulabel", uid=uid, fields=fields))

    def _move(self, name: str, where: Any) -> None:
        self._perform(MoveRecord(registry="ulabel", uid=self._label(name), move=where))

    def _artifact(self, text: str, key: str | None, mode: Any) -> str:
        """As `Artifact(…, key=key, if_hash_exists=mode).save()`."""
        command = SaveArtifact(content=self._content(text), key=key, mode=mode)
        target = self.handler.recall(
            command.kind, command.subject, exactly=mode != "warn_return_existing"
        )
        with self.handler.sessions.reading() as session:
            rows = [] if target is None else session.models.find("artifact", uid=target)
            if rows and rows[0]["state"] == WITHDRAWN:
                target = None
            elif target is None:
                found = find_content(session.models, command)
                if found is not None and mode == "error":
                    raise exists_error(command, found)
                if found is not None and mode == "warn_return_existing":
                    target = found["uid"]
        return self._perform(
            SaveArtifact(content=command.content, key=key, mode=mode, target=target)
        )

    def _content(self, text: str) -> Content:
        if text == OF_THE_DAY:
            text = f"data of {self.day}"
        return Content(
            hash=text,
            hash_type="md5",
            digest=text,
            size=len(text),
            n_files=None,
            suffix="",
            storage="storage",
        )

    def _read(self, text: str) -> None:
        command = SaveArtifact(content=self._content(text))
        with self.handler.sessions.reading() as session:
            found = find_content(session.models, command)
        tracked = self.handler.tracked
        if found is None or tracked is None or found["uid"] in tracked.read:
            return
        self._perform(ReadArtifact(uid=found["uid"]))
        tracked.read.add(found["uid"])
        self.handler.sessions.on_undo(lambda: tracked.read.discard(found["uid"]))

    def _link(self, text: str, name: str, is_present: bool) -> None:  # noqa: FBT001 (drawn)
        holder = self._artifact(text, None, "warn_return_existing")
        self._perform(
            LinkRecords(
                registry="artifact",
                uid=holder,
                field="labels",
                target=self._label(name),
                is_present=is_present,
            )
        )

    def _batch(self, operations: list[tuple[Any, ...]], fails: bool) -> None:  # noqa: FBT001 (drawn)
        try:
            with self.handler.batch():
                for operation in operations:
                    self.do(operation)
                if fails:
                    raise ScriptError  # noqa: TRY301 (the script raises it where it likes)
        except ScriptError:
            pass


class Pass(Worker):
    """One execution of a script, a step at a time."""

    def __init__(
        self, database: Database, script: list[Any], day: str = "monday", plan: RunPlan = PLAN
    ) -> None:
        super().__init__(database, day)
        self.script = script
        self.handler.track(plan, new_run=False, before=lambda _: {"transform": "T"})

    def steps(self, ending: str = "finished") -> Iterator[None]:
        """Do one thing more each time; the last time, end."""
        for operation in self.script:
            self.do(operation)
            yield
        self.passage = self.handler.finish(ending)
        yield

    def run(self, ending: str = "finished", *, killed_after: int | None = None) -> Pass:
        """Run to the end, or until the process is killed after so many operations."""
        for number, _ in enumerate(self.steps(ending), start=1):
            if number == killed_after:
                return self
        assert isinstance(self.passage, Passage)
        return self


# --- looking --------------------------------------------------------------------------------------


def head(database: Database) -> int:
    with database.read() as session:
        return session.log.head()


def find(database: Database, table: str, **arguments: Any) -> list[dict[str, Any]]:
    with database.read() as session:
        return session.models.find(table, **arguments)


def visible(database: Database) -> Any:
    """What there is to see of labels and artifacts, whoever made them when."""
    shown = {
        "ulabel": ("uid", "name", "description", "state"),
        "artifact": ("uid", "key", "state", "storage_key"),
        "artifact_key": ("key", "uid"),
        "link": ("field", "source", "target"),
    }
    return {
        table: sorted(
            [repr([row[name] for name in names]) for row in find(database, table)],
        )
        for table, names in shown.items()
    }


def check(database: Database) -> None:
    """Require what holds after any history."""
    live = {table: find(database, table, ever=True) for table in TABLES}
    database.rebuild()
    assert {table: find(database, table, ever=True) for table in TABLES} == live
    for name, table in TABLES.items():
        keys = [tuple(row[it] for it in table.key) for row in find(database, name)]
        assert len(keys) == len(set(keys))
    names = [row["name"] for row in find(database, "ulabel", state=LIVE)]
    assert len(names) == len(set(names))
    contents = {row["uid"]: row["digest"] for row in find(database, "artifact")}
    made: dict[str, set[str]] = {}
    for link in find(database, "link", field="artifact.runs"):
        made.setdefault(link["target"], set()).add(contents[link["source"]])
    for of_one_run in made.values():
        assert len({text for text in of_one_run if text.startswith("data of")}) <= 1
    with database.read() as session:
        events = list(session.log.read())
    commands = {it.command_id for it in events}
    assert all(it.event.causation is None or it.event.causation in commands for it in events)
    assert all(command_id(it.event.command) == it.command_id for it in events)


# --- drawing --------------------------------------------------------------------------------------

NAMES = st.sampled_from("abc")
TEXTS = st.sampled_from([None, "one", "two"])
CONTENTS = st.sampled_from(["same", "other", OF_THE_DAY])
KEYS = st.sampled_from([None, "k", "l"])
MODES = st.sampled_from(["warn_return_existing"] * 4 + ["warn_create_new", "error"])
MOVES = st.sampled_from(["trash", "restore", "trash", "restore", "withdraw"])

SIMPLE = st.one_of(
    st.tuples(st.just("label"), NAMES),
    st.tuples(st.just("create_described"), NAMES, TEXTS),
    st.tuples(st.just("describe"), NAMES, TEXTS),
    st.tuples(st.just("rename"), NAMES, NAMES),
    st.tuples(st.just("move"), NAMES, MOVES),
    st.tuples(st.just("artifact"), CONTENTS, KEYS, MODES),
    st.tuples(st.just("artifact"), CONTENTS, KEYS, MODES),
    st.tuples(st.just("read"), CONTENTS),
    st.tuples(st.just("link"), CONTENTS, NAMES, st.booleans()),
)
BATCHES = st.tuples(st.just("batch"), st.lists(SIMPLE, max_size=4), st.booleans())
SCRIPTS = st.lists(st.one_of(SIMPLE, SIMPLE, SIMPLE, BATCHES), max_size=8)
DAYS = st.sampled_from(["monday", "tuesday"])
ENDINGS = st.sampled_from(["finished", "finished", "ended", "failed"])
EARLIER = st.one_of(
    st.tuples(st.just("pass"), DAYS, st.none() | st.integers(0, 8), ENDINGS),
    st.tuples(st.just("curator"), SIMPLE),
    st.tuples(st.just("other"), SIMPLE),
)


def live_through(database: Database, script: list[Any], history: list[Any]) -> None:
    for what, *more in history:
        if what == "curator":
            Worker(database).do(more[0])
        elif what == "other":
            Pass(database, more, plan=OTHER).run()
        else:
            day, killed_after, ending = more
            started = Pass(database, script, day)
            if killed_after != 0:
                started.run(ending, killed_after=killed_after)


# --- properties -----------------------------------------------------------------------------------

# Together these take 4,000 steps, and a million with the profile of `make overnight`.
_UNHURRIED = settings(
    # A fixture of a test is as good for its second example as for its first.
    suppress_health_check=[
        *settings().suppress_health_check,
        HealthCheck.function_scoped_fixture,
    ],
)
MANY_STEPS = settings(_UNHURRIED, max_examples=2 * settings().max_examples)


@pytest.fixture(autouse=True)
def _steps(figure):
    """Count the steps of a property, and tell how many they were."""
    before = Worker.steps_done
    yield
    figure(f"{Worker.steps_done - before} steps")


@MANY_STEPS
@given(SCRIPTS, st.lists(EARLIER, max_size=5), DAYS)
def test_after_any_history_a_second_pass_adds_nothing_and_sees_the_same(script, history, day):
    database = MemoryDatabase(lambda: 1)
    live_through(database, script, history)
    first = Pass(database, script, day).run()
    event(f"then {first.passage.case}")
    # A refusal is not remembered: once its reason is gone, the next pass carries the save out.
    assume(not first.refusals)
    before, seen = head(database), visible(database)
    again = Pass(database, script, day).run()
    assert head(database) == before
    assert again.passage.n_events == 0
    assert visible(database) == seen
    check(database)


@pytest.fixture(params=["sqlite", "postgres"])
def new_database(request, tmp_path):
    """How to make one ledger after the other in a database."""
    numbers = itertools.count(1)

    @contextmanager
    def in_sqlite() -> Iterator[Database]:
        with closing(SqliteDatabase.create(tmp_path / f"{next(numbers)}.db", lambda: 1)) as made:
            yield made

    @contextmanager
    def in_postgres() -> Iterator[Database]:
        with (
            new_schema(request.getfixturevalue("postgres_url")) as url,
            closing(PostgresDatabase.create(url, lambda: 1)) as made,
        ):
            yield made

    return in_sqlite if request.param == "sqlite" else in_postgres


# Each example makes a database and waits for its disk at every step: few of them, for what the
# database may do otherwise than the memory that the others run on.
@settings(_UNHURRIED, max_examples=6)
@given(SCRIPTS, st.lists(EARLIER, max_size=3), DAYS)
def test_a_database_ends_where_memory_does(new_database, script, history, day):
    memory = MemoryDatabase(lambda: 1)
    with new_database() as database:
        for each in (memory, database):
            live_through(each, script, history)
            refused = Pass(each, script, day).run().refusals
            before = head(each)
            again = Pass(each, script, day).run()
            if not refused:
                assert again.passage.n_events == 0
                assert head(each) == before
            check(each)
        assert head(database) == head(memory)
        for table in TABLES:
            assert find(database, table, ever=True) == find(memory, table, ever=True)


# By the next pass b is a, so that the batch that fails asks for what the last line did.
RENAMES = [("label", "a"), ("batch", [("rename", "b", "b")], True), ("rename", "a", "b")]


@MANY_STEPS
@given(SCRIPTS, st.lists(st.integers(0, 8), min_size=1, max_size=4))
@example(RENAMES, [3])
@example([RENAMES[0], ("batch", [RENAMES[1], ("label", "c")], False), RENAMES[2]], [3])
@example([RENAMES[0], ("batch", [RENAMES[1], ("label", "c")], True), RENAMES[2]], [3])
@example([("batch", [("label", "a")], False), *RENAMES[1:]], [3])
def test_killed_anywhere_and_resumed_ends_as_if_nothing_had_happened(script, kills):
    whole, broken = MemoryDatabase(lambda: 1), MemoryDatabase(lambda: 1)
    assume(not Pass(whole, script).run().refusals)
    for killed_after in kills:
        Pass(broken, script).run(killed_after=killed_after or None)
    Pass(broken, script).run()
    assert visible(broken) == visible(whole)
    (run,) = find(broken, "run")
    assert run["status"] == "finished"
    check(broken)


@MANY_STEPS
@given(SCRIPTS, st.lists(EARLIER, max_size=3), st.lists(st.integers(0, 1)), DAYS, DAYS)
def test_two_passes_at_once_never_mix_and_leave_nothing_to_add(
    script, history, schedule, day, other_day
):
    database = MemoryDatabase(lambda: 1)
    live_through(database, script, history)
    passes = [Pass(database, script, day), Pass(database, script, other_day)]
    _take_turns(passes, schedule)
    check(database)
    last = Pass(database, script, day).run()
    assume(not any(it.refusals for it in (*passes, last)))
    before = head(database)
    Pass(database, script, day).run()
    assert head(database) == before


@MANY_STEPS
@given(SCRIPTS, st.lists(st.integers(0, 1)))
def test_two_passes_at_once_with_the_same_everything_are_one_run(script, schedule):
    database, alone = MemoryDatabase(lambda: 1), MemoryDatabase(lambda: 1)
    passes = [Pass(database, script), Pass(database, script)]
    _take_turns(passes, schedule)
    assume(not Pass(alone, script).run().refusals)
    assume(not any(it.refusals for it in passes))
    (run,) = find(database, "run")
    assert run["status"] == "finished"
    assert visible(database) == visible(alone)
    before = head(database)
    Pass(database, script).run()
    assert head(database) == before


def _take_turns(passes: list[Pass], schedule: list[int]) -> None:
    going = [it.steps() for it in passes]
    for number in schedule:
        next(going[number], None)
    for it in going:
        for _ in it:
            pass
