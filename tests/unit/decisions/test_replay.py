"""A passage alone: what it knows, what must come first, and how it goes back after a failure."""

from __future__ import annotations

import pytest

from ledger.decisions.replay import Case, NextStep, Passage

X, Y, Z = ["ulabel", "x"], ["ulabel", "y"], ["ulabel", "z"]
FILE = ["artifact", "md5", "hash", "digest", "key"]


def passed(*intents, case=Case.NEW):
    """A passage that had an effect at each of these (kind, subject, fields, outcome)."""
    passage = Passage(case, "R1")
    for kind, subject, fields, outcome in intents:
        passage.pass_effect(passage.intent(kind, subject, fields), outcome, 1)
    return passage


def known(*intents):
    """What a run knows after it."""
    return [it.noted for it in passed(*intents).passed]


def save(subject, outcome, **fields):
    return "save", subject, fields, outcome


def going_through(case, *intents):
    return Passage(case, "R1", known(*intents))


def meet(passage, subject, **fields):
    """Pass an intent that the run knows, and return its outcome."""
    intent = passage.intent("save", subject, fields)
    outcome = passage.recall(intent)
    assert outcome is not None
    passage.pass_known(intent, outcome)
    return outcome


# --- intents --------------------------------------------------------------------------------------


def test_equal_intents_are_told_apart_by_their_occurrence():
    passage = Passage(Case.NEW, "R1")
    keys = [passage.intent("save", X, {}).key for _ in range(3)]
    assert len(set(keys)) == 3
    assert passage.intent("save", X, {}).occurrence == 4


@pytest.mark.parametrize(
    "other", [("change", X, {}), ("save", Y, {}), ("save", X, {"description": None})]
)
def test_kind_subject_and_fields_each_make_another_intent(other):
    passage = Passage(Case.NEW, "R1")
    first, second = passage.intent("save", X, {}), passage.intent(*other)
    assert first.key != second.key
    assert second.occurrence == 1


def test_the_order_in_which_fields_were_assigned_makes_no_difference():
    passage = Passage(Case.NEW, "R1")
    passage.intent("save", X, {"a": 1, "b": 2})
    assert passage.intent("save", X, {"b": 2, "a": 1}).occurrence == 2


def test_an_intent_is_another_command_in_another_run():
    intent = Passage(Case.NEW, "R1").intent("save", X, {"a": 1})
    assert intent.identity("R1") == ["intent", "R1", "save", X, {"a": 1}, 1]
    assert intent.identity("R2") != intent.identity("R1")


# --- knowing --------------------------------------------------------------------------------------


def test_a_known_intent_has_its_recorded_outcome():
    passage = going_through(Case.REPLAY, save(X, "x1"), save(X, "x2"))
    assert [meet(passage, X) for _ in range(2)] == ["x1", "x2"]
    assert passage.recall(passage.intent("save", X, {})) is None
    assert (passage.n_intents, passage.n_known) == (3, 2)


def test_a_constructor_is_told_what_its_save_will_end_at():
    passage = going_through(Case.REPLAY, save(X, "x1", a=1), save(X, "x2", a=2))
    assert passage.recall_subject("save", X) == "x1"
    meet(passage, X, a=1)
    assert passage.recall_subject("save", X) == "x2"


def test_a_constructor_beyond_what_is_known_is_told_the_last_outcome():
    passage = going_through(Case.REPLAY, save(X, "x1"))
    meet(passage, X)
    assert passage.recall_subject("save", X) == "x1"
    assert passage.recall_subject("save", X, exactly=True) is None


@pytest.mark.parametrize("case", [Case.RESUMABLE, Case.CONTINUED])
def test_an_unfinished_run_tells_a_constructor_only_what_it_knows(case):
    passage = going_through(case, save(X, "x1"))
    assert passage.recall_subject("save", X) == "x1"
    meet(passage, X)
    assert passage.recall_subject("save", X) is None


@pytest.mark.parametrize("exactly", [False, True])
def test_a_constructor_of_something_else_is_told_nothing(exactly):
    passage = going_through(Case.REPLAY, save(X, "x1"))
    assert passage.recall_subject("save", Y, exactly=exactly) is None
    assert passage.recall_subject("save-new", X, exactly=exactly) is None


def test_what_a_run_was_told_twice_counts_once():
    twice = known(save(X, "x1")) * 2
    passage = Passage(Case.RESUMABLE, "R1", twice)
    assert passage.unpassed == 1
    meet(passage, X)
    assert passage.recall_subject("save", X, exactly=True) is None


# --- what must come first -------------------------------------------------------------------------


@pytest.mark.parametrize("case", [Case.NEW, Case.CONTINUED, Case.FORK])
def test_a_pass_with_a_run_of_its_own_just_records(case):
    passage = passed(save(X, "x1"), case=case)
    assert passage.is_own
    assert passage.step() is NextStep.NOTHING


def test_the_first_effect_in_a_replay_is_a_fork_even_after_everything_was_passed():
    passage = going_through(Case.REPLAY, save(X, "x1"))
    assert passage.step() is NextStep.FORK
    meet(passage, X)
    assert passage.step() is NextStep.FORK


def test_an_unfinished_run_is_continued_once_all_it_knows_was_passed():
    passage = going_through(Case.RESUMABLE, save(X, "x1"), save(Y, "y1"))
    meet(passage, Y)
    assert (passage.step(), passage.unpassed) == (NextStep.FORK, 1)
    meet(passage, X)
    assert (passage.step(), passage.unpassed) == (NextStep.RESUME, 0)
    passage.resume()
    assert (passage.case, passage.run, passage.n_events) == (Case.CONTINUED, "R1", 1)


def test_an_intent_without_effect_is_no_step_towards_continuing():
    passage = going_through(Case.RESUMABLE, save(X, "x1"))
    passage.pass_idle(passage.intent("save", Y, {}), "y1")
    assert passage.step() is NextStep.FORK


# --- intents without effect -----------------------------------------------------------------------


def test_an_intent_without_effect_travels_once():
    passage = Passage(Case.NEW, "R1")
    passage.pass_idle(passage.intent("save", X, {}), "x1")
    assert passage.take_pending() == (passage.passed[0].noted,)
    assert passage.take_pending() == ()
    assert passage.n_idle == 1


def test_a_replay_has_nothing_to_send_along():
    passage = Passage(Case.REPLAY, "R1")
    passage.pass_idle(passage.intent("save", X, {}), "x1")
    assert passage.take_pending() == ()


def test_what_an_unfinished_run_was_not_told_is_told_when_it_goes_on():
    passage = going_through(Case.RESUMABLE, save(X, "x1"))
    meet(passage, X)
    passage.pass_idle(passage.intent("save", Y, {}), "y1")
    assert passage.take_pending() == (passage.passed[1].noted,)


# --- forking --------------------------------------------------------------------------------------


def forked():
    passage = going_through(Case.REPLAY, save(X, "x1"), save(FILE, "a1"))
    meet(passage, X)
    passage.pass_idle(passage.intent("save", Z, {}), "z1")
    passage.fork("R2", 3)
    return passage


def test_a_fork_is_a_run_of_its_own():
    passage = forked()
    assert (passage.case, passage.run, passage.n_events, passage.unpassed) == (
        Case.FORK,
        "R2",
        3,
        0,
    )
    assert passage.step() is NextStep.NOTHING


def test_a_fork_knows_nothing_of_what_its_origin_did_beyond_it():
    passage = forked()
    assert passage.recall(passage.intent("save", FILE, {})) is None
    assert passage.recall_subject("save", FILE) is None
    assert passage.take_pending() == ()


def test_what_a_fork_does_counts_on():
    passage = forked()
    assert passage.intent("save", X, {}).occurrence == 2


def test_what_was_made_before_a_fork_is_made_again_by_it_once():
    passage = Passage(Case.REPLAY, "R1")
    for subject, outcome in ((FILE, "a1"), (X, "x1"), (FILE, "a1"), (FILE, "a2")):
        passage.pass_idle(passage.intent("save", subject, {}), outcome)
    passage.pass_idle(passage.intent("save-new", FILE, {}), "a3")
    passage.pass_idle(passage.intent("change", "a4", {}), "a4")
    assert passage.remade() == ["a1", "a2", "a3"]


def test_what_was_read_before_it_was_made_is_an_input_and_what_was_read_after_is_not():
    passage = Passage(Case.REPLAY, "R1")
    for kind, subject, outcome in (
        ("read", "a2", "a2"),
        ("read", "a1", "a1"),
        ("read", "a2", "a2"),
        ("save", FILE, "a1"),
        ("save", FILE, "a3"),
        ("read", "a3", "a3"),
    ):
        passage.pass_idle(passage.intent(kind, subject, {}), outcome)
    assert passage.inputs() == ["a2", "a1"]


# --- another process ------------------------------------------------------------------------------


def test_a_run_that_another_pass_advanced_is_gone_through_as_it_is_now():
    passage = going_through(Case.RESUMABLE, save(X, "x1"))
    meet(passage, X)
    passage.pass_idle(passage.intent("save", Y, {}), "y1")
    passage.rebase(Case.RESUMABLE, "R1", known(save(X, "x1"), save(Y, "y1"), save(Z, "z1")))
    assert (passage.unpassed, passage.step()) == (1, NextStep.FORK)
    assert passage.take_pending() == ()
    assert meet(passage, Z) == "z1"
    assert passage.step() is NextStep.RESUME


def test_what_the_advanced_run_does_not_know_yet_still_travels():
    passage = going_through(Case.RESUMABLE, save(X, "x1"))
    meet(passage, X)
    passage.pass_idle(passage.intent("save", Y, {}), "y1")
    passage.rebase(Case.RESUMABLE, "R1", known(save(X, "x1")))
    assert passage.take_pending() == (passage.passed[1].noted,)


def test_a_run_that_another_pass_finished_is_only_replayed():
    passage = going_through(Case.RESUMABLE, save(X, "x1"))
    meet(passage, X)
    passage.rebase(Case.REPLAY, "R1", known(save(X, "x1")))
    assert passage.step() is NextStep.FORK


@pytest.mark.parametrize("case", [Case.NEW, Case.CONTINUED, Case.FORK])
def test_a_run_that_another_pass_took_elsewhere_is_left_to_it(case):
    passage = passed(save(X, "x1"), case=case)
    passage.hear(known(save(X, "x1"), save(Y, "y1")))
    assert (passage.step(), passage.unpassed) == (NextStep.FORK, 1)


@pytest.mark.parametrize("case", [Case.NEW, Case.CONTINUED, Case.FORK])
def test_a_run_in_which_another_pass_is_behind_goes_on(case):
    passage = passed(save(X, "x1"), save(Y, "y1"), case=case)
    passage.hear(known(save(X, "x1")))
    assert passage.step() is NextStep.NOTHING


# --- failing --------------------------------------------------------------------------------------


def state(passage):
    return {
        name: value.copy() if hasattr(value, "copy") else value
        for name, value in vars(passage).items()
        if name not in {"_counts", "_subject_counts", "_counted"}
    }


@pytest.mark.parametrize("case", [Case.NEW, Case.REPLAY, Case.RESUMABLE, Case.CONTINUED])
@pytest.mark.parametrize(
    "what", ["known", "idle", "effect", "take", "rebase", "resume", "hear", "fork"]
)
def test_whatever_failed_a_passage_stands_where_it_stood(case, what):
    passage = going_through(case, save(X, "x1"), save(Y, "y1"))
    meet(passage, X)
    passage.pass_idle(passage.intent("save", Z, {}), "z1")
    before, mark = state(passage), passage.mark()
    if what == "known":
        meet(passage, Y)
    elif what == "idle":
        passage.pass_idle(passage.intent("save", Z, {}), "z1")
    elif what == "effect":
        passage.pass_effect(passage.intent("save", Z, {}), "z1", 1)
    elif what == "take":
        passage.take_pending()
        passage.pass_idle(passage.intent("save", Z, {}), "z1")
    elif what == "rebase":
        passage.rebase(Case.REPLAY, "R2", known(save(Z, "z2")))
    elif what == "hear":
        passage.hear(known(save(Z, "z2", a=1)))
        passage.heard = 7
    elif what == "resume":
        passage.resume()
    else:
        passage.fork("R2", 2)
        passage.pass_idle(passage.intent("save", Y, {}), "y1")
    assert state(passage) != before
    passage.return_to(mark)
    assert state(passage) == before


def test_an_intent_that_failed_stays_counted():
    passage = Passage(Case.NEW, "R1")
    mark = passage.mark()
    passage.intent("save", X, {})
    passage.return_to(mark)
    assert passage.intent("save", X, {}).occurrence == 2
    assert passage.n_intents == 2


# --- a batch that fails ---------------------------------------------------------------------------


def test_numbers_given_back_are_given_again():
    passage = Passage(Case.NEW, "R1")
    first = passage.intent("save", X, {})
    before = passage.n_intents
    second = [passage.intent("save", X, {}), passage.intent("save", Y, {"a": 1})]
    passage.give_back(before)
    assert passage.n_intents == 1
    again = [passage.intent("save", X, {}), passage.intent("save", Y, {"a": 1})]
    assert again == second
    assert first.occurrence == 1


def test_a_known_intent_whose_number_was_given_back_is_passed_by_its_next_equal():
    passage = going_through(Case.RESUMABLE, save(X, "x1"), save(Y, "y1"))
    meet(passage, X)
    mark, before = passage.mark(), passage.n_intents
    meet(passage, Y)
    passage.return_to(mark)
    passage.give_back(before)
    assert (passage.step(), passage.unpassed) == (NextStep.FORK, 1)
    assert meet(passage, Y) == "y1"
    assert passage.step() is NextStep.RESUME


def test_a_constructor_after_numbers_were_given_back_is_told_the_same_outcome_again():
    passage = going_through(Case.RESUMABLE, save(X, "x1"), save(X, "x2"))
    before = passage.n_intents
    meet(passage, X)
    passage.give_back(before)
    assert passage.recall_subject("save", X, exactly=True) == "x1"


def test_numbers_are_given_back_as_often_as_a_batch_within_a_batch_fails():
    passage = Passage(Case.NEW, "R1")
    outer = passage.n_intents
    passage.intent("save", X, {})
    inner = passage.n_intents
    passage.intent("save", X, {})
    passage.give_back(inner)
    assert passage.intent("save", X, {}).occurrence == 2
    passage.give_back(outer)
    assert passage.n_intents == 0
    assert passage.intent("save", X, {}).occurrence == 1


def test_a_fork_within_a_batch_that_fails_counts_as_its_origin_did():
    passage = going_through(Case.REPLAY, save(X, "x1"), save(Y, "y1"))
    meet(passage, X)
    mark, before = passage.mark(), passage.n_intents
    passage.intent("save", Y, {"a": 1})
    passage.fork("R2", 1)
    passage.intent("save", Y, {})
    passage.return_to(mark)
    passage.give_back(before)
    assert (passage.case, passage.run) == (Case.REPLAY, "R1")
    assert meet(passage, Y) == "y1"
