"""Hashes of the transparency log: RFC 6962 section 2.1, with SHA-256.

1. An entry is the envelope's canonical JSON followed by SHA-256(salt ‖ part) of each part of the
   payload: 32 bytes for each.
2. Its leaf hash is SHA-256(0x00 ‖ entry); an inner node's is SHA-256(0x01 ‖ left ‖ right).
3. A part and its salt can be erased without touching any hash above them.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from itertools import islice

_BATCH = 4_096

EMPTY_ROOT = sha256(b"").digest()


def payload_hash(salt: bytes, payload: bytes) -> bytes:
    """Return SHA-256(salt ‖ payload), which stands for a part of a payload in an entry."""
    return sha256(salt + payload).digest()


def leaf_hash(entry: bytes) -> bytes:
    """Return the leaf hash of an entry's bytes: 32 bytes."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node over two subtrees: 32 bytes."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """A growing tree, of which at most one hash a level is held."""

    def __init__(self) -> None:
        self.size = 0
        self._stack: list[bytes] = []

    def add(self, leaf: bytes) -> None:
        """Append a leaf hash."""
        self._stack.append(leaf)
        self.size += 1
        size = self.size
        while size % 2 == 0:
            right, left = self._stack.pop(), self._stack.pop()
            self._stack.append(node_hash(left, right))
            size //= 2

    def extend(self, leaves: Iterable[bytes]) -> None:
        """Append leaf hashes in batches, and each batch level by level."""
        source = iter(leaves)
        while batch := list(islice(source, _BATCH)):
            self._extend(batch)

    def _extend(self, nodes: list[bytes]) -> None:
        place = self.size
        self.size += len(nodes)
        left_over = []
        while nodes:
            # The nodes of a level begin at `place`; if that is odd, the one before it has waited.
            if place & 1:
                nodes.insert(0, self._stack.pop())
            if len(nodes) & 1:
                left_over.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [
                sha256(b"\x01" + left + right).digest()
                for left, right in zip(pairs, pairs, strict=True)
            ]
            place >>= 1
        self._stack.extend(reversed(left_over))

    def root(self) -> bytes:
        """Return the root over all leaves so far; SHA-256 of nothing for an empty tree."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root


def root_hash(leaves: Iterable[bytes]) -> bytes:
    """Return the root over leaf hashes in order; SHA-256 of nothing for an empty tree.

    It takes one pass, and holds one hash a level and a few thousand leaves (RFC 9162, 2.1.2).
    """
    tree = Frontier()
    tree.extend(leaves)
    return tree.root()
