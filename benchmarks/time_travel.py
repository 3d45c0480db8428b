"""Measure looks at the past and print a table: `python benchmarks/time_travel.py [--artifacts N]`.

The tables are filled in bulk, as a rebuild does it: N artifacts and labels, each with ten earlier
states, and graphs beside them; what is read from the log (histories, differences) is recorded.
Every figure is the median of many single calls through the public classes. Times inform, they gate
nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import ledger as ln
from ledger.model.commands import ChangeRecord, SaveRecord
from ledger.model.ids import derive, stream_id, uid
from ledger.places import instance
from projections.tables import FOREVER, TABLES

STATES = 10


def main() -> None:
    """Build the tables, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--artifacts", type=int, default=100_000)
    count = parser.parse_args().artifacts
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        ln.init("./storage")
        ln.settings.verbosity = "error"
        begun = time.perf_counter()
        head = build(count)
        rows = count * (STATES + 2)
        print(f"{rows:,} rows built in {time.perf_counter() - begun:.0f} s\n")
        print("| what | median | goal |\n|---|---|---|")
        for name, goal, repeats, question in questions(count, head):
            question()
            took = statistics.median(timed(question) for _ in range(repeats))
            print(f"| {name} | {shown(took)} | {goal} |", flush=True)
        ln.close()


def timed(question: Callable[[], object]) -> float:
    begun = time.perf_counter()
    question()
    return time.perf_counter() - begun


def shown(seconds: float) -> str:
    return f"{seconds * 1e3:.3f} ms" if seconds < 1 else f"{seconds:.2f} s"


# --- what there is --------------------------------------------------------------------------------


def build(count: int) -> int:
    """Record what is read from the log, fill the tables, and return the last position."""
    ledger = instance.current()
    handler = ledger.handler
    with handler.batch():
        label = handler.perform(SaveRecord(registry="ulabel", name="often renamed")).uid
        for n in range(2_000):
            change = ChangeRecord(registry="ulabel", uid=label, fields={"description": f"{n}"})
            handler.perform(change if n < 20 else SaveRecord(registry="ulabel", name=f"label {n}"))
    head = ledger.head()
    with ledger.database.write() as session:
        load = session.models.load
        in_order(load, "ulabel", labels(count, head))
        in_order(load, "artifact", artifacts(count))
        links = [*chain(1_000), *ladder(40), *wide(50_000)]
        in_order(load, "link", links)
        nodes = {}
        for link in links:
            ends = {
                "artifact.runs": ("artifact", "run"),
                "run.inputs": ("run", "artifact"),
            }[link["field"]]
            nodes |= dict(zip((link["source"], link["target"]), ends, strict=True))
        for registry in ("artifact", "run"):
            uids = [name for name, kind in nodes.items() if kind == registry]
            in_order(load, registry, (row(registry, name) for name in uids))
    return head


def in_order(load, table: str, rows: Iterable[dict]) -> None:
    load(table, (tuple(each.values()) for each in rows))


def row(table: str, record: str, /, **values: object) -> dict:
    """Return a row of a table, valid from position 1 on unless told otherwise."""
    common = {
        "uid": record,
        "stream": stream_id(["bench", record]),
        "natural": derive(["bench", record]),
        "n": 1,
        "state": 0,
        "created_position": 1,
        "created_at": 0,
        "created_by": "bench",
        "updated_at": 0,
        "changed_by": "bench",
        "stem": record[:16],
        "status": "finished",
        "suffix": "",
        "size": 1,
        "hash": record,
        "digest": record,
        "from_position": 1,
        "to_position": FOREVER,
    }
    return dict.fromkeys(TABLES[table].column_names) | {
        column: value
        for column, value in (common | values).items()
        if column in TABLES[table].column_names
    }


def labels(count: int, head: int):
    step = max(1, (head - 1) // STATES)
    for n in range(count):
        name = uid(["bench label", n], 12)
        for state in range(STATES):
            first = 1 + state * step
            last = FOREVER if state == STATES - 1 else first + step
            text = f"bench {n} state {state}"
            yield row("ulabel", name, name=text, from_position=first, to_position=last)


def artifacts(count: int):
    for n in range(count):
        yield row("artifact", uid(["bench artifact", n], 20), key=f"data/{n}.csv")


def link(field: str, source: str, target: str) -> dict:
    return row("link", "", field=field, source=source, target=target, ordinal=0)


def chain(length: int):
    for n in range(length):
        yield link("run.inputs", f"chain run {n:07}", f"chain artifact {n:05}")
        yield link("artifact.runs", f"chain artifact {n + 1:05}", f"chain run {n:07}")


def ladder(length: int):
    for n in range(length):
        for side in "ab":
            yield link("run.inputs", f"ladder run {n:05}", f"ladder artifact {side} {n:03}")
            yield link("artifact.runs", f"ladder artifact {side} {n + 1:03}", f"ladder run {n:05}")


def wide(runs: int):
    """A tree along time: each run reads one artifact and makes one, ten of them from each."""
    for n in range(1, runs + 1):
        yield link("run.inputs", f"wide run {n:07}", f"wide artifact {(n - 1) // 10:06}")
        yield link("artifact.runs", f"wide artifact {n:06}", f"wide run {n:07}")


# --- what is asked --------------------------------------------------------------------------------


def questions(count: int, head: int):
    """Yield name, goal, repetitions and question."""
    view = ln.as_of(head // 2)
    middle = count // 2
    step = max(1, (head - 1) // STATES)
    state = (head // 2 - 1) // step
    label_uid = uid(["bench label", middle], 12)
    artifact_uid = uid(["bench artifact", middle], 20)
    ledger = instance.current()

    def find(table, **equals):
        with ledger.reading() as session:
            return session.models.find(table, at=head // 2, **equals)

    often = ln.ULabel.get(name="often renamed")
    last = ln.Artifact.get("chain artifact 01000")
    rung = ln.Artifact.get("ladder artifact a 040")
    root = ln.Artifact.get("wide artifact 000000")
    name = f"bench {middle} state {state}"
    yield "uid as of, read models", "0.2 ms", 300, lambda: find("ulabel", uid=label_uid)
    yield "name as of, read models", "0.2 ms", 300, lambda: find("ulabel", name=name)
    yield "view.ULabel.get(uid)", "0.2 ms", 300, lambda: view.ULabel.get(label_uid)
    yield "view.ULabel.get(name=)", "0.2 ms", 300, lambda: view.ULabel.get(name=name)
    yield "view.Artifact.get(uid)", "0.2 ms", 300, lambda: view.Artifact.get(artifact_uid)
    yield "label.history(), 21 events", "1 ms", 100, often.history
    yield "ancestors, chain of 1,000 runs", "30 ms", 20, last.lineage
    yield "… with its edges", "30 ms", 20, lambda: last.lineage().edges
    yield "… with artifacts and runs", "", 20, lambda: _all(last.lineage())
    yield "ancestors, ladder of 40", "10 ms", 50, lambda: rung.lineage().edges
    yield "closure of 100,000 edges", "1 s", 3, lambda: root.lineage(direction="descendants")
    yield "… with its edges", "", 3, lambda: root.lineage(direction="descendants").edges
    yield "diff of 1,000 events", "20 ms", 20, lambda: ln.diff(head - 1_000, head)


def _all(found):
    return len(found.edges), len(found.artifacts), len(found.runs)


if __name__ == "__main__":
    print(f"{Path(__file__).name}\n")
    main()
