"""What happens to a ledger, and to its users, from outside.

A file is copied, replaced or put back as people do it, with SQLite's own copying, by renaming or by
removing; never while somebody is about to open it half-way: users stand still meanwhile.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from ledger.places import config
from ledger.places.instance import Ledger
from ledger.upkeep import doctor
from tests.support.crew import Crew
from tests.support.user_oracle import Replacement
from tests.support.user_upkeep import DATABASE, HOUR

FOLDER = DATABASE.parent
_ENDINGS = ("", "-wal", "-shm")


def copy_database(source: Path, target: Path) -> None:
    """Do what SQLite's own .backup and .restore do."""
    connect = sqlite3.connect
    with closing(connect(source, timeout=60)) as one, closing(connect(target, timeout=60)) as other:
        one.backup(other)


class Accidents:
    """What can happen to a SQLite ledger in the working folder.

    Attributes:
        replacements: What was put in the place of the ledger, and when.
    """

    # What can happen, and how often it does.
    KINDS = {  # noqa: RUF012 (read only)
        "kill": 6, "interrupt": 5, "back_up": 4, "restore": 3, "replace": 3, "take_away": 2,
        "remove": 2, "strange_doctor": 3,
    }  # fmt: skip

    def __init__(self, crew: Crew, chance: random.Random) -> None:
        self.crew = crew
        self.chance = chance
        self.replacements: list[Replacement] = []
        # A copy of the ledger, when it was made, and its folder.
        self.copied: tuple[int, int] | None = None
        # What happens later to what was taken away.
        self.pending: list[Callable[[], None]] = []
        self._n = 0

    def happen(self, kind: str, who: str) -> None:
        """Let something happen, to somebody if it is of that kind."""
        getattr(self, kind)(who)

    def end(self) -> None:
        """Put back what is away still."""
        while self.pending:
            self.pending.pop(0)()

    # --- to users ---------------------------------------------------------------------------------

    def kill(self, who: str) -> None:
        self.crew.send(who, signal.SIGKILL)

    def interrupt(self, who: str) -> None:
        self.crew.send(who, signal.SIGINT)

    # --- to the ledger ----------------------------------------------------------------------------

    def back_up(self, _: str = "") -> None:
        """Make a copy, if the ledger is there."""
        if self.pending:
            return
        began = time.monotonic_ns()
        self._copy()
        self.copied = began, time.monotonic_ns()

    def _copy(self) -> None:
        copy_database(DATABASE, Path("backup.db"))

    def restore(self, _: str) -> None:
        """Write the copy into the file that is there."""
        if not self._has_copy():
            return
        began = time.monotonic_ns()
        self._write_back()
        self._replaced((began, began), (began, time.monotonic_ns()))

    def _write_back(self) -> None:
        copy_database(Path("backup.db"), DATABASE)

    def replace(self, _: str) -> None:
        """Move the copy over the file, and take the log beside it away."""
        if not self._has_copy():
            return
        with self.crew.standstill():
            began = time.monotonic_ns()
            shutil.copy("backup.db", "moved.db")
            for ending in _ENDINGS[1:]:
                Path(f"{DATABASE}{ending}").unlink(missing_ok=True)
            Path("moved.db").replace(DATABASE)
            self._replaced((began, began), (began, time.monotonic_ns()))

    def take_away(self, _: str) -> None:
        """Move the ledger's folder away; the same one comes back later."""
        if self.pending:
            return
        began = time.monotonic_ns()
        FOLDER.rename("away")
        gone = began, time.monotonic_ns()

        def bring_back() -> None:
            with self.crew.standstill():
                back = time.monotonic_ns()
                _clear()
                Path("away").rename(FOLDER)
                self.replacements.append(
                    Replacement(copied=None, gone=gone, back=(back, time.monotonic_ns()))
                )

        self.pending.append(bring_back)

    def remove(self, _: str) -> None:
        """Remove the ledger's folder; a copy takes its place later."""
        if not self._has_copy():
            return
        began = time.monotonic_ns()
        shutil.copytree(FOLDER, "made", ignore=lambda _, names: [*names])
        shutil.copy(FOLDER / "config.toml", "made/config.toml")
        with self.crew.standstill():
            shutil.rmtree(FOLDER)
        gone = began, time.monotonic_ns()

        def bring_back() -> None:
            back = time.monotonic_ns()
            shutil.copy("backup.db", "made/ledger.db")
            _clear()
            Path("made").rename(FOLDER)
            self._replaced(gone, (back, time.monotonic_ns()))

        self.pending.append(bring_back)

    def strange_doctor(self, _: str) -> None:
        """Remove the orphans that a copy of the ledger in another folder believes to see."""
        if not self._has_copy():
            return
        self._n += 1
        other = Path("elsewhere", str(self._n))
        (other / FOLDER).mkdir(parents=True)
        shutil.copy(FOLDER / "config.toml", other / FOLDER)
        shutil.copy("backup.db", other / DATABASE)
        strange = Ledger(config.load(other.resolve(), origin="a copy"))
        try:
            doctor.remove_orphans(strange, now=time.time() + 2 * HOUR)
        finally:
            strange.close()

    def _has_copy(self) -> bool:
        """Return whether there are a ledger and a copy of it; make one if need be."""
        if self.copied is None:
            self.back_up()
        return not self.pending and self.copied is not None

    def _replaced(self, gone: tuple[int, int], back: tuple[int, int]) -> None:
        self.replacements.append(Replacement(copied=self.copied, gone=gone, back=back))


def _clear() -> None:
    """Take away the caches that were made where the ledger's folder was; there is nothing else."""
    if FOLDER.exists():
        found = {it.name for it in FOLDER.iterdir()}
        assert found <= {"cache"}, f"made in the place of a ledger that was taken away: {found}"
        shutil.rmtree(FOLDER)


def make_folders() -> None:
    """Make the folders that users write into."""
    for name in ("in", "copies", "archives", "elsewhere"):
        os.makedirs(name, exist_ok=True)  # noqa: PTH103 (one call)
