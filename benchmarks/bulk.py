"""What many saves in one transaction cost, against another checkout and in turns with it.

`python benchmarks/bulk.py --before CHECKOUT`: processor time of the saving process, a record, each
measurement in a process and a ledger of its own, in the folder for temporary files. Both states
use the environment that runs this. On a server, its own time is left out.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(HERE))

from tests.support.servers import PostgresServer, new_schema  # noqa: E402 (found by the line above)

WORK = """
import sys, time
from pathlib import Path
import ledger as ln

kind, count, url = sys.argv[1], int(sys.argv[2]), sys.argv[3] or None
ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
ln.init("storage", database=url)
ln.track(key="script.py")
ln.ULabel("first").save()
if kind == "files":
    Path("in").mkdir()
    for number in range(count):
        Path(f"in/{number}.txt").write_text(f"content {number} " * 300)
begin = time.process_time()
if kind == "save":
    ln.save([ln.ULabel(f"label number {number}") for number in range(count)])
elif kind == "batch":
    with ln.batch():
        for number in range(count):
            ln.ULabel(f"label number {number}").save()
else:
    ln.save(ln.Artifact.from_dir("in"))
print((time.process_time() - begin) / count * 1e6)
ln.finish()
"""
WORKS = {"save": 2_000, "batch": 2_000, "files": 500}


def measured(checkout: Path, kind: str, count: int, url: str) -> float:
    """Return microseconds of processor time for a record."""
    with tempfile.TemporaryDirectory(prefix="metaledger-bulk-") as folder:
        script = Path(folder, "work.py")
        script.write_text(WORK)
        done = subprocess.run(
            [sys.executable, str(script), kind, str(count), url],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(checkout)},
            check=True,
            capture_output=True,
            text=True,
        )
    return float(done.stdout.split()[-1])


def main() -> None:
    """Print a line for each kind of work and database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    server = PostgresServer()
    try:
        server.start()
        for database in ("sqlite", "postgres"):
            for kind, count in WORKS.items():
                before, now = [], []
                for _ in range(given.rounds):
                    for checkout, into in ((given.before, before), (HERE, now)):
                        with new_schema(server.url) as url:
                            place = str(url) if database == "postgres" else ""
                            into.append(measured(checkout.resolve(), kind, count, place))
                ratios = sorted(new / old for old, new in zip(before, now, strict=True))
                print(
                    f"{kind} {database}: before {statistics.median(before):.0f} µs, now "
                    f"{statistics.median(now):.0f} µs, ratio {statistics.median(ratios):.2f} "
                    f"({ratios[0]:.2f} to {ratios[-1]:.2f})",
                    flush=True,
                )
    finally:
        server.remove()


if __name__ == "__main__":
    main()
