"""Changes that wait in memory answer as those that were made, and are written as the same rows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ledger.model.schema import REGISTRIES
from projections.fold import fold
from projections.pending import PendingModels
from projections.select import shown_row
from projections.tables import TABLES
from tests.property.strategies import finds, histories
from tests.support.builders import feed
from tests.support.memory_models import MemoryModels

STEPS = ("find", "find", "shown", "settle", "go back", "foresee")


def told(answer):
    """Tell True from 1, and the order of a row's columns."""
    return repr(answer)


@given(histories(), st.data())
def test_what_waits_is_found_as_if_it_were_written(empty, history, data):
    memory = MemoryModels()
    with empty() as database:
        pending = PendingModels(database, lambda: settle(pending))
        for recorded in history:
            feed(memory, [recorded])
            mark = pending.mark()
            changes = fold(recorded)
            pending.apply(recorded.position, changes)
            match data.draw(st.sampled_from(STEPS)):
                case "find":
                    table, arguments = data.draw(finds(head=recorded.position))
                    asked = {k: v for k, v in arguments.items() if k not in {"at", "ever"}}
                    assert told(pending.find(table, **asked)) == told(memory.find(table, **asked))
                case "shown":
                    uid = getattr(recorded.event, "uid", "none")
                    for registry in ("ulabel", "artifact", "collection", "run"):
                        select = shown_row(registry, uid)
                        assert told(pending.select(select)) == told(memory.select(select))
                case "settle":
                    settle(pending)
                case "foresee":
                    uid = getattr(recorded.event, "uid", "none")
                    pending.foresee([(it, {"uid": uid}) for it in REGISTRIES] * 2)
                case "go back":
                    again = pending.return_to(mark)
                    assert [change for _, change in again] == changes
                    pending.apply(recorded.position, changes)
        settle(pending)
        for table in TABLES:
            assert told(database.find(table, ever=True)) == told(memory.find(table, ever=True))


def settle(pending: PendingModels) -> None:
    pending.write()
    pending.wrote()
