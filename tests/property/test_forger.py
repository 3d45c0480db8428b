"""A forger with full write access and this program's code, but no key, never wins.

It changes what entries before a kept checkpoint say, dresses that up as erasures, and makes anew
whatever needs no key: leaf hashes, guards, read models. It wins if an audit with the checkpoint,
the key and the content is content while an answer about the time before the checkpoint differs.
"""

# ruff: noqa: S608 (statements are made of words of our own)

from __future__ import annotations

import json
import os
import random
import socket
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ledger as ln
from ledger.auditing import entries as audited_entries
from ledger.auditing import erasures as audited_erasures
from ledger.engine.database import Session
from ledger.engine.sqlite_database import SqliteDatabase
from ledger.errors import LedgerError
from ledger.eventlog.entry import Entry, Envelope, leaf_of
from ledger.model.canonical import encode
from ledger.model.events import Draft, EntriesErased, EntriesErasedV1, KeyAdopted, RecordedEvent
from ledger.model.ids import command_id, stream_id
from ledger.model.payloads import (
    ERASED_IN_FORMAT_1,
    erased,
    format_of,
    hashes_of,
    kept_part,
    kept_salt,
    parts_of,
    to_payload,
)
from ledger.model.times import now_micros
from ledger.places import instance
from ledger.proving import checkpoints
from ledger.proving.erasures import signed
from ledger.proving.notes import generate
from projections.tables import TABLES
from tests.golden.add import tell_a_story
from tests.support.sweeps import few

TRIES = 10  # of each seed


class Scene:
    """A ledger with a kept checkpoint, and what it answered before the forger came."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.kept = str(ln.checkpoint())
        self.key = str(checkpoints.public_key())
        self.place = instance.current().place
        self.size = int(ln.head())
        ln.close()
        self.path = self.place.database_path
        self.honest = self.path.read_bytes()
        self.answers = self.asked()

    def restore(self) -> None:
        """Put the honest ledger back."""
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self.path.write_bytes(self.honest)

    def database(self) -> SqliteDatabase:
        return SqliteDatabase(self.path, now_micros)

    def asked(self) -> list[Any]:
        """Return what the ledger says of every moment up to the checkpoint."""
        with closing(self.database()) as database, database.read() as session:
            told: list[Any] = [_told(it) for it in session.log.read(until=self.size)]
            for at in range(1, self.size + 1):
                told += [_rows(session, table, at) for table in TABLES]
        return told

    def is_content(self) -> bool:
        """Return whether the auditor, who kept checkpoint and key, finds nothing."""
        report = ln.audit(checkpoints=[self.kept], keys=[self.key], content=True, place=self.place)
        return report.ok

    def is_won(self) -> bool:
        """Return whether the forger has won: nothing is found, and an answer differs."""
        if not self.is_content():
            return False
        try:
            return self.asked() != self.answers
        except Exception:  # noqa: BLE001 (no answer is another one, too)
            return True


def _told(recorded: RecordedEvent) -> Any:
    return (recorded.position, recorded.recorded_at, recorded.is_erased, encode(recorded.event))


def _rows(session: Session, table: str, at: int) -> Any:
    rows = session.models.find(table, at=at)
    return [{name: row[name] for name in row if name != "to_position"} for row in rows]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("forged")
    before, host = Path.cwd(), socket.gethostname
    level = ln.settings.verbosity
    with pytest.MonkeyPatch.context() as patched:
        patched.delenv("METALEDGER_URL", raising=False)
        for name in ("METALEDGER_USER", "METALEDGER_KEY_DIR"):
            patched.setenv(name, "")
        try:
            ln.close()
            tell_a_story(folder)
            yield Scene(folder)
        finally:
            ln.close()
            os.chdir(before)
            socket.gethostname = host
            ln.settings.verbosity = level


class Forger:
    """One attempt, with chance for its only guide."""

    def __init__(self, scene: Scene, seed: object) -> None:
        self.scene = scene
        self.chance = random.Random(str(seed))  # noqa: S311 (no secret is made of it)
        with closing(scene.database()) as database, database.read() as session:
            self.entries = session.log.entries(limit=1_000)
            self.events = {it.position: it for it in session.log.read()}
        self.deeds: list[Callable[[], None]] = [
            self.dress_up, self.dress_up, self.dress_up, self.dress_up, self.say_otherwise,
            self.move, self.swap, self.erase_only, self.undo_an_erasure, self.name_without_erasing,
            self.adopt_a_key, self.cut_the_end,
        ]  # fmt: skip

    def attempt(self) -> None:
        """Do a few deeds, put guards back, and make the read models anew."""
        with closing(sqlite3.connect(self.scene.path)) as self.connection:
            guards = self.connection.execute(
                "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
            ).fetchall()
            for name, _ in guards:
                self.connection.execute(f"DROP TRIGGER {name}")
            self.connection.commit()
            for deed in self.chance.choices(self.deeds, k=self.chance.randint(1, 3)):
                with suppress(LedgerError, sqlite3.Error, msgspec.ValidationError):
                    deed()
                self.connection.commit()
            for _, statement in guards:
                self.connection.execute(statement)
            self.connection.commit()
        # What cannot be folded any more stays as it is: the forger hopes that nobody looks.
        with suppress(Exception), closing(self.scene.database()) as database:
            database.rebuild()
        if self.chance.random() < 0.1:
            self.change_a_row()

    # --- deeds ------------------------------------------------------------------------------------

    def one(self) -> Entry:
        """Choose an entry that the checkpoint covers."""
        return self.chance.choice(self.entries)

    def put(self, entry: Entry, payload: bytes, salt: bytes, *, with_leaf: bool = False) -> None:
        """Store another payload and salt for an entry, and another leaf hash if need be."""
        envelope = entry.envelope
        self.connection.execute(
            "UPDATE stored_events SET state = ? WHERE originator_id = ? AND originator_version = ?",
            (payload, envelope.stream, envelope.version),
        )
        self.connection.execute(
            "UPDATE entries SET salt = ? WHERE position = ?", (salt, envelope.position)
        )
        if with_leaf:
            of = msgspec.structs.replace(envelope, format=format_of(payload))
            self.put_leaf(of, leaf_of(of, payload, salt))

    def put_leaf(self, envelope: Envelope, leaf: bytes) -> None:
        self.connection.execute(
            "UPDATE entries SET leaf = ? WHERE position = ?", (leaf, envelope.position)
        )

    def lie(self, entry: Entry) -> Any:
        """Return the event of an entry with something in it that was never said."""
        event: Any = self.events[entry.envelope.position].event
        data = json.loads(encode(event))
        name = self.chance.choice([it for it in data if it not in {"type", "command"}])
        data[name] = self.other(data[name])
        return msgspec.convert(data, type(event))

    def other(self, value: Any) -> Any:
        """Return another value of the same kind."""
        match value:
            case bool():
                return not value
            case int():
                return value + self.chance.choice([-1, 1, 1_000_000])
            case str():
                return self.chance.choice(["forged", value + "1", self.another_uid()])
            case {"name": str(name)}:
                return value | {"name": f"{name} forged", "description": "forged"}
            case list() if value and isinstance(value[0], str):
                return [*value[:-1], self.another_uid()]
            case _:
                return value

    def another_uid(self) -> str:
        uids = [uid for it in self.events.values() if (uid := getattr(it.event, "uid", None))]
        return str(self.chance.choice(uids))

    def dress_up(self) -> None:
        """Let an entry say something else, as an erasure would have left it."""
        entry = self.one()
        payload, salt = entry.payload, entry.salt
        hashes = hashes_of(payload, salt)
        event = self.lie(entry)
        left, whole = kept_part(event), to_payload(event)
        own = salt[:32] if entry.is_erased else kept_salt(salt)
        payload, salt = self.chance.choice(
            [
                # Another kept part, under the hashes of the honest one.
                (left, own + hashes[-32:]),
                (left, kept_salt(salt) + sha256(salt + parts_of(whole)[1]).digest()),
                # The kept part as it was, and something after it.
                (parts_of(entry.payload)[0] + parts_of(whole)[1], own + hashes[-32:]),
                (parts_of(entry.payload)[0] + left, own + hashes[-32:]),
                # A residue as format 1 had it.
                (encode(event), ERASED_IN_FORMAT_1 + hashes[:32]),
                (encode(event), ERASED_IN_FORMAT_1 + hashes[-32:]),
                (left.rstrip(b"\n"), ERASED_IN_FORMAT_1 + sha256(salt + payload).digest()),
                (whole, salt),
                (left, salt),
            ]
        )
        self.put(entry, payload, salt, with_leaf=self.chance.random() < 0.2)
        self.tell(entry, payload)

    def erase_only(self) -> None:
        """Erase an entry as the program does, with an event that nobody signed, or without one."""
        entry = self.one()
        if not entry.is_erased:
            payload, salt = erased(entry.payload, entry.salt)
            self.put(entry, payload, salt)
            self.tell(entry, payload)

    def tell(self, entry: Entry, payload: bytes) -> None:
        """Append an event that says that an entry was erased, as well as it can be told."""
        position, subject = entry.envelope.position, self.events[entry.envelope.position].event
        uid = getattr(subject, "uid", self.another_uid())
        registry = getattr(subject, "registry", "ulabel")
        identity: list[Any] = ["erase", uid, {"reason": "tidying"}, self.chance.randint(1, 9)]
        digests = ((position, sha256(payload).hexdigest()),)
        about: dict[str, Any] = {
            "at": subject.at,
            "actor": "ada",
            "command": identity,
            "registry": registry,
            "uid": uid,
            "reason": "tidying",
        }
        of_format_1 = digests if format_of(payload) == 1 else ()
        event: Any = EntriesErased(entries=(position,), residues=of_format_1, **about)
        match self.chance.randrange(6):
            case 0:
                return
            case 1:
                event = EntriesErasedV1(entries=digests, **about)
            case 2:
                event = signed(event, generate(self.scene.key.split("+")[0]))
            case 3:
                event = msgspec.structs.replace(event, signature=self.signature())
            case 4:
                event = msgspec.structs.replace(event, signature=self.scene.kept)
        self.append(entry.envelope.stream, identity, event)

    def signature(self) -> str | None:
        """Return the signature of an honest erasure."""
        honest = [it.event for it in self.events.values() if isinstance(it.event, EntriesErased)]
        return self.chance.choice(honest).signature

    def append(self, stream: Any, identity: list[Any], event: Any) -> None:
        self.connection.commit()
        with closing(self.scene.database()) as database, database.write() as session:
            session.append(command_id(identity), [Draft(stream=stream, event=event)])

    def say_otherwise(self) -> None:
        """Let an entry say something else, and hash it anew."""
        entry = self.one()
        self.put(entry, to_payload(self.lie(entry)), entry.salt, with_leaf=True)

    def move(self) -> None:
        """Give an entry another time, or another command."""
        entry = self.one()
        column, value = self.chance.choice(
            [("recorded_at", entry.envelope.recorded_at + 1), ("command_id", b"\x08" * 16)]
        )
        self.connection.execute(
            f"UPDATE entries SET {column} = ? WHERE position = ?", (value, entry.envelope.position)
        )

    def swap(self) -> None:
        """Exchange what two entries say."""
        one, two = self.one(), self.one()
        self.put(one, two.payload, two.salt)
        self.put(two, one.payload, one.salt)

    def undo_an_erasure(self) -> None:
        """Let an entry that was erased honestly say something again."""
        entry = self.chance.choice([it for it in self.entries if it.is_erased])
        said = to_payload(self.lie(entry))
        salt = self.chance.choice([entry.salt, entry.salt[:32], bytes(32)])
        self.put(entry, said, salt, with_leaf=self.chance.random() < 0.3)

    def name_without_erasing(self) -> None:
        """Say that an entry was erased which is as it was."""
        entry = self.one()
        self.tell(entry, entry.payload)

    def adopt_a_key(self) -> None:
        """Have the log name a key of the forger's own, which then signs an erasure."""
        ledger = self.scene.place.configuration.id
        key = generate(f"metaledger.local/{ledger}")
        identity: list[Any] = ["key", str(key.public())]
        adopted = KeyAdopted(
            at=1, actor="ada", command=identity, key=str(key.public()), previous=self.scene.key
        )
        self.append(stream_id(["key", ledger]), identity, adopted)
        entry = self.one()
        payload = kept_part(self.lie(entry))
        self.put(entry, payload, kept_salt(entry.salt) + hashes_of(entry.payload, entry.salt)[-32:])
        uid = self.another_uid()
        identity = ["erase", uid, {"reason": "tidying"}, 1]
        erasure = EntriesErased(
            at=1, actor="ada", command=identity, registry="ulabel", uid=uid, reason="tidying",
            entries=(entry.envelope.position,),
        )  # fmt: skip
        self.append(entry.envelope.stream, identity, signed(erasure, key))

    def cut_the_end(self) -> None:
        """Take the last entries away."""
        first = self.scene.size - self.chance.randrange(3)
        self.connection.execute(
            "DELETE FROM stored_events WHERE (originator_id, originator_version) IN"
            " (SELECT stream, version FROM entries WHERE position >= ?)",
            (first,),
        )
        self.connection.execute("DELETE FROM entries WHERE position >= ?", (first,))

    def change_a_row(self) -> None:
        """Change a row of the read models after all."""
        with closing(sqlite3.connect(self.scene.path)) as connection, connection:
            connection.execute("UPDATE ulabel SET description = 'forged'")


@pytest.fixture
def forged(scene: Scene) -> Iterator[Scene]:
    scene.restore()
    yield scene
    scene.restore()


def test_the_honest_ledger_is_content_and_answers_as_before(forged):
    assert forged.is_content()
    assert not forged.is_won()


@pytest.mark.parametrize("seed", few(range(20), 4))
def test_a_forger_without_a_key_never_wins(forged, seed):
    for attempt in range(TRIES):
        forged.restore()
        Forger(forged, f"{seed}.{attempt}").attempt()
        assert not forged.is_won(), f"seed {seed}.{attempt}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 2_000))
def test_a_forger_with_much_patience_never_wins(forged, seed):
    test_a_forger_without_a_key_never_wins(forged, seed)


def test_a_forger_wins_at_once_where_stored_leaf_hashes_are_believed(forged, monkeypatch):
    """The attempts are worth something: without what keeps a forger off, one of them succeeds."""
    monkeypatch.setattr(audited_entries, "leaf_of", lambda row: row.leaf)
    monkeypatch.setattr(audited_erasures, "_signed_by", lambda *_: (None, None))
    for attempt in range(300):
        forged.restore()
        Forger(forged, attempt).attempt()
        if forged.is_won():
            return
    pytest.fail("the forger never wins: it proves nothing")


def test_a_forged_residue_is_told(forged):
    """An entry is rewritten, and an erasure in the way of format 1 made up for it."""
    forger = Forger(forged, "residue")
    with closing(sqlite3.connect(forged.path)) as forger.connection:
        guards = forger.connection.execute(
            "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall()
        for name, _ in guards:
            forger.connection.execute(f"DROP TRIGGER {name}")
        entry = next(it for it in forger.entries if not it.is_erased and b"spare" in it.payload)
        event: Any = forger.events[entry.envelope.position].event
        lie = msgspec.structs.replace(event, fields={"name": "spare", "description": "1 mg"})
        residue, hashes = encode(lie), hashes_of(entry.payload, entry.salt)
        forger.put(entry, residue, ERASED_IN_FORMAT_1 + hashes[:32])
        identity: list[Any] = ["erase", event.uid, {"reason": "tidying"}, 1]
        erasure = EntriesErasedV1(
            at=event.at, actor="ada", command=identity, registry="ulabel", uid=event.uid,
            reason="tidying", entries=((entry.envelope.position, sha256(residue).hexdigest()),),
        )  # fmt: skip
        forger.append(entry.envelope.stream, identity, erasure)
        for _, statement in guards:
            forger.connection.execute(statement)
        forger.connection.commit()
    with closing(forged.database()) as database:
        database.rebuild()
    report = ln.audit(
        checkpoints=[forged.kept], keys=[forged.key], content=True, place=forged.place
    )
    assert {"leaf-hash", "checkpoint-root", "erasure-signature"} <= {
        it.kind for it in report.findings
    }
    assert [it.position for it in report.findings if it.kind == "leaf-hash"] == [
        entry.envelope.position
    ]
