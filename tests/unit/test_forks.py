"""What a fork waits for, and when a signal that comes meanwhile is heard."""

from __future__ import annotations

import ast
import builtins
import importlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, SimpleNamespace

import pytest

import ledger
from ledger import forks
from tests.support.forking import in_child, with_threads

pytestmark = with_threads


class Heard(Exception):  # noqa: N818 (what a handler of a user raises)
    """A handler was called."""


def leave_a_child() -> None:
    """Fork, and have nothing happen in the child."""
    if not (child := os.fork()):
        os._exit(0)
    os.waitpid(child, 0)


class During:
    """Sends a signal during each fork, as long as it is there."""

    def __init__(self, number: int) -> None:
        self.number = number
        forks.wait_for_turn(self.send, self.go_on)

    def send(self) -> None:
        signal.raise_signal(self.number)

    def go_on(self) -> None:
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGALRM])
def test_a_signal_that_comes_during_a_fork_is_heard_once_the_fork_is_over(number):
    def hear(_: int, __: FrameType | None) -> None:
        raise Heard

    before = signal.signal(number, hear)
    try:
        during = During(number)
        for _ in range(2):
            with pytest.raises(Heard):
                leave_a_child()
        del during
        leave_a_child()  # nothing is left over of the signals
        assert signal.getsignal(number) is hear
    finally:
        signal.signal(number, before)


class PressedIn:
    """Presses the stop button at the k-th point of a function, where Python hears it."""

    def __init__(self, function: str, point: int) -> None:
        self.function = function
        self.left = point
        self.is_pressed = False

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if self.is_pressed or event not in {"call", "c_return"}:
            return
        if frame.f_code.co_name != self.function:
            return
        self.left -= 1
        if self.left < 0:
            self.is_pressed = True
            handler = signal.getsignal(signal.SIGINT)
            assert callable(handler)
            handler(signal.SIGINT, frame)


@pytest.mark.parametrize("function", ["_put_off_signals", "_listen_again"])
def test_the_stop_button_is_heard_at_each_line_that_hands_over_who_hears_it(function):
    handlers = {number: signal.getsignal(number) for number in forks._PUT_OFF}
    n_pressed = n_heard = 0
    for point in itertools.count():
        stop = PressedIn(function, point)
        sys.setprofile(stop)
        try:
            leave_a_child()
        except KeyboardInterrupt:
            n_heard += 1
        finally:
            sys.setprofile(None)
        if not stop.is_pressed:
            break
        n_pressed += 1
        assert {number: signal.getsignal(number) for number in handlers} == handlers
    assert n_pressed == n_heard > 3


GATE = "import builtins\nbuiltins.gate.begun.set()\nbuiltins.gate.go_on.wait()\n"


@pytest.fixture
def loading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[SimpleNamespace]:
    """Another thread is loading a module, and goes on once it is told to."""
    name = request.param
    (tmp_path / f"{name.rpartition('.')[2]}.py").write_text(GATE)
    monkeypatch.setattr(ledger, "__path__", [*ledger.__path__, str(tmp_path)])
    monkeypatch.syspath_prepend(tmp_path)
    gate = SimpleNamespace(begun=threading.Event(), go_on=threading.Event(), name=name)
    monkeypatch.setattr(builtins, "gate", gate, raising=False)
    gate.thread = threading.Thread(target=importlib.import_module, args=(name,))
    gate.thread.start()
    gate.begun.wait()
    yield gate
    gate.go_on.set()
    gate.thread.join()
    sys.modules.pop(name, None)
    vars(ledger).pop(name.rpartition(".")[2], None)


@pytest.mark.parametrize("loading", ["ledger.slow_to_load"], indirect=True)
def test_a_fork_waits_until_another_thread_has_loaded_a_module(loading, monkeypatch):
    """In the child its lock would be held for ever."""
    waited = []

    def look(_: float) -> None:
        waited.append(loading.go_on.is_set())
        loading.go_on.set()
        loading.thread.join()

    monkeypatch.setattr(forks, "time", SimpleNamespace(sleep=look, monotonic=lambda: 0.0))
    in_child(lambda: importlib.import_module(loading.name))
    assert waited == [False]


@pytest.mark.usefixtures("loading")
@pytest.mark.parametrize("loading", ["ledger.slow_to_load"], indirect=True)
def test_a_fork_gives_up_waiting_for_a_module(monkeypatch):
    times = iter([0.0, 1.0, forks.PATIENCE])
    monkeypatch.setattr(
        forks, "time", SimpleNamespace(sleep=lambda _: None, monotonic=times.__next__)
    )
    in_child(lambda: None)
    assert not list(times)


@pytest.mark.parametrize("loading", ["of_others_and_slow"], indirect=True)
def test_a_fork_waits_for_no_module_of_others(loading, monkeypatch):
    monkeypatch.setattr(forks, "time", SimpleNamespace(sleep=None, monotonic=lambda: 0.0))
    in_child(lambda: None)
    assert loading.thread.is_alive()


@pytest.mark.parametrize("loading", ["ledger.slow_to_load"], indirect=True)
def test_who_forks_within_a_module_waits_for_no_one(loading, monkeypatch):
    """The thread that forks is the one that loads it."""
    forked = threading.Event()

    class Loads:
        @property
        def begun(self) -> threading.Event:
            return threading.Event()

        @property
        def go_on(self) -> threading.Event:
            in_child(lambda: None)
            forked.set()
            return forked

    loading.go_on.set()
    loading.thread.join()
    sys.modules.pop(loading.name)
    monkeypatch.setattr(builtins, "gate", Loads())
    monkeypatch.setattr(forks, "time", SimpleNamespace(sleep=None, monotonic=lambda: 0.0))
    importlib.import_module(loading.name)
    assert forked.is_set()


def test_nobody_else_hooks_into_forks_in_the_parent():
    """A later hook in Python would hear, and lose, what is sent again for the parent."""
    found = {
        path.name
        for path in (*Path(ledger.__path__[0]).rglob("*.py"),)
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) == "os.register_at_fork"
        and any(it.arg == "after_in_parent" for it in call.keywords)
    }
    assert found == {"forks.py"}
