"""The rule for similar names: numbers agree, letters are near, the score is high enough.

The rules, in the order they are checked:

1. The numbers of one name are among the numbers of the other, counted with repetition; a name
   without letters needs the very same numbers. Without this rule serial names
   (`sample_0001` … `sample_9999`) are all similar to one another.
2. The Indel distance of the letters (insertions and deletions that turn one text into the other),
   taken in their order or with sorted words, whichever is less, is at most `letter_bound`.
3. The score reaches the cutoff. Equal texts have the score 100, texts without a common character 0.
   Compact texts and texts with sorted tokens are compared; the higher score counts.

This module computes no distance: an index plans a search with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from projections.names.normalise import NameKey

CUTOFF = 82.0
"""Score that makes a name similar in a registry of up to `LARGE` names."""

LARGE_CUTOFF = 85.0
"""The same for more names: a crowded registry has a neighbour for nearly every new name."""

LARGE = 100_000

MOST_EDITS = 16
"""Largest distance between the letters of similar names, however long they are."""

_EDITS_PERCENT = 18.0
_ACCESSION_DIGITS = 3


def default_cutoff(names: int) -> float:
    """Return the score that makes a name similar in a registry of so many names."""
    return CUTOFF if names <= LARGE else LARGE_CUTOFF


def letter_bound(query: NameKey, length: int, cutoff: float) -> int:
    """Return the largest Indel distance between the letters of `query` and of a similar name.

    It is 18 % of both lengths together, at least 1 and at most 16. For a query with three digits or
    more it is at least 2: an accession (`GSX3000123`) has few letters, which may be swapped.

    Args:
        query: The name that is asked about.
        length: Number of letters in the other name.
        cutoff: Score in force. One below 82 raises the 18 % to its distance from 100, to have an
            effect on names without numbers too.
    """
    least = 2 if sum(map(len, query.numbers)) >= _ACCESSION_DIGITS else 1
    percent = max(_EDITS_PERCENT, 100.0 - cutoff)
    share = int(percent * (len(query.letters) + length) / 100.0)
    return min(MOST_EDITS, max(least, share))


def are_among(few: tuple[str, ...], many: tuple[str, ...]) -> bool:
    """Return whether `many` holds every number of `few`, counted with repetition; both sorted."""
    rest = iter(many)
    return all(number in rest for number in few)


def numbers_agree(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    """Return whether the numbers of one name, sorted, are among those of the other."""
    return are_among(one, other) or are_among(other, one)


def needs_equal_numbers(one: NameKey, other: NameKey) -> bool:
    """Return whether one of the names has no letters: only its numbers distinguish it."""
    return not (one.letters and other.letters)


def selections(numbers: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Return each selection from sorted `numbers` once, from none of them to all of them.

    There are up to 2 ** len(numbers): look at the length first.
    """
    for size in range(len(numbers) + 1):
        yield from dict.fromkeys(combinations(numbers, size))
