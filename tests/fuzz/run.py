"""Fuzz one target with atheris: `python tests/fuzz/run.py events CORPUS [-max_total_time=60 …]`.

Options are those of libFuzzer. What it finds is written beside the corpus and raised here.
"""

from __future__ import annotations

import sys

import atheris

# Only our own code is watched: that is where the branches are that an input shall reach.
with atheris.instrument_imports(include=["ledger", "projections"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until the time is over, or until something is found."""
    target = TARGETS[sys.argv[1]]
    target.seeds()
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
