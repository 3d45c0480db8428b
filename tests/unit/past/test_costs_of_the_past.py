"""What a look back costs does not grow with what has happened: statements and reads are counted."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager

import pytest

from ledger.past.changes import diff, history
from ledger.past.lineage import lineage
from ledger.places.source import Source
from ledger.registries.artifact import Artifact
from ledger.registries.query import QuerySet
from ledger.registries.ulabel import ULabel
from projections.select import Select
from projections.sql.sqlite import SqliteModels, register_functions
from tests.support import builders as b
from tests.support.past import Past

LABEL = b.label_uid("x")


def chain(length):
    """Artifacts a0 → run → a1 → run → …, each labelled, the label renamed each time."""
    events = [b.label_created("x"), b.artifact_registered("a0", key="a0")]
    for n in range(1, length + 1):
        run, before, made = b.run_uid(n), b.artifact_uid(f"a{n - 1}"), b.artifact_uid(f"a{n}")
        events += [
            b.run_started(n),
            b.input_recorded(run, before, run=run),
            b.artifact_registered(f"a{n}", key=f"a{n}", run=run),
            b.link_added("artifact", made, "labels", LABEL, run=run),
            b.changed("ulabel", LABEL, name=f"x{n}"),
            b.run_finished(run, run=run),
        ]
    return b.log(*events)


class Counted:
    """A past in SQLite that counts statements."""

    def __init__(self, connection, length):
        self.statements = 0
        self.length = length
        self.past = Past(chain(length), SqliteModels(connection))
        connection.set_trace_callback(self._count)
        self.past.log.reads = 0

    def _count(self, _):
        self.statements += 1

    @property
    def half_way(self):
        return self.past.head() // 2


@contextmanager
def counted(length):
    connection = sqlite3.connect(":memory:", isolation_level=None)
    try:
        register_functions(connection)
        SqliteModels(connection).create()
        yield Counted(connection, length)
    finally:
        connection.close()


def record(counted, kind, uid, at=None):
    return query(counted, kind, at).filter(uid=uid).one()


def query(counted, kind, at):
    return QuerySet(kind, Source(counted.past, at), Select(registry=kind.registry))


def last_artifact(counted, at=None):
    name = f"a{counted.length}" if at is None else f"a{counted.length // 3}"
    return record(counted, Artifact, b.artifact_uid(name), at)


QUESTIONS = {
    "by uid": lambda it: record(it, ULabel, LABEL, it.half_way),
    "by name": lambda it: query(it, ULabel, it.half_way).get(name=_name_then(it)),
    "by key": lambda it: query(it, Artifact, it.half_way).get(key="a1"),
    "by label": lambda it: query(it, Artifact, it.half_way).filter(labels__uid=LABEL).count(),
    "ancestors": lambda it: lineage(last_artifact(it)).edges,
    "ancestors then": lambda it: lineage(last_artifact(it, it.half_way)).nodes,
    "descendants": lambda it: (
        lineage(record(it, Artifact, b.artifact_uid("a0")), direction="descendants").edges
    ),
    "two artifacts far": lambda it: lineage(last_artifact(it), depth=2).edges,
    "history": lambda it: history(it.past, record(it, ULabel, LABEL)._row),
    "difference": lambda it: diff(it.past, 0, it.past.head()),
}
READS_EVENTS = {"history", "difference"}


def _name_then(counted):
    return counted.past.models.find("ulabel", at=counted.half_way, uid=LABEL)[0]["name"]


@pytest.mark.parametrize("question", QUESTIONS)
def test_statements_do_not_grow_with_history(question):
    costs = []
    for length in (4, 60):
        with counted(length) as it:
            assert QUESTIONS[question](it) is not None
            costs.append((it.statements, it.past.log.reads))
    assert costs[0] == costs[1]
    assert 0 < costs[0][0] <= 12


@pytest.mark.parametrize("question", sorted(QUESTIONS.keys() - READS_EVENTS))
def test_an_as_of_query_reads_no_events(question):
    with counted(10) as it:
        QUESTIONS[question](it)
        assert it.past.log.reads == 0


def test_the_whole_lineage_is_one_statement():
    with counted(60) as it:
        start = last_artifact(it)
        it.statements = 0
        assert len(lineage(start).uids) == 121
        assert it.statements == 1
