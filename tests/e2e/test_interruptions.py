"""The stop button at every point of ordinary use: nothing stays taken, nothing is half recorded.

An interruption is delivered where Python delivers one: as a function begins, and as a call of C
returns. It reaches whatever handles the signal at that moment, with the frame that it comes to.
"""

from __future__ import annotations

import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.places.instance import current
from tests.support.stop_button import Stop

EVERY = 35  # a point of so many is tried, and all of them where there is time
MOST_POINTS = 20_000


@pytest.fixture(autouse=True)
def folder(ledger_folder: Path) -> Path:
    ln.init("storage")
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    ln.ULabel(name="warm up").save()
    return ledger_folder


def pressed(deed: Callable[[], object], point: int) -> tuple[bool, BaseException | None]:
    """Whether the point was reached, and how the deed ended."""
    stop = Stop(point)
    sys.setprofile(stop)
    try:
        deed()
    except KeyboardInterrupt as error:
        sys.setprofile(None)
        return stop.is_pressed, error
    finally:
        sys.setprofile(None)
    return stop.is_pressed, None


def save(name: str) -> None:
    ln.ULabel(name=name).save()


def batch(name: str) -> None:
    with ln.batch():
        save(f"{name}-1")
        save(f"{name}-2")


def ask(_: str) -> None:
    ln.ULabel.filter(name__contains="warm").all()


def inner_batch(name: str) -> None:
    with ln.batch():
        save(f"{name}-1")
        with ln.batch():
            save(f"{name}-2")


def names() -> set[str]:
    return {it.name for it in ln.ULabel.filter()}


def require_given_back() -> None:
    """Nothing is held: neither in this process nor in the database."""
    ledger = current()
    store, _ = ledger.database._open()
    assert not store.pool._in_use
    assert not store.pool._get_semaphore.locked()
    assert not store._writing.locked()
    assert ledger.sessions._turns._owner is None
    assert ledger.sessions._group is None
    assert not ledger.sessions.is_batching
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with closing(
        sqlite3.connect(ledger.place.database_path, timeout=0, isolation_level=None)
    ) as other:
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")


def sweep(deed: Callable[[str], None], step: int) -> int:
    kept = []  # tracebacks, as a notebook keeps them
    for point in range(0, MOST_POINTS, step):
        name = f"p{point}"
        was_pressed, error = pressed(lambda name=name: deed(name), point)
        kept.append(error)
        require_given_back()
        there = {it for it in names() if it == name or it.startswith(f"{name}-")}
        assert len(there) in {0, 1 if deed is save else 2}
        if error is None and deed is not ask:
            assert there
        if not was_pressed:
            return point
    raise AssertionError


@pytest.mark.parametrize("deed", [save, batch, inner_batch, ask])
def test_after_an_interruption_everything_is_given_back(deed):
    assert sweep(deed, EVERY)
    assert ln.audit().ok


@pytest.mark.slow
@pytest.mark.parametrize("deed", [save, batch, inner_batch, ask])
def test_after_an_interruption_at_every_point_everything_is_given_back(deed):
    assert sweep(deed, 1)
    assert ln.audit().ok


def test_an_interruption_of_the_block_of_a_batch_takes_it_back_at_once():
    with pytest.raises(KeyboardInterrupt), ln.batch():  # noqa: PT012 (a whole batch)
        save("within")
        signal.raise_signal(signal.SIGINT)
        pytest.fail("the block went on")
    require_given_back()
    assert names() == {"warm up"}


def test_an_alarm_that_raises_waits_like_the_stop_button():
    def ring(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, ring)
    try:
        for point in range(0, 400, EVERY):
            stop = Stop(point, signal.SIGALRM)
            sys.setprofile(stop)
            try:
                batch(f"p{point}")
            except TimeoutError:
                pass
            finally:
                sys.setprofile(None)
            require_given_back()
            assert signal.getsignal(signal.SIGALRM) is ring
    finally:
        signal.signal(signal.SIGALRM, before)


def test_a_handler_that_does_not_raise_changes_nothing():
    heard = []
    before = signal.signal(signal.SIGALRM, lambda *_: heard.append(1))
    try:
        for point in range(0, 500, EVERY):
            sys.setprofile(Stop(point, signal.SIGALRM))
            batch(f"p{point}")
            sys.setprofile(None)
            assert f"p{point}-2" in names()
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGALRM, before)
    assert len(heard) == len(range(0, 500, EVERY))


def test_threads_go_on_after_an_interruption_of_the_main_thread():
    pressed(lambda: batch("main"), 300)
    thread = threading.Thread(target=save, args=("of a thread",))
    thread.start()
    thread.join(timeout=30)
    assert "of a thread" in names()
