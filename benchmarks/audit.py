"""Measure audit, rebuild and proofs: `python benchmarks/audit.py [--events N] [--database …]`.

Makes a ledger of a million events (`large_ledger.py`), in a SQLite file or on a server of its own
(`--database postgresql`), then does each thing in a process of its own, several times in turns, and
prints medians with their range, the time on the processor, and peak memory. Times inform, they gate
nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import machine  # noqa: E402 (found by the line above)
from large_ledger import commands, fill  # noqa: E402
from report import markdown  # noqa: E402
from workload import SEED, peak_mib  # noqa: E402

import ledger as ln  # noqa: E402
from ledger.places import instance  # noqa: E402

IN_MEMORY = 100_000  # events that are folded into plain Python objects
PROVED, VERIFIED = 20, 200
GROUP, GROUPS = 100, 100
DATABASE = "BENCHMARK_DATABASE"  # names the variable with the URL of the server, if there is one

Measured = dict[str, float]


class Clock:
    """Seconds on the wall and on the processor."""

    def __init__(self) -> None:
        self.wall = self.cpu = 0.0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add what the block takes."""
        wall, cpu = time.perf_counter(), time.process_time()
        yield
        self.wall += time.perf_counter() - wall
        self.cpu += time.process_time() - cpu

    def told(self, what: str, events: int) -> Measured:
        """Return the rates of so many events."""
        return {
            f"{what}, events/s": events / self.wall,
            f"{what}, events/s of CPU": events / self.cpu,
        }


# --- what is measured, each in a process of its own -----------------------------------------------


def rehash() -> Measured:
    """Every row read, looked at, hashed anew, and put into the tree; no rules, no read models."""
    from ledger.auditing.entries import Entries, leaf_of  # noqa: PLC0415
    from ledger.auditing.subjects import of_place  # noqa: PLC0415
    from ledger.model.merkle import Frontier  # noqa: PLC0415
    from ledger.places.discovery import locate  # noqa: PLC0415
    from projections.shadow import seldom_collected  # noqa: PLC0415

    reading, looking, hashing = Clock(), Clock(), Clock()
    entries, tree, again, findings = Entries(), Frontier(), Frontier(), []
    evidence = of_place(locate(None)).open()
    if evidence is None:
        raise SystemExit("no ledger here")
    with closing(evidence), seldom_collected():
        # What SQLite checks meanwhile is part of the whole audit, not of this.
        list(evidence.check(()))
        head = evidence.head()
        batches = evidence.batches(until=head)
        while True:
            with reading.running():
                batch = next(batches, None)
            if batch is None:
                break
            with looking.running():
                _, leaves = entries.take(batch, findings)
                tree.extend(leaves)
            with hashing.running():
                again.extend([leaf_of(row) for row in batch])
    if findings or tree.root() != again.root() or tree.size != head:
        raise SystemExit(f"expected an honest ledger, found {findings[:3]}")
    return (
        reading.told("reading the rows", head)
        | hashing.told("re-hashing alone", head)
        | looking.told("re-hashing, with order and kinds of values", head)
    )


def whole_audit() -> Measured:
    """The audit with a checkpoint, as the command does it."""
    from ledger.auditing.audit import audit  # noqa: PLC0415

    kept, clock = str(ln.checkpoint()), Clock()
    with clock.running():
        report = audit(checkpoints=[kept])
    if not report.ok or report.rehashed != report.events:
        raise SystemExit(f"expected an honest ledger, found {report.findings[:3]}")
    return {**clock.told("whole audit", report.events), "rows compared": report.rows}


def rebuild() -> Measured:
    """The rebuild, with its comparison."""
    from ledger.upkeep.rebuild import rebuild as carry_out  # noqa: PLC0415

    clock = Clock()
    with clock.running():
        done = carry_out()
    if done.differences or done.unreadable:
        raise SystemExit(f"expected no difference, found {done.differences[:3]}")
    return clock.told("rebuild", done.events)


def refold() -> Measured:
    """The first events folded into plain Python objects, one change after the other."""
    from projections.fold import fold  # noqa: PLC0415
    from tests.support.memory_models import MemoryModels  # noqa: PLC0415

    folding, memory, models = Clock(), Clock(), MemoryModels()
    with instance.current().reading() as session:
        events = session.log.read_batch(limit=IN_MEMORY)
    count = len(events)
    with folding.running():
        changes = [(it.position, fold(it)) for it in events]
    with memory.running():
        for position, each in changes:
            models.apply(position, each)
            models.release(0)
    return folding.told("fold alone", count) | memory.told("changes carried out in memory", count)


def proofs() -> Measured:
    """Proofs of inclusion and consistency, made and checked."""
    from ledger.proving.checkpoints import public_key  # noqa: PLC0415
    from ledger.proving.verification import verify  # noqa: PLC0415

    chance = random.Random(SEED)  # noqa: S311 (which entries)
    old = str(ln.checkpoint())
    ln.tag(f"measured-{ln.head()}")
    kept, key, head = str(ln.checkpoint()), str(public_key()), ln.head()
    positions = [chance.randint(1, head - 2) for _ in range(PROVED)]
    making, made = timed(lambda at: ln.prove(at, checkpoint=kept), positions)
    checking, _ = timed(lambda text: verify(text, key=key), made * (VERIFIED // PROVED))
    extending, longer = timed(lambda _: ln.prove(old, checkpoint=kept), range(5))
    following, _ = timed(lambda text: verify(text, key=key, old=old), longer * (VERIFIED // 5))
    signing, _ = timed(lambda _: ln.checkpoint(), range(3))
    return {
        **spread("a proof made", making),
        **spread("a proof checked", checking),
        **spread("a consistency proof made", extending),
        **spread("a consistency proof checked", following),
        **spread("a checkpoint made", signing),
        "bytes of a proof": statistics.median(len(it.encode()) for it in made),
    }


def hashing_in_appends() -> Measured:
    """Grouped appends, with hashes and without, in turns: what is left out is in `_unhashed`."""
    from ledger.eventlog import entry  # noqa: PLC0415

    # In a ledger of its own: what is appended without hashes is no honest log.
    folder = tempfile.mkdtemp(dir=Path.cwd())
    os.chdir(folder)
    ln.init(storage="./storage", database=os.environ.get(DATABASE) or None)
    database, honest = instance.current().database, entry.seal
    source = commands()
    seconds: dict[bool, list[float]] = {True: [], False: []}
    processor: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * GROUPS):
        is_hashed = number % 2 == number // 2 % 2  # in turns, and in turns who is first
        group = [next(source) for _ in range(GROUP)]
        entry.seal = honest if is_hashed else _unhashed
        clock = Clock()
        with clock.running(), database.write() as session:
            for command, drafts in group:
                session.append(command, drafts)
        seconds[is_hashed].append(clock.wall)
        processor[is_hashed].append(clock.cpu)
    entry.seal = honest
    without = statistics.median(seconds[False])
    return {
        "grouped append, events/s": GROUP / statistics.median(seconds[True]),
        "grouped append without hashing, events/s": GROUP / without,
        "share that hashing adds, %": _added(seconds),
        "share that hashing adds, % of CPU": _added(processor),
    }


def _added(seconds: dict[bool, list[float]]) -> float:
    """Return how much more the median group takes that is hashed, in percent."""
    return (statistics.median(seconds[True]) / statistics.median(seconds[False]) - 1) * 100


def _unhashed(envelope: Any, payload: bytes, *, salt: bytes | None = None) -> Any:
    """Return an entry as `seal` does, without salt, canonical envelope and hashes."""
    from ledger.eventlog.entry import Entry  # noqa: PLC0415

    nothing = bytes(32)
    return Entry(envelope=envelope, payload=payload, salt=salt or nothing, leaf=nothing)


def carry() -> Measured:
    """The log into an archive, and a ledger from that archive."""
    from ledger.transfer.archive_export import export  # noqa: PLC0415
    from ledger.transfer.archive_import import restore  # noqa: PLC0415

    out, back = Clock(), Clock()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with out.running():
            done = export(Path(folder, "archive"))
        with back.running():
            restore(Path(folder, "archive"), "./storage", root=Path(folder, "again"))
        size = sum(it.stat().st_size for it in Path(folder, "archive").rglob("*") if it.is_file())
    return {
        **out.told("export", done.events),
        **back.told("import, with the audit of the archive", done.events),
        "bytes of the archive, an event": size / done.events,
    }


TASKS: dict[str, Callable[[], Measured]] = {
    it.__name__: it
    for it in (rehash, whole_audit, rebuild, refold, proofs, hashing_in_appends, carry)
}
GOALS = {
    "re-hashing, with order and kinds of values, events/s of CPU": "250,000",
    "re-hashing alone, events/s of CPU": "250,000",
    "rebuild, events/s": "40,000",
    "a proof checked, ms": "1",
    "share that hashing adds, %": "10",
}


def timed(work: Callable[[Any], Any], given: Any) -> tuple[list[float], list[Any]]:
    """Return the seconds of single calls, and what they returned."""
    seconds, found = [], []
    for each in given:
        began = time.perf_counter()
        found.append(work(each))
        seconds.append(time.perf_counter() - began)
    return seconds, found


def spread(what: str, seconds: list[float]) -> Measured:
    """Return the median and the slowest in a hundred, in milliseconds."""
    ordered = sorted(seconds)
    slowest = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    return {f"{what}, ms": statistics.median(ordered) * 1e3, f"{what}, ms, 99 %": slowest * 1e3}


# --- the whole run --------------------------------------------------------------------------------


def measure(
    folder: Path, tasks: list[str], repeat: int, database: str | None
) -> dict[str, list[Measured]]:
    """Return what each task measured, in turns."""
    environment = {
        **os.environ,
        "METALEDGER_KEY_DIR": str(folder / "keys"),
        DATABASE: database or "",
    }
    found: dict[str, list[Measured]] = {task: [] for task in tasks}
    for number in range(repeat):
        for task in tasks:
            done = subprocess.run(
                [sys.executable, __file__, "--task", task],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
                env=environment,
            )
            if done.returncode:
                raise SystemExit(f"{task}:\n{done.stdout}{done.stderr}")
            found[task].append(json.loads(done.stdout.splitlines()[-1]))
            print(f"{task} {number + 1}/{repeat}", file=sys.stderr, flush=True)
    return found


def build(folder: Path, events: int, database: str | None) -> dict[str, Any]:
    """Make the ledger, and return what it is."""
    os.chdir(folder)
    os.environ["METALEDGER_KEY_DIR"] = str(folder / "keys")
    ln.init(storage="./storage", database=database)
    clock = Clock()
    with clock.running():
        head = fill(instance.current().database, events)
    ln.close()
    file = folder / ".metaledger" / "ledger.db"
    about = {"events": f"{head:,}", "recorded with, events/s": f"{head / clock.wall:,.0f}"}
    if file.exists():
        about["size of the file"] = f"{file.stat().st_size / 1024**2:,.0f} MiB"
    return about


def shown(found: dict[str, list[Measured]]) -> str:
    """Return a table of medians and ranges."""
    rows = [["what", "median (least to most)", "goal", "peak MiB"]]
    for runs in found.values():
        peak = f"{max(run['peak'] for run in runs):,.0f}"
        for name in runs[0]:
            if name == "peak":
                continue
            values = [run[name] for run in runs]
            span = (
                "" if len(values) == 1 else f" ({_figure(min(values))} to {_figure(max(values))})"
            )
            rows.append(
                [name, _figure(statistics.median(values)) + span, GOALS.get(name, ""), peak]
            )
    return markdown(rows)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


@contextmanager
def server(kind: str) -> Iterator[str | None]:
    """Lend the URL of a database: of a server of its own for "postgresql"."""
    if kind != "postgresql":
        yield None if kind == "sqlite" else kind
        return
    from tests.support.servers import PostgresServer  # noqa: PLC0415 (an extra of development)

    started = PostgresServer("synchronous_commit=on")
    try:
        # Tests do without waiting for the disk; what is measured does not.
        started.write("postgresql.auto.conf", "fsync = on\n")
        started.start()
        yield started.url
    finally:
        started.remove()


def run(
    events: int,
    *,
    repeat: int,
    only: str = "",
    database: str = "sqlite",
    folder: str | None = None,
) -> tuple[dict[str, Any], dict[str, list[Measured]]]:
    """Make the ledger, and return what it is and what each task measured."""
    with ExitStack() as stack:
        stack.callback(os.chdir, Path.cwd())
        url = stack.enter_context(server(database))
        base = stack.enter_context(
            tempfile.TemporaryDirectory(prefix="metaledger-bench-", dir=folder)
        )
        about = machine.describe(Path(base))
        about |= build(Path(base), events, url) | {"database": database}
        found = measure(Path(base), [name for name in TASKS if only in name], repeat, url)
    about["load after"] = machine.load()
    return about, found


def main() -> None:
    """Measure, and print; as a task, do that and print what it measured."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--repeat", type=int, default=3)
    options.add_argument("--only", default="", help=f"tasks whose name holds this: {list(TASKS)}")
    options.add_argument("--database", default="sqlite", help="sqlite, postgresql or a URL")
    options.add_argument("--folder", help="where to work; a temporary folder by default")
    options.add_argument("--json", action="store_true", help="print every measurement as JSON")
    options.add_argument("--task", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    ln.settings.verbosity = "error"
    if chosen.task:
        measured = TASKS[chosen.task]()
        print(json.dumps({**measured, "peak": peak_mib()}))
        return
    about, found = run(
        chosen.events,
        repeat=chosen.repeat,
        only=chosen.only,
        database=chosen.database,
        folder=chosen.folder,
    )
    if chosen.json:
        print(json.dumps({"about": about, "found": found}, indent=1))
        return
    for name, value in about.items():
        print(f"{name}: {value}")
    print(f"repetitions: {chosen.repeat}\n")
    print(shown(found))


if __name__ == "__main__":
    main()
