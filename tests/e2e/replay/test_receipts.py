"""The receipt of a pass says in words what it made."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.histories import artifact, label


def test_a_receipt_names_what_was_made_by_registry(bench, lab):
    def script(day):
        one = artifact(lab, f"one of {day}", "one.csv")
        artifact(lab, f"two of {day}", f"{day}/two.csv")
        ln.Collection([one], name="ones").save()
        one.labels.add(label("x"))

    with bench.passing():
        script("monday")
    assert ": 2 artifacts, 1 collection, 1 label; 5 intents" in bench.receipt
    with bench.passing():
        script("monday")
    assert ": nothing new; 5 intents (5 already recorded, 0 without effect), 0 new events" in (
        bench.receipt
    )
    with bench.passing():
        script("tuesday")
    assert ": 2 artifacts (1 new version), 1 collection (1 new version); 5 intents" in bench.receipt


def test_a_new_run_that_makes_no_record_says_so(bench):
    label("x")
    with bench.passing():
        label("x")
    assert ": no new record; 1 intent" in bench.receipt


def test_a_run_that_goes_on_counts_what_this_pass_made(bench):
    with bench.passing(ends="vanish"):
        label("one")
    with bench.passing():
        label("one")
        label("two")
        label("three")
    assert "continued run" in bench.receipt
    assert ": 2 labels; 3 intents" in bench.receipt


def test_what_a_batch_takes_back_is_not_counted(bench):
    with bench.passing():
        label("one")
        with pytest.raises(RuntimeError), ln.batch():  # noqa: PT012 (the batch is what fails)
            label("two")
            raise RuntimeError
    assert ": 1 label; 1 intent" in bench.receipt
