"""A crowd at one ledger: each does anything to anybody's records, under the same few names.

A line tells what was acknowledged. Errors of ours are what a crowd has to expect.
"""

from __future__ import annotations

import os
import random
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ledger as ln
from ledger.errors import LedgerError
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.upkeep import doctor
from tests.support.rebuilding import trouble_of_a_rebuild

NAMES = [f"name {number}" for number in range(40)]
KEYS = [f"key/{number}.txt" for number in range(10)]
N_CONTENTS = 30
HOUR = 3_600.0  # seconds

# Deeds and how often each is done.
DEEDS = {
    "create": 22, "rename": 12, "trash": 8, "withdraw": 3, "merge": 6, "erase": 2, "file": 17,
    "mark": 8, "batch": 10, "tag": 2, "rebuild": 3, "archive": 2, "audit": 2, "checkpoint": 2,
    "orphans": 1,
}  # fmt: skip


class Changed(Exception):  # noqa: N818 (stands for whatever goes wrong in a script)
    """Somebody has second thoughts within a batch."""


class Member:
    """One of the crowd."""

    def __init__(self, task: dict[str, Any], say: Callable[..., None]) -> None:
        self.who: str = task["who"]
        self.chance = random.Random(task["seed"])  # noqa: S311 (no secret is made of it)
        self.say = say
        self.number = 0

    def new_name(self) -> str:
        self.number += 1
        return f"{self.who} {self.number}"

    def some(self, registry: Any) -> Any:
        """Return a record of anybody's, at times one in the trash; None where there is none."""
        found = registry.filter()
        if self.chance.random() < 0.3:
            found = found.with_trash()
        records = list(found.all())
        return self.chance.choice(records) if records else None

    # --- deeds ------------------------------------------------------------------------------------

    def create(self) -> None:
        name = self.chance.choice(NAMES) if self.chance.random() < 0.6 else self.new_name()
        label = ln.ULabel(name=name, description=f"d{self.chance.randrange(9)}").save()
        self.say(done="label", uids=[label.uid])

    def rename(self) -> None:
        name = self.chance.choice(NAMES) + self.chance.choice(["", "x", "y"])
        if (label := self.some(ln.ULabel)) is not None:
            label.name = name
            label.save()

    def trash(self) -> None:
        if (label := self.some(ln.ULabel)) is not None:
            (label.restore if label.is_trashed else label.delete)()

    def withdraw(self) -> None:
        if (label := self.some(ln.ULabel)) is not None:
            label.delete(permanent=True)

    def merge(self) -> None:
        one, other = self.some(ln.ULabel), self.some(ln.ULabel)
        if one is not None and other is not None:
            one.merge_into(other, reason="the same")

    def erase(self) -> None:
        registry = self.chance.choice([ln.ULabel, ln.Artifact])
        if (record := self.some(registry)) is not None:
            ln.erase(record, reason="asked for")

    def file(self) -> None:
        path = Path("in", f"{self.who}.txt")
        path.write_text(f"content {self.chance.randrange(N_CONTENTS)} " * 50)
        artifact = ln.Artifact(path, key=self.chance.choice(KEYS)).save()
        self.say(done="artifact", uids=[artifact.uid])

    def mark(self) -> None:
        artifact, label = self.some(ln.Artifact), self.some(ln.ULabel)
        if artifact is not None and label is not None:
            artifact.labels.add(label)

    def batch(self) -> None:
        names = [self.new_name() for _ in range(self.chance.randint(1, 10))]
        changes, meets = self.chance.random() < 0.3, self.chance.random() < 0.5
        uids: list[str] = []
        try:
            with ln.batch():
                for name in names:
                    uids.append(ln.ULabel(name=name).save().uid)
                    if meets:
                        self.common()
                if changes:
                    raise Changed  # noqa: TRY301 (as a script would)
        except Changed:
            self.say(done="undone", uids=uids)
        else:
            self.say(done="batch", uids=uids)

    def common(self) -> None:
        """Save a label that may be refused, which leaves the batch around it as it was."""
        try:
            ln.ULabel(name=self.chance.choice(NAMES), description="in a batch").save()
        except LedgerError as error:
            self.say(refused=type(error).__name__, why=str(error)[:300])

    def tag(self) -> None:
        ln.tag(f"tag {self.new_name()}")

    def rebuild(self) -> None:
        trouble = trouble_of_a_rebuild()
        if trouble:
            self.say(trouble="a rebuild found differences", text=trouble)

    def archive(self) -> None:
        export(f"archives/{self.who}-{self.chance.randrange(3)}")

    def audit(self) -> None:
        report = ln.audit()
        if not report.ok:
            told = " ".join(str(it)[:300] for it in report.findings[:5])
            self.say(trouble="an audit beside others found something", text=told)

    def checkpoint(self) -> None:
        self.say(done="checkpoint", text=str(ln.checkpoint()))

    def orphans(self) -> None:
        later = time.time() + self.chance.choice([0, 2 * HOUR])
        doctor.remove_orphans(instance.current(), now=later)


def live(task: dict[str, Any], say: Callable[..., None]) -> None:
    """Do one thing after another, until this process is killed."""
    os.environ["METALEDGER_USER"] = task["who"].partition("-")[0]
    member = Member(task, say)
    ln.connect(".")
    kinds = [it for it in DEEDS if it not in task["without"]]
    while True:
        (kind,) = member.chance.choices(kinds, [DEEDS[it] for it in kinds])
        try:
            getattr(member, kind)()
            say(deed=kind)
        except LedgerError as error:
            say(refused=type(error).__name__, why=str(error)[:300], deed=kind)
        except Exception:  # noqa: BLE001 (no user should meet one)
            say(trouble=f"an error of others: {kind}", text=traceback.format_exc()[-2_500:])
