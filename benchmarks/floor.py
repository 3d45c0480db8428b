"""The floor: the same work by hand, with the sqlite3 and shutil of Python and nothing else.

It promises as much about durability as the product does: WAL with `synchronous=FULL`, a commit a
record or a group, each file fsynced, named, and its folder fsynced before a row names it. It
promises nothing else: one row a record in one table, no events, history, hashes of the log, runs,
messages, checks of input, nor search for similar names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from workload import Clock, Task, data_files, groups, label_names, work

_WRITERS = 8  # as many as the product lets wait for the disk at once
_TABLES = """
    CREATE TABLE IF NOT EXISTS label (uid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE IF NOT EXISTS artifact (
        uid TEXT PRIMARY KEY, key TEXT, md5 TEXT, sha256 TEXT NOT NULL UNIQUE, size INTEGER
    );
"""


def carry_out(task: Task, clock: Clock) -> dict[str, object]:
    """Register what the task says; a replay looks each record up and finds it."""
    database = sqlite3.connect("floor.db", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.executescript(_TABLES)
    Path("storage").mkdir(exist_ok=True)
    if task.work == "labels":
        names = label_names(task.count)
        with clock.running():
            added = _labels(database, names, task.how)
    else:
        files = data_files(task)
        with clock.running():
            added = _files(database, files, task.how)
    expected = 0 if task.is_replay and task.is_timed else task.count
    if added != expected:
        raise SystemExit(f"expected {expected} new rows, found {added}")
    return {}


def _labels(database: sqlite3.Connection, names: list[str], how: str) -> int:
    added = 0
    for group in groups(names, how):
        new = [
            (uuid.uuid4().hex, name)
            for name in group
            if not database.execute("SELECT uid FROM label WHERE name = ?", (name,)).fetchone()
        ]
        added += _insert(database, "INSERT INTO label VALUES (?, ?)", new)
    return added


def _files(database: sqlite3.Connection, files: list[Path], how: str) -> int:
    added = 0
    with ThreadPoolExecutor(_WRITERS) as pool:
        for group in groups(files, how):
            # Only `ln.save()` knows all the files of a group before it must store the first.
            many = pool.map if how == "save" else map
            new = [
                (file, row)
                for file, row in zip(group, many(_hashed, group), strict=True)
                if not database.execute(
                    "SELECT uid FROM artifact WHERE sha256 = ?", (row[3],)
                ).fetchone()
            ]
            for _ in many(_store, new):
                pass
            rows = [row for _, row in new]
            added += _insert(database, "INSERT INTO artifact VALUES (?, ?, ?, ?, ?)", rows)
    return added


def _insert(database: sqlite3.Connection, statement: str, rows: list[tuple]) -> int:
    if rows:
        database.execute("BEGIN IMMEDIATE")
        database.executemany(statement, rows)
        database.execute("COMMIT")
    return len(rows)


def _hashed(file: Path) -> tuple[str, str, str, str, int]:
    content = file.read_bytes()
    return (
        uuid.uuid4().hex,
        f"data/{file.name}",
        hashlib.md5(content, usedforsecurity=False).hexdigest(),
        hashlib.sha256(content).hexdigest(),
        len(content),
    )


def _store(pair: tuple[Path, tuple[str, str, str, str, int]]) -> None:
    file, row = pair
    target = Path("storage", f"{row[0]}{file.suffix}")
    temporary = target.with_name(f".tmp-{row[0]}")
    shutil.copyfile(file, temporary)
    _sync(temporary)
    temporary.rename(target)
    _sync(target.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


if __name__ == "__main__":
    work(carry_out)
