"""Ledgers that a forger may write to, and what an auditor kept of them.

A scene is a ledger with a past, in a file, on a server, or as an archive. It can be written anew
behind the program's back, asked what it says of every moment up to the kept checkpoint, and put
back. The auditor has the checkpoint, the public key, and nothing else of the owner's.
"""

# ruff: noqa: S608 (statements are made of names of our own)

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq

import ledger as ln
from ledger.auditing.findings import Report
from ledger.engine.database import Database
from ledger.errors import LedgerError
from ledger.eventlog.archive import SCHEMA, ArchiveEvidence
from ledger.eventlog.database_url import parse
from ledger.eventlog.entry import Entry
from ledger.eventlog.evidence import RawRow
from ledger.eventlog.postgres_schema import KINDS, role
from ledger.model.canonical import encode
from ledger.model.events import RecordedEvent
from ledger.model.merkle import Frontier
from ledger.model.payloads import from_payload, is_erased
from ledger.places import instance
from ledger.places.databases import open_database
from ledger.proving import checkpoints
from ledger.proving.notes import Checkpoint, generate, sign_note
from ledger.transfer.archive_export import export
from projections.select import Select
from projections.select import Test as Is
from projections.sql.tables import rows_statement
from projections.tables import TABLES
from tests.golden.add import tell_a_story
from tests.support.chance import new_name
from tests.support.server_accidents import copy_schema, put_guards_back


class Scene(ABC):
    """A ledger with a kept checkpoint, and what it answered before the forger came."""

    kind: str

    def __init__(self, folder: Path, database: str | None = None) -> None:
        tell_a_story(folder, database=database)
        for name in ("Ärzte", "ordinary", "other"):
            ln.ULabel(name=name, description=f"{name} of old").save()
        ln.ULabel.get(name="other").merge_into(ln.ULabel.get(name="ordinary"), reason="one")
        ln.Artifact.filter().first().retract("wrong unit")
        self.kept = str(ln.checkpoint())
        self.key = str(checkpoints.public_key())
        self.size = int(ln.head())
        # What comes later is the owner's word alone, and is erased as honestly.
        later = ln.ULabel(name="later").save()
        ln.erase(later, reason="request 18")
        self.place = instance.current().place
        self.export = folder / "export"
        export(self.export)
        ln.close()

    @property
    def audited(self) -> dict[str, Any]:
        """What the audit is told to read."""
        return {"place": self.place}

    @abstractmethod
    def keep(self) -> None:
        """Keep the honest ledger."""

    @abstractmethod
    def restore(self) -> None:
        """Put the honest ledger back."""

    @abstractmethod
    def write(self, entries: Sequence[Entry]) -> None:
        """Have the log hold these entries and no others, and make anew whatever needs no key."""

    @abstractmethod
    def asked(self) -> list[Any]:
        """Return what is answered about every moment up to the checkpoint."""

    def is_content(self) -> bool:
        """Return whether the auditor, who kept checkpoint and key, finds nothing."""
        try:
            return self.audit().ok
        except LedgerError:
            return False

    def audit(self) -> Report:
        """Return what the auditor's report says."""
        return ln.audit(checkpoints=[self.kept], keys=[self.key], content=True, **self.audited)

    def is_won(self) -> bool:
        """Return whether the forger has won: nothing is found, and an answer differs."""
        if not self.is_content():
            return False
        try:
            return self.asked() != self.answers
        except Exception:  # noqa: BLE001 (no answer is another one, too)
            return True

    def begin(self) -> None:
        """Ask what is answered before the forger comes."""
        self.keep()
        self.restore()
        self.answers = self.asked()
        self._read()

    def _read(self) -> None:
        self.entries = self.honest()
        self.events = [
            from_payload(it.payload, position=it.envelope.position, is_erased=it.is_erased)
            for it in self.entries
        ]

    @abstractmethod
    def honest(self) -> list[Entry]:
        """Return the honest entries."""


class InDatabase(Scene):
    """A ledger in a database."""

    def database(self) -> Database:
        return open_database(self.place)

    def asked(self) -> list[Any]:
        with closing(self.database()) as database, database.read() as session:
            told: list[Any] = [_told(it) for it in session.log.read(until=self.size)]
            for at in range(1, self.size + 1):
                for table in TABLES:
                    rows = session.models.find(table, at=at)
                    told.append(
                        [{it: row[it] for it in row if it != "to_position"} for row in rows]
                    )
                said = Is(("name",), "icontains", "äRZ")
                told.append(session.models.select(Select(registry="ulabel", where=said, at=at)))
        return told

    def honest(self) -> list[Entry]:
        with closing(self.database()) as database, database.read() as session:
            return session.log.entries(limit=1_000)

    @abstractmethod
    def rows(self, table: str) -> list[tuple[Any, ...]]:
        """Return all rows of a table of the read models."""

    @abstractmethod
    def do(self, *statements: str | tuple[str, Sequence[Any]]) -> None:
        """Carry out statements without guards, which are put back; `?` stands for a value."""

    def write(self, entries: Sequence[Entry]) -> None:
        self.do(
            "DELETE FROM stored_events",
            "DELETE FROM entries",
            *(
                (
                    f"INSERT INTO stored_events VALUES ({self.event_values})",
                    (it.envelope.stream, it.envelope.version, it.envelope.tag, it.payload)
                    + ((number,) if self.event_values.count("?") > 4 else ()),
                )
                for number, it in enumerate(entries, 1)
            ),
            *(
                (
                    "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        it.envelope.position, it.envelope.recorded_at, it.envelope.stream,
                        it.envelope.version, self.command(it), it.envelope.number, it.salt, it.leaf,
                    ),
                )
                for it in entries
            ),
        )  # fmt: skip
        # What cannot be folded any more stays as it is: the forger hopes that nobody looks.
        with suppress(Exception), closing(self.database()) as database:
            database.rebuild()  # type: ignore[attr-defined]

    event_values = "?, ?, ?, ?"

    def command(self, entry: Entry) -> Any:
        """Return the id of a command as the database holds it."""
        return bytes.fromhex(entry.envelope.command_id)


class InFile(InDatabase):
    """A ledger in a SQLite file."""

    kind = "sqlite"

    def keep(self) -> None:
        self.path = self.place.database_path
        self._honest = self.path.read_bytes()

    def restore(self) -> None:
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self.path.write_bytes(self._honest)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(rows_statement(table)).fetchall()

    def do(self, *statements: str | tuple[str, Sequence[Any]]) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            guards = connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in guards:
                connection.execute(f'DROP TRIGGER "{name}"')
            for each in statements:
                text, values = (each, ()) if isinstance(each, str) else each
                connection.execute(text, values)
            for _, statement in guards:
                with suppress(sqlite3.Error):  # the forger made one of its own
                    connection.execute(statement)
            connection.execute("COMMIT")


class OnServer(InDatabase):
    """A ledger on a server; each attempt gets a database of its own, copied from the honest one."""

    kind = "postgres"
    event_values = "?, ?, ?, ?, ?"

    def __init__(self, folder: Path, server: str) -> None:
        self.server = server
        self.names = (f"honest_{new_name()}", f"forged_{new_name()}")
        self.schema = f"forged_{new_name()}"
        self._admin = psycopg.connect(server, autocommit=True)
        self._run(f"CREATE DATABASE {self.names[0]}")
        url = parse(self._url(self.names[0])).in_schema(self.schema)
        super().__init__(folder, str(url))

    def _url(self, name: str) -> str:
        base, _, options = self.server.partition("?")
        return f"{base.rpartition('/')[0]}/{name}{'?' if options else ''}{options}"

    def _run(self, statement: str) -> None:
        self._admin.execute(statement.encode())

    def keep(self) -> None:
        # In the copied database too, so that rows can be put back without making it anew.
        with psycopg.connect(self._url(self.names[0])) as connection:
            copy_schema(connection, self.schema, "kept")
        self.url = parse(self._url(self.names[1])).in_schema(self.schema)
        known = msgspec.structs.replace(self.place.configuration, database=str(self.url))
        self.place = msgspec.structs.replace(self.place, configuration=known)
        self._is_made_anew = True

    def restore(self) -> None:
        if self._is_made_anew:
            self._run(f"DROP DATABASE IF EXISTS {self.names[1]} WITH (FORCE)")
            self._run(f"CREATE DATABASE {self.names[1]} TEMPLATE {self.names[0]}")
            with psycopg.connect(self.url.text) as connection:
                tables = connection.execute(
                    "SELECT tablename FROM pg_tables WHERE schemaname = 'kept'"
                    " ORDER BY tablename <> 'stored_events'"
                ).fetchall()
            self._rows_back = "; ".join(
                f"DELETE FROM {self.schema}.{it};"
                f" INSERT INTO {self.schema}.{it} SELECT * FROM kept.{it}"
                for (it,) in tables
            )
            self._is_made_anew = False
            return
        with self._unguarded() as connection:
            connection.execute(self._rows_back.encode())

    def remove(self) -> None:
        """Remove both databases and the roles."""
        for name in self.names:
            self._run(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        for kind in reversed(KINDS):
            self._run(f"DROP ROLE IF EXISTS {role(self.schema, kind)}")
        self._admin.close()

    @contextmanager
    def _unguarded(self) -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(self.url.text) as connection:
            connection.execute(f"SET search_path = {self.schema}".encode())
            for table in ("entries", "stored_events"):
                connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER".encode())
            yield connection
            put_guards_back(connection, self.schema)

    def rows(self, table: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url.text) as connection:
            connection.execute(f"SET search_path = {self.schema}".encode())
            return connection.execute(rows_statement(table).encode()).fetchall()

    def do(self, *statements: str | tuple[str, Sequence[Any]]) -> None:
        with self._unguarded() as connection:
            for each in statements:
                text, values = (each, None) if isinstance(each, str) else each
                # Rows are put back; anything else takes a database of its own.
                self._is_made_anew |= not text.startswith(("DELETE", "INSERT", "UPDATE"))
                connection.execute(
                    (text if values is None else text.replace("?", "%s")).encode(), values
                )

    def command(self, entry: Entry) -> Any:
        return entry.envelope.command_id


class AsArchive(Scene):
    """An export, as it lies with somebody else."""

    kind = "archive"

    @property
    def audited(self) -> dict[str, Any]:
        return {"archive": self.export}

    def keep(self) -> None:
        self._honest = self.export.with_name("honest")
        shutil.copytree(self.export, self._honest)

    def restore(self) -> None:
        shutil.rmtree(self.export)
        shutil.copytree(self._honest, self.export)

    def honest(self) -> list[Entry]:
        from ledger.transfer.archive_import import _entry  # noqa: PLC0415 (as an import reads it)

        with closing(ArchiveEvidence(self.export)) as evidence:
            return [_entry(it) for it in evidence.rows(until=1_000) if isinstance(it, RawRow)]

    def asked(self) -> list[Any]:
        told: list[Any] = []
        with closing(ArchiveEvidence(self.export)) as evidence:
            names = [evidence.folder.where + f"/log/{it.name}" for it in evidence.manifest.segments]
            for row in evidence.rows(until=self.size):
                assert isinstance(row, RawRow)
                if row.position <= self.size:
                    gone = is_erased(row.salt)
                    event = from_payload(row.state, position=row.position, is_erased=gone)
                    told.append((row.position, row.recorded_at, gone, encode(event)))
            stated = evidence.manifest
            told.append((stated.ledger, stated.entries, stated.root))
        # As any program reads it that knows Parquet, and believes what its footers say.
        read = pyarrow.dataset.dataset(names, format="parquet")
        covered = pyarrow.dataset.field("position") <= self.size
        told += [(it.name, str(it.type), it.metadata) for it in read.schema]
        for tag in sorted({entry.envelope.tag for entry in getattr(self, "entries", ())}):
            told.append(read.count_rows(filter=covered & (pyarrow.dataset.field("tag") == tag)))
        told.append(read.to_table(columns=["position", "payload"], filter=covered).to_pylist())
        frame = pq.read_table(names[0]).to_pandas()
        told.append([*map(str, frame.columns), str(frame.index.name)])
        return told

    def begin(self) -> None:
        self.keep()
        self._read()
        self.answers = self.asked()

    def write(self, entries: Sequence[Entry]) -> None:
        self.write_rows(entries)

    def write_rows(self, entries: Sequence[Entry], **options: Any) -> None:
        """Write everything anew: segments, manifest, a checkpoint and keys of the forger's own."""
        log = self.export / "log"
        shutil.rmtree(log)
        log.mkdir()
        columns: dict[str, list[Any]] = {
            "position": [it.envelope.position for it in entries],
            "recorded_at": [it.envelope.recorded_at for it in entries],
            "stream": [it.envelope.stream for it in entries],
            "version": [it.envelope.version for it in entries],
            "command_id": [bytes.fromhex(it.envelope.command_id) for it in entries],
            "number": [it.envelope.number for it in entries],
            "tag": [it.envelope.tag for it in entries],
            "salt": [it.salt[:32] if len(it.salt) != 33 else None for it in entries],
            "payload": [it.payload for it in entries],
            "payload_hash": [it.salt[-32:] if it.is_erased else None for it in entries],
            "leaf": [it.leaf for it in entries],
        }
        name = f"{1:012d}-{len(entries):012d}.parquet"
        table = pa.table(columns, schema=SCHEMA)
        metadata = options.pop("metadata", None)
        if metadata:
            table = table.replace_schema_metadata(metadata)
        options = {"write_statistics": False, **options}
        pq.write_table(table, log / name, compression="zstd", **options)
        tree = Frontier()
        tree.extend([it.leaf for it in entries])
        path = self.export / "manifest.json"
        manifest = json.loads(path.read_text())
        stated = Checkpoint(
            origin=f"metaledger.local/{manifest['ledger']}", size=len(entries), root=tree.root()
        )
        key = generate(stated.origin)
        part = {"name": name, "first": 1, "last": len(entries), "size": (log / name).stat().st_size}
        manifest |= {
            "entries": len(entries), "root": stated.root.hex(), "segments": [part],
            "checkpoint": f"checkpoint-{len(entries):012d}",
        }  # fmt: skip
        path.write_text(json.dumps(manifest))
        (self.export / manifest["checkpoint"]).write_text(sign_note(stated.text(), [key]))
        (self.export / "key.pub").write_text(f"{self.key}\n{key.public()}\n")

    def change_manifest(self, **values: Any) -> None:
        """Have the manifest say something else."""
        path = self.export / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))


def _told(recorded: RecordedEvent) -> Any:
    return (recorded.position, recorded.recorded_at, recorded.is_erased, encode(recorded.event))


@contextmanager
def staged(kind: str, folder: Path, server: str | None) -> Iterator[Scene]:
    """Lend a scene; the auditor's computer knows nothing of the owner's keys."""
    import pytest  # noqa: PLC0415

    before, host, level = Path.cwd(), socket.gethostname, ln.settings.verbosity
    with pytest.MonkeyPatch.context() as patched:
        for name in ("METALEDGER_URL", "METALEDGER_USER", "METALEDGER_KEY_DIR"):
            patched.setenv(name, "")
        patched.delenv("METALEDGER_URL")
        scene: Scene | None = None
        try:
            ln.close()
            if kind == "postgres":
                assert server is not None
                scene = OnServer(folder, server)
            else:
                scene = {"sqlite": InFile, "archive": AsArchive}[kind](folder)
            (folder / "auditor").mkdir()
            os.environ["METALEDGER_KEY_DIR"] = str(folder / "auditor")
            scene.begin()
            yield scene
        finally:
            ln.close()
            if isinstance(scene, OnServer):
                scene.remove()
            os.chdir(before)
            socket.gethostname = host
            ln.settings.verbosity = level
