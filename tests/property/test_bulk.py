"""A bulk leaves the log of the same saves one by one: same events, ids, places and times."""

from __future__ import annotations

import random
from contextlib import closing, contextmanager, suppress

import pytest

from ledger.decisions.runs import RunPlan
from ledger.engine.handler import Handler
from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sessions import Sessions
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import CommandRejectedError, NotFoundError
from ledger.model.commands import (
    ChangeRecord,
    Content,
    LinkRecords,
    MoveRecord,
    SaveArtifact,
    SaveRecord,
)
from projections.tables import TABLES
from tests.support.memory_database import MemoryDatabase
from tests.support.servers import new_schema

SEEDS = range(8)
NAMES = [f"name {number}" for number in range(6)]
TOLD = "a pass"
MOMENT = 1_795_826_166_123_457


class GaveUpError(Exception):
    """Ends a part of a bulk."""


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def opened(request, tmp_path):
    """Makes new databases with a clock that stands still."""

    @contextmanager
    def one(name):
        match request.param:
            case "memory":
                yield MemoryDatabase(lambda: MOMENT)
            case "sqlite":
                with closing(SqliteDatabase.create(tmp_path / name, lambda: MOMENT)) as database:
                    yield database
            case _:
                with (
                    new_schema(request.getfixturevalue("postgres_url")) as url,
                    closing(PostgresDatabase.create(url, lambda: MOMENT)) as database,
                ):
                    yield database

    return one


def saved(word: str) -> Content:
    return Content(
        hash=word,
        hash_type="sha256",
        digest=word,
        size=len(word),
        n_files=None,
        suffix=".txt",
        storage="there",
    )


class Script:
    """A list of deeds, drawn from a seed; records are named by the order of their creation."""

    def __init__(self, seed: int, count: int) -> None:
        draw = random.Random(seed)  # noqa: S311 (not a secret)
        kinds = ["label"] * 6 + ["content"] * 4 + ["rename", "describe", "move", "link", "link"]
        self.deeds = [
            (draw.choice(kinds), draw.choice(NAMES), draw.choice(NAMES), draw.random())
            for _ in range(count)
        ]

    def carry_out(self, handler: Handler, part: range) -> None:
        for kind, one, other, chance in [self.deeds[number] for number in part]:
            with suppress(CommandRejectedError, NotFoundError, LookupError):
                handler.perform(self._command(handler, kind, one, other, chance))

    @staticmethod
    def _command(handler, kind, one, other, chance):
        def uid(registry, **equals):
            with handler.sessions.reading() as session:
                return session.models.find(registry, **equals)[-1]["uid"]

        match kind:
            case "label":
                fields = {"description": other} if chance < 0.5 else {}
                return SaveRecord(registry="ulabel", name=one, fields=fields)
            case "content":
                key = f"{other}.txt" if chance < 0.7 else None
                return SaveArtifact(content=saved(one), key=key, mode="warn_return_existing")
            case "rename":
                return ChangeRecord(
                    registry="ulabel", uid=uid("ulabel", name=one), fields={"name": other}
                )
            case "describe":
                return ChangeRecord(
                    registry="artifact", uid=uid("artifact", hash=one), fields={"description": one}
                )
            case "move":
                move = ("trash", "restore", "withdraw")[int(chance * 3)]
                return MoveRecord(registry="ulabel", uid=uid("ulabel", name=one), move=move)
            case _:
                return LinkRecords(
                    registry="artifact",
                    uid=uid("artifact", hash=one),
                    field="labels",
                    target=uid("ulabel", name=other),
                    is_present=chance < 0.7,
                )


def handler_on(database, *, in_run):
    handler = Handler(Sessions(database), clock=lambda: MOMENT, actor="ada")
    if in_run:
        plan = RunPlan(identity="script", fields={}, token=TOLD)
        handler.track(plan, new_run=True, before=lambda _: {"transform": "T"})
    return handler


def log_of(database):
    """The events with their places, and all rows; not the salts, which are drawn."""
    with database.read() as session:
        events = list(session.log.read())
        rows = {table: session.models.find(table, ever=True) for table in TABLES}
    return events, rows


@pytest.mark.parametrize("in_run", [False, True], ids=["outside", "in a run"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_bulk_leaves_the_log_of_the_same_saves_one_by_one(opened, seed, in_run):
    script, size = Script(seed, 40), 40
    with opened("one") as one, opened("bulk") as bulk:
        script.carry_out(handler_on(one, in_run=in_run), range(size))
        handler = handler_on(bulk, in_run=in_run)
        middle = 5 + 4 * seed
        with handler.batch():
            script.carry_out(handler, range(5))
            with suppress(GaveUpError), handler.batch():
                lost = Script(seed + 100, 12)
                lost.carry_out(handler, range(12 if seed % 2 else 3))
                if seed % 3 == 0:
                    with handler.sessions.reading() as session:
                        assert session.log.read_batch()
                raise GaveUpError
            script.carry_out(handler, range(5, middle))
            with handler.batch():
                script.carry_out(handler, range(middle, size))
        assert log_of(bulk) == log_of(one)
