"""Measure single reads: `python benchmarks/reads.py [--before CHECKOUT] [--database postgresql]`.

A ledger of a thousand labels and a hundred artifacts is asked through the public classes. With
`--before`, another checkout that has its own `.venv` is measured in turns with this one, round by
round, so that a busy computer slows both alike, and ratios are taken within a round. Times are
processor time of the asking process (the server's is not in it). Times inform, they gate nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path

import machine
from report import duration, markdown

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent
LABELS, ARTIFACTS = 1_000, 100


class Side:
    """A process that measures one checkout, a round at a time."""

    def __init__(
        self,
        python: str,
        checkout: Path,
        folder: str,
        database: str | None,
        script: str = "reads.py",
        *more: str,
    ) -> None:
        self._process = subprocess.Popen(
            [python, str(HERE / script), *more, "--worker", *([database] if database else [])],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(checkout), str(HERE)])},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def measured(self, calls: int) -> dict[str, float]:
        """Return the seconds of one call of each read, the mean of so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(calls, file=self._process.stdin, flush=True)
        found: dict[str, float] = json.loads(self._process.stdout.readline())
        return found

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def worker(database: str | None) -> None:
    """Make a ledger, then measure a round for each line that comes in."""
    import ledger as ln  # noqa: PLC0415 (that of the checkout that is measured)

    ln.init("storage", **({} if database is None else {"database": database}))
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    labels = ln.save([ln.ULabel(name=f"label {n}") for n in range(LABELS)])
    Path("data").mkdir()
    artifacts = []
    with ln.batch():
        for n in range(ARTIFACTS):
            Path(f"data/{n}.txt").write_text(f"{n}", encoding="utf-8")
            artifacts.append(ln.Artifact(f"data/{n}.txt", key=f"data/{n}.txt").save())
            artifacts[-1].labels.add(labels[n % 10])
    uids = [label.uid for label in labels]
    of_artifacts = [artifact.uid for artifact in artifacts]
    reads: dict[str, Callable[[int], object]] = {
        "ULabel.get(uid)": lambda n: ln.ULabel.get(uids[n % LABELS]),
        "Artifact.get(uid)": lambda n: ln.Artifact.get(of_artifacts[n % ARTIFACTS]),
        "ULabel.get(name=)": lambda n: ln.ULabel.get(name=f"label {n % LABELS}"),
        "Artifact.get(key=)": lambda n: ln.Artifact.get(key=f"data/{n % ARTIFACTS}.txt"),
        "filter(labels__name=).all()": lambda n: ln.Artifact.filter(
            labels__name=f"label {n % 10}"
        ).all(),
        "filter(name__in=).count()": lambda n: ln.ULabel.filter(
            name__in=[f"label {n % LABELS}", f"label {n % 7}"]
        ).count(),
    }
    for line in sys.stdin:
        took = {}
        for name, read in reads.items():
            begun = time.process_time()
            for n in range(int(line)):
                read(n)
            took[name] = (time.process_time() - begun) / int(line)
        print(json.dumps(took), flush=True)
    ln.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout, to be measured in turns")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--calls", type=int, default=200, help="of each read, in a round")
    parser.add_argument("--worker", nargs="?", const="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker is not None:
        worker(chosen.worker or None)
        return
    report(rounds=chosen.rounds, calls=chosen.calls, before=chosen.before, database=chosen.database)


def report(  # noqa: PLR0913 (what `large.py` chooses otherwise)
    *,
    rounds: int,
    calls: int,
    before: Path | None = None,
    database: str = "sqlite",
    script: tuple[str, ...] = ("reads.py",),
    warm: int = 20,
) -> None:
    """Measure a script's worker, and print."""
    with ExitStack() as stack:
        pythons = {"now": (sys.executable, REPOSITORY)}
        if before is not None:
            before = before.resolve()
            pythons = {"before": (str(before / ".venv/bin/python"), before), **pythons}
        sides = {}
        for name, (python, checkout) in pythons.items():
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = None
            if database == "postgresql":
                from appends import server  # noqa: PLC0415 (finds this checkout, in any process)

                url = stack.enter_context(server())
            sides[name] = stack.enter_context(closing(Side(python, checkout, folder, url, *script)))
        about = machine.describe(Path(folder))
        for side in sides.values():
            side.measured(warm)
        found = [
            {name: side.measured(calls) for name, side in sides.items()} for _ in range(rounds)
        ]
    about["load"] = machine.load()
    for name, value in about.items():
        print(f"{name}: {value}")
    print(f"{rounds} rounds of {calls} calls, {database}; median\n")
    print(markdown(table(found)))


def table(rounds: list[dict[str, dict[str, float]]]) -> list[list[str]]:
    """Return the cells of the table, its head first."""
    sides = list(rounds[0])
    lines = [["a read", *sides, *(["now : before (middle half)"] if len(sides) > 1 else [])]]
    for read in rounds[0]["now"]:
        line = [duration(statistics.median(it[side][read] for it in rounds)) for side in sides]
        if len(sides) > 1:
            ratios = [it["now"][read] / it["before"][read] for it in rounds]
            least, middle, most = statistics.quantiles(ratios, n=4)
            line.append(f"{middle:.2f} ({least:.2f} to {most:.2f})")
        lines.append([read, *line])
    return lines


if __name__ == "__main__":
    main()
