"""The timeline of a lineage, walked as the page walks it, is the lineage at every position."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import msgspec
import pytest

import ledger as ln
from ledger.past.timeline import timeline

ROOT = Path(__file__).resolve().parents[2]
WALKS = ROOT / "tests" / "support" / "timelines.js"
POSITIONS = 20

needs_node = pytest.mark.skipif(
    shutil.which("node") is None, reason="the walk of the page needs node, which is not installed"
)


def as_the_page(line: Any, walks: list[Any], comparisons: list[Any]) -> dict[str, Any]:
    asked = {"line": msgspec.to_builtins(line), "walks": walks, "comparisons": comparisons}
    # A module that is read as text needs no package.json beside it.
    told = subprocess.run(
        ["node", "--experimental-default-type=module", str(WALKS)],  # noqa: S607 (whichever is there)
        input=json.dumps({**asked, "positions": []}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def write(key: str, text: str) -> Any:
    path = Path("work") / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return ln.Artifact(path, key=key).save()


class job:  # noqa: N801 (reads as a word)
    def __init__(self, name: str, **params: object) -> None:
        self.name, self.params = name, params

    def __enter__(self) -> None:
        ln.track(name=self.name, key=f"{self.name}.py", params=self.params, new_run=True)

    def __exit__(self, *_: object) -> None:
        ln.finish()


@pytest.fixture
def lab(here: Path) -> Any:  # noqa: ARG001 (a ledger to write into)
    """One run a sample, made again with another threshold; a merger, a retraction, withdrawals."""
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False

    def everything(version: int, samples: range, threshold: float) -> Any:
        for sample in samples:
            with job("gate", threshold=threshold, sample=sample):
                ln.Artifact.get(key=f"raw/{sample}.csv").cache()
                ln.Artifact.get(key="gates.json").cache()
                write(f"gated/{sample}.csv", f"{sample} {threshold}")
        with job("report", version=version):
            for sample in range(samples.stop):
                ln.Artifact.get(key=f"gated/{sample}.csv").cache()
            # Made again for the third time, this has the bytes of the second.
            return write("report.txt", f"report {min(version, 2)} {threshold}")

    with job("configure"):
        write("gates.json", "0.5")
    with job("ingest"):
        for sample in range(4):
            write(f"raw/{sample}.csv", f"raw {sample}")
    everything(1, range(4), 0.5)
    with job("ingest", again=True):
        for sample in range(4, 6):
            write(f"raw/{sample}.csv", f"raw {sample}")
    everything(2, range(4, 6), 0.5)
    with job("configure", again=True):
        write("gates.json", "0.7")
    ln.Artifact.get(key="gated/1.csv").retract("a pipette that leaked")
    everything(3, range(6), 0.7)
    last = everything(4, range(6), 0.7)
    ln.Artifact.get(key="raw/2.csv").delete()
    ln.Artifact.get(key="gated/3.csv").delete(permanent=True)
    ln.Collection([ln.Artifact.get(key="report.txt")], name="papers").save()
    return last


def positions() -> list[int]:
    head = ln.head()
    return sorted({1, head, *(1 + head * place // POSITIONS for place in range(POSITIONS))})


def newest(uid: str, position: int) -> Any:
    """The version of the result that a lineage begins at, as of a position; None if none."""
    found = ln.as_of(position).Artifact.filter(uid__startswith=uid[:16])
    records = found.with_trash().all()
    latest = [it for it in records if it.is_latest]
    return (latest or records or [None])[-1]


@needs_node
def test_a_walk_over_the_timeline_is_the_lineage_at_every_position(lab: Any) -> None:
    for direction in ("ancestors", "descendants", "both"):
        start = ln.Artifact.get(key="raw/1.csv") if direction == "descendants" else lab
        line = timeline(start, direction=direction)
        assert line.is_complete
        asked = [(position, depth) for position in positions() for depth in (None, 0, 1, 2)]
        walks = as_the_page(line, asked, [])["walks"]
        for (position, depth), walk in zip(asked, walks, strict=True):
            record = newest(start.uid, position)
            if record is None:
                assert walk == {"start": None, "nodes": [], "edges": []}
                continue
            truth = record.lineage(direction=direction, depth=depth, as_of=position).as_json()
            assert walk["start"] == truth["start"]
            assert walk["nodes"] == sorted(node["uid"] for node in truth["nodes"])
            edges = sorted([it["source"], it["target"], it["kind"]] for it in truth["edges"])
            assert walk["edges"] == edges, (position, depth)


@needs_node
def test_a_comparison_on_the_page_is_the_lineage_diff(lab: Any) -> None:
    line = timeline(lab)
    some = [it for it in positions() if newest(lab.uid, it) is not None]
    asked = [(a, b) for a in some[::2] for b in some[1::3] if a <= b]
    assert len(asked) > 5
    compared = as_the_page(line, [], asked)["comparisons"]
    for (a, b), found in zip(asked, compared, strict=True):
        truth = lab.lineage_diff(a, b)
        assert found["added"] == sorted(it.uid for it in truth.added), (a, b)
        assert found["removed"] == sorted(it.uid for it in truth.removed), (a, b)
        assert found["changed"] == sorted(it.uid for it in truth.changed), (a, b)
        assert found["pairs"] == sorted([old, new] for old, new in truth._pairs.items())


def test_alike_places_are_one_group_and_a_limit_says_so(lab: Any) -> None:
    line = timeline(lab)
    named = {it["uid"]: line.slots[it["slot"]] for it in line.nodes}
    slots = {node["slot"] for node in line.nodes if node["names"][-1][1] == "gated/1.csv"}
    assert len(slots) == 1
    groups = {line.groups[slot["group"]] for slot in named.values()}
    assert {"gated/….csv", "raw/….csv", "report.txt", "gates.json"} <= groups
    assert len({it["slot"] for it in line.nodes if it.get("title") == "gate.py"}) == 6
    cut = timeline(lab, limit=5)
    assert not cut.is_complete
    assert len(cut.links) == 5
    with pytest.raises(ln.errors.InvalidValueError, match="direction: expected"):
        timeline(lab, direction="up")
    with pytest.raises(ln.errors.InvalidValueError, match="has none"):
        timeline(ln.ULabel(name="a label").save())
