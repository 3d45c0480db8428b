"""The suite that ships in eventsourcing, run on our recorders: nothing of it is left out."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from eventsourcing.tests.persistence import (
    AggregateRecorderTestCase,
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from ledger.eventlog import postgres_connections, postgres_log, sqlite_log
from ledger.eventlog.sqlite_connections import Datastore
from tests.support import memory_log
from tests.support.servers import new_schema

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eventsourcing.persistence import ApplicationRecorder, StoredEvent

_numbers = itertools.count()


class _Memory:
    """Recorders of the log in memory."""

    def create_recorder(self) -> ApplicationRecorder:
        return memory_log.Recorder()


class _Sqlite:
    """Recorders of the log in SQLite; each has a datastore of its own."""

    recorder_class: type[sqlite_log.Recorder] = sqlite_log.Recorder

    def create_recorder(self) -> ApplicationRecorder:
        store = Datastore(self.name(), is_new=True)
        self.addCleanup(store.close)
        recorder = self.recorder_class(store)
        recorder.create_table()
        return recorder


class _SqliteFile(_Sqlite):
    def name(self) -> str:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return str(Path(folder.name) / "log.sqlite3")


class _SqliteMemory(_Sqlite):
    def name(self) -> str:
        return f"file:suite-{next(_numbers)}?mode=memory&cache=shared"


class _Postgres:
    """Recorders of the log on a server; each has a schema of its own."""

    recorder_class: type[postgres_log.Recorder] = postgres_log.Recorder

    @pytest.fixture(autouse=True)
    def _on_a_server(self, postgres_url: str) -> None:
        self.server = postgres_url

    def create_recorder(self) -> ApplicationRecorder:
        store = postgres_connections.Datastore(self.enterContext(new_schema(self.server)))
        self.addCleanup(store.close)
        recorder = self.recorder_class(store)
        recorder.create_table()
        return recorder


class _WithoutPositions:
    """The suite for recorders without notifications expects that inserting tells no positions."""

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> None:
        super().insert_events(stored_events, **kwargs)


class _MemoryWithoutPositions(_WithoutPositions, memory_log.Recorder):
    pass


class _SqliteWithoutPositions(_WithoutPositions, sqlite_log.Recorder):
    pass


class _PostgresWithoutPositions(_WithoutPositions, postgres_log.Recorder):
    pass


class TestMemoryStreams(AggregateRecorderTestCase):
    def create_recorder(self) -> ApplicationRecorder:
        return _MemoryWithoutPositions()


class TestMemoryNotifications(_Memory, ApplicationRecorderTestCase):
    pass


class TestMemoryDoesNotInterleave(_Memory, NonInterleavingNotificationIDsBaseCase):
    pass


class TestSqliteFileStreams(_SqliteFile, AggregateRecorderTestCase):
    recorder_class = _SqliteWithoutPositions


class TestSqliteFileNotifications(_SqliteFile, ApplicationRecorderTestCase):
    pass


class TestSqliteFileDoesNotInterleave(_SqliteFile, NonInterleavingNotificationIDsBaseCase):
    pass


class TestSqliteMemoryStreams(_SqliteMemory, AggregateRecorderTestCase):
    recorder_class = _SqliteWithoutPositions


class TestSqliteMemoryNotifications(_SqliteMemory, ApplicationRecorderTestCase):
    pass


class TestSqliteMemoryDoesNotInterleave(_SqliteMemory, NonInterleavingNotificationIDsBaseCase):
    pass


class TestPostgresStreams(_Postgres, AggregateRecorderTestCase):
    recorder_class = _PostgresWithoutPositions


class TestPostgresNotifications(_Postgres, ApplicationRecorderTestCase):
    pass


class TestPostgresDoesNotInterleave(_Postgres, NonInterleavingNotificationIDsBaseCase):
    pass


# The base cases themselves are abstract; pytest must not collect them from this module.
del AggregateRecorderTestCase, ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
