"""Signatures of texts: which letters they hold, and how often, in 128 bits.

1. A bit says that a letter occurs at least so many times. An insertion or a deletion changes one
   bit at most, and the order of letters changes none. So two signatures never differ in more bits
   than their texts differ in edits.
2. The bits are chosen for texts of about one length: those that hold for about half of them.

The functions load numpy when they are first called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

BITS = 128
ENDS = (12, 24, 48, 1_024)
"""Numbers of letters up to which texts share the choice of their bits."""
LONGEST = ENDS[-1]
"""No text has so many letters."""
BLOCK = 65_536
"""Texts at a time: what belongs to them stays in the processor's cache."""

_MOST_TIMES = 40  # that a bit asks for
_LETTERS = 26


def counts_of(texts: Sequence[str]) -> Any:
    """Return how often each letter occurs in each text.

    Letters of other scripts are counted with a Latin one: what is counted stays a count.
    """
    import numpy as np  # noqa: PLC0415

    counts = np.zeros((len(texts), _LETTERS), np.uint16)
    for start in range(0, len(texts), BLOCK):
        part = texts[start : start + BLOCK]
        points = np.frombuffer("".join(part).encode("utf-32-le", "surrogatepass"), np.uint32)
        of_text = np.repeat(np.arange(len(part)), [len(it) for it in part])
        places = of_text * _LETTERS + (points - ord("a")) % _LETTERS
        found = np.bincount(places, minlength=len(part) * _LETTERS)
        counts[start : start + len(part)] = found.reshape(len(part), _LETTERS)
    return counts


def telling_bits(counts: Any) -> tuple[Any, Any]:
    """Return letter and times of each bit: the ones that hold for about half of the texts."""
    import numpy as np  # noqa: PLC0415

    times = range(1, _MOST_TIMES + 1)
    holds = np.array([(counts >= n).sum(axis=0) for n in times]) / max(1, len(counts))
    chosen = np.argsort(np.abs(holds - 0.5).ravel(), kind="stable")[:BITS]
    return (chosen % _LETTERS).astype(np.int16), (chosen // _LETTERS + 1).astype(np.int16)


def signatures(counts: Any, letters: Any, times: Any) -> Any:
    """Return the two halves of the signature of each text, by the counts of its letters."""
    import numpy as np  # noqa: PLC0415

    halves = np.zeros((len(counts), 2), np.uint64)
    for start in range(0, len(counts), BLOCK):
        bits = counts[start : start + BLOCK, letters] >= times
        halves[start : start + BLOCK] = np.packbits(np.ascontiguousarray(bits), axis=1).view(
            np.uint64
        )
    return halves
