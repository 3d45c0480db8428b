"""A ledger on a server without a configuration here: its URL, its log and a variable replace one.

1. Id and name are those of the first event in the log.
2. New content goes to the storage that `METALEDGER_STORAGE` names, else to that of the newest
   content. A storage relative to somebody's configuration is unknown here: it has to be named.
3. The caches of this computer lie in the user's cache folder.
"""

from __future__ import annotations

import os
from pathlib import Path

from ledger.engine.database import Session
from ledger.errors import ConfigurationError, CorruptLogError
from ledger.eventlog.database_url import DatabaseUrl, parse
from ledger.input_files import named_path
from ledger.model.events import LedgerInitialized
from ledger.places.caches import required_cache_folder
from ledger.places.config import Configuration, Place
from ledger.places.databases import database_at, remember
from projections.select import Order, Select, Test

STORAGE_VARIABLE = "METALEDGER_STORAGE"


def joined(text: str, *, origin: str) -> Place:
    """Return the ledger at a URL such as `postgresql://host/database?schema=name`.

    Raises:
        ConfigurationError: The URL names no schema, or nothing names the storage.
        CorruptLogError: The schema holds no ledger.
        StorageError: The server cannot be reached, or refused.
        MissingDependencyError: The driver is not installed.
    """
    url = parse(text)
    remember(url)
    database = database_at(url)
    try:
        with database.read() as session:
            first = _first(session, url)
            named = os.environ.get(STORAGE_VARIABLE)
            storage = _from_here(named) if named else _storage(session, url)
    finally:
        database.close()
    return Place(
        root=required_cache_folder() / first.ledger,
        configuration=Configuration(
            id=first.ledger, name=first.name, storage=storage, database=str(url)
        ),
        origin=origin,
        is_joined=True,
    )


def _from_here(storage: str) -> str:
    """Return a storage in a form that colleagues in other folders find too."""
    return storage if "://" in storage else str(named_path(storage))


def _first(session: Session, url: DatabaseUrl) -> LedgerInitialized:
    events = session.log.read_batch(limit=1)
    if not events or not isinstance(events[0].event, LedgerInitialized):
        raise CorruptLogError(
            f"ledger database {url}: expected a log whose first event names the ledger, found "
            f"{'another event' if events else 'an empty one'}; 'metaledger init' may have been "
            "interrupted there"
        )
    return events[0].event


def _storage(session: Session, url: DatabaseUrl) -> str:
    rows = session.models.select(
        Select(
            registry="artifact",
            where=Test(("in_place",), "exact", value=False),
            order=(Order("created_at"),),
            reverse=True,
            limit=1,
            trash="with",
        )
    )
    if not rows:
        raise ConfigurationError(
            f"ledger {url}: it holds no content yet that would show its storage; name one: "
            f"{STORAGE_VARIABLE}=s3://bucket/prefix"
        )
    storage = str(rows[0]["storage"])
    if "://" not in storage and not Path(storage).is_absolute():
        raise ConfigurationError(
            f"ledger {url}: its content is in '{storage}' beside a configuration that is not here; "
            f"run from that folder, or name another storage: {STORAGE_VARIABLE}=s3://bucket/prefix"
        )
    return storage
