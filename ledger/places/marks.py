"""Marks in a storage: which databases of which ledgers have put content there.

1. Before a process puts its first content into a storage, the mark of its database is there. It
   names the ledger, the database, and the last entry that was recorded then.
2. A mark whose entry is in the log of the same database is its own; any other is of somebody else:
   of another ledger, of a copy, or of a log that went back since.
3. A database is told from its copies by the file itself, or by the schema of a server.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from ledger.content.store import FOLDER, MARK
from ledger.engine.database import Database
from ledger.errors import DamagedContentError, LedgerError, MissingFileError, StorageError
from ledger.eventlog.base import LogReader

if TYPE_CHECKING:
    from ledger.content.folder import Folder

_MOST = 1 << 16  # bytes of a mark
_MANY = 1_000  # marks of one database: it goes back less often


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """The contents of a mark.

    Attributes:
        ledger: Id of the ledger.
        database: What tells its database from copies of it.
        shown: The database, in words for people.
        head: Position of the last entry when the mark was made; 0 for none.
        leaf: Leaf hash of that entry, in hexadecimal.
    """

    ledger: str
    database: str
    shown: str
    head: int
    leaf: str


class Marks:
    """The marks in the storages of one ledger."""

    def __init__(self, database: Database, *, ledger: str, shown: str) -> None:
        self._database = database
        self._ledger = ledger
        self._shown = shown
        self._left: set[str] = set()

    def leave(self, root: str) -> None:
        """Have the mark of this database in a storage; once a process is enough.

        Raises:
            StorageError: The storage refused, as it would refuse content.
        """
        if root in self._left:
            return
        identity = self._database.identity()
        if identity is None:
            return
        folder = _folder(root)
        with self._database.read() as session:
            present = self._present(session.log, identity)
            name, found = self._own(folder, session.log, identity)
        if found is None or found.head < present.head:
            try:
                folder.replace(name, msgspec.json.encode(present))
            except (StorageError, DamagedContentError):
                # One that is there says already that the storage is in use: an earlier one, or that
                # of another process of this database, which left its own at the same moment.
                with self._database.read() as session:
                    if self._own(folder, session.log, identity)[1] is None:
                        raise
        self._left.add(root)

    def of_others(self, root: str) -> dict[str, str]:
        """Return the marks of others in a storage: name, and the database in words.

        Raises:
            StorageError: The storage cannot be read.
        """
        identity = self._database.identity()
        with self._database.read() as session:
            return {
                name: "an unknown database" if mark is None else mark.shown
                for name, mark in _marks(_folder(root))
                if mark is None or not self._is_own(mark, session.log, identity)
            }

    def forget_others(self, root: str) -> list[str]:
        """Remove the marks of others from a storage, and return their databases in words.

        Raises:
            StorageError: The storage refused.
        """
        folder, found = _folder(root), self.of_others(root)
        for name in found:
            folder.remove(name)
        return sorted(found.values())

    def withdraw(self, root: str) -> None:
        """Remove the marks of this very database from a storage.

        Raises:
            StorageError: The storage refused.
        """
        folder, identity = _folder(root), self._database.identity()
        for name, mark in list(_marks(folder)):
            if mark is not None and (mark.ledger, mark.database) == (self._ledger, identity):
                folder.remove(name)

    def look_again(self) -> None:
        """Look at each storage again: another file may have taken the place of the database."""
        self._left.clear()

    def _present(self, log: LogReader, identity: str) -> Mark:
        head = int(log.head())
        return Mark(
            ledger=self._ledger,
            database=identity,
            shown=self._shown,
            head=head,
            leaf=_leaf(log, head),
        )

    def _own(self, folder: Folder, log: LogReader, identity: str) -> tuple[str, Mark | None]:
        """Return the name for the mark of this database, and the mark that bears it already."""
        for number in range(_MANY):
            told = sha256(f"{self._ledger} {identity} {number}".encode()).hexdigest()[:16]
            name = f"{MARK}{told}.json"
            try:
                mark = _read(folder, name)
            except MissingFileError:
                return name, None
            # A mark of a log that went back since stays, as its content may be needed elsewhere.
            if mark is not None and self._is_own(mark, log, identity):
                return name, mark
        raise StorageError(f"{folder.where}: too many marks of one database; see metaledger doctor")

    def _is_own(self, mark: Mark, log: LogReader, identity: str | None) -> bool:
        return (mark.ledger, mark.database) == (self._ledger, identity) and (
            mark.leaf == _leaf(log, mark.head)
        )


def _folder(root: str) -> Folder:
    from ledger.content.backends import open_folder  # noqa: PLC0415 (needed by those who store)

    return open_folder(f"{root.rstrip('/')}/{FOLDER}")


def _marks(folder: Folder) -> Iterator[tuple[str, Mark | None]]:
    for name in folder.names():
        if name.startswith(MARK):
            with suppress(MissingFileError):
                yield name, _read(folder, name)


def _read(folder: Folder, name: str) -> Mark | None:
    """Return a mark; None for something that is none."""
    try:
        return msgspec.json.decode(folder.read(name, most=_MOST), type=Mark)
    except (MissingFileError, StorageError):
        raise
    except (LedgerError, ValueError):
        return None


def _leaf(log: LogReader, position: int) -> str:
    return "".join(leaf.hex() for leaf in log.leaves(after=position - 1, until=position))
