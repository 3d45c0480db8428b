"""What users do around a ledger: look after it, copy its file, and run under a clock that jumps.

None of it records anything that is looked for afterwards, and none of it may lose anything.
"""

from __future__ import annotations

import contextlib
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import ledger as ln
from ledger.errors import LedgerError
from ledger.model import times
from ledger.places import instance
from ledger.transfer.archive_export import export
from ledger.upkeep import doctor
from tests.support.rebuilding import trouble_of_a_rebuild

DATABASE = Path(".metaledger/ledger.db")
HOUR = 3_600.0  # seconds
YEAR = 365 * 24 * 3_600 * 10**9  # nanoseconds

# Deeds and how often each is done.
UPKEEP = {
    "audit": 3, "copy": 4, "close": 4, "rebuild": 2, "checkpoint": 1, "tag": 1, "archive": 1,
    "orphans": 1, "clock": 1,
}  # fmt: skip


class Upkeep:
    """Deeds that leave the records of a ledger as they are."""

    def __init__(self, chance: random.Random, say: Callable[..., None], who: str) -> None:
        self.chance = chance
        self.say = say
        self.who = who

    def connect(self) -> None:
        """Use the ledger of the working folder; one that is away just now is found later."""
        with contextlib.suppress(LedgerError):
            ln.connect(".")

    def audit(self) -> None:
        """Audit the ledger that this process has open."""
        report = ln.audit(content=self.chance.random() < 0.3)
        if not report.ok:
            self.say(findings=[str(it)[:300] for it in report.findings][:6])

    def copy(self) -> None:
        """Copy the file under an open ledger, as a notebook does; a database of a server has none.

        The system then drops the locks that this process holds on the file.
        """
        with contextlib.suppress(FileNotFoundError):
            shutil.copy(DATABASE, f"copies/{self.who}.db")

    def close(self) -> None:
        ln.close()

    def rebuild(self) -> None:
        trouble = trouble_of_a_rebuild()
        if trouble:
            self.say(trouble="a rebuild found differences", text=trouble)

    def checkpoint(self) -> None:
        ln.checkpoint()

    def tag(self) -> None:
        ln.tag(f"tag {self.who} {self.chance.randrange(10**9)}")

    def archive(self) -> None:
        export(f"archives/{self.who}-{self.chance.randrange(3)}")

    def orphans(self) -> None:
        """Remove orphans, as somebody does two hours later."""
        later = time.time() + self.chance.choice([0, 2 * HOUR])
        doctor.remove_orphans(instance.current(), now=later)

    def clock(self) -> None:
        """Have the clock of this process jump."""
        ahead = self.chance.choice([0, 3 * YEAR, -YEAR, YEAR // 365])
        times.time = SimpleNamespace(  # type: ignore[attr-defined]
            time_ns=lambda: time.time_ns() + ahead
        )
