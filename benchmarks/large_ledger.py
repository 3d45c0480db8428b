"""A ledger of any number of events, recorded by real appends, such as years of scripts leave it.

Each made-up run registers a version of its script now and then, starts, reads artifacts of runs
before it, registers labels and artifacts, links them, changes some, makes some again, moves some to
the trash and back, and ends. Identities, streams and uids are those that the product would give, so
that an audit finds nothing. Data come from one seed: two ledgers of one size differ in salts and
times only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

from workload import SEED

from ledger.engine.database import Database
from ledger.model import events as ev
from ledger.model.ids import (
    CommandId,
    StreamId,
    command_id,
    derive,
    intent_key,
    stream_id,
    subject_key,
    versioned_uid,
)
from ledger.model.ids import uid as uid_of

PER_COMMIT = 2_000  # runs have some 45 events each
ACTOR, EPOCH = "ada", 1_700_000_000_000_000

Step = tuple[list[Any], list[ev.Draft]]  # identity of a command, and what it leaves behind


def commands() -> Iterator[tuple[CommandId, list[ev.Draft]]]:
    """Yield made-up commands, of one event each, without an end."""
    return ((command_id(identity), drafts) for identity, drafts in _Story().steps())


def fill(database: Database, events: int) -> int:
    """Append made-up runs until the ledger holds so many events, and return how many it holds."""
    steps = commands()
    with database.read() as session:
        head = int(session.log.head())
    while head < events:
        with database.write() as session:
            end = min(events, head + PER_COMMIT)
            while head < end:
                head += len(session.append(*next(steps)))
    return head


class _Story:
    """What was recorded so far, as far as later events need it."""

    def __init__(self) -> None:
        self.chance = random.Random(SEED)  # noqa: S311 (data for a measurement)
        self.at = EPOCH
        self.labels: list[str] = []
        self.artifacts: list[str] = []
        self.streams: dict[str, StreamId] = {}

    def steps(self) -> Iterator[Step]:
        """Yield one command after the other, without an end."""
        environment = "# python 3.11\n" + "".join(f"package-{n}==1.{n}\n" for n in range(100))
        yield self.blob(environment)
        transform = ""
        for number in range(10**9):
            if number % 20 == 0:
                text = f"# version {number}\n" + "print('a line of source')\n" * 100
                yield self.blob(text)
                transform, step = self.transform(_hash(text))
                yield step
            yield from self.run(number, transform, _hash(environment))

    def run(self, number: int, transform: str, environment: str) -> Iterator[Step]:
        chance = self.chance
        natural = ["run", sha256(f"run {number}".encode()).hexdigest()]
        identity = ["create", *natural, 1]
        run = str(uid_of(identity, 16))
        self.streams[run] = stream_id(identity)
        started = ev.RunStarted(
            uid=run,
            natural=natural,
            transform=transform,
            params={"threshold": number, "method": "leiden"},
            environment=environment,
            host="vm",
            **self.common(identity, run),
        )
        yield identity, [self.draft(run, started)]
        own = {"run": run}
        for artifact in chance.sample(self.artifacts, min(4, len(self.artifacts))):
            identity = ["intent", run, "read", artifact, {}, 1]
            read = ev.InputRecorded(uid=run, artifact=artifact, **self.common(identity, run))
            yield identity, [self.draft(run, read)]
        labels = []
        for n in range(6):
            label, step = self.label(number, n, run)
            labels.append(label)
            yield step
        for n in range(10):
            artifact, step = self.artifact(number, n, run)
            yield step
            for label in {*chance.sample(labels, 1), chance.choice(self.labels)}:
                identity = ["intent", run, "link", [artifact, "labels", label], {}, 1]
                link = ev.LinkAdded(
                    registry="artifact", uid=artifact, field="labels", target=label,
                    **self.common(identity, run),
                )  # fmt: skip
                yield identity, [self.draft(artifact, link)]
        for label in chance.sample(self.labels, 4):
            yield self.change(label, {"description": f"as run {number} sees it"}, own)
        yield self.change(labels[0], {"name": f"renamed {number}"}, own)
        yield self.moved(ev.RecordTrashed, "trash", labels[1], run)
        if number % 2:
            yield self.moved(ev.RecordRestored, "restore", labels[1], run)
        again = self.artifacts[-11] if len(self.artifacts) > 11 else self.artifacts[0]
        identity = ["intent", run, "save", ["artifact", again], {}, 1]
        remade = ev.ArtifactReproduced(uid=again, **self.common(identity, run))
        yield identity, [self.draft(again, remade)]
        identity = ["finish", run, 0]
        noted = tuple(
            (intent_key("save", ["ulabel", it], {}, 1), subject_key("save", ["ulabel", it]), it)
            for it in labels[:2]
        )
        ended = ev.RunFinished(
            uid=run, status="finished", **self.common(identity, run) | {"noted": noted}
        )
        yield identity, [self.draft(run, ended)]

    def label(self, number: int, n: int, run: str) -> tuple[str, Step]:
        natural = ["ulabel", f"label {n} of experiment {number}"]
        created = ["create", *natural, 1]
        label = str(uid_of(created, 12))
        self.streams[label] = stream_id(created)
        self.labels.append(label)
        identity = ["intent", run, "save", natural, {}, 1]
        event = ev.RecordCreated(
            registry="ulabel", uid=label, natural=natural, fields={"name": natural[1]},
            **self.common(identity, run),
        )  # fmt: skip
        return label, (identity, [self.draft(label, event)])

    def artifact(self, number: int, n: int, run: str) -> tuple[str, Step]:
        content = sha256(f"content {number} {n}".encode()).hexdigest()
        key = f"results/{n}/table-{number % 5000}.parquet"
        natural = ["artifact", "md5", content[:22]]
        created = ["create", *natural, 1]
        artifact = str(versioned_uid(created, stem_length=16))
        self.streams[artifact] = stream_id(created)
        self.artifacts.append(artifact)
        digest = "sha256:" + content
        identity = ["intent", run, "save", [*natural, digest, key], {}, 1]
        event = ev.ArtifactRegistered(
            uid=artifact, natural=natural, key=key, suffix=".parquet", hash=content[:22],
            hash_type="md5", digest=digest, size=1_000 + number, storage="./storage",
            storage_key=f".metaledger/{artifact}.parquet", **self.common(identity, run),
        )  # fmt: skip
        return artifact, (identity, [self.draft(artifact, event)])

    def transform(self, source: str) -> tuple[str, Step]:
        stem = derive(["stem", "analysis.py"])[:12]
        natural = ["transform", stem, ["source", source]]
        identity = ["create", *natural, 1]
        transform = str(versioned_uid(identity, stem_length=12, stem=stem))
        self.streams[transform] = stream_id(identity)
        event = ev.TransformRegistered(
            uid=transform, natural=natural, name="analysis", key="analysis.py", kind="script",
            source_hash=source, source=source, **self.common(identity, None),
        )  # fmt: skip
        return transform, (identity, [self.draft(transform, event)])

    def blob(self, text: str) -> Step:
        identity = ["blob", _hash(text)]
        event = ev.BlobRecorded(
            blob=_hash(text), media_type="text/plain", text=text, **self.common(identity, None)
        )
        return identity, [ev.Draft(stream=stream_id(identity), event=event)]

    def change(self, label: str, fields: dict[str, Any], own: dict[str, str]) -> Step:
        identity = ["intent", own["run"], "change", label, fields, 1]
        event = ev.RecordChanged(
            registry="ulabel", uid=label, fields=fields, **self.common(identity, own["run"])
        )
        return identity, [self.draft(label, event)]

    def moved(self, kind: Any, verb: str, label: str, run: str) -> Step:
        identity = ["intent", run, verb, label, {}, 1]
        event = kind(registry="ulabel", uid=label, **self.common(identity, run))
        return identity, [self.draft(label, event)]

    def draft(self, subject: str, event: ev.LedgerEvent) -> ev.Draft:
        return ev.Draft(stream=self.streams[subject], event=event)

    def common(self, identity: list[Any], run: str | None) -> dict[str, Any]:
        self.at += 1_000_000
        return {"at": self.at, "actor": ACTOR, "run": run, "command": identity}


def _hash(text: str) -> str:
    return "sha256:" + sha256(text.encode()).hexdigest()
