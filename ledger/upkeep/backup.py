"""Backup and restoration of a ledger in a file.

1. A backup is one file, of one moment, made by SQLite while others write. A checkpoint lies beside
   it where the key that signs is here. Nothing is overwritten.
2. A restoration writes into the database that is there, in one transaction: who has it open goes on
   with the restored one, and hears that the log went back. Before, the present one is put aside
   whole, and nothing is appended meanwhile.
3. A backup of another ledger, and a damaged one, is refused before anything is done.
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ledger import files
from ledger.display.messages import say
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import (
    CommandRejectedError,
    ConfigurationError,
    CorruptLogError,
    DamagedDatabaseError,
    LedgerError,
    PathTakenError,
    StorageError,
)
from ledger.eventlog.database_url import parse
from ledger.eventlog.sqlite_connections import Datastore, copy_file, copy_over
from ledger.eventlog.sqlite_log import let_append, stop_appending
from ledger.input_files import named_path
from ledger.model.events import LedgerInitialized
from ledger.model.merkle import Frontier, root_hash
from ledger.model.times import now_micros
from ledger.places import instance
from ledger.places.config import Place, outside_of_ledgers
from ledger.places.databases import is_on_server
from ledger.places.instance import Ledger
from ledger.proving.checkpoints import checkpoint, key_at_hand, ring_of
from ledger.proving.notes import read_checkpoint, read_note
from ledger.proving.publication import newest_known


class Backup(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was made.

    Attributes:
        path: Its file.
        events: How many entries its log has.
        root: Root hash over them, in hexadecimal.
        size: Its bytes.
        checkpoint: The file of the checkpoint beside it; None without a key that signs.
    """

    path: str
    events: int
    root: str
    size: int
    checkpoint: str | None


class Restored(msgspec.Struct, frozen=True, kw_only=True):
    """A backup that was restored.

    Attributes:
        events: How many entries the log has now.
        aside: The file with the ledger of before; None where there was none.
        events_before: How many entries it has; None where that could not be read.
        missing: Words for each known checkpoint that covers more, or something else.
    """

    events: int
    aside: str | None
    events_before: int | None
    missing: tuple[str, ...]


def backup(path: str | os.PathLike[str]) -> Backup:
    """Write the ledger in use, as it is at one moment, into a new file; others may write meanwhile.

    Raises:
        PathTakenError: Something is there already; it is untouched.
        ConfigurationError: The ledger is on a server; the message says what to run.
        StorageError: The disk refused.
    """
    ledger = instance.current()
    _require_file(
        ledger.place, "pg_dump --format=custom --schema={schema} --file={file} {url}", path
    )
    target = outside_of_ledgers(path)
    beside = target.with_name(f"{target.name}.checkpoint")
    for taken in (target, beside):
        if os.path.lexists(taken):
            raise PathTakenError(
                f"{taken}: something is there already; choose another file", path=str(taken)
            )
    text = _signed(ledger)
    with _room(target.parent) as room:
        copy = ledger.database.copy_to(room / target.name)
        try:
            with copy.read() as session:
                events = int(session.log.head())
                root = root_hash(session.log.leaves(until=events)).hex()
        finally:
            copy.close()
        size = (room / target.name).stat().st_size
        files.give_name(room / target.name, target)
    if text is not None:
        files.write_durably(beside, text.encode(), replace=False)
    return Backup(
        path=str(target),
        events=events,
        root=root,
        size=size,
        checkpoint=None if text is None else str(beside),
    )


def restore(path: str | os.PathLike[str], *, force: bool = False) -> Restored:
    """Put a backup in the place of the database of the ledger in use.

    Args:
        path: The backup.
        force: Whether to do so although there is a database, which is then put aside.

    Raises:
        PathTakenError: There is a database, and `force` is not set.
        CorruptLogError: The backup is no ledger, or is damaged.
        ConfigurationError: The backup is of another ledger, or the ledger is on a server.
        CommandRejectedError: A batch is open.
        ReadOnlyLedgerError: The ledger may be read alone.
        StorageError: The disk refused, or another writer held the ledger for too long.
    """
    ledger = instance.current()
    if ledger.sessions.is_batching:
        raise CommandRejectedError("restore: a batch is open in this thread; end it first")
    place = ledger.place
    _require_file(place, "pg_restore --dbname={url} {file}", path)
    source, target = named_path(path), place.database_path
    with _room(place.folder) as room:
        made = room / target.name
        events = _taken_out(source, made, place)
        if not os.path.lexists(target):
            ledger.close()
            _without_leftovers(target)
            files.give_name(made, target)
            return Restored(events=events, aside=None, events_before=None, missing=_missing(ledger))
        before = _events_of(ledger)
        if not force:
            shown = "damaged" if before is None else f"at position {before:,}"
            raise PathTakenError(
                f"ledger database {target}: there is one, {shown}; the backup ends at {events:,}. "
                "With --force (force=True) the present one is put aside, and the backup takes its "
                "place"
            )
        ledger.close()
        aside = _free(target)
        if before is None:
            # Nothing can be written into it, and nobody can use it.
            for ending in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    moved = target.with_name(f"{target.name}{ending}")
                    if moved.exists():
                        files.give_name(moved, aside.with_name(f"{aside.name}{ending}"))
            files.give_name(made, target)
        else:
            before = _replaced(target, made, aside, room)
    return Restored(events=events, aside=str(aside), events_before=before, missing=_missing(ledger))


def _replaced(target: Path, made: Path, aside: Path, room: Path) -> int:
    """Put the present database aside, and write the backup over it; return its last position."""
    store = Datastore(str(target))
    try:
        with store.connection(write=True) as connection:
            stop_appending(connection)
        try:
            copy = room / "before"
            with store.connection(write=False) as connection:
                copy_file(connection, copy)
                (head,) = connection.execute("SELECT max(position) FROM entries").fetchone()
            _let_append(copy)
            files.give_name(copy, aside)
            with store.connection(write=False) as connection:
                copy_over(made, connection)
        except BaseException:
            with suppress(LedgerError), store.connection(write=True) as connection:
                let_append(connection)
            raise
    finally:
        store.close()
    return int(head or 0)


def _let_append(path: Path) -> None:
    store = Datastore(str(path))
    try:
        with store.connection(write=True) as connection:
            let_append(connection)
    finally:
        store.close()


def _taken_out(source: Path, made: Path, place: Place) -> int:
    """Copy a backup if it is a sound one of the ledger, and return its last position."""
    if not source.is_file():
        raise StorageError(f"backup {source}: expected a file, found none", path=str(source))
    store = Datastore(str(source))
    try:
        if not _is_ledger(store):
            raise CorruptLogError(f"backup {source}: expected a ledger, found a file that is none")
        with store.connection(write=False) as connection:
            copy_file(connection, made)
    finally:
        store.close()
    _let_append(made)
    copy = SqliteDatabase(made, now_micros)
    try:
        with copy.read() as session:
            said = session.log.connection.execute("PRAGMA quick_check(1)").fetchone()[0]  # type: ignore[attr-defined]
            events = int(session.log.head())
            first = next(session.log.read(until=1), None)
    except LedgerError as error:
        raise CorruptLogError(f"backup {source}: {error}") from error
    finally:
        copy.close()
    if said != "ok":
        raise CorruptLogError(
            f"backup {source}: damaged ({said}); use another one. If it is a copy of an open "
            "ledger that was not made by 'metaledger backup', its write-ahead log (-wal) was left "
            "behind, or another one lies beside it"
        )
    found = first.event.ledger if first and isinstance(first.event, LedgerInitialized) else None
    if found != place.configuration.id:
        raise ConfigurationError(
            f"backup {source}: expected one of ledger {place.configuration.id}, found one of "
            f"{found}; restore it in the folder of that ledger"
        )
    return events


def _is_ledger(store: Datastore) -> bool:
    try:
        return store.is_ledger()
    except DamagedDatabaseError:
        return False


def _missing(ledger: Ledger) -> tuple[str, ...]:
    """Return words for each known checkpoint that the log in use does not agree with."""
    found, errors = newest_known(ledger.place, ring_of(ledger))
    for error in errors:
        say("warning", f"a known checkpoint could not be asked: {error}")
    told = []
    for where, text in found:
        stated, tree = read_checkpoint(read_note(text)), Frontier()
        with ledger.reading() as session:
            head = int(session.log.head())
            tree.extend(session.log.leaves(until=min(head, stated.size)))
        if head < stated.size:
            told.append(
                f"{where} covers {stated.size:,} entries: {stated.size - head:,} are missing"
            )
        elif tree.root() != stated.root:
            told.append(f"{where} covers {stated.size:,} entries, and others than these")
    return tuple(told)


def _signed(ledger: Ledger) -> str | None:
    """Return a checkpoint for a backup; None without a key, or where it cannot be made."""
    try:
        with ledger.reading() as session:
            has_key = key_at_hand(ledger, session.log) is not None
        return checkpoint().text if has_key else None
    except LedgerError as error:
        say("warning", f"the backup has no checkpoint beside it: {error}")
        return None


def _events_of(ledger: Ledger) -> int | None:
    try:
        return int(ledger.head())
    except (CorruptLogError, DamagedDatabaseError):
        return None


def _require_file(place: Place, command: str, path: str | os.PathLike[str]) -> None:
    if not is_on_server(place):
        return
    url = parse(place.configuration.database)
    told = command.format(
        schema=shlex.quote(url.schema or ""),
        file=shlex.quote(os.fspath(path)),
        url=shlex.quote(str(url).replace(f"?schema={url.schema}", "")),
    )
    raise ConfigurationError(
        f"ledger {place.configuration.name}: it is on a server, whose own tools do this; run: "
        f"{told}"
    )


def _free(target: Path) -> Path:
    number = 1
    while os.path.lexists(found := target.with_name(f"{target.name}.before-restore-{number}")):
        number += 1
    return found


def _without_leftovers(target: Path) -> None:
    """Move a write-ahead log away whose database is gone: it would be read into the next one."""
    for ending in ("-wal", "-shm"):
        left = target.with_name(f"{target.name}{ending}")
        if left.exists():
            files.give_name(left, _free(target).with_name(f"{_free(target).name}{ending}"))


@contextmanager
def _room(folder: Path) -> Iterator[Path]:
    """Lend a folder on the same file system for a file that is being made."""
    with (
        files.writing(folder),
        TemporaryDirectory(
            dir=folder,
            prefix=f"{files.TEMPORARY_PREFIX}{secrets.token_hex(4)}",
            ignore_cleanup_errors=True,
        ) as room,
    ):
        yield Path(room)
