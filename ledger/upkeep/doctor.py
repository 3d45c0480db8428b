"""The faults around a ledger as findings, and the removal of orphans.

1. An examination changes nothing. A check that fails lets the others go on.
2. An orphan is content that no event names, or the remainder of an interrupted step: a temporary,
   an upload in parts, a database that `init` did not finish. Content is known by its name alone,
   as the storage of a moved ledger has another path. Nothing else in a storage is ever removed.
3. Young orphans stay: a writer stores content before its event is recorded.
4. Orphans are removed under the append lock, after a second look. A writer that meant to use an
   orphan as its content stores the content again when its turn comes.
5. Content of others stays: where the mark of another ledger, or of another copy of this one, is in
   a storage (`places/marks.py`), or where content is younger than the last event here. A copy that
   was restored does not know what the living ledger has stored since.

The audit, not this module, looks for contradictions in the log.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ledger import files
from ledger.content.filesystem import network_filesystem
from ledger.content.located import stored_name
from ledger.content.store import FOLDER, StoredItem
from ledger.engine.clocks import ahead, lead
from ledger.engine.database import Session, WriteSession
from ledger.errors import LedgerError
from ledger.eventlog.sqlite_evidence import OBJECTS, header_faults, schema_faults
from ledger.eventlog.sqlite_log import SqliteReader
from ledger.model.events import RecordWithdrawn
from ledger.model.ids import StreamId
from ledger.model.merkle import Frontier
from ledger.model.schema import ARTIFACT, WITHDRAWN
from ledger.places import config
from ledger.places.databases import is_on_server, schema_of
from ledger.places.instance import Ledger
from ledger.proving.keys import KeyRing
from ledger.proving.notes import read_checkpoint, read_note
from ledger.proving.publication import newest_known
from ledger.upkeep.doctor_content import DoctorFinding, Row, artifacts, contents, storages
from ledger.upkeep.doctor_server import examine_server
from ledger.upkeep.lag import lag

ORPHAN_AGE = 3_600.0  # seconds: a younger one may belong to an upload under way

_ASIDE = ".new-"  # prefix of the folder in which `init` makes a database
_CONTENT_NAME = re.compile(rf"[0-9A-Za-z]{{{ARTIFACT.uid_length + 4}}}(\..*)?", re.DOTALL)


class Orphan(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a storage that belongs to no artifact."""

    storage: str
    name: str
    size: int
    age: float | None
    is_temporary: bool
    claimed_by: str | None = None

    @property
    def is_old(self) -> bool:
        """Whether no running writer can own it."""
        return self.age is not None and self.age >= ORPHAN_AGE

    @property
    def is_removable(self) -> bool:
        """Whether nobody can need it: no running writer, and no other ledger."""
        return self.is_old and self.claimed_by is None


def examine(
    ledger: Ledger, *, content: bool = False, now: float | None = None
) -> list[DoctorFinding]:
    """Return everything that needs attention; an empty list is good news.

    Args:
        ledger: The ledger.
        content: Whether to read every stored byte and compare it with its digest.
        now: Moment for measuring ages, in seconds since the epoch; by default the present.
    """
    moment = time.time() if now is None else now
    checks: list[tuple[str, Callable[[], Iterator[DoctorFinding]]]] = [
        ("file system", lambda: _file_systems(ledger)),
        ("database", lambda: _database(ledger)),
        ("checkpoints", lambda: _checkpoints(ledger)),
        ("read models", lambda: _read_models(ledger)),
        ("clock", lambda: _clock(ledger)),
        ("content", lambda: contents(ledger, read_all=content)),
        ("orphans", lambda: _orphan_findings(ledger, moment)),
        ("hash cache", lambda: _hash_cache(ledger)),
    ]
    found: list[DoctorFinding] = []
    for subject, check in checks:
        try:
            found += check()
        except LedgerError as error:
            found.append(
                DoctorFinding(
                    kind="unreadable",
                    severity="error",
                    subject=subject,
                    message=f"{subject}: could not be looked at: {error}",
                    details={"code": error.code},
                )
            )
    return found


def orphans(ledger: Ledger, *, now: float | None = None) -> list[Orphan]:
    """Return all orphans, young or old.

    Raises:
        StorageError: A storage or the database cannot be read.
    """
    moment = time.time() if now is None else now
    with ledger.reading() as session:
        known = storages(ledger, session)
    # The storages first: content that an event names meanwhile is then no orphan.
    listed = _listed(ledger, known)
    with ledger.reading() as session:
        return _orphans_among(ledger, session, listed, moment)


def remove_orphans(ledger: Ledger, *, now: float | None = None) -> list[Orphan]:
    """Remove the orphans that no running writer can own, and return them.

    Other writers wait while this holds the append lock.

    Raises:
        StorageError: A storage or the database refused; earlier removals stay.
    """
    moment = time.time() if now is None else now
    removed = []
    with ledger.writing() as session:
        listed = _listed(ledger, storages(ledger, session))
        for orphan in _orphans_among(ledger, session, listed, moment):
            if orphan.is_removable:
                _remove(ledger, orphan)
                removed.append(orphan)
    return removed


# --- orphans ------------------------------------------------------------------------------------


def _listed(ledger: Ledger, known: list[str]) -> list[tuple[str, StoredItem]]:
    """Return every item of the known storages, and temporaries of the ledger's own folder."""
    listed = [(root, item) for root in known for item in ledger.store(root).list()]
    own = ledger.place.folder
    # A store lists its own temporaries, but no folder in which a ledger is made.
    prefixes = [_ASIDE] if _is_own_storage(ledger) else [files.TEMPORARY_PREFIX, _ASIDE]
    return listed + [
        (str(own), StoredItem(name=path.name, size=0, is_temporary=True, modified=_newest(path)))
        for prefix in prefixes
        for path in own.glob(f"{prefix}*")
    ]


def _orphans_among(
    ledger: Ledger,
    session: Session | WriteSession,
    listed: list[tuple[str, StoredItem]],
    now: float,
) -> list[Orphan]:
    candidates = [
        (storage, item)
        for storage, item in listed
        if item.is_temporary or _CONTENT_NAME.fullmatch(item.name)
    ]
    if not candidates:
        return []
    wanted: set[str | None] = {item.name for _, item in candidates}
    named = wanted & {stored_name(row) for row in artifacts(session)}
    for row in session.models.find("artifact", state=WITHDRAWN):
        name = stored_name(row)
        if name in wanted - named and not _is_content_removed(session, row):
            named.add(name)
    claims = _Claims(ledger, session.log.last()[1])
    return [
        Orphan(
            storage=storage,
            name=item.name,
            size=item.size,
            age=_age(ledger, storage, item, now),
            is_temporary=item.is_temporary,
            claimed_by=None if item.is_temporary else claims(storage, item.modified),
        )
        for storage, item in sorted(candidates, key=lambda pair: pair[1].name)
        if item.is_temporary or item.name not in named
    ]


class _Claims:
    """The reasons why content that no event names here may be needed by others."""

    def __init__(self, ledger: Ledger, last: int) -> None:
        self._ledger = ledger
        self._last = last / 1e6
        self._others: dict[str, str | None] = {}

    def __call__(self, storage: str, modified: float | None) -> str | None:
        if storage not in self._others:
            others = sorted(self._ledger.marks.of_others(storage).values())
            self._others[storage] = None
            if others:
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                self._others[storage] = (
                    f"{others[0]}{more} uses this storage too; where those are gone for good, "
                    "'metaledger doctor --alone' says so"
                )
        if self._others[storage] is None and modified is not None and modified > self._last:
            return (
                "it is younger than the last event here, so that another copy of this ledger may "
                "have stored it; after the next event it can be removed"
            )
        return self._others[storage]


def forget_others(ledger: Ledger) -> list[str]:
    """Forget other ledgers and copies that have used the storages; return them in words.

    Raises:
        StorageError: A storage or the database refused.
    """
    with ledger.reading() as session:
        known = storages(ledger, session)
    return [shown for root in known for shown in ledger.marks.forget_others(root)]


def _is_content_removed(session: Session | WriteSession, row: Row) -> bool:
    """Return whether a withdrawn artifact's content was to be removed with it."""
    return any(
        isinstance(recorded.event, RecordWithdrawn) and recorded.event.content_removed
        for recorded in session.log.stream(StreamId(row["stream"]))
    )


def _age(ledger: Ledger, storage: str, item: StoredItem, now: float) -> float | None:
    modified = item.modified
    if item.is_temporary and "://" not in storage:
        # The time of a folder does not change while a large file in it is written.
        folder = ledger.place.folder if storage == str(ledger.place.folder) else None
        modified = _newest((folder or Path(storage) / FOLDER) / item.name)
    return None if modified is None else now - modified


def _newest(path: Path) -> float | None:
    """Return the latest time of change at or below a path; None where it is gone."""
    try:
        return max(
            [path.lstat().st_mtime]
            + ([below.lstat().st_mtime for below in path.rglob("*")] if path.is_dir() else [])
        )
    except OSError:
        return None


def _remove(ledger: Ledger, orphan: Orphan) -> None:
    if orphan.storage == str(ledger.place.folder):
        files.remove_durably(ledger.place.folder / orphan.name)
    else:
        ledger.store(orphan.storage).remove(orphan.name)


def _is_own_storage(ledger: Ledger) -> bool:
    """Return whether content lies in the folder of the ledger itself."""
    if "://" in ledger.storage:
        return False
    return ledger.place.folder.resolve() == (Path(ledger.storage) / FOLDER).resolve()


def _orphan_findings(ledger: Ledger, now: float) -> Iterator[DoctorFinding]:
    for orphan in orphans(ledger, now=now):
        what = "left behind by an interrupted step" if orphan.is_temporary else "no event names it"
        way_out = "'metaledger doctor --remove-orphans' removes it"
        if orphan.claimed_by is not None:
            way_out = f"it is left alone: {orphan.claimed_by}"
        elif not orphan.is_old:
            way_out = "it is young, a running writer may own it: look again in an hour"
        yield DoctorFinding(
            kind="orphan",
            severity="warning" if orphan.is_removable else "info",
            subject=orphan.name,
            message=f"{orphan.storage}: {orphan.name} ({orphan.size:,} bytes): {what}; {way_out}",
            details={
                "storage": orphan.storage,
                "size": orphan.size,
                "age": orphan.age,
                "is_old": orphan.is_old,
                "claimed_by": orphan.claimed_by,
            },
        )
    own = {config.FILE, config.IGNORED, ledger.place.configuration.database, "cache"}
    for item in ledger.store().list():
        is_own = _is_own_storage(ledger) and (
            item.name.removesuffix("-wal").removesuffix("-shm") in own
            or item.name.startswith(_ASIDE)
        )
        if not (is_own or item.is_temporary or _CONTENT_NAME.fullmatch(item.name)):
            yield DoctorFinding(
                kind="stranger",
                severity="info",
                subject=item.name,
                message=f"{ledger.storage}: {item.name} is no content of a ledger and left alone",
                details={"storage": ledger.storage, "size": item.size},
            )


# --- database, caches, file systems -------------------------------------------------------------


def _file_systems(ledger: Ledger) -> Iterator[DoctorFinding]:
    places = [] if is_on_server(ledger.place) else [("database", str(ledger.place.folder))]
    if "://" not in ledger.storage:
        places.append(("storage", ledger.storage))
    for what, path in places:
        kind = network_filesystem(path)
        if kind is None:
            continue
        risk = (
            "locks cannot be relied on there: use the ledger from one computer at a time, or move "
            "its database to a local disk"
            if what == "database"
            else "what was written may not be durable when it is acknowledged"
        )
        yield DoctorFinding(
            kind="network-file-system",
            severity="warning",
            subject=path,
            message=f"{what} {path} lies on a network file system ({kind}): {risk}",
            details={"type": kind},
        )


def _database(ledger: Ledger) -> Iterator[DoctorFinding]:
    """Let SQLite check the pages and indexes of the file, or examine the server."""
    with ledger.reading() as session:
        schema = schema_of(ledger.place)
        if schema is not None:
            yield from examine_server(session, schema)
        if not isinstance(session.log, SqliteReader):
            return
        execute = session.log.connection.execute
        said = [str(row[0]) for row in execute("PRAGMA quick_check(20)")]
        objects = execute(OBJECTS).fetchall()
        header = list(header_faults(execute))
    for subject, expected, found in (*header, *schema_faults(objects)):
        yield DoctorFinding(
            kind="schema",
            severity="error",
            subject=subject,
            message=(
                f"{subject}: expected {expected}, found {found}; somebody changed what guards the "
                "ledger: audit it, and restore it from a backup"
            ),
            details={"expected": expected, "found": found},
        )
    for line in said:
        if line != "ok":
            yield DoctorFinding(
                kind="damaged-database",
                severity="error",
                subject=str(ledger.place.database_path),
                message=(
                    f"{ledger.place.database_path}: {line}; stop writing, and restore it from a "
                    "backup"
                ),
            )


def _checkpoints(ledger: Ledger) -> Iterator[DoctorFinding]:
    """Hold the log against the newest checkpoints, those known here and those published."""
    known, errors = newest_known(ledger.place, KeyRing(ledger.place.configuration.id))
    for error in errors:
        yield DoctorFinding(
            kind="checkpoint-unknown",
            severity="warning",
            subject="checkpoints",
            message=f"a known checkpoint could not be asked: {error}",
        )
    for where, text in known:
        stated = read_checkpoint(read_note(text))
        tree = Frontier()
        with ledger.reading() as session:
            head = int(session.log.head())
            tree.extend(session.log.leaves(until=min(head, stated.size)))
        if (tree.size, tree.root()) != (stated.size, stated.root):
            has = f"has {head:,}" if head < stated.size else "has other"
            yield DoctorFinding(
                kind="log-went-back",
                severity="error",
                subject="log",
                message=(
                    f"{where} covers {stated.size:,} entries, the log {has} entries; it was cut "
                    "back, restored from a backup, or changed: stop writing, and audit it against "
                    "that checkpoint"
                ),
                details={"size": stated.size, "head": head},
            )


def _read_models(ledger: Ledger) -> Iterator[DoctorFinding]:
    with ledger.reading() as session:
        found = lag(session)
    wrong = (("lack", found.behind), ("know of", found.ahead))
    for verb, position in wrong:
        if position is not None:
            yield DoctorFinding(
                kind="read-models",
                severity="error",
                subject=f"position {position}",
                message=(
                    f"read models do not stand at position {found.head}, where the log ends: they "
                    f"{verb} position {position}; rebuild them from the log ('metaledger rebuild')"
                ),
                details={"head": found.head, "position": position, "lag": found.events},
            )


def _clock(ledger: Ledger) -> Iterator[DoctorFinding]:
    """Hold the log's time against the clock of this computer."""
    now = ledger.now()
    with ledger.reading() as session:
        head, last = session.log.last()
        first = session.log.position_at(now) + 1
    said = ahead(now, last)
    if said is not None:
        yield DoctorFinding(
            kind="log-ahead",
            severity="warning",
            subject=f"position {first}",
            message=(
                f"{said}; this began at position {first} of {head}: 'metaledger log --since "
                f"{first - 1}' shows who recorded it, and when each event happened after it"
            ),
            details={"position": first, "head": head, "seconds": lead(now, last) / 1e6},
        )


def _hash_cache(ledger: Ledger) -> Iterator[DoctorFinding]:
    path = ledger.cache_folder / "hashes.sqlite3"
    if not path.exists():
        return
    stale = ledger.hash_cache.stale_count()
    if stale:
        yield DoctorFinding(
            kind="stale-hash-cache",
            severity="info",
            subject=str(path),
            message=(
                f"{path}: {stale:,} remembered hashes are of files that are gone or changed; "
                "they cost space only, and the file may be deleted"
            ),
            details={"entries": stale},
        )
