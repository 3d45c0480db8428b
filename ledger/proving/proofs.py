"""Proofs about the tree: RFC 6962 section 2.1, verified as RFC 9162 section 2.1 says step by step.

1. An inclusion proof shows that a leaf is in a tree of some size at some index.
2. A consistency proof shows that a tree is the beginning of a larger one. A tree of size 0 is the
   beginning of every tree: nothing is shown by it, and it is refused.
3. A proof is a list of hashes, and verifying one needs nothing but the roots. What does not verify
   raises; nothing is ever half verified.
4. Which subtrees a proof is made of (`inclusion_parts`, `consistency_parts`) can be asked without
   any leaf.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledger.errors import InvalidProofError, InvalidValueError
from ledger.model.merkle import EMPTY_ROOT, node_hash

HASH_BYTES = 32

Range = tuple[int, int]  # leaves [first, last) of one subtree


def inclusion_parts(index: int, size: int) -> list[Range]:
    """Return the subtrees whose roots prove that a leaf is in a tree of this size.

    Raises:
        InvalidValueError: The tree has no such leaf.
    """
    if not 0 <= index < size:
        raise InvalidValueError(f"inclusion proof: expected an index below {size}, got {index}")
    return _around(index, 0, size)


def consistency_parts(old: int, new: int) -> list[Range]:
    """Return the subtrees whose roots prove that a tree is the beginning of another.

    Raises:
        InvalidValueError: `old` is 0 or more than `new`.
    """
    if not 0 < old <= new:
        raise InvalidValueError(
            f"consistency proof: expected an older size of 1 to {new}, got {old}"
        )
    return _beside(old, 0, new, is_whole=True)


def verify_inclusion(  # noqa: PLR0913 (what the claim is about)
    proof: Sequence[bytes], *, leaf: bytes, index: int, size: int, root: bytes, first: int = 0
) -> None:
    """Return if the leaf is in the tree; RFC 9162 section 2.1.3.2.

    Args:
        proof: Hashes from the leaf's sibling upward.
        leaf: Leaf hash.
        index: 0-based place of the leaf in the log.
        size: Leaves of the tree, or the end of the subtree.
        root: Root hash.
        first: Where the subtree begins that the root is over; the whole tree by default.

    Raises:
        InvalidProofError: The proof does not show it.
    """
    if not (_is_subtree(first, size) and first <= index < size):
        raise InvalidProofError(
            f"inclusion proof: expected an index from {first} to below {size}, found {index}"
        )
    if len(leaf) != HASH_BYTES or len(root) != HASH_BYTES:
        raise InvalidProofError("inclusion proof: expected hashes of 32 bytes for leaf and root")
    index, size = index - first, size - first
    place, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise _wrong_length("inclusion", "more")
        if place & 1 or place == last:
            found = node_hash(sibling, found)
            while not place & 1 and place:
                place >>= 1
                last >>= 1
        else:
            found = node_hash(found, sibling)
        place >>= 1
        last >>= 1
    if last != 0:
        raise _wrong_length("inclusion", "fewer")
    if found != root:
        raise InvalidProofError(
            f"inclusion proof of index {index}: expected root {_short(root)}, "
            f"recomputed {_short(found)}"
        )


def verify_consistency(
    proof: Sequence[bytes], *, old: int, old_root: bytes, new: int, new_root: bytes
) -> None:
    """Return if the older tree is the beginning of the newer one; RFC 9162 section 2.1.4.2.

    Raises:
        InvalidProofError: The proof does not show it.
    """
    if not 0 < old <= new:
        raise InvalidProofError(f"consistency proof: expected sizes 0 < old ≤ {new}, found {old}")
    verify_subtree(proof, leaves=(0, old), subtree_root=old_root, size=new, root=new_root)


def verify_subtree(  # noqa: C901 (the steps of the algorithm, in its order)
    proof: Sequence[bytes], *, leaves: Range, subtree_root: bytes, size: int, root: bytes
) -> None:
    """Return if the leaves [first, last) are a subtree of the tree and have this root.

    The consistency of RFC 9162 section 2.1.4.2 for subtrees that begin anywhere they can: at a
    multiple of the least power of two that is not below their size.

    Raises:
        InvalidProofError: The proof does not show it.
    """
    first, end = leaves
    width = end - first
    if not (_is_subtree(first, end) and end <= size):
        raise InvalidProofError(f"consistency proof: [{first}, {end}) is no subtree of {size}")
    if width == 0:
        if proof:
            raise _wrong_length("consistency", "more")
        _same("consistency proof of nothing", EMPTY_ROOT, subtree_root)
        return
    start, place, last = first, end - 1, size - 1
    while start != place and (place == last or place & 1):
        start, place, last = start >> 1, place >> 1, last >> 1
    path = [subtree_root, *proof] if start == place else list(proof)
    if not path:
        raise _wrong_length("consistency", "fewer")
    older = newer = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise _wrong_length("consistency", "more")
        if place & 1 or place == last:
            if start < place:
                older = node_hash(sibling, older)
            newer = node_hash(sibling, newer)
            while not place & 1 and place:
                start, place, last = start >> 1, place >> 1, last >> 1
        else:
            newer = node_hash(newer, sibling)
        start, place, last = start >> 1, place >> 1, last >> 1
    if last != 0:
        raise _wrong_length("consistency", "fewer")
    _same(f"consistency proof, older tree of size {width}", subtree_root, older)
    _same(f"consistency proof, newer tree of size {size}", root, newer)


# --- which subtrees a proof names ---------------------------------------------------------------


def _around(index: int, first: int, last: int) -> list[Range]:
    """Return the subtrees of an inclusion proof, from the leaf's sibling upward (PATH)."""
    if last - first == 1:
        return []
    middle = first + _split(last - first)
    if index < middle:
        return [*_around(index, first, middle), (middle, last)]
    return [*_around(index, middle, last), (first, middle)]


def _beside(old: int, first: int, last: int, *, is_whole: bool) -> list[Range]:
    """Return the subtrees of a consistency proof (SUBPROOF); `is_whole`: `old` is a whole one."""
    if old == last - first:
        return [] if is_whole else [(first, last)]
    split = _split(last - first)
    middle = first + split
    if old <= split:
        return [*_beside(old, first, middle, is_whole=is_whole), (middle, last)]
    return [*_beside(old - split, middle, last, is_whole=False), (first, middle)]


def _is_subtree(first: int, end: int) -> bool:
    """Return whether leaves [first, end) are a subtree of some tree."""
    return 0 <= first <= end and first % (1 << max(end - first - 1, 0).bit_length()) == 0


def _split(size: int) -> int:
    """Return the largest power of two below a size of two or more."""
    return 1 << ((size - 1).bit_length() - 1)


def _same(what: str, expected: bytes, found: bytes) -> None:
    if expected != found:
        raise InvalidProofError(
            f"{what}: expected root {_short(expected)}, recomputed {_short(found)}"
        )


def _wrong_length(kind: str, how: str) -> InvalidProofError:
    return InvalidProofError(f"{kind} proof: {how} hashes than these sizes take")


def _short(value: bytes) -> str:
    return f"{value.hex()[:16]}…"
