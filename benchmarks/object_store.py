"""Content into and out of an object store, beside the bare client on the same server.

`python benchmarks/object_store.py [--repeat 3]` starts a server of its own, or uses the one that
METALEDGER_TEST_S3_URL names. Ours hashes, compares and is conditional; the bare client moves bytes.
Both take turns within a repetition; times inform, they gate nothing.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from ledger.content.backends import open_store  # noqa: E402
from ledger.content.hashing import hash_path  # noqa: E402
from ledger.content.tree import HashedContent  # noqa: E402
from tests.support.object_store import ObjectStore, SeaweedServer, given_store  # noqa: E402

MIB = 1024**2
CASES = {"1 of 1 MiB": (1, MIB), "1 of 16 MiB": (1, 16 * MIB), "1 of 256 MiB": (1, 256 * MIB)}
FOLDER = ("folder of 200 of 10 KiB", 200, 10 * 1024)


def timed(work: Callable[[], None]) -> float:
    """Return the seconds that `work` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(server: ObjectStore, bucket: str, source: Path, repeat: int) -> dict[str, list[float]]:
    """Return the seconds of each way to move what is at `source`, in turns."""
    found: dict[str, list[float]] = {
        name: [] for name in ("upload", "bare upload", "download", "bare download", "ranged 1 MiB")
    }
    hashed = hash_path(source)
    bare = server.files()
    for number in range(repeat):
        key = f"{bucket}/{source.name}-{number}-{time.time_ns()}"
        for what, seconds in once(key, source, hashed, bare).items():
            found[what].append(seconds)
    return found


def once(key: str, source: Path, hashed: HashedContent, bare) -> dict[str, float]:
    """Return the seconds of each way to move what is at `source`, below a key of its own."""
    store = open_store(f"s3://{key}")
    there, recursive = f"{key}/bare", hashed.is_folder
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder, "ours"), Path(folder, "theirs")
        found = {
            "upload": timed(lambda: store.put(source, "content", hashed)),
            "bare upload": timed(lambda: bare.put(str(source), there, recursive=recursive)),
            "download": timed(lambda: store.fetch("content", ours, hashed.digest)),
            "bare download": timed(lambda: bare.get(there, str(theirs), recursive=recursive)),
        }
        if not recursive:
            found["ranged 1 MiB"] = timed(lambda: read_middle(store, hashed.size))
    return found


def read_middle(store, size: int) -> None:
    """Open stored content and read a MiB in the middle of it."""
    with store.open("content") as reader:
        reader.seek(max(0, size // 2 - MIB))
        reader.read(MIB)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    server = given_store()
    own = SeaweedServer() if server is None else None
    if own is not None:
        own.start()
        server = own
    try:
        os.environ.update(server.environment)
        bucket = server.new_bucket()
        with tempfile.TemporaryDirectory() as made:
            sources = []
            for name, (_, size) in CASES.items():
                path = Path(made, name.replace(" ", "-"))
                path.write_bytes(os.urandom(size))
                sources.append((name, path, size))
            name, count, size = FOLDER
            path = Path(made, "folder")
            path.mkdir()
            for number in range(count):
                (path / f"{number}").write_bytes(os.urandom(size))
            sources.append((name, path, count * size))
            # Both sides pay for connections and modules once, before the clock runs.
            measure(server, bucket, sources[0][1], 1)
            print("| what | upload | bare | ratio | download | bare | ratio | 1 MiB by range |")
            print("|---|---|---|---|---|---|---|---|")
            for name, path, size in sources:
                print(row(name, size, measure(server, bucket, path, repeat)))
    finally:
        if own is not None:
            own.remove()


def row(name: str, size: int, found: dict[str, list[float]]) -> str:
    """Return a line of the table: medians in MiB/s, ratios of times."""
    middle = {what: statistics.median(times) for what, times in found.items() if times}
    cells = [name]
    for what in ("upload", "download"):
        ours, bare = middle[what], middle[f"bare {what}"]
        cells += [f"{size / MIB / ours:.0f} MiB/s", f"{size / MIB / bare:.0f} MiB/s"]
        cells.append(f"{ours / bare:.2f}")
    ranged = middle.get("ranged 1 MiB")
    cells.append("" if ranged is None else f"{ranged * 1000:.1f} ms")
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
