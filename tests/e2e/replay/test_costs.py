"""What a replay costs, counted in statements and not in seconds."""

from __future__ import annotations

from collections import Counter

import pytest

import ledger as ln
from projections.sql import sqlite as sqlite_models

# Statements are counted where they are heard: in the file's own library.
pytestmark = [
    pytest.mark.usefixtures("lab"),
    pytest.mark.parametrize("lab", ["sqlite"], indirect=True),
]

# So many in `make test`, and so many in `make test-all`: a cost that grows shows with either.
MANY = [500, pytest.param(10_000, marks=pytest.mark.slow)]


@pytest.fixture
def statements(monkeypatch):
    """Count what SQLite is told, by its first word, on connections opened from now on."""
    counts: Counter[str] = Counter()
    register = sqlite_models.register_functions

    def traced(connection):
        register(connection)
        connection.set_trace_callback(lambda text: counts.update([text.split()[0].upper()]))

    monkeypatch.setattr(sqlite_models, "register_functions", traced)
    ln.close()
    yield counts
    ln.close()


WRITES = {"INSERT", "UPDATE", "DELETE", "SAVEPOINT", "COMMIT"}


@pytest.mark.parametrize("many", MANY)
def test_replaying_many_saves_writes_nothing_and_asks_little(bench, statements, many):
    names = [f"label {number}" for number in range(many)]
    with bench.passing():
        ln.save([ln.ULabel(name) for name in names])
    statements.clear()
    with bench.passing() as again:
        for name in names:
            ln.ULabel(name).save()
    assert again == []
    assert f"{many:,} already recorded" in bench.receipt
    assert set(statements) == {"SELECT"}
    # One when it is constructed, none when it is saved; the rest is what the pass itself asks.
    assert many <= statements["SELECT"] <= many + 20


def test_replaying_what_is_saved_at_once_takes_no_lock(bench, statements):
    names = [f"label {number}" for number in range(100)]

    def script():
        with ln.batch():
            ln.save([ln.ULabel(name) for name in names])

    with bench.passing():
        script()
    statements.clear()
    with bench.passing():
        script()
    assert not WRITES & set(statements)


def test_a_confirmed_save_outside_a_run_writes_nothing(statements):
    ln.ULabel("x").save()
    statements.clear()
    ln.ULabel("x").save()
    assert not WRITES & set(statements)


def test_one_save_is_one_transaction_also_where_it_begins_a_fork(bench, statements):
    with bench.passing():
        ln.ULabel("x").save()
    with bench.passing():
        ln.ULabel("x").save()
        statements.clear()
        ln.ULabel("y").save()
        assert statements["COMMIT"] == 1
