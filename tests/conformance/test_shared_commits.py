"""Threads that meet share a commit, and nothing else: on both databases.

They are made to meet: somebody keeps the turn until all of them wait for it.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager

import pytest

from ledger.decisions.runs import RunPlan
from ledger.engine.handler import Handler
from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sessions import Sessions
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import NameTakenError, NotFoundError, StorageError
from ledger.model.commands import ChangeRecord, SaveRecord
from ledger.model.times import now_micros
from tests.support.patience import PATIENCE

THREADS = 6
PLAN = RunPlan(identity="script", fields={})


class Counted:
    """A handler on a database, and how often the database was begun with and committed."""

    def __init__(self, database) -> None:
        self.database = database
        self.handler = Handler(Sessions(database), clock=now_micros, actor="ada")
        self.begun = 0
        self.committed = 0
        self.fails = None
        self._write = database.write
        database.write = self.write

    @contextmanager
    def write(self):
        self.begun += 1
        with self._write() as session:
            yield session
            if self.fails is not None:
                fails, self.fails = self.fails, None
                raise fails
        self.committed += 1

    def save(self, name: str, **fields: str) -> str:
        return self.handler.perform(SaveRecord(registry="ulabel", name=name, fields=fields)).uid

    def rows(self, table: str = "ulabel", **equals) -> list:
        with self.handler.sessions.reading() as session:
            return session.models.find(table, **equals)

    def names(self) -> list[str]:
        return [row["name"] for row in self.rows()]

    def meet(self, *calls) -> list:
        """Have threads do these, in this order, with all of them waiting for the first to begin.

        Returns what each returned or raised.
        """
        turns = self.handler.sessions._turns
        with ThreadPoolExecutor(len(calls)) as pool:
            with self.handler.sessions.passing():
                futures = []
                for number, call in enumerate(calls):
                    futures.append(pool.submit(call))
                    self.until_waiting(number + 1)
                self.begun = self.committed = 0
            done = [future.exception() or future.result() for future in futures]
        assert turns.n_waiting == 0
        assert self.handler.sessions._group is None
        return done

    def until_waiting(self, number: int) -> None:
        for _ in range(int(PATIENCE * 1_000)):
            if self.handler.sessions._turns.n_waiting >= number:
                return
            threading.Event().wait(0.001)
        raise AssertionError(self.handler.sessions._turns.n_waiting)


@pytest.fixture(params=["sqlite", "postgres"])
def lab(request, tmp_path):
    if request.param == "sqlite":
        database = SqliteDatabase.create(tmp_path / "ledger.db", now_micros)
    else:
        database = PostgresDatabase.create(request.getfixturevalue("postgres"))
    with closing(database):
        yield Counted(database)


@pytest.fixture
def spoiled(lab, monkeypatch):
    """Have something happen to whoever saves the label `bad`, once its rows are changed."""
    with lab.database.read() as session:
        kind = type(session.models)
    apply_all = kind.apply_all

    def spoil(happens) -> None:
        def spoiled(self, events, *, shown=None):
            events = [(position, list(changes)) for position, changes in events]
            rows = apply_all(self, events, shown=shown)
            if any(
                getattr(it, "values", {}).get("name") == "bad" for _, them in events for it in them
            ):
                happens(self)
            return rows

        monkeypatch.setattr(kind, "apply_all", spoiled)

    return spoil


def raises(error):
    def happens(_) -> None:
        raise error

    return happens


def test_threads_that_meet_commit_once(lab):
    uids = lab.meet(*[lambda n=n: lab.save(f"label {n}") for n in range(THREADS)])
    assert (lab.begun, lab.committed) == (1, 1)
    assert lab.names() == [f"label {n}" for n in range(THREADS)]
    assert [row["uid"] for row in lab.rows()] == uids


def test_a_thread_alone_waits_for_nobody(lab):
    for number in range(3):
        lab.save(f"label {number}")
    assert lab.committed == 3


def test_no_thread_returns_before_the_commit(lab):
    committing, go_on = threading.Event(), threading.Event()
    write = lab._write
    returned = []

    @contextmanager
    def held():
        with write() as session:
            yield session
            committing.set()
            assert go_on.wait(PATIENCE)

    lab._write = held

    def save(name: str) -> None:
        lab.save(name)
        returned.append(name)

    with ThreadPoolExecutor(2) as pool:
        with lab.handler.sessions.passing():
            futures = []
            for number in range(2):
                futures.append(pool.submit(save, f"label {number}"))
                lab.until_waiting(number + 1)
        assert committing.wait(PATIENCE)
        assert returned == []
        assert lab.names() == []
        go_on.set()
        for future in futures:
            future.result()
    assert sorted(returned) == lab.names() == ["label 0", "label 1"]


def test_one_that_is_refused_fails_alone(lab):
    taken = lab.save("taken")
    other = lab.save("other")

    def rename() -> None:
        lab.handler.perform(ChangeRecord(registry="ulabel", uid=other, fields={"name": "taken"}))

    def unknown() -> None:
        lab.handler.perform(ChangeRecord(registry="ulabel", uid="nobody", fields={"name": "x"}))

    one, refused, missing, two = lab.meet(
        lambda: lab.save("one"), rename, unknown, lambda: lab.save("two")
    )
    assert isinstance(refused, NameTakenError)
    assert refused.details["uid"] == taken
    assert isinstance(missing, NotFoundError)
    assert [one, two] == [row["uid"] for row in lab.rows()][2:]
    assert lab.names() == ["taken", "other", "one", "two"]
    assert lab.committed == 1


def test_one_that_fails_half_way_leaves_nothing_of_itself(lab, spoiled):
    spoiled(raises(ZeroDivisionError()))
    one, failed, two = lab.meet(
        lambda: lab.save("one"), lambda: lab.save("bad"), lambda: lab.save("two")
    )
    assert isinstance(failed, ZeroDivisionError)
    assert [one, two] == [row["uid"] for row in lab.rows()]
    assert lab.names() == ["one", "two"]
    with lab.database.read() as session:
        assert [it.position for it in session.log.read()] == [1, 2]
    assert lab.committed == 1


def test_the_first_that_fails_leaves_the_others_a_transaction_of_their_own(lab, spoiled):
    spoiled(raises(ZeroDivisionError()))
    failed, *_ = lab.meet(lambda: lab.save("bad"), lambda: lab.save("one"), lambda: lab.save("two"))
    assert isinstance(failed, ZeroDivisionError)
    assert lab.names() == ["one", "two"]
    assert (lab.begun, lab.committed) == (2, 1)


def test_a_commit_that_fails_is_told_to_each_and_leaves_nothing(lab):
    lab.handler.track(PLAN, new_run=False, before=lambda _: {"transform": "T"})
    passage = lab.handler.tracked.passage
    before = passage.mark()

    def save(name: str) -> str:
        lab.fails = StorageError("the disk is full; nothing was recorded", path="x")
        return lab.save(name)

    errors = lab.meet(*[lambda n=n: save(f"label {n}") for n in range(3)])
    assert [str(error) for error in errors] == ["the disk is full; nothing was recorded"] * 3
    assert [error.details for error in errors] == [{"path": "x"}] * 3
    assert len({id(error) for error in errors}) == 3
    assert lab.names() == []
    assert passage.mark() == before
    lab.fails = None
    lab.meet(*[lambda n=n: lab.save(f"label {n}") for n in range(3)])
    assert lab.names() == ["label 0", "label 1", "label 2"]
    assert lab.handler.finish("finished").run == lab.rows("run")[0]["uid"]
    assert lab.rows("run")[0]["status"] == "finished"


def test_the_same_in_several_threads_is_recorded_once(lab):
    uids = lab.meet(*[lambda: lab.save("x", description="same")] * THREADS)
    assert len(set(uids)) == 1
    assert lab.names() == ["x"]
    with lab.database.read() as session:
        assert session.log.head() == 1


def test_who_only_saw_what_is_not_durable_yet_waits_for_it(lab):
    def second() -> str:
        lab.fails = StorageError("no")
        return lab.save("x")

    errors = lab.meet(lambda: lab.save("x"), second)
    assert [str(error) for error in errors] == ["no", "no"]
    assert lab.names() == []


def test_nobody_is_refused_on_account_of_what_was_not_recorded_in_the_end(lab):
    other = lab.save("other")

    def rename() -> None:
        lab.fails = StorageError("no")
        lab.handler.perform(ChangeRecord(registry="ulabel", uid=other, fields={"name": "taken"}))

    errors = lab.meet(lambda: lab.save("taken"), rename)
    assert [str(error) for error in errors] == ["no", "no"]
    assert lab.names() == ["other"]


def test_intents_of_one_run_that_meet_are_all_known_to_it(lab):
    lab.handler.track(PLAN, new_run=False, before=lambda _: {"transform": "T"})
    uids = lab.meet(*[lambda n=n: lab.save(f"label {n % 4}") for n in range(8)])
    lab.handler.finish("finished")
    with lab.database.read() as session:
        head = session.log.head()
    lab.handler.track(PLAN, new_run=False, before=lambda _: {"transform": "T"})
    assert [lab.save(f"label {n % 4}") for n in range(8)] == uids
    lab.handler.finish("finished")
    with lab.database.read() as session:
        assert session.log.head() == head


def test_a_batch_shares_nothing_with_those_before_and_after_it(lab):
    def batching() -> None:
        with lab.handler.batch():
            lab.save("in batch 1")
            lab.save("in batch 2")
            raise ZeroDivisionError

    _, failed, _ = lab.meet(lambda: lab.save("one"), batching, lambda: lab.save("two"))
    assert isinstance(failed, ZeroDivisionError)
    assert lab.names() == ["one", "two"]
    assert lab.committed == 2


def test_the_end_of_a_run_shares_nothing_with_what_is_saved_before(lab):
    lab.handler.track(PLAN, new_run=False, before=lambda _: {"transform": "T"})
    lab.meet(lambda: lab.save("one"), lambda: lab.handler.finish("finished"))
    assert lab.committed == 2
    assert lab.rows("run")[0]["status"] == "finished"


def test_an_interrupted_part_is_undone_alone(lab, spoiled):
    spoiled(raises(KeyboardInterrupt()))

    def interrupted() -> None:
        with pytest.raises(KeyboardInterrupt):
            lab.save("bad")

    lab.meet(lambda: lab.save("one"), interrupted, lambda: lab.save("two"))
    assert lab.names() == ["one", "two"]
    assert lab.committed == 1


@pytest.mark.parametrize("is_committed", [True, False])
def test_who_was_not_interrupted_at_the_commit_is_told_the_truth(lab, is_committed):
    """The thread that commits is interrupted, before or after the database has done it."""
    write = lab._write
    once = [True]

    @contextmanager
    def interrupted():
        if not once:
            with write() as session:
                yield session
            return
        once.clear()
        with write() as session:
            yield session
            if not is_committed:
                raise KeyboardInterrupt
        raise KeyboardInterrupt

    lab._write = interrupted

    def last() -> str:
        with pytest.raises(KeyboardInterrupt):
            lab.save("two")
        return "interrupted"

    one, _ = lab.meet(lambda: lab.save("one"), last)
    if is_committed:
        assert lab.names() == ["one", "two"]
        assert one == lab.rows()[0]["uid"]
    else:
        assert lab.names() == []
        assert isinstance(one, StorageError)
        assert "nothing was recorded" in str(one)
    lab.save("three")
    assert lab.names()[-1] == "three"


def test_who_is_interrupted_as_its_turn_comes_ends_what_is_shared(lab, monkeypatch):
    take = lab.handler.sessions._turns.take
    interrupted = threading.local()

    def taken(*args, **kwargs) -> bool:
        came = take(*args, **kwargs)
        if vars(interrupted):
            raise KeyboardInterrupt
        return came

    monkeypatch.setattr(lab.handler.sessions._turns, "take", taken)

    def waiting() -> None:
        interrupted.now = True
        with pytest.raises(KeyboardInterrupt):
            lab.save("never")

    one, _ = lab.meet(lambda: lab.save("one"), waiting)
    assert one == lab.rows()[0]["uid"]
    assert lab.names() == ["one"]
    assert take(0)


def test_a_transaction_that_the_database_undid_is_told_to_all_who_wrote_into_it(lab, spoiled):
    """As SQLite does at a full disk, and a server that closes the connection."""

    def undone(models) -> None:
        models._executor.execute("ROLLBACK", ())
        raise StorageError("undone; nothing was recorded")

    spoiled(undone)
    one, bad, two = lab.meet(
        lambda: lab.save("one"), lambda: lab.save("bad"), lambda: lab.save("two")
    )
    for error in (one, bad):
        assert isinstance(error, StorageError)
        assert "nothing was recorded" in str(error)
    assert two == lab.rows()[0]["uid"]
    assert lab.names() == ["two"]


def test_what_a_thread_asks_for_is_done_in_that_thread(lab):
    seen = {}
    perform = lab.handler._outside

    def watched(request, **kwargs):
        seen[request.command.name] = threading.get_ident()
        return perform(request, **kwargs)

    lab.handler._outside = watched
    own = {}

    def save(name: str) -> str:
        own[name] = threading.get_ident()
        assert not lab.handler.sessions.is_locking
        uid = lab.save(name)
        assert not lab.handler.sessions.is_locking
        return uid

    lab.meet(*[lambda n=n: save(f"label {n}") for n in range(3)])
    assert seen == own
