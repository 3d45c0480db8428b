"""Measure questions to large registries: `python benchmarks/large.py [--before CHECKOUT]`.

A ledger of many labels (`--labels`) is asked, and its rows are made anew, as a rebuild and an audit
do. With `--before`, another checkout is measured in turns with this one, round by round (see
`reads.py`). Times are processor time of the asking process; they inform and gate nothing.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import reads

LABELS = 20_000
ROWS = 100_000  # made anew; a commit for each cost most from here on


def names(count: int) -> Iterator[str]:
    """Yield names of two words without a meaning: few are similar."""
    for number in range(count):
        digest = (
            hashlib.sha256(b"%d" % number)
            .hexdigest()
            .translate(str.maketrans("0123456789", "ghijklmnop"))
        )
        yield f"{digest[:9]} {digest[9:16]}"


def anew(count: int) -> int:
    """Make the rows of so many labels from their changes, and return their number."""
    from projections.fold import Opened  # noqa: PLC0415 (that of the checkout that is measured)
    from projections.shadow import Shadow  # noqa: PLC0415

    with Shadow() as shadow:
        for position, name in enumerate(names(count), start=1):
            values = {"uid": name[:14], "name": name, "state": 0, "stream": name * 2}
            shadow.apply(position, [Opened("ulabel", values)])
        return sum(1 for _ in shadow.rows("ulabel"))


def worker(labels: int, database: str | None) -> None:
    """Make a ledger, then measure a round for each line that comes in."""
    import ledger as ln  # noqa: PLC0415 (that of the checkout that is measured)

    ln.init("storage", **({} if database is None else {"database": database}))
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    ln.save([ln.ULabel(name=name) for name in names(labels)])
    every = ln.ULabel.filter()
    work: dict[str, tuple[int, Callable[[], object]]] = {
        f"{ROWS:,} rows made anew": (1, lambda: anew(ROWS)),
        "list(query[:20])": (20, lambda: list(every[:20])),
        "query.exists()": (20, every.exists),
        "query.count()": (20, every.count),
    }
    for line in sys.stdin:
        took = {}
        for name, (calls, call) in work.items():
            begun = time.process_time()
            for _ in range(int(line) * calls):
                call()
            took[name] = (time.process_time() - begun) / (int(line) * calls)
        print(json.dumps(took), flush=True)
    ln.close()


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--before", type=Path, help="another checkout, to be measured in turns")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--labels", type=int, default=LABELS)
    parser.add_argument("--worker", nargs="?", const="", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker is not None:
        worker(chosen.labels, chosen.worker or None)
        return
    reads.report(
        rounds=chosen.rounds,
        calls=1,
        before=chosen.before,
        database=chosen.database,
        script=("large.py", "--labels", str(chosen.labels)),
        warm=1,
    )


if __name__ == "__main__":
    main()
