"""Proofs made from all leaves of a tree: what the product makes from blocks is compared with them.

Making one reads each leaf once and holds one hash a level.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice

from ledger.model.merkle import root_hash
from ledger.proving.proofs import Range, consistency_parts, inclusion_parts


def prove_inclusion(leaves: Iterable[bytes], index: int, size: int) -> list[bytes]:
    """Return the proof that the leaf at `index` is in the tree of the first `size` leaves.

    Args:
        leaves: Leaf hashes in order; at least `size` of them.
        index: 0-based place of the leaf.
        size: Leaves of the tree.

    Raises:
        InvalidValueError: The tree has no such leaf.
    """
    return _roots(leaves, inclusion_parts(index, size))


def prove_consistency(leaves: Iterable[bytes], old: int, new: int) -> list[bytes]:
    """Return the proof that the first `old` leaves are the beginning of the first `new` ones.

    Raises:
        InvalidValueError: `old` is 0 or more than `new`.
    """
    return _roots(leaves, consistency_parts(old, new))


def _roots(leaves: Iterable[bytes], ranges: Sequence[Range]) -> list[bytes]:
    """Return the root of each subtree, in the order given, in one pass over the leaves."""
    stream, place, found = iter(leaves), 0, {}
    for first, last in sorted(ranges):
        for _ in islice(stream, first - place):
            pass
        found[first, last] = root_hash(islice(stream, last - first))
        place = last
    return [found[each] for each in ranges]
