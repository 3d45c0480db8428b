"""One thread at a time, in order; nobody who gives up leaves a gap."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from ledger.engine.turns import Turns
from tests.support.patience import PATIENCE


def until(turns: Turns, n_waiting: int) -> None:
    """Wait until so many threads wait; a test that waits in vain fails."""
    for _ in range(int(PATIENCE * 1_000)):
        if turns.n_waiting == n_waiting:
            return
        threading.Event().wait(0.001)
    raise AssertionError(turns.n_waiting)


def test_turns_come_in_the_order_in_which_they_were_asked_for():
    turns, order = Turns(), []
    assert turns.take(PATIENCE)

    def wait(number: int) -> None:
        assert turns.take(PATIENCE)
        order.append(number)
        turns.let_go()

    with ThreadPoolExecutor(5) as pool:
        for number in range(5):
            pool.submit(wait, number)
            until(turns, number + 1)
        turns.let_go()
    assert order == [0, 1, 2, 3, 4]
    assert turns.take(0)


def test_a_turn_is_only_handed_over_to_somebody():
    turns = Turns()
    assert turns.take(PATIENCE)
    assert not turns.hand_over()
    assert turns.is_mine()


def test_who_runs_out_of_patience_is_passed_over():
    turns = Turns()
    assert turns.take(PATIENCE)
    with ThreadPoolExecutor(2) as pool:
        impatient = pool.submit(turns.take, 0.01)
        assert not impatient.result()
        patient = pool.submit(turns.take, PATIENCE)
        until(turns, 1)
        turns.let_go()
        assert patient.result()
    assert not turns.is_mine()


def test_a_turn_that_comes_as_patience_runs_out_is_taken(monkeypatch):
    turns = Turns()
    assert turns.take(PATIENCE)
    leave = turns.leave

    def late(mine) -> bool:
        turns.let_go()
        return leave(mine)

    monkeypatch.setattr(turns, "leave", late)
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(turns.take, 0.01).result()
    assert turns.n_waiting == 0
    assert not turns.is_mine()
