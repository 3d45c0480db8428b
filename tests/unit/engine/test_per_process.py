"""Opened once, by whoever needs it first; given back; opened again."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from ledger.engine.per_process import PerProcess
from tests.support.forking import in_child, with_threads


class Door:
    """Counts how often it was opened and closed."""

    def __init__(self) -> None:
        self.opened: list[object] = []
        self.closed: list[object] = []
        self.once = PerProcess(self._begin, self.closed.append)

    def _begin(self) -> object:
        self.opened.append(object())
        return self.opened[-1]


def test_threads_that_come_at_once_open_it_once():
    door, barrier = Door(), Barrier(4)

    def get() -> object:
        barrier.wait()
        return door.once.get()

    with ThreadPoolExecutor(4) as pool:
        found = {id(it.result()) for it in [pool.submit(get) for _ in range(4)]}
    assert len(door.opened) == len(found) == 1


def test_what_was_closed_is_opened_again():
    door = Door()
    first = door.once.get()
    door.once.close()
    door.once.close()
    assert door.closed == [first]
    assert not door.once.holds(first)
    assert door.once.get() is not first


@with_threads
def test_what_a_parent_opened_is_neither_used_nor_closed():
    door = Door()
    of_parent = door.once.get()

    def claim() -> None:
        own = door.once.get()
        assert own is not of_parent
        door.once.close()
        assert door.closed == [own]

    in_child(claim)
    assert door.once.get() is of_parent


@with_threads
def test_a_child_that_closes_first_leaves_its_parents_alone():
    door = Door()
    of_parent = door.once.get()

    def claim() -> None:
        door.once.close()
        assert door.closed == []
        assert door.once.get() is not of_parent

    in_child(claim)
