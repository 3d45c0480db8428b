"""A ledger that a group shares: the umask decides who may write, for every file alike."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger.content.hash_cache import HashCache
from ledger.upkeep.backup import restore
from tests.support.door import artifact, label


@pytest.fixture(params=[0o002, 0o022, 0o077], ids=["group", "others read", "owner"])
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    """A umask, for the time of the test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def rights(path: Path) -> int:
    """Return the permission bits of a path."""
    return stat.S_IMODE(path.stat().st_mode) & 0o777


def test_what_a_ledger_is_made_of_has_the_rights_of_the_umask(umask: int, ledger_folder: Path):
    ln.init("storage")
    label("one")
    made = artifact("a.txt", key="a.txt")
    ln.backup("backup.db")
    HashCache(ledger_folder / ".metaledger" / "cache" / "hashes.sqlite3").flush()
    beside = [it for it in ledger_folder.rglob("*") if it != made.path]
    wrong = {str(it): oct(rights(it)) for it in beside if rights(it) != expected(it, umask)}
    assert not wrong
    assert {"ledger.db", "ledger.db-wal", "backup.db"} <= {it.name for it in beside}
    ln.close()


def test_a_restored_ledger_has_them_too(umask: int, ledger_folder: Path):
    ln.init("storage")
    label("one")
    ln.backup("backup.db")
    ln.close()
    (ledger_folder / "backup.db").chmod(0o400)
    restore("backup.db", force=True)
    label("two")
    database = ledger_folder / ".metaledger" / "ledger.db"
    assert rights(database) == expected(database, umask)
    ln.close()


def expected(path: Path, umask: int) -> int:
    """Return the rights that the umask leaves a file or a folder."""
    return (0o777 if path.is_dir() else 0o666) & ~umask
