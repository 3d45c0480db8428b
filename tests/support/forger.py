"""A forger: one attempt to deceive an audit, with full write access, this program, and no key.

Each attempt has one aim, and may do a little more besides. Chance is its only guide, from a seed
that the test states. What can be made anew without a key is made anew: places, ids of commands,
leaf hashes, guards, read models, manifests, footers, and checkpoints of a key of its own.
"""

# ruff: noqa: S608 (statements are made of names of our own)

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Any

import msgspec
import psycopg

from ledger.errors import LedgerError
from ledger.eventlog.entry import Entry, Envelope, leaf_of, seal
from ledger.model.canonical import encode
from ledger.model.events import EntriesErased, EntriesErasedV1, RecordChanged, RecordCreated, tag_of
from ledger.model.ids import CommandId, Position, StreamId, command_id, stream_id
from ledger.model.key_events import KeyAdopted
from ledger.model.payloads import (
    ERASED_IN_FORMAT_1,
    erased,
    format_of,
    from_payload,
    hashes_of,
    kept_part,
    kept_salt,
    parts_of,
    to_payload,
)
from ledger.proving.checkpoints import ADOPTION
from ledger.proving.erasures import signed
from ledger.proving.notes import PrivateKey, generate, sign_note
from projections.fold import registry_of
from projections.sql import casefold
from projections.tables import TABLES
from tests.support.forged import AsArchive, InDatabase, OnServer, Scene
from tests.support.forgeries import FOOTERS, GUARDS

_REFUSALS = (
    LedgerError, sqlite3.Error, psycopg.Error, msgspec.ValidationError, ValueError, TypeError,
    OverflowError,
)  # fmt: skip
_FIRST_LABELS = 5  # entries, of which some make labels
_KEPT_FIRST = 2  # entries that nobody drops, so that there is a ledger to look at


class Forger:
    """One attempt."""

    def __init__(self, scene: Scene, seed: object) -> None:
        self.scene = scene
        self.chance = random.Random(str(seed))  # noqa: S311 (no secret is made of it)
        self.entries = [*scene.entries]
        self.key: PrivateKey = generate(scene.key.split("+")[0])
        self.is_log_changed = self.is_guard_changed = False
        self.afterwards: list[Callable[[], None]] = []
        self.aim = ""

    def chosen(self) -> str:
        """Return an aim by chance."""
        return self.chance.choice([*AIMS, *AIMS_BESIDE[self.scene.kind]])

    def attempt(self, aim: str | None = None) -> None:
        """Follow an aim, and write what comes of it."""
        aims = [*AIMS, *AIMS_BESIDE[self.scene.kind]]
        self.aim = aim or self.chosen()
        deeds = [self.aim, *([self.chance.choice(aims)] if self.chance.random() < 0.25 else [])]
        for deed in deeds:
            with suppress(*_REFUSALS):
                getattr(self, deed.replace(" ", "_"))()
        if self.is_log_changed:
            if self.chance.random() < 0.7:
                self.entries = [self.hashed_anew(it) for it in self.entries]
            with suppress(*_REFUSALS):
                self.scene.write(self.entries)
        for last in self.afterwards:
            with suppress(*_REFUSALS):
                last()

    def wins(self) -> bool:
        """Return whether nothing is found although an answer, or a guard, is another one."""
        if self.is_guard_changed:
            return self.scene.is_content()
        return self.scene.is_won()

    # --- the log as it is to be -------------------------------------------------------------------

    def hashed_anew(self, entry: Entry) -> Entry:
        """Return an entry with the leaf hash that its parts have."""
        envelope = msgspec.structs.replace(entry.envelope, format=format_of(entry.payload))
        leaf = leaf_of(envelope, entry.payload, entry.salt)
        return msgspec.structs.replace(entry, envelope=envelope, leaf=leaf)

    def one(self) -> int:
        """Choose an entry that the checkpoint covers."""
        return self.chance.randrange(min(self.scene.size, len(self.entries)))

    def event(self, at: int) -> Any:
        entry = self.entries[at]
        return from_payload(
            entry.payload, position=entry.envelope.position, is_erased=entry.is_erased
        )

    def put(self, at: int, payload: bytes, salt: bytes | None = None) -> None:
        """Give an entry another payload, and another salt if need be; its leaf hash stays."""
        before = self.entries[at]
        salt = before.salt if salt is None else salt
        self.entries[at] = msgspec.structs.replace(before, payload=payload, salt=salt)
        self.is_log_changed = True

    def retold(self, at: int, **values: Any) -> None:
        """Give an entry another envelope."""
        before = self.entries[at]
        envelope = msgspec.structs.replace(before.envelope, **values)
        self.entries[at] = msgspec.structs.replace(before, envelope=envelope)
        self.is_log_changed = True

    def renumber(self) -> None:
        """Close every gap: positions, versions and times in the order of the entries."""
        versions: dict[str, int] = {}
        last = 0
        for at, entry in enumerate(self.entries):
            envelope = entry.envelope
            versions[envelope.stream] = versions.get(envelope.stream, 0) + 1
            last = max(envelope.recorded_at, last + 1)
            self.retold(
                at, position=Position(at + 1), version=versions[envelope.stream], recorded_at=last
            )

    def insert(self, at: int, stream: StreamId, event: Any) -> None:
        """Put a new entry before another one; `renumber` finds its place."""
        near = self.entries[min(at, len(self.entries) - 1)].envelope
        envelope = Envelope(
            position=Position(at + 1),
            recorded_at=near.recorded_at,
            stream=stream,
            version=1 + sum(it.envelope.stream == stream for it in self.entries[:at]),
            tag=tag_of(event),
            command_id=CommandId(command_id(event.command)),
            number=1,
            format=2,
        )
        self.entries.insert(at, seal(envelope, to_payload(event), salt=self.chance.randbytes(32)))
        self.is_log_changed = True

    def append(self, stream: StreamId, event: Any) -> None:
        self.insert(len(self.entries), stream, event)
        self.renumber_last()

    def renumber_last(self) -> None:
        last, before = self.entries[-1].envelope, self.entries[-2].envelope
        self.retold(
            len(self.entries) - 1,
            position=Position(len(self.entries)),
            recorded_at=max(last.recorded_at, before.recorded_at + 1),
        )
        self.entries[-1] = self.hashed_anew(self.entries[-1])

    # --- lies -------------------------------------------------------------------------------------

    def lie(self, at: int) -> Any:
        """Return the event of an entry with something in it that was never said."""
        event: Any = self.event(at)
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
        found = [getattr(it, "uid", None) for it in self.scene.events[: self.scene.size]]
        return str(self.chance.choice([it for it in found if it]))

    def an_erasure(self, at: int, payload: bytes) -> tuple[StreamId, Any]:
        """Return an event that says that an entry was erased, as well as it can be told."""
        subject = self.event(at)
        uid = getattr(subject, "uid", None) or self.another_uid()
        identity: list[Any] = ["erase", uid, {"reason": "tidying"}, self.chance.randint(1, 9)]
        position = self.entries[at].envelope.position
        about: dict[str, Any] = {
            "at": subject.at, "actor": "ada", "command": identity, "uid": uid,
            "registry": registry_of(subject) or "ulabel", "reason": "tidying",
        }  # fmt: skip
        digests = ((position, sha256(payload).hexdigest()),)
        event: Any = EntriesErased(
            entries=(position,), residues=digests if format_of(payload) == 1 else (), **about
        )
        match self.chance.randrange(5):
            case 0:
                event = EntriesErasedV1(entries=digests, **about)
            case 1:
                event = signed(event, self.key)
            case 2:
                event = msgspec.structs.replace(event, signature=self.signature())
            case 3:
                event = msgspec.structs.replace(event, signature=self.scene.kept)
        return self.entries[at].envelope.stream, event

    def signature(self) -> str | None:
        """Return the signature of an honest erasure."""
        told = [it for it in self.scene.events if isinstance(it, EntriesErased)]
        return self.chance.choice(told).signature

    # --- aims: the log ----------------------------------------------------------------------------

    def say_otherwise(self) -> None:
        """Let an entry say something else, in one part or in both."""
        at = self.one()
        kept, erasable = parts_of(self.entries[at].payload)
        lied = parts_of(to_payload(self.lie(at)))
        self.put(at, self.chance.choice([b"".join(lied), lied[0] + erasable, kept + lied[1]]))

    def dress_up_as_an_erasure(self) -> None:
        """Let an entry say something else, as an erasure would have left it, and tell of it."""
        at = self.one()
        payload, salt = self.entries[at].payload, self.entries[at].salt
        hashes = hashes_of(payload, salt)
        event = self.lie(at)
        left, whole = kept_part(event), to_payload(event)
        own = salt[:32] if self.entries[at].is_erased else kept_salt(salt)
        forms: Sequence[tuple[bytes, bytes]] = [
            # Another kept part, under the hashes of the honest one.
            (left, own + hashes[-32:]),
            (left, kept_salt(salt) + sha256(salt + parts_of(whole)[1]).digest()),
            # The kept part as it was, and something after it.
            (parts_of(payload)[0] + parts_of(whole)[1], own + hashes[-32:]),
            (parts_of(payload)[0] + left, own + hashes[-32:]),
            # A residue as format 1 had it.
            (encode(event), ERASED_IN_FORMAT_1 + hashes[:32]),
            (encode(event), ERASED_IN_FORMAT_1 + hashes[-32:]),
            (left.rstrip(b"\n"), ERASED_IN_FORMAT_1 + sha256(salt + payload).digest()),
            (whole, salt),
            (left, salt),
        ]
        payload, salt = self.chance.choice(forms)
        told = None if self.entries[at].is_erased else self.an_erasure(at, payload)
        self.put(at, payload, salt)
        if told is not None:
            self.append(*told)

    def pretend_an_erasure(self) -> None:
        """Erase an entry as the program does, with an event that no key signed."""
        at = self.one()
        if not self.entries[at].is_erased:
            payload, salt = erased(self.entries[at].payload, self.entries[at].salt)
            told = self.an_erasure(at, payload)
            self.put(at, payload, salt)
            self.append(*told)

    def name_without_erasing(self) -> None:
        """Say that an entry was erased which is as it was."""
        at = self.one()
        self.append(*self.an_erasure(at, self.entries[at].payload))

    def undo_an_erasure(self) -> None:
        """Let an entry that was erased honestly say something again, or something else."""
        gone = [at for at, it in enumerate(self.entries[: self.scene.size]) if it.is_erased]
        at = self.chance.choice(gone)
        salt, said = self.entries[at].salt, self.lie(at)
        forms = [(to_payload(said), it) for it in (salt, salt[:32], bytes(32))]
        self.put(at, *self.chance.choice([*forms, (kept_part(said), salt)]))

    def drop(self) -> None:
        """Take an entry away, and close the gap or leave it."""
        del self.entries[max(_KEPT_FIRST, self.one())]
        self.is_log_changed = True
        if self.chance.random() < 0.7:
            self.renumber()

    def put_in(self) -> None:
        """Put an entry among those of then that was never recorded."""
        at = max(_FIRST_LABELS, self.one())
        subject = self.chance.choice(
            [it for it in map(self.event, range(at)) if isinstance(it, RecordCreated)]
        )
        fields = {"description": "forged"}
        event = RecordChanged(
            at=subject.at, actor="ada", command=["change", subject.uid, fields, at],
            registry=subject.registry, uid=subject.uid, fields=fields,
        )  # fmt: skip
        made = next(it for it in range(at) if getattr(self.event(it), "uid", None) == subject.uid)
        self.insert(at, self.entries[made].envelope.stream, event)
        self.renumber()

    def swap(self) -> None:
        """Exchange two entries, whole or only what they say."""
        one, two = self.one(), self.one()
        if self.chance.random() < 0.5:
            first, second = self.entries[one], self.entries[two]
            self.put(one, second.payload, second.salt)
            self.put(two, first.payload, first.salt)
        else:
            self.entries[one], self.entries[two] = self.entries[two], self.entries[one]
            self.renumber()

    def date_otherwise(self) -> None:
        """Let an entry be of another time, or of another command."""
        at = self.one()
        self.retold(
            at,
            **self.chance.choice(
                [
                    {"recorded_at": self.entries[at].envelope.recorded_at + 1},
                    {"recorded_at": self.entries[at].envelope.recorded_at - 1},
                    {"command_id": CommandId("08" * 16)},
                    {"number": 2},
                ]
            ),
        )

    def sign_anew(self) -> None:
        """Have the log name a key of the forger's own, which then signs an erasure."""
        line = str(self.key.public())
        ledger = line.partition("+")[0].rpartition("/")[2]
        endorsers = [
            None,
            sign_note(f"{ADOPTION}\n{line}\n", [self.key]),
            self.scene.kept,
            self.signature(),
        ]
        adopted = KeyAdopted(
            at=1, actor="ada", command=["key", line], key=line,
            previous=self.chance.choice([self.scene.key, None]),
            endorsement=self.chance.choice(endorsers),
        )  # fmt: skip
        stream = stream_id(["key", ledger])
        own = [at for at in range(len(self.entries)) if isinstance(self.event(at), KeyAdopted)]
        if own and self.chance.random() < 0.3:
            self.put(own[0], to_payload(msgspec.structs.replace(adopted, previous=None)))
        else:
            self.append(stream, adopted)
        at = self.one()
        if not self.entries[at].is_erased:
            payload, salt = erased(self.entries[at].payload, self.entries[at].salt)
            if self.chance.random() < 0.3:
                payload = kept_part(self.lie(at))
            of, event = self.an_erasure(at, payload)
            self.put(at, payload, salt)
            if isinstance(event, EntriesErased):
                event = signed(msgspec.structs.replace(event, signature=None), self.key)
            self.append(of, event)

    def cut_the_end(self) -> None:
        """Take the last entries away, and write others in their place."""
        del self.entries[self.scene.size - self.chance.randrange(1, 4) :]
        self.is_log_changed = True
        while len(self.entries) < self.scene.size and self.chance.random() < 0.7:
            self.put_in()
            self.renumber()

    # --- aims: read models and guards -------------------------------------------------------------

    def change_read_models(self) -> None:
        """Change, double or remove a row of the read models, whatever the log says."""
        scene = self.scene
        assert isinstance(scene, InDatabase)
        tables = self.chance.sample([*TABLES], k=len(TABLES))
        table, rows = next((it, rows) for it in tables if (rows := scene.rows(it)))
        row, names = [*self.chance.choice(rows)], TABLES[table].column_names
        key = [*TABLES[table].key, "from_position"]
        where = " AND ".join(f'"{it}" = ?' for it in key)
        this = [row[names.index(it)] for it in key]
        number = self.chance.randrange(len(names))
        value = self.chance.choice([self.other(row[number]), None, row[number - 1]])
        statements: list[tuple[str, Sequence[Any]]] = [
            (f'UPDATE "{table}" SET "{names[number]}" = ? WHERE {where}', [value, *this]),
            (f'DELETE FROM "{table}" WHERE {where}', this),
            (
                f'INSERT INTO "{table}" VALUES ({", ".join("?" * len(names))})',
                [*row[:number], value, *row[number + 1 :]],
            ),
        ]
        self.afterwards.append(lambda: scene.do(self.chance.choice(statements)))

    def change_guards(self) -> None:
        """Have something guard the log otherwise, or answer in its place."""
        scene = self.scene
        assert isinstance(scene, InDatabase)
        deed = self.chance.choice(GUARDS[scene.kind])

        def do() -> None:
            scene.do(*deed)
            self.is_guard_changed = True

        self.afterwards.append(do)

    def fold_case_otherwise(self) -> None:
        """Have searches without regard to case find other records."""
        scene = self.scene
        assert isinstance(scene, OnServer)
        table = casefold._case_table()
        letter = self.chance.choice(["Ä", "ä", "é"])
        lied = dict(sorted((table | {letter: self.chance.choice("xyz")}).items()))
        missing = {it: to for it, to in table.items() if it != "Ä"}
        statement = casefold._statement(self.chance.choice([lied, missing]))
        self.afterwards.append(lambda: scene.do(statement))

    def lead_astray(self) -> None:
        """Have a schema of the forger's own come first, for all who connect."""
        scene = self.scene
        assert isinstance(scene, OnServer)
        self.afterwards.append(
            lambda: scene.do(
                "CREATE SCHEMA evil",
                f"CREATE TABLE evil.ulabel AS TABLE {scene.schema}.ulabel",
                "UPDATE evil.ulabel SET name = 'forged'",
                "CREATE FUNCTION evil.folded(text) RETURNS text LANGUAGE sql AS 'SELECT $1'",
                f"ALTER DATABASE {scene.names[1]} SET search_path = evil, {scene.schema}",
                f"ALTER DATABASE {scene.names[1]} SET extra_float_digits = -14",
            )
        )

    # --- aims: an archive -------------------------------------------------------------------------

    def change_the_archive(self) -> None:
        """Write the segments anew as other programs would read them otherwise."""
        scene = self.scene
        assert isinstance(scene, AsArchive)
        wrong = self.chance.choice(FOOTERS)

        self.afterwards.append(lambda: wrong(scene, self.entries))

    def change_the_manifest(self) -> None:
        """Have the manifest say something else of the archive."""
        scene = self.scene
        assert isinstance(scene, AsArchive)
        values = self.chance.choice(
            [{"name": "forged"}, {"ledger": "0" * 32}, {"root": "0" * 64}, {"entries": 3}]
        )
        self.afterwards.append(lambda: scene.change_manifest(**values))


AIMS = (
    "say otherwise", "dress up as an erasure", "dress up as an erasure", "pretend an erasure",
    "name without erasing", "undo an erasure", "drop", "put in", "swap", "date otherwise",
    "sign anew", "cut the end",
)  # fmt: skip
AIMS_BESIDE = {
    "sqlite": ("change read models", "change guards"),
    "postgres": (
        "change read models", "change guards", "fold case otherwise", "lead astray",
    ),
    "archive": ("change the archive", "change the manifest"),
}  # fmt: skip
