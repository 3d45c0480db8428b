"""Whatever happened and whoever is erased: the tables are what folding the log anew makes of it."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ledger.decisions.facts import Stamp
from ledger.engine.postgres_database import PostgresDatabase
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.eventlog.base import decode
from ledger.eventlog.entry import Envelope, leaf_of, seal
from ledger.model.events import EntriesErased
from ledger.model.ids import Position, command_id
from ledger.model.payloads import to_payload
from ledger.model.schema import ERASED, REGISTRIES
from ledger.model.typed_events import RegistryDefined
from ledger.upkeep.erasure import Erasure
from projections.fold import fold
from projections.tables import TABLES
from tests.property.strategies import histories
from tests.support.builders import EPOCH
from tests.support.memory_database import MemoryDatabase
from tests.support.memory_models import MemoryModels
from tests.support.story import STORY


def told(database, history):
    """Have a history recorded, whoever its commands were."""
    with database.write() as session:
        for recorded in history:
            recorded = with_displaced(recorded, session.models)  # noqa: PLW2901 (as a ledger has it)
            envelope = Envelope(
                position=Position(recorded.position),
                recorded_at=recorded.recorded_at,
                stream=recorded.stream,
                version=recorded.version,
                tag=recorded.event.__struct_config__.tag,
                command_id=command_id(["told", recorded.position]),
                number=recorded.number,
                format=2,
            )
            session.log.adopt([seal(envelope, to_payload(recorded.event))])
            session.models.apply(recorded.position, fold(recorded))


def with_displaced(recorded, models):
    """Return an event of a history with what the ledger that records it knows of its key."""
    event = recorded.event
    if getattr(event, "key", None) is None or not hasattr(event, "displaced"):
        return recorded
    rows = models.find("artifact_key", key=event.key)
    displaced = rows[0]["from_position"] if rows else None
    return msgspec.structs.replace(
        recorded, event=msgspec.structs.replace(event, displaced=displaced)
    )


def erase(database, uid):
    with database.write() as session:
        return Erasure(SimpleNamespace(store=None), session, uid).carry_out(
            session, "a request", Stamp(at=EPOCH, actor="ada", run=None)
        )


def rows_of(models, table):
    return models.find(table, ever=True)


def folded_anew(log):
    models = MemoryModels()
    for recorded in log.read():
        models.apply(recorded.position, fold(recorded))
    return models


def claim_rows_and_log_agree(session):
    anew = folded_anew(session.log)
    for table in TABLES:
        assert rows_of(session.models, table) == rows_of(anew, table), table


def uids_of(history):
    """Return the records that a history creates; what defines a registry is no record."""
    return sorted(
        {
            it.event.uid
            for it in history
            if getattr(it.event, "natural", None) is not None
            and not isinstance(it.event, RegistryDefined)
        }
    )


def claim_erased(session, uid, leaves):
    """Claim that nothing is left of a record but what its kept parts say, and that hashes stay."""
    registry = Erasure(SimpleNamespace(), session, uid).registry
    assert session.models.find(registry, uid=uid)[0]["state"] == ERASED
    kept = {field.name for field in REGISTRIES[registry].fields if field.is_kept}
    for row in rows_of(session.models, registry):
        if row["uid"] != uid:
            continue
        for field in REGISTRIES[registry].fields:
            if field.name not in kept and not field.is_virtual:
                assert row[field.name] in (None, f"[erased {uid}]", 0, "", "{}", "[]"), field.name
    assert not rows_of(session.models, "artifact_key") or all(
        row["uid"] != uid for row in rows_of(session.models, "artifact_key")
    )
    entries = session.log.entries(limit=10_000)
    assert [it.leaf for it in entries][: len(leaves)] == leaves
    for entry in entries:
        assert leaf_of(entry.envelope, entry.payload, entry.salt) == entry.leaf
        assert decode(entry).is_erased == entry.is_erased


def without_content(history):
    """Return a history whose artifacts lie in place: no storage is needed to erase them."""
    return [
        msgspec.structs.replace(it, event=msgspec.structs.replace(it.event, in_place=True))
        if hasattr(it.event, "in_place")
        else it
        for it in history
    ]


@given(histories(), st.data())
def test_erased_rows_are_what_the_kept_parts_fold_into(history, data):
    history = without_content(history)
    database = MemoryDatabase(lambda: EPOCH)
    told(database, history)
    order = data.draw(st.permutations(uids_of(history)))
    for uid in order:
        with database.read() as session:
            leaves = [it.leaf for it in session.log.entries(limit=10_000)]
        done = erase(database, uid)
        with database.read() as session:
            claim_rows_and_log_agree(session)
            claim_erased(session, uid, leaves)
            last = decode(session.log.entries(limit=10_000)[-1])
            assert isinstance(last.event, EntriesErased)
            assert last.event.entries == done.entries
        assert erase(database, uid).position is None


def test_the_databases_erase_as_memory_does(tmp_path, postgres):
    history = without_content(STORY)
    stores = [
        MemoryDatabase(lambda: EPOCH),
        SqliteDatabase.create(tmp_path / "ledger.db", lambda: EPOCH),
        PostgresDatabase.create(postgres, lambda: EPOCH),
    ]
    try:
        for database in stores:
            told(database, history)
        for uid in uids_of(history):
            done = {erase(database, uid) for database in stores}
            assert len(done) == 1
            tables = []
            for database in stores:
                with database.read() as session:
                    claim_rows_and_log_agree(session)
                    tables.append({table: rows_of(session.models, table) for table in TABLES})
            assert tables[0] == tables[1] == tables[2]
        assert all(database.scrub() for database in stores)
    finally:
        for database in stores:
            database.close()
