"""Measure all workloads and print a table: `python benchmarks/run.py [--quick] [--json]`.

Every measurement is a process of its own in a fresh folder. In each repetition product, floor and
peer take turns, so that a busy computer slows all of them alike; ratios are taken within a
repetition. Times inform, they gate nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import appends
import machine
import reads
from report import Row, markdown, table
from workload import Task, make_files

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
QUICK = 100
AUDITED = 20_000  # events; `audit.py` by itself takes a million

COUNT = "import ledger as ln; ln.ULabel.filter().count()"
FLOOR_COUNT = (
    "import sqlite3; c = sqlite3.connect('.metaledger/ledger.db'); "
    "c.execute('SELECT count(*) FROM ulabel').fetchone()"
)
PEER_COUNT = "import lamindb as ln; ln.ULabel.filter().count()"


@dataclass(frozen=True, kw_only=True)
class Case:
    """A workload; its id says all that was chosen about it."""

    work: str
    how: str = "one"
    is_replay: bool = False
    search: bool = False

    def id(self, count: int) -> str:
        """Return its name in the table."""
        what = "replay" if self.is_replay else "new"
        looked = "-search" if self.search else ""
        size = f"{count // 1000}k" if count % 1000 == 0 else str(count)
        return f"{self.work}-{what}{looked}[{size}-{self.how}-sqlite]"


CASES = [
    Case(work="labels"),
    Case(work="labels", how="save"),
    Case(work="labels", how="batch"),
    Case(work="labels", search=True),
    Case(work="labels", how="save", search=True),
    Case(work="labels", how="batch", search=True),
    Case(work="labels", is_replay=True),
    Case(work="labels", how="save", is_replay=True),
    Case(work="files"),
    Case(work="files", how="save"),
    Case(work="files", how="batch"),
    Case(work="files", is_replay=True),
    Case(work="files", how="save", is_replay=True),
]


@dataclass(frozen=True, kw_only=True)
class Sides:
    """Who is measured, and where."""

    peer: str | None
    base: Path
    environment: dict[str, str]

    def workers(self) -> dict[str, list[str]]:
        """Return the program of each side."""
        workers = {
            "ledger": [sys.executable, str(HERE / "product.py")],
            "floor": [sys.executable, str(HERE / "floor.py")],
        }
        if self.peer is not None:
            workers["peer"] = [self.peer, str(HERE / "peer_lamindb.py")]
        return workers

    def measure(self, program: list[str], case: Case, count: int) -> tuple[float, float]:
        """Return seconds and peak memory of a workload in a fresh folder."""
        with tempfile.TemporaryDirectory(dir=self.base) as folder:
            if case.work == "files":
                make_files(Path(folder, "data"), count)
            result = Path(folder, "measured.json")
            task = Task(
                work=case.work,
                how=case.how,
                is_replay=case.is_replay,
                search=case.search,
                count=count,
                folder=folder,
                result=str(result),
            )
            if case.is_replay:
                self.call(program, replace(task, is_timed=False))
            self.call(program, task)
            measured = json.loads(result.read_text(encoding="utf-8"))
        return measured["seconds"], measured["peak_mib"]

    def call(self, program: list[str], task: Task) -> None:
        """Have a worker do a task.

        Raises:
            SystemExit: It could not.
        """
        done = subprocess.run(
            program,
            input=task.to_json(),
            env=self.environment,
            cwd=task.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{program[-1]} {task}:\n{done.stdout}{done.stderr}")

    def start(self, command: list[str], folder: Path) -> float:
        """Return the seconds of a whole process."""
        started = time.perf_counter()
        subprocess.run(command, cwd=folder, env=self.environment, check=True, capture_output=True)
        return time.perf_counter() - started


def command_line() -> list[str]:
    """Return how the command is started: as installed, else as a module."""
    installed = Path(sys.executable).with_name("metaledger")
    return [str(installed)] if installed.exists() else [sys.executable, "-m", "ledger"]


def measure_starts(sides: Sides, repeat: int, say: Callable[[str], None]) -> list[Row]:
    """Measure whole processes, in a ledger of ten labels."""
    python = sys.executable
    with tempfile.TemporaryDirectory(dir=sides.base) as name:
        folder = Path(name)
        task = Task(
            work="labels", how="save", is_replay=False, search=False, count=10,
            folder=name, result=str(folder / "measured.json"),
        )  # fmt: skip
        for program in sides.workers().values():
            sides.call(program, task)
        sides = replace(
            sides,
            environment={**sides.environment, "LAMIN_SETTINGS_DIR": str(folder / "settings")},
        )
        bare = [python, "-c", "pass"]
        starts: list[tuple[str, dict[str, list[str]]]] = [
            ("start[import]", {"ledger": [python, "-c", "import ledger"], "floor": bare}),
            (
                "start[count]",
                {"ledger": [python, "-c", COUNT], "floor": [python, "-c", FLOOR_COUNT]},
            ),
        ]
        if sides.peer is not None:
            starts[0][1]["peer"] = [sides.peer, "-c", "import lamindb"]
            starts[1][1]["peer"] = [sides.peer, "-c", PEER_COUNT]
        starts += [
            ("start[metaledger --help]", {"ledger": [*command_line(), "--help"]}),
            ("start[metaledger info]", {"ledger": [*command_line(), "info"]}),
        ]
        rows = []
        for label, commands in starts:
            commands.setdefault("floor", bare)
            row = Row(id=label)
            try:
                for command in commands.values():
                    sides.start(command, folder)  # so that bytecode and pages are there
            except subprocess.CalledProcessError as error:
                say(f"nothing for {label}: {error}\n{error.stderr.decode()[-500:]}")
                continue
            for _ in range(repeat):
                for side, command in commands.items():
                    row.add(side, sides.start(command, folder), None)
            say(label)
            rows.append(row)
    return rows


def measure(sides: Sides, counts: dict[str, int], repeat: int, only: str) -> list[Row]:
    """Measure everything whose id holds `only`."""

    def say(label: str) -> None:
        print(f"measured {label}", file=sys.stderr, flush=True)

    rows = []
    for case in CASES:
        count = counts[case.work]
        if only not in case.id(count):
            continue
        row = Row(id=case.id(count), count=count)
        for _ in range(repeat):
            for side, program in sides.workers().items():
                row.add(side, *sides.measure(program, case, count))
        say(row.id)
        rows.append(row)
    if "start".startswith(only) or only.startswith("start"):
        rows += measure_starts(sides, 2 * repeat, say)
    return rows


def main() -> None:
    """Measure, and print."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help=f"{QUICK} records, two repetitions")
    options.add_argument("--json", action="store_true", help="print every measurement as JSON")
    options.add_argument("--repeat", type=int, help="repetitions; 5 by default")
    options.add_argument("--labels", type=int, help="how many labels; 1,000 by default")
    options.add_argument("--files", type=int, help="how many files; 1,000 by default")
    options.add_argument("--events", type=int, help=f"how many are audited; {AUDITED:,} by default")
    options.add_argument("--only", default="", help="only workloads whose id holds this text")
    options.add_argument("--peer", help="a Python that has LaminDB, to be measured beside")
    options.add_argument(
        "--appends", action="store_true", help="writers at once and latencies instead; appends.py"
    )
    options.add_argument("--reads", action="store_true", help="single reads instead; reads.py")
    options.add_argument("--folder", help="where to work; a temporary folder by default")
    chosen = options.parse_args()
    size = QUICK if chosen.quick else 1000
    counts = {"labels": chosen.labels or size, "files": chosen.files or size}
    if chosen.appends:
        appends.report(
            repeat=chosen.repeat or 3,
            quick=chosen.quick,
            as_json=chosen.json,
            folder=chosen.folder,
        )
        return
    if chosen.reads:
        reads.report(rounds=chosen.repeat or (5 if chosen.quick else 30), calls=200)
        return
    repeat = chosen.repeat or (2 if chosen.quick else 5)
    base = Path(tempfile.mkdtemp(prefix="metaledger-bench-", dir=chosen.folder))
    sides = Sides(
        peer=chosen.peer,
        base=base,
        environment={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(REPOSITORY), str(HERE)]),
            "PYTHONWARNINGS": "ignore",
        },
    )
    try:
        about = machine.describe(base, peer=chosen.peer)
        rows = measure(sides, counts, repeat, chosen.only)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    about["load"] = machine.load()
    if chosen.json:
        measured = [
            {"id": row.id, "count": row.count, "seconds": row.seconds, "peak_mib": row.peak_mib}
            for row in rows
        ]
        print(json.dumps({"machine": about, "rows": measured}, indent=1))
        return
    for name, value in about.items():
        print(f"{name}: {value}")
    print(f"repetitions: {repeat} (starts: {2 * repeat}); median (least to most)\n")
    print(markdown(table(rows, with_peer=chosen.peer is not None)))
    if "audit".startswith(chosen.only):
        import audit  # noqa: PLC0415 (loads the product, which the others measure from outside)

        events = chosen.events or (AUDITED // 10 if chosen.quick else AUDITED)
        _, found = audit.run(events, repeat=1 if chosen.quick else 3, folder=chosen.folder)
        print(f"\naudit, rebuild and proofs of {events:,} events\n")
        print(audit.shown(found))


if __name__ == "__main__":
    main()
