"""A plan belongs to its block: it plans what the block saves, and takes no save from others."""

from __future__ import annotations

import asyncio
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import ledger as ln
from ledger.errors import CommandRejectedError
from ledger.tracking.plan import plan_script
from tests.support.door import label, names

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(autouse=True)
def quiet(monkeypatch):
    monkeypatch.setitem(ln.settings._values, "verbosity", "error")
    monkeypatch.setitem(ln.settings.creation._values, "search_names", False)  # noqa: FBT003 (the value)


def there() -> list[str]:
    return sorted(names(ln.ULabel.filter()))


def planned(plan) -> list[str]:
    return [event.event["fields"]["name"] for event in plan]


def test_a_plan_swallows_no_save_of_another_thread():
    label("kept")
    with ThreadPoolExecutor(1) as pool:
        with ln.plan() as plan:
            label("planned")
            with pytest.raises(CommandRejectedError, match="nothing was recorded"):
                pool.submit(label, "other").result()
            assert pool.submit(there).result() == ["kept"]
            assert there() == ["kept", "planned"]
        assert planned(plan) == ["planned"]
        pool.submit(label, "other").result()
    assert there() == ["kept", "other"]


def test_a_plan_of_a_task_swallows_no_save_of_another_task():
    async def both():
        opened, saved = asyncio.Event(), asyncio.Event()

        async def planning():
            with ln.plan() as plan:
                label("planned")
                opened.set()
                await saved.wait()
                await asyncio.to_thread(label, "planned in a thread")
                await asyncio.create_task(_label("planned in a task"))
            return plan

        async def saving():
            await opened.wait()
            label("other")
            with ln.batch():
                label("in a batch")
            ln.connect()
            assert there() == ["in a batch", "other"]
            with pytest.raises(CommandRejectedError, match="a plan is open"):
                ln.track(key="t.py")
            saved.set()

        return (await asyncio.gather(planning(), saving()))[0]

    found = asyncio.run(both())
    assert planned(found) == ["planned", "planned in a thread", "planned in a task"]
    assert there() == ["in a batch", "other"]


async def _label(name: str):
    label(name)


def test_a_plan_of_a_generator_swallows_no_save_beside_it():
    plans = []

    def planning():
        with ln.plan() as plan:
            plans.append(plan)
            label("planned 1")
            yield
            label("planned 2")

    going = planning()
    next(going)
    with pytest.raises(CommandRejectedError, match="a plan is open"):
        label("beside")
    assert there() == []
    assert list(going) == []
    label("beside")
    assert planned(plans[0]) == ["planned 1", "planned 2"]
    assert there() == ["beside"]


def test_plans_of_two_tasks_are_apart_and_leave_nothing_behind():
    async def planning(name: str, first: asyncio.Event, then: asyncio.Event):
        with ln.plan() as plan:
            label(f"{name} 1")
            first.set()
            await then.wait()
            label(f"{name} 2")
        return planned(plan)

    async def both():
        one, two = asyncio.Event(), asyncio.Event()
        return await asyncio.gather(planning("a", one, two), planning("b", two, one))

    assert asyncio.run(both()) == [["a 1", "a 2"], ["b 1", "b 2"]]
    assert there() == []
    assert "METALEDGER_URL" not in os.environ


def test_a_record_from_before_the_plan_is_not_saved_by_it():
    record = label("kept", description="before")
    record.description = "after"
    with ln.plan() as plan:
        with pytest.raises(CommandRejectedError, match="before the plan"):
            record.save()
        again = ln.ULabel.get(record.uid)
        again.description = "planned"
        again.save()
    assert len(plan) == 1
    assert ln.ULabel.get(record.uid).description == "before"
    record.save()
    assert ln.ULabel.get(record.uid).description == "after"


def test_what_a_plan_began_records_nothing_after_it():
    async def planning():
        ended = asyncio.Event()

        async def later():
            await ended.wait()
            label("late")

        with ln.plan():
            task = asyncio.create_task(later())
        ended.set()
        with pytest.raises(CommandRejectedError, match="a plan that is over"):
            await task

    asyncio.run(planning())
    label("after")
    assert there() == ["after"]


def test_threads_of_a_planned_script_are_planned():
    Path("pool.py").write_text(
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import ledger as ln\n"
        "with ThreadPoolExecutor(3) as pool:\n"
        "    list(pool.map(lambda n: ln.ULabel(name=f'{n}').save(), range(6)))\n"
    )
    begun, go_on, found = threading.Event(), threading.Event(), []

    def other() -> None:
        begun.set()
        go_on.wait()
        found.append(there())

    thread = threading.Thread(target=other)
    thread.start()
    begun.wait()
    plan = plan_script("pool.py")
    assert plan.error is None
    assert sorted(planned(plan)) == [f"{number}" for number in range(6)]
    go_on.set()
    thread.join()
    assert found == [[]]
    assert there() == []


def test_within_a_plan_another_ledger_is_refused(tmp_path, monkeypatch):
    other = tmp_path / "other"
    other.mkdir()
    with monkeypatch.context() as there:
        there.chdir(other)
        ln.init("storage")
    ln.connect()
    with ln.plan(), pytest.raises(CommandRejectedError, match="another ledger"):
        ln.connect(other)
