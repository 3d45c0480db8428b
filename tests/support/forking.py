"""Children that are forked within a test: what they claim is claimed by the test."""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Callable

import pytest

from tests.support.patience import PATIENCE

# Later versions of Python warn of forking while there are threads: that is what is tested.
with_threads = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
_context = multiprocessing.get_context("fork")


def in_child(claim: Callable[[], object]) -> None:
    """Fork a child for a claim, which fails here where it fails there."""
    begun_in_child(claim)()


def begun_in_child(claim: Callable[[], object]) -> Callable[[], None]:
    """As `in_child`, and return what waits for the child and tells how it went."""
    own, others = _context.Pipe(duplex=False)

    def run() -> None:
        try:
            claim()
        except BaseException:  # noqa: BLE001 (whatever it is, it is told)
            others.send(traceback.format_exc())
            os._exit(1)
        os._exit(0)

    child = _context.Process(target=run)
    child.start()

    def end() -> None:
        child.join(PATIENCE)
        if child.is_alive():
            child.kill()
            child.join()
        assert child.exitcode == 0, own.recv() if child.exitcode == 1 else child.exitcode

    return end
