"""Imports of LaminDB that read no content: `pytest benchmarks/bench_import.py`."""

from __future__ import annotations

import pytest

import ledger as ln
from tests.support.lamindb import Made


@pytest.mark.parametrize("artifacts", [100, 10_000])
def test_import_lamindb_declared(benchmark, tmp_path, monkeypatch, artifacts):
    made = Made(tmp_path / "lamin")
    run = made.run("rUn0000000000001", made.transform("inGestScript0000", "a.py", "# a\n"))
    for number in range(artifacts):
        uid = f"aRtifact{number:08}0000"
        made.artifact(uid, f"f/{number}.csv", None, run_id=run, hash=f"hash{number}")
    root = made.write()
    ln.init("storage", root=tmp_path)
    monkeypatch.chdir(tmp_path)
    before, ln.settings.verbosity = ln.settings.verbosity, "error"
    ln.connect(tmp_path)
    done = benchmark.pedantic(
        ln.bridges.import_lamindb, (root,), {"declare": True}, rounds=1, iterations=1
    )
    ln.close()
    ln.settings.verbosity = before
    assert done.counts["artifact"].imported == artifacts
