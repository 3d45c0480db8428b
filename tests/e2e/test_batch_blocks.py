"""A batch belongs to its block: what other code saves is never taken back with it, or swallowed."""

# ruff: noqa: PT012 (what is raised ends a batch, and the batch is what is tested)

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing.pool
import queue
import threading
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor

import pytest

import ledger as ln
from ledger.engine import waiting
from ledger.errors import CommandRejectedError, LedgerError
from ledger.upkeep.rebuild import rebuild
from tests.support.door import Interrupted, label, names

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setitem(ln.settings._values, "verbosity", "error")
    monkeypatch.setitem(ln.settings.creation._values, "search_names", False)  # noqa: FBT003 (the value)


def there() -> list[str]:
    return sorted(names(ln.ULabel.filter()))


def refused(name: str) -> None:
    """Claim that saving is refused at once, and that asking shows no batch of others."""
    with pytest.raises(CommandRejectedError, match="nothing was recorded"):
        label(name)


# --- tasks of asyncio -----------------------------------------------------------------------------


class Meeting:
    """Tasks that let each other go on at stated moments."""

    def __init__(self) -> None:
        self.moments: dict[str, asyncio.Event] = {}

    def _moment(self, name: str) -> asyncio.Event:
        return self.moments.setdefault(name, asyncio.Event())

    def reach(self, name: str) -> None:
        self._moment(name).set()

    async def until(self, name: str) -> None:
        await self._moment(name).wait()


@contextlib.asynccontextmanager
async def plainly():
    with ln.batch():
        yield


@contextlib.asynccontextmanager
async def awaiting():
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(ln.batch())
        yield


def test_a_batch_of_another_task_is_refused_and_takes_nothing_with_it():
    meeting = Meeting()

    async def good():
        with ln.batch():
            label("good 1")
            meeting.reach("opened")
            await meeting.until("refused")
            label("good 2")

    async def bad():
        await meeting.until("opened")
        with pytest.raises(CommandRejectedError, match="opened in good"), ln.batch():
            label("bad")
        refused("single")
        assert there() == []
        meeting.reach("refused")

    async def both():
        await asyncio.gather(good(), bad())

    asyncio.run(both())
    assert there() == ["good 1", "good 2"]


@pytest.mark.parametrize("fails", ["none", "the first", "the second"])
@pytest.mark.parametrize("batch", [ln.batch, awaiting], ids=["itself", "within another block"])
def test_tasks_wait_for_each_other_with_async_with(batch, fails):
    async def save(name: str):
        async with batch():
            for number in range(3):
                label(f"{name} {number}")
                await asyncio.sleep(0)
            if name == fails:
                raise Interrupted

    async def all_of_them():
        every = ["the first", "the second", "the third"]
        return await asyncio.gather(*map(save, every), return_exceptions=True)

    found = asyncio.run(all_of_them())
    whole = [it for it in ["the first", "the second", "the third"] if it != fails]
    assert there() == [f"{name} {number}" for name in whole for number in range(3)]
    assert [it for it in found if it is not None] == [it for it in found if type(it) is Interrupted]


def test_a_block_of_the_user_that_opens_a_batch_is_the_block():
    async def save():
        async with plainly():
            label("one")
            await asyncio.sleep(0)
            label("two")

    asyncio.run(save())
    with contextlib.ExitStack() as stack:
        stack.enter_context(ln.batch())
        label("three")
    assert there() == ["one", "three", "two"]


def test_a_task_that_waits_for_its_turn_can_be_cancelled():
    meeting = Meeting()

    async def long():
        async with ln.batch():
            label("long 1")
            meeting.reach("opened")
            await meeting.until("cancelled")
            label("long 2")

    async def waits():
        async with ln.batch():
            label("never")

    async def all_of_them():
        first = asyncio.create_task(long())
        await meeting.until("opened")
        second = asyncio.create_task(waits())
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        meeting.reach("cancelled")
        await first
        async with ln.batch():
            label("after")

    asyncio.run(all_of_them())
    assert there() == ["after", "long 1", "long 2"]


def test_a_task_that_is_cancelled_inside_its_batch_leaves_nothing():
    meeting = Meeting()

    async def cancelled():
        async with ln.batch():
            label("never")
            meeting.reach("opened")
            await meeting.until("never")

    async def both():
        task = asyncio.create_task(cancelled())
        await meeting.until("opened")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        label("after")

    asyncio.run(both())
    assert there() == ["after"]


async def _in_a_thread(deed):
    return await asyncio.to_thread(deed)


async def _in_an_executor(deed):
    return await asyncio.get_running_loop().run_in_executor(None, deed)


async def _in_a_task(deed):
    async def save():
        return deed()

    return await asyncio.create_task(save())


async def _in_a_task_with_a_batch(deed):
    async def save():
        async with ln.batch():
            deed()

    return await asyncio.create_task(save())


async def _in_a_gathering(deed):
    async def save():
        async with ln.batch():
            deed()

    return await asyncio.gather(save())


@pytest.mark.parametrize(
    "elsewhere",
    [_in_a_thread, _in_an_executor, _in_a_task, _in_a_task_with_a_batch, _in_a_gathering],
)
def test_what_a_batch_awaits_elsewhere_is_refused_at_once(elsewhere):
    async def save():
        async with ln.batch():
            label("one")
            with pytest.raises(CommandRejectedError, match="nothing was recorded"):
                await elsewhere(lambda: label("elsewhere"))
            label("two")

    asyncio.run(save())
    assert there() == ["one", "two"]


def test_a_task_begun_before_the_batch_that_awaits_it_is_refused():
    meeting = Meeting()

    async def other():
        await meeting.until("opened")
        async with ln.batch():
            label("never")

    async def save():
        task = asyncio.create_task(other())
        async with ln.batch():
            label("one")
            meeting.reach("opened")
            with pytest.raises(CommandRejectedError, match="nothing was recorded"):
                await task

    asyncio.run(save())
    assert there() == ["one"]


def test_what_a_batch_awaits_in_its_own_block_belongs_to_it():
    async def helper(name: str):
        await asyncio.sleep(0)
        label(name)
        with ln.batch():
            label(f"{name} within")

    async def save():
        async with ln.batch():
            await helper("one")
            await helper("two")
        with pytest.raises(Interrupted):
            async with ln.batch():
                await helper("three")
                raise Interrupted

    asyncio.run(save())
    assert there() == ["one", "one within", "two", "two within"]


def test_a_task_that_outlives_the_batch_it_was_begun_in_saves_as_any_other():
    meeting = Meeting()

    async def later():
        await meeting.until("ended")
        label("later")

    async def save():
        async with ln.batch():
            label("one")
            task = asyncio.create_task(later())
        meeting.reach("ended")
        await task

    asyncio.run(save())
    assert there() == ["later", "one"]


def test_tasks_within_a_plain_batch_belong_to_it_and_their_batches_are_parts():
    meeting = Meeting()

    async def part():
        with pytest.raises(Interrupted), ln.batch():
            label("never")
            meeting.reach("opened")
            await meeting.until("refused")
            raise Interrupted

    async def other():
        await meeting.until("opened")
        refused("while a part is open")
        with pytest.raises(CommandRejectedError):
            async with ln.batch():
                pass
        meeting.reach("refused")

    async def both():
        label("one")
        await asyncio.gather(part(), other())
        label("two")

    with ln.batch():
        asyncio.run(both())
    assert there() == ["one", "two"]


def test_a_decorated_coroutine_is_a_batch_and_a_generator_is_refused():
    @ln.batch()
    async def save(name: str):
        label(f"{name} 1")
        await asyncio.sleep(0)
        label(f"{name} 2")
        if name == "bad":
            raise Interrupted

    async def both():
        return await asyncio.gather(save("good"), save("bad"), return_exceptions=True)

    assert [type(it) for it in asyncio.run(both())] == [type(None), Interrupted]

    @ln.batch()
    def plain(name: str) -> str:
        return label(name).name

    assert plain("plain") == "plain"
    assert there() == ["good 1", "good 2", "plain"]

    def produce():
        yield

    with pytest.raises(CommandRejectedError, match="generator"):
        ln.batch()(produce)


# --- generators -----------------------------------------------------------------------------------


def produce(*own: str):
    with ln.batch():
        for name in own:
            label(name)
            yield name


@pytest.mark.parametrize("ends", ["goes on", "is closed", "is forgotten"])
def test_a_generator_in_a_batch_swallows_nothing_of_others(ends):
    producing = produce("own 1", "own 2")
    next(producing)
    refused("other")
    with pytest.raises(CommandRejectedError), ln.batch():
        pass
    assert there() == []
    if ends == "goes on":
        assert list(producing) == ["own 2"]
    elif ends == "is closed":
        producing.close()
    else:
        del producing
        gc.collect()
    label("other")
    assert set(there()) == {"other"} | ({"own 1", "own 2"} if ends == "goes on" else set())


def test_a_generator_that_is_gone_through_by_its_own_batch_is_a_part_of_it():
    with ln.batch():
        label("before")
        for name in produce("own 1", "own 2"):
            assert name in there()
        label("after")
    assert there() == ["after", "before", "own 1", "own 2"]


def test_a_batch_that_ends_around_an_open_one_records_nothing_and_says_so():
    with pytest.raises(CommandRejectedError, match="opened inside it in produce"), ln.batch():
        label("outer")
        producing = produce("own 1", "own 2")
        next(producing)
        refused("while the inner one is open")
    with pytest.raises(CommandRejectedError, match="ended before it"):
        next(producing)
    assert there() == []
    label("after")
    assert there() == ["after"]


def test_a_generator_whose_outer_batch_ended_hears_of_it_at_its_end_too():
    def silent():
        with ln.batch():
            label("inner")
            yield

    producing = silent()
    with pytest.raises(CommandRejectedError), ln.batch():
        next(producing)
    with pytest.raises(CommandRejectedError, match="ended before it"):
        next(producing)
    assert there() == []


def test_a_generator_may_go_on_in_another_thread():
    producing = produce("own 1", "own 2")
    next(producing)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(list, producing).result() == ["own 2"]
    label("after")
    assert there() == ["after", "own 1", "own 2"]


def test_records_beside_a_batch_are_as_they_were_when_it_fails():
    record = label("kept")
    record.description = "assigned"
    producing = produce("own")
    next(producing)
    with pytest.raises(CommandRejectedError):
        record.save()
    producing.close()
    assert record.description == "assigned"
    record.save()
    assert ln.ULabel.get(record.uid).description == "assigned"


def test_a_run_hears_nothing_of_a_batch_beside_which_its_script_goes_on():
    ln.track(key="t.py", new_run=True)
    label("before")
    producing = produce("own")
    next(producing)
    refused("other")
    with pytest.raises(CommandRejectedError):
        ln.finish()
    with pytest.raises(CommandRejectedError):
        label("own")
    producing.close()
    label("own")
    label("other")
    run = ln.context.run
    ln.finish()
    assert names(run.ulabels) == ["before", "own", "other"]


@pytest.mark.parametrize(
    "deed",
    [
        lambda: ln.save([ln.ULabel(name="a"), ln.ULabel(name="b")]),
        lambda: ln.erase(ln.ULabel.get(name="kept"), reason="asked for"),
        rebuild,
        lambda: ln.track(key="t.py"),
        lambda: ln.ULabel.get(name="kept").delete(),
    ],
    ids=["save", "erase", "rebuild", "track", "delete"],
)
def test_whatever_writes_is_refused_beside_a_batch(deed):
    label("kept")
    producing = produce("own")
    next(producing)
    with pytest.raises(CommandRejectedError):
        deed()
    producing.close()
    assert there() == ["kept"]


# --- threads --------------------------------------------------------------------------------------


def _by_joining(deed):
    found = []

    def tell() -> None:
        try:
            deed()
        except LedgerError as error:
            found.append(error)

    thread = threading.Thread(target=tell)
    thread.start()
    thread.join()
    raise found[0]


def _by_a_result(deed):
    with ThreadPoolExecutor(2) as pool:
        pool.submit(deed).result()


def _by_a_map(deed):
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: deed(), range(6)))


def _by_waiting(deed):
    with ThreadPoolExecutor(2) as pool:
        for done in futures.wait([pool.submit(deed) for _ in range(3)]).done:
            done.result()


def _as_completed(deed):
    with ThreadPoolExecutor(2) as pool:
        for done in futures.as_completed([pool.submit(deed) for _ in range(3)]):
            done.result()


def _by_another_pool(deed):
    with multiprocessing.pool.ThreadPool(2) as pool:
        pool.map(lambda _: deed(), range(3))


def _by_an_iterator(deed):
    with multiprocessing.pool.ThreadPool(2) as pool:
        next(pool.imap(lambda _: deed(), range(1)))


def _by_a_thread_between(deed):
    with ThreadPoolExecutor(2) as pool:
        pool.submit(lambda: pool.submit(deed).result()).result()


@pytest.mark.parametrize(
    "wait",
    [
        _by_joining,
        _by_a_result,
        _by_a_map,
        _by_waiting,
        _as_completed,
        _by_another_pool,
        _by_an_iterator,
        _by_a_thread_between,
    ],
)
def test_a_thread_for_which_a_batch_waits_is_refused_at_once(wait, monkeypatch):
    monkeypatch.setattr(waiting, "STANDSTILL", float("inf"))
    with ln.batch():
        label("one")
        with pytest.raises(CommandRejectedError, match="waits for this thread"):
            wait(lambda: label("of the pool"))
        label("two")
    assert there() == ["one", "two"]


def test_a_batch_that_waits_for_a_queue_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(waiting, "STANDSTILL", 0.0)
    results: queue.Queue[object] = queue.Queue()

    def work() -> None:
        try:
            label("of the thread")
        except LedgerError as error:
            results.put(error)

    with ln.batch():
        label("one")
        threading.Thread(target=work).start()
        assert isinstance(results.get(), CommandRejectedError)
    assert there() == ["one"]


def test_a_thread_waits_for_the_batch_of_a_task_and_asks_meanwhile():
    async def save(pool):
        async with ln.batch():
            label("one")
            waits = pool.submit(label, "of the thread")
            assert pool.submit(there).result() == []
            await asyncio.sleep(0)
            label("two")
        return waits

    with ThreadPoolExecutor(2) as pool:
        asyncio.run(save(pool)).result()
    assert there() == ["of the thread", "one", "two"]


def test_tasks_of_two_threads_take_turns():
    def run(name: str) -> None:
        async def save():
            for number in range(5):
                async with ln.batch():
                    label(f"{name} {number} a")
                    await asyncio.sleep(0)
                    label(f"{name} {number} b")

        asyncio.run(save())

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(run, ["x", "y", "z"]))
    positions = {it.name: it._row["created_position"] for it in ln.ULabel.filter()}
    assert len(positions) == 30
    for name, position in positions.items():
        if name.endswith("a"):
            assert positions[f"{name[:-1]}b"] == position + 1
