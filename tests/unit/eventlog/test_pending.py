"""The log of a bulk writes what waits only for a question that what waits could answer."""

from __future__ import annotations

from ledger.eventlog.pending import PendingLog
from ledger.model.events import Draft
from ledger.model.ids import command_id, stream_id
from tests.support import builders as b
from tests.support.memory_log import MemoryLog


def test_a_question_about_another_command_writes_nothing():
    log = MemoryLog(lambda: 1)
    settled: list[int] = []
    pending = PendingLog(log, lambda: settled.append(1))
    event = b.label_created("a")
    asked, other = command_id(event.command), command_id(["b"])
    pending.append(asked, [Draft(stream=stream_id(event.command), event=event)])
    assert pending.command_entries(other) == []
    assert settled == []
    pending.command_entries(asked)
    assert settled == [1]
    pending.write()
    pending.wrote()
    pending.command_entries(asked)
    assert settled == [1]
