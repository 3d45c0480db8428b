"""Appends per second from several writers, and how long one save takes: on both databases.

`python benchmarks/appends.py [--quick] [--repeat 3] [--json]`, or `benchmarks/run.py --appends`.
Everything goes through the public door. A server of its own is started, one that waits for the
disk at each commit, unless METALEDGER_TEST_POSTGRES_URL names another.

Each measurement is a process of its own, or several, on an empty ledger: in a fresh folder, and a
fresh schema. Writers connect and save once, wait for each other, and begin together; the clock runs
from there to the end of the last one. Databases take turns within a repetition.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import machine
from report import duration, markdown

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.support.servers import POSTGRES_VARIABLE, PostgresServer  # noqa: E402 (found by the line above)

DATABASES = ("sqlite", "postgres")
HUNDRED = 100
QUICK = 10  # times fewer saves


@dataclass(frozen=True, kw_only=True)
class Case:
    """Some writers, each with the same number of saves.

    Attributes:
        threads: Writers of one process.
        processes: How many such processes.
        group: Events of one commit, as `ln.save([...])` makes it; 1 for plain `save()`.
        commits: Saves of each writer.
    """

    threads: int = 1
    processes: int = 1
    group: int = 1
    commits: int

    @property
    def id(self) -> str:
        """Return its name in the table."""
        writers = self.threads * self.processes
        how = "1 writer" if writers == 1 else f"{writers} threads"
        if self.processes > 1:
            how = f"{self.processes} processes"
        return f"{how}, {self.group} a commit"

    @property
    def events(self) -> int:
        """Return how many events all writers record."""
        return self.threads * self.processes * self.commits * self.group

    def scaled(self, scale: int) -> Case:
        """Return the same with so many times fewer saves, but one of each writer."""
        return replace(self, commits=max(1, self.commits // scale))


CASES = [
    Case(commits=600),
    Case(threads=4, commits=200),
    Case(processes=4, commits=200),
    Case(threads=16, commits=60),
    Case(group=HUNDRED, commits=20),
    Case(threads=4, group=HUNDRED, commits=6),
    Case(processes=4, group=HUNDRED, commits=6),
    Case(threads=16, group=HUNDRED, commits=2),
]
LATENCY = 600  # saves, one after another, inside a run; and the same script once more


# --- writers --------------------------------------------------------------------------------------


def write(case: Case, me: int) -> dict[str, float]:
    """Do the work of one process, from the moment at which it is let go."""
    import ledger as ln  # noqa: PLC0415 (the measured process alone loads it)

    quiet(ln)

    def work(thread: int) -> tuple[float, float]:
        began = time.monotonic()
        for number in range(case.commits):
            names = [f"{me} {thread} {number} {at}" for at in range(case.group)]
            if case.group == 1:
                ln.ULabel(names[0]).save()
            else:
                ln.save([ln.ULabel(name) for name in names])
        return began, time.monotonic()

    ln.ULabel(f"{me} is there").save()
    print("ready", flush=True)
    sys.stdin.readline()
    with ThreadPoolExecutor(case.threads) as pool:
        spans = list(pool.map(work, range(case.threads)))
    return {"began": min(began for began, _ in spans), "ended": max(ended for _, ended in spans)}


def wait(saves: int) -> dict[str, list[float]]:
    """Return the seconds that each save took in a first pass, and in a replay of it."""
    import ledger as ln  # noqa: PLC0415 (as above)

    quiet(ln)
    found = {}
    for which in ("first pass", "replay"):
        ln.track(key="latency.py")
        seconds = []
        for number in range(saves):
            label = ln.ULabel(f"label {number}")
            began = time.perf_counter()
            label.save()
            seconds.append(time.perf_counter() - began)
        ln.finish()
        found[which] = seconds
    return found


def quiet(ln) -> None:
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False


# --- measuring ------------------------------------------------------------------------------------


class Places:
    """Empty ledgers, one a measurement."""

    def __init__(self, base: Path, server: str) -> None:
        self._base = base
        self._server = server

    @contextmanager
    def ledger(self, database: str) -> Iterator[Path]:
        """Lend the folder of a new ledger; nothing is left of it afterwards."""
        folder = Path(tempfile.mkdtemp(dir=self._base))
        schema = f"bench_{secrets.token_hex(6)}"
        url = None if database == "sqlite" else f"{self._server}?schema={schema}"
        run(folder, f"import ledger as ln; ln.init('storage', database={url!r})")
        try:
            yield folder
        finally:
            if url is not None:
                drop = "from ledger.places import instance; instance.current().database.drop()"
                run(folder, drop)
            shutil.rmtree(folder)


def environment() -> dict[str, str]:
    """Return the environment of a writer."""
    paths = os.pathsep.join([str(HERE.parent), str(HERE)])
    return {**os.environ, "PYTHONPATH": paths, "PYTHONWARNINGS": "ignore"}


def run(folder: Path, text: str) -> None:
    """Run a program in a folder."""
    subprocess.run([sys.executable, "-c", text], cwd=folder, env=environment(), check=True)


def start(folder: Path, task: dict[str, object]) -> subprocess.Popen[str]:
    """Start a writer."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "appends.py"), "--task", json.dumps(task)],
        cwd=folder,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def answers(writers: list[subprocess.Popen[str]]) -> list[dict]:
    """Let writers go together, and return what they say."""
    for writer in writers:
        writer.stdout.readline()
    for writer in writers:
        writer.stdin.write("go\n")
        writer.stdin.flush()
    said = [writer.communicate()[0] for writer in writers]
    if any(writer.returncode for writer in writers):
        raise SystemExit("a writer failed")
    return [json.loads(it) for it in said]


def throughput(folder: Path, case: Case) -> float:
    """Return the events per second of a case."""
    writers = [
        start(folder, {"case": asdict(case), "me": number}) for number in range(case.processes)
    ]
    spans = answers(writers)
    seconds = max(it["ended"] for it in spans) - min(it["began"] for it in spans)
    return case.events / seconds


def measure(places: Places, repeat: int, scale: int) -> dict[str, dict]:
    """Return what was measured: events per second, and seconds of each save."""
    rates: dict[str, dict[str, list[float]]] = {}
    waits: dict[str, dict[str, list[float]]] = {}

    def say(what: str) -> None:
        print(f"measured {what}", file=sys.stderr, flush=True)

    for number in range(repeat):
        for case in CASES:
            scaled = case.scaled(scale)
            for database in DATABASES:
                with places.ledger(database) as folder:
                    found = throughput(folder, scaled)
                rates.setdefault(case.id, {}).setdefault(database, []).append(found)
            say(f"{case.id}, repetition {number + 1} of {repeat}")
        for database in DATABASES:
            with places.ledger(database) as folder:
                (seconds,) = answers([start(folder, {"saves": LATENCY // scale})])
            for which, them in seconds.items():
                waits.setdefault(which, {}).setdefault(database, []).extend(them)
        say(f"latency, repetition {number + 1} of {repeat}")
    return {"appends": rates, "latency": waits}


# --- telling --------------------------------------------------------------------------------------


def tables(found: dict[str, dict]) -> str:
    """Return what was measured as two tables."""
    lines = [["events per second", *DATABASES]]
    for case, by_database in found["appends"].items():
        lines.append([case, *(rate(by_database[it]) for it in DATABASES)])
    waits = [["one save", "database", "median", "95 %", "99 %", "most"]]
    for which, by_database in found["latency"].items():
        for database, seconds in by_database.items():
            cuts = statistics.quantiles(seconds, n=100)
            shown = [cuts[49], cuts[94], cuts[98], max(seconds)]
            waits.append([which, database, *map(duration, shown)])
    return f"{markdown(lines)}\n\n{markdown(waits)}"


def rate(found: list[float]) -> str:
    """Return median and range of rates."""
    return f"{statistics.median(found):,.0f} ({min(found):,.0f} to {max(found):,.0f})"


@contextmanager
def server() -> Iterator[str]:
    """Lend the URL of a server: the one that was named, or one of our own."""
    given = os.environ.get(POSTGRES_VARIABLE)
    if given:
        yield given
        return
    # Tests do without fsync; here it is what is measured.
    own = PostgresServer("fsync=on")
    try:
        own.start()
        yield own.url
    finally:
        own.remove()


def version(url: str) -> str:
    """Return the version of a server."""
    import psycopg  # noqa: PLC0415 (only where a server is)

    with psycopg.connect(url) as connection:
        return str(connection.execute("SHOW server_version").fetchone()[0])


def report(*, repeat: int, quick: bool, as_json: bool, folder: str | None = None) -> None:
    """Measure, and print."""
    base = Path(tempfile.mkdtemp(prefix="metaledger-appends-", dir=folder))
    scale = QUICK if quick else 1
    try:
        with server() as url:
            about = machine.describe(base) | {
                "postgres": version(url),
                "psycopg": machine.version_of("psycopg"),
            }
            found = measure(Places(base, url), repeat, scale)
    finally:
        shutil.rmtree(base, ignore_errors=True)
    about["load after"] = machine.load()
    if as_json:
        print(json.dumps({"machine": about, **found}, indent=1))
        return
    for name, value in about.items():
        print(f"{name}: {value}")
    events = [case.scaled(scale).events for case in CASES]
    print(f"repetitions: {repeat}; median (least to most)")
    print(f"events a repetition: {min(events):,} to {max(events):,}\n")
    print(tables(found))


def main() -> None:
    """Measure, or be one of those that are measured."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--quick", action="store_true", help=f"{QUICK} times fewer saves")
    options.add_argument("--json", action="store_true", help="print every measurement as JSON")
    options.add_argument("--repeat", type=int, default=3, help="repetitions; 3 by default")
    options.add_argument("--folder", help="where to work; a temporary folder by default")
    options.add_argument("--task", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.task is None:
        report(repeat=chosen.repeat, quick=chosen.quick, as_json=chosen.json, folder=chosen.folder)
        return
    task = json.loads(chosen.task)
    if "case" in task:
        print(json.dumps(write(Case(**task["case"]), task["me"])))
        return
    print("ready", flush=True)
    sys.stdin.readline()
    print(json.dumps(wait(task["saves"])))


if __name__ == "__main__":
    main()
