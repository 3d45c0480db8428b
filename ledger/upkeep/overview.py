"""A ledger at a glance: its names, places, counts and state."""

from __future__ import annotations

import datetime as dt

import msgspec

from ledger.engine.clocks import lead
from ledger.engine.database import FORMAT
from ledger.eventlog.postgres_health import ServerState
from ledger.model.schema import REGISTRIES
from ledger.model.times import now_micros, to_datetime
from ledger.places.config import Place
from ledger.places.databases import name_of, open_database, schema_of, size_of
from ledger.upkeep.doctor_server import Clock, clock, state
from ledger.upkeep.lag import lag
from ledger.version import program_version
from projections.select import Select


class About(msgspec.Struct, frozen=True, kw_only=True):
    """A ledger at a glance.

    Attributes:
        name: Name of the ledger.
        id: Random id, given once.
        root: Folder that holds `.metaledger/`.
        origin: Reason why this ledger is in use.
        storage: Place of its content.
        database: Path of its database.
        database_size: Bytes of the database, its write-ahead log included.
        head: Position of the last recorded event.
        lag: Number of the last events that the read models lack: 0, unless damaged.
        recorded_at: Time of the last event; None for an empty log.
        ahead: Seconds by which that is ahead of this computer's clock; 0.0 within a minute.
        counts: Records of each registry, without those in the trash.
        program: Version of this program.
        format: Format of the log.
        server: The server that holds the database, and the schema on it; None for a file.
        clock: Difference of the server's clock to this computer's; None for a file.
    """

    name: str
    id: str
    root: str
    origin: str
    storage: str
    database: str
    database_size: int
    head: int
    lag: int
    recorded_at: dt.datetime | None
    ahead: float
    counts: dict[str, int]
    program: str
    format: int
    server: ServerState | None
    clock: Clock | None


def about(place: Place) -> About:
    """Return a ledger at a glance, all of it as of one position.

    Raises:
        StorageError: Its database cannot be read.
    """
    configuration = place.configuration
    database = open_database(place)
    try:
        with database.read() as session:
            head, recorded_at = session.log.last()
            counts = {
                registry: session.models.count(Select(registry=registry, at=head))
                for registry in REGISTRIES
            }
            behind = lag(session).events
            schema = schema_of(place)
            server = None if schema is None else state(session, schema)
            difference = None if schema is None else clock(session)
        size = size_of(place, database)
    finally:
        database.close()
    return About(
        name=configuration.name,
        id=configuration.id,
        root=str(place.root),
        origin=place.origin,
        storage=place.storage_root,
        database=name_of(place),
        database_size=size,
        head=head,
        lag=behind,
        recorded_at=to_datetime(recorded_at) if head else None,
        ahead=lead(now_micros(), recorded_at) / 1e6,
        counts=counts,
        program=program_version(),
        format=FORMAT,
        server=server,
        clock=difference,
    )
