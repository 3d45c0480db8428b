"""Hints: said where they help, once, and never contradicted by the next line."""

from __future__ import annotations

import contextlib
import io

import pytest

import ledger as ln
from ledger.display import messages
from ledger.registries.base import NO_RUN
from tests.e2e.command import metaledger
from tests.support.door import file, label
from tests.support.histories import Lab


@pytest.fixture
def unsaid(here, monkeypatch):
    monkeypatch.setattr(messages, "_heard", {})
    ln.settings.verbosity = "hint"
    return here


def said(*names: str) -> str:
    with contextlib.redirect_stderr(io.StringIO()) as out:
        for name in names:
            label(name)
    return out.getvalue()


def test_a_save_outside_of_any_run_says_so_once(unsaid):  # noqa: ARG001 (the ledger)
    label("known")
    assert said("known").count(NO_RUN) == 0
    assert "ln.track()" in NO_RUN
    assert said("one", "two").count(NO_RUN) == 1
    assert said("three").count(NO_RUN) == 1
    ln.track(key="a.py")
    assert NO_RUN not in said("in a run")


def test_the_command_adds_without_a_run_and_says_nothing_of_it(unsaid):
    file("a.txt")
    assert "track()" not in metaledger(unsaid, "artifact", "add", "a.txt").err
    assert "track()" not in metaledger(unsaid, "label", "add", "a").err


def test_no_line_of_a_pass_contradicts_the_one_before(ledger_folder):
    lab = Lab(ledger_folder)
    lab.script("ln.ULabel(open('name.txt').read()).save()")
    lab.write("name.txt", "one")
    lab.run()
    lab.write("name.txt", "two")
    text = lab.run().said
    assert "known run: pass" in text
    assert "forked where it differed" in text
    assert "replay" not in text
    ln.close()
