"""How many near-duplicates the search for similar names finds, and how many names it shows.

`python benchmarks/similar_names.py NAMES` reads names, one a line, takes some of them for the
registry, changes others of these by one kind of slip, and asks for the changed name. It is done
for several bounds on the edits of letters (`projections.names.rule.MOST_EDITS`). Names are drawn by
a fixed seed. A second registry has made names that share a long beginning.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from projections.names import rule
from projections.names.index import NameIndex

SEED = 2026
BOUNDS = (8, 12, 16)
QUERIES = 100
REGISTRY = 5_000
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BEGINNING = "Human PBMC scRNA-seq of donor "
SUFFIXES = (" v2", " final", " copy", " new", " (old)", " filtered", " run 2", " replicate")


def typo(draw: random.Random, name: str) -> str:
    """Replace one letter."""
    at = draw.randrange(len(name))
    return name[:at] + draw.choice(LETTERS) + name[at + 1 :]


def dropped(draw: random.Random, name: str) -> str:
    """Leave one word out."""
    words = name.split()
    del words[draw.randrange(len(words))]
    return " ".join(words)


def added(draw: random.Random, name: str) -> str:
    """Put one more word in, of those that names here have."""
    words = name.split()
    words.insert(draw.randrange(len(words) + 1), draw.choice(["the", "tool", "library", "data"]))
    return " ".join(words)


def reordered(draw: random.Random, name: str) -> str:
    """Turn the words about one place round."""
    words = name.split()
    at = draw.randrange(1, len(words))
    return " ".join(words[at:] + words[:at])


SLIPS: dict[str, Callable[[random.Random, str], str]] = {
    "1 letter": typo,
    "2 letters": lambda draw, name: typo(draw, typo(draw, name)),
    "4 letters": lambda draw, name: typo(draw, typo(draw, typo(draw, typo(draw, name)))),
    "word order": reordered,
    "order + 1 letter": lambda draw, name: typo(draw, reordered(draw, name)),
    "suffix": lambda draw, name: name + draw.choice(SUFFIXES),
    "word dropped": dropped,
    "word added": added,
    "plural": lambda _, name: name + "s",
    "first 80 %": lambda _, name: name[: len(name) * 4 // 5],
}


def index_of(names: list[str]) -> NameIndex:
    """Return an index in memory."""
    index = NameIndex()
    for number, name in enumerate(names):
        index.put(f"{number}", name)
    return index


def main() -> None:
    """Print a table for each kind of names."""
    draw = random.Random(SEED)  # noqa: S311 (not a secret)
    lines = Path(sys.argv[1]).read_text().splitlines()
    for kind, least, most in (("short", 8, 30), ("long", 31, 80)):
        fitting = sorted({it for it in lines if least <= len(it) <= most and len(it.split()) > 1})
        names = draw.sample(fitting, min(REGISTRY, len(fitting)))
        index = index_of(names)
        wrong = {it: [(n, slip(draw, n)) for n in names[:QUERIES]] for it, slip in SLIPS.items()}
        print(f"{len(names):,} {kind} names, {least} to {most} characters: found among 5, of 100")
        print("bound", *SLIPS, "new names that warn", sep=" | ")
        new = draw.sample(sorted({*fitting} - {*names}), QUERIES) if len(fitting) > REGISTRY else []
        for bound in BOUNDS:
            rule.MOST_EDITS = bound
            found = [
                sum(any(hit.name == name for hit in index.similar(asked, limit=5).hits)
                    for name, asked in asked_for)
                for asked_for in wrong.values()
            ]  # fmt: skip
            warned = sum(bool(index.similar(it, limit=5).hits) for it in new)
            print(bound, *found, f"{warned} of {len(new)}", sep=" | ")
    words = sorted({word for line in lines for word in line.split() if word.isalpha()})
    made = [BEGINNING + " ".join(draw.sample(words, 2)) for _ in range(REGISTRY + QUERIES)]
    index, new = index_of(made[QUERIES:]), made[:QUERIES]
    print(f"{REGISTRY:,} names that begin with '{BEGINNING}'")
    print("bound | similar, median | typos found | ms a search")
    for bound in BOUNDS:
        rule.MOST_EDITS = bound
        begin = time.process_time()
        answers = [index.similar(name, limit=5) for name in new]
        taken = time.process_time() - begin
        median = statistics.median(len(it.hits) + it.more for it in answers)
        wrong_ = [(name, typo(draw, name)) for name in made[-QUERIES:]]
        hits = sum(any(h.name == n for h in index.similar(q, limit=5).hits) for n, q in wrong_)
        print(bound, median, hits, f"{taken / QUERIES * 1_000:.2f}", sep=" | ")


if __name__ == "__main__":
    main()
